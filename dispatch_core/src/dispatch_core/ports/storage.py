"""The storage protocol. It speaks facts, never verbs: no adapter knows what a retry or a lease is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Annotated, Protocol

from attrs import field, frozen

from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.bounds import Bound
from dispatch_core.vocabulary.engines import Engine, EnginePulse
from dispatch_core.vocabulary.jobs import Bucket, Job, JobState, OrderKey, rank_of
from dispatch_core.vocabulary.records import Receipt, Record, RecordType, Ref

Cursor = tuple[int, int]
"""(tx, n): a place in the history."""

OrderedId = tuple[int, str]
"""(instant, id): a place in an order by time."""

Scalar = str | int | None


QUERY_FIELDS: Mapping[RecordType, Mapping[str, Callable[..., Scalar]]] = {
    RecordType.JOB: {
        "tenant": lambda job: job.tenant,
        "state": lambda job: job.state.value,
        "kind": lambda job: job.spec.kind,
        "engine_id": lambda job: job.engine_id,
        "account": lambda job: job.spec.account,
        "campaign": lambda job: job.spec.campaign,
        "deleted": lambda job: "no" if job.deleted_us is None else "yes",
        "created_us": lambda job: job.created_us,
        "updated_us": lambda job: job.updated_us,
        "priority": lambda job: job.spec.priority,
    },
    RecordType.ATTEMPT: {
        "tenant": lambda attempt: attempt.tenant,
        "job_id": lambda attempt: attempt.job_id,
        "engine_id": lambda attempt: attempt.engine_id,
        "number": lambda attempt: attempt.number,
        "granted_us": lambda attempt: attempt.granted_us,
    },
    RecordType.ENGINE: {
        "tenant": lambda engine: engine.tenant,
        "seen": lambda engine: engine.seen.value,
        "wanted": lambda engine: engine.wanted.state.value,
        "registered_us": lambda engine: engine.registered_us,
    },
    RecordType.PULSE: {"tenant": lambda pulse: pulse.tenant},
    RecordType.RECEIPT: {"tenant": lambda receipt: receipt.tenant},
    RecordType.KEY: {
        "tenant": lambda key: key.tenant,
        "name": lambda key: key.name,
        "revoked": lambda key: "no" if key.revoked_us is None else "yes",
        "created_us": lambda key: key.created_us,
    },
    RecordType.POOL: {"tenant": lambda pool: pool.tenant, "id": lambda pool: pool.id},
    RecordType.WINDOW: {
        "tenant": lambda window: window.tenant,
        "from_us": lambda window: window.from_us,
    },
    RecordType.LIMIT: {"tenant": lambda limit: limit.tenant, "name": lambda limit: limit.name},
    RecordType.LEDGER: {"tenant": lambda ledger: ledger.tenant, "limit": lambda ledger: ledger.limit},
    RecordType.DENIALS: {"tenant": lambda trail: trail.tenant, "day": lambda trail: trail.day},
}
"""The fields a query may filter and sort by: memory calls these, SQL keeps their values in columns."""


@frozen(kw_only=True)
class Query:
    """A page of records: every ``where`` field has one of the values, ``since`` ≤ field < ``until``.

    With a ``prefix``, only records whose key begins with it; those are found by the key alone, so it must be rare.
    Sorted by ``sort`` (then by key) and starting behind ``after``, the (sort value, key) of the last seen.
    """

    where: Mapping[str, tuple[str, ...]] = field(factory=dict)
    since: Mapping[str, int] = field(factory=dict)
    until: Mapping[str, int] = field(factory=dict)
    prefix: str = ""
    sort: str
    descending: bool = False
    after: tuple[str | int, str] | None = None
    limit: Annotated[int, Bound(1, 10_000)] = 100


@frozen
class Page:
    """What a query found; ``next`` is the ``after`` of the following page, None at the end."""

    records: Sequence[Record]
    next: tuple[str | int, str] | None


@frozen(kw_only=True)
class Recorded:
    """One history row. The store gives ``tx`` (commit number) and ``n`` (place in the commit)."""

    ref: Ref
    tenant: str
    version: int
    at_us: int
    actor: str
    event: str
    data: Mapping[str, object]
    request_id: str | None = None
    tx: int = 0
    n: int = 0


@frozen
class Change:
    """One record written if, and only if, it is still as it was read (same version; None: not there)."""

    ref: Ref
    before: Record | None
    after: Record | None


@frozen(kw_only=True)
class ChangeSet:
    """All writes of a batch. ``changes`` holds records and pulses alike: only a record's has history.

    ``counters`` are increments of (tenant, name); ``wake`` names the buckets that gained work. Of the
    ``forgotten`` all earlier history goes; what this batch says of them stays.
    """

    changes: Sequence[Change] = ()
    history: Sequence[Recorded] = ()
    counters: Mapping[tuple[str, str], int] = field(factory=dict)
    wake: frozenset[Bucket] = frozenset()
    forgotten: Sequence[Ref] = ()


class Tally(StrEnum):
    """What to count."""

    STATES = "states"
    """Jobs by (tenant, state), counted from the rows themselves; soft-deleted included."""
    COUNTERS = "counters"
    """The counters by (tenant, name), added up over servers."""
    BACKLOG = "backlog"
    """Ready jobs by (lane, class_id): how many, and Σ est_us as total."""
    URGENCY = "urgency"
    """Ready jobs by (lane, weight in sixteenths, half octave of est_us, see ``levels``): how many, and Σ est_us."""
    CAMPAIGN = "campaign"
    """Jobs of one campaign by (state), without the soft-deleted: how many, and Σ est_us of the ready ones."""


@frozen
class Cell:
    """One row of a tally."""

    keys: tuple[str, ...]
    count: int
    total: int = 0


class Transaction(Protocol):
    """One atomic look (and, after ``save``, one atomic write). Ends with the ``with`` block."""

    def now(self) -> int:
        """Microseconds since the epoch by the store's clock."""
        ...

    def load(self, refs: Collection[Ref], *, lock: bool = False) -> Mapping[Ref, Record]:
        """The records named, those that exist."""
        ...

    def open_attempts(self, engine_ids: Collection[str]) -> Mapping[str, Sequence[Attempt]]:
        """The attempts of these engines that have not ended."""
        ...

    def buckets(self) -> Collection[Bucket]:
        """Every (lane, class) that has ready jobs."""
        ...

    def heads(
        self, buckets: Collection[Bucket], limit: int, after: Mapping[Bucket, OrderKey] | None = None
    ) -> Mapping[Bucket, Sequence[Job]]:
        """The first jobs of each bucket in rank order, behind ``after`` where given. A plain read."""
        ...

    def take(self, job_ids: Collection[str]) -> Mapping[str, Job]:
        """Re-read and, where servers share a store, lock these jobs; locked ones are left out."""
        ...

    def due(
        self, record_type: RecordType, before_us: int, limit: int, *, after_us: int | None = None
    ) -> Sequence[Ref]:
        """Records whose ``due_us`` is at or before ``before_us`` (and above ``after_us``), earliest first."""
        ...

    def settled(
        self, state: JobState, before_us: int, limit: int, *, deleted: bool, after: OrderedId | None = None
    ) -> Sequence[OrderedId]:
        """Jobs of a terminal state, soft-deleted or not, unchanged since ``before_us``; longest first.

        Each is (last change, id); they come from behind ``after`` if it is given.
        """
        ...

    def find(self, record_type: RecordType, query: Query) -> Page:
        """One page of records."""
        ...

    def history(
        self, *, after: Cursor | None = None, of: Ref | None = None, limit: int = 100
    ) -> Sequence[Recorded]:
        """History rows in (tx, n) order."""
        ...

    def tally(self, what: Tally, of: tuple[str, str] | None = None) -> Iterable[Cell]:
        """Counts and sums. ``of`` is the (tenant, campaign) of ``Tally.CAMPAIGN``; without it that has none."""
        ...

    def save(self, changes: ChangeSet) -> None:
        """Write all or nothing, once per transaction; durable when the ``with`` block has ended.

        Raises ConflictError (naming the losers) if a record changed since it was read.
        """
        ...


@frozen(kw_only=True)
class StorageTraits:
    """What a store is: whether several servers may share it, and whether it outlives the process.

    ``schema`` names the form of its tables, if it has any that could differ.
    """

    name: str
    shared: bool
    durable: bool
    schema: str | None = None


EVERYWHERE: Bucket = ("", "")
"""Told to those who listen where it is not known which buckets gained work."""


class Storage(Protocol):
    """A store. ``incarnation`` is one life of it between restores; it is part of every token."""

    @property
    def traits(self) -> StorageTraits:
        """What this store is."""
        ...

    @property
    def incarnation(self) -> str:
        """The name of the store's present life."""
        ...

    def monotonic_us(self) -> int:
        """A companion of ``now`` that is never set: its differences are true spans, so jumps show."""
        ...

    def begin(self) -> AbstractContextManager[Transaction]:
        """A transaction that may save. It commits when the block ends, rolls back on any exception."""
        ...

    def read(self) -> AbstractContextManager[Transaction]:
        """A snapshot; ``save`` is refused."""
        ...

    def listen(self, wake: Callable[[frozenset[Bucket]], None]) -> Callable[[], None]:
        """Call ``wake`` when another server committed work, with the buckets that gained it or with ``EVERYWHERE``.

        It is a hint: it may come late or not at all, and is called in any thread. Returns how to stop.
        """
        ...

    def reopen(self) -> None:
        """Drop the handle after a failed commit and open the store anew."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


__all__ = [
    "EVERYWHERE",
    "QUERY_FIELDS",
    "Attempt",
    "Bucket",
    "Cell",
    "Change",
    "ChangeSet",
    "Cursor",
    "Engine",
    "EnginePulse",
    "Job",
    "OrderKey",
    "OrderedId",
    "Page",
    "Query",
    "Receipt",
    "Record",
    "RecordType",
    "Recorded",
    "Ref",
    "Storage",
    "StorageTraits",
    "Tally",
    "Transaction",
    "rank_of",
]
