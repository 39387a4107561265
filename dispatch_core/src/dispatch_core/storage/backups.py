"""A folder of backups: taken under names that sort by time, the oldest thrown away, the last good one found."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from attrs import frozen

from dispatch_core.ports.storage import Storage
from dispatch_core.storage.files import sweep_parts
from dispatch_core.storage.reports import Backup, Tell, tell_nobody
from dispatch_core.vocabulary.clock import to_datetime
from dispatch_core.vocabulary.errors import CommandRejectedError, StorageUnavailableError

_STAMP = "%Y%m%dT%H%M%S.%fZ"


@runtime_checkable
class Copyable(Protocol):
    """A store that can be copied into a file while it is in use."""

    def copy_into(self, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
        """Copy one moment of it."""
        ...


def copy_storage(storage: Storage, target: Path, *, force: bool = False, tell: Tell = tell_nobody) -> Backup:
    """Copy an open store into a file, while others use it.

    Raises CommandRejectedError if the file exists and ``force`` does not allow it, or if the store is one
    that cannot be copied: a store in memory.
    """
    if not isinstance(storage, Copyable):
        raise CommandRejectedError(f"a store in {storage.traits.name} cannot be backed up")
    return storage.copy_into(target, force=force, tell=tell)


@frozen
class BackupFolder:
    """Backups of one store; the newest ``keep`` of them stay. Other files in the folder are left alone."""

    folder: Path
    keep: int = 7

    def take(self, storage: Storage, *, tell: Tell = tell_nobody) -> Backup:
        """Back up an open store now, then throw away what is too much."""
        with storage.read() as snapshot:
            stamp = to_datetime(snapshot.now()).strftime(_STAMP)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sweep_parts(self.folder)
            taken = copy_storage(storage, self.folder / f"dispatch-{stamp}.db", tell=tell)
            for old in self.newest_first()[self.keep :]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise StorageUnavailableError(f"cannot back up into {self.folder}: {error.strerror}") from error
        return taken

    def newest_first(self) -> list[Path]:
        """The backups in the folder."""
        try:
            names = [each for each in self.folder.iterdir() if taken_at(each) is not None]
        except OSError:
            return []
        return sorted(names, key=lambda each: each.name, reverse=True)

    def last_good(self) -> Path | None:
        """The newest backup whose pages hold together; None if there is none."""
        from dispatch_core.storage.sql.sqlite_file import looks_sound

        return next((each for each in self.newest_first() if looks_sound(each)), None)


def taken_at(path: Path) -> datetime | None:
    """When a backup was taken, by its name; None if this is no name of a backup.

    >>> taken_at(Path("dispatch-20300101T120000.000000Z.db")).hour
    12
    """
    stamp = path.name.removeprefix("dispatch-").removesuffix(".db")
    try:
        found = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
        return found if path.name == f"dispatch-{stamp}.db" else None
    except ValueError:
        return None
