"""Huey on SQLite: enqueue, dequeue, execute a task that does nothing. Arguments: a folder, threads, seconds."""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path

from huey import SqliteHuey  # type: ignore[import-not-found]  # in an environment of its own


def main(folder: str, threads: int, seconds: float) -> None:
    """Print lifecycles per second. Durable: ``fsync=True`` is WAL with synchronous=FULL. No result is stored."""
    logging.disable(logging.CRITICAL)
    path = Path(folder) / f"huey-{time.monotonic_ns()}.db"
    huey = SqliteHuey("bench", filename=str(path), fsync=True, timeout=60)

    @huey.task()  # type: ignore[untyped-decorator]
    def nothing(number: int) -> None:
        """Do nothing."""

    done = [0] * threads
    until = time.perf_counter() + seconds

    def work(mine: int) -> None:
        while time.perf_counter() < until:
            nothing(done[mine])
            task = huey.dequeue()
            if task is not None:
                huey.execute(task)
                done[mine] += 1

    workers = [threading.Thread(target=work, args=(mine,)) for mine in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sum(done) / (time.perf_counter() - started))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
