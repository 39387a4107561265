"""Facts about the machine an engine runs on, as far as a container lets it use it."""

import os
import platform
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_ARCH_NAMES: Final = (("amd64", "x86_64"), ("arm64", "aarch64"))
_GIB: Final = 1 << 30


def host_facts(cgroup: Path = _CGROUP) -> dict[str, object]:
    """`os`, `arch`, `cpus`, and `memory_gb` (GiB; absent where the system does not tell)."""
    facts: dict[str, object] = {"os": platform.system().lower(), "arch": _arch(), "cpus": _cpus(cgroup)}
    memory = _memory_bytes(cgroup)
    return facts if memory is None else {**facts, "memory_gb": round(memory / _GIB, 1)}


def _arch() -> str:
    machine = platform.machine().lower()
    return dict(_ARCH_NAMES).get(machine, machine)


def _cpus(cgroup: Path) -> int:
    """Processors this process may use: a container with half a core of 64 must not boast."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        usable = min(usable, max(1, round(int(quota) / int(period))))
    return usable


def _memory_bytes(cgroup: Path) -> int | None:
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    limit = _read(cgroup / "memory.max")
    return min(physical, int(limit)) if limit.isdigit() else physical


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
