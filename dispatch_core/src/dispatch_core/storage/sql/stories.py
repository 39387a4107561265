"""The rows of a store judged record by record: a job, its attempts and its history read side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from dispatch_core.kernel.invariants import (
    Fact,
    broken_counts,
    broken_engine,
    broken_history,
    broken_laws,
    broken_purge,
    broken_story,
)
from dispatch_core.shell.wire import event_from_plain, loads
from dispatch_core.storage.sql.checksums import checksum
from dispatch_core.storage.sql.forms import CRC, Form, Row, forms_by_type
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.limits import waiting_of
from dispatch_core.vocabulary.records import Record, RecordType

GIVE_BACKS_MAX = 1_000
"""The bound of the setting: a file does not say what it was set to."""

_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, AssertionError)
_HISTORY = "type, key, version, at_us, event, data, tx, n, tenant, actor, request_id, crc"
Tagged = tuple[str, int, Row]
Read = Callable[[str], Iterator[Row]]
"""The rows of a query, one after the other; several queries are read side by side, of one snapshot."""


class Judge:
    """Reads one snapshot in the order of keys, so that it never holds more than one record's rows."""

    def __init__(self, read: Read, find: Callable[[str], None], seen: Callable[[Any], None]) -> None:
        self._read = read
        self._find = find
        self._seen = seen
        self._forms = forms_by_type()
        self._rows: Counter[tuple[str, str]] = Counter()
        self.purged = 0

    # ----- jobs

    def jobs(self) -> None:
        """Every job with its attempts and its history; and what is left of those that are gone."""
        jobs = self._tagged(self._table(RecordType.JOB, "id"), 0, 0)
        attempts = self._tagged(self._table(RecordType.ATTEMPT, "job_id, number"), 1, 0)
        history = self._tagged(self._history_of(RecordType.JOB), 2, 1)
        for key, rows in groupby(merge(jobs, attempts, history, key=itemgetter(0, 1)), itemgetter(0)):
            self._one_job(key, list(rows))

    def _one_job(self, key: str, rows: Sequence[Tagged]) -> None:
        records = [self._record(RecordType.JOB, row) for _, tag, row in rows if tag == 0]
        attempts = [self._record(RecordType.ATTEMPT, row) for _, tag, row in rows if tag == 1]
        history = [row for _, tag, row in rows if tag == 2]
        facts = self._facts(key, history)
        if None in records or None in attempts or None in facts:
            return  # found already, and the laws would only say it again
        tried = [each for each in attempts if isinstance(each, Attempt)]
        told = [each for each in facts if each is not None]
        for job in records:
            assert isinstance(job, Job)
            self._count(job.tenant, job.state.value)
            if job.waits and job.spec.account is not None:
                self._rows[job.tenant, waiting_of(job.spec.account)] += 1
            self._all(broken_laws(job, tried, GIVE_BACKS_MAX))
            self._all(broken_history(job, tried, told))
        if not records:
            self._all(broken_purge(key, tried, told))
            self.purged += 1
            self._count(history[0][8] if history else "", "purged")

    def _count(self, tenant: str, name: str) -> None:
        self._rows[tenant, "accepted"] += 1
        self._rows[tenant, name] += 1

    # ----- engines, and all that has no history

    def engines(self) -> None:
        """Every engine with its history."""
        engines = self._tagged(self._table(RecordType.ENGINE, "id"), 0, 0)
        history = self._tagged(self._history_of(RecordType.ENGINE), 1, 1)
        for key, grouped in groupby(merge(engines, history, key=itemgetter(0, 1)), itemgetter(0)):
            rows = list(grouped)
            records = [self._record(RecordType.ENGINE, row) for _, tag, row in rows if tag == 0]
            facts = self._facts(key, [row for _, tag, row in rows if tag == 1])
            told = [each for each in facts if each is not None]
            for engine in records:
                if isinstance(engine, Engine) and None not in facts:
                    self._all(broken_engine(engine, told))
            if not records:
                self._find(f"{key}: history of an engine that is not stored")

    def other_records(self) -> None:
        """Every record of every other type: it can be read, and its columns say what it says."""
        for record_type in RecordType:
            if record_type in (RecordType.PULSE, RecordType.RECEIPT, RecordType.LEDGER):
                for row in self._table(record_type, ", ".join(self._forms[record_type].key_columns)):
                    self._record(record_type, row)
            elif record_type not in (RecordType.JOB, RecordType.ATTEMPT, RecordType.ENGINE):
                self._storied(record_type)

    def _storied(self, record_type: RecordType) -> None:
        """Records whose history does not tell all of them, a secret's digest for one; but every version."""
        stored = self._tagged(self._table(record_type, "type, id"), 0, 1)
        history = self._tagged(self._history_of(record_type), 1, 1)
        for key, grouped in groupby(merge(stored, history, key=itemgetter(0, 1)), itemgetter(0)):
            rows = list(grouped)
            records = [self._record(record_type, row) for _, tag, row in rows if tag == 0]
            facts = self._facts(key, [row for _, tag, row in rows if tag == 1])
            told = [each for each in facts if each is not None]
            if None not in facts and None not in records:
                version = next((each.version for each in records if each is not None), None)
                self._all(broken_story(key, version, told))

    def counters(self) -> None:
        """The counters against the rows just seen."""
        text = "SELECT tenant, name, CAST(sum(value) AS BIGINT) FROM counters GROUP BY tenant, name"
        told = self._read(text)
        self._all(broken_counts({(tenant, name): count for tenant, name, count in told}, self._rows))

    # ----- rows

    def _table(self, record_type: RecordType, order: str) -> Iterator[Row]:
        form = self._forms[record_type]
        where = f" WHERE type = '{record_type.value}'" if form.key_columns[0] == "type" else ""
        columns = ", ".join(form.columns)
        text = f"SELECT {columns} FROM {form.table.name}{where} ORDER BY {order}"  # noqa: S608  # our own names
        return self._read(text)

    def _history_of(self, record_type: RecordType) -> Iterator[Row]:
        where = f"type = '{record_type.value}'"
        return self._read(f"SELECT {_HISTORY} FROM history WHERE {where} ORDER BY key, tx, n")  # noqa: S608  # our own names

    def _tagged(self, rows: Iterator[Row], tag: int, key: int) -> Iterator[Tagged]:
        return ((str(row[key]), tag, row) for row in rows)

    def _record(self, record_type: RecordType, row: Row) -> Record | None:
        """The record of a row, if the row can be read and says the same in all its columns."""
        self._seen(row)
        form = self._forms[record_type]
        try:
            record = form.record(row)
            problem = _disagreement(form, row, form.values(record))
        except _UNREADABLE as error:
            record, problem = None, f"cannot be read ({error})"
        if problem:
            self._find(f"{form.table.name} {form.join(row)}: {problem}")
        return None if problem else record

    def _facts(self, key: str, rows: Sequence[Row]) -> list[Fact | None]:
        return [self._fact(key, row) for row in rows]

    def _fact(self, key: str, row: Row) -> Fact | None:
        self._seen(row)
        record_type, _, version, at_us, event, data, tx, n, tenant, actor, request_id, crc = row
        values = (tx, n, record_type, key, tenant, version, at_us, actor, event, data, request_id)
        if crc is not None and crc != checksum(values):
            self._find(f"history ({tx}, {n}) of {key}: is not the row that was written")
            return None
        try:
            return Fact(version, at_us, event_from_plain(event, loads(data)))
        except _UNREADABLE as error:
            self._find(f"history ({tx}, {n}) of {key}: cannot be read ({error})")
            return None

    def _all(self, findings: Iterator[str]) -> None:
        for finding in findings:
            self._find(finding)


def _disagreement(form: Form, row: Row, again: Row) -> str:
    """What a row says twice and differently: in a column, and in what the record is made of."""
    for name, found, expected in zip(form.columns, row, again, strict=True):
        if found != expected and not _same_json(name, found, expected):
            return f"its {name} is {found!r}, its record says {expected!r}"
    return ""


def _same_json(name: str, found: object, expected: object) -> bool:
    """JSON may be written in other words; a row from before checksums has none beside its fields."""
    if not isinstance(found, str) or not isinstance(expected, str) or not found.startswith(("{", "[")):
        return False
    one, other = loads(found), loads(expected)
    if name == "fields" and CRC not in one:
        other.pop(CRC, None)
    return bool(one == other)
