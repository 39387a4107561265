"""Peers, each run by its public interface in an environment of its own (`make bench` installs them)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

ENVIRONMENTS = Path(__file__).parents[2] / ".tools" / "peers"


def missing(peer: str) -> bool:
    """Whether a peer is not installed."""
    return not _python(peer).exists()


def ask(peer: str, script: str, *arguments: object) -> float:
    """What a peer's script measured, in a process of its own: a rate per second."""
    program = Path(__file__).parent / f"{script}.py"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [_python(peer), program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(f"{peer}: {done.stderr[-2_000:]}")
    return float(json.loads(done.stdout))


def _python(peer: str) -> Path:
    return ENVIRONMENTS / peer / "bin" / "python"
