"""The library on PostgreSQL beside Procrastinate and pgqueuer, a real server of its own with fsync on."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from benchmarks.backlog import FEW, beside, measure
from benchmarks.library import BATCH, THREADS, batched, submitted, threaded
from benchmarks.peers import ask, missing
from benchmarks.suite import Outcome, Scale, compared, in_turns, line, tell
from tests.support.postgres import Postgres, postgres

SETTINGS = {"autovacuum": "on"}
"""Beside the defaults: fsync and synchronous_commit are on."""
CONCURRENCY = 32
OURS, CALLS, MANY = f"ours, {THREADS} threads", f"ours, calls of {BATCH}", "ours, submit_many(1,000), jobs/s"
PROCRASTINATE, PROCRASTINATE_MANY = (
    f"Procrastinate, {CONCURRENCY} at once",
    "Procrastinate, batch_defer(1,000), jobs/s",
)
PGQUEUER = f"pgqueuer, batch {BATCH}"
NOTES = (
    "Each round has a database of its own on one server, on the same cores as its clients.",
    "Procrastinate and pgqueuer run in one process each by asyncio: first all jobs are enqueued, then a worker drains them.",
    "Procrastinate keeps ended jobs and a row per event; pgqueuer deletes the job and logs it.",
)


def run(scale: Scale) -> Outcome:
    """In turns; then what a claim costs with few and many pending."""
    with postgres(SETTINGS, own=True) as server:
        rounds = in_turns(scale.rounds, _measured(server, scale))
        pending = (FEW, scale.backlog)
        few, many = measure("postgresql", {jobs: server.database() for jobs in pending}, time.perf_counter)
    rows = [line(rounds, name, "lifecycles/s") for name in rounds]
    rows += [
        {"what": f"claim p50 ms, {row['pending']:,} pending", "median lifecycles/s": row["claim p50 ms"],
         "least": "", "most": row["p95"], "rounds": ""}
        for row in (few, many)
    ]  # fmt: skip
    figures = {"P6 postgresql": beside(few, many)}
    if PROCRASTINATE in rounds:
        figures["P4 procrastinate"] = compared(rounds, OURS, PROCRASTINATE)
        figures["P5 postgresql"] = compared(rounds, MANY, PROCRASTINATE_MANY, "jobs/s")
    if PGQUEUER in rounds:
        figures["P4 pgqueuer"] = compared(rounds, CALLS, PGQUEUER)
    return Outcome(rows=rows, figures=figures, notes=NOTES)


def _measured(server: Postgres, scale: Scale) -> dict[str, Callable[[], float]]:
    seconds = scale.seconds
    found: dict[str, Callable[[], float]] = {
        OURS: lambda: threaded(server.database(), THREADS, seconds),
        CALLS: lambda: batched(server.database(), BATCH, seconds),
        MANY: lambda: submitted(server.database(), seconds),
    }

    def peer(name: str, jobs: int, *how: object) -> float:
        url = server.database().replace("+psycopg", "")
        return ask(name, f"{name}_postgres", url, jobs if scale.quick else 5 * jobs, *how)

    if missing("procrastinate"):
        tell("Procrastinate is not installed: `make bench` does that")
    else:
        found[PROCRASTINATE] = partial(peer, "procrastinate", 300, CONCURRENCY)
        found[PROCRASTINATE_MANY] = partial(peer, "procrastinate", 5_000, "batch")
    if missing("pgqueuer"):
        tell("pgqueuer is not installed: `make bench` does that")
    else:
        found[PGQUEUER] = partial(peer, "pgqueuer", 4_000, BATCH)
    return found
