"""`dispatch jobs watch` follows real jobs to their end."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dispatch_core import Dispatcher, JobError, Lease, Progress
from dispatch_http.server import Server
from tests.cli.program import Program


@pytest.fixture
def beside() -> Iterator[Callable[..., object]]:
    """Run something while the program watches; its error is the test's."""
    with ThreadPoolExecutor(1) as pool:
        started = []
        yield lambda work: started.append(pool.submit(work))
        for each in started:
            each.result(timeout=20)


def grant(dispatcher: Dispatcher, engine: str) -> Lease:
    (lease,) = dispatcher.claim(engine, session=engine, wait_s=10)
    return lease


def test_a_completed_job_is_exit_code_0(
    remote: Program, dispatcher: Dispatcher, engine: str, beside: Callable[..., object]
) -> None:
    """Elsewhere than on a terminal, every change is a line of its own, and the end is success."""
    job_id = remote.json("submit", "/in/a.mov", "/out/a.mp4")["id"]

    def work() -> None:
        time.sleep(0.5)
        lease = grant(dispatcher, engine)
        time.sleep(1)
        dispatcher.complete(lease)

    beside(work)
    told = remote("jobs", "watch", job_id).stdout.splitlines()
    assert told == [f"{job_id}: pending", f"{job_id}: assigned on {engine}", f"{job_id}: completed"]


def test_one_failed_job_is_exit_code_1(remote: Program, dispatcher: Dispatcher, engine: str) -> None:
    """All must complete for success; the reason of a failure is told."""
    good, bad = (
        remote.json("submit", f"/in/{n}.mov", "/out/a.mp4", "--max-attempts", "1")["id"] for n in "ab"
    )
    for _ in range(2):
        lease = grant(dispatcher, engine)
        if lease.job.id == good:
            dispatcher.complete(lease)
        else:
            dispatcher.fail(lease, JobError(failure_class="input", message="no such file", retryable=False))
    told = remote("jobs", "watch", good, bad, exit_code=1).stdout.splitlines()
    assert told == [f"{good}: completed", f"{bad}: failed_permanently (input: no such file)"]


def test_json_is_one_form_for_every_version(
    remote: Program, dispatcher: Dispatcher, engine: str, beside: Callable[..., object]
) -> None:
    """Machines get the whole form whenever it has changed, the last one being the end."""
    job_id = remote.json("submit", "/in/a.mov", "/out/a.mp4")["id"]

    def stop() -> None:
        time.sleep(0.5)
        dispatcher.cancel(job_id)

    beside(stop)
    forms = [
        json.loads(line)
        for line in remote("jobs", "watch", job_id, "--json", exit_code=1).stdout.splitlines()
    ]
    assert [form["state"] for form in forms] == ["pending", "cancelled"]
    assert forms[-1] == remote.json("jobs", "show", job_id)


def test_watching_ends_when_it_was_told_to(remote: Program) -> None:
    """--within ends the watch, not the job; an unfinished job is a negative answer."""
    job_id = remote.json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    before = time.monotonic()
    remote("jobs", "watch", job_id, "--within", "500ms", exit_code=1)
    assert 0.4 < time.monotonic() - before < 30
    assert remote.json("jobs", "show", job_id)["state"] == "pending"


def test_a_terminal_gets_a_bar(server: Server, dispatcher: Dispatcher, engine: str) -> None:
    """On a terminal the job's progress is a bar with its percentage, and its end stays on the screen."""
    job_id = Program(("--url", server.url)).json("submit", "/in/a.mov", "/out/a.mp4")["id"]
    lease = grant(dispatcher, engine)
    dispatcher.progress(lease, Progress(fraction=0.42))
    ours, theirs = pty.openpty()
    code = "from dispatch_cli.main import main; main()"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-c", code, "jobs", "watch", job_id, "--url", server.url]
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    seen = _read_until(ours, b"42%")
    dispatcher.complete(lease)
    seen += _read_until(ours, b"completed")
    assert watcher.wait(20) == 0
    assert watcher.stdout is not None
    assert watcher.stdout.read() == b""
    watcher.stdout.close()
    os.close(ours)
    assert job_id.encode() in seen
    assert "━".encode() in seen


def _read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    until = time.monotonic() + 20
    while wanted not in seen and time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 65_536)
            except OSError:  # the other end is closed
                break
    assert wanted in seen, seen
    return seen
