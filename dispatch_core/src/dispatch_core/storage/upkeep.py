"""The upkeep of a store in a file: back up, verify, restore, look, migrate. SQLite is imported when it is used."""

from __future__ import annotations

import shlex
from os import PathLike, fspath
from pathlib import Path

from dispatch_core.storage.backups import BackupFolder, taken_at
from dispatch_core.storage.opening import sqlite_path
from dispatch_core.storage.reports import (
    Backup,
    Migration,
    Restoration,
    StoreInfo,
    Tell,
    Verdict,
    tell_nobody,
)
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError, StorageUnavailableError

Target = str | PathLike[str]


def backup_store(database: Target, into: Target, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
    """Copy the store in a file as it is now, whoever uses it meanwhile.

    The copy is written under another name, synced, and put in its place in one step. Raises
    CommandRejectedError if ``into`` exists, unless ``force`` allows to replace it.
    """
    from dispatch_core.storage.sql.copying import copy_file

    return copy_file(_there(database), Path(into).resolve(), force=force, tell=tell)


def verify_store(database: Target, *, tell: Tell = tell_nobody) -> Verdict:
    """Check every page, row, history and count of a store in a file, whoever uses it meanwhile."""
    from dispatch_core.storage.sql.verify import verify_file

    return verify_file(_there(database), tell=tell)


def restore_store(database: Target, backup: Target, *, tell: Tell = tell_nobody) -> Restoration:
    """Put a backup in the place of a store in a file; what is there is moved aside, never deleted.

    Raises StorageInUseError while a server uses the store, StorageDamagedError if the backup fails its
    check. The store begins a new incarnation: leases of before are lost, and their jobs are granted anew.
    """
    from dispatch_core.storage.sql.restoring import restore_file

    return restore_file(_file(database), Path(backup), tell=tell)


def store_info(database: Target) -> StoreInfo:
    """What the file of a store says of itself."""
    from dispatch_core.storage.sql.looking import info_of

    return info_of(_there(database))


def migrate_store(database: Target, *, tell: Tell = tell_nobody) -> Migration:
    """Bring a store in a file to this program's schema, after a copy of it was put beside it.

    Raises StorageInUseError while a server uses it, SchemaMismatchError if its schema is newer.
    """
    from dispatch_core.storage.sql.looking import migrate_file

    return migrate_file(_there(database), tell=tell)


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
