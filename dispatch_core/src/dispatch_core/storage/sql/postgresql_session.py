"""A connection to PostgreSQL, and its errors turned into ours."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NoReturn

import psycopg
from psycopg import Cursor, Pipeline, errors
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus

from dispatch_core.storage.sql.postgresql_patience import NoAnswerError, PatientConnection
from dispatch_core.storage.sql.session import Watch, Write
from dispatch_core.vocabulary.errors import (
    ConflictError,
    SchemaMismatchError,
    StorageDamagedError,
    StorageError,
    StorageUnavailableError,
)
from dispatch_core.vocabulary.jobs import Bucket

Connection = PatientConnection

_LOST_A_RACE = (errors.SerializationFailure, errors.DeadlockDetected)
_DAMAGE = (errors.DataCorrupted, errors.IndexCorrupted)
_MENDS: Sequence[tuple[type[psycopg.Error], str]] = (
    (NoAnswerError, "it may stand still, or wait for a standby that is away; try again"),
    (errors.DiskFull, "its disk is full: free space there, then try again"),
    (errors.ReadOnlySqlTransaction, "it is read-only: name the primary, or add target_session_attrs=read-write to the URL"),
    (errors.InsufficientPrivilege, "this user may not: make it the owner of the database"),
    (errors.LockNotAvailable, "another server has held these records too long; try again"),
    (errors.QueryCanceled, "it took longer than statement_timeout; try again"),
    (errors.IdleInTransactionSessionTimeout, "this process stood still inside a transaction; try again"),
    (errors.TooManyConnections, "it has no connection left: raise its max_connections, or start fewer servers"),
    (errors.InvalidPassword, "its password is another: mend the URL, PGPASSWORD or ~/.pgpass"),
    (errors.InvalidCatalogName, "there is no such database: create it with createdb"),
)  # fmt: skip


def storage_error(error: psycopg.Error, name: str, doing: str) -> StorageError:
    """Our error for the driver's. ``name`` is the database, ``doing`` what failed and what that means."""
    if isinstance(error, _DAMAGE):
        return StorageDamagedError(f"{name} is damaged ({_said(error)}). Restore it from a backup.")
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return SchemaMismatchError(f"{name} has not the tables of this program ({_said(error)})")
    mend = next((mend for kind, mend in _MENDS if isinstance(error, kind)), "see whether it runs")
    return StorageUnavailableError(f"{doing} {name}: {_said(error)}; {mend}")


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


class PgSession:
    """A connection in use by one transaction at a time, in autocommit mode: BEGIN and COMMIT are said."""

    def __init__(self, connection: Connection, name: str, watch: Watch | None = None) -> None:
        self.connection = connection
        self.name = name
        self.watch = watch
        self.life = 0
        self.announced: frozenset[Bucket] = frozenset()
        self._cursor = connection.cursor()
        self._warnings: list[str] = []
        connection.add_notice_handler(self._noticed)

    def rows(self, text: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of one query."""
        if self.watch is not None:
            self.watch(text, 1)
        try:
            return self._cursor.execute(text.encode(), values).fetchall()
        except psycopg.Error as error:
            self._refuse(error)

    def write(self, writes: Sequence[Write]) -> list[int]:
        """Write the rows of each with one statement, each column of them as an array, and wait once for all of them."""
        try:
            with self._together():
                done = [self._written(*each) for each in writes]
            return [cursor.rowcount for cursor in done]
        except psycopg.Error as error:
            self._refuse(error)

    def _together(self) -> AbstractContextManager[object]:
        return self.connection.pipeline() if Pipeline.is_supported() else nullcontext()

    def _written(self, text: str, rows: Sequence[Sequence[object]]) -> Cursor[tuple[Any, ...]]:
        if self.watch is not None:
            self.watch(text, len(rows))
        return self.connection.execute(text.encode(), list(map(list, zip(*rows, strict=True))))

    def answer_after(self, said: str, text: str, values: Sequence[object]) -> list[Any]:
        """The rows of one query, behind a statement that answers nothing; both are waited for at once."""
        if self.watch is not None:
            self.watch(text, 1)
        try:
            with self._together():
                self.connection.execute(said.encode())
                asked = self.connection.execute(text.encode(), values)
            return asked.fetchall()
        except psycopg.Error as error:
            self._refuse(error)

    def control(self, text: str) -> None:
        """BEGIN or ROLLBACK, which take no time, not told to ``watch``. Raises the driver's own error."""
        with self.connection.promptly():
            self._cursor.execute(text.encode())

    def commit(self) -> None:
        """COMMIT, and say so if it was not the commit that was asked for. Raises the driver's own error.

        A commit that no standby has confirmed in time is answered with a warning only, one of a failed
        transaction with ROLLBACK: neither may be taken for durable.
        """
        self._warnings.clear()
        self._cursor.execute(b"COMMIT")
        if self._warnings or self._cursor.statusmessage != "COMMIT":
            said = "; ".join(self._warnings) or f"it answered {self._cursor.statusmessage}"
            raise psycopg.OperationalError(said)

    def _noticed(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(str(notice.message_primary))

    def roll_back(self) -> None:
        """Undo what the transaction wrote; a connection that is gone has undone it."""
        if self.in_transaction:
            with suppress(psycopg.Error):
                self.control("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        """Whether the database is inside a transaction, a failed one included."""
        return self.connection.info.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

    @property
    def usable(self) -> bool:
        """Whether the connection stands and is idle."""
        return self.connection.info.transaction_status == TransactionStatus.IDLE

    def close(self) -> None:
        """Close the connection."""
        with suppress(psycopg.Error):
            self.connection.close()

    def _refuse(self, error: psycopg.Error) -> NoReturn:
        if isinstance(error, _LOST_A_RACE):
            raise ConflictError(["what another server changed at the same time"]) from error
        # Programming and integrity errors are ours to mend, not the operator's: they go out as they are.
        ours = psycopg.ProgrammingError | psycopg.IntegrityError | psycopg.DataError
        theirs = errors.UndefinedTable | errors.UndefinedColumn | errors.InsufficientPrivilege
        if isinstance(error, ours) and not isinstance(error, theirs):
            raise error
        raise storage_error(error, self.name, "nothing was written to") from error
