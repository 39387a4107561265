"""The goals of speed: what must be reached, what would be splendid, and what was measured. A missed goal is shown as missed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from operator import ge, le
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen
class Goal:
    """One figure beside its two limits. ``key`` is how a suite names it; the first word is the goal's number."""

    key: str
    what: str
    must: float
    moonshot: float
    unit: str = "×"
    least: bool = True
    """Whether the figure should be at least as large as its limits, else at most."""

    def reached(self, figure: float) -> str:
        """How far a figure came: ``moonshot``, ``must`` or ``missed``."""
        holds = ge if self.least else le
        return next((word for word in ("moonshot", "must") if holds(figure, getattr(self, word))), "missed")


GOALS = (
    Goal("P1", "library, SQLite FULL, 64 threads: lifecycles/s ÷ Huey on SQLite", 3, 6),
    Goal("P2", "library, SQLite FULL, 1 thread: lifecycles/s ÷ raw SQLite at batch 1", 0.35, 0.6),
    Goal("P3", "library, SQLite FULL, calls of 100: lifecycles/s ÷ SQLAlchemy Core at batch 100", 0.25, 0.5),
    Goal("P4 procrastinate", "library, PostgreSQL, 64 threads: lifecycles/s ÷ Procrastinate", 8, 15),
    Goal("P4 pgqueuer", "library, PostgreSQL, calls of 100: lifecycles/s ÷ pgqueuer, batch 100", 0.7, 1.2),
    Goal("P5 sqlite", "submit_many(1,000) on SQLite", 20_000, 30_000, "jobs/s"),
    Goal("P5 postgresql", "submit_many(1,000) on PostgreSQL: jobs/s ÷ Procrastinate's batch", 2, 5),
    Goal("P6 memory", "CPU of a claim, 1 M pending ÷ 1 k pending, memory", 2, 1.2, least=False),
    Goal("P6 sqlite", "the same, SQLite", 2, 1.2, least=False),
    Goal("P6 postgresql", "the same, PostgreSQL (time, not CPU)", 2, 1.2, least=False),
    Goal("P7", "CPU of a claim, 1,000 classes ÷ 10 classes", 10, 3, least=False),
    Goal("P8", "memory of the server with 1 M pending on SQLite", 200, 120, "MiB", least=False),
    Goal("P9 single", "HTTP, waitress: lifecycles/s by single calls × 3 ÷ no-op Falcon requests/s", 0.4, 0.6),
    Goal("P9 batch", "HTTP, waitress: lifecycles/s by batch endpoints ÷ by single calls", 8, 20),
    Goal("P9 granian", "HTTP, single calls: granian ÷ waitress", 1.5, 3),
    Goal("P10 p50", "submit to a waiting engine woken over HTTP, p50", 5, 2, "ms", least=False),
    Goal("P10 p99", "the same, p99", 25, 10, "ms", least=False),
    Goal("P10 two p50", "the same across two servers on PostgreSQL, p50", 20, 8, "ms", least=False),
    Goal("P10 two p99", "the same, p99", 100, 40, "ms", least=False),
    Goal("P11", "server CPU, 10,000 engines' heartbeats every 10 s + 200 claims/s", 1, 0.5, "cores", least=False),
    Goal("P12 start", "from the start of `dispatch serve` to ready, 1 M pending on SQLite", 2, 0.5, "s", least=False),
    Goal("P12 help", "`dispatch --help`, a new process", 0.3, 0.2, "s", least=False),
    Goal("P12 import", "`import dispatch_core`, in a new process", 0.15, 0.08, "s", least=False),
)  # fmt: skip


def kept_figures(folder: Path) -> dict[str, dict[str, Any]]:
    """By goal, what the newest results in a folder say: the figure, what is beside it, when it was measured."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        for key, figure in result.get("figures", {}).items():
            found[key] = {**figure, "at": result["machine"]["at"], "reduced": result.get("reduced", False)}
    return found


def goal_rows(
    figures: Mapping[str, Mapping[str, Any]], goals: Iterable[Goal] = GOALS
) -> list[dict[str, object]]:
    """One line a goal, measured or not; ``(quick)``: in a short run, with small backlogs."""
    rows: list[dict[str, object]] = []
    for goal in goals:
        found = figures.get(goal.key)
        rows.append(
            {
                "#": goal.key.split()[0],
                "goal": goal.what,
                "must": _limit(goal, goal.must),
                "moonshot": _limit(goal, goal.moonshot),
                "measured": "not measured" if found is None else _measured(goal, found),
                "reached": "–" if found is None else _word(goal.reached(found["value"])),
                "in the same run": "" if found is None else found.get("beside", ""),
            }
        )
    return rows


def _measured(goal: Goal, found: Mapping[str, Any]) -> str:
    return _with_unit(goal, found["value"]) + (" (quick)" if found.get("reduced") else "")


def _limit(goal: Goal, value: float) -> str:
    return f"{'≥' if goal.least else '≤'} {_with_unit(goal, value)}"


def _with_unit(goal: Goal, value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
    return f"{text} {goal.unit}"


def _word(reached: str) -> str:
    return f"**{reached}**" if reached == "missed" else reached
