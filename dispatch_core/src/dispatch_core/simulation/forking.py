"""A fork of a live store: what is open now, read once and never written back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
from attrs import frozen

from dispatch_core.ports.storage import Change, ChangeSet, Query, Storage, Transaction
from dispatch_core.shell.fleetview import all_engines
from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.clock import Clock
from dispatch_core.vocabulary.engines import Engine, EnginePulse
from dispatch_core.vocabulary.jobs import Job, JobState
from dispatch_core.vocabulary.records import Record, RecordType, ref_of

_PAGE = 1_000
RUNS_MAX = 200
"""Ended runs of an engine that a fork takes along."""
_OPEN = tuple(state.value for state in JobState if not state.terminal)


@frozen(kw_only=True)
class Fork:
    """The open jobs of a store, its engines, and what they run, as of ``now_us``.

    ``now_us`` is the last instant the store tells of, so that a backup of yesterday is looked at as of then.
    ``others`` are pools, windows, pulses, and the last runs of each engine with their jobs, from which estimates
    are learned.
    """

    now_us: int
    incarnation: str
    jobs: tuple[Job, ...]
    attempts: tuple[Attempt, ...]
    engines: tuple[Engine, ...]
    others: tuple[Record, ...]

    def open_in_memory(self, clock: Clock) -> MemoryStorage:
        """A store in memory that holds all this."""
        store = MemoryStorage(clock, shared=False, incarnation=self.incarnation)
        records: tuple[Record, ...] = (*self.jobs, *self.attempts, *self.engines, *self.others)
        with store.begin() as transaction:
            transaction.save(ChangeSet(changes=[Change(ref_of(each), None, each) for each in records]))
        return store


def fork(storage: Storage) -> Fork:
    """Read what is open in a store. Raises StorageError."""
    with storage.read() as snapshot:
        engines = all_engines(snapshot)
        jobs = [job for job in _pages(snapshot, RecordType.JOB, _open_jobs()) if isinstance(job, Job)]
        jobs.sort(key=lambda job: (job.created_us, job.id))
        pulses = snapshot.load([(RecordType.PULSE, engine.id) for engine in engines])
        held = snapshot.open_attempts([engine.id for engine in engines])
        attempts = tuple(each for engine in engines for each in held[engine.id])
        others = [*_pages(snapshot, RecordType.POOL, Query(sort="id", limit=_PAGE)),
                  *_pages(snapshot, RecordType.WINDOW, Query(sort="from_us", limit=_PAGE))]  # fmt: skip
        return Fork(
            now_us=max([0, *_instants(jobs, engines, pulses.values()), *_last_change(snapshot)]),
            incarnation=storage.incarnation,
            jobs=tuple(jobs),
            attempts=attempts,
            engines=tuple(engines),
            others=(*(pulses[ref] for ref in sorted(pulses)), *others, *_ended_runs(snapshot, engines, jobs)),
        )


def _open_jobs() -> Query:
    return Query(where={"state": _OPEN}, sort="created_us", limit=_PAGE)


def _pages(snapshot: Transaction, record_type: RecordType, query: Query | None) -> Iterator[Record]:
    while query is not None:
        page = snapshot.find(record_type, query)
        yield from page.records
        query = attrs.evolve(query, after=page.next) if page.next else None


def _ended_runs(snapshot: Transaction, engines: Iterable[Engine], jobs: Iterable[Job]) -> list[Record]:
    """The last runs of each engine that have ended, and their jobs, but for those that are open."""
    attempts: list[Attempt] = []
    for engine in engines:
        where = {"engine_id": (engine.id,)}
        query = Query(where=where, sort="granted_us", descending=True, limit=RUNS_MAX)
        found = snapshot.find(RecordType.ATTEMPT, query).records
        attempts += [each for each in found if isinstance(each, Attempt) and each.ended_us is not None]
    known = {job.id for job in jobs}
    refs = dict.fromkeys((RecordType.JOB, each.job_id) for each in attempts if each.job_id not in known)
    return [*attempts, *snapshot.load(list(refs)).values()]


def _last_change(snapshot: Transaction) -> Iterator[int]:
    """When a job last changed, ended ones included."""
    page = snapshot.find(RecordType.JOB, Query(sort="updated_us", descending=True, limit=1))
    return (job.updated_us for job in page.records if isinstance(job, Job))


def _instants(jobs: Iterable[Job], engines: Iterable[Engine], pulses: Iterable[Record]) -> Iterator[int]:
    yield from (job.updated_us for job in jobs)
    yield from (engine.updated_us for engine in engines)
    yield from (pulse.seen_us for pulse in pulses if isinstance(pulse, EnginePulse))
