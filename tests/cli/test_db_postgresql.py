"""`dispatch db` on PostgreSQL: what it says, checks and refuses."""

from __future__ import annotations

from contextlib import closing

import pytest

from dispatch_core.storage import create_storage
from tests.cli.program import Program


@pytest.fixture
def shared(postgres_url: str) -> Program:
    """The program on a database that servers share, with a job."""
    program = Program(("--database", postgres_url))
    program("submit", "/in/a.mov", "/out/a.mp4")
    return program


def test_look_check_and_migrate(shared: Program, postgres_url: str) -> None:
    """As of a file, with what only servers that share have: who is connected."""
    with closing(create_storage(postgres_url, server_id="rack-1:8080")) as storage:
        with storage.read() as snapshot:
            snapshot.now()
        info = shared.json("db", "info")
        assert (info["jobs"], info["connected"]) == ({"pending": 1}, {"dispatch rack-1:8080": 1})
        shown = shared("db", "info").stdout
        assert "1 dispatch rack-1:8080" in shown
        assert "events held back" in shown
        verdict = shared.json("db", "verify")
        assert (verdict["ok"], verdict["path"].startswith("PostgreSQL d")) == (True, True)
        assert "sound" in shared("db", "verify").stdout
        assert "already" in shared("db", "migrate").stdout


def test_a_new_life(shared: Program, postgres_url: str) -> None:
    """Refused with exit code 10 while a server is connected, unless it is forced."""
    with closing(create_storage(postgres_url, server_id="rack-1:8080")) as storage:
        with storage.read() as snapshot:
            snapshot.now()
        assert "dispatch rack-1:8080" in shared("db", "renew", exit_code=10).stderr
        assert shared.json("db", "renew", "--force")["before"] == storage.incarnation
    assert "granted anew" in shared("db", "renew").stdout


def test_what_postgresql_does_itself_is_answered_with_its_command(shared: Program) -> None:
    """Exit code 4, and a line that can be copied."""
    assert (
        "pg_dump --format=custom --file=x.dump postgresql://"
        in shared("db", "backup", "x.dump", exit_code=4).stderr
    )
    assert "pg_restore --exit-on-error" in shared("db", "restore", "x.dump", exit_code=4).stderr
    assert "when it is restored" in Program(("--database", "x.db"))("db", "renew", exit_code=5).stderr
