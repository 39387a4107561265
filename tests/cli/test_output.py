"""What reaches the terminal, the pipe and the script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from dispatch_cli.render.clean import clean
from dispatch_core import Dispatcher, JobSpec
from dispatch_core.storage import create_storage
from tests.cli.program import Program

COMMAND = (sys.executable, "-c", "from dispatch_cli.main import main; main(prog_name='dispatch')")


@pytest.fixture
def many(tmp_path: Path) -> str:
    """A database with more jobs than a pipe holds lines."""
    path = tmp_path / "many.db"
    storage = create_storage(path)
    with Dispatcher(storage) as dispatcher:
        long = "a-long-name-" * 8
        parameters = {"source": f"/in/{long}.mov", "target": f"/out/{long}.mp4"}
        spec = JobSpec(parameters=parameters, note="n" * 500)
        dispatcher.submit_many([spec] * 1_000)
    storage.close()
    return str(path)


@pytest.mark.checklist(61)
@pytest.mark.parametrize("how", [(), ("--json",)])
def test_a_closed_pipe_is_quiet(how: tuple[str, ...], many: str) -> None:
    """`dispatch … | head` ends at once, without a complaint."""
    command = [*COMMAND, "jobs", "list", "--all", "--database", many, *how]
    # Unbuffered, Python takes a write that was cut short for a whole one and never hears of the closed pipe.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.read(10)
    writer.stdout.close()
    complaint = writer.stderr.read()
    writer.stderr.close()
    assert writer.wait(20) == 141
    assert complaint == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("how", [(), ("--json",)])
def test_a_full_disk_is_said(how: tuple[str, ...], many: str) -> None:
    """An answer that could not be written is not a success."""
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, "jobs", "list", "--database", many, *how]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 7
    assert run.stderr == "Error: cannot write the answer: No space left on device\n"


def test_an_interrupt_is_exit_code_130(tmp_path: Path) -> None:
    """Ctrl-C ends a watch quietly; the job goes on."""
    database = str(tmp_path / "jobs.db")
    job_id = Program(("--database", database)).json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    command = [*COMMAND, "jobs", "watch", job_id, "--database", database]
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == f"{job_id}: pending\n"
    time.sleep(0.2)
    watcher.send_signal(signal.SIGINT)
    out, complaint = watcher.communicate(timeout=20)
    assert (watcher.returncode, out, complaint) == (130, "", "")
    assert Program(("--database", database)).json("jobs", "show", job_id)["state"] == "pending"


def run_on_terminal(*arguments: str, environment: Mapping[str, str]) -> str:
    """What the program prints on a terminal."""
    import pty

    ours, theirs = pty.openpty()
    base = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    run = subprocess.Popen(
        [*COMMAND, *arguments], stdout=theirs, stderr=theirs, env={**base, "TERM": "xterm", **environment}
    )
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 65_536):
            seen += block
    except OSError:  # the program has ended
        pass
    os.close(ours)
    assert run.wait(20) == 0, seen
    return seen.decode()


def test_colour_is_for_terminals_that_want_it(local: Program) -> None:
    """Colours on a terminal, none with NO_COLOR, none in a pipe."""
    local("submit", "/in/a.mov", "/out/a.mp4")
    line = (*local.before, "jobs", "list")
    assert "\x1b[33mpending" in run_on_terminal(*line, environment={"COLUMNS": "200"})
    plain = run_on_terminal(*line, environment={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "pending" in plain
    assert "\x1b[3" not in plain
    assert "\x1b" not in local("jobs", "list").stdout


def test_a_narrow_terminal_cuts_the_work_before_the_id(local: Program) -> None:
    """An id that is cut is of no use; what is cut is what the line can do without."""
    job_id = local.json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    shown = run_on_terminal(*local.before, "jobs", "list", environment={"COLUMNS": "60"})
    assert f"{job_id[:12]} " in shown
    assert all(
        len(line) <= 60
        for line in shown.replace("\x1b[0m", "").replace("\x1b[33m", "").splitlines()
        if "\x1b" not in line
    )


def test_forms_may_hold_what_a_terminal_would_obey(local: Program) -> None:
    """People see harmless text, markup is text, and machines get every character."""
    note = "\x1b]0;owned\x07 [red]not red[/red] \u202egnp.exe"
    job_id = local.json("submit", "/in/a.mov", "/out/a.mp4", "--note", note)["id"]
    shown = local("jobs", "show", job_id).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[red]not red[/red]" in shown
    assert local.json("jobs", "show", job_id)["note"] == note


def test_errors_are_harmless_too(local: Program) -> None:
    """What an error quotes cannot move the cursor either."""
    assert "\x1b" not in local("jobs", "show", "\x1b[2J", exit_code=3).stderr
    assert (
        clean("a\x1b[1mb\x9bc\x7f")
        == "a\N{REPLACEMENT CHARACTER}[1mb\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}"
    )


def test_an_error_is_json_on_standard_error(local: Program) -> None:
    """With --json standard output has the answer or nothing, and the error is one JSON object."""
    result = local("jobs", "show", "nope", "--json", exit_code=3)
    assert result.stdout == ""
    assert json.loads(result.stderr)["code"] == "unknown-job"


def test_options_may_stand_before_or_after_the_command(local: Program) -> None:
    """The nearer one wins where both are given."""
    before = Program((*local.before, "--json"))("jobs", "list").stdout
    assert json.loads(before) == local.json("jobs", "list")
    assert Program(("--database", "/no/such/file.db"))("jobs", "list", *local.before).stdout == "No jobs.\n"
