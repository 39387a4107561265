"""Every test of the core's shell once more, with PostgreSQL as its store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[1] / "core"


@pytest.mark.soak
@pytest.mark.parametrize("folder", ["shell", "scheduling", "kit"])
def test_the_shell_does_the_same_on_postgresql(folder: str) -> None:
    """What holds in memory and on SQLite holds there: the tests are the same, the store is another."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOM / folder)],
        env={**os.environ, "DISPATCH_TEST_STORES": "postgresql", "DISPATCH_TEST_PROFILE": "test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5_000:]
