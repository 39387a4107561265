"""A store with a past: jobs in every state, attempts, engines, receipts and history, made by a real dispatcher."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dispatch_core import Context, Dispatcher, Job, JobError, Lease, Storage
from dispatch_core.storage import create_storage
from dispatch_core.testing.checkers import all_jobs
from tests.core.house import spec, start

Rows = dict[str, list[tuple[object, ...]]]


def fill(storage: Storage, jobs: int = 12) -> list[Lease]:
    """Let things happen in an open store; the leases that are still open."""
    with Dispatcher(storage) as plain:
        dispatcher = plain.acting(Context(actor="test", receipt_key=None))
        dispatcher.acting(Context(receipt_key="key-1")).submit(spec(note="with a receipt"))
        made = dispatcher.submit_many([spec(priority=n % 5) for n in range(jobs)])
        start(dispatcher, slots=6)
        leases = dispatcher.claim("e1", session="s1", limit=6)
        dispatcher.complete(leases[0], {"size_bytes": 1})
        dispatcher.fail(leases[1], JobError(failure_class="input", message="no such file", retryable=False))
        dispatcher.give_back(leases[2])
        held = {lease.job.id for lease in leases}
        waiting = [job.id for job in made if job.id not in held]
        dispatcher.cancel(waiting[0], reason="not wanted")
        dispatcher.delete(waiting[1])
        dispatcher.hold(waiting[2], reason="waits for subtitles")
        dispatcher.assign(waiting[3], "e1")
        return leases[3:]


def filled(path: Path, jobs: int = 12) -> list[Lease]:
    """The same in a new file, which is closed again."""
    with closing(create_storage(path)) as storage:
        return fill(storage, jobs)


def jobs_in(path: Path) -> list[Job]:
    """Every job of a file, by id; the file is closed again."""
    with closing(create_storage(path, init=False)) as storage, storage.read() as snapshot:
        return sorted(all_jobs(snapshot), key=lambda job: job.id)


def rows_in(path: Path, *, but: tuple[str, ...] = ()) -> Rows:
    """The content of every table of a file."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        names = [str(name, "utf-8", "replace") for (name,) in found if name.decode() not in but]
        return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}


def in_child(act: Callable[[], object]) -> int:
    """Do something in a forked process that ends without tidying up; its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
