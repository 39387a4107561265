"""One owner for one database file: an advisory lock on a file beside it, gone when its process is gone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dispatch_core.vocabulary.errors import StorageInUseError, StorageUnavailableError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class LockFile:
    """Held from ``acquire`` to ``release``. The file itself stays: removing it would let two owners in."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether it was not held before. Raises StorageInUseError if another handle has it."""
        if self._descriptor is not None:
            return False
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageUnavailableError(
                f"cannot open {self.path}: {error.strerror}. "
                f"Its folder must exist and be writable, or name another place for the database."
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StorageInUseError(
                f"{self._database} is in use by another server (process {owner or 'unknown'}). "
                f"Stop that one, or talk to it over HTTP; two servers need PostgreSQL."
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let others have it. Harmless if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
