"""What is free in storage pools, counted from the jobs that run: a count cannot drift as a counter could."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from dispatch_core.ports.storage import Query, Transaction
from dispatch_core.shell.house import House
from dispatch_core.vocabulary.bounds import INT_MAX
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import UnknownPoolError
from dispatch_core.vocabulary.jobs import Job, JobState
from dispatch_core.vocabulary.pools import POOLS_MAX, Pool, PoolRoom
from dispatch_core.vocabulary.records import RecordType

OPEN_MAX = 1_000_000
"""More attempts than a fleet has slots."""


R = TypeVar("R")


class LazyRooms(Mapping[str, R]):
    """Rooms by name, counted when first asked for: most claims meet no job that names a pool or a limit."""

    def __init__(self, count: Callable[[], Mapping[str, R]]) -> None:
        self._count = count
        self._rooms: Mapping[str, R] | None = None

    def _all(self) -> Mapping[str, R]:
        if self._rooms is None:
            self._rooms = self._count()
        return self._rooms

    def __getitem__(self, name: str) -> R:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class Running:
    """The jobs that run, read once per tenant; ``changed`` are the jobs a batch has decided on since.

    Whoever rests on a count of them has locked what it is held against before the first.
    """

    def __init__(self, transaction: Transaction, changed: Mapping[str, Job | None]) -> None:
        self._transaction = transaction
        self._changed = changed
        self._running: dict[str, dict[str, Job]] = {}

    def of(self, tenant: str) -> Iterator[Job]:
        """A tenant's running jobs."""
        if tenant not in self._running:
            self._running[tenant] = self._read(tenant)
        # None: another server was faster to take it, which is no reason not to count it where it runs.
        yield from (job for job in self._running[tenant].values() if self._changed.get(job.id) is None)
        yield from (job for job in self._changed.values() if job and _runs(job, tenant))

    def forget(self, tenant: str) -> None:
        """Read them again: more is locked now."""
        self._running.pop(tenant, None)

    def _read(self, tenant: str) -> dict[str, Job]:
        opened = self._transaction.due(RecordType.ATTEMPT, INT_MAX, OPEN_MAX)
        jobs = {(RecordType.JOB, key.rpartition("/")[0]) for _, key in opened}
        found = self._transaction.load(sorted(jobs))
        return {job.id: job for job in found.values() if isinstance(job, Job) and _runs(job, tenant)}


def _runs(job: Job, tenant: str) -> bool:
    return job.state is JobState.ASSIGNED and job.tenant == tenant


def pool_rooms(pools: Iterable[Pool], running: Iterable[Job]) -> dict[str, PoolRoom]:
    """What is free in pools besides what running jobs reserve."""
    reserved: Counter[str] = Counter()
    for job in running:
        if job.spec.pool is not None:
            reserved[job.spec.pool] += job.spec.size.size_bytes or 0
    return {pool.id: PoolRoom(pool, reserved[pool.id]) for pool in pools}


def pools_of(transaction: Transaction, tenant: str) -> list[Pool]:
    """A tenant's pools by id."""
    query = Query(where={"tenant": (tenant,)}, sort="id", limit=POOLS_MAX)
    found = transaction.find(RecordType.POOL, query).records
    return [pool for pool in found if isinstance(pool, Pool)]


def rooms_of(transaction: Transaction, tenant: str) -> dict[str, PoolRoom]:
    """What is free in a tenant's pools, as a snapshot shows it."""
    pools = pools_of(transaction, tenant)
    return pool_rooms(pools, Running(transaction, {}).of(tenant))


# ----- questions


def pool(snapshot: Transaction, house: House, context: Context, pool_id: str) -> PoolRoom:
    """One pool and what its running jobs reserve. Raises UnknownPoolError."""
    found = rooms_of(snapshot, context.tenant).get(pool_id)
    if found is None:
        raise UnknownPoolError(f"there is no pool {pool_id}")
    return found


def pools(snapshot: Transaction, house: House, context: Context) -> list[PoolRoom]:
    """The tenant's pools by id."""
    return list(rooms_of(snapshot, context.tenant).values())
