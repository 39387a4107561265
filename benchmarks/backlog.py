"""What a claim costs with a million jobs pending against a thousand, and what serving them takes: memory, time to start."""

from __future__ import annotations

import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.fleet import register, specs
from benchmarks.served import serving
from benchmarks.suite import Figure, Outcome, Scale, tell
from dispatch_core import Dispatcher, Storage
from dispatch_core.storage import MemoryStorage, create_storage

Clock = Callable[[], float]
CLASSES, ENGINES, TURNS, FEW, SERVED = 40, 24, 20, 1_000, 3
NOTES = (
    (
        "24 engines of seven speeds, 40 scheduling classes; the store is opened anew before claims are measured, one claim at a time, few and many in turns, "
        "direct commits; CPU, because the disk is the same for both."
    ),
    (
        "The server is `dispatch serve` with its defaults after 200 claims over HTTP: resident memory as the system counts it, shared "
        "libraries included. Its start is from the process's beginning to the first 200 of /health/ready; the disk's cache is warm."
    ),
)


def store(target: str) -> Storage:
    """A store of one dispatcher's own."""
    return MemoryStorage(shared=False) if target == "memory:" else create_storage(target)


def fill(dispatcher: Dispatcher, jobs: int, classes: int = CLASSES) -> None:
    """Submit ``jobs`` jobs in batches of 1,000."""
    source = specs(classes)
    for start in range(0, jobs, 1_000):
        dispatcher.submit_many(list(itertools.islice(source, min(1_000, jobs - start))))
        if start and start % 100_000 == 0:
            tell(f"{start:,} of {jobs:,} submitted")


def claims(dispatcher: Dispatcher, names: Sequence[str], count: int, clock: Clock) -> list[float]:
    """Milliseconds by a clock of each claim, taken in turn by all engines; every lease is completed at once."""
    spent = []
    for number in range(count):
        name = names[number % len(names)]
        started = clock()
        leases = dispatcher.claim(name, session="bench")
        spent.append((clock() - started) * 1_000)
        for lease in leases:
            dispatcher.complete(lease)
    return spent


def in_turns(
    dispatchers: Mapping[int, Dispatcher], names: Sequence[str], clock: Clock = time.process_time
) -> dict[int, list[float]]:
    """What claims cost on each, a round of all engines on one after a round on the other; the first warms it."""
    spent: dict[int, list[float]] = {key: [] for key in dispatchers}
    for turn in range(TURNS):
        for key, dispatcher in dispatchers.items():
            found = claims(dispatcher, names, len(names), clock)
            spent[key] += found if turn else []
    return spent


def filled(kind: str, jobs: int, target: str) -> tuple[Storage, dict[str, object]]:
    """A store with so many jobs, opened anew so that nothing is warm, and what came of it."""
    tell(f"{jobs:,} pending, {kind}")
    storage = store(target)
    with Dispatcher(storage) as dispatcher:
        register(dispatcher, ENGINES)
        started = time.perf_counter()
        fill(dispatcher, jobs)
        rate = jobs / (time.perf_counter() - started)
    opened = time.perf_counter()
    if kind != "memory":
        storage.close()
        storage = create_storage(target)
    opened = time.perf_counter() - opened
    return storage, {"store": kind, "pending": jobs, "submit/s": rate, "open ms": opened * 1_000}


def measure(
    kind: str, targets: Mapping[int, str], clock: Clock = time.process_time
) -> list[dict[str, object]]:
    """One row a size; ``targets`` says where a store of each size is to be made."""
    names = [f"engine-{number}" for number in range(ENGINES)]
    stores, rows, dispatchers = [], [], {}
    for jobs, target in targets.items():
        storage, row = filled(kind, jobs, target)
        stores.append(storage)
        dispatchers[jobs] = Dispatcher(storage)
        started = time.perf_counter()
        dispatchers[jobs].claim(names[0], session="bench")
        rows.append({**row, "first claim ms": (time.perf_counter() - started) * 1_000})
    gc.collect()
    spent = in_turns(dispatchers, names, clock)
    for storage, dispatcher in zip(stores, dispatchers.values(), strict=True):
        dispatcher.close()
        storage.close()
    for jobs, row in zip(targets, rows, strict=True):
        row["claim p50 ms"] = statistics.median(spent[jobs])
        row["p95"] = statistics.quantiles(spent[jobs], n=20)[-1]
    return rows


def run(scale: Scale) -> Outcome:
    """Both stores, few and many; the server on the files of both."""
    rows: list[Mapping[str, object]] = []
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in ("memory", "sqlite"):
            sizes = (FEW, scale.backlog)
            few, many = measure(
                kind,
                {jobs: "memory:" if kind == "memory" else str(Path(name) / f"{jobs}.db") for jobs in sizes},
            )
            figures[f"P6 {kind}"] = beside(few, many)
            rows += [few, many]
        served = {jobs: _served(Path(name) / f"{jobs}.db") for jobs in (FEW, scale.backlog)}
    many_mib, many_s = served[scale.backlog]
    few_mib, few_s = served[FEW]
    figures["P8"] = Figure(many_mib, f"{scale.backlog:,} pending; {few_mib:.0f} MiB with {FEW:,}")
    figures["P12 start"] = Figure(many_s, f"{scale.backlog:,} pending; {few_s:.2f} s with {FEW:,}")
    return Outcome(rows=rows, figures=figures, notes=NOTES)


def _served(path: Path) -> tuple[float, float]:
    tell(f"dispatch serve on {path.name}")
    found = [serving(path, claims=200, engines=ENGINES) for _ in range(SERVED)]
    return max(each.rss_mib for each in found), statistics.median(each.ready_s for each in found)


def beside(few: Mapping[str, object], many: Mapping[str, object]) -> Figure:
    """The cost of a claim with many jobs waiting, over that with few."""
    small, large = few["claim p50 ms"], many["claim p50 ms"]
    assert isinstance(small, float)
    assert isinstance(large, float)
    return Figure(
        large / small, f"{large:.2f} ms at {many['pending']:,} ÷ {small:.2f} ms at {few['pending']:,}"
    )
