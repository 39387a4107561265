"""PostgreSQL as a database: many servers, no leader; every transaction decides on rows just read, or locked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from dispatch_core.storage.life import Wake
from dispatch_core.storage.reports import Backup, Tell, tell_nobody
from dispatch_core.storage.sql.listening import Listener
from dispatch_core.storage.sql.postgresql_life import is_life, open_database
from dispatch_core.storage.sql.postgresql_pool import CONNECTIONS_MAX, Pool, link_of
from dispatch_core.storage.sql.postgresql_session import PgSession, storage_error
from dispatch_core.storage.sql.postgresql_words import POSTGRESQL
from dispatch_core.storage.sql.session import Watch, Write
from dispatch_core.storage.sql.statements import Words
from dispatch_core.vocabulary.errors import CommandRejectedError, ConflictError
from dispatch_core.vocabulary.jobs import Bucket

# Committed rows as they are when each statement begins: conditions and locks do the rest. A snapshot would only
# lose more races.
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

# A number for the commit that is greater than that of every commit this one has read: a subtransaction's, drawn
# now. The transaction's own was drawn at its first lock, and others may have written and committed since.
_NUMBER = (
    "INSERT INTO meta AS told VALUES (%s, '1') ON CONFLICT (name) DO UPDATE SET value = (told.value::bigint + 1)::text "
    "RETURNING told.xmin::text::bigint, pg_current_xact_id()::text::bigint,"
    " (SELECT value::bigint FROM meta WHERE name = 'tx_base')"
)
_EPOCH = 2**32


class PostgresqlDatabase:
    """A database that servers share. ``url`` may name several hosts, and whatever else libpq knows."""

    durable = True
    shared = True
    kind = "postgresql"
    words: Words = POSTGRESQL

    def __init__(
        self,
        url: str,
        *,
        init: bool = True,
        migrate: bool = True,
        connections_max: int = CONNECTIONS_MAX,
        server_id: str = "",
    ) -> None:
        self._pool = Pool(link_of(url, server_id), connections_max=connections_max)
        self._init = init
        self._migrate = migrate
        self.name = self._pool.name
        self._listener = Listener(self._pool)

    @property
    def watch(self) -> Watch | None:
        """Called with each statement and its number of rows."""
        return self._pool.watch

    @watch.setter
    def watch(self, watch: Watch | None) -> None:
        self._pool.watch = watch

    def open(self) -> str:
        """Start with what is there or refuse it, in a StorageError that says why; the name of its life."""
        life = open_database(self._pool, init=self._init, migrate=self._migrate)
        self._pool.open(lambda connection: is_life(connection, life))
        return life

    @contextmanager
    def read(self) -> Iterator[PgSession]:
        """A snapshot, which begins with the first statement."""
        with self._pool.reading():
            session = self._pool.take(_READ)
            try:
                yield session
            finally:
                self._pool.put_back(session)

    @contextmanager
    def write(self) -> Iterator[PgSession]:
        """A transaction: committed at the end of the block, rolled back by an exception."""
        session = self._pool.take(_WRITE)
        try:
            yield session
            self._commit(session)
            wake, session.announced = session.announced, frozenset()
        finally:
            session.announced = frozenset()
            self._pool.put_back(session)
        self._listener.committed(wake)

    def _commit(self, session: PgSession) -> None:
        if not session.in_transaction:
            return  # rolled back already by a conflict that the caller chose to catch
        try:
            session.commit()
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
            raise ConflictError(["what another server changed at the same time"]) from error
        except psycopg.Error as error:
            raise storage_error(error, self.name, "the outcome is unknown: a commit failed in") from error

    def number(self, session: PgSession, server_id: str) -> int:
        """The commit number of the transaction, to be asked before anything is written."""
        [(own, top, base)] = session.answer_after("SAVEPOINT numbered", _NUMBER, (f"commits:{server_id}",))
        return int(base + top + (own - top) % _EPOCH)

    def announce(self, session: PgSession, wake: frozenset[Bucket]) -> Sequence[Write]:
        """What tells other servers, once it is committed, which buckets gained work."""
        session.announced = wake
        return self._listener.announcing(wake) if wake else ()

    def clock(self, session: PgSession) -> Callable[[], int]:
        """The database's time, read once and carried on: within a transaction it must not stand still."""
        [(at_us,)] = session.rows(_CLOCK)
        asked_ns = time.monotonic_ns()
        return lambda: int(at_us + (time.monotonic_ns() - asked_ns) // 1000)

    def listen(self, wake: Wake) -> Callable[[], None]:
        """Call ``wake`` when another server has announced work."""
        return self._listener.add(wake)

    def copy_into(self, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
        """Refused: PostgreSQL has backups of its own."""
        raise CommandRejectedError(
            f"{self.name} is backed up by PostgreSQL's own means: pg_dump, or a base backup"
        )

    def drop(self) -> None:
        """Close the connections; who listens goes on."""
        self._pool.drop()

    def close(self) -> None:
        """Close the connections, and let none be made."""
        self._listener.close()
        self._pool.close()
