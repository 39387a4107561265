"""Procrastinate on PostgreSQL. Arguments: URL, jobs, concurrency for lifecycles; or URL, jobs, ``batch``: submits only."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

import procrastinate  # type: ignore[import-not-found]  # in an environment of its own

MANY = 1_000


async def main(url: str, jobs: int, how: str) -> None:
    """Print lifecycles per second with so many deferring and so many running at once, or jobs deferred per second."""
    logging.disable(logging.CRITICAL)
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=20))

    @app.task  # type: ignore[untyped-decorator]
    async def nothing(number: int) -> None:
        """Do nothing."""

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        started = time.perf_counter()
        if how == "batch":
            for _ in range(jobs // MANY):
                await nothing.batch_defer_async(*({"number": number} for number in range(MANY)))
        else:
            numbers = iter(range(jobs))

            async def defer() -> None:
                for number in numbers:
                    await nothing.defer_async(number=number)

            await asyncio.gather(*(defer() for _ in range(int(how))))
            await app.run_worker_async(
                wait=False, concurrency=int(how), listen_notify=False, install_signal_handlers=False
            )
        print(jobs / (time.perf_counter() - started))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
