"""The breaker: an engine that fails many distinct jobs in a row is taken out, tried again, and healed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import frozen

from dispatch_core.kernel.blame import LOST, TELLING
from dispatch_core.vocabulary.attempts import Attempt, Outcome
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine, Wanted, WantedState
from dispatch_core.vocabulary.events import EngineHealed, EngineQuarantined
from dispatch_core.vocabulary.jobs import Job

DISPATCH = "dispatch"
"""The actor of what the dispatcher decides by itself."""
BLAMED = frozenset({"engine", "resource", "timeout", LOST})
"""Failures that may be the engine's fault; a source that cannot be read is not."""
_ENDED = {
    Outcome.RUN_LIMIT: "timeout",
    Outcome.NO_PROGRESS: "timeout",
    Outcome.EXPIRED: LOST,
}


@frozen(kw_only=True)
class Breaker:
    """``failures`` distinct jobs within ``window_us`` and no success between them; 0: never.

    The first trial comes after ``probe_us``; each that fails doubles the wait, up to ``probe_max_us``. Leases
    that ran out within ``silence_us`` of each other are one silence of the engine, however many they were.
    """

    failures: int = 5
    window_us: int = 600 * SECOND_US
    probe_us: int = 300 * SECOND_US
    probe_max_us: int = 4 * 3_600 * SECOND_US
    silence_us: int = 30 * SECOND_US


@frozen
class Strike:
    """One job that failed on an engine, and how."""

    job_id: str
    failure_class: str
    at_us: int


def failure_of(attempt: Attempt) -> str | None:
    """The class of an ended attempt's failure; None if it did not fail."""
    if attempt.outcome is Outcome.FAILED:
        return attempt.error.failure_class if attempt.error else "engine"
    return _ENDED.get(attempt.outcome) if attempt.outcome else None


def strikes(engine: Engine, attempts: Iterable[Attempt], now: int, breaker: Breaker) -> list[Strike]:
    """What speaks against an engine: the distinct jobs it failed in a row, the last one first."""
    ended = [(each.ended_us, each.key, each) for each in attempts if each.ended_us is not None]
    found: dict[str, Strike] = {}
    silent_us: int | None = None
    for at_us, _, attempt in sorted(ended, key=lambda each: each[:2], reverse=True):
        if attempt.outcome is Outcome.COMPLETED or at_us <= max(engine.trusted_us, now - breaker.window_us):
            break
        failure = failure_of(attempt)
        if failure is None or failure not in BLAMED or attempt.job_id in found:
            continue
        if failure == LOST:
            if silent_us is not None and silent_us - at_us <= breaker.silence_us:
                continue
            silent_us = at_us
        found[attempt.job_id] = Strike(attempt.job_id, failure, at_us)
    return list(found.values())


def fault_of_data(job: Job, engine_id: str) -> bool:
    """Whether another engine told of failing the job, too: then the job is to blame."""
    return any(each.engine_id != engine_id and each.failure_class in TELLING for each in job.failed_on)


def quarantined(engine: Engine, found: Sequence[Strike], now: int, breaker: Breaker) -> EngineQuarantined:
    """The event that takes an engine out for what it failed."""
    counted = Counter(each.failure_class for each in found)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
    reason = f"{len(found)} jobs in a row failed here that others could do ({kinds})"
    return _out(reason, breaker.probe_us, now)


def failed_trial(engine: Engine, attempt: Attempt, now: int, breaker: Breaker) -> EngineQuarantined | None:
    """The event that takes an engine out again if an attempt was its trial; None if it was not."""
    trial, failure = engine.quarantine, failure_of(attempt)
    if trial is None or failure not in BLAMED or not on_trial(engine, attempt):
        return None
    wait_us = min(2 * trial.wait_us, max(breaker.probe_max_us, breaker.probe_us))
    return _out(f"{attempt.job_id} failed in its trial ({failure})", wait_us, now)


def on_trial(engine: Engine, attempt: Attempt) -> bool:
    """Whether an attempt was let through to try a quarantined engine."""
    return engine.quarantine is not None and attempt.granted_us >= engine.quarantine.probe_at_us


def healed(reason: str) -> EngineHealed:
    """The event that puts an engine back into service."""
    return EngineHealed(wanted=Wanted(WantedState.ACTIVE, "", DISPATCH), reason=reason)


def _out(reason: str, wait_us: int, now: int) -> EngineQuarantined:
    wanted = Wanted(WantedState.QUARANTINED, reason, DISPATCH)
    return EngineQuarantined(wanted=wanted, probe_at_us=now + wait_us, wait_us=wait_us)
