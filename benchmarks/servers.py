"""Several servers on one PostgreSQL (fsync on): lifecycles per second, and how often one is faster than another."""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from attrs import define

from benchmarks.fleet import register, specs
from benchmarks.suite import Figure, Outcome, Scale
from dispatch_core import BatchReport, Dispatcher
from dispatch_core.storage import create_storage
from tests.support.postgres import postgres

SERVERS = (1, 2, 4)
BACKLOGS = (0, 3_000)
ENGINES, CLASSES = 24, 10
NOTES = (
    (
        "Each server is a process of its own with a writer thread; 24 engines of seven speeds are spread over them, each claims and "
        "completes one job at a time, and every server submits as many as its engines complete. Lost: jobs a server had chosen that another had "
        "taken by then, of all it granted; again: batches it decided once more."
    ),
    "Two cores for the servers, the engines and PostgreSQL together: what grows with the number of servers is contention, not throughput.",
)


@define
class Count:
    """Observer: what one server granted, and what it lost to others."""

    granted: int = 0
    lost: int = 0
    again: int = 0
    batches: int = 0

    def committed(self, report: BatchReport) -> None:
        """One batch."""
        self.granted += report.granted
        self.lost += report.lost
        self.again += report.again
        self.batches += 1


def serve(url: str, number: int, servers: int, seconds: float, answer: Connection, ready: Barrier) -> None:
    """One server with its share of the engines, for so long."""
    count, done = Count(), [0] * ENGINES
    storage = create_storage(url, server_id=f"server-{number}")
    with Dispatcher(storage) as dispatcher:  # every engine asks once, so that all servers know where it asks
        for mine in range(number, ENGINES, servers):
            for lease in dispatcher.claim(f"engine-{mine}", session="bench"):
                dispatcher.complete(lease)
    ready.wait()
    with Dispatcher(storage, group_commit=True, observers=(count,)) as dispatcher:
        until = time.perf_counter() + seconds

        def client(mine: int) -> None:
            for spec in specs(CLASSES):
                if time.perf_counter() >= until:
                    return
                dispatcher.submit(spec)
                for lease in dispatcher.claim(f"engine-{mine}", session="bench", wait_s=1.0):
                    dispatcher.complete(lease, {"ok": True})
                    done[mine] += 1

        clients = [threading.Thread(target=client, args=(mine,)) for mine in range(number, ENGINES, servers)]
        for each in clients:
            each.start()
        for each in clients:
            each.join()
    storage.close()
    answer.send((sum(done), count.granted, count.lost, count.again, count.batches))


def together(url: str, servers: int, backlog: int, seconds: float) -> dict[str, float]:
    """So many servers at once: lifecycles per second, and shares of what was lost and decided again."""
    storage = create_storage(url)
    with Dispatcher(storage) as dispatcher:
        register(dispatcher, ENGINES, slots=4)
        source = specs(CLASSES)
        for _ in range(backlog // 500):
            dispatcher.submit_many(list(itertools.islice(source, 500)))
    storage.close()
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(servers)
    ends = [context.Pipe() for _ in range(servers)]
    running = [
        context.Process(target=serve, args=(url, number, servers, seconds, ends[number][1], ready))
        for number in range(servers)
    ]
    for each in running:
        each.start()
    told = [mine.recv() for mine, _ in ends]
    for each in running:
        each.join()
    done, granted, lost, again, batches = map(sum, zip(*told, strict=True))
    return {
        "lifecycles/s": done / seconds,
        "lost": lost / max(granted, 1),
        "again": again / max(batches, 1),
        "commands per batch": 3 * done / max(batches, 1),
    }


def run(scale: Scale) -> Outcome:
    """One, two and four servers in turns, each on a store of its own, with and without a backlog."""
    kinds = [(backlog, servers) for backlog in BACKLOGS for servers in SERVERS]
    rounds: dict[tuple[int, int], list[dict[str, float]]] = {kind: [] for kind in kinds}
    with postgres({"shared_buffers": "256MB"}, own=True) as server:
        for _ in range(scale.rounds):
            for backlog, servers in kinds:
                url = server.database()
                rounds[backlog, servers].append(together(url, servers, backlog, scale.seconds))
                server.drop(url)
    rows: list[dict[str, Any]] = []
    for (backlog, servers), found in rounds.items():
        middle = {name: statistics.median(each[name] for each in found) for name in found[0]}
        rows.append({"backlog": backlog, "servers": servers, **middle, "rounds": len(found)})
    figures = {
        f"contention {row['servers']}": Figure(
            100 * float(row["lost"]), f"{row['lifecycles/s']:,.0f} lifecycles/s, backlog {row['backlog']:,}"
        )
        for row in rows
        if row["servers"] > 1 and row["backlog"]
    }
    return Outcome(rows=rows, figures=figures, notes=NOTES)
