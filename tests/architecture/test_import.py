"""Importing the library does nothing but define names."""

import json
import subprocess
import sys

import pytest

PROBE = """
import json, os, sys, threading

def state():
    try:
        descriptors = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
        tasks = len(os.listdir("/proc/self/task"))
    except OSError:                        # not Linux: what the standard library can tell
        descriptors, tasks = {}, threading.active_count()
    return {
        "tasks": tasks,
        "threads": [thread.name for thread in threading.enumerate()],
        "descriptors": sorted(target for target in descriptors.values() if "/proc/" not in target),
        "environment": sorted(os.environ),
    }

before = state()
import MODULE
after = state()
print(json.dumps({"before": before, "after": after, "modules": sorted(sys.modules)}))
"""

OPTIONAL = {"sqlalchemy", "alembic", "psycopg", "hypothesis", "pytest", "falcon", "waitress", "click", "rich", "httpx2",
            "structlog", "orjson", "yaml", "pydantic"}  # fmt: skip


def imported(module: str) -> dict[str, object]:
    run = subprocess.run(
        [sys.executable, "-I", "-c", PROBE.replace("MODULE", module)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stderr == "", "an import writes nothing"
    state = json.loads(run.stdout)
    assert isinstance(state, dict)
    return state


@pytest.mark.parametrize("module", ["dispatch_core", "dispatch_http", "dispatch_cli"])
def test_an_import_starts_no_thread_and_opens_no_file(module: str) -> None:
    state = imported(module)
    assert state["after"] == state["before"]


def test_the_core_imports_nothing_optional() -> None:
    names = imported("dispatch_core")["modules"]
    assert isinstance(names, list)
    assert "dispatch_core" in names
    assert not OPTIONAL & {name.partition(".")[0] for name in names}
