"""The store in an SQL database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from dispatch_core.ports.storage import StorageTraits, Transaction
from dispatch_core.storage.life import Wake
from dispatch_core.storage.reports import Backup, Tell, tell_nobody
from dispatch_core.storage.sql.cache import RecordCache
from dispatch_core.storage.sql.forms import Form
from dispatch_core.storage.sql.schema import HEAD
from dispatch_core.storage.sql.session import Session, Watch
from dispatch_core.storage.sql.sqlite import SqliteFile, SqliteMemory
from dispatch_core.storage.sql.transaction import Reads, SqlTransaction
from dispatch_core.storage.sql.writing import Texts, usual_texts
from dispatch_core.vocabulary.clock import Clock, SystemClock
from dispatch_core.vocabulary.errors import StorageDamagedError, StorageUnavailableError
from dispatch_core.vocabulary.records import RecordType

RECORDS_CACHED = 8_000
"""Decoded records kept: about 3 KiB each."""

_SYSTEM_CLOCK = SystemClock()


class SqlStorage:
    """A store in SQLite: one writer at a time, readers on snapshots beside it.

    After a commit that failed (StorageUnavailableError, "the outcome is unknown") it refuses further
    transactions until ``reopen``. ``forms`` replaces how types of records lie in tables (for tests).
    """

    def __init__(
        self,
        database: SqliteFile | SqliteMemory,
        *,
        clock: Clock = _SYSTEM_CLOCK,
        server_id: str = "local",
        records_cached: int = RECORDS_CACHED,
        forms: Mapping[RecordType, Form] | None = None,
    ) -> None:
        self.server_id = server_id
        self._database = database
        self._clock = clock
        self._reads = Reads(usual_texts() if forms is None else Texts.compile(forms))
        self._cache = RecordCache(records_cached)
        self._closed, self._process = False, os.getpid()
        self._incarnation, self._tx = "", 0
        self._open()

    @property
    def traits(self) -> StorageTraits:
        return StorageTraits(name="sqlite", shared=False, durable=self._database.durable, schema=HEAD)

    @property
    def incarnation(self) -> str:
        return self._incarnation

    def monotonic_us(self) -> int:
        return self._clock.monotonic_us()

    def watch(self, watch: Watch | None) -> None:
        """Call ``watch`` with each statement and its number of rows (BEGIN and COMMIT are not told)."""
        self._database.watch = watch

    def begin(self) -> AbstractContextManager[Transaction]:
        return self._begin()

    def read(self) -> AbstractContextManager[Transaction]:
        return self._read()

    def listen(self, wake: Wake) -> Callable[[], None]:
        """Nobody calls: a file has one server, and that one knows what it commits."""
        return lambda: None

    def reopen(self) -> None:
        """Drop every connection and what is remembered, keep the lock on the file, and open it anew."""
        if self._closed or self._process != os.getpid():
            raise StorageUnavailableError(f"{self._database.name} was closed, or opened before a fork")
        self._database.drop()
        self._open()

    def copy_into(self, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
        return self._database.copy_into(target, force=force, tell=tell)

    def close(self) -> None:
        self._closed = True
        self._database.close()
        self._cache.clear()

    def _open(self) -> None:
        self._cache.clear()
        self._database.open()
        try:
            with self._database.read() as session:
                self._incarnation, self._tx = _life_of(session, self._database.name)
        except BaseException:
            self._database.close()
            raise

    @contextmanager
    def _begin(self) -> Iterator[Transaction]:
        writer = self._database.writer
        with writer.turn() as session:
            self._tx += 1
            transaction = self._transaction(session, tx=self._tx)
            with writer.transaction(session):
                yield transaction
            self._cache.committed(transaction.written)

    @contextmanager
    def _read(self) -> Iterator[Transaction]:
        with self._database.read() as session:
            yield self._transaction(session, tx=None)

    def _transaction(self, session: Session, tx: int | None) -> SqlTransaction:
        return SqlTransaction(session, self._reads, self._cache, self._clock, tx=tx, server_id=self.server_id)


def _life_of(session: Session, name: str) -> tuple[str, int]:
    """The store's incarnation and the last commit number in its history."""
    found = session.rows("SELECT value FROM meta WHERE name = 'incarnation'")
    if not found:
        raise StorageDamagedError(f"{name} has lost its incarnation. Restore it from a backup.")
    return found[0][0], session.rows("SELECT coalesce(max(tx), 0) FROM history")[0][0]
