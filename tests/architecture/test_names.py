"""Modules are named after what is in them, say what that is, and do what their docstrings show."""

import doctest
import importlib
import pkgutil

import pytest

from tests.architecture.source import MEMBERS, ROOT, modules

# Names that say "things": such a module takes in whatever has no home, and grows.
SAY_NOTHING = frozenset({"utils", "util", "common", "helpers", "helper", "misc", "models", "manager", "managers",
                         "service", "services", "base"})  # fmt: skip

ALL = modules()


def test_every_member_is_looked_at() -> None:
    assert {module.name.partition(".")[0] for module in ALL} == set(MEMBERS)


def test_no_module_has_a_name_that_says_nothing() -> None:
    sources = [module.path for module in ALL] + sorted((ROOT / "tests").rglob("*.py"))
    bad = [
        str(path.relative_to(ROOT)) for path in sources
        if SAY_NOTHING & set(path.relative_to(ROOT).with_suffix("").parts)
    ]  # fmt: skip
    assert not bad, f"name it after what it holds: {bad}"


def test_every_module_says_what_it_is() -> None:
    silent = [module.where for module in ALL if not module.docstring.strip()]
    assert not silent, f"no docstring: {silent}"


def test_every_package_is_a_real_one() -> None:
    bare = {str(module.path.parent) for module in ALL if not (module.path.parent / "__init__.py").is_file()}
    assert not bare, f"needs an __init__.py: {bare}"


@pytest.mark.parametrize("name", [module.name for module in ALL if ">>>" in module.text])
def test_examples_in_docstrings_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("member", MEMBERS)
def test_members_are_typed(member: str) -> None:
    package = importlib.import_module(member)
    assert pkgutil.get_data(package.__name__, "py.typed") is not None
