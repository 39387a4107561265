"""`dispatch serve` on PostgreSQL, as processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dispatch_cli.serve_settings import load, server_id
from dispatch_cli.serve_sources import shown_password
from tests.cli.program import Program
from tests.cli.test_serve import COMMAND, served
from tests.support.postgres import Postgres, postgres

SECRET = "hunter2-hunter2"


def with_password(url: str) -> str:
    """The URL with a password in it; this server trusts everybody and does not look at it."""
    return url.replace("postgres@", f"postgres:{SECRET}@")


def connected(server: Postgres, url: str) -> set[str]:
    """How those call themselves who are connected to the database."""
    rows = server.execute(
        "SELECT application_name FROM pg_stat_activity WHERE datname = %s", [url.rpartition("/")[2]]
    )
    return {name for (name,) in rows}


@pytest.mark.checklist(54)
def test_two_servers_share_a_database_and_tell_nobody_its_password(
    postgres_server: Postgres, postgres_url: str
) -> None:
    """What one is told the other knows. Each has a name of its own there, also if both were to take any port; the
    password is in nothing they say.
    """
    url = with_password(postgres_url)
    one = {"DISPATCH_DATABASE": url}
    other = {"DISPATCH_DATABASE": url, "DISPATCH_DATABASE_CONNECTIONS_MAX": "3"}
    with served(environment=one) as (told, _), served(environment=other) as (also, _):
        assert told["database"] == url.replace(SECRET, "***")
        job_id = Program(("--url", told["url"])).json("submit", "/in/a.mov", "/out/a.mp4")["id"]
        assert Program(("--url", also["url"])).json("jobs", "show", job_id)["state"] == "pending"
        names = [f"{socket.gethostname()}:{urlsplit(each['url']).port}" for each in (told, also)]
        assert connected(postgres_server, url) == {f"dispatch {name}" for name in names}
        logs = json.dumps(Program(("--url", told["url"])).json("logs"))
        assert SECRET not in logs
    rows = postgres_server.execute("SELECT DISTINCT server FROM counters", database=url.rpartition("/")[2])
    assert rows == [(names[0],)]


@pytest.mark.checklist(54)
def test_a_password_on_the_command_line_is_warned_about() -> None:
    """Everybody sees the words of a command in `ps`; the warning does not repeat it."""
    [warning] = shown_password({"database": f"postgresql+psycopg://me:{SECRET}@db/farm"})
    assert "DISPATCH_DATABASE" in warning
    assert SECRET not in warning
    assert shown_password({"database": "postgresql+psycopg://me@db/farm"}) == shown_password({}) == []


def test_a_server_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's and the port; or what it is given."""
    assert server_id(load({"port": 8081})) == f"{socket.gethostname()}:8081"
    monkeypatch.setenv("DISPATCH_SERVER_ID", "rack-1")
    assert server_id(load({})) == "rack-1"


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        (f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/farm", 7, "farm at 127.0.0.1:1"),
        (f"postgresql+psycopg://me:{SECRET}%zz@127.0.0.1/farm", 5, "cannot be read"),
        (f"postgresql+psycopg://me:{SECRET}/x@127.0.0.1/farm", 5, "port"),
    ],
)
def test_a_database_that_cannot_be_had_is_refused_without_its_password(
    program: Program, url: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the place; the exit code tells a URL that is wrong from a server that is away."""
    monkeypatch.setenv("DISPATCH_DATABASE", url)
    monkeypatch.setenv("DISPATCH_DATABASE_WAIT_S", "0")
    told = program("serve", "--port", "0", exit_code=code)
    shown = program("config", "explain").output
    assert said in told.stderr
    assert SECRET not in told.output + shown


def test_a_database_that_is_away_is_waited_for_a_while(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says once what it waits for, without the password; then it gives up with exit code 7."""
    monkeypatch.setenv("DISPATCH_DATABASE", f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/farm")
    monkeypatch.setenv("DISPATCH_DATABASE_WAIT_S", "1.2")
    begun = time.monotonic()
    told = program("serve", "--port", "0", exit_code=7)
    assert 1.2 <= time.monotonic() - begun < 20
    [waiting] = [line for line in told.stderr.splitlines() if line.startswith("Waiting for the database")]
    assert "farm at 127.0.0.1:1" in waiting
    assert SECRET not in told.output


def test_a_server_starts_when_its_database_does() -> None:
    """Whoever starts first."""
    with postgres(own=True) as own:
        url = own.database()
        own.stop()
        command = [*COMMAND, "serve", "--port", "0", "--json"]
        environment = {**os.environ, "DISPATCH_DATABASE": url, "DISPATCH_DATABASE_WAIT_S": "60"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as server:
            assert server.stdout is not None
            assert server.stderr is not None
            assert server.stderr.readline().startswith("Waiting for the database, at most 60 s")
            own.start()
            assert json.loads(server.stdout.readline())["url"]
            server.terminate()
            server.communicate(timeout=30)
            assert server.returncode == 0


def test_without_the_driver_it_says_what_to_install(tmp_path: Path) -> None:
    """One line that names the extra, no traceback; the database in a file needs no driver."""
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [*COMMAND, "jobs", "list", "--database", "postgresql+psycopg://me@127.0.0.1:1/farm"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 5
    assert 'pip install "dispatch-core[postgresql]"' in run.stderr
    assert "Traceback" not in run.stderr
