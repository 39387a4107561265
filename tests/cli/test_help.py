"""The program explains itself, and does so quickly."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dispatch_cli.exits import MEANINGS
from dispatch_cli.lazy_group import LazyGroup
from dispatch_cli.main import main
from tests.cli.program import Program

PROBE = """
import json, sys
from dispatch_cli.main import main
try:
    main(["--help"])
except SystemExit:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
HEAVY = {
    "rich",
    "httpx2",
    "stamina",
    "sqlalchemy",
    "falcon",
    "typed_settings",
    "cattrs",
    "dispatch_core",
    "dispatch_http",
}


def commands(group: LazyGroup, *path: str) -> Iterator[tuple[tuple[str, ...], str, click.Command]]:
    """Every command with its path and the line of help its group tells of it."""
    context = click.Context(group)
    for name, short_help in group.short_helps():
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), short_help, command
        if isinstance(command, LazyGroup):
            yield from commands(command, *path, name)


assert isinstance(main, LazyGroup)
ALL = [*commands(main)]
LEAVES = [(path, command) for path, _, command in ALL if not isinstance(command, click.Group)]
EXAMPLES = [
    line.strip()
    for command in [main, *(command for _, command in LEAVES)]
    for line in (command.help or "").partition("Examples:")[2].splitlines()
    if line.strip()
]


def test_help_imports_nothing_heavy() -> None:
    """`dispatch --help` is quick because it imports click and nothing that takes long."""
    run = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in json.loads(run.stderr)}
    assert "Commands:" in run.stdout
    assert not HEAVY & loaded


def test_help_lists_every_command_and_every_exit_code(program: Program) -> None:
    """Who asks for help sees all commands and what the exit codes mean."""
    told = program("--help").stdout
    for (name, *rest), short_help, _ in ALL:
        assert rest or re.search(rf"^  {name} +{re.escape(short_help)}$", told, re.MULTILINE)
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^ +{int(code)} +{re.escape(meaning)}$", told, re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "short_help", "command"),
    ALL,
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_line_of_help_is_the_commands_own(
    path: tuple[str, ...], short_help: str, command: click.Command
) -> None:
    """The table that spares importing a command says of it what the command says of itself."""
    assert command.get_short_help_str(200).rstrip(".") == short_help.rstrip(".")


@pytest.mark.checklist(66)
@pytest.mark.parametrize(
    ("path", "command"), LEAVES, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_shows_examples_and_offers_json(
    path: tuple[str, ...], command: click.Command, program: Program
) -> None:
    """Every command explains itself by examples; all but a shell's script can be read by machines."""
    told = program(*path, "--help").stdout
    assert "Examples:\n    dispatch " in told
    assert "--json" in told or path == ("completion",)


@pytest.mark.checklist(66)
@pytest.mark.parametrize(
    ("path", "command"), LEAVES, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_what_is_no_argument_is_refused_before_anything_is_done(
    path: tuple[str, ...], command: click.Command, program: Program
) -> None:
    """An unknown option is a usage error that shows the way to the help of this very command."""
    told = program(*path, "--no-such-option", exit_code=2).stderr
    assert re.search("No such option.*--no-such-option", told)
    assert f"{' '.join(path)} --help' for help" in told


@pytest.mark.checklist(66)
@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("logs --limit many", "'many' is not a valid integer"),
        ("logs --limit 0", "0 is not in the range 1<=x<=2000"),
        ("logs --level loud", "'loud' is not one of"),
        ("submit in.mov out.mp4 --priority high", "'high' is not a valid integer"),
        ("jobs show", "Missing argument 'JOB_ID'"),
        ("jobs edit a b", "unexpected extra argument (b)"),
        ("jobs maybe", "No such command 'maybe'"),
    ],
)
def test_values_have_types(line: str, named: str, program: Program) -> None:
    """What is said on the command line is held against its type and range, and named if it does not fit."""
    assert named in program(*line.split(), exit_code=2).stderr


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_command_lines_that_parse(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `--help` shows can be typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.ndjson").touch()
    line = re.split(r" [|>] ", re.sub(r"\$\(.*\)", "JOB_ID", example))[0].rstrip()
    name, *arguments = shlex.split(line)
    assert name == "dispatch"
    command: click.Command = main
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments.pop(0))
        assert found is not None
        command = found
    command.make_context("dispatch", arguments).close()


def test_there_are_examples_to_parse() -> None:
    """The test above looked at something."""
    assert len(EXAMPLES) > len(LEAVES)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, program: Program) -> None:
    """The script of a shell names the program and the variable that asks it for completions."""
    told = program("completion", shell).stdout
    assert "_DISPATCH_COMPLETE" in told
    assert "dispatch" in told


def test_completion_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program answers what the script asks."""
    code = "from dispatch_cli.main import main; main(prog_name='dispatch')"
    environment = {"COMP_WORDS": "dispatch jobs ca", "COMP_CWORD": "2", "_DISPATCH_COMPLETE": "bash_complete"}
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert run.stdout == "plain,cancel\n"


def test_the_version_is_the_packages(program: Program) -> None:
    """`--version` says what is installed."""
    from dispatch_cli import __version__

    assert program("--version").stdout == f"dispatch, version {__version__}\n"
