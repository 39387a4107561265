"""`dispatch serve` for the older fleet: its switch, its key, and its jobs in a local database."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from dispatch_cli.serve_settings import load
from tests.cli.program import Program
from tests.cli.test_serve import KEY, served, settings_of

SHIPPED = "the-key-everybody-knows"
WANTED = {"source_url": "http://media.example/in.mov", "target_codec": "libx264"}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, str]:
    """The ordinary key and the fleet's, each in its file."""
    (tmp_path / "keys").write_text(KEY)
    (tmp_path / "fleet").write_text(f"shipped {SHIPPED}\n")
    return str(tmp_path / "keys"), str(tmp_path / "fleet")


def submitted(url: str, key: str) -> str:
    """The id of a job that the older client submits."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/jobs/", json.dumps(WANTED).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
        return str(json.load(answer)["job_id"])


def test_the_fleets_key_file_opens_its_paths(tmp_path: Path, keys: tuple[str, str]) -> None:
    """Beside ordinary keys; and the jobs are to be worked on like all others, by a local command, too."""
    database = str(tmp_path / "jobs.db")
    files = ("--api-key-file", keys[0], "--legacy-key-file", keys[1])
    with served("--database", database, *files) as (told, _):
        job_id = submitted(told["url"], SHIPPED)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            submitted(told["url"], "some-other-key-of-the-fleet")
        program = Program(("--url", told["url"], "--api-key-file", keys[0]))
        assert program.json("jobs", "show", job_id)["kind"] == "distconv"
    local = Program(("--database", database))
    local("jobs", "cancel", job_id)
    assert local.json("jobs", "requeue", job_id)["state"] == "pending"
    parameters = ("--parameters", json.dumps(WANTED))
    assert local.json("submit", "--kind", "distconv", *parameters)["kind"] == "distconv"


def test_a_key_that_everybody_knows_is_not_shown_to_other_machines(
    program: Program, tmp_path: Path, keys: tuple[str, str]
) -> None:
    """The server does not start."""
    files = ("--api-key-file", keys[0], "--legacy-key-file", keys[1], "--database", str(tmp_path / "jobs.db"))
    refused = program("serve", "--host", "0.0.0.0", "--port", "0", *files, exit_code=2)
    assert "known to everybody" in refused.stderr


def test_the_older_fleet_is_served_unless_told_otherwise(program: Program, keys: tuple[str, str]) -> None:
    """A flag and a setting switch it off; its keys never stand in a settings file."""
    assert settings_of(program)["legacy"] == "true"
    assert settings_of(program, "--no-legacy")["legacy"] == "false"
    told = program("serve", "--print-settings", "--legacy-key-file", keys[1]).stdout
    assert f"legacy_key_file = {json.dumps(keys[1])}" in told
    assert SHIPPED not in told
    assert [key.name for key in load({"legacy_key_file": keys[1]}).http.legacy_keys] == ["shipped"]
