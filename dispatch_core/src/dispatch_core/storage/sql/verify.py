"""Verify: every page, row, history and count of a store's file, streamed, whoever uses it meanwhile."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field

from dispatch_core.storage.reports import FINDINGS_MAX, Tell, Verdict, tell_nobody
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.copying import COPIER_PRAGMAS
from dispatch_core.storage.sql.sqlite_file import check_header, connect, life_sum, revision_of
from dispatch_core.storage.sql.sqlite_session import driver_error, storage_error
from dispatch_core.storage.sql.sqlite_words import SQLITE
from dispatch_core.storage.sql.statements import schema_texts
from dispatch_core.storage.sql.stories import Judge
from dispatch_core.vocabulary.errors import StorageDamagedError

STEPS_BETWEEN_CALLS = 100_000
ROWS_BETWEEN_CALLS = 2_000


@define
class Findings:
    """What is wrong: counted all, kept up to a bound."""

    kept: list[str] = field(factory=list)
    total: int = 0

    def add(self, finding: str) -> None:
        """One more."""
        self.total += 1
        if len(self.kept) < FINDINGS_MAX:
            self.kept.append(finding if len(finding) <= 2_000 else finding[:1_999] + "…")


def verify_file(path: Path, *, tell: Tell = tell_nobody) -> Verdict:
    """Check the store in a file. Raises a StorageError only if the file cannot be read at all."""
    findings, counts = Findings(), Counter[str]()
    try:
        check_header(path)
    except StorageDamagedError as error:
        findings.add(str(error))
        return _verdict(path, None, False, counts, findings)
    try:
        connection = connect(path, "ro", (*COPIER_PRAGMAS, "PRAGMA query_only=ON"))
    except sqlite3.Error as error:
        return _unreadable(path, error, findings)
    with contextlib.closing(connection):
        # A flipped bit may leave bytes that are no text: they are to be found, not to end the search.
        connection.text_factory = lambda content: content.decode("utf-8", "replace")
        return _verify(connection, path, findings, counts, tell)


def _unreadable(path: Path, error: sqlite3.Error, findings: Findings) -> Verdict:
    refusal = storage_error(error, str(path), "cannot read")
    if not isinstance(refusal, StorageDamagedError):
        raise refusal from error
    findings.add(str(refusal))
    return _verdict(path, None, False, Counter(), findings)


def _verify(
    connection: sqlite3.Connection, path: Path, findings: Findings, counts: Counter[str], tell: Tell
) -> Verdict:
    revision, read = None, False
    try:
        connection.execute("BEGIN")
        _check_pages(connection, findings, tell)
        revision = revision_of(connection)
        read = _check_schema(connection, revision, findings)
        if read and not findings.total:  # rows of a broken page would only repeat what is known
            _check_life(connection, findings)
            _check_rows(connection, findings, counts, tell)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return _unreadable(path, driver_error(error), findings)
    return _verdict(path, revision, read, counts, findings)


def _verdict(
    path: Path, revision: str | None, read: bool, counts: Counter[str], findings: Findings
) -> Verdict:
    return Verdict(
        path=path,
        revision=revision,
        read=read,
        counts=dict(counts),
        findings=tuple(findings.kept),
        findings_total=findings.total,
    )


def _check_pages(connection: sqlite3.Connection, findings: Findings, tell: Tell) -> None:
    """Pages, cells and indexes, by SQLite's own check; it does not see a changed value in a sound cell."""
    steps = Counter[str]()

    def step() -> None:
        steps["all"] += 1
        tell("pages", steps["all"], 0)

    connection.set_progress_handler(step, STEPS_BETWEEN_CALLS)
    try:
        for (line,) in connection.execute("PRAGMA integrity_check"):
            if line != "ok":
                findings.add(f"pages: {line}")
    finally:
        connection.set_progress_handler(None, 0)


def _check_schema(connection: sqlite3.Connection, revision: str | None, findings: Findings) -> bool:
    """Whether the rows can be read by this program: not if the schema is older, or of an unknown version."""
    if revision is None:
        findings.add("the schema revision is lost")
        return False
    if revision != schema.HEAD:
        from dispatch_core.storage.sql import migrating

        if not migrating.is_known(revision):
            findings.add(f"the schema {revision} is not one this program knows (its own is {schema.HEAD})")
        return False
    found = _definitions(connection)
    for name, text in sorted(_expected().items()):
        if found.get(name) != text:
            findings.add(f"schema: {name} is not as version {revision} makes it")
    return True


def _definitions(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(text.split()) for name, text in rows}


def _expected() -> dict[str, str]:
    texts = [" ".join(text.split()) for text in schema_texts(SQLITE)]
    return {text.split()[2]: text for text in texts}


def _check_life(connection: sqlite3.Connection, findings: Findings) -> None:
    known = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    incarnation = known.get("incarnation")
    if incarnation is None:
        findings.add("the incarnation is lost")
    elif known.get("incarnation_crc", life_sum(incarnation)) != life_sum(incarnation):
        findings.add("the incarnation is not the one that was written")


def _check_rows(connection: sqlite3.Connection, findings: Findings, counts: Counter[str], tell: Tell) -> None:
    tables = ("jobs", "attempts", "history", "engines", "pulses", "receipts", "records")
    for table in tables:
        (counts[table],) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608  # our names
    judge = Judge(connection, findings.add, _told(tell, sum(counts.values())))
    judge.jobs()
    judge.engines()
    judge.other_records()
    judge.counters()
    counts["purged"] = judge.purged


def _told(tell: Tell, total: int) -> Callable[[Any], None]:
    """Called with every row; tells now and then."""
    seen = Counter[str]()

    def row(_row: Any) -> None:
        seen["all"] += 1
        if seen["all"] % ROWS_BETWEEN_CALLS == 0 or seen["all"] == total:
            tell("rows", seen["all"], total)

    return row
