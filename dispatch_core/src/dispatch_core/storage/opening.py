"""From a URL or a path to a store."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from dispatch_core.ports.storage import Storage
from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.vocabulary.clock import Clock, SystemClock
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError, StorageDamagedError

_SYSTEM_CLOCK = SystemClock()
_IN_MEMORY = frozenset({"sqlite://", "sqlite:///", "sqlite:///:memory:", ":memory:"})


def create_storage(
    target: str | PathLike[str],
    *,
    clock: Clock = _SYSTEM_CLOCK,
    server_id: str = "local",
    migrate: bool = True,
    init: bool = True,
    backups: str | PathLike[str] | None = None,
) -> Storage:
    """The store a URL or path names.

    ``memory:`` is a store in memory, ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or a bare path a
    file, ``sqlite://`` an SQLite database in memory. A missing file is created if ``init``; a file with an
    older schema is brought up to date if ``migrate``. Raises InvalidCommandError for any other URL, and a
    StorageError that names the file and the mend if the store cannot be used as it is: with ``backups``, a
    folder of them, also the last good one and the command that restores it.

    >>> with create_storage("memory:").read() as transaction:
    ...     list(transaction.buckets())
    []
    """
    name = fspath(target)
    if name in ("memory:", "memory://"):
        return MemoryStorage(clock, server_id=server_id)
    path = sqlite_path(name)
    try:
        from dispatch_core.storage.sql import SqliteFile, SqliteMemory, SqlStorage
    except ModuleNotFoundError as error:
        error.add_note("install dispatch-core[sql] to keep jobs in a database")
        raise
    database = SqliteMemory() if path is None else SqliteFile(path, init=init, migrate=migrate)
    try:
        return SqlStorage(database, clock=clock, server_id=server_id)
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
    if scheme.split("+")[0] in ("postgresql", "postgres"):
        problem = "PostgreSQL comes with a later version; use sqlite:///FILE"
    elif scheme != "sqlite" or not rest.startswith("/"):
        problem = f"{scheme}:// is not known; use sqlite:///FILE, a bare path, or memory:"
    else:
        return Path(rest[1:])
    raise InvalidCommandError([FieldProblem("/database", problem)])
