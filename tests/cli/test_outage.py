"""`dispatch serve` while its PostgreSQL is away, and while its neighbours come and go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import pytest
from attrs import frozen

from dispatch_cli.opening import Connection, open_target
from dispatch_cli.servers import Servers
from dispatch_core import Settings
from dispatch_core.storage import create_storage, verify_store
from dispatch_core.testing.checkers import check_store
from dispatch_http.ticking import BACK_OFF_MAX_S
from tests.cli.test_serve import COMMAND, served
from tests.support.postgres import Postgres, free_port, postgres

JOB = {"parameters": {"source": "/in/a.mov", "target": "/out/a.mp4"}}
ENGINE = {
    "session": "s1",
    "profile": {"slots": 4, "facts": {"codec": ["h264"], "encoder": ["libx264"], "ffmpeg": "7.1"}},
}
BACK_S = 5.0
"""How soon after its store a server must be back."""


@frozen
class Answer:
    """What a server said, and how long it took."""

    status: int
    form: Any
    headers: Mapping[str, str]
    took_s: float


def ask(url: str, method: str = "GET", form: object = None, **headers: str) -> Answer:
    """One request; nothing is repeated."""
    body = None if form is None else json.dumps(form).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **named}, method=method)
    begun = time.monotonic()
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        text = answer.read()
    return Answer(answer.status, json.loads(text or b"null"), dict(answer.headers), time.monotonic() - begun)


def until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for it."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < within_s
        time.sleep(0.02)


@pytest.fixture
def own() -> Iterator[Postgres]:
    """A PostgreSQL that may be stopped; it keeps what it has acknowledged."""
    with postgres({}, own=True) as server:
        yield server


def test_a_server_outlives_its_store(own: Postgres) -> None:
    """Away, every call is refused at once and says when to come back, a claim that waits included; the process is live
    and not ready. Back, all goes on without a restart: nothing that was acknowledged is lost, a repeat counts once.
    """
    url = own.database()
    settings = {"DISPATCH_DATABASE": url, "DISPATCH_POLL_FLOOR_S": "0.5"}
    with served(environment=settings) as (told, _), ThreadPoolExecutor(1) as pool:
        at = told["url"]
        first = ask(f"{at}/jobs", "POST", {**JOB, "not_before": "2099-01-01T00:00:00Z"})
        assert (first.status, ask(f"{at}/engines/e1", "PUT", ENGINE).status) == (201, 201)
        claim = f"{at}/queue/next_job?engine_id=e1&session=s1"
        waiting = pool.submit(ask, f"{claim}&wait=30", "POST")
        until(lambda: ask(f"{at}/status").status == 200)
        own.stop("immediate")
        refused = [
            ask(f"{at}/health/ready"),
            ask(f"{at}/jobs", "POST", JOB, Idempotency_Key="again"),
            ask(f"{at}/jobs"),
            ask(claim, "POST"),
            waiting.result(60),
        ]
        assert [(each.status, "Retry-After" in each.headers) for each in refused] == [(503, True)] * 5
        assert ask(f"{at}/health/live").status == 200
        own.start()
        until(lambda: ask(f"{at}/health/ready").status == 200)
        made = [ask(f"{at}/jobs", "POST", JOB, Idempotency_Key="again").form["id"] for _ in range(2)]
        assert made[0] == made[1]
        assert {job["id"] for job in ask(f"{at}/jobs").form["jobs"]} == {first.form["id"], made[0]}
        assert ask(claim, "POST").form["job_id"] == made[0]
    with closing(create_storage(url)) as storage:
        check_store(storage, 16)


@pytest.mark.soak  # half a minute of waiting; how long each call waits is in tests/core/storage/test_postgresql_frozen.py
def test_a_server_answers_while_its_store_stands_still(own: Postgres) -> None:
    """Every call is refused in a known time and says when to come back; the process is live and not ready. When the store
    goes on, so does the server, and a call that is repeated under its key counts once.
    """
    with (
        served(environment={"DISPATCH_DATABASE": own.database()}) as (told, _),
        ThreadPoolExecutor(4) as pool,
    ):
        at = told["url"]
        assert ask(f"{at}/jobs", "POST", JOB).status == 201
        own.freeze()
        calls = [
            pool.submit(ask, f"{at}/health/ready"),
            pool.submit(ask, f"{at}/jobs", "POST", JOB, Idempotency_Key="again"),
            pool.submit(ask, f"{at}/jobs"),
        ]
        assert ask(f"{at}/health/live").took_s < 2
        answers = [call.result(60) for call in calls]
        own.thaw()
        assert [(each.status, "Retry-After" in each.headers) for each in answers] == [(503, True)] * 3
        assert max(each.took_s for each in answers) < 45
        until(lambda: ask(f"{at}/health/ready").status == 200)
        made = [ask(f"{at}/jobs", "POST", JOB, Idempotency_Key="again").form["id"] for _ in range(2)]
        assert made[0] == made[1]
        assert len(ask(f"{at}/jobs").form["jobs"]) == 2
        print([f"{each.took_s:.1f} s" for each in answers])


def test_time_goes_on_soon_after_an_outage() -> None:
    """However long it was: the pause between two ticks that fail stays below what a server may take to be back."""
    assert BACK_OFF_MAX_S + Settings().tick_s <= BACK_S


# ----- neighbours


@pytest.mark.soak
def test_servers_stop_in_turn_and_nothing_is_lost(postgres_server: Postgres, postgres_url: str) -> None:
    """As at a rolling upgrade: each of two is stopped by SIGTERM and followed by a new one while callers go on. Every
    acknowledged job is there once, and no call fails.
    """
    stop, acknowledged = threading.Event(), []

    def submit(urls: list[str]) -> None:
        with closing(open_target(Connection(servers=Servers.parse(*urls)))) as target:
            while not stop.is_set():
                acknowledged.append(target.submit(JOB)["id"])

    def environment(name: str) -> dict[str, str]:
        return {"DISPATCH_DATABASE": postgres_url, "DISPATCH_SERVER_ID": name}

    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    with ThreadPoolExecutor(4) as pool, ExitStack() as house:
        running = [house.enter_context(started(port, environment(f"s{port}"))) for port in ports]
        callers = [pool.submit(submit, urls[::step]) for step in (1, -1, 1, -1)]
        house.callback(stop.set)
        for turn in range(4):
            until(partial(passed, acknowledged, len(acknowledged) + 20, callers))
            process, port = running[turn % 2], ports[turn % 2]
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            running[turn % 2] = house.enter_context(started(port, environment(f"s{port}")))
        stop.set()
        for caller in callers:
            caller.result(60)
    rows = postgres_server.execute("SELECT id FROM jobs", database=postgres_url.rpartition("/")[2])
    assert sorted(job_id for (job_id,) in rows) == sorted(acknowledged)
    assert len(set(acknowledged)) == len(acknowledged)
    assert verify_store(postgres_url).ok


def passed(acknowledged: Sequence[str], count: int, callers: Sequence[Future[None]]) -> bool:
    """Whether so many were acknowledged; no caller may have failed."""
    for caller in callers:
        if caller.done():
            caller.result()
    return len(acknowledged) > count


@contextmanager
def started(port: int, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A server on a port of its own, which has said that it lets callers in; killed at the end."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", str(port), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()
