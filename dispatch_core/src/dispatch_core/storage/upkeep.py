"""The upkeep of a store: back up, verify, restore, look, migrate, renew. A database is imported when it is used."""

from __future__ import annotations

import shlex
from os import PathLike, fspath
from pathlib import Path

from dispatch_core.storage.backups import BackupFolder, taken_at
from dispatch_core.storage.opening import is_postgresql, postgresql_driver, sqlite_path
from dispatch_core.storage.reports import (
    Backup,
    Migration,
    Renewal,
    Restoration,
    SharedInfo,
    StoreInfo,
    Tell,
    Verdict,
    tell_nobody,
)
from dispatch_core.vocabulary.errors import (
    CommandRejectedError,
    FieldProblem,
    InvalidCommandError,
    StorageUnavailableError,
)

Target = str | PathLike[str]


def backup_store(database: Target, into: Target, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
    """Copy the store in a file as it is now, whoever uses it meanwhile.

    The copy is written under another name, synced, and put in its place in one step. Raises
    CommandRejectedError if ``into`` exists, unless ``force`` allows to replace it; and for PostgreSQL, with the
    command that does it.
    """
    if is_postgresql(fspath(database)):
        raise CommandRejectedError(
            "PostgreSQL has means of its own for this, while servers go on: "
            f"pg_dump --format=custom --file={shlex.quote(fspath(into))} {_plain(fspath(database))}"
        )
    from dispatch_core.storage.sql.copying import copy_file

    return copy_file(_there(database), Path(into).resolve(), force=force, tell=tell)


def verify_store(database: Target, *, tell: Tell = tell_nobody) -> Verdict:
    """Check every row, history and count of a store, and every page of a file, whoever uses it meanwhile."""
    if is_postgresql(fspath(database)):
        with postgresql_driver():
            from dispatch_core.storage.sql.postgresql_verify import verify_database
        return verify_database(fspath(database), tell=tell)
    from dispatch_core.storage.sql.verify import verify_file

    return verify_file(_there(database), tell=tell)


def restore_store(database: Target, backup: Target, *, tell: Tell = tell_nobody) -> Restoration:
    """Put a backup in the place of a store in a file; what is there is moved aside, never deleted.

    Raises StorageInUseError while a server uses the store, StorageDamagedError if the backup fails its
    check, CommandRejectedError for PostgreSQL, with the commands that do it. The store begins a new incarnation:
    leases of before are lost, and their jobs are granted anew.
    """
    if is_postgresql(fspath(database)):
        url = _plain(fspath(database))
        raise CommandRejectedError(
            "PostgreSQL has means of its own for this. Restore into a new database, and let the servers use that: "
            f"createdb NEW && pg_restore --exit-on-error --no-owner --dbname={url.rpartition('/')[0]}/NEW "
            f"{shlex.quote(fspath(backup))}"
        )
    from dispatch_core.storage.sql.restoring import restore_file

    return restore_file(_file(database), Path(backup), tell=tell)


def store_info(database: Target) -> StoreInfo | SharedInfo:
    """What a store says of itself: a file, or a database that servers share."""
    if is_postgresql(fspath(database)):
        with postgresql_driver():
            from dispatch_core.storage.sql import postgresql_looking
        return postgresql_looking.info_of(fspath(database))
    from dispatch_core.storage.sql.looking import info_of

    return info_of(_there(database))


def migrate_store(database: Target, *, tell: Tell = tell_nobody) -> Migration:
    """Bring a store to this program's schema; of a file a copy is put beside it first.

    Raises StorageInUseError while a server uses the file, SchemaMismatchError if its schema is newer.
    """
    if is_postgresql(fspath(database)):
        with postgresql_driver():
            from dispatch_core.storage.sql import postgresql_looking
        return postgresql_looking.migrate_database(fspath(database), tell=tell)
    from dispatch_core.storage.sql.looking import migrate_file

    return migrate_file(_there(database), tell=tell)


def renew_store(database: Target, *, force: bool = False) -> Renewal:
    """Begin a new incarnation of a store in PostgreSQL: leases of before are lost, and their jobs are granted anew.

    For a restore that the store cannot notice, over the tables of the same database. A copy, a restore into
    another database and a promoted standby it notices itself. Raises StorageInUseError while servers are connected,
    unless ``force``; those must be started anew.
    """
    if not is_postgresql(fspath(database)):
        problem = "must be of PostgreSQL: a file begins a new life when it is restored"
        raise InvalidCommandError([FieldProblem("/database", problem)])
    with postgresql_driver():
        from dispatch_core.storage.sql import postgresql_looking
    return postgresql_looking.renew_database(fspath(database), force=force)


def mend_of(database: Target, backups: Target | None) -> str:
    """What to do about a store that cannot be read: the last good backup, and the command that restores it."""
    path = shlex.quote(str(_file(database).resolve()))
    if backups is None:
        return f"Restore it with: dispatch db restore BACKUP --database {path}"
    found = BackupFolder(Path(backups)).last_good()
    if found is None:
        return f"There is no good backup in {fspath(backups)}. With one: dispatch db restore BACKUP --database {path}"
    when = taken_at(found)
    return (
        f"The last good backup is {found} (taken {when:%Y-%m-%d %H:%M:%S} UTC). "
        f"Restore it with: dispatch db restore {shlex.quote(str(found))} --database {path}"
    )


def _plain(url: str) -> str:
    """A URL as PostgreSQL's own programs take it, for people to read: without its password and its options.

    >>> _plain("postgresql+psycopg://me:secret@db:5432/farm?sslmode=require")
    'postgresql://me@db:5432/farm'
    """
    user, at, place = url.partition("://")[2].partition("?")[0].rpartition("@")
    return f"postgresql://{user.partition(':')[0]}{at}{place}"


def _file(database: Target) -> Path:
    path = None if fspath(database) in ("memory:", "memory://") else sqlite_path(fspath(database))
    if path is None:
        raise InvalidCommandError([FieldProblem("/database", "must be a file: memory has no upkeep")])
    return path


def _there(database: Target) -> Path:
    path = _file(database).resolve()
    if not path.is_file():
        raise StorageUnavailableError(f"{path} does not exist")
    return path
