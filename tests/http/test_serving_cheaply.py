"""What a request costs, counted, not timed: what is asked, made and read once, and what is not asked at all."""

import http.client
import io
import json
import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from waitress import wasyncore

from dispatch_core import Context, Dispatcher, Job
from dispatch_core.forms import JOB_FIELDS, job_form, only
from dispatch_core.shell import forms
from dispatch_core.shell import parse as parsing
from dispatch_core.storage import MemoryStorage
from dispatch_http.crew import Crew
from dispatch_http.framing import StrictChannel, StrictServer
from dispatch_http.listening import bind
from dispatch_http.logs import Ring, logging_to
from dispatch_http.settings import HttpSettings
from tests.http.fleet import PARAMETERS, Fleet, insist

PATIENCE_S = 20.0
JOB = {"parameters": PARAMETERS, "priority": 3}


@contextmanager
def serving(app: Any) -> Iterator[tuple[StrictServer, int]]:
    """Any application behind our kind of waitress, and its port."""
    listener = bind(HttpSettings(port=0))
    sockets: dict[int, Any] = {}
    server = StrictServer(app, listener, sockets, PATIENCE_S, 1 << 20, threads=4, asyncore_loop_timeout=1)
    loop = threading.Thread(target=server.run, daemon=True)
    loop.start()
    try:
        yield server, listener.getsockname()[1]
    finally:
        server.task_dispatcher.shutdown(timeout=PATIENCE_S)
        server.trigger.pull_trigger(lambda: wasyncore.close_all(sockets))
        loop.join(PATIENCE_S)
        assert not loop.is_alive()


def hello(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """An application."""
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def test_connections_without_news_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are open, a request on one of them has the server look at that one."""
    asked: list[object] = []
    readable = StrictChannel.readable

    def counted(self: StrictChannel) -> Any:
        asked.append(self)
        return readable(self)

    monkeypatch.setattr(StrictChannel, "readable", counted)
    with serving(hello) as (server, port):
        idle = [socket.create_connection(("127.0.0.1", port), PATIENCE_S) for _ in range(30)]
        busy = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        for _ in range(50):
            busy.request("GET", "/")
            assert busy.getresponse().read() == b"ok"
        channels = list(server.active_channels.values())
        counts = sorted(asked.count(channel) for channel in channels)
        busy.close()
        for each in idle:
            each.close()
    assert len(channels) == 31
    assert counts[-2] <= 2, "asked when it was opened, and no more"
    assert counts[-1] >= 50


def test_a_large_answer_reaches_a_slow_reader_whole() -> None:
    """The worker waits while more than waitress holds back is unsent, and the loop sends it as there is room."""
    chunk, many = b"0123456789abcdef" * 65_536, 40

    def large(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(len(chunk) * many))])
        return (chunk for _ in range(many))

    with serving(large) as (_, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        for _ in range(2):
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert b"".join(iter(lambda: answer.read(300_000), b"")) == chunk * many  # noqa: B023  # read at once
        connection.close()


def test_a_reader_who_leaves_frees_the_worker() -> None:
    """What was to be sent is dropped, and the application hears of it."""
    closed = threading.Event()

    def endless(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            closed.set()

    with serving(endless) as (_, port):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(1_000)
        assert closed.wait(PATIENCE_S)


def test_a_worker_outlives_what_it_cannot_answer() -> None:
    """The next request is answered; what nobody has begun when the crew ends is cancelled."""
    told: list[str] = []
    done, blocked = threading.Event(), threading.Event()

    class Task:
        def __init__(self, name: str) -> None:
            self.name = name

        def service(self) -> None:
            told.append(self.name)
            if self.name == "bad":
                raise RuntimeError("no")
            blocked.set()
            done.wait(PATIENCE_S)

        def cancel(self) -> None:
            told.append(f"{self.name} cancelled")
            done.set()

    crew = Crew(1)
    for name in ("bad", "good", "late"):
        crew.add_task(Task(name))
    assert blocked.wait(PATIENCE_S)
    assert crew.shutdown(timeout=PATIENCE_S)
    assert told == ["bad", "good", "late cancelled"]


@pytest.mark.parametrize("keyed", [False, True])
def test_a_request_takes_on_its_caller_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, keyed: bool
) -> None:
    """However many questions it has; under a key a second time, for the command alone."""
    job_id = insist(fleet.client.simulate_post("/jobs", json=JOB), 201)["id"]
    acted: list[object] = []
    acting = Dispatcher.acting

    def counted(self: Dispatcher, who: Context) -> Dispatcher:
        acted.append(who)
        return acting(self, who)

    monkeypatch.setattr(Dispatcher, "acting", counted)
    headers = {"Idempotency-Key": "k"} if keyed else {}
    insist(fleet.client.simulate_post(f"/jobs/{job_id}/hold", headers=headers), 200)
    assert len(acted) == 1 + keyed


def test_what_is_fine_is_read_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What says everything that is wrong looks only at data with which something is."""
    told: list[object] = []
    telling = parsing._TELLING

    class Telling:
        def structure(self, data: object, kind: Any) -> object:
            told.append(data)
            return telling.structure(data, kind)

    monkeypatch.setattr(parsing, "_TELLING", Telling())
    insist(fleet.client.simulate_post("/jobs", json=[JOB] * 3), 200)
    assert told == []
    assert fleet.client.simulate_post("/jobs", json=JOB | {"priority": "high"}).status_code == 422
    assert len(told) == 1


def test_fields_that_nobody_asked_for_are_not_formed(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those that were are what they are in the whole form, in the order of the question."""
    job: Job = dispatcher.submit(forms.spec_from_form(JOB))
    whole = job_form(job)
    assert tuple(whole) == JOB_FIELDS
    for name in JOB_FIELDS:
        assert job_form(job, fields=(name,)) == {name: whole[name]}
    assert list(job_form(job, fields=("state", "id"))) == list(only(whole, ("state", "id")))
    monkeypatch.setattr(forms, "size_form", lambda _: pytest.fail("nobody asked for the size"))
    assert job_form(job, fields=("id",)) == {"id": job.id}


def test_lines_of_the_log_are_written_together() -> None:
    """In their order, with other records among them, and none is lost at the end."""

    class Stream(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    stream = Stream()
    with logging_to(Ring(), json=True, stream=stream) as log:
        for number in range(3_000):
            log.info("ours", number=number)
            if number == 1_500:
                logging.getLogger("dispatch_core").warning("between")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["number"] for line in lines if line["event"] == "ours"] == list(range(3_000))
    assert lines[1_501]["event"] == "between"
    assert stream.writes < 300


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    """One of its own."""
    with Dispatcher(MemoryStorage()) as dispatcher:
        yield dispatcher
