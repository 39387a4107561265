"""Group commit: commands per second on SQLite (WAL, FULL) by threads, beside the raw SQLite limit."""

from __future__ import annotations

import itertools
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.fleet import register, specs
from benchmarks.suite import Outcome, Scale, tell
from dispatch_core import BatchReport, Dispatcher
from dispatch_core.storage import create_storage

THREADS = (1, 8, 32, 64)


class Sizes:
    """Counts commands and batches, to tell how many share a commit."""

    def __init__(self) -> None:
        self.commands = self.batches = 0

    def committed(self, report: BatchReport) -> None:
        """A batch is durable."""
        self.commands += report.commands
        self.batches += 1


def measure(folder: Path, threads: int, seconds: float) -> tuple[float, float]:
    """Commands per second, and commands per batch, of ``threads`` clients that submit, claim and complete."""
    sizes = Sizes()
    storage = create_storage(folder / f"dispatch-{threads}-{time.monotonic_ns()}.db")
    with Dispatcher(storage, group_commit=threads > 1, observers=[sizes]) as dispatcher:
        names = register(dispatcher, threads)
        sizes.commands = sizes.batches = 0
        until = time.perf_counter() + seconds
        clients = [threading.Thread(target=_client, args=(dispatcher, name, until)) for name in names]
        started = time.perf_counter()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        spent = time.perf_counter() - started
    storage.close()
    return sizes.commands / spent, sizes.commands / max(sizes.batches, 1)


def _client(dispatcher: Dispatcher, name: str, until: float) -> None:
    for spec in specs(10):
        if time.perf_counter() >= until:
            return
        dispatcher.submit(spec)
        for lease in dispatcher.claim(name, session="bench"):
            dispatcher.complete(lease, {"ok": True})


def raw(folder: Path, batch: int, seconds: float) -> float:
    """Commands per second of bare ``sqlite3`` under the same durability: one row write a command, no logic."""
    database = sqlite3.connect(folder / f"raw-{batch}-{time.monotonic_ns()}.db", isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id PRIMARY KEY, body)"
    )
    body, count, started = "x" * 400, itertools.count(), time.perf_counter()
    done = 0
    while time.perf_counter() < started + seconds / 2:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO t VALUES (?, ?)", [(next(count), body) for _ in range(batch)])
        database.execute("COMMIT")
        done += batch
    database.close()
    return done / (time.perf_counter() - started)


def run(scale: Scale) -> Outcome:
    """Dispatch and limit take turns, so that noise meets both alike."""
    rows: list[Mapping[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for threads in THREADS:
            ours, sizes, single, same = [], [], [], []
            for _ in range(min(scale.rounds, 3)):
                rate, size = measure(folder, threads, scale.seconds)
                ours.append(rate)
                sizes.append(size)
                single.append(raw(folder, 1, scale.seconds))
                same.append(raw(folder, max(round(size), 1), scale.seconds))
            tell(f"{threads} threads")
            rate, limit = statistics.median(ours), statistics.median(single)
            rows.append(
                {
                    "threads": threads,
                    "commands/s": rate,
                    "commands/batch": statistics.median(sizes),
                    "raw SQLite, 1 row a commit": limit,
                    "÷": rate / limit,
                    "raw SQLite, same batch": statistics.median(same),
                }
            )
    return Outcome(rows=rows)
