"""What `make` installs is pinned to the byte, and pinned once."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import MEMBERS, ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)")


def pins(path: Path) -> dict[str, str]:
    matches = (PIN.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {match[1]: match[2] for match in matches if match}


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


def test_there_are_three_locks() -> None:
    assert [path.name for path in LOCKS] == ["bootstrap.lock", "run.lock", "test.lock"]


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


def test_the_run_lock_holds_what_the_members_need() -> None:
    needed = (
        requirements("dispatch_core", "sql")
        | requirements("dispatch_http")
        | requirements("dispatch_cli", "engine")
    )
    missing = needed - pins(ROOT / "requirements" / "run.lock").keys()
    assert not missing, f"run make lock: {missing}"


def test_the_core_needs_three_packages() -> None:
    assert requirements("dispatch_core") == {"attrs", "cattrs", "sortedcontainers"}
    assert set(MEMBERS) == {"dispatch_core", "dispatch_http", "dispatch_cli"}
