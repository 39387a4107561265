"""The vocabulary and the kernel decide from what they are given: no clock, chance, thread, log, or file."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import ROOT, Module, modules

PURE_ROOMS = ("dispatch_core.vocabulary", "dispatch_core.kernel")

IMPURE_IMPORTS = frozenset({
    "asyncio", "concurrent", "fcntl", "getpass", "glob", "io", "logging", "multiprocessing", "os", "pathlib",
    "platform", "queue", "random", "sched", "secrets", "select", "shutil", "signal", "socket", "sqlite3",
    "subprocess", "sys", "tempfile", "threading", "time", "uuid", "warnings",
})  # fmt: skip
IMPURE_BUILTINS = frozenset(
    {"open", "print", "input", "breakpoint", "eval", "exec", "__import__", "id", "hash"}
)
WALL_CLOCK = frozenset({"now", "utcnow", "today"})

# The two modules whose business it is: ids are drawn, a clock is read, both handed in from outside.
MAY_IMPORT = {
    "dispatch_core.vocabulary.ids": frozenset({"random", "secrets"}),
    "dispatch_core.vocabulary.clock": frozenset({"time", "threading"}),
}
MAY_READ_THE_CLOCK = frozenset({"dispatch_core.vocabulary.clock"})


def in_room(module: Module, *rooms: str) -> bool:
    return any(module.name == room or module.name.startswith(room + ".") for room in rooms)


PURE = [module for module in modules("dispatch_core") if in_room(module, *PURE_ROOMS)]


def impure_imports(module: Module) -> Iterator[str]:
    allowed = MAY_IMPORT.get(module.name, frozenset())
    for line, name in module.imports():
        top = name.partition(".")[0]
        if top in IMPURE_IMPORTS - allowed:
            yield f"{module.where}:{line} imports {name}"


def impure_calls(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in IMPURE_BUILTINS:
                yield f"{module.where}:{node.lineno} calls {name}()"
            case ast.Attribute(value=owner, attr=name) if name in WALL_CLOCK and _is_clock(owner):
                if module.name not in MAY_READ_THE_CLOCK:
                    yield f"{module.where}:{node.lineno} reads the wall clock"
            case _:
                pass


def _is_clock(owner: ast.expr) -> bool:
    return ast.unparse(owner).rpartition(".")[2] in {"datetime", "date"}


def test_the_pure_rooms_are_looked_at() -> None:
    core = ROOT / "dispatch_core" / "src"
    rooms = {room for room in PURE_ROOMS if [*(core / room.replace(".", "/")).glob("*.py")]}
    assert rooms == {room for room in PURE_ROOMS for module in PURE if in_room(module, room)}


def test_pure_rooms_stay_pure() -> None:
    assert not [each for module in PURE for each in (*impure_imports(module), *impure_calls(module))]


@pytest.mark.parametrize(
    "code",
    ["import time", "from random import random", "import os.path", "def f():\n    import threading"],
)
def test_an_impure_import_would_be_seen(code: str) -> None:
    assert [*impure_imports(pretend(code))]


@pytest.mark.parametrize(
    "code", ["datetime.now(UTC)", "dt.datetime.utcnow()", "date.today()", "print(1)", "open('x')"]
)
def test_an_impure_call_would_be_seen(code: str) -> None:
    assert [*impure_calls(pretend(code))]


def pretend(code: str) -> Module:
    """A kernel module with this code."""
    module = Module("dispatch_core.kernel.pretended", ROOT / "pretended.py")
    vars(module)["text"] = code
    return module
