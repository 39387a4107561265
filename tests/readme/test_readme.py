"""The README keeps its word: its example runs, is short, and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.readme import rendered

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_is_an_example_of_at_most_25_lines() -> None:
    """An embedding that fits on one screen."""
    assert [len([line for line in code.splitlines() if line.strip()]) <= 25 for code in EXAMPLES] == [True]


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_example_prints_what_it_says(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each print is followed by a comment with what it prints."""
    exec(compile(code, "README.md", "exec"), {})  # the reader would run it, too

    assert re.findall(r"print\(.*\)  # (.*)", code) == capsys.readouterr().out.splitlines()


def test_every_command_it_shows_exists() -> None:
    """`make` targets and `dispatch` commands in the README are real."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\$ make (\w+)", README):
        assert f"\n{target}:" in makefile


def test_its_figures_are_the_kept_results() -> None:
    """The table is what `python -m benchmarks.readme` writes from benchmarks/results."""
    assert rendered(README) == README
