"""Every `dispatch …` in the documentation can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from dispatch_cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(?:console|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(dispatch [a-z-][^`\n]*)`")
# What a shell takes away before the program sees its arguments.
SHELL = re.compile(r" (?:[|>&#]|2>) .*| &$")
VARIABLES = re.compile(r"^(?:[A-Z_]+=\S* +)*")
FILES = ("jobs.ndjson", "keys.txt", "dispatch.toml")


def typed_lines(text: str) -> list[str]:
    """The command lines of a page that stand in blocks; in a console they begin with a prompt."""
    lines = [line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    typed = [VARIABLES.sub("", line.removeprefix("$ ")) for line in lines]
    return [SHELL.sub("", each) for each in typed if each.startswith("dispatch ")]


def found(arguments: list[str]) -> click.Command:
    """The command that arguments name; takes its name away from them."""
    command: click.Command = main
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        inner = command.get_command(click.Context(command), arguments[0])
        assert inner is not None, f"there is no command {arguments[0]}"
        command = inner
        del arguments[0]
    return command


TYPED = [
    (page.name, each)
    for page in PAGES
    for each in dict.fromkeys(typed_lines(page.read_text(encoding="utf-8")))
]
NAMED = [
    (page.name, each)
    for page in PAGES
    for each in dict.fromkeys(INLINE.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("page", "line"), TYPED, ids=lambda text: str(text)[:70])
def test_a_command_line_parses(page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in FILES:
        (tmp_path / file).touch()
    arguments = shlex.split(line)[1:]
    command = found(arguments)
    assert not isinstance(command, click.Group), line
    command.make_context("dispatch", arguments, parent=click.Context(main)).close()


@pytest.mark.parametrize(("page", "line"), NAMED, ids=lambda text: str(text)[:70])
def test_a_command_named_in_a_sentence_exists_with_its_options(page: str, line: str) -> None:
    arguments = line.replace("…", "").split()[1:]
    command = found(arguments)
    known = {option for each in command.params for option in each.opts} | {"--help"}
    assert {each for each in arguments if each.startswith("--")} <= known


def test_there_are_command_lines() -> None:
    """The tests above looked at something."""
    assert len({page for page, _ in TYPED}) > 3
    assert len({page for page, _ in NAMED}) > 3
