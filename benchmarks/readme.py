"""Writes the README's table from the kept results: ``python -m benchmarks.readme``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, table

README = Path(__file__).parents[1] / "README.md"
_PLACE = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)
_SCHEDULES = re.compile(r"(<!-- schedules -->\n).*?(<!-- /schedules -->)", re.DOTALL)
POLICIES = {
    "ours": "Dispatch",
    "wspt": "WSPT",
    "slurm": "Slurm-like",
    "priority": "priority FIFO",
    "fifo": "FIFO",
}


def rows() -> list[dict[str, object]]:
    """What the README shows: each figure beside what it is to be held against, of the same run."""
    commit, backlog = (_kept(name) for name in ("commit", "backlog"))
    shown: list[dict[str, object]] = []
    for row in commit:
        what = f"commands/s on SQLite, {row['threads']} thread{'s' if row['threads'] > 1 else ''}"
        beside = f"{row['raw SQLite, 1 row a commit']:,.0f} bare SQLite commits/s (÷ {row['÷']:.2f})"
        shown.append({"what": what, "measured": row["commands/s"], "beside it": beside})
    for small, large in zip(backlog[::2], backlog[1::2], strict=True):
        what = f"CPU ms a claim, {large['pending']:,} jobs pending ({large['store']})"
        beside = (
            f"{small['claim p50 CPU ms']:.2f} with {small['pending']:,} pending (÷ {large['÷ smallest']:.2f})"
        )
        shown.append({"what": what, "measured": large["claim p50 CPU ms"], "beside it": beside})
    memory = f"{backlog[-2]['process MiB']:.0f} MiB with {backlog[-2]['pending']:,} pending"
    what = f"MiB of a process serving {backlog[-1]['pending']:,} jobs on SQLite"
    shown.append({"what": what, "measured": backlog[-1]["process MiB"], "beside it": memory})
    return shown


def schedules() -> list[dict[str, object]]:
    """Weighted flow over its lower bound, by family and policy."""
    found: dict[str, dict[str, object]] = {}
    for row in _kept("scheduling-families"):
        line = found.setdefault(row["family"], {"fleet and jobs": row["family"]})
        line[POLICIES[row["policy"]]] = f"{row['× bound']:.3g}"
    return [{head: line[head] for head in ("fleet and jobs", *POLICIES.values())} for line in found.values()]


def _kept(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return found


def rendered(text: str) -> str:
    """The README with its tables as the results say."""
    text = _PLACE.sub(lambda place: f"{place[1]}{table(list(rows()))}\n{place[2]}", text)
    return _SCHEDULES.sub(lambda place: f"{place[1]}{table(list(schedules()))}\n{place[2]}", text)


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
