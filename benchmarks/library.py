"""The library on SQLite (WAL, FULL) beside Huey and the limits of SQLite: lifecycles per second, each submit → claim → complete."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.fleet import register, specs
from benchmarks.limits import raw_lifecycles, sqlalchemy_lifecycles
from benchmarks.peers import ask, missing
from benchmarks.suite import Figure, Outcome, Scale, compared, in_turns, line, tell
from dispatch_core import Attempt, Complete, Dispatcher, Lease
from dispatch_core.storage import create_storage

THREADS, BATCH, MANY, CLASSES = 64, 100, 1_000, 10
NOTES = (
    (
        "A lifecycle is submit, claim, complete, each durable before it returns. Ours keeps attempts and a history row per change, "
        "matches requirements, size and priority, and routes; Huey (fsync=True) keeps a queue, deletes on dequeue "
        "and stores no result; we divide by the better of one and 64 threads in each round."
    ),
    "The limits are three row writes a lifecycle in three transactions a batch, with one index; ours writes eight rows. Engines are alike, so that none leaves a job to a faster one.",
)


@contextmanager
def _dispatcher(
    target: str, engines: int, *, group_commit: bool = False
) -> Iterator[tuple[Dispatcher, list[str]]]:
    storage = create_storage(target)
    with Dispatcher(storage, group_commit=group_commit) as dispatcher:
        yield dispatcher, register(dispatcher, engines, alike=True)
    storage.close()


def threaded(target: str, threads: int, seconds: float) -> float:
    """Lifecycles per second of so many clients, each an engine and a submitter."""
    with _dispatcher(target, threads, group_commit=threads > 1) as (dispatcher, names):
        done = [0] * threads
        until = time.perf_counter() + seconds

        def client(mine: int) -> None:
            for spec in specs(CLASSES):
                if time.perf_counter() >= until:
                    return
                dispatcher.submit(spec)
                for lease in dispatcher.claim(names[mine], session="bench"):
                    dispatcher.complete(lease, {"ok": True})
                    done[mine] += 1

        clients = [threading.Thread(target=client, args=(mine,)) for mine in range(threads)]
        started = time.perf_counter()
        for each in clients:
            each.start()
        for each in clients:
            each.join()
        return sum(done) / (time.perf_counter() - started)


def batched(target: str, batch: int, seconds: float) -> float:
    """Lifecycles per second of one thread that submits, claims and completes so many at once."""
    with _dispatcher(target, 1) as (dispatcher, names):
        source, done, started = specs(CLASSES), 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            dispatcher.submit_many(list(itertools.islice(source, batch)))
            leases = dispatcher.claim(names[0], session="bench", limit=batch)
            complete_many(dispatcher, leases)
            done += len(leases)
        return done / spent


def complete_many(dispatcher: Dispatcher, leases: Sequence[Lease]) -> None:
    """Complete many leases in one transaction."""
    reports = [
        Complete(job_id=lease.job.id, engine_id=lease.engine_id, token=lease.token, result={"ok": True})
        for lease in leases
    ]
    for answer in dispatcher.execute_many(reports):
        assert isinstance(answer, Attempt), answer


def submitted(target: str, seconds: float, many: int = MANY) -> float:
    """Jobs per second of ``submit_many``, to a fleet of 24 engines."""
    with _dispatcher(target, 24) as (dispatcher, _):
        source, done, spent = specs(CLASSES), 0, 0.0
        while spent < seconds:
            batch = list(itertools.islice(source, many))
            started = time.perf_counter()
            dispatcher.submit_many(batch)
            spent += time.perf_counter() - started
            done += many
        return done / spent


HUEY, HUEY_64 = "Huey, 1 thread", f"Huey, {THREADS} threads"
BEST = "Huey, the better of the two in each round"
OURS, ALONE, CALLS = f"ours, {THREADS} threads", "ours, 1 thread", f"ours, calls of {BATCH}"
RAW, RAW_100 = "raw SQLite, batch 1", f"raw SQLite, batch {BATCH}"
CORE, CORE_100 = "SQLAlchemy Core, batch 1", f"SQLAlchemy Core, batch {BATCH}"


def run(scale: Scale) -> Outcome:
    """Ours, peers and limits in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder, seconds = Path(name), scale.seconds
        paths = (str(folder / f"dispatch-{number}.db") for number in itertools.count())
        measured: dict[str, Callable[[], float]] = {
            OURS: lambda: threaded(next(paths), THREADS, seconds),
            ALONE: lambda: threaded(next(paths), 1, seconds),
            RAW: partial(raw_lifecycles, folder, 1, seconds),
            CORE: partial(sqlalchemy_lifecycles, folder, 1, seconds),
            CALLS: lambda: batched(next(paths), BATCH, seconds),
            CORE_100: partial(sqlalchemy_lifecycles, folder, BATCH, seconds),
            RAW_100: partial(raw_lifecycles, folder, BATCH, seconds),
        }
        if missing("huey"):
            tell("Huey is not installed: `make bench` does that")
        else:
            measured[HUEY] = partial(ask, "huey", "huey_sqlite", folder, 1, seconds)
            measured[HUEY_64] = partial(ask, "huey", "huey_sqlite", folder, THREADS, seconds)
        rounds = in_turns(scale.rounds, measured)
        many = [submitted(next(paths), seconds) for _ in range(scale.rounds)]
    rows = [line(rounds, name, "lifecycles/s") for name in rounds]
    rows.append(line({"submit_many(1,000), jobs/s": many}, "submit_many(1,000), jobs/s", "lifecycles/s"))
    figures = {"P2": compared(rounds, ALONE, RAW), "P3": compared(rounds, CALLS, CORE_100)}
    figures["P5 sqlite"] = Figure(statistics.median(many), "24 engines, 10 classes, one history row each")
    if HUEY in rounds:
        best = [max(each) for each in zip(rounds[HUEY], rounds[HUEY_64], strict=True)]
        figures["P1"] = compared({OURS: rounds[OURS], BEST: best}, OURS, BEST)
    return Outcome(rows=rows, figures=figures, notes=NOTES)
