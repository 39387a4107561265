"""Writes the README's table from the kept results: ``python -m benchmarks.readme``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.goals import goal_rows, kept_figures
from benchmarks.machine import RESULTS, table

README = Path(__file__).parents[1] / "README.md"
TIMES = README.parent / "docs" / "explanation" / "where-the-time-goes.md"
_PLACE = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)
_SCHEDULES = re.compile(r"(<!-- schedules -->\n).*?(<!-- /schedules -->)", re.DOTALL)
_PROFILE = re.compile(r"(<!-- profile -->\n).*?(<!-- /profile -->)", re.DOTALL)
POLICIES = {
    "ours": "Dispatch",
    "wspt": "WSPT",
    "slurm": "Slurm-like",
    "priority": "priority FIFO",
    "fifo": "FIFO",
}


def rows() -> list[dict[str, object]]:
    """The goals of speed, those measured and those not, met or missed."""
    return goal_rows(kept_figures(RESULTS))


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
    """The README, or the page about time, with its tables as the results say."""
    text = _PROFILE.sub(lambda place: f"{place[1]}{table(_kept('profile'))}\n{place[2]}", text)
    text = _PLACE.sub(lambda place: f"{place[1]}{table(rows())}\n{place[2]}", text)
    return _SCHEDULES.sub(lambda place: f"{place[1]}{table(schedules())}\n{place[2]}", text)


if __name__ == "__main__":
    for page in (README, TIMES):
        page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")
