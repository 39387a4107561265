"""`dispatch engine run` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatch_cli.exits import ExitCode
from tests.cli.program import Program


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--id", "a/b"], "cannot be an engine's id"),
        (["--database", "jobs.db"], "not --database"),
        (["--fact", "streaming=perhaps"], "streaming is true or false"),
        (["--ffmpeg", "/nowhere/ffmpeg"], "does not exist or cannot be run"),
        (["--slots", "0"], "0"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    program: Program, options: list[str], says: str
) -> None:
    """A wrong option ends the command with the exit code for usage, and says what to change."""
    result = program("engine", "run", "--no-benchmark", *options, exit_code=ExitCode.USAGE)
    assert says in result.output


def test_a_work_dir_that_cannot_be_made_is_named(program: Program, tmp_path: Path) -> None:
    """A file in the place of the folder is an error of usage, not a traceback."""
    (tmp_path / "file").touch()
    options = ["--no-benchmark", "--id", "e1", "--work-dir", str(tmp_path / "file" / "deeper")]
    result = program("engine", "run", *options, exit_code=ExitCode.USAGE)
    assert "cannot work in" in result.output


def test_a_refused_registration_ends_the_command(program: Program, tmp_path: Path) -> None:
    """An address that is none is told at once instead of being tried for ever."""
    options = ["--no-benchmark", "--id", "e1", "--work-dir", str(tmp_path), "--url", "ftp://nowhere"]
    result = program("engine", "run", *options, exit_code=ExitCode.USAGE)
    assert "ftp://nowhere" in result.output
