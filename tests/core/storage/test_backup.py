"""A backup is one moment of a store in use, whole or not there; a folder of them keeps what it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dispatch_core import CommandRejectedError, Dispatcher, ManualClock, Storage, StorageUnavailableError
from dispatch_core.storage import (
    BackupFolder,
    MemoryStorage,
    backup_store,
    copy_storage,
    create_storage,
    replacing,
    restore_store,
    verify_store,
)
from dispatch_core.storage.files import sweep_parts
from dispatch_core.storage.sql import copying
from tests.core.house import spec
from tests.core.storage.filled import fill, filled, in_child, jobs_in, rows_in

THREADS = 4
BACKUPS = 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def storage(path: Path, clock: ManualClock) -> Iterator[Storage]:
    with closing(create_storage(path, clock=clock)) as storage:
        yield storage


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def acknowledged(path: Path) -> list[tuple[object, ...]]:
    return rows_in(path)["history"]


@pytest.mark.checklist(4)
@pytest.mark.checklist(1)
def test_backups_under_load_are_acknowledged_prefixes(path: Path, tmp_path: Path) -> None:
    """Four threads submit while backups are taken: each holds a prefix of the history, with all that was answered
    before it began; each restores to a store of its own life that passes every check."""
    with closing(create_storage(path)) as storage, Dispatcher(storage, group_commit=True) as dispatcher:
        told: list[str] = []
        stop = threading.Event()

        def submit() -> None:
            while not stop.is_set():
                told.append(dispatcher.submit(spec()).id)

        threads = [threading.Thread(target=submit) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        backups: list[tuple[Path, set[str]]] = []
        for number in range(BACKUPS):
            before = set(told)
            taken = copy_storage(storage, tmp_path / f"backup-{number}.db")
            backups.append((taken.path, before))
        stop.set()
        for thread in threads:
            thread.join()
    whole = acknowledged(path)
    lives = {storage.incarnation}
    for number, (backup, before) in enumerate(backups):
        prefix = acknowledged(backup)
        assert prefix == whole[: len(prefix)]
        restored = tmp_path / f"restored-{number}.db"
        lives.add(restore_store(restored, backup).incarnation)
        assert verify_store(restored).ok
        assert before <= {job.id for job in jobs_in(restored)} <= set(told)
    assert len(lives) == 1 + BACKUPS


@pytest.mark.checklist(4)
def test_a_backup_is_taken_by_another_process_too(path: Path, storage: Storage, tmp_path: Path) -> None:
    """Whoever may read the file can back it up while its server runs; the log that is not in the file yet counts."""
    fill(storage)
    program = f"from dispatch_core.storage import backup_store; backup_store({str(path)!r}, 'copy.db')"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert rows_in(tmp_path / "copy.db") == rows_in(path)
    fill(storage)  # and the server goes on


def test_a_backup_replaces_nothing_unless_it_may(path: Path, storage: Storage, tmp_path: Path) -> None:
    """A file that is there stays as it is without ``force``."""
    target = tmp_path / "backup.db"
    target.write_text("precious")
    with pytest.raises(CommandRejectedError, match=r"backup\.db exists"):
        backup_store(path, target)
    assert target.read_text() == "precious"
    backup_store(path, target, force=True)
    assert verify_store(target).ok


def test_a_store_in_memory_has_no_backup(tmp_path: Path) -> None:
    """It says so instead of writing something else."""
    with pytest.raises(CommandRejectedError, match="memory"):
        copy_storage(MemoryStorage(), tmp_path / "backup.db")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_to_the_end(storage: Storage, tmp_path: Path) -> None:
    """The last that is told is that all of it is done."""
    told: list[tuple[str, int, int]] = []
    copy_storage(storage, tmp_path / "backup.db", tell=lambda *step: told.append(step))
    step, done, total = told[-1]
    assert (step, done) == ("copy", total)


@pytest.mark.checklist(5)
def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    """What is written under ``replacing`` takes its place in one step; a failure leaves no trace."""
    place = tmp_path / "export.json"
    place.write_text("old")

    def fail() -> None:
        with replacing(place) as new:
            new.write_text("half of the n")
            raise RuntimeError(place.read_text())

    with pytest.raises(RuntimeError, match="old"):
        fail()
    assert (place.read_text(), names_in(tmp_path)) == ("old", ["export.json"])
    with replacing(place) as new:
        new.write_text("new")
    assert (place.read_text(), names_in(tmp_path)) == ("new", ["export.json"])


@pytest.mark.checklist(5)
def test_what_takes_its_place_was_synced_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on the disk before the name says so, and the name before the caller hears of it."""
    happened: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: happened.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    place = tmp_path / "export.json"
    with replacing(place) as new:
        new.write_text("new")
        assert happened == []
    assert happened == [str(new), str(tmp_path)]


@pytest.mark.checklist(5)
def test_a_backup_that_is_killed_leaves_the_last_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL while the copy is written: the backup of before is still there, and so is the store."""
    filled(path, 400)
    backup = tmp_path / "backups" / "backup.db"
    backup.parent.mkdir()
    backup_store(path, backup)
    before = backup.read_bytes()
    filled(path)

    def killed() -> None:
        monkeypatch.setattr(copying, "STEPS_BETWEEN_CALLS", 1_000)
        backup_store(path, backup, force=True, tell=lambda *_: os.kill(os.getpid(), signal.SIGKILL))

    assert in_child(killed) == -signal.SIGKILL
    assert backup.read_bytes() == before
    left = [each for each in backup.parent.iterdir() if each != backup]
    assert left
    for part in left:
        os.utime(part, (0, 0))
    sweep_parts(backup.parent)
    backup_store(path, backup, force=True)
    assert names_in(backup.parent) == ["backup.db"]
    assert verify_store(backup).ok
    assert verify_store(path).ok


def test_a_folder_keeps_the_newest(storage: Storage, clock: ManualClock, tmp_path: Path) -> None:
    """As many as it was told to keep; files it did not make are not its own to delete."""
    folder = BackupFolder(tmp_path / "backups", keep=2)
    taken = []
    for _ in range(4):
        taken.append(folder.take(storage).path)
        clock.advance(60)
    (tmp_path / "backups" / "dispatch-of-mine.db").write_text("mine")
    assert folder.newest_first() == [taken[3], taken[2]]
    assert names_in(folder.folder) == sorted([taken[2].name, taken[3].name, "dispatch-of-mine.db"])
    assert taken[3].stat().st_mode & 0o777 == 0o600


def test_the_last_good_backup_is_a_good_one(storage: Storage, clock: ManualClock, tmp_path: Path) -> None:
    """A newer one that is damaged does not count."""
    folder = BackupFolder(tmp_path / "backups")
    assert folder.last_good() is None
    good = folder.take(storage).path
    clock.advance(1)
    bad = folder.take(storage).path
    bad.write_bytes(bad.read_bytes()[:5000])
    assert folder.last_good() == good


def test_a_folder_that_cannot_be_written_is_named(storage: Storage, tmp_path: Path) -> None:
    """The refusal says which."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailableError, match="file"):
        BackupFolder(tmp_path / "file").take(storage)
