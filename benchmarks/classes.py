"""What a claim costs as the number of scheduling classes grows: 10, 100, 1,000."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.backlog import ENGINES, fill, in_turns, store
from benchmarks.fleet import register
from benchmarks.suite import Figure, Outcome, Scale, tell
from dispatch_core import Dispatcher

CLASSES = (10, 100, 1_000)


def measure(kind: str, jobs: int, folder: Path) -> list[dict[str, object]]:
    """One row a number of classes: the same number of jobs in so many."""
    dispatchers: dict[int, Dispatcher] = {}
    names: list[str] = []
    for classes in CLASSES:
        tell(f"{classes:,} classes, {kind}")
        storage = store("memory:" if kind == "memory" else str(folder / f"{classes}.db"))
        dispatchers[classes] = Dispatcher(storage)
        names = register(dispatchers[classes], ENGINES)
        fill(dispatchers[classes], jobs, classes)
    spent = in_turns(dispatchers, names)
    for dispatcher in dispatchers.values():
        dispatcher.close()
        dispatcher.storage.close()
    return [
        {
            "store": kind,
            "classes": classes,
            "claim p50 CPU ms": statistics.median(found),
            "p95": statistics.quantiles(found, n=20)[-1],
        }
        for classes, found in spent.items()
    ]


def run(scale: Scale) -> Outcome:
    """Memory and SQLite; the goal is held against the worse."""
    jobs = 4_000 if scale.quick else 20_000
    with tempfile.TemporaryDirectory() as name:
        rows = [row for kind in ("memory", "sqlite") for row in measure(kind, jobs, Path(name))]
    cost = {(row["store"], row["classes"]): float(str(row["claim p50 CPU ms"])) for row in rows}
    grown = {kind: cost[kind, CLASSES[-1]] / cost[kind, CLASSES[0]] for kind in ("memory", "sqlite")}
    worse = max(grown, key=lambda kind: grown[kind])
    beside = f"{worse}: {cost[worse, CLASSES[-1]]:.2f} ÷ {cost[worse, CLASSES[0]]:.2f} ms, {ENGINES} engines"
    return Outcome(rows=rows, figures={"P7": Figure(grown[worse], beside)})
