"""The laws, as checks over records. Used by tests, the simulation and ``verify``; empty means all hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs
from attrs import frozen

from dispatch_core.kernel.evolve import evolve, evolve_attempt
from dispatch_core.kernel.fleet import evolve_engine
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.events import EngineEvent, Event, JobEvent, JobPurged
from dispatch_core.vocabulary.jobs import Job, JobState
from dispatch_core.vocabulary.limits import LimitDeleted
from dispatch_core.vocabulary.pools import PoolDeleted
from dispatch_core.vocabulary.windows import WindowEnded

Counts = Mapping[tuple[str, str], int]
"""How many, by (tenant, name)."""
PULSED = ("version", "deadline_us", "progress_at_us", "progress", "run_until_us")
"""What a sign of life, or a jump of the clock, changes of an attempt without a row of history."""

_ENDS = (PoolDeleted, WindowEnded, LimitDeleted)
"""The last of a record that leaves while its history stays."""


@frozen
class Fact:
    """One row of a record's history, as far as the laws look at it."""

    version: int
    at_us: int
    event: Event


def broken_laws(job: Job, attempts: Collection[Attempt], give_backs_max: int = 16) -> Iterator[str]:
    """Every law that this job and its attempts break, in words."""
    yield from _attempt_laws(job, attempts, give_backs_max)
    yield from _state_laws(job)
    yield from _ladder_laws(job)


def _ladder_laws(job: Job) -> Iterator[str]:
    if not 0 <= job.step <= len(job.spec.ladder) or (job.step > 0) != (job.asked is not None):
        yield f"{job.id}: step {job.step} of {len(job.spec.ladder)}, asked for {job.asked}"
    runs, stands = job.fall_at_us is not None, job.fall_left_us is not None
    if (runs and not job.claimable) or (stands and (job.claimable or job.state.terminal)):
        yield f"{job.id}: its ladder runs ({runs}) or stands still ({stands}) in {job.state}"
    if (runs or stands) and (job.live_attempt is not None or job.step == len(job.spec.ladder)):
        yield f"{job.id}: its ladder goes on from step {job.step}, with attempt {job.live_attempt}"


def _attempt_laws(job: Job, attempts: Collection[Attempt], give_backs_max: int) -> Iterator[str]:
    open_numbers = [attempt.number for attempt in attempts if attempt.ended_us is None]
    numbers = sorted(attempt.number for attempt in attempts)
    if len(open_numbers) > 1:
        yield f"{job.id}: more than one open attempt {open_numbers}"
    if open_numbers and job.state is not JobState.ASSIGNED:
        yield f"{job.id}: open attempt {open_numbers} in state {job.state}"
    if job.state is JobState.ASSIGNED and open_numbers != [job.live_attempt]:
        yield f"{job.id}: assigned, but open attempts are {open_numbers}, live is {job.live_attempt}"
    if numbers != list(range(1, job.last_attempt + 1)):
        yield f"{job.id}: attempt numbers {numbers}, last {job.last_attempt}"
    grants = sum(attempt.generation == job.generation for attempt in attempts)
    if grants != job.attempts_used + job.give_backs or job.give_backs > give_backs_max:
        yield f"{job.id}: {grants} grants, {job.attempts_used} used, {job.give_backs} given back"


def _state_laws(job: Job) -> Iterator[str]:
    if job.attempts_used > job.spec.retry.max_attempts:
        yield f"{job.id}: {job.attempts_used} attempts of {job.spec.retry.max_attempts}"
    if job.state.terminal and (job.live_attempt is not None or job.engine_id is not None):
        yield f"{job.id}: terminal but still live"
    if (job.state is JobState.ASSIGNED) != (job.engine_id is not None):
        yield f"{job.id}: state {job.state} with engine {job.engine_id}"
    if (
        job.state in (JobState.DELAYED, JobState.FAILED_RETRY)
        and job.due_us is None
        and job.deleted_us is None
    ):
        yield f"{job.id}: waits for time in {job.state} without a timer"
    if job.cancel_asked and job.grace_at_us is None:
        yield f"{job.id}: asked to stop without a grace"
    if job.claimable != (job.ready is not None):
        yield f"{job.id}: lane {job.ready and job.ready.lane} while claimable is {job.claimable}"
    if job.state.terminal != (job.ended_us is not None):
        yield f"{job.id}: state {job.state} ended at {job.ended_us}"


def broken_history(job: Job, attempts: Collection[Attempt], facts: Sequence[Fact]) -> Iterator[str]:
    """Versions without gaps, times that never go back, and a fold that gives the job and its attempts."""
    yield from broken_order(job.id, job.version, facts)
    folded: Job | None = None
    tried: dict[int, Attempt] = {}
    try:
        for fact in facts:
            folded = _folded(folded, fact, tried)
    except (AssertionError, TypeError, AttributeError, KeyError, ValueError) as error:
        yield f"{job.id}: its history cannot be replayed ({error})"
        return
    if folded is None or attrs.evolve(folded, ready=job.ready) != job:
        yield f"{job.id}: its history folds to {folded}, the record is {job}"
    expected = [_without_pulses(tried[number]) for number in sorted(tried)]
    found = [_without_pulses(each) for each in sorted(attempts, key=lambda each: each.number)]
    if expected != found:
        yield f"{job.id}: its history folds to the attempts {expected}, the records are {found}"
    for each in attempts:  # a sign of life adds to the count of writes, nothing takes from it
        if each.number in tried and each.version < tried[each.number].version:
            yield f"{each.key}: {each.version} writes, its history alone tells of {tried[each.number].version}"


def broken_order(key: str, version: int, facts: Sequence[Fact]) -> Iterator[str]:
    """Versions without gaps up to that of the record, and times that never go back."""
    if [fact.version for fact in facts] != list(range(1, version + 1)):
        yield f"{key}: versions {[fact.version for fact in facts]}, record at {version}"
    times = [fact.at_us for fact in facts]
    if times != sorted(times):
        yield f"{key}: times go back"


def broken_story(key: str, version: int | None, facts: Sequence[Fact]) -> Iterator[str]:
    """The lives of a record that may end and begin anew under its id; ``version`` is the present one's, if there is one.

    Each begins at version one. All but the present one have ended, and say so.
    """
    lives: list[list[Fact]] = []
    for fact in facts:
        if fact.version == 1 or not lives:
            lives.append([])
        lives[-1].append(fact)
    present = lives.pop() if lives and version is not None else []
    for life in lives:
        yield from broken_order(key, len(life), life)
        if not isinstance(life[-1].event, _ENDS):
            yield f"{key}: history of a record that is not stored, and whose end is not told"
    if version is not None:
        yield from broken_order(key, version, present)


def _folded(job: Job | None, fact: Fact, tried: dict[int, Attempt]) -> Job:
    event = fact.event
    assert isinstance(event, JobEvent), "not an event of a job"
    after = evolve(job, event, fact.at_us)
    number = getattr(event, "attempt", None)
    if job is not None and number is not None:
        attempt = evolve_attempt(job, tried.get(number), event, after.updated_us)
        tried.update({} if attempt is None else {number: attempt})
    return after


def _without_pulses(attempt: Attempt) -> Mapping[str, object]:
    fields = attrs.asdict(attempt, recurse=False)
    return {name: value for name, value in fields.items() if name not in PULSED}


def broken_purge(key: str, attempts: Collection[Attempt], facts: Sequence[Fact]) -> Iterator[str]:
    """What is left of a job that is not stored: one row that says it was purged, and nothing else."""
    if len(facts) != 1 or not isinstance(facts[0].event, JobPurged):
        yield f"{key}: {len(facts)} rows of history and no record"
    if attempts:
        yield f"{key}: attempts {sorted(each.number for each in attempts)} and no record"


def broken_engine(engine: Engine, facts: Sequence[Fact]) -> Iterator[str]:
    """The same of an engine: its history gives its record."""
    yield from broken_order(engine.id, engine.version, facts)
    folded: Engine | None = None
    try:
        for fact in facts:
            assert isinstance(fact.event, EngineEvent), "not an event of an engine"
            folded = evolve_engine(folded, fact.event, fact.at_us)
    except (AssertionError, TypeError, AttributeError, KeyError, ValueError) as error:
        yield f"{engine.id}: its history cannot be replayed ({error})"
        return
    if folded != engine:
        yield f"{engine.id}: its history folds to {folded}, the record is {engine}"


def broken_counts(counted: Counts, rows: Counts) -> Iterator[str]:
    """Accepted = every state + purged, by the counters and by the rows. Zeros do not matter."""
    counted = {name: count for name, count in counted.items() if count}
    rows = {name: count for name, count in rows.items() if count}
    if counted != rows:
        yield f"counters say {counted}, the rows say {rows}"
