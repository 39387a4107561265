"""From a URL or a path to a store."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path

from dispatch_core.ports.storage import Storage
from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.vocabulary.clock import Clock, SystemClock
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError, StorageDamagedError

_SYSTEM_CLOCK = SystemClock()
_ALONE = "local"
_IN_MEMORY = frozenset({"sqlite://", "sqlite:///", "sqlite:///:memory:", ":memory:"})


def create_storage(
    target: str | PathLike[str],
    *,
    clock: Clock | None = None,
    server_id: str | None = None,
    migrate: bool = True,
    init: bool = True,
    backups: str | PathLike[str] | None = None,
    connections_max: int | None = None,
) -> Storage:
    """The store a URL or path names.

    ``memory:`` is a store in memory, ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or a bare path a
    file, ``sqlite://`` an SQLite database in memory, ``postgresql+psycopg://USER@HOST/DATABASE`` (and whatever
    else libpq knows) a database that several servers share. A missing file, or the tables in an empty
    database, are made if ``init``; an older schema is brought up to date if ``migrate``. Without a ``clock``
    the time is the system's, or that of the PostgreSQL server. Raises InvalidCommandError for any other URL, and a
    StorageError that names the file and the mend if the store cannot be used as it is: with ``backups``, a
    folder of them, also the last good one and the command that restores it.

    On PostgreSQL ``server_id`` tells this server from the others, which is this machine's name unless it is given:
    two servers with one id are correct, and wait for each other. ``connections_max`` (10) is how many connections
    it may have, one that listens not counted. PostgreSQL needs ``dispatch-core[postgresql]``.

    >>> with create_storage("memory:").read() as transaction:
    ...     list(transaction.buckets())
    []
    """
    name = fspath(target)
    if name in ("memory:", "memory://"):
        return MemoryStorage(clock or _SYSTEM_CLOCK, server_id=server_id or _ALONE)
    if is_postgresql(name):
        server = server_id or socket.gethostname()
        return _postgresql(name, server, connections_max, clock=clock, migrate=migrate, init=init)
    path = sqlite_path(name)
    try:
        from dispatch_core.storage.sql import SqliteFile, SqliteMemory, SqlStorage
    except ModuleNotFoundError as error:
        error.add_note("install dispatch-core[sql] to keep jobs in a database")
        raise
    database = SqliteMemory() if path is None else SqliteFile(path, init=init, migrate=migrate)
    try:
        return SqlStorage(database, clock=clock, server_id=server_id or _ALONE)
    except StorageDamagedError as error:
        from dispatch_core.storage.upkeep import mend_of

        raise StorageDamagedError(f"{error} {mend_of(name, backups)}") from error


def sqlite_path(name: str) -> Path | None:
    """The file a URL or path names; None for SQLite in memory. Raises InvalidCommandError for other URLs.

    >>> sqlite_path("sqlite:////var/lib/dispatch/jobs.db").as_posix()
    '/var/lib/dispatch/jobs.db'
    """
    if name in _IN_MEMORY:
        return None
    scheme, separator, rest = name.partition("://")
    if not separator:
        return Path(name)
    if is_postgresql(name):
        problem = "must be a file: PostgreSQL has means of its own for this"
    elif scheme != "sqlite" or not rest.startswith("/"):
        problem = (
            f"{scheme}:// is not known; use sqlite:///FILE, a bare path, postgresql+psycopg://…, or memory:"
        )
    else:
        return Path(rest[1:])
    raise InvalidCommandError([FieldProblem("/database", problem)])


def is_postgresql(name: str) -> bool:
    """Whether a URL names a PostgreSQL database.

    >>> is_postgresql("postgresql+psycopg://me@db.example/farm"), is_postgresql("farm.db")
    (True, False)
    """
    return name.partition("://")[0].partition("+")[0] in ("postgresql", "postgres")


@contextmanager
def postgresql_driver() -> Iterator[None]:
    """Within it, PostgreSQL's adapter may be imported. Raises InvalidCommandError if its driver is not installed."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("dispatch_core"):
            raise
        problem = 'needs the driver of PostgreSQL: pip install "dispatch-core[postgresql]"'
        raise InvalidCommandError([FieldProblem("/database", problem)]) from error


def _postgresql(
    url: str, server_id: str, connections_max: int | None, *, clock: Clock | None, migrate: bool, init: bool
) -> Storage:
    with postgresql_driver():
        from dispatch_core.storage.sql.postgresql import PostgresqlDatabase
        from dispatch_core.storage.sql.postgresql_pool import CONNECTIONS_MAX
        from dispatch_core.storage.sql.storage import SqlStorage
    database = PostgresqlDatabase(
        url,
        init=init,
        migrate=migrate,
        connections_max=connections_max or CONNECTIONS_MAX,
        server_id=server_id,
    )
    return SqlStorage(database, clock=clock, server_id=server_id)
