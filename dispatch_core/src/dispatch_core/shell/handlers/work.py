"""Handlers of claims and of what engines report about their work."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import islice

import attrs

from dispatch_core.kernel.fleet import check_session
from dispatch_core.kernel.lifecycle import decide
from dispatch_core.kernel.limits import spent
from dispatch_core.kernel.scheduling.explanation import ClaimExplanation
from dispatch_core.kernel.scheduling.loads import ASKS_WITHIN_US
from dispatch_core.kernel.scheduling.matcher import Front, Match
from dispatch_core.kernel.scheduling.rates import length_us
from dispatch_core.kernel.scheduling.rules import EngineView
from dispatch_core.shell.handlers.handler import Handler, Phase, engine_refs, job_ref
from dispatch_core.shell.handlers.scarcity import LimitRooms, free_rooms
from dispatch_core.shell.handlers.trust import judge
from dispatch_core.shell.poolview import LazyRooms
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.attempts import Attempt, Lease, LeaseStatus, attempt_key
from dispatch_core.vocabulary.bounds import plain_json, sanitised
from dispatch_core.vocabulary.changing import changed
from dispatch_core.vocabulary.clock import SECOND_US, to_us
from dispatch_core.vocabulary.commands import (
    Claim,
    Complete,
    Fail,
    Grant,
    Heartbeat,
    JobReport,
    Renew,
    ReportProgress,
)
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.engines import Engine, EnginePulse, Seen
from dispatch_core.vocabulary.errors import LeaseLostError, UnknownEngineError
from dispatch_core.vocabulary.events import EngineSeen
from dispatch_core.vocabulary.jobs import ENGINE_LANES, Job, JobError, engine_lane
from dispatch_core.vocabulary.limits import Ledger, ledger_id, uses_of
from dispatch_core.vocabulary.pools import PoolRoom
from dispatch_core.vocabulary.records import RecordType, Ref

FRESH_US = SECOND_US
"""So long a job is left to the server that hears from the engines it is for; then whoever is idle may have it."""
TOLD_EVERY_US = ASKS_WITHIN_US // 4
LEARNED_LIMIT_MIN_US = 60 * SECOND_US
"""A learned time limit is never shorter: short jobs vary more than their rate says."""
FAILURE_CLASSES = ("input", "engine", "resource", "timeout", "lost", "policy")


def attempt_number(token: str) -> int | None:
    """The attempt a token names, or None if it is not a token."""
    number = token.rpartition(".")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def report_refs(job_id: str, token: str) -> Collection[Ref]:
    """The job and the attempt a report names."""
    number = attempt_number(token)
    attempt = [] if number is None else [(RecordType.ATTEMPT, attempt_key(job_id, number))]
    return [job_ref(job_id), *attempt]


def named_attempt(workspace: Workspace, job: Job, token: str, engine_id: str) -> Attempt:
    """The attempt a report is about. Raises LeaseLostError if the token is not this engine's."""
    attempt = workspace.attempt(job.id, attempt_number(token))
    if attempt is None or attempt.token != token or attempt.engine_id != engine_id:
        raise LeaseLostError(f"{job.id}: {engine_id} does not hold the token {token}; stop this work")
    return attempt


def _report(command: JobReport, context: Context, workspace: Workspace) -> Attempt | LeaseStatus:
    job = workspace.job(command.job_id, context)
    attempt = named_attempt(workspace, job, command.token, command.engine_id)
    command = storable(command)
    decision = decide(job, attempt, command, workspace.now, workspace.terms)
    job = workspace.decided(job, decision, context)
    after = workspace.attempt(job.id, attempt.number)
    assert after is not None
    if isinstance(command, (Renew, ReportProgress)):
        return lease_status(job, after)
    if decision.events:
        judge(after, workspace)
    return after


def storable(command: JobReport) -> JobReport:
    """A report with its text sanitised and its JSON copied."""
    if isinstance(command, Fail):
        command = changed(command, error=sanitised_error(command.error))
    if isinstance(command, (Complete, Fail)) and command.usage is not None:
        command = changed(command, usage=plain_json(command.usage))
    if isinstance(command, Complete):
        command = changed(command, result=plain_json(command.result))
    return command


def lease_status(job: Job, attempt: Attempt) -> LeaseStatus:
    """What an engine hears about a lease it named."""
    return LeaseStatus(
        job_id=job.id, token=attempt.token, deadline_us=attempt.deadline_us, cancel=job.cancel_asked
    )


def sanitised_error(error: JobError) -> JobError:
    """An engine's error made storable: an error report is never refused for its text."""
    known = error.failure_class if error.failure_class in FAILURE_CLASSES else "engine"
    return attrs.evolve(
        error,
        failure_class=known,
        message=sanitised(error.message, 1_000),
        detail=sanitised(error.detail, 8_000),
    )


def _claim(command: Claim, context: Context, workspace: Workspace) -> list[Lease]:
    engine = workspace.engine(command.engine_id, context)
    if engine is None or engine.seen is Seen.LEFT:
        raise UnknownEngineError(f"engine {command.engine_id} is not registered")
    check_session(engine, command.session)
    if engine.seen is not Seen.LIVE and not command.waited:  # asking for work is a sign of life
        engine = workspace.engine_happened(engine, EngineSeen(seen=Seen.LIVE, reason="claim"), context)
        beat_engine(engine, workspace)
    free = engine.slots - workspace.open_count(engine.id)
    windows = workspace.house.windows_of(workspace.transaction, engine, workspace.now)
    closed = any(window.open_at(workspace.now) for window in windows)
    workspace.house.fleet.asked(engine.id, None if closed else workspace.now)
    _tell_others(engine, workspace)
    if closed:
        return []
    leases: list[Lease] = []
    matches: dict[str, Match] = {}
    while len(leases) < min(command.limit, free):
        rooms = LazyRooms(lambda: free_rooms(workspace, engine.tenant))  # counted anew after each grant
        limits = LimitRooms(workspace, engine)
        view = EngineView(
            engine,
            workspace.pulse(engine.id),
            rooms,
            windows,
            workspace.now,
            partial(_others, engine, rooms, workspace),
            limits,
        )
        lease = _grant_best(command, context, workspace, view, matches)
        if lease is None:
            break
        leases.append(lease)
    return leases


def _tell_others(engine: Engine, workspace: Workspace) -> None:
    """Where servers share the store, the pulse says now and then that the engine asks, or does not any more."""
    if not workspace.house.storage.traits.shared:
        return
    pulse, asked_us = workspace.pulse(engine.id), workspace.house.fleet.last_asked(engine.id)
    told_us = None if pulse is None else pulse.asked_us
    if told_us is None or asked_us is None:
        due = told_us is not asked_us
    else:
        due = abs(asked_us - told_us) > TOLD_EVERY_US
    if due:
        beat_engine(engine, workspace)


def _others(engine: Engine, rooms: LazyRooms[PoolRoom], workspace: Workspace, job: Job) -> Sequence[str]:
    """As many as tell whether there is one that the job is newer to: it failed on no more than so many."""
    others = workspace.house.matcher.others_anyhow(job, engine, workspace.outlook, rooms)
    return list(islice(others, len(job.failed_on) + 1))


def beat_engine(engine: Engine, workspace: Workspace, command: Heartbeat | None = None) -> None:
    """Write the engine's pulse; what it does not say stays as it was."""
    before = workspace.pulse(engine.id)
    disk = command.disk_free_bytes if command else None
    load = command.load if command else None
    workspace.put(
        EnginePulse(
            engine_id=engine.id,
            tenant=engine.tenant,
            version=before.version + 1 if before else 1,
            seen_us=workspace.now,
            due_us=workspace.now + to_us(workspace.house.settings.silent_after_s),
            disk_free_bytes=disk if disk is not None or before is None else before.disk_free_bytes,
            load=load if load is not None or before is None else before.load,
            asked_us=workspace.house.fleet.last_asked(engine.id),
        )
    )


def _grant_best(
    command: Claim, context: Context, workspace: Workspace, view: EngineView, matches: dict[str, Match]
) -> Lease | None:
    own = engine_lane(view.engine.id)
    reader = f"{view.engine.id} {view.engine.version}"
    job, explanation = None, None
    for whose in (_served_here, _not_fresh) if workspace.house.storage.traits.shared else (_all,):
        fronts = workspace.fronts(lambda lane: lane == own or not lane.startswith(ENGINE_LANES), reader)
        near = whose(fronts, workspace)
        matcher, outlook = workspace.house.matcher, workspace.outlook
        job, explanation = matcher.choose(view, near, outlook, workspace.now, matches)
        if job is not None:
            break
    if job is None or explanation is None:
        return None
    workspace.hope_for(job)
    _spend(job, view, workspace)
    return _grant(job, command, context, workspace, explanation)


def _all(fronts: Iterator[Front], workspace: Workspace) -> Iterator[Front]:
    return fronts


def _not_fresh(fronts: Iterator[Front], workspace: Workspace) -> Iterator[Front]:
    """Without what has just come in for engines that ask another server: it has been told, and they are there."""
    outlook, now = workspace.outlook, workspace.now
    for front in fronts:
        fresh = abs(now - front[2].updated_us) < FRESH_US
        if not (fresh and outlook.served_elsewhere(front[1][0], front[2], now)):
            yield front


def _served_here(fronts: Iterator[Front], workspace: Workspace) -> Iterator[Front]:
    """Without the queues of engines that ask other servers: who reaches for those is often too late."""
    outlook, now = workspace.outlook, workspace.now
    return (front for front in fronts if not outlook.served_elsewhere(front[1][0], front[2], now))


def _spend(job: Job, view: EngineView, workspace: Workspace) -> None:
    """Take what a job that is granted uses out of the buckets of its limits."""
    for use in uses_of(job.spec):
        room = view.limits.get(use.key)
        if room is None or room.limit.spec.rate_per_s is None:
            continue
        key = ledger_id(room.limit, view.engine.id)
        before = workspace.get((RecordType.LEDGER, key))
        assert before is None or isinstance(before, Ledger)
        workspace.put(spent(room.limit, before, key, use.units, workspace.now))


def _grant(
    job: Job, command: Claim, context: Context, workspace: Workspace, explanation: ClaimExplanation
) -> Lease:
    limit_us = _learned_limit_us(job, command.engine_id, workspace)
    learned = {} if limit_us is None else {"run_limit_s": round(limit_us / SECOND_US, 3)}
    grant = Grant(
        job_id=job.id,
        engine_id=command.engine_id,
        session=command.session,
        explanation=grant_explanation(explanation) | learned,
        estimate_us=_estimate_us(explanation),
        run_limit_us=limit_us,
    )
    job = workspace.decided(job, decide(job, None, grant, workspace.now, workspace.terms), context)
    attempt = workspace.attempt(job.id, job.last_attempt)
    assert attempt is not None
    return Lease(
        job=job,
        attempt=attempt.number,
        token=attempt.token,
        engine_id=attempt.engine_id,
        session=attempt.session,
        granted_us=attempt.granted_us,
        deadline_us=attempt.deadline_us,
        ttl_us=workspace.terms.lease_ttl_us,
    )


def _learned_limit_us(job: Job, engine_id: str, workspace: Workspace) -> int | None:
    """How long a job that names no limit may run: factor · p95 of such jobs on the engine, never less than the floor."""
    factor = workspace.house.settings.learned_timeout_factor
    engine = workspace.outlook.engine(engine_id) if factor and job.spec.timeouts.run_s is None else None
    if factor is None or engine is None:
        return None
    wanted, units = workspace.house.classifier.measured(job)
    rate = workspace.outlook.rates.us_per_unit_p95(engine, wanted.task_class, wanted.nominal_us)
    return None if rate is None else max(length_us(units, factor * rate), LEARNED_LIMIT_MIN_US)


def _estimate_us(explanation: ClaimExplanation) -> int:
    assert explanation.chosen is not None
    return round(explanation.chosen.estimate_s * SECOND_US)


def grant_explanation(explanation: ClaimExplanation) -> dict[str, object]:
    """What a grant keeps of its reasons, in ≤ 512 bytes: key parts, runners-up, counts per reason."""
    chosen = explanation.chosen
    assert chosen is not None
    return {
        "key": chosen.order_key,
        "penalty_us": chosen.penalty_us,
        "estimate_s": round(chosen.estimate_s, 3),
        "runners_up": [[each.job_id, each.score - chosen.score] for each in explanation.runners_up],
        "refused": dict(list(explanation.refused.items())[:8]),
    }


REPORT = Handler(
    phase=Phase.REPORT, needs=lambda command: report_refs(command.job_id, command.token), run=_report
)
CLAIM = Handler(
    phase=Phase.CLAIM,
    locks=lambda command: [(RecordType.ENGINE, command.engine_id)],
    needs=lambda command: engine_refs(command.engine_id),
    engines=lambda command: [command.engine_id],
    run=_claim,
)
