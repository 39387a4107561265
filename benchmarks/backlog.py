"""What a claim costs with a million jobs pending against a thousand: time, rows and memory."""

from __future__ import annotations

import gc
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.fleet import register, specs
from benchmarks.machine import keep, table
from dispatch_core import Dispatcher, Storage
from dispatch_core.storage import create_storage

CLASSES, ENGINES, CLAIMS = 40, 24, 600


def rss_mib() -> float:
    """Resident memory of this process in MiB (Linux), else 0."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def fill(dispatcher: Dispatcher, jobs: int) -> None:
    """Submit ``jobs`` jobs in batches of 1,000."""
    source = specs(CLASSES)
    for start in range(0, jobs, 1_000):
        dispatcher.submit_many(list(itertools.islice(source, min(1_000, jobs - start))))
        if start % 100_000 == 0 and sys.stderr.isatty():
            print(f"\r{start:,} of {jobs:,} submitted", end="", file=sys.stderr)


def claims(dispatcher: Dispatcher, names: list[str]) -> list[float]:
    """CPU milliseconds of each claim, taken in turn by all engines; every lease is completed at once."""
    spent = []
    for number in range(CLAIMS):
        name = names[number % len(names)]
        started = time.process_time()
        leases = dispatcher.claim(name, session="bench")
        spent.append((time.process_time() - started) * 1_000)
        for lease in leases:
            dispatcher.complete(lease)
    return spent


def measure(kind: str, jobs: int, folder: Path) -> dict[str, object]:
    """One row: a filled store, opened anew (so that nothing is warm), and what claims cost on it."""
    target = "memory:" if kind == "memory" else str(folder / f"{jobs}.db")
    storage = create_storage(target)
    with Dispatcher(storage) as dispatcher:
        names = register(dispatcher, ENGINES)
        filled = time.perf_counter()
        fill(dispatcher, jobs)
        filled = time.perf_counter() - filled
    storage, opened_s = _reopened(storage, target)
    gc.collect()
    with Dispatcher(storage) as dispatcher:
        first = time.perf_counter()
        for lease in dispatcher.claim(names[0], session="bench"):
            dispatcher.complete(lease)
        first = time.perf_counter() - first
        spent = claims(dispatcher, names)
    storage.close()
    return {
        "store": kind,
        "pending": jobs,
        "claim p50 CPU ms": statistics.median(spent),
        "p95": statistics.quantiles(spent, n=20)[-1],
        "first claim ms": first * 1_000,
        "open ms": opened_s * 1_000,
        "submit/s": jobs / filled,
    }


def _reopened(storage: Storage, target: str) -> tuple[Storage, float]:
    if target == "memory:":
        return storage, 0.0
    storage.close()
    started = time.perf_counter()
    return create_storage(target), time.perf_counter() - started


def serving_rss(jobs: int, folder: Path) -> float:
    """Resident MiB of a fresh process that opened the filled store and served claims."""
    code = f"from benchmarks.backlog import _serve; _serve({jobs}, {str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _serve(jobs: int, folder: str) -> None:
    with Dispatcher(create_storage(Path(folder) / f"{jobs}.db")) as dispatcher:
        claims(dispatcher, [f"engine-{number}" for number in range(ENGINES)])
        print(rss_mib())


def run(sizes: tuple[int, ...] = (1_000, 1_000_000)) -> None:
    """Print and keep the table."""
    rows: list[Mapping[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for kind in ("memory", "sqlite"):
            base: float | None = None
            for jobs in sizes:
                row = measure(kind, jobs, Path(name))
                cost = row["claim p50 CPU ms"]
                assert isinstance(cost, float)
                base = base or cost
                serving = serving_rss(jobs, Path(name)) if kind == "sqlite" else rss_mib()
                rows.append({**row, "÷ smallest": cost / base, "process MiB": serving})
    print(table(rows))
    print(f"kept in {keep('backlog', rows).name}")
