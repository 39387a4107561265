"""The server's backups: on request and by the clock, one at a time, into the one folder that the settings name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dispatch_core import Dispatcher, DispatchError
from dispatch_core.storage import Backup, BackupFolder, taken_at
from dispatch_http.logs import Log
from dispatch_http.problems import Refusal
from dispatch_http.settings import HttpSettings, SettingsError

_MICROSECONDS = 1_000_000
_AGAIN_S = 60.0


class Backups:
    """Knows the folder, or refuses. What is due by the clock is copied by a thread that ``stop`` joins."""

    def __init__(self, dispatcher: Dispatcher, settings: HttpSettings) -> None:
        if settings.backup_every_s and settings.backup_dir is None:
            raise SettingsError("backup_every_s needs a folder to put backups in: set backup_dir")
        if settings.backup_every_s and dispatcher.storage.traits.name == "postgresql":
            raise SettingsError(
                "backup_every_s is for a store in a file: back PostgreSQL up by its own means (pg_dump)"
            )
        self._storage = dispatcher.storage
        self._folder = (
            None
            if settings.backup_dir is None
            else BackupFolder(Path(settings.backup_dir), settings.backup_keep)
        )
        self._every_us = round(settings.backup_every_s * _MICROSECONDS)
        self._busy = threading.Lock()
        self._due_us: int | None = None
        self._pool: ThreadPoolExecutor | None = None

    def take(self) -> Backup:
        """Back up now. Raises Refusal if there is no folder, or if another backup is being taken."""
        folder = self._own_folder()
        if not self._busy.acquire(blocking=False):
            raise Refusal("backup-running", "another backup is being taken", headers={"Retry-After": "5"})
        try:
            return folder.take(self._storage)
        finally:
            self._busy.release()

    def known(self) -> Sequence[Path]:
        """The backups there are, newest first. Raises Refusal if there is no folder."""
        return self._own_folder().newest_first()

    def _own_folder(self) -> BackupFolder:
        if self._folder is None:
            raise Refusal("no-backup-folder", "this server has no folder for backups: set backup_dir")
        return self._folder

    # ----- by the clock

    def take_if_due(self, log: Log) -> None:
        """Begin a backup in the background if the last one is old enough. Called with every tick."""
        if not self._every_us or self._folder is None:
            return
        with self._storage.read() as snapshot:
            now = snapshot.now()
        if self._due_us is None:
            self._due_us = self._next_us(now)
        # A clock set back must not put the next backup off for as long as it was wrong.
        if self._due_us - self._every_us <= now < self._due_us:
            return
        self._due_us = now + self._every_us
        self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="dispatch-backup")
        self._pool.submit(self._scheduled, log, now)

    def _next_us(self, now: int) -> int:
        newest = [taken for each in self.known() if (taken := taken_at(each)) is not None][:1]
        return round(newest[0].timestamp() * _MICROSECONDS) + self._every_us if newest else now

    def _scheduled(self, log: Log, now: int) -> None:
        try:
            taken = self.take()
            log.info("backup taken", name=taken.path.name, size_bytes=taken.size_bytes)
        except Refusal:
            return  # somebody asked for one just now: that is as good
        except DispatchError as error:
            self._due_us = now + round(min(_AGAIN_S * _MICROSECONDS, self._every_us))
            log.warning("backup failed", code=error.code, detail=str(error))
        except Exception:  # whatever it was, the next one must still be tried
            log.exception("backup failed")

    def stop(self) -> None:
        """Finish the backup that is being taken."""
        if self._pool is not None:
            self._pool.shutdown()
