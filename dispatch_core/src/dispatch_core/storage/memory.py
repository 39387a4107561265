"""The store in memory: dictionaries and sorted lists. Fast, shared by threads, gone with the process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from dispatch_core.ports.storage import (
    Cell,
    ChangeSet,
    Cursor,
    OrderedId,
    OrderKey,
    Page,
    Query,
    Recorded,
    StorageTraits,
    Tally,
    Transaction,
)
from dispatch_core.storage.life import Listeners, Wake, new_incarnation
from dispatch_core.storage.tables import Lock, Tables
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.clock import Clock, SystemClock
from dispatch_core.vocabulary.errors import InvariantError, StorageUnavailableError
from dispatch_core.vocabulary.jobs import Bucket, Job, JobState
from dispatch_core.vocabulary.records import Record, RecordType, Ref

_SYSTEM_CLOCK = SystemClock()


class MemoryStorage:
    """A store shared by all who hold this object; any number of transactions may be open at a time.

    Transactions are optimistic: each call sees what is committed at that moment, ``save`` checks versions
    and stages, and the end of the block checks again and applies, so that an exception leaves no trace.
    Nothing is locked in between, and a transaction does not see its own save. Not ``shared`` is a promise
    that only one dispatcher will ever use it, which then need not read again what it knows.
    """

    def __init__(
        self,
        clock: Clock = _SYSTEM_CLOCK,
        *,
        incarnation: str | None = None,
        server_id: str = "local",
        shared: bool = True,
    ) -> None:
        self.server_id = server_id
        self._clock = clock
        self._incarnation = incarnation or new_incarnation()
        self._tables = Tables()
        self._listeners = Listeners()
        self._closed = False
        self._shared = shared

    @property
    def traits(self) -> StorageTraits:
        return StorageTraits(name="memory", shared=self._shared, durable=False)

    @property
    def incarnation(self) -> str:
        return self._incarnation

    def monotonic_us(self) -> int:
        return self._clock.monotonic_us()

    def begin(self) -> AbstractContextManager[Transaction]:
        return self._transaction(writable=True)

    def read(self) -> AbstractContextManager[Transaction]:
        """A look that may not save. Each call is atomic; two calls may see a commit between them."""
        return self._transaction(writable=False)

    def listen(self, wake: Wake) -> Callable[[], None]:
        return self._listeners.add(wake)

    def reopen(self) -> None:
        """Nothing to do: memory has no handle that could break."""

    def close(self) -> None:
        """Refuse further transactions."""
        self._closed = True

    @contextmanager
    def _transaction(self, *, writable: bool) -> Iterator[Transaction]:
        if self._closed:
            raise StorageUnavailableError("the store in memory is closed")
        transaction = _MemoryTransaction(self._tables, self._clock, writable=writable)
        try:
            yield transaction
        finally:
            transaction.writable = False
        if transaction.staged is not None:
            self._tables.commit(transaction.staged, transaction.locked)
            self._listeners.call(transaction.staged.wake)


class _MemoryTransaction:
    """One look at the tables; what it saves is staged until the block ends."""

    def __init__(self, tables: Tables, clock: Clock, *, writable: bool) -> None:
        self._tables = tables
        self._clock = clock
        self.writable = writable
        self.staged: ChangeSet | None = None
        self.locked: dict[Ref, Lock] = {}

    def now(self) -> int:
        return self._clock.now_us()

    def load(self, refs: Collection[Ref], *, lock: bool = False) -> Mapping[Ref, Record]:
        if lock:
            self.locked.update(
                {ref: count for ref, count in self._tables.lock(refs).items() if ref not in self.locked}
            )
        return self._tables.load(refs)

    def open_attempts(self, engine_ids: Collection[str]) -> Mapping[str, Sequence[Attempt]]:
        return self._tables.open_attempts(engine_ids)

    def buckets(self) -> Collection[Bucket]:
        return self._tables.buckets()

    def heads(
        self, buckets: Collection[Bucket], limit: int, after: Mapping[Bucket, OrderKey] | None = None
    ) -> Mapping[Bucket, Sequence[Job]]:
        return self._tables.heads(buckets, limit, after or {})

    def take(self, job_ids: Collection[str]) -> Mapping[str, Job]:
        found = self._tables.load([(RecordType.JOB, job_id) for job_id in job_ids])
        return {job.id: job for job in found.values() if isinstance(job, Job)}

    def due(
        self, record_type: RecordType, before_us: int, limit: int, *, after_us: int | None = None
    ) -> Sequence[Ref]:
        return self._tables.due(record_type, before_us, limit, after_us)

    def settled(
        self, state: JobState, before_us: int, limit: int, *, deleted: bool, after: OrderedId | None = None
    ) -> Sequence[OrderedId]:
        return self._tables.settled(state, before_us, limit, deleted=deleted, after=after)

    def find(self, record_type: RecordType, query: Query) -> Page:
        return self._tables.find(record_type, query)

    def history(
        self, *, after: Cursor | None = None, of: Ref | None = None, limit: int = 100
    ) -> Sequence[Recorded]:
        return self._tables.history(after, of, limit)

    def tally(self, what: Tally, of: tuple[str, str] | None = None) -> Iterable[Cell]:
        return self._tables.tally(what, of)

    def save(self, changes: ChangeSet) -> None:
        if not self.writable or self.staged is not None:
            raise InvariantError("save is allowed once, inside a block of begin()")
        self._tables.check(changes)
        self.staged = changes
