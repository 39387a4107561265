"""Decides about one engine, as ``lifecycle`` does about one job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import attrs

from dispatch_core.vocabulary.commands import (
    CheckEngine,
    Deregister,
    EngineCommand,
    Heartbeat,
    ProbeEngine,
    Register,
    ReportBenchmark,
    SetWanted,
)
from dispatch_core.vocabulary.engines import (
    Benchmark,
    Engine,
    EnginePulse,
    Profile,
    Quarantine,
    Seen,
    Wanted,
)
from dispatch_core.vocabulary.errors import FieldProblem, SessionReplacedError, UnknownEngineError
from dispatch_core.vocabulary.events import (
    EngineBenchmarked,
    EngineEvent,
    EngineHealed,
    EngineProbed,
    EngineQuarantined,
    EngineRegistered,
    EngineSeen,
    EngineWanted,
)
from dispatch_core.vocabulary.kinds import JobKind


def unfit_task_classes(
    benchmarks: Sequence[Benchmark], kinds: Sequence[JobKind | None], path: str
) -> list[FieldProblem]:
    """What is wrong with the names of measured cells: each must fit a kind of the engine's, None being unknown ones."""
    grammars = [None if kind is None else kind.task_classes for kind in kinds]
    forms = [grammar for grammar in grammars if grammar is not None]
    if len(forms) < len(grammars):
        return []
    wrong = {index: [form.check(each.task_class) for form in forms] for index, each in enumerate(benchmarks)}
    return [
        FieldProblem(f"{path}/{index}/task_class", "; or ".join(filter(None, said)))
        for index, said in wrong.items()
        if all(said)
    ]


def decide_engine(
    engine: Engine | None, command: EngineCommand, actor: str, tenant: str, silence: Seen | None = None
) -> tuple[EngineEvent, ...]:
    """The events a command means for an engine; ``silence`` is what its pulse says at a ``CheckEngine``.

    Raises UnknownEngineError if there is none, or it has left and must register again; what is wanted of it
    may be said all the same.
    """
    if isinstance(command, Register):
        return _register(engine, command, tenant)
    # A wish outlives the process: without this a drained engine could never be resumed, only drain itself anew.
    gone = engine is not None and engine.seen is Seen.LEFT and not isinstance(command, SetWanted)
    if engine is None or gone:
        raise UnknownEngineError(
            f"engine {command.engine_id} is not registered: PUT /engines/{command.engine_id}"
        )
    match command:
        case Heartbeat():
            return _heartbeat(engine, command)
        case SetWanted():
            wanted = Wanted(command.state, command.reason, actor)
            same = (engine.wanted.state, engine.wanted.reason) == (command.state, command.reason)
            return () if same else (EngineWanted(wanted=wanted),)
        case Deregister():
            return (EngineSeen(seen=Seen.LEFT, reason="deregistered"),)
        case ReportBenchmark():
            return (EngineBenchmarked(benchmarks=command.benchmarks),)
        case CheckEngine():
            overdue = silence is not None and silence is not engine.seen
            return (EngineSeen(seen=silence, reason="missed heartbeats"),) if overdue and silence else ()
        case ProbeEngine():
            return (EngineProbed(),) if engine.due_us is not None else ()
        case _:
            assert_never(command)


def _register(engine: Engine | None, command: Register, tenant: str) -> tuple[EngineEvent, ...]:
    known = engine is not None and engine.seen is Seen.LIVE and engine.session == command.session
    if known and engine is not None and engine.profile == command.profile:
        return ()
    return (
        EngineRegistered(
            engine_id=command.engine_id, tenant=tenant, session=command.session, profile=command.profile
        ),
    )


def check_session(engine: Engine, session: str) -> None:
    """Raises SessionReplacedError if another start of this engine has registered since."""
    if engine.session != session:
        raise SessionReplacedError(
            f"another process registered as engine {engine.id}; register again or stop"
        )


def _heartbeat(engine: Engine, command: Heartbeat) -> tuple[EngineEvent, ...]:
    check_session(engine, command.session)
    return () if engine.seen is Seen.LIVE else (EngineSeen(seen=Seen.LIVE, reason="heartbeat"),)


def evolve_engine(engine: Engine | None, event: EngineEvent, at_us: int) -> Engine:
    """The engine after an event: one version further."""
    if isinstance(event, EngineRegistered):
        return _registered(engine, event, at_us)
    assert engine is not None
    at_us = max(at_us, engine.updated_us)
    engine = attrs.evolve(engine, version=engine.version + 1, updated_us=at_us)
    match event:
        case EngineSeen():
            return attrs.evolve(engine, seen=event.seen)
        case EngineWanted() | EngineHealed():
            return _trusted(engine, event, at_us)
        case EngineQuarantined():
            trial = Quarantine(probe_at_us=event.probe_at_us, wait_us=event.wait_us)
            return attrs.evolve(engine, wanted=event.wanted, quarantine=trial)
        case EngineProbed():
            assert engine.quarantine is not None
            return attrs.evolve(engine, quarantine=attrs.evolve(engine.quarantine, probing=True))
        case EngineBenchmarked():
            return attrs.evolve(engine, profile=_with_benchmarks(engine.profile, event))
        case _:
            assert_never(event)


def _registered(engine: Engine | None, event: EngineRegistered, at_us: int) -> Engine:
    if engine is None:
        return Engine(
            id=event.engine_id,
            tenant=event.tenant,
            version=1,
            profile=event.profile,
            session=event.session,
            seen=Seen.LIVE,
            wanted=Wanted(),
            registered_us=at_us,
            updated_us=at_us,
        )
    return attrs.evolve(
        engine,
        version=engine.version + 1,
        profile=event.profile,
        session=event.session,
        seen=Seen.LIVE,
        updated_us=max(at_us, engine.updated_us),
    )


def _trusted(engine: Engine, event: EngineWanted | EngineHealed, at_us: int) -> Engine:
    """What somebody says of a quarantined engine ends its quarantine, with all that led to it."""
    if engine.quarantine is None:
        return attrs.evolve(engine, wanted=event.wanted)
    return attrs.evolve(engine, wanted=event.wanted, quarantine=None, trusted_us=at_us)


def _with_benchmarks(profile: Profile, event: EngineBenchmarked) -> Profile:
    cells = {cell.task_class: cell for cell in (*profile.benchmarks, *event.benchmarks)}
    return attrs.evolve(profile, benchmarks=tuple(cells[name] for name in sorted(cells)))


def silence_of(pulse: EnginePulse, now: int, lost_us: int) -> Seen:
    """What an overdue pulse says: silent first, lost after ``lost_us`` without a sign."""
    return Seen.LOST if now - pulse.seen_us >= lost_us else Seen.SILENT
