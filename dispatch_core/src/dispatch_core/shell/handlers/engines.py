"""Handlers of engines: registration, heartbeats, wanted states."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from dispatch_core.kernel.fleet import decide_engine, silence_of, unfit_task_classes
from dispatch_core.kernel.lifecycle import decide
from dispatch_core.shell.handlers.handler import Handler, Phase, engine_refs, job_ref
from dispatch_core.shell.handlers.trust import judge
from dispatch_core.shell.handlers.work import beat_engine, lease_status, named_attempt, report_refs
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.attempts import LeaseStatus
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.commands import (
    CheckEngine,
    Deregister,
    EndAttempt,
    EngineCommand,
    Heartbeat,
    HeldLease,
    Register,
    Renew,
    ReportBenchmark,
)
from dispatch_core.vocabulary.context import CLOCKWORK, Context
from dispatch_core.vocabulary.engines import Benchmark, Engine, HeartbeatAnswer, Profile, Seen
from dispatch_core.vocabulary.errors import CommandRejectedError, FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RecordType, Ref


def _decided(
    command: EngineCommand, context: Context, workspace: Workspace, silence: Seen | None = None
) -> Engine:
    engine = workspace.engine(command.engine_id, context)
    for event in decide_engine(engine, command, context.actor, context.tenant, silence):
        engine = workspace.engine_happened(engine, event, context)
    assert engine is not None
    return engine


def _check_cells(benchmarks: Sequence[Benchmark], profile: Profile, workspace: Workspace, path: str) -> None:
    kinds = [workspace.house.kinds.get(name) for name in profile.kinds]
    if problems := unfit_task_classes(benchmarks, kinds, path):
        raise InvalidCommandError(problems)


def _change(command: EngineCommand, context: Context, workspace: Workspace) -> Engine:
    engine = workspace.engine(command.engine_id, context)
    if isinstance(command, ReportBenchmark) and engine is not None:
        _check_cells(command.benchmarks, engine.profile, workspace, "/benchmarks")
    return _decided(command, context, workspace)


def _register(command: Register, context: Context, workspace: Workspace) -> Engine:
    taken = workspace.get((RecordType.ENGINE, command.engine_id))
    if isinstance(taken, Engine) and taken.tenant != context.tenant:
        raise InvalidCommandError([FieldProblem("/engine_id", "is not available; choose another id")])
    _check_cells(command.profile.benchmarks, command.profile, workspace, "/profile/benchmarks")
    _end_sessions(command.engine_id, command.session, workspace)
    engine = _decided(command, context, workspace)
    beat_engine(engine, workspace)
    return engine


def _deregister(command: Deregister, context: Context, workspace: Workspace) -> Engine:
    engine = _decided(command, context, workspace)
    _end_sessions(command.engine_id, None, workspace)
    pulse = workspace.pulse(command.engine_id)
    if pulse is not None:
        workspace.put(attrs.evolve(pulse, version=pulse.version + 1, due_us=None))
    return engine


def _end_sessions(engine_id: str, but: str | None, workspace: Workspace) -> None:
    """A process that is gone must not keep leases alive: they end at once, as lease end."""
    for attempt in workspace.open_attempts(engine_id):
        if attempt.session == but:
            continue
        job = workspace.get(job_ref(attempt.job_id))
        assert isinstance(job, Job)
        command = EndAttempt(job_id=job.id, number=attempt.number, cause="session-ended")
        decision = decide(job, attempt, command, workspace.now, workspace.terms)
        workspace.decided(job, decision, CLOCKWORK)
        judge(workspace.attempt(job.id, attempt.number), workspace)


def _session_refs(command: Register | Deregister, workspace: Workspace) -> Collection[Ref]:
    return [job_ref(attempt.job_id) for attempt in workspace.open_attempts(command.engine_id)]


def _heartbeat(command: Heartbeat, context: Context, workspace: Workspace) -> HeartbeatAnswer:
    engine = _decided(command, context, workspace)
    beat_engine(engine, workspace, command)
    answers = tuple(_renewed(held, engine, context, workspace) for held in command.leases)
    named = {(held.job_id, held.token) for held in command.leases}
    unnamed = tuple(
        _status(attempt.job_id, attempt.token, workspace, attempt.deadline_us)
        for attempt in workspace.open_attempts(engine.id)
        if (attempt.job_id, attempt.token) not in named
    )
    return HeartbeatAnswer(
        wanted=engine.wanted, leases=answers, unnamed=unnamed, next_s=workspace.house.settings.heartbeat_s
    )


def _renewed(held: HeldLease, engine: Engine, context: Context, workspace: Workspace) -> LeaseStatus:
    try:
        job = workspace.job(held.job_id, context)
        attempt = named_attempt(workspace, job, held.token, engine.id)
        renew = Renew(job_id=held.job_id, token=held.token, engine_id=engine.id)
        job = workspace.decided(job, decide(job, attempt, renew, workspace.now, workspace.terms), context)
        after = workspace.attempt(job.id, attempt.number)
        assert after is not None
        return lease_status(job, after)
    except CommandRejectedError:
        return LeaseStatus(job_id=held.job_id, token=held.token, deadline_us=workspace.now, lost=True)


def _status(job_id: str, token: str, workspace: Workspace, deadline_us: int) -> LeaseStatus:
    job = workspace.get(job_ref(job_id))
    cancel = isinstance(job, Job) and job.cancel_asked
    return LeaseStatus(job_id=job_id, token=token, deadline_us=deadline_us, cancel=cancel)


def _heartbeat_refs(command: Heartbeat) -> Collection[Ref]:
    named = [ref for held in command.leases for ref in report_refs(held.job_id, held.token)]
    return [*engine_refs(command.engine_id), *named]


def _unnamed_refs(command: Heartbeat, workspace: Workspace) -> Collection[Ref]:
    return [job_ref(attempt.job_id) for attempt in workspace.open_attempts(command.engine_id)]


def _check(command: CheckEngine, context: Context, workspace: Workspace) -> Engine | None:
    engine = workspace.get((RecordType.ENGINE, command.engine_id))
    pulse = workspace.pulse(command.engine_id)
    if (
        not isinstance(engine, Engine)
        or pulse is None
        or pulse.due_us is None
        or pulse.due_us > workspace.now
    ):
        return None
    lost_us = to_us(workspace.house.settings.lost_after_s)
    silence = silence_of(pulse, workspace.now, lost_us)
    due = pulse.seen_us + lost_us if silence is Seen.SILENT else None
    workspace.put(attrs.evolve(pulse, version=pulse.version + 1, due_us=due))
    return _decided(command, attrs.evolve(context, tenant=engine.tenant), workspace, silence)


def _of_engine(command: EngineCommand) -> Collection[Ref]:
    return engine_refs(command.engine_id)


def _open_of(command: EngineCommand) -> Collection[str]:
    return [command.engine_id]


def _row_of(command: EngineCommand) -> Collection[Ref]:
    """Claims lock it, too: what is granted meanwhile is among the open attempts."""
    return [(RecordType.ENGINE, command.engine_id)]


REGISTER = Handler(
    phase=Phase.CONTROL,
    locks=_row_of,
    needs=_of_engine,
    engines=_open_of,
    then=_session_refs,
    run=_register,
)
DEREGISTER = Handler(
    phase=Phase.CONTROL,
    locks=_row_of,
    needs=_of_engine,
    engines=_open_of,
    then=_session_refs,
    run=_deregister,
)
HEARTBEAT = Handler(
    phase=Phase.REPORT, needs=_heartbeat_refs, engines=_open_of, then=_unnamed_refs, run=_heartbeat
)
CHANGE = Handler(phase=Phase.CONTROL, needs=_of_engine, run=_change)
CHECK = Handler(phase=Phase.CONTROL, needs=_of_engine, run=_check)
