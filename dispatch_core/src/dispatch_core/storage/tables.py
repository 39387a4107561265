"""What a store in memory holds: records, their orders, history, counters. Every method is atomic."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import nlargest, nsmallest

from attrs import evolve
from sortedcontainers import SortedDict

from dispatch_core.ports.storage import (
    QUERY_FIELDS,
    Cell,
    Change,
    ChangeSet,
    Cursor,
    OrderedId,
    OrderKey,
    Page,
    Query,
    Recorded,
    Scalar,
    Tally,
)
from dispatch_core.storage.indexes import Indexes
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.errors import ConflictError
from dispatch_core.vocabulary.jobs import Bucket, Job, JobState
from dispatch_core.vocabulary.records import Record, RecordType, Ref

Rows = SortedDict[Cursor, Recorded]
Lock = tuple[int, int | None]
"""How often a record was locked by a commit, and its version."""


class Tables:
    """The committed state. Records are frozen values, so they are handed out as they are."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._records: dict[RecordType, dict[str, Record]] = {kind: {} for kind in RecordType}
        self._indexes = Indexes()
        self._history: Rows = SortedDict()
        self._history_of: dict[Ref, Rows] = {}
        self._counters: Counter[tuple[str, str]] = Counter()
        self._tx = 0
        self._locks: Counter[Ref] = Counter()

    def lock(self, refs: Collection[Ref]) -> dict[Ref, Lock]:
        """What a lock rests upon: of two who lock one, or lock it and write it, the second to commit loses."""
        with self._mutex:
            return {ref: self._lock(ref) for ref in refs}

    def _lock(self, ref: Ref) -> Lock:
        record = self._records[ref[0]].get(ref[1])
        return (self._locks[ref], None if record is None else record.version)

    def commit(self, changes: ChangeSet, locked: Mapping[Ref, Lock]) -> None:
        """Write all of it. Raises ConflictError, having written nothing, if ``check`` or a lock says so."""
        with self._mutex:
            self.check(changes)
            if losers := [ref for ref, seen in locked.items() if self._lock(ref) != seen]:
                raise ConflictError(losers)
            self._locks.update(locked.keys())
            for change in changes.changes:
                self._apply(change)
            self._tx += 1
            for ref in changes.forgotten:
                self._forget(ref)
            for n, row in enumerate(changes.history):
                self._record(evolve(row, tx=self._tx, n=n))
            for name, increment in changes.counters.items():
                self._counters[name] += increment

    def check(self, changes: ChangeSet) -> None:
        """Raises ConflictError naming the records that are not as they were read."""
        with self._mutex:
            losers = [change.ref for change in changes.changes if not self._unchanged(change)]
        if losers:
            raise ConflictError(losers)

    def _unchanged(self, change: Change) -> bool:
        record_type, key = change.ref
        current, before = self._records[record_type].get(key), change.before
        if current is None or before is None:
            return current is before
        return current.version == before.version

    def _apply(self, change: Change) -> None:
        record_type, key = change.ref
        current = self._records[record_type].pop(key, None)
        if current is not None:
            self._indexes.remove(record_type, current)
        if change.after is not None:
            self._records[record_type][key] = change.after
            self._indexes.add(record_type, change.after)

    def _record(self, row: Recorded) -> None:
        place = (row.tx, row.n)
        self._history[place] = row
        self._history_of.setdefault(row.ref, SortedDict())[place] = row

    def _forget(self, ref: Ref) -> None:
        for place in self._history_of.pop(ref, ()):
            del self._history[place]

    def load(self, refs: Collection[Ref]) -> Mapping[Ref, Record]:
        """The records named, those that exist."""
        records = self._records
        with self._mutex:
            return {ref: found for ref in refs if (found := records[ref[0]].get(ref[1])) is not None}

    def open_attempts(self, engine_ids: Collection[str]) -> Mapping[str, Sequence[Attempt]]:
        """The attempts of these engines that have not ended."""
        with self._mutex:
            return {each: self._indexes.open_attempts(each) for each in engine_ids}

    def buckets(self) -> Collection[Bucket]:
        """Every (lane, class) that has ready jobs."""
        with self._mutex:
            return list(self._indexes.ready)

    def heads(
        self, buckets: Collection[Bucket], limit: int, after: Mapping[Bucket, OrderKey]
    ) -> Mapping[Bucket, Sequence[Job]]:
        """The first jobs of each bucket that has any."""
        with self._mutex:
            found = {each: self._indexes.head(each, limit, after.get(each)) for each in buckets}
        return {bucket: jobs for bucket, jobs in found.items() if jobs}

    def due(self, record_type: RecordType, before_us: int, limit: int, after_us: int | None) -> Sequence[Ref]:
        """Records due in (after_us, before_us], earliest first."""
        with self._mutex:
            keys = self._indexes.due_keys(record_type, before_us, limit, after_us)
        return [(record_type, key) for key in keys]

    def settled(
        self, state: JobState, before_us: int, limit: int, *, deleted: bool, after: OrderedId | None
    ) -> Sequence[OrderedId]:
        """Jobs that ended like this and have not changed since ``before_us``, longest first."""
        with self._mutex:
            return self._indexes.settled(state, before_us, limit, deleted=deleted, after=after)

    def find(self, record_type: RecordType, query: Query) -> Page:
        """One page; looks at every record of the type."""
        with self._mutex:
            return _page(record_type, self._records[record_type].values(), query)

    def history(self, after: Cursor | None, of: Ref | None, limit: int) -> Sequence[Recorded]:
        """History rows in (tx, n) order."""
        with self._mutex:
            rows: Rows = self._history if of is None else self._history_of.get(of, SortedDict())
            start = 0 if after is None else rows.bisect_right(after)
            return list(rows.values()[start : start + limit])

    def tally(self, what: Tally, of: tuple[str, str] | None) -> Iterable[Cell]:
        """Counts and sums."""
        with self._mutex:
            match what:
                case Tally.STATES:
                    return _cells(Counter(_states(self._records[RecordType.JOB].values())))
                case Tally.COUNTERS:
                    return _cells(self._counters)
                case Tally.BACKLOG:
                    return self._indexes.backlog()
                case Tally.URGENCY:
                    return self._indexes.urgency()
                case Tally.CAMPAIGN:
                    return self._indexes.progress(of) if of else []


def _cells(counts: Mapping[tuple[str, str], int]) -> list[Cell]:
    return [Cell(keys, count) for keys, count in counts.items()]


def _states(records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    return ((job.tenant, job.state.value) for job in records if isinstance(job, Job))


def _page(record_type: RecordType, records: Iterable[Record], query: Query) -> Page:
    fields = QUERY_FIELDS[record_type]
    sort_by = fields[query.sort]

    def place(record: Record) -> tuple[str | int, str]:
        value = sort_by(record)
        return ("" if value is None else value, record.key)

    placed = ((place(record), record) for record in _matching(records, query, fields))
    if query.after is not None:
        behind = query.after
        placed = (each for each in placed if (each[0] < behind if query.descending else each[0] > behind))
    pick = nlargest if query.descending else nsmallest
    found = pick(query.limit + 1, placed, key=lambda each: each[0])
    following = found[query.limit - 1][0] if len(found) > query.limit else None
    return Page([record for _, record in found[: query.limit]], following)


def _matching(
    records: Iterable[Record], query: Query, fields: Mapping[str, Callable[..., Scalar]]
) -> Iterator[Record]:
    wanted = [(fields[name], frozenset(values)) for name, values in query.where.items()]
    since = [(fields[name], bound) for name, bound in query.since.items()]
    until = [(fields[name], bound) for name, bound in query.until.items()]
    for record in records:
        if (
            record.key.startswith(query.prefix)
            and all(value(record) in values for value, values in wanted)
            and all(_number(value(record), bound - 1) >= bound for value, bound in since)
            and all(_number(value(record), bound) < bound for value, bound in until)
        ):
            yield record


def _number(value: Scalar, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
