"""`dispatch db` on a real file: back up, verify, restore, look, migrate; and purging from the command line."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dispatch_core import Dispatcher
from dispatch_core.storage import create_storage
from tests.cli.program import Program


@pytest.fixture
def path(tmp_path: Path, local: Program) -> Path:
    """The database of ``local``, with a job."""
    local("submit", "/in/a.mov", "/out/a.mp4")
    return tmp_path / "jobs.db"


@pytest.mark.checklist(4)
@pytest.mark.checklist(34)
def test_back_up_lose_restore(local: Program, path: Path, tmp_path: Path) -> None:
    """The whole drill: a backup, a disaster, a refusal that names the mend, the mend, and all jobs are there."""
    backup = tmp_path / "backup.db"
    told = local.json("db", "backup", str(backup))
    assert (told["path"], told["size_bytes"]) == (str(backup), backup.stat().st_size)
    assert "exists" in local("db", "backup", str(backup), exit_code=4).stderr
    local("db", "backup", str(backup), "--force")
    path.write_bytes(b"")
    refusal = local("jobs", "list", exit_code=8).stderr
    assert f"dispatch db restore BACKUP --database {path}" in refusal
    done = local.json("db", "restore", str(backup))
    assert Path(done["aside"]).read_bytes() == b""
    assert len(local.json("jobs", "list")["jobs"]) == 1
    assert "leases of before are lost" in local("db", "restore", str(backup)).stdout


@pytest.mark.checklist(34)
def test_verify_says_what_is_wrong(local: Program, path: Path, tmp_path: Path) -> None:
    """Exit code 0 for a sound database, 1 with every finding for one that is not; backups can be verified, too."""
    assert local.json("db", "verify")["ok"] is True
    assert "sound" in local("db", "verify").stdout
    local("db", "backup", str(tmp_path / "backup.db"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE jobs SET priority = 9")
        connection.commit()
    told = local.json("db", "verify", exit_code=1)
    assert "its priority is 9" in told["findings"][0]
    assert "2 findings" in local("db", "verify", exit_code=1).stdout
    assert local.json("db", "verify", str(tmp_path / "backup.db"))["ok"] is True


def test_codes_tell_refusals_apart(local: Program, path: Path) -> None:
    """In use, damaged, of another version, not there: a script can tell."""
    with closing(create_storage(path)):
        assert local.json("db", "info")["in_use_by"].startswith("process")
        local("db", "restore", str(path) + ".none", exit_code=7)
        local("db", "migrate", exit_code=10)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    local("status", exit_code=9)
    path.write_text("letters")
    local("status", exit_code=8)


def test_info_and_migrate(local: Program, path: Path) -> None:
    """What the file says, and that there is nothing to do."""
    info = local.json("db", "info")
    assert (info["path"], info["jobs"], info["in_use_by"]) == (str(path), {"pending": 1}, None)
    assert "nobody" in local("db", "info").stdout
    assert "already" in local("db", "migrate").stdout
    assert local.json("db", "migrate")["copy"] is None


def test_the_usual_database_needs_no_name(program: Program, tmp_path: Path) -> None:
    """Without --database it is the one that `dispatch serve` uses."""
    assert str(tmp_path / "data") in program("db", "info", exit_code=7).stderr


def test_a_server_backs_up_into_its_own_folder(remote: Program, tmp_path: Path) -> None:
    """With --url the server is asked; it says if it has no folder, and a FILE is refused."""
    assert "backup_dir" in remote("db", "backup", exit_code=4).stderr
    assert "leave FILE out" in remote("db", "backup", str(tmp_path / "x.db"), exit_code=2).stderr


@pytest.mark.checklist(80)
def test_purging(dispatch: Program, submit: object) -> None:
    """Counted first, then done, here or on a server; what is left is the count."""
    job_id = dispatch.json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    dispatch("jobs", "delete", job_id)
    assert dispatch.json("jobs", "purge", "--dry-run")["total"] == 0
    old = ("--older-than", "0s", "--state", "deleted")
    assert "1 jobs would be purged (1 deleted)" in dispatch("jobs", "purge", *old, "--dry-run").stdout
    assert dispatch.json("jobs", "purge", *old) == {
        "dry_run": False, "total": 1, "counts": {"deleted": 1}, "more": False,
    }  # fmt: skip
    dispatch("jobs", "restore", job_id, exit_code=3)
    assert dispatch.json("status")["purged"] == 1
    dispatch("jobs", "purge", "--state", "deleted", exit_code=2)


def test_a_refusal_to_serve_names_the_last_backup(program: Program, tmp_path: Path) -> None:
    """`dispatch serve` looks into its folder of backups before it says what to do."""
    from dispatch_core.storage import BackupFolder

    database = tmp_path / "jobs.db"
    with closing(create_storage(database)) as storage, Dispatcher(storage):
        good = BackupFolder(tmp_path / "backups").take(storage).path
    database.write_bytes(b"")
    config = tmp_path / "dispatch.toml"
    config.write_text(f"backup_dir = {json.dumps(str(tmp_path / 'backups'))}\n")
    told = program("serve", "--database", str(database), "--config", str(config), "--port", "0", exit_code=8)
    assert f"dispatch db restore {good} --database {database}" in told.stderr
