"""What `make` installs is pinned to the byte, and pinned once."""

import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.architecture.source import MEMBERS, ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)")


def pins(path: Path) -> dict[str, str]:
    matches = (PIN.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {match[1]: match[2] for match in matches if match}


def declared() -> Iterator[Requirement]:
    """What the members ask of others, extras and all."""
    for member in MEMBERS:
        with (ROOT / member / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file)["project"]
        named = [*project["dependencies"], *chain(*project.get("optional-dependencies", {}).values())]
        yield from (each for each in map(Requirement, named) if not each.name.startswith("dispatch-"))


def normal(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def requirements(member: str, *extras: str) -> set[str]:
    with (ROOT / member / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    named = [
        *project["dependencies"],
        *(each for extra in extras for each in project["optional-dependencies"][extra]),
    ]
    return {name for name in map(normal, named) if not name.startswith("dispatch-")}


def test_there_are_three_locks_beside_those_of_the_peers() -> None:
    ours = [path.name for path in LOCKS if not path.name.startswith("peer-")]
    assert ours == ["bootstrap.lock", "run.lock", "test.lock"]


@pytest.mark.checklist(74)
@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_pin_has_hashes(path: Path) -> None:
    entries = re.split(
        r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    assert entries
    assert all(PIN.match(entry) and "--hash=sha256:" in entry for entry in entries if entry.strip())


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_locks_hold_no_options(path: Path) -> None:
    options = re.findall(r"^-\S+", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not options, "a lock says what, never from where"


def test_the_test_lock_holds_the_run_lock() -> None:
    run, test = pins(ROOT / "requirements" / "run.lock"), pins(ROOT / "requirements" / "test.lock")
    assert run.items() <= test.items()


@pytest.mark.checklist(74)
def test_the_run_lock_holds_what_the_members_need() -> None:
    needed = (
        requirements("dispatch_core", "sql")
        | requirements("dispatch_http", "granian")
        | requirements("dispatch_cli", "engine")
        | requirements("dispatch_core", "postgresql")
    )
    missing = needed - pins(ROOT / "requirements" / "run.lock").keys()
    assert not missing, f"run make lock: {missing}"


@pytest.mark.checklist(74)
@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_what_is_locked_is_what_was_asked_for(path: Path) -> None:
    """A lock that is older than a pyproject would install what the members refuse."""
    locked = pins(path)
    stale = [
        f"{each}: {locked[each.name]}"
        for each in declared()
        if each.name in locked and locked[each.name] not in each.specifier
    ]
    assert not stale, f"run make lock: {stale}"


@pytest.mark.checklist(74)
def test_every_requirement_has_a_lower_bound() -> None:
    """So that nobody installs a version these were never tried with."""
    open_below = [
        str(each) for each in declared() if not any(part.operator in {">=", "=="} for part in each.specifier)
    ]
    assert not open_below


def test_the_core_needs_three_packages() -> None:
    assert requirements("dispatch_core") == {"attrs", "cattrs", "sortedcontainers"}
    assert set(MEMBERS) == {"dispatch_core", "dispatch_http", "dispatch_cli"}
