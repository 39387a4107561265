"""A real server that tests can stop and start again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dispatch_core import Dispatcher, Edit, Job, JobSpec, JobState, Retry, Settings
from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_http.app import create_app
from dispatch_http.observing import make_log
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings
from tests.support.pacing import PACED

QUICK = Settings(
    lease_ttl_s=2.0,
    heartbeat_s=0.3,
    silent_after_s=1.0,
    lost_after_s=30.0,
    cancel_grace_s=20.0,
    tick_s=0.1,
)
"""A lease of 2 s, so that a rescue can be waited for."""


SLOW: dict[str, Any] = {"codec": "h264", "preset": PACED}
"""Parameters that keep an encoder at work for as long as a clip plays (see ``paced``)."""
A_WHILE: dict[str, Any] = {"codec": "h264", "preset": "slow"}
"""Parameters with which the long clip takes some seconds, as fast as the machine can."""


class Backend:
    """A server on one port, over one store, for as many lives as a test wants."""

    def __init__(self, log: Path, database: Path | None = None) -> None:
        self._log = log.open("a", encoding="utf-8")
        self._database = database
        self._storage: Any = MemoryStorage() if database is None else None
        self._server: Server | None = None
        self.port = 0
        self.dispatcher: Dispatcher
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if self._database is not None:
            self._storage = create_storage(self._database)
        self.dispatcher = Dispatcher(self._storage, settings=QUICK, group_commit=True)
        settings = HttpSettings(port=self.port, threads=12, drain_grace_s=3.0)
        app = create_app(self.dispatcher, settings, log=make_log(self._log))
        self._server = Server(app, self.dispatcher, settings)
        self._server.start()
        self.port = self._server.port

    def stop(self, grace_s: float | None = None) -> None:
        if self._server is not None:
            self._server.stop(grace_s)
            self._server = None
            if self._database is not None:
                self._storage.close()

    def close(self) -> None:
        if self._server is not None:
            assert self.dispatcher.stats().identity_holds, "the books balance after every test"
        self.stop(0)  # nobody waits for an answer any more
        self._log.close()

    def submit(self, source: Path | str, target: Path, *, attempts: int = 4, **parameters: object) -> str:
        wanted = {"source": str(source), "target": str(target), **parameters}
        retry = Retry(max_attempts=attempts, first_delay_s=0.1, factor=1.0)
        return self.dispatcher.submit(JobSpec(parameters=wanted, retry=retry)).id

    def job(self, job_id: str) -> Job:
        return self.dispatcher.job(job_id)

    def await_state(self, job_id: str, state: JobState, within_s: float = 30.0) -> Job:
        await_that(lambda: self.job(job_id).state is state, f"{job_id} is {state}", within_s)
        return self.job(job_id)

    def await_progress(self, job_id: str, within_s: float = 20.0) -> None:
        """Until the server has heard that the encoder is at work."""

        def advanced() -> bool:
            attempts = self.dispatcher.attempts(job_id)
            progress = attempts[-1].progress if attempts else None
            return progress is not None and progress.fraction > 0

        await_that(advanced, f"{job_id} makes progress", within_s)

    def hurry(self, job_id: str) -> None:
        """When its lease has run out, let the next engine do the job with the least effort."""
        self.await_state(job_id, JobState.PENDING)
        self.dispatcher.update(job_id, Edit(merge={"parameters": {"codec": "h264", "preset": "ultrafast"}}))

    def outcomes(self, job_id: str) -> list[str]:
        return [str(each.outcome) for each in self.dispatcher.attempts(job_id)]


def await_that(truth: Callable[[], bool], what: str, within_s: float = 20.0) -> float:
    """Wait until something is true; how long it took."""
    started = time.monotonic()
    while not truth():
        assert time.monotonic() - started < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - started


def descendants(pid: int) -> list[int]:
    """Every process under one, by /proc."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = [pid]
    for each in found:
        found.extend(child for child, parent in parents.items() if parent == each)
    return found[1:]


def ffmpegs() -> list[int]:
    """What the agents of this process have started."""
    return descendants(os.getpid())
