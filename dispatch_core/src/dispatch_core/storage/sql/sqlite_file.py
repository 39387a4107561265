"""Opening an SQLite file: start with what is there or refuse it, and never replace what cannot be read."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path

from dispatch_core.storage.files import sync_folder
from dispatch_core.storage.life import new_incarnation
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.checksums import checksum
from dispatch_core.storage.sql.sqlite_session import driver_error, storage_error
from dispatch_core.storage.sql.sqlite_words import SQLITE
from dispatch_core.storage.sql.statements import schema_texts
from dispatch_core.vocabulary.errors import (
    SchemaMismatchError,
    StorageDamagedError,
    StorageError,
    StorageUnavailableError,
)

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_MS = 5_000
WAL_SIZE_LIMIT = 64 * 1024 * 1024
CHECK_SIZE_MAX = 64 * 1024 * 1024
"""Files below this are checked whole at every start (about 0.2 s); larger ones by ``verify`` only."""
FIXED_WAL_RESET = (3, 51, 3)
_MAGIC = b"SQLite format 3\x00"

# synchronous=FULL: with NORMAL 680 of 1,068 power-loss states had lost an acknowledged commit.
WRITER_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    # 32 MiB of log between checkpoints: at SQLite's usual 4 MiB half of the time went into them.
    "PRAGMA wal_autocheckpoint=8000",
    f"PRAGMA journal_size_limit={WAL_SIZE_LIMIT}",
    "PRAGMA cache_size=-16000",
    "PRAGMA temp_store=MEMORY",
)
# Only the writer checkpoints: two that do can meet the WAL-reset bug of SQLite before 3.51.3.
READER_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA query_only=ON",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA cache_size=-4000",
    "PRAGMA temp_store=MEMORY",
)


def connect(path: Path, mode: str, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    """A connection in autocommit mode. ``mode`` ``rw`` or ``ro`` never creates a file, ``rwc`` does."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        for pragma in pragmas:
            connection.execute(pragma)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise driver_error(error) from error
    return connection


def open_file(path: Path, *, init: bool, migrate: bool) -> sqlite3.Connection:
    """The writer's connection to a file that is complete and of this schema. The caller holds the lock.

    Only a missing file is created, and only if ``init``.
    """
    if not path.exists():
        _refuse_to_create(path, init=init)
        create_file(path)
    check_header(path)
    if sqlite3.sqlite_version_info < FIXED_WAL_RESET:
        logger.debug("SQLite %s: only one connection writes and checkpoints", sqlite3.sqlite_version)
    try:
        connection = connect(path, "rw", WRITER_PRAGMAS)
    except sqlite3.Error as error:
        raise storage_error(error, str(path), "cannot open") from error
    try:
        check_content(connection, path, migrate=migrate)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise storage_error(driver_error(error), str(path), "cannot read") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_to_create(path: Path, *, init: bool) -> None:
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise StorageDamagedError(
            f"{path} is missing, but its log {log.name} is there. Put the database back, or move the log away."
        )
    if not init:
        raise StorageUnavailableError(
            f"{path} does not exist. Check the path; `dispatch serve` and create_storage(…, init=True) create a missing file."
        )


def create_file(path: Path) -> None:
    """A complete, empty store under this name: built beside it, so that a crash leaves no half file."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    try:
        connection = connect(new, "rwc", ("PRAGMA synchronous=FULL", "PRAGMA temp_store=MEMORY"))
        with contextlib.closing(connection):
            create_schema(connection)
        new.rename(path)
        sync_folder(path.parent)
    except sqlite3.Error as error:
        raise storage_error(error, str(path), "cannot create") from error
    except OSError as error:
        raise StorageUnavailableError(f"cannot create {path}: {error.strerror}") from error


def create_schema(connection: sqlite3.Connection) -> None:
    """All tables, the revision, and the name of this life, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for text in schema_texts(SQLITE):
        connection.execute(text)
    connection.execute(
        "CREATE TABLE alembic_version ( version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num) )"
    )
    connection.execute("INSERT INTO alembic_version VALUES (?)", (schema.HEAD,))
    begin_life(connection)
    connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
    connection.execute("COMMIT")


def begin_life(connection: sqlite3.Connection) -> str:
    """Give the store a name for its present life, so that no token of an earlier one counts; returns it."""
    incarnation = new_incarnation()
    told = {"incarnation": incarnation, "incarnation_crc": life_sum(incarnation)}
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", told.items())
    return incarnation


def life_sum(incarnation: str) -> str:
    """What stands beside an incarnation, so that a flipped bit in it is found."""
    return str(checksum((incarnation,)))


def check_header(path: Path) -> None:
    """Whether the file says it is ours; before SQLite, which might change it, has touched it."""
    restore = "Restore it from a backup, or name another file; it was not touched."
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise StorageUnavailableError(f"cannot read {path}: {error.strerror}") from error
    if not header:
        raise StorageDamagedError(
            f"{path} is empty (0 bytes). {restore} If it never held anything, delete it."
        )
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise StorageDamagedError(f"{path} is not an SQLite database. {restore}")
    if int.from_bytes(header[68:72], "big") != schema.APPLICATION_ID:
        raise StorageDamagedError(f"{path} is an SQLite database, but not of Dispatch. {restore}")


def check_content(connection: sqlite3.Connection, path: Path, *, migrate: bool) -> None:
    """Whether the pages hold together (small files only) and the schema is of this version."""
    if path.stat().st_size < CHECK_SIZE_MAX:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StorageDamagedError(f"{path} is damaged ({found}). Restore it from a backup.")
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        raise StorageUnavailableError(
            f"{path} cannot keep a write-ahead log (journal mode is {mode}); use a local disk"
        )
    # A file without write permission opens all the same, and even begins; the first write tells.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("PRAGMA user_version=0")
    connection.execute("ROLLBACK")
    revision = revision_of(connection)
    if revision is None:
        raise StorageDamagedError(f"{path} has lost its schema revision. Restore it from a backup.")
    if revision != schema.HEAD:
        _bring_to_head(connection, path, revision, migrate=migrate)


def revision_of(connection: sqlite3.Connection) -> str | None:
    """The Alembic revision of the tables."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    return None if row is None else str(row[0])


def _bring_to_head(connection: sqlite3.Connection, path: Path, revision: str, *, migrate: bool) -> None:
    from dispatch_core.storage.sql import migrating

    if not migrating.is_known(revision):
        raise SchemaMismatchError(
            f"{path} was written by a newer version (its schema is {revision}, this program knows {schema.HEAD}). "
            f"Use that version; the file was not changed."
        )
    if not migrate:
        raise SchemaMismatchError(
            f"{path} has the older schema {revision}, this program needs {schema.HEAD}. "
            f"Migrate it: dispatch db migrate --database {path}"
        )
    from dispatch_core.storage.sql.copying import copy_over

    copy_over(connection, str(path), copy_before(path, revision), force=True)
    migrating.upgrade(connection)


def copy_before(path: Path, revision: str) -> Path:
    """Where the copy of a store lies that was made before it left a schema."""
    return path.with_name(f"{path.name}.schema-{revision}")


def looks_sound(path: Path) -> bool:
    """Whether a file is a store of a schema this program knows, and its pages hold together."""
    try:
        check_header(path)
        with contextlib.closing(connect(path, "ro", READER_PRAGMAS)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            revision = revision_of(connection)
    except (sqlite3.Error, UnicodeDecodeError, StorageError):
        return False
    if found != "ok" or revision is None:
        return False
    if revision == schema.HEAD:
        return True
    from dispatch_core.storage.sql import migrating

    return migrating.is_known(revision)
