"""A connection to SQLite: statements in, rows out, the driver's errors turned into ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NoReturn

from dispatch_core.storage.sql.session import Watch, Write
from dispatch_core.vocabulary.errors import StorageDamagedError, StorageError, StorageUnavailableError

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_MENDS = {
    sqlite3.SQLITE_FULL: "the disk is full: free space, then try again",
    sqlite3.SQLITE_READONLY: "it is read-only: make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "it or its folder is missing, read-only, or not permitted to this user",
    sqlite3.SQLITE_PERM: "this user may not use it",
    sqlite3.SQLITE_BUSY: "another program is writing to it: stop that program",
    sqlite3.SQLITE_LOCKED: "another program is writing to it: stop that program",
    sqlite3.SQLITE_IOERR: "the disk answered with an error: check it and the system's log",
}


def driver_error(error: sqlite3.Error | UnicodeDecodeError) -> sqlite3.Error:
    """The driver's error. It quotes a damaged file in its text, and fails in that if the quote is no text."""
    if isinstance(error, sqlite3.Error):
        return error
    damaged = sqlite3.DatabaseError("malformed database schema")
    damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return damaged


def storage_error(error: sqlite3.Error, name: str, doing: str) -> StorageError:
    """Our error for the driver's. ``name`` is the file, ``doing`` what failed and what that means."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGE:
        return StorageDamagedError(
            f"{name} is damaged or is not a database ({error}). Restore it from a backup; it was not changed."
        )
    mend = _MENDS.get(code, "see the cause")
    return StorageUnavailableError(f"{doing} {name}: {error}; {mend}")


class SqliteSession:
    """A connection in use by one transaction at a time. ``watch`` lets tests count statements."""

    def __init__(self, connection: sqlite3.Connection, name: str, watch: Watch | None = None) -> None:
        self.connection = connection
        self._cursor = connection.cursor()
        self.name = name
        self.watch = watch

    def rows(self, text: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of one query."""
        if self.watch is not None:
            self.watch(text, 1)
        try:
            return self._cursor.execute(text, values).fetchall()
        except sqlite3.Error as error:
            self._refuse(error)

    def write(self, writes: Sequence[Write]) -> list[int]:
        """Execute each for all of its rows of values; how many stored rows each has touched."""
        try:
            return [self._written(*each) for each in writes]
        except sqlite3.Error as error:
            self._refuse(error)

    def _written(self, text: str, rows: Sequence[Sequence[object]]) -> int:
        if self.watch is not None:
            self.watch(text, len(rows))
        return self._cursor.executemany(text, rows).rowcount

    def control(self, text: str) -> None:
        """BEGIN, COMMIT or ROLLBACK, not told to ``watch``. Raises the driver's own error."""
        self._cursor.execute(text)

    def roll_back(self) -> None:
        """Undo what the transaction wrote; it has ended then."""
        self.control("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        """Whether the database is inside a transaction."""
        return self.connection.in_transaction

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _refuse(self, error: sqlite3.Error) -> NoReturn:
        # Programming and integrity errors are ours to mend, not the operator's: they go out as they are.
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError | sqlite3.InterfaceError):
            raise error
        raise storage_error(error, self.name, "nothing was written to") from error
