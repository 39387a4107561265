"""pgqueuer on PostgreSQL: enqueue, then drain, both in batches. Arguments: URL, jobs, batch."""

from __future__ import annotations

import asyncio
import sys
import time

import psycopg
from pgqueuer import PgQueuer  # type: ignore[import-not-found]  # in an environment of its own
from pgqueuer.db import PsycopgDriver  # type: ignore[import-not-found]
from pgqueuer.domain.types import QueueExecutionMode  # type: ignore[import-not-found]
from pgqueuer.models import Job  # type: ignore[import-not-found]
from pgqueuer.queries import Queries  # type: ignore[import-not-found]


async def main(url: str, jobs: int, batch: int) -> None:
    """Print lifecycles per second of one process with a connection each for producing and consuming."""
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as producing,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as consuming,
    ):
        queries = Queries(PsycopgDriver(producing))
        await queries.install()
        consumer = PgQueuer(PsycopgDriver(consuming))
        done = 0

        @consumer.entrypoint("nothing")  # type: ignore[untyped-decorator]
        async def nothing(job: Job) -> None:
            nonlocal done
            done += 1

        started = time.perf_counter()
        for _ in range(jobs // batch):
            await queries.enqueue(["nothing"] * batch, [b"x"] * batch, [0] * batch)
        await consumer.qm.run(batch_size=batch, mode=QueueExecutionMode.drain)
        assert done == jobs // batch * batch, done
        print(done / (time.perf_counter() - started))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
