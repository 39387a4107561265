"""A copy of a store that is in use: one moment of it, in one file, without stopping its writer."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from dispatch_core.storage.files import replacing
from dispatch_core.storage.reports import Backup, Tell, tell_nobody
from dispatch_core.storage.sql.sqlite_file import connect
from dispatch_core.storage.sql.sqlite_session import storage_error
from dispatch_core.vocabulary.errors import CommandRejectedError, StorageUnavailableError

STEPS_BETWEEN_CALLS = 50_000
# No query_only here: SQLite refuses VACUUM INTO with it, although the file itself is opened for reading only.
COPIER_PRAGMAS = ("PRAGMA busy_timeout=5000", "PRAGMA wal_autocheckpoint=0", "PRAGMA cache_size=-4000")


def copy_file(source: Path, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
    """Copy the store in a file, whoever uses it. Raises CommandRejectedError if the target exists."""
    try:
        connection = connect(source, "ro", COPIER_PRAGMAS)
    except sqlite3.Error as error:
        raise storage_error(error, str(source), "cannot read") from error
    with contextlib.closing(connection):
        return copy_over(connection, str(source), target, force=force, tell=tell)


def copy_over(
    connection: sqlite3.Connection, name: str, target: Path, *, force: bool = False, tell: Tell = tell_nobody
) -> Backup:
    """Copy the store behind a connection. The target is complete and synced, or not there.

    A VACUUM INTO reads one snapshot while the writer goes on (36 ms at worst for a write beside 100,000
    jobs); SQLite's paged backup is started again by every write, and took 46 s where this takes 0.3 s.
    """
    if target.exists() and not force:
        raise CommandRejectedError(f"{target} exists; name another file, or say that it may be replaced")
    total = _size(connection)
    try:
        with replacing(target) as new:
            connection.set_progress_handler(lambda: tell("copy", _size_of(new), total), STEPS_BETWEEN_CALLS)
            connection.execute("VACUUM INTO ?", (str(new),))
            new.chmod(0o600)  # whoever may not read the jobs may not read their backup
    except sqlite3.Error as error:
        raise storage_error(error, name, f"cannot write {target} from") from error
    except OSError as error:
        raise StorageUnavailableError(f"cannot write {target}: {error.strerror}") from error
    finally:
        connection.set_progress_handler(None, 0)
    tell("copy", total, total)
    return Backup(path=target, size_bytes=target.stat().st_size)


def _size(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _size_of(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
