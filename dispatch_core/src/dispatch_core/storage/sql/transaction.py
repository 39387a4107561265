"""One transaction on an SQL store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from dispatch_core.ports.storage import (
    Cell,
    ChangeSet,
    Cursor,
    OrderedId,
    OrderKey,
    Page,
    Query,
    Recorded,
    Tally,
    rank_of,
)
from dispatch_core.shell.wire import dumps, loads
from dispatch_core.storage.sql import heads as ready_order
from dispatch_core.storage.sql import statements
from dispatch_core.storage.sql.cache import RecordCache
from dispatch_core.storage.sql.forms import Form, Row
from dispatch_core.storage.sql.query import Pages
from dispatch_core.storage.sql.session import Session, Write
from dispatch_core.storage.sql.statements import Statement
from dispatch_core.storage.sql.writing import (
    Texts,
    Written,
    forget_history,
    keys_json,
    losers,
    write_changes,
    write_counters,
    write_history,
)
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.bounds import INT_MAX, text_problem
from dispatch_core.vocabulary.errors import ConflictError, InvariantError
from dispatch_core.vocabulary.jobs import Bucket, Job, JobState
from dispatch_core.vocabulary.records import Record, RecordType, Ref


class Reads:
    """What reading transactions share: their statements."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        words = texts.words
        self.pages = {record_type: Pages(form, words) for record_type, form in texts.forms.items()}
        self.history = statements.history_select(words, of=False)
        self.history_of = statements.history_select(words, of=True)
        self.open_attempts = statements.open_attempts(texts.forms[RecordType.ATTEMPT], words)
        self.settled = statements.settled(words)
        self.tallies = {what: statements.tally(what, words) for what in Tally}


class Numbers(Protocol):
    """The part of a database that gives commits their numbers and tells other servers of them."""

    def number(self, session: Any, server_id: str) -> int:
        """The commit number of the transaction."""
        ...

    def announce(self, session: Any, wake: frozenset[Bucket]) -> Sequence[Write]:
        """What tells other servers, once it is committed."""
        ...


@frozen
class Commit:
    """What a transaction that may save needs beside its session."""

    database: Numbers
    session: Any
    server_id: str


class SqlTransaction:
    """Reads, and one save. Without a ``commit`` it may not save. ``now`` is asked for the time."""

    def __init__(
        self,
        session: Session,
        reads: Reads,
        cache: RecordCache,
        now: Callable[[], int],
        *,
        commit: Commit | None,
    ) -> None:
        self._session = session
        self._reads = reads
        self._cache = cache
        self._now = now
        self._commit = commit
        self.saved: ChangeSet | None = None
        self.written: Written = {}

    def now(self) -> int:
        return self._now()

    def load(self, refs: Collection[Ref], *, lock: bool = False) -> Mapping[Ref, Record]:
        named: defaultdict[RecordType, list[str]] = defaultdict(list)
        for record_type, key in refs:
            named[record_type].append(key)
        return {
            (record_type, record.key): record
            for record_type, keys in sorted(named.items())  # one order for all who lock
            for record in self._named(record_type, keys, lock=lock)
        }

    def open_attempts(self, engine_ids: Collection[str]) -> Mapping[str, Sequence[Attempt]]:
        found: dict[str, list[Attempt]] = {each: [] for each in engine_ids}
        rows = self._session.rows(self._reads.open_attempts.text, (dumps(_storable(engine_ids)),))
        for attempt in self._records(RecordType.ATTEMPT, rows):
            assert isinstance(attempt, Attempt)
            found[attempt.engine_id].append(attempt)
        return found

    def buckets(self) -> Collection[Bucket]:
        return [(lane, class_id) for lane, class_id in self._session.rows(self._reads.texts.words.buckets)]

    def heads(
        self, buckets: Collection[Bucket], limit: int, after: Mapping[Bucket, OrderKey] | None = None
    ) -> Mapping[Bucket, Sequence[Job]]:
        if not buckets:
            return {}
        values = (ready_order.bucket_list(buckets, after or {}), limit)
        found: dict[Bucket, list[Job]] = {}
        for job in self._records(RecordType.JOB, self._session.rows(self._reads.texts.words.heads, values)):
            assert isinstance(job, Job)
            assert job.ready is not None
            found.setdefault(job.ready.bucket, []).append(job)
        for jobs in found.values():
            jobs.sort(key=rank_of)
        return found

    def take(self, job_ids: Collection[str]) -> Mapping[str, Job]:
        if not job_ids:
            return {}
        statement = self._reads.texts.of[RecordType.JOB].take
        jobs = self._found(RecordType.JOB, statement, list(job_ids))
        return {job.id: job for job in jobs if isinstance(job, Job)}

    def due(
        self, record_type: RecordType, before_us: int, limit: int, *, after_us: int | None = None
    ) -> Sequence[Ref]:
        since_us = -INT_MAX - 1 if after_us is None else after_us + 1
        form, statement = self._form(record_type), self._reads.texts.of[record_type].due
        rows = self._session.rows(
            statement.text, statement.bind(before_us=before_us, since_us=since_us, limit=limit)
        )
        return [(record_type, form.join(row)) for row in rows]

    def settled(
        self, state: JobState, before_us: int, limit: int, *, deleted: bool, after: OrderedId | None = None
    ) -> Sequence[OrderedId]:
        since_us, behind = after or (-INT_MAX, "")
        statement = self._reads.settled
        values = statement.bind(
            deleted="yes" if deleted else "no", state=state.value, before_us=before_us, since_us=since_us,
            behind=behind, limit=limit,
        )  # fmt: skip
        return [(updated_us, key) for updated_us, key in self._session.rows(statement.text, values)]

    def find(self, record_type: RecordType, query: Query) -> Page:
        statement, values = self._reads.pages[record_type].statement(query)
        rows = self._session.rows(statement.text, statement.bind(**values))
        shown = rows[: query.limit]
        records = list(self._records(record_type, [row[:-1] for row in shown]))
        following = (shown[-1][-1], records[-1].key) if len(rows) > query.limit else None
        return Page(records, following)

    def history(
        self, *, after: Cursor | None = None, of: Ref | None = None, limit: int = 100
    ) -> Sequence[Recorded]:
        tx, n = after or (-1, -1)
        if of is not None and text_problem(of[1]):
            return []
        if of is None:
            statement, values = self._reads.history, self._reads.history.bind(tx=tx, n=n, limit=limit)
        else:
            statement = self._reads.history_of
            values = statement.bind(tx=tx, n=n, limit=limit, type=of[0].value, key=of[1])
        return [_recorded(row) for row in self._session.rows(statement.text, values)]

    def tally(self, what: Tally, of: tuple[str, str] | None = None) -> Iterable[Cell]:
        statement = self._reads.tallies[what]
        if what is Tally.CAMPAIGN and (of is None or any(map(text_problem, of))):
            return []
        values = statement.bind(tenant=of[0], campaign=of[1]) if of else ()
        rows = self._session.rows(statement.text, values)
        return [Cell(tuple(keys), count, total) for *keys, count, total in rows]

    def save(self, changes: ChangeSet) -> None:
        if self._commit is None or self.saved is not None:
            raise InvariantError("save is allowed once, inside a block of begin()")
        self.saved = changes
        texts = self._reads.texts
        database, session, server_id = self._commit.database, self._commit.session, self._commit.server_id
        tx = database.number(session, server_id) if changes.history else 0
        records, written = write_changes(texts, changes.changes)
        touched = self._session.write([
            *records,
            *forget_history(texts, changes.forgotten),
            *write_history(texts, changes.history, tx),
            *write_counters(texts, changes.counters, server_id),
            *database.announce(session, changes.wake),
        ])  # fmt: skip
        if any(count != len(rows) for count, (_, rows) in zip(touched, records, strict=False)):
            self._session.roll_back()
            found = list(losers(self._session, texts, changes))
            raise ConflictError(found or [change.ref for change in changes.changes])
        self.written = written

    def _form(self, record_type: RecordType) -> Form:
        return self._reads.texts.forms[record_type]

    def _named(self, record_type: RecordType, keys: Sequence[str], *, lock: bool) -> Iterable[Record]:
        of = self._reads.texts.of[record_type]
        return self._found(record_type, of.lock if lock else of.load, keys)

    def _found(self, record_type: RecordType, statement: Statement, keys: Sequence[str]) -> Iterable[Record]:
        values = (keys_json(self._form(record_type), _storable(keys)),)
        return self._records(record_type, self._session.rows(statement.text, values))

    def _records(self, record_type: RecordType, rows: Iterable[Row]) -> Iterable[Record]:
        form, keep = self._form(record_type), self._commit is not None and self.saved is None
        return (self._cache.decoded(form, row, keep=keep) for row in rows)


def _storable(texts: Collection[str]) -> list[str]:
    """Without those that no store holds: asked for as JSON they would be taken for others."""
    together = "".join(texts)
    if together.isascii() and "\x00" not in together:
        return list(texts)
    return [text for text in texts if not text_problem(text)]


def _recorded(row: Row) -> Recorded:
    tx, n, record_type, key, tenant, version, at_us, actor, event, data, request_id = row
    return Recorded(
        ref=(RecordType(record_type), key), tenant=tenant, version=version, at_us=at_us, actor=actor,
        event=event, data=loads(data), request_id=request_id, tx=tx, n=n,
    )  # fmt: skip
