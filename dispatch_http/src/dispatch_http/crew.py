"""The threads that answer requests."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

LOG = logging.getLogger("dispatch_http")


class Task(Protocol):
    """A connection with a request to answer."""

    def service(self) -> None:
        """Answer it."""
        ...

    def cancel(self) -> None:
        """Close it unanswered."""
        ...


class Crew:
    """A fixed number of threads, and a queue before them. What waitress calls a task dispatcher.

    That of waitress has a condition, whose lock the loop and every thread take several times for each request.
    """

    def __init__(self, threads: int) -> None:
        self._queue: SimpleQueue[Task | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"waitress-{number}", daemon=True)
            for number in range(threads)
        ]
        for each in self._threads:
            each.start()

    def add_task(self, task: Task) -> None:
        """Have a request answered by the next thread that is free."""
        self._queue.put(task)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task.service()
            except BaseException:  # the next request is another matter
                LOG.exception("a request could not be answered")

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """End the threads when they have answered what they are at; cancel what no thread has begun.

        Whether they all ended within the ``timeout``.
        """
        with suppress(Empty):
            while cancel_pending:
                if (task := self._queue.get_nowait()) is not None:
                    task.cancel()
        for _ in self._threads:
            self._queue.put(None)
        until = time.monotonic() + timeout
        for each in self._threads:
            each.join(max(0.0, until - time.monotonic()))
        return not any(each.is_alive() for each in self._threads)
