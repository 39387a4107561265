"""CPU seconds of a process and of those it started (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_s(pid: int) -> float:
    """What a process and its children have used so far."""
    return sum(_own_cpu_s(each) for each in _with_children(pid))


def _own_cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _with_children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for each in tasks for child in each.read_text(encoding="ascii").split()]
    return [pid, *(found for child in children for found in _with_children(child))]
