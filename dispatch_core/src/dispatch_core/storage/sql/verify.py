"""Verify: every page, row, history and count of a store's file, streamed, whoever uses it meanwhile."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from pathlib import Path

from dispatch_core.storage.reports import Tell, Verdict, tell_nobody
from dispatch_core.storage.sql.copying import COPIER_PRAGMAS
from dispatch_core.storage.sql.judging import Findings, check_rows, is_readable, verdict_of
from dispatch_core.storage.sql.sqlite_file import check_header, connect, life_sum, revision_of
from dispatch_core.storage.sql.sqlite_session import driver_error, storage_error
from dispatch_core.storage.sql.sqlite_words import SQLITE
from dispatch_core.storage.sql.statements import schema_texts
from dispatch_core.vocabulary.errors import StorageDamagedError

STEPS_BETWEEN_CALLS = 100_000


def verify_file(path: Path, *, tell: Tell = tell_nobody) -> Verdict:
    """Check the store in a file. Raises a StorageError only if the file cannot be read at all."""
    findings, counts = Findings(), Counter[str]()
    try:
        check_header(path)
    except StorageDamagedError as error:
        findings.add(str(error))
        return verdict_of(path, None, False, counts, findings)
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
    return verdict_of(path, None, False, Counter(), findings)


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
            check_rows(lambda text: iter(connection.execute(text)), findings, counts, tell)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return _unreadable(path, driver_error(error), findings)
    return verdict_of(path, revision, read, counts, findings)


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
    """Whether the rows can be read by this program, and its tables are as it makes them."""
    if not is_readable(revision, findings):
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
