"""`dispatch serve` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from dispatch_cli.serve_settings import load
from dispatch_core import Settings
from dispatch_http.settings import HttpSettings
from tests.cli.program import Program

COMMAND = (sys.executable, "-c", "from dispatch_cli.main import main; main(prog_name='dispatch')")
KEY = "0123456789abcdef-secret"


@contextmanager
def served(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    """A server; what it said about itself, and its process. It must end well."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline() or "{}")
        yield told, process
        process.send_signal(signal.SIGTERM)
        out, log = process.communicate(timeout=30)
        assert process.returncode == 0, log
        assert out == "", "the address is all that is printed; the log goes to standard error"
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_jobs_survive_a_restart(tmp_path: Path) -> None:
    """The address is printed when callers are let in, SIGTERM ends it well, and the next server knows the jobs."""
    database = str(tmp_path / "made" / "jobs.db")
    with served("--database", database) as (told, _):
        assert told["database"] == database
        job_id = Program(("--url", told["url"])).json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    with served("--database", database) as (told, _):
        assert Program(("--url", told["url"])).json("jobs", "show", job_id)["state"] == "pending"
    assert Program(("--database", database)).json("jobs", "show", job_id)["state"] == "pending"


def test_a_database_has_one_owner(tmp_path: Path) -> None:
    """While a server owns the file, a second server and a local command are refused with exit code 7."""
    database = str(tmp_path / "jobs.db")
    with served("--database", database):
        second = subprocess.run(
            [*COMMAND, "serve", "--port", "0", "--database", database],
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 10
        assert "Traceback" not in second.stderr
        Program(("--database", database))("status", exit_code=10)


@pytest.mark.checklist(55)
def test_the_default_database_is_where_users_keep_data(tmp_path: Path) -> None:
    """Without --database the file is in the XDG data folder, and only its owner may look into it."""
    with served(environment={"XDG_DATA_HOME": str(tmp_path / "home")}) as (told, _):
        path = Path(told["database"])
        assert path == tmp_path / "home" / "dispatch" / "dispatch.db"
        assert path.is_file()
        assert path.parent.stat().st_mode & 0o077 == 0


def test_a_key_file_closes_the_door(tmp_path: Path) -> None:
    """The keys of the file are what callers must have; the key in the environment is one, too."""
    path = tmp_path / "keys"
    path.write_text(f"ops {KEY}\n")
    other = "other-" + KEY
    database = ("--database", str(tmp_path / "jobs.db"))
    with served(*database, "--api-key-file", str(path), environment={"DISPATCH_API_KEY": other}) as (told, _):
        program = Program(("--url", told["url"]))
        program("status", exit_code=6)
        for number, key in enumerate((KEY, other)):
            (tmp_path / f"key{number}").write_text(key)
            program("status", "--api-key-file", str(tmp_path / f"key{number}"))


def settings_of(program: Program, *arguments: str) -> dict[str, str]:
    lines = program("serve", "--print-settings", *arguments).stdout.splitlines()
    return dict(line.split(" = ", 1) for line in lines if " = " in line)


@pytest.mark.checklist(52)
@pytest.mark.checklist(55)
def test_a_flag_beats_the_environment_beats_the_file(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting comes from the last place that names it."""
    path = tmp_path / "dispatch.toml"
    path.write_text('port = 1111\nthreads = 11\nlease_ttl_s = 11\ndatabase = "file.db"\n')
    monkeypatch.setenv("DISPATCH_THREADS", "22")
    monkeypatch.setenv("DISPATCH_LEASE_TTL_S", "22.5")
    told = settings_of(program, "--config", str(path), "--threads", "33")
    assert (told["port"], told["threads"], told["lease_ttl_s"]) == ("1111", "33", "22.5")
    assert told["database"] == '"file.db"'
    monkeypatch.setenv("DISPATCH_CONFIG", str(path))
    assert settings_of(program)["port"] == "1111"


def test_printed_settings_are_a_settings_file(program: Program, tmp_path: Path) -> None:
    """What --print-settings prints is read back to the same settings."""
    path = tmp_path / "dispatch.toml"
    path.write_text(program("serve", "--print-settings", "--port", "1234").stdout)
    assert settings_of(program, "--config", str(path)) == settings_of(program, "--port", "1234")


def test_defaults_have_one_home() -> None:
    """Nothing said means the defaults of the core and of the server, but for the log's form on a terminal."""
    settings = load({"log_json": True})
    assert settings.core == Settings()
    assert settings.http == HttpSettings()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("prot = 8080\n", "prot"),
        ('port = "high"\n', "port"),
        ("port = 70000\n", "65535"),
        ("lease_ttl_s = 0\n", "lease_ttl_s"),
        ("heartbeat_s = 40\nsilent_after_s = 30\n", "heartbeat_s"),
        ("port = \n", "Invalid"),
        ('api_key_file = "/no/such/file"\n', "/no/such/file"),
    ],
)
def test_unfit_settings_are_named(content: str, word: str, program: Program, tmp_path: Path) -> None:
    """A settings file that cannot be meant is exit code 2 and names what is wrong."""
    path = tmp_path / "dispatch.toml"
    path.write_text(content)
    told = program("serve", "--config", str(path), "--print-settings", exit_code=2)
    assert word in told.stderr


def test_unfit_keys_and_addresses_are_refused(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open door to strangers, a short key and a missing file are exit code 2 before anything is served."""
    database = ("--database", str(tmp_path / "jobs.db"))
    assert "key" in program("serve", "--host", "0.0.0.0", "--port", "0", *database, exit_code=2).stderr
    program("serve", "--config", "/no/such/file.toml", exit_code=2)
    monkeypatch.setenv("DISPATCH_API_KEY", "short")
    told = program("serve", "--port", "0", *database, exit_code=2)
    assert "short" in told.stderr
    assert "DISPATCH_API_KEY" not in os.environ, "no child process inherits the key"


@pytest.mark.checklist(57)
@pytest.mark.parametrize(("said", "meant"), [("5GB", 5_000_000_000), ("1.5 GiB", 1_610_612_736), ("42", 42)])
def test_the_size_of_large_jobs_is_said_in_units(program: Program, said: str, meant: int) -> None:
    """A flag with a unit becomes the setting in bytes."""
    shown = program("serve", "--large-job", said, "--print-settings").stdout
    assert f"large_job_bytes = {meant}\n" in shown


@pytest.mark.checklist(72)
def test_the_log_of_a_server_is_read_by_command(tmp_path: Path) -> None:
    """`dispatch logs` shows what the server wrote; a database has no log to show."""
    with served("--database", str(tmp_path / "jobs.db")) as (told, _):
        program = Program(("--url", told["url"]))
        program("status")
        routes = [line.get("route") for line in program.json("logs")["lines"]]
        assert "/status" in routes
        assert "/status" in program("logs", "--since", "-10m").stdout
        assert program.json("logs", "--level", "error") == {"lines": []}
    Program(("--database", str(tmp_path / "jobs.db")))("logs", exit_code=2)
