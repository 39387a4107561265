"""Opening a PostgreSQL database: make its tables, bring them up to date, or refuse it in words that say the mend."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors

from dispatch_core.storage.life import new_incarnation
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.postgresql_pool import Pool
from dispatch_core.storage.sql.postgresql_session import Connection, storage_error
from dispatch_core.storage.sql.postgresql_words import POSTGRESQL
from dispatch_core.storage.sql.statements import schema_texts
from dispatch_core.vocabulary.errors import (
    SchemaMismatchError,
    StorageDamagedError,
    StorageUnavailableError,
)

logger = logging.getLogger(__name__)

MAKING = 0x4453504154434801
"""The advisory lock under which tables are made and changed; held for nothing else."""
OLDEST_PROGRAM = "0004"
"""The oldest program that may use a database with the tables of this one: neighbours share it while servers are upgraded."""
PATIENCE_S = 60

_THIS_COPY = "SELECT system_identifier::text, (SELECT oid::text FROM pg_database WHERE datname = current_database()), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()"


def open_database(pool: Pool, *, init: bool, migrate: bool) -> str:
    """Make sure the database is one of ours and up to date; the name of its present life.

    Raises StorageUnavailableError, SchemaMismatchError or StorageDamagedError.
    """
    with pool.connect() as connection:
        try:
            if not _is_ready(connection):
                _take_time(connection)
                with under_lock(connection):
                    _make_ready(connection, pool, init=init, migrate=migrate)
            return _life(connection, pool.name)
        except psycopg.Error as error:
            raise storage_error(error, pool.name, "cannot open") from error


def _take_time(connection: Connection) -> None:
    """What changes tables may take as long as it needs, and those who do so now are waited for."""
    connection.execute(f"SET lock_timeout = '{PATIENCE_S}s'".encode())
    connection.execute("SET statement_timeout = 0")
    connection.patience_s = None


def _is_ready(connection: Connection) -> bool:
    """Whether nothing is to be made or changed: then no lock is needed."""
    if revision_of(connection) != schema.HEAD:
        return False
    return meta_of(connection).get("home") == home_of(connection)


def is_life(connection: Connection, incarnation: str) -> bool:
    """Whether a connection leads to the copy, and the life of it, that was opened under that name."""
    known = meta_of(connection)
    return known.get("incarnation") == incarnation and known.get("home") == home_of(connection)


def revision_of(connection: Connection) -> str | None:
    """The Alembic revision of the tables; None: there are none."""
    if one(connection, "SELECT to_regclass('alembic_version') IS NOT NULL"):
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if found is None else str(found[0])
    return None


def meta_of(connection: Connection) -> dict[str, str]:
    """What the store says of itself."""
    return dict(connection.execute("SELECT name, value FROM meta").fetchall())


def one(connection: Connection, text: str) -> Any:
    """The one value that a query answers; None if it answers nothing."""
    found = connection.execute(text.encode()).fetchone()
    return None if found is None else found[0]


def home_of(connection: Connection) -> str:
    """What tells this copy of a database from every other: a restored one, or one that was promoted."""
    try:
        found = connection.execute(_THIS_COPY.encode()).fetchone()
    except (errors.InsufficientPrivilege, errors.FeatureNotSupported, errors.UndefinedFunction):
        return "unknown"  # nobody may ask here: ``dispatch db renew`` says it instead
    return "/".join(found or ())


def _make_ready(connection: Connection, pool: Pool, *, init: bool, migrate: bool) -> None:
    """Make the tables, migrate them, or begin a new life of a copy."""
    revision = revision_of(connection)
    if revision is None:
        _make(connection, pool, init=init)
    elif revision != schema.HEAD:
        _bring_to_head(connection, pool, revision, migrate=migrate)
    if (home := home_of(connection)) != meta_of(connection).get("home"):
        with connection.transaction():
            begin_life(connection, home)


@contextmanager
def under_lock(connection: Connection) -> Iterator[None]:
    """Alone among those who would make or change the tables, or begin a new life."""
    connection.execute("SELECT pg_advisory_lock(%s)", [MAKING])
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [MAKING])


def _make(connection: Connection, pool: Pool, *, init: bool) -> None:
    if not init:
        raise StorageUnavailableError(
            f"{pool.name} has no tables of Dispatch; `dispatch serve` and create_storage(…, init=True) make them"
        )
    try:
        with connection.transaction():
            for text in schema_texts(POSTGRESQL):
                connection.execute(text.encode())
            connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            connection.execute("INSERT INTO alembic_version VALUES (%s)", [schema.HEAD])
            _tell(connection, {"oldest_program": OLDEST_PROGRAM, "tx_base": "0"})
            begin_life(connection, home_of(connection))
    except errors.DuplicateTable as error:
        raise SchemaMismatchError(
            f"{pool.name} has tables of somebody else ({str(error).strip()}). Give Dispatch a database of its own: createdb"
        ) from error


def begin_life(connection: Connection, home: str) -> str:
    """Give the store a name for its present life, so that no token of an earlier one counts; returns it.

    Commit numbers go on above those in the history, wherever transactions begin to count in this copy.
    """
    incarnation = new_incarnation()
    _tell(connection, {"incarnation": incarnation, "home": home})
    connection.execute(
        "UPDATE meta SET value = greatest(value::bigint, (SELECT coalesce(max(tx), 0) FROM history)"
        " + 1 - pg_current_xact_id()::text::bigint)::text WHERE name = 'tx_base'"
    )
    logger.info("the store begins a new life: %s", incarnation)
    return incarnation


def _tell(connection: Connection, told: dict[str, str]) -> None:
    for name, value in told.items():
        connection.execute(
            "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [name, value],
        )


def _life(connection: Connection, name: str) -> str:
    if one(connection, "SHOW fsync") == "off":
        logger.warning("%s runs with fsync=off: what it has acknowledged may be lost", name)
    found = meta_of(connection).get("incarnation")
    if found is None:
        raise StorageDamagedError(f"{name} has lost its incarnation. Restore it from a backup.")
    return found


def _bring_to_head(connection: Connection, pool: Pool, revision: str, *, migrate: bool) -> None:
    from dispatch_core.storage.sql import migrating

    if not migrating.is_known(revision):
        oldest = meta_of(connection).get("oldest_program", revision)
        if oldest <= schema.HEAD:
            logger.info(
                "%s is used by a newer version (%s) that lets this one (%s) share it",
                pool.name,
                revision,
                schema.HEAD,
            )
            return
        raise SchemaMismatchError(
            f"{pool.name} was changed by a newer version (its schema is {revision}, this program knows {schema.HEAD}, "
            f"and {oldest} is the oldest that may use it). Use that version."
        )
    if not migrate:
        raise SchemaMismatchError(
            f"{pool.name} has the older schema {revision}, this program needs {schema.HEAD}. Migrate it: dispatch db migrate"
        )
    with pool.connect() as separate:
        _take_time(separate)
        separate.autocommit = False
        migrating.upgrade_postgresql(separate)
    _tell(connection, {"oldest_program": OLDEST_PROGRAM})
