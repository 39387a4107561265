"""Looking at the file of a store, and migrating it on request."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from dispatch_core.storage.reports import Migration, StoreInfo, Tell, tell_nobody
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.lockfile import LockFile
from dispatch_core.storage.sql.sqlite_file import (
    READER_PRAGMAS,
    check_header,
    connect,
    copy_before,
    open_file,
    revision_of,
)
from dispatch_core.storage.sql.sqlite_session import storage_error
from dispatch_core.vocabulary.errors import StorageInUseError


def info_of(path: Path) -> StoreInfo:
    """What the file says of itself, whoever uses it. Raises StorageError if it cannot be read."""
    check_header(path)
    log = path.with_name(path.name + "-wal")
    log_bytes = log.stat().st_size if log.exists() else 0
    try:
        with contextlib.closing(connect(path, "ro", READER_PRAGMAS)) as connection:
            revision = revision_of(connection)
            meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
            states = connection.execute("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state")
            return StoreInfo(
                path=path,
                size_bytes=path.stat().st_size,
                log_bytes=log_bytes,
                revision=revision,
                newest_revision=schema.HEAD,
                incarnation=meta.get("incarnation"),
                in_use_by=_owner(path),
                jobs=dict(states.fetchall()),
                sqlite_version=sqlite3.sqlite_version,
            )
    except sqlite3.Error as error:
        raise storage_error(error, str(path), "cannot read") from error


def _owner(path: Path) -> str | None:
    """Who has the lock, in words; None if nobody has."""
    lock = LockFile(path)
    if not lock.path.exists():
        return None  # to look must not make files, which then belong to whoever looked
    try:
        lock.acquire()
    except StorageInUseError as error:
        return str(error).partition("(")[2].partition(")")[0]
    lock.release()
    return None


def migrate_file(path: Path, *, tell: Tell = tell_nobody) -> Migration:
    """Bring the store in a file to this schema, under its lock."""
    lock = LockFile(path)
    lock.acquire()
    try:
        check_header(path)
        with contextlib.closing(connect(path, "ro", READER_PRAGMAS)) as connection:
            before = revision_of(connection) or ""
        tell("migrate", 0, 1)
        open_file(path, init=False, migrate=True).close()
        tell("migrate", 1, 1)
    except sqlite3.Error as error:
        raise storage_error(error, str(path), "cannot migrate") from error
    finally:
        lock.release()
    copy = None if before == schema.HEAD else copy_before(path, before)
    return Migration(path=path, before=before, after=schema.HEAD, copy=copy)
