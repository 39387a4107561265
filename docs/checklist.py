"""The checklist page: which test shows which number, found by the marks in the tests' source."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

ROOT = Path(__file__).parents[1]
NUMBERS = range(1, 96)


@frozen(order=True)
class Shown:
    """A test that shows an item."""

    path: str
    line: int
    name: str


def words() -> dict[str, Any]:
    """What checklist.toml says: titles, notes, and the numbers still open."""
    return tomllib.loads((ROOT / "docs" / "checklist.toml").read_text(encoding="utf-8"))


@cache
def marked() -> dict[int, list[Shown]]:
    """The tests by the number their mark names, read without running anything."""
    found: dict[int, list[Shown]] = {number: [] for number in NUMBERS}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "checklist(" not in text:
            continue
        for number, test in _in_file(ast.parse(text)):
            found[number].append(Shown(path.relative_to(ROOT).as_posix(), test.lineno, test.name))
    return found


def _in_file(tree: ast.Module) -> Iterator[tuple[int, ast.FunctionDef | ast.ClassDef]]:
    tests = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    for test in tests:
        yield from ((number, test) for decorator in test.decorator_list for number in _numbers(decorator))
    first = next(test for test in tests if test.name.lower().startswith("test"))
    for node in tree.body:  # a mark of the whole file stands for all its tests
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield from ((number, first) for number in _numbers(node.value))


def _numbers(decorator: ast.expr) -> Iterator[int]:
    for node in ast.walk(decorator):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "checklist"
        ):
            yield from (
                each.value
                for each in node.args
                if isinstance(each, ast.Constant) and isinstance(each.value, int)
            )


def checklist_page() -> str:
    """The page: a row per number, with the first test that shows it and how many more there are."""
    said, tests = words(), marked()
    done = sum(bool(tests[number]) or "note" in said["items"][str(number)] for number in NUMBERS)
    lines = [
        f"# Checklist\n\n{done} of {len(NUMBERS)} items are shown by a test or stand with their reason.\n"
    ]
    lines += ["| # | item | shown by |", "|---|---|---|"]
    lines += [
        f"| {number} | {said['items'][str(number)]['title']} | {_shown(number, said, tests)} |"
        for number in NUMBERS
    ]
    return "\n".join(lines)


def _shown(number: int, said: dict[str, Any], tests: dict[int, list[Shown]]) -> str:
    note = said["items"][str(number)].get("note", "")
    if not tests[number]:
        return note or "not yet"
    first, *more = sorted(tests[number])
    link = f"[{first.name}](../../{first.path})"
    return f"{link}{f' and {len(more)} more' if more else ''}{'. ' + note if note else ''}"
