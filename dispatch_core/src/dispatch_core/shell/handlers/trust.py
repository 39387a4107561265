"""What the end of an attempt says of its engine: quarantine after many failures, healing after a trial."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import attrs

from dispatch_core.kernel.fleet import decide_engine
from dispatch_core.kernel.quarantine import (
    BLAMED,
    DISPATCH,
    Strike,
    failed_trial,
    failure_of,
    fault_of_data,
    healed,
    on_trial,
    quarantined,
    strikes,
)
from dispatch_core.ports.storage import Query
from dispatch_core.shell.handlers.handler import Handler, Phase, engine_refs, job_ref
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.attempts import Attempt, Outcome
from dispatch_core.vocabulary.commands import ProbeEngine
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.engines import Engine, Seen, WantedState
from dispatch_core.vocabulary.events import EngineHealed, EngineQuarantined
from dispatch_core.vocabulary.jobs import ENGINE_LANES, Job
from dispatch_core.vocabulary.records import RecordType

Verdict = EngineQuarantined | EngineHealed
LOG = logging.getLogger("dispatch_core")
LOOKED_AT_MIN, LOOKED_AT_MAX = 64, 1_000
"""How many of an engine's last attempts are looked at: more if it has many slots."""


def judge(attempt: Attempt | None, workspace: Workspace) -> None:
    """An attempt has just ended: its engine may be taken out, taken out again, or healed."""
    if attempt is None or attempt.ended_us is None or not workspace.house.settings.quarantine_failures:
        return
    if attempt.outcome is not Outcome.COMPLETED and failure_of(attempt) not in BLAMED:
        return
    known = workspace.house.fleet.engine(attempt.engine_id)
    if attempt.outcome is Outcome.COMPLETED and known is not None and known.quarantine is None:
        return  # by far the most frequent end costs nothing
    engine = workspace.get((RecordType.ENGINE, attempt.engine_id))
    if isinstance(engine, Engine) and (event := _verdict(engine, attempt, workspace)):
        _happened(engine, event, workspace)


def _verdict(engine: Engine, attempt: Attempt, workspace: Workspace) -> Verdict | None:
    breaker = workspace.house.breaker()
    if attempt.outcome is Outcome.COMPLETED:
        return healed(f"{attempt.job_id} succeeded in its trial") if on_trial(engine, attempt) else None
    if engine.quarantine is not None:
        job = workspace.get(job_ref(attempt.job_id))
        innocent = isinstance(job, Job) and fault_of_data(job, engine.id)
        return None if innocent else failed_trial(engine, attempt, workspace.now, breaker)
    if engine.wanted.state is not WantedState.ACTIVE or engine.seen is Seen.LEFT:
        return None
    found = strikes(engine, _recent(engine, workspace), workspace.now, breaker)
    if len(found) < breaker.failures:
        return None
    proven = _proven(engine, found, workspace)
    if len(proven) < breaker.failures or _needed(engine, workspace):
        return None
    return quarantined(engine, proven, workspace.now, breaker)


def _recent(engine: Engine, workspace: Workspace) -> list[Attempt]:
    """The last attempts granted to an engine, as this batch sees them, in no order; read once in a batch."""
    if engine.id not in workspace.recent:
        limit = min(LOOKED_AT_MIN + engine.profile.slots, LOOKED_AT_MAX)
        where = {"engine_id": (engine.id,)}
        query = Query(where=where, sort="granted_us", descending=True, limit=limit)
        found = workspace.transaction.find(RecordType.ATTEMPT, query).records
        workspace.recent[engine.id] = {each.key: each for each in found if isinstance(each, Attempt)}
    known = (each for each in workspace.records() if isinstance(each, Attempt))
    own = {each.key: each for each in known if each.engine_id == engine.id}
    return list({**workspace.recent[engine.id], **own}.values())


def _happened(engine: Engine, event: Verdict, workspace: Workspace) -> None:
    context = Context(actor=DISPATCH, tenant=engine.tenant)
    after = workspace.engine_happened(engine, event, context)
    why = event.reason if isinstance(event, EngineHealed) else event.wanted.reason
    LOG.warning("engine %s is %s now: %s", engine.id, after.wanted.state, why)


def _proven(engine: Engine, found: Sequence[Strike], workspace: Workspace) -> list[Strike]:
    """The strikes whose job is not to blame itself, and could be done by another engine in service."""
    workspace.load([job_ref(each.job_id) for each in found])
    jobs = [(each, workspace.get(job_ref(each.job_id))) for each in found]
    outlook, matcher = workspace.outlook, workspace.house.matcher
    return [
        strike
        for strike, job in jobs
        if isinstance(job, Job)
        and not fault_of_data(job, engine.id)
        and _in_service(matcher.others(attrs.evolve(job, failed_on=(), pin=None), engine, outlook), workspace)
    ]


def _needed(engine: Engine, workspace: Workspace) -> bool:
    """Whether something waits that only this engine could do: the last one is never taken out."""
    house, outlook = workspace.house, workspace.outlook
    lanes = workspace.fronts(lambda lane: not lane.startswith(ENGINE_LANES), f"{engine.id} {engine.version}")
    waiting = {house.classifier.of(first).id: house.classifier.of(first) for _, _, first, _ in lanes}
    for wanted in waiting.values():
        others = sorted(each.id for each in outlook.serving(wanted) if each.id != engine.id)
        if not house.matcher.admits(wanted, engine) and not _in_service(others, workspace):
            return True
    return False


def _in_service(engine_ids: Sequence[str], workspace: Workspace) -> bool:
    """Whether one of these engines serves after what this batch has decided; their rows are locked for it."""
    refs = [(RecordType.ENGINE, engine_id) for engine_id in engine_ids]
    workspace.load(refs, lock=True)
    return any(isinstance(each := workspace.get(ref), Engine) and each.serves for ref in refs)


def _probe(command: ProbeEngine, _context: Context, workspace: Workspace) -> Engine | None:
    """Let a quarantined engine try again; if meanwhile all others are gone, it is let back at once."""
    engine = workspace.get((RecordType.ENGINE, command.engine_id))
    if not isinstance(engine, Engine) or engine.due_us is None or engine.due_us > workspace.now:
        return None
    context = Context(actor=DISPATCH, tenant=engine.tenant)
    if workspace.outlook.alone(engine):
        _happened(engine, healed("no other engine is in service"), workspace)
        return engine
    for event in decide_engine(engine, command, DISPATCH, engine.tenant):
        engine = workspace.engine_happened(engine, event, context)
    return engine


PROBE = Handler(phase=Phase.CONTROL, needs=lambda command: engine_refs(command.engine_id), run=_probe)
