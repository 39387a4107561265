"""Backups into the one folder of the server, on request and by the clock; and purging by hand."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from falcon.testing import TestClient

from dispatch_core import Dispatcher, JobState, ManualClock, StorageUnavailableError
from dispatch_core.storage import BackupFolder, create_storage, restore_store, verify_store
from dispatch_http.app import DispatchApp, create_app
from dispatch_http.backing_up import Backups
from dispatch_http.observing import make_log
from dispatch_http.settings import HttpSettings, SettingsError
from tests.http.fleet import Fleet, insist, problem

HOUR_S = 3_600.0


@pytest.fixture
def dispatcher(clock: ManualClock, tmp_path: Path) -> Iterator[Dispatcher]:
    """A dispatcher over a file."""
    storage = create_storage(tmp_path / "jobs.db", clock=clock)
    with Dispatcher(storage) as dispatcher:
        yield dispatcher
        assert dispatcher.stats().identity_holds
    storage.close()


@pytest.fixture
def settings(tmp_path: Path) -> HttpSettings:
    """Two backups are kept, and one is taken every hour."""
    return HttpSettings(backup_dir=str(tmp_path / "backups"), backup_keep=2, backup_every_s=HOUR_S)


@pytest.fixture
def folder(settings: HttpSettings) -> BackupFolder:
    """The server's folder."""
    assert settings.backup_dir is not None
    return BackupFolder(Path(settings.backup_dir))


@pytest.mark.checklist(4)
def test_a_backup_on_request_restores(
    client: TestClient, fleet: Fleet, folder: BackupFolder, tmp_path: Path, clock: ManualClock
) -> None:
    """201 and the name of the file, which is in the server's folder and holds what was acknowledged before."""
    job = fleet.submit()
    form = insist(client.simulate_post("/admin/backup"), 201)
    path = folder.folder / form["name"]
    assert form["size_bytes"] == path.stat().st_size
    assert form["taken_at"] == "2030-01-01T00:00:00.000000Z"
    restore_store(tmp_path / "restored.db", path)
    storage = create_storage(tmp_path / "restored.db")
    with Dispatcher(storage) as restored:
        assert restored.job(job["id"]).state is JobState.PENDING
    storage.close()
    for _ in range(3):
        clock.advance(1)
        insist(client.simulate_post("/admin/backup"), 201)
    listed = insist(client.simulate_get("/admin/backup"), 200)["backups"]
    assert [each["name"] for each in listed] == [each.name for each in folder.newest_first()]
    assert len(listed) == 2


def test_a_server_without_a_folder_says_so(dispatcher: Dispatcher) -> None:
    """No caller can make it write anywhere else."""
    client = TestClient(create_app(dispatcher, HttpSettings()), headers={"Host": "localhost"})
    problem(client.simulate_post("/admin/backup"), 409, "no-backup-folder")
    problem(client.simulate_get("/admin/backup"), 409, "no-backup-folder")
    with pytest.raises(SettingsError, match="backup_dir"):
        create_app(dispatcher, HttpSettings(backup_every_s=60))


def test_one_backup_at_a_time(client: TestClient, app: DispatchApp) -> None:
    """The second caller is told to come back."""
    with app.backups._busy:
        answer = client.simulate_post("/admin/backup")
    problem(answer, 409, "backup-running")
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.checklist(47)
@pytest.mark.checklist(4)
def test_backups_are_taken_by_the_clock(
    dispatcher: Dispatcher, settings: HttpSettings, folder: BackupFolder, clock: ManualClock
) -> None:
    """In the background of the tick, by one thread that ``stop`` joins; a restart goes on counting from the last one."""
    log = make_log(io.StringIO())
    for _ in range(2):
        backups = Backups(dispatcher, settings)
        backups.take_if_due(log)
        backups.take_if_due(log)
        backups.stop()
    first = folder.newest_first()
    assert len(first) == 1
    assert verify_store(first[0]).ok
    backups = Backups(dispatcher, settings)
    clock.advance(HOUR_S - 1)
    backups.take_if_due(log)
    clock.advance(1)
    backups.take_if_due(log)
    backups.stop()
    assert len(folder.newest_first()) == 2
    assert not [each for each in threading.enumerate() if each.name.startswith("dispatch-backup")]


def test_a_backup_that_fails_is_logged_and_tried_again(
    dispatcher: Dispatcher, settings: HttpSettings, folder: BackupFolder, clock: ManualClock
) -> None:
    """A minute later; the tick goes on meanwhile."""
    lines = io.StringIO()
    folder.folder.write_text("in the way")
    backups = Backups(dispatcher, settings)
    backups.take_if_due(make_log(lines))
    backups.stop()
    assert '"storage-unavailable"' in lines.getvalue()
    folder.folder.unlink()
    again = Backups(dispatcher, settings)
    again._due_us = backups._due_us
    clock.advance(59)
    again.take_if_due(make_log(lines))
    clock.advance(1)
    again.take_if_due(make_log(lines))
    again.stop()
    assert len(folder.newest_first()) == 1


def test_a_clock_set_back_does_not_put_backups_off(
    dispatcher: Dispatcher, settings: HttpSettings, folder: BackupFolder, clock: ManualClock
) -> None:
    """Else a year's error would cost a year of backups."""
    log = make_log(io.StringIO())
    for _ in range(2):
        backups = Backups(dispatcher, settings)
        backups.take_if_due(log)
        backups.stop()
        clock.jump(-366 * 86_400)
    assert len(folder.newest_first()) == 2


# ----- purging


@pytest.mark.checklist(80)
def test_purging_by_hand(client: TestClient, fleet: Fleet, clock: ManualClock) -> None:
    """First counted, then done; by the settings, or by what the caller says; the job is gone, the count is not."""
    job, other = fleet.submit(), fleet.submit()
    client.simulate_delete(f"/jobs/{job['id']}")
    client.simulate_post(f"/jobs/{other['id']}/cancel", json={})
    clock.advance(86_400)
    assert insist(client.simulate_post("/admin/purge", json={"dry_run": True}), 200)["total"] == 0
    order = {"older_than_s": 3_600, "states": ["deleted"]}
    told = insist(client.simulate_post("/admin/purge", json={**order, "dry_run": True}), 200)
    assert told == {"dry_run": True, "total": 1, "counts": {"deleted": 1}, "more": False}
    assert insist(client.simulate_post("/admin/purge", json=order), 200)["total"] == 1
    problem(client.simulate_post(f"/jobs/{job['id']}/restore"), 404, "unknown-job")
    assert fleet.job(other["id"])["state"] == "cancelled"
    status = insist(client.simulate_get("/status"), 200)
    assert (status["accepted"], status["purged"], status["identity_holds"]) == (2, 1, True)
    answer = client.simulate_post("/admin/purge", json={"older_than_s": 1, "states": ["pending"]})
    problem(answer, 422, "invalid-command")


def test_a_store_that_is_away_is_no_reason_to_end(
    dispatcher: Dispatcher, settings: HttpSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick that asks whether a backup is due hears of it like of any other failure."""
    monkeypatch.setattr(
        dispatcher.storage, "read", lambda: (_ for _ in ()).throw(StorageUnavailableError("away"))
    )
    with pytest.raises(StorageUnavailableError):
        Backups(dispatcher, settings).take_if_due(make_log(io.StringIO()))
