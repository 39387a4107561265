"""Verify a store in PostgreSQL: every row, history and count of one snapshot, streamed, whoever uses it meanwhile."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import StaticPool, create_engine

from dispatch_core.storage.reports import Tell, Verdict, tell_nobody
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.forms import Row
from dispatch_core.storage.sql.judging import Findings, check_rows, is_readable, verdict_of
from dispatch_core.storage.sql.postgresql_life import meta_of, revision_of
from dispatch_core.storage.sql.postgresql_pool import Pool, link_of
from dispatch_core.storage.sql.postgresql_session import Connection, storage_error
from dispatch_core.vocabulary.errors import StorageDamagedError

ROWS_AT_A_TIME = 2_000
# Every table is read from end to end: the planner may choose how, and take as long as it needs.
_PATIENT = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c jit=off"
_META = ("incarnation", "home", "tx_base")


def verify_database(url: str, *, tell: Tell = tell_nobody) -> Verdict:
    """Check the store. Its pages are PostgreSQL's own to check: data checksums, and amcheck.

    Raises StorageUnavailableError if it cannot be reached.
    """
    pool = Pool({**link_of(url, "verify"), "options": _PATIENT})
    findings, counts = Findings(), Counter[str]()
    revision, read = None, False
    with pool.connect() as connection:
        try:
            revision = revision_of(connection)
            read = is_readable(revision, findings)
            if read:
                _check_schema(connection, findings)
            if read and not findings.total:  # rows of other tables than ours would say nothing
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                _check_life(connection, findings)
                check_rows(_reader(connection), findings, counts, tell)
        except psycopg.Error as error:
            refusal = storage_error(error, pool.name, "cannot read")
            if not isinstance(refusal, StorageDamagedError):
                raise refusal from error
            findings.add(str(refusal))
    return verdict_of(pool.name, revision, read, counts, findings)


def _reader(connection: Connection) -> Callable[[str], Iterator[Row]]:
    """Reads a query's rows a few at a time: those of a store need not fit into memory."""
    numbers = itertools.count()

    def read(text: str) -> Iterator[Row]:
        with connection.cursor(f"verify_{next(numbers)}") as cursor:
            cursor.itersize = ROWS_AT_A_TIME
            yield from cursor.execute(text.encode())

    return read


def _check_schema(connection: Connection, findings: Findings) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    try:
        with engine.connect() as wrapped:
            for difference in compare_metadata(MigrationContext.configure(wrapped), schema.metadata):
                findings.add(f"schema: {_told(difference)}")
    finally:
        engine.dispose(close=False)


def _told(difference: Any) -> str:
    """What Alembic would do to the tables, in words."""
    steps = difference if isinstance(difference, list) else [difference]
    return "; ".join(" ".join(str(getattr(each, "name", each)) for each in step) for step in steps)


def _check_life(connection: Connection, findings: Findings) -> None:
    known = meta_of(connection)
    for name in _META:
        if name not in known:
            findings.add(f"the {name} is lost")
