"""Restore: a verified backup takes the place of a store, which is moved aside, in steps that may stop anywhere.

The copy is complete, synced and named ``….restored`` before the present file is touched. From then on a
start of the store finishes what a killed restore began: there is no moment at which neither is there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from dispatch_core.storage.files import replacing, sync_file, sync_folder
from dispatch_core.storage.reports import Restoration, Tell, Verdict, tell_nobody
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.copying import copy_file
from dispatch_core.storage.sql.lockfile import LockFile
from dispatch_core.storage.sql.sqlite_file import begin_life, connect, revision_of
from dispatch_core.storage.sql.sqlite_session import storage_error
from dispatch_core.storage.sql.verify import verify_file
from dispatch_core.vocabulary.errors import StorageDamagedError, StorageUnavailableError

logger = logging.getLogger(__name__)

BESIDE = ("-wal", "-shm")
EDIT_PRAGMAS = ("PRAGMA journal_mode=DELETE", "PRAGMA synchronous=FULL", "PRAGMA temp_store=MEMORY")


def restore_file(path: Path, backup: Path, *, tell: Tell = tell_nobody) -> Restoration:
    """Put a backup in the place of a store that nobody uses.

    Raises StorageInUseError while a server has it, StorageDamagedError if the backup fails its check;
    nothing has changed then. Every token of before is void: the store begins a new incarnation.
    """
    path, backup = path.resolve(), backup.resolve()
    if not backup.is_file():
        raise StorageUnavailableError(f"there is no backup {backup}")
    if backup == path:
        raise StorageUnavailableError(f"{backup} is the store itself; name a backup of it")
    lock = LockFile(path)
    lock.acquire()
    try:
        _as_before(path, lock.path)
        finish(path)
        verdict = _sound(backup, tell)
        waiting = _restored(path)
        waiting.unlink(missing_ok=True)
        with replacing(waiting) as new:
            copy_file(backup, new, tell=tell)
            incarnation = _renewed(new)
            if verdict.revision != schema.HEAD:
                verdict = _sound(new, tell)
            _as_before(path, new)
        aside = finish(path, replace=True)
    except OSError as error:
        raise StorageUnavailableError(f"cannot restore {path}: {error}") from error
    finally:
        lock.release()
    return Restoration(
        path=path,
        backup=backup,
        aside=aside,
        incarnation=incarnation,
        migrated_from=None if verdict.path == backup else _revision_in(backup),
        verdict=verdict,
    )


def finish(path: Path, *, replace: bool = False) -> Path | None:
    """Let a complete ``….restored`` take the place of a store; where the store went, if it was there.

    Without ``replace`` this is what every start does, under the lock: it goes on only if the store was
    moved away already; if it was not, the restore had not happened yet, and its copy is dropped.
    """
    new = _restored(path)
    if not new.exists():
        return None
    if path.exists() and not replace:
        new.unlink()
        return None
    aside = _move_aside(path, new)
    new.rename(path)
    sync_folder(path.parent)
    if not replace:
        logger.warning("%s: finished a restore that had been interrupted", path)
    return aside


def _restored(path: Path) -> Path:
    return path.with_name(path.name + ".restored")


def _move_aside(path: Path, new: Path) -> Path | None:
    """Move a store and its log away. Left beside another file, the log would be replayed into that one.

    The file goes first: without its log it must never be found under its name. Should this stop half-way,
    the log follows under the same name, which is why that is made from the age of the new file.
    """
    stamp = datetime.fromtimestamp(new.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.replaced-{stamp}")
    moved = path.exists()
    for ending in ("", *BESIDE):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    return aside if moved else None


def _sound(path: Path, tell: Tell) -> Verdict:
    verdict = verify_file(path, tell=tell)
    if not verdict.ok:
        first = "; ".join(verdict.findings[:3])
        raise StorageDamagedError(
            f"{path} fails its check with {verdict.findings_total} findings, and nothing was changed: {first}"
        )
    return verdict


def _renewed(path: Path) -> str:
    """Bring a copy to this schema, and begin its new life."""
    try:
        with contextlib.closing(connect(path, "rw", EDIT_PRAGMAS)) as connection:
            if revision_of(connection) != schema.HEAD:
                from dispatch_core.storage.sql import migrating

                migrating.upgrade(connection)
            connection.execute("BEGIN IMMEDIATE")
            incarnation = begin_life(connection)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise storage_error(error, str(path), "cannot write") from error
    sync_file(path)
    return incarnation


def _revision_in(path: Path) -> str | None:
    with contextlib.closing(connect(path, "ro", ())) as connection:
        return revision_of(connection)


def _as_before(path: Path, new: Path) -> None:
    """Give a file the mode and the owner of the one it replaces: who restores may be somebody else."""
    with contextlib.suppress(OSError):
        known = path.stat()
        shutil.copymode(path, new)
        if os.name == "posix":
            os.chown(new, known.st_uid, known.st_gid)
