"""The upkeep of a store in PostgreSQL: look at it, migrate it, begin a new life of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from dispatch_core.storage.reports import Migration, Renewal, SharedInfo, Tell, tell_nobody
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.postgresql_life import (
    begin_life,
    home_of,
    meta_of,
    one,
    open_database,
    revision_of,
    under_lock,
)
from dispatch_core.storage.sql.postgresql_pool import PROGRAM, Pool, link_of
from dispatch_core.storage.sql.postgresql_session import Connection, storage_error
from dispatch_core.vocabulary.errors import (
    SchemaMismatchError,
    StorageInUseError,
    StorageUnavailableError,
)

_CONNECTED = (
    "SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1 ORDER BY 1"
)
# Of the sessions of other users, whoever is no superuser sees that they are there, and no more.
_OLDEST_WRITE = (
    "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::float8"
    " FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
)


def info_of(url: str) -> SharedInfo:
    """What the database says of itself, whoever uses it. Raises StorageError if it cannot be read."""
    pool = Pool(link_of(url, "info"))
    with _connected(pool, "cannot read") as connection:
        revision = _revision(connection, pool)
        meta = meta_of(connection)
        states = connection.execute("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state")
        return SharedInfo(
            name=pool.name,
            size_bytes=one(connection, "SELECT pg_database_size(current_database())"),
            revision=revision,
            newest_revision=schema.HEAD,
            oldest_program=meta.get("oldest_program"),
            incarnation=meta.get("incarnation"),
            jobs=dict(states.fetchall()),
            connected=dict(connection.execute(_CONNECTED.encode()).fetchall()),
            oldest_write_s=one(connection, _OLDEST_WRITE),
            server_version=one(connection, "SHOW server_version"),
        )


def migrate_database(url: str, *, tell: Tell = tell_nobody) -> Migration:
    """Bring the store to this schema, alone among those that would; servers may go on meanwhile."""
    pool = Pool(link_of(url, "migrate"))
    with _connected(pool, "cannot migrate") as connection:
        before = _revision(connection, pool)
    tell("migrate", 0, 1)
    open_database(pool, init=False, migrate=True)
    tell("migrate", 1, 1)
    with _connected(pool, "cannot read") as connection:
        after = _revision(connection, pool)
    return Migration(path=pool.name, before=before, after=after, copy=None)


def renew_database(url: str, *, force: bool = False) -> Renewal:
    """Begin a new life of the store. Raises StorageInUseError while servers are connected, unless ``force``.

    A server that goes on through it knows the former life only: what it grants from then on is lost.
    """
    pool = Pool(link_of(url, "renew"))
    with _connected(pool, "cannot renew") as connection, under_lock(connection):
        revision = _revision(connection, pool)
        if revision != schema.HEAD:
            raise SchemaMismatchError(
                f"{pool.name} has the schema {revision}, this program needs {schema.HEAD}; dispatch db migrate"
            )
        if not force:
            _refuse_servers(connection, pool)
        before = meta_of(connection).get("incarnation")
        with connection.transaction():
            incarnation = begin_life(connection, home_of(connection))
    return Renewal(name=pool.name, before=before, incarnation=incarnation)


def _refuse_servers(connection: Connection, pool: Pool) -> None:
    names = [name for name, _ in connection.execute(_CONNECTED.encode()) if name.startswith(PROGRAM)]
    if names:
        raise StorageInUseError(f"{pool.name} is in use by {', '.join(names)}. Stop them first.")


def _revision(connection: Connection, pool: Pool) -> str:
    revision = revision_of(connection)
    if revision is None:
        raise StorageUnavailableError(f"{pool.name} has no tables of Dispatch; `dispatch serve` makes them")
    return revision


@contextmanager
def _connected(pool: Pool, doing: str) -> Iterator[Connection]:
    """A connection of one's own; what goes wrong with it is a StorageError."""
    with pool.connect() as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise storage_error(error, pool.name, doing) from error
