"""A restore gives exactly the backup, in a new life; whatever stops it, a store is there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dispatch_core import (
    Dispatcher,
    HeldLease,
    Job,
    LeaseLostError,
    ManualClock,
    Progress,
    StorageDamagedError,
    StorageInUseError,
    StorageUnavailableError,
)
from dispatch_core.storage import (
    BackupFolder,
    backup_store,
    create_storage,
    restore_store,
    verify_store,
)
from dispatch_core.testing.checkers import check_store
from tests.core.house import claim, spec, start
from tests.core.storage.filled import fill, filled, in_child, jobs_in, rows_in

LIFE = ("meta",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def backup(path: Path, tmp_path: Path) -> Path:
    """A backup of a store that has gone on since, and was killed: its log is not in its file."""
    filled(path)
    backup_store(path, tmp_path / "backup.db")
    assert in_child(lambda: fill(create_storage(path), 300)) == 0
    assert path.with_name("jobs.db-wal").stat().st_size > 0
    return tmp_path / "backup.db"


@pytest.mark.checklist(4)
@pytest.mark.checklist(34)
def test_a_restore_gives_exactly_the_backup(path: Path, backup: Path) -> None:
    """Row by row, although the log of the store that was there would replay into it; that store is kept with its log."""
    lost = {job.id for job in jobs_in_copy(path)}
    done = restore_store(path, backup)
    assert rows_in(path, but=LIFE) == rows_in(backup, but=LIFE)
    assert verify_store(path).ok
    assert done.aside is not None
    assert {job.id for job in jobs_in(done.aside)} == lost
    assert {job.id for job in jobs_in(path)} == {job.id for job in jobs_in_copy(backup)} < lost


def jobs_in_copy(path: Path) -> list[Job]:
    """The jobs of a file, read from a copy, so that opening it does not tidy its log away."""
    copy = path.with_name(path.name + "-read-here")
    backup_store(path, copy)
    return jobs_in(copy)


@pytest.mark.checklist(4)
def test_a_token_of_before_the_restore_is_lost(path: Path, tmp_path: Path) -> None:
    """Every report with a lease of the former life is refused, even for the attempt the backup shows as open; the job
    is granted anew under a token that was never issued. Only what was accepted before is answered again."""
    clock = ManualClock()
    with closing(create_storage(path, clock=clock)) as storage, Dispatcher(storage) as first:
        start(first)
        first.submit_many([spec(), spec()])
        open_lease, done_lease = first.claim("e1", session="s1", limit=2)
        answer = first.complete(done_lease, {"ok": True})
        backup_store(path, tmp_path / "backup.db")
    restore_store(path, tmp_path / "backup.db")
    with closing(create_storage(path, clock=clock)) as storage, Dispatcher(storage) as second:
        for report in (
            second.renew,
            lambda lease: second.progress(lease, Progress(fraction=0.5)),
            second.complete,
            second.give_back,
        ):
            with pytest.raises(LeaseLostError, match="restored"):
                report(open_lease)
        assert second.complete(done_lease, {"ok": True}) == answer
        held = [HeldLease(open_lease.job.id, open_lease.token)]
        assert [each.lost for each in second.heartbeat("e1", session="s1", leases=held).leases] == [True]
        for _ in range(4):
            clock.advance(20)
            second.tick()
        again = claim(second)
        assert (again.job.id, again.attempt) == (open_lease.job.id, 2)
        assert again.token not in (open_lease.token, done_lease.token)
        second.complete(again)
        check_store(storage)


def test_a_restore_waits_for_the_server_to_stop(path: Path, backup: Path) -> None:
    """While somebody has the store, nothing is touched."""
    with closing(create_storage(path)), pytest.raises(StorageInUseError, match=str(os.getpid())):
        restore_store(path, backup)
    assert sorted(each.name for each in path.parent.glob("jobs.db.re*")) == []


@pytest.mark.checklist(34)
def test_a_damaged_backup_is_refused_before_anything_is_moved(path: Path, backup: Path) -> None:
    """The check of the backup comes first, down to a changed value in a row."""
    content = backup.read_bytes()
    backup.write_bytes(content.replace(b"not wanted", b"not wantee"))
    before = rows_in(path)
    with pytest.raises(StorageDamagedError, match="is not the row that was written"):
        restore_store(path, backup)
    assert rows_in(path) == before
    with pytest.raises(StorageUnavailableError, match="no backup"):
        restore_store(path, path.with_name("nowhere.db"))


def test_a_restore_into_nothing_makes_the_store(tmp_path: Path) -> None:
    """On a new machine there is nothing to move aside."""
    filled(tmp_path / "jobs.db")
    backup_store(tmp_path / "jobs.db", tmp_path / "backup.db")
    done = restore_store(tmp_path / "new.db", tmp_path / "backup.db")
    assert done.aside is None
    assert rows_in(tmp_path / "new.db", but=LIFE) == rows_in(tmp_path / "backup.db", but=LIFE)


def killed_after(steps: int, path: Path, backup: Path) -> int:
    """Restore in a process that is killed before its next step towards the disk; its exit code."""
    left = [steps]

    def counting(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return step

    def restore() -> None:
        for name in ("rename", "replace", "unlink", "chmod"):
            setattr(Path, name, counting(getattr(Path, name)))
        os.fsync = counting(os.fsync)  # type: ignore[assignment]  # of the child
        restore_store(path, backup)

    return in_child(restore)


@pytest.mark.checklist(34)
def test_a_restore_that_is_killed_leaves_a_store(path: Path, backup: Path, tmp_path: Path) -> None:
    """SIGKILL at every step: the next start finds the former store with all it acknowledged, or the backup; never
    neither, and never a mixture. A second restore then succeeds."""
    before = {job.id for job in jobs_in_copy(path)}
    wanted = {job.id for job in jobs_in_copy(backup)}
    originals = {
        each: each.read_bytes() for each in tmp_path.glob("jobs.db*") if each.suffix in (".db", ".db-wal")
    }
    found, step = [], 0
    while True:
        for each in tmp_path.glob("jobs.db*"):
            each.unlink()
        for each, content in originals.items():
            each.write_bytes(content)
        code = killed_after(step, path, backup)
        present = {job.id for job in jobs_in(path)}
        assert present in (before, wanted)
        assert verify_store(path).ok
        found.append(present == wanted)
        if code == 0:
            break
        step += 1
    assert step > 8
    assert found == sorted(found)
    assert set(found) == {False, True}


@pytest.mark.checklist(34)
def test_a_refusal_says_how_to_mend_it(path: Path, tmp_path: Path) -> None:
    """It names the file, the last good backup, and the very command that restores it; which then works."""
    filled(path)
    folder = BackupFolder(tmp_path / "my backups")
    with closing(create_storage(path)) as storage:
        good = folder.take(storage).path
    path.write_bytes(b"")
    with pytest.raises(StorageDamagedError) as caught:
        create_storage(path, backups=folder.folder)
    text = str(caught.value)
    assert f"{path} is empty" in text
    assert f"The last good backup is {good} (taken" in text
    assert f"dispatch db restore '{good}' --database {path}" in text
    restore_store(path, good)
    create_storage(path).close()
    good.unlink()
    path.write_bytes(b"{}")
    with pytest.raises(StorageDamagedError, match="There is no good backup in"):
        create_storage(path, backups=folder.folder)
    with pytest.raises(StorageDamagedError, match="dispatch db restore BACKUP --database"):
        create_storage(path)
