"""The store in an SQL database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from dispatch_core.ports.storage import StorageTraits, Transaction
from dispatch_core.storage.life import Wake
from dispatch_core.storage.reports import Backup, Tell, tell_nobody
from dispatch_core.storage.sql.cache import RecordCache
from dispatch_core.storage.sql.forms import Form
from dispatch_core.storage.sql.schema import HEAD
from dispatch_core.storage.sql.session import Watch, Write
from dispatch_core.storage.sql.statements import Words
from dispatch_core.storage.sql.transaction import Commit, Reads, SqlTransaction
from dispatch_core.storage.sql.writing import Texts, usual_texts
from dispatch_core.vocabulary.clock import Clock, SystemClock
from dispatch_core.vocabulary.errors import StorageUnavailableError
from dispatch_core.vocabulary.jobs import Bucket
from dispatch_core.vocabulary.records import RecordType

RECORDS_CACHED = 8_000
"""Decoded records kept: about 3 KiB each."""

_SYSTEM_CLOCK = SystemClock()


class Database(Protocol):
    """What a store needs of a database. Its sessions are its own: nobody else looks into them."""

    watch: Watch | None

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def words(self) -> Words:
        """How it is spoken to."""
        ...

    @property
    def kind(self) -> str:
        """Which database it is."""
        ...

    @property
    def durable(self) -> bool:
        """Whether it outlives the process."""
        ...

    @property
    def shared(self) -> bool:
        """Whether several servers may use it."""
        ...

    def open(self) -> str:
        """Start with what is there or refuse it; the name of its present life."""
        ...

    def read(self) -> AbstractContextManager[Any]:
        """A session on a snapshot."""
        ...

    def write(self) -> AbstractContextManager[Any]:
        """A session in a transaction: committed at the end of the block, rolled back by an exception."""
        ...

    def number(self, session: Any, server_id: str) -> int:
        """The commit number of the transaction: above that of every commit it has read."""
        ...

    def announce(self, session: Any, wake: frozenset[Bucket]) -> Sequence[Write]:
        """What tells other servers, once the transaction is committed, which buckets gained work."""
        ...

    def clock(self, session: Any) -> Callable[[], int] | None:
        """The database's own time (µs), if it has one."""
        ...

    def listen(self, wake: Wake) -> Callable[[], None]:
        """Call ``wake`` when another server has announced work. Returns how to stop."""
        ...

    def copy_into(self, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
        """Copy one moment of it into a file."""
        ...

    def drop(self) -> None:
        """Close every connection; ``open`` makes new ones."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class SqlStorage:
    """A store in an SQL database. Without a ``clock``, the time is the database's, or the system's if it has none.

    After a commit that failed (StorageUnavailableError, "the outcome is unknown") SQLite refuses further
    transactions until ``reopen``. ``forms`` replaces how types of records lie in tables (for tests).
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock | None = None,
        server_id: str = "local",
        records_cached: int = RECORDS_CACHED,
        forms: Mapping[RecordType, Form] | None = None,
    ) -> None:
        self.server_id = server_id
        self._database = database
        self._clock = clock or _SYSTEM_CLOCK
        self._given_clock = clock
        texts = usual_texts(database.words) if forms is None else Texts.compile(forms, database.words)
        self._reads = Reads(texts)
        self._cache = RecordCache(records_cached)
        self._traits = StorageTraits(
            name=database.kind, shared=database.shared, durable=database.durable, schema=HEAD
        )
        self._closed, self._process = False, os.getpid()
        self._incarnation = self._database.open()

    @property
    def traits(self) -> StorageTraits:
        return self._traits

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
        return self._database.listen(wake)

    def reopen(self) -> None:
        """Drop every connection and what is remembered, keep the lock on a file, and open it anew."""
        if self._closed or self._process != os.getpid():
            raise StorageUnavailableError(f"{self._database.name} was closed, or opened before a fork")
        self._database.drop()
        self._cache.clear()
        self._incarnation = self._database.open()

    def copy_into(self, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
        return self._database.copy_into(target, force=force, tell=tell)

    def close(self) -> None:
        self._closed = True
        self._database.close()
        self._cache.clear()

    @contextmanager
    def _begin(self) -> Iterator[Transaction]:
        with self._database.write() as session:
            transaction = self._transaction(session, Commit(self._database, session, self.server_id))
            yield transaction
        self._cache.committed(transaction.written)

    @contextmanager
    def _read(self) -> Iterator[Transaction]:
        with self._database.read() as session:
            yield self._transaction(session, None)

    def _transaction(self, session: Any, commit: Commit | None) -> SqlTransaction:
        clock = None if self._given_clock else self._database.clock(session)
        return SqlTransaction(session, self._reads, self._cache, clock or self._clock.now_us, commit=commit)
