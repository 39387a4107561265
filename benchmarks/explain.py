"""What 'why is my job waiting' costs with 10,000 jobs pending on 50 engines."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.fleet import register, specs
from benchmarks.suite import Outcome, Scale
from dispatch_core import Dispatcher
from dispatch_core.storage import create_storage

CLASSES, ENGINES, JOBS, QUESTIONS = 40, 50, 10_000, 200


def measure(kind: str, idle: int, folder: Path) -> dict[str, object]:
    """One row: all engines but ``idle`` are busy; what the explanations of jobs all over the queue cost."""
    storage = create_storage("memory:" if kind == "memory" else str(folder / f"{idle}.db"))
    with Dispatcher(storage) as dispatcher:
        names = register(dispatcher, ENGINES, slots=2)
        for name in names:
            dispatcher.claim(name, session="bench")
        source = specs(CLASSES)
        ids = []
        for _ in range(JOBS // 1_000):
            ids += [job.id for job in dispatcher.submit_many(list(itertools.islice(source, 1_000)))]
        for name in names[idle:]:
            dispatcher.claim(name, session="bench", limit=2)
        spent, cpu, verdicts = [], [], []
        for job_id in ids[:: JOBS // QUESTIONS]:
            started, used = time.perf_counter(), time.process_time()
            verdicts.append(dispatcher.explain(job_id).verdict.value)
            spent.append((time.perf_counter() - started) * 1_000)
            cpu.append((time.process_time() - used) * 1_000)
    storage.close()
    return {
        "store": kind,
        "pending": JOBS,
        "engines": ENGINES,
        "idle": idle,
        "median ms": statistics.median(spent),
        "p95 ms": statistics.quantiles(spent, n=20)[-1],
        "median CPU ms": statistics.median(cpu),
        "verdicts": ", ".join(sorted(set(verdicts))),
    }


def run(_scale: Scale) -> Outcome:
    """Both stores, all engines busy and some idle."""
    rows: list[Mapping[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for kind in ("memory", "sqlite"):
            rows += [measure(kind, idle, Path(name)) for idle in (0, 10)]
    return Outcome(rows=rows)
