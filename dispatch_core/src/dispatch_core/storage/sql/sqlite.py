"""SQLite as a database: one connection that writes, readers beside it, one owner."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from dispatch_core.storage.life import Wake
from dispatch_core.storage.reports import Backup, Tell, tell_nobody
from dispatch_core.storage.sql.copying import copy_file, copy_over
from dispatch_core.storage.sql.lockfile import LockFile
from dispatch_core.storage.sql.restoring import finish
from dispatch_core.storage.sql.session import Watch, Write
from dispatch_core.storage.sql.sqlite_file import READER_PRAGMAS, connect, create_schema, open_file
from dispatch_core.storage.sql.sqlite_session import SqliteSession, storage_error
from dispatch_core.storage.sql.sqlite_words import SQLITE
from dispatch_core.storage.sql.statements import Words
from dispatch_core.vocabulary.errors import InvariantError, StorageDamagedError, StorageUnavailableError
from dispatch_core.vocabulary.jobs import Bucket

READERS_KEPT = 4
WRITER_WAIT_S = 30.0


class Writer:
    """The one connection that writes. After a failed commit it refuses until it is replaced."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = threading.RLock()
        self._session: SqliteSession | None = None
        self._busy = False
        self._broken = False
        self._process = os.getpid()

    def replace(self, session: SqliteSession | None) -> None:
        """Close the present connection, if any, and use this one."""
        with self._turn:
            if self._session is not None:
                self._session.close()
            self._session = session
            self._broken = False

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._session is not None

    @contextmanager
    def turn(self) -> Iterator[SqliteSession]:
        """The session, while no other thread has it. Raises StorageUnavailableError if there is none."""
        if not self._turn.acquire(timeout=WRITER_WAIT_S):
            raise StorageUnavailableError(f"{self._name} has been busy for {WRITER_WAIT_S:g} s")
        try:
            yield self._usable()
        finally:
            self._turn.release()

    def _usable(self) -> SqliteSession:
        if self._process != os.getpid():
            raise StorageUnavailableError(
                f"{self._name} was opened before the fork of this process; open it here"
            )
        if self._session is None:
            raise StorageUnavailableError(f"{self._name} is closed")
        if self._broken:
            raise StorageUnavailableError(f"{self._name} has failed to commit and must be opened anew")
        return self._session

    @contextmanager
    def transaction(self, session: SqliteSession) -> Iterator[None]:
        """Within a turn: committed at the end of the block, rolled back by an exception."""
        if self._busy:
            raise InvariantError("this thread has a transaction open already, and this store has one writer")
        self._control(session, "BEGIN IMMEDIATE", "nothing was written to")
        self._busy = True
        try:
            yield
        except BaseException:
            self._roll_back(session)
            raise
        else:
            self._commit(session)
        finally:
            self._busy = False

    def _commit(self, session: SqliteSession) -> None:
        if not session.in_transaction:
            return  # rolled back already by a conflict or an error that the caller chose to catch
        try:
            self._control(session, "COMMIT", "the outcome is unknown: a commit failed in")
        except BaseException:
            # A commit that failed can come back when the file is opened next, so nothing may build on it.
            self._broken = True
            self._roll_back(session)
            raise

    def _roll_back(self, session: SqliteSession) -> None:
        if session.in_transaction:
            try:
                session.control("ROLLBACK")
            except sqlite3.Error:
                self._broken = True

    def _control(self, session: SqliteSession, text: str, doing: str) -> None:
        try:
            session.control(text)
        except sqlite3.Error as error:
            raise storage_error(error, self._name, doing) from error


class _OneServer:
    """What a database of one server does not need, and how it counts its commits."""

    shared = False
    kind = "sqlite"
    words: Words = SQLITE

    def __init__(self, name: str) -> None:
        self.name = name
        self.writer = Writer(name)
        self.watch: Watch | None = None
        self._tx = 0

    @contextmanager
    def write(self) -> Iterator[SqliteSession]:
        """A transaction: committed at the end of the block, rolled back by an exception."""
        with self.writer.turn() as session, self.writer.transaction(session):
            yield session

    def number(self, session: SqliteSession, server_id: str) -> int:
        """The commit number of the transaction: one more than of the last that began."""
        self._tx += 1
        return self._tx

    def announce(self, session: SqliteSession, wake: frozenset[Bucket]) -> Sequence[Write]:
        """Nothing: nobody else is there."""
        return ()

    def clock(self, session: SqliteSession) -> Callable[[], int] | None:
        """SQLite has no clock of its own."""
        return None

    def listen(self, wake: Wake) -> Callable[[], None]:
        """Nobody calls: this server knows what it commits."""
        return lambda: None

    def _watched(self, text: str, rows: int) -> None:
        if self.watch is not None:
            self.watch(text, rows)

    def _incarnation_in(self, session: SqliteSession) -> str:
        """The store's incarnation; its commits are counted on from the last in its history."""
        found = session.rows("SELECT value FROM meta WHERE name = 'incarnation'")
        if not found:
            raise StorageDamagedError(f"{self.name} has lost its incarnation. Restore it from a backup.")
        self._tx = session.rows("SELECT coalesce(max(tx), 0) FROM history")[0][0]
        return str(found[0][0])


class SqliteFile(_OneServer):
    """A database file, owned by this process alone while open."""

    durable = True

    def __init__(self, path: Path, *, init: bool = True, migrate: bool = True) -> None:
        # Two names of one file must meet at one lock.
        self._path = path.resolve()
        super().__init__(str(self._path))
        self._init = init
        self._migrate = migrate
        self._lock = LockFile(self._path)
        self._idle: list[SqliteSession] = []
        self._life = 0

    def open(self) -> str:
        """Take the lock, then start with what is there or refuse it, in a StorageError that says why; its life."""
        fresh = self._lock.acquire()
        try:
            finish(self._path)
            connection = open_file(self._path, init=self._init, migrate=self._migrate)
        except BaseException:
            if fresh:
                self._lock.release()
            raise
        self._init = False  # a file that was there once is never made anew under the same handle
        self.writer.replace(SqliteSession(connection, self.name, self._watched))
        try:
            with self.read() as session:
                return self._incarnation_in(session)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[SqliteSession]:
        """A reader inside a snapshot that begins with its first statement."""
        if not self.writer.is_open:
            raise StorageUnavailableError(f"{self.name} is closed")
        life, session = self._life, self._reader()
        try:
            self._begin(session)
            yield session
        finally:
            self._put_back(session, life)

    def _reader(self) -> SqliteSession:
        with suppress(IndexError):
            return self._idle.pop()
        try:
            return SqliteSession(connect(self._path, "ro", READER_PRAGMAS), self.name, self._watched)
        except sqlite3.Error as error:
            raise storage_error(error, self.name, "cannot read") from error

    def _begin(self, session: SqliteSession) -> None:
        try:
            session.control("BEGIN")
        except sqlite3.Error as error:
            raise storage_error(error, self.name, "cannot read") from error

    def _put_back(self, session: SqliteSession, life: int) -> None:
        with suppress(sqlite3.Error):
            session.control("ROLLBACK")
            if life == self._life and len(self._idle) < READERS_KEPT:
                self._idle.append(session)
                return
        session.close()

    def copy_into(self, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
        """Copy one moment of it into a file, beside whoever writes."""
        if not self.writer.is_open:
            raise StorageUnavailableError(f"{self.name} is closed")
        return copy_file(self._path, target, force=force, tell=tell)

    def drop(self) -> None:
        """Close every connection, the writer last: it empties the log into the file. The lock stays."""
        self._life += 1
        while self._idle:
            self._idle.pop().close()
        self.writer.replace(None)

    def close(self) -> None:
        """Drop the connections and let others have the file."""
        self.drop()
        self._lock.release()


class SqliteMemory(_OneServer):
    """An SQLite database without a file: one connection, used in turns. For tests."""

    durable = False

    def __init__(self) -> None:
        super().__init__("the SQLite database in memory")

    def open(self) -> str:
        """Make it. It lasts until ``close``, through any number of drops."""
        if not self.writer.is_open:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            create_schema(connection)
            self.writer.replace(SqliteSession(connection, self.name, self._watched))
        with self.read() as session:
            return self._incarnation_in(session)

    def read(self) -> AbstractContextManager[SqliteSession]:
        """The one connection, when it is its turn: what it shows is not a snapshot of its own."""
        return self.writer.turn()

    def copy_into(self, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
        """Copy it into a file; nobody writes meanwhile."""
        with self.writer.turn() as session:
            return copy_over(session.connection, self.name, target, force=force, tell=tell)

    def drop(self) -> None:
        """Nothing: there is no file to open it anew from."""

    def close(self) -> None:
        """Forget it."""
        self.writer.replace(None)
