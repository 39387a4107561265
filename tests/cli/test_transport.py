"""Calls over HTTP: repeated where that is safe, never twice in effect, and honest about what went wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from socket import socket
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.remote_target import RemoteTarget
from dispatch_cli.servers import Servers
from dispatch_cli.target import JobQuery
from dispatch_cli.transport import Transport
from dispatch_core import Dispatcher
from dispatch_http.app import create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings, api_key
from tests.cli.program import Program

JOB = {"parameters": {"source": "/in/a.mov", "target": "/out/a.mp4"}}
KEY = "0123456789abcdef-secret"
Open = Callable[..., RemoteTarget]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Silent(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None: ...


class Trouble:
    """The real application, with trouble on the way: what it answers is lost, or it is not asked at all."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.lose_answers = 0
        self.be_away: list[tuple[str, list[tuple[str, str]]]] = []
        self.asked: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append(environ)
        if self.be_away:
            status, headers = self.be_away.pop(0)
            start(status, [("Content-Length", "0"), *headers])
            return [b""]
        if self.lose_answers:
            self.lose_answers -= 1
            self.application(environ, lambda *_: None)
            start("502 Bad Gateway", [("Content-Length", "0")])
            return [b""]
        return self.application(environ, start)


@contextmanager
def serving(application: Application) -> Iterator[str]:
    with make_server("127.0.0.1", 0, application, WSGIServer, Silent) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def trouble(dispatcher: Dispatcher) -> Trouble:
    return Trouble(create_app(dispatcher, HttpSettings()))


@pytest.fixture
def url(trouble: Trouble) -> Iterator[str]:
    with serving(trouble) as url:
        yield url


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def target() -> Iterator[Callable[..., RemoteTarget]]:
    """Open a target at some addresses; closed with the test."""
    with ExitStack() as opened:
        yield lambda *urls, timeout_s=10.0: opened.enter_context(
            closing(RemoteTarget(Transport(Servers.parse(*urls), timeout_s=timeout_s)))
        )


def test_a_lost_answer_submits_once(target: Open, trouble: Trouble, url: str, dispatcher: Dispatcher) -> None:
    """The job was accepted, the answer was lost, the call is repeated: still one job, and its form is the answer."""
    trouble.lose_answers = 2
    job = target(url).submit(JOB)
    assert dispatcher.stats().accepted == 1
    assert dispatcher.job(job["id"]).id == job["id"]
    keys = {environ["HTTP_IDEMPOTENCY_KEY"] for environ in trouble.asked}
    assert len(trouble.asked) == 3
    assert len(keys) == 1


@pytest.mark.checklist(89)
def test_an_export_that_is_cut_off_is_no_export(target: Open) -> None:
    """Whole lines that came are handed on as they come; that there should have been more is an error, not an end."""

    def broken(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "application/x-ndjson"), ("Content-Length", "1000")])
        return [b'{"id": "a"}\n{"id": "b"}\n{"id": "']

    with serving(broken) as url:
        lines = target(url).export_jobs(JobQuery())
        assert [next(lines), next(lines)] == ['{"id": "a"}', '{"id": "b"}']
        with pytest.raises(CommandFailure) as failure:
            next(lines)
    assert (failure.value.code, failure.value.exit_code) == ("cut-off", ExitCode.UNAVAILABLE)


def test_an_export_is_asked_for_again_until_it_begins(target: Open, trouble: Trouble, url: str) -> None:
    """As any question; and what the server refuses is told as it says it."""
    trouble.be_away = [("503 Service Unavailable", [("Retry-After", "0")])]
    assert list(target(url).export_jobs(JobQuery())) == []
    assert len(trouble.asked) == 2
    with pytest.raises(CommandFailure) as failure:
        list(target(url).export_jobs(JobQuery(fields=("stat",))))
    assert "did you mean 'state'" in failure.value.message


def test_every_call_that_changes_something_has_its_own_key(target: Open, trouble: Trouble, url: str) -> None:
    """Two equal commands are two commands: keys are drawn per call, and questions carry none."""
    with_key, again = target(url).submit(JOB), target(url).submit(JOB)
    target(url).job(with_key["id"])
    keys = [environ.get("HTTP_IDEMPOTENCY_KEY") for environ in trouble.asked]
    assert with_key["id"] != again["id"]
    assert keys[0] != keys[1]
    assert keys[2] is None


def test_retry_after_is_obeyed(target: Open, trouble: Trouble, url: str) -> None:
    """A server that asks to come back in a second is asked again then, not before."""
    trouble.be_away = [("503 Service Unavailable", [("Retry-After", "1")])]
    before = time.monotonic()
    assert target(url).jobs(JobQuery())["jobs"] == []
    assert 0.95 < time.monotonic() - before < 30


def test_nobody_waits_longer_than_was_allowed(target: Open, trouble: Trouble, url: str) -> None:
    """If the server asks for more time than --timeout leaves, the answer is exit code 7 at once."""
    trouble.be_away = [("429 Too Many Requests", [("Retry-After", "60")])]
    before = time.monotonic()
    with pytest.raises(CommandFailure) as caught:
        target(url, timeout_s=2).jobs(JobQuery())
    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    assert time.monotonic() - before < 30  # the 60 s asked for were not waited; the machine may be slow
    assert len(trouble.asked) == 1


def test_a_refusal_is_not_repeated(target: Open, trouble: Trouble, url: str) -> None:
    """What the server decided stays decided."""
    with pytest.raises(CommandFailure) as caught:
        target(url).job("nope")
    assert caught.value.exit_code is ExitCode.NOT_FOUND
    assert len(trouble.asked) == 1


def test_a_server_that_comes_back_is_found(target: Open, dispatcher: Dispatcher) -> None:
    """A restart of a second is survived."""
    port = free_port()
    settings = HttpSettings(port=port, threads=4, drain_grace_s=1.0)
    server = Server(create_app(dispatcher, settings), dispatcher, settings)

    def start_late() -> None:
        time.sleep(0.7)
        server.start()

    # The socket is bound and does not listen yet: connections are refused.
    thread = Thread(target=start_late)
    thread.start()
    try:
        assert target(server.url).jobs(JobQuery())["jobs"] == []
    finally:
        thread.join()
        server.stop()


def test_another_address_of_the_service_takes_over(
    target: Open, server: Server, trouble: Trouble, url: str
) -> None:
    """With several addresses a dead or draining one costs no wait, and the living one is kept."""
    dead = f"http://127.0.0.1:{free_port()}"
    before = time.monotonic()
    several = target(dead, server.url)
    several.submit(JOB)
    several.jobs(JobQuery())
    assert time.monotonic() - before < 10
    trouble.be_away = [("503 Service Unavailable", [("Retry-After", "30")])]
    before = time.monotonic()
    assert len(target(url, server.url).jobs(JobQuery())["jobs"]) == 1
    assert time.monotonic() - before < 10
    assert Program(("--url", f"{dead},{server.url}")).json("status")["accepted"] == 1


def test_no_server_is_exit_code_7(program: Program) -> None:
    """The message names the address and what to do; the exit code says: later."""
    dead = f"http://127.0.0.1:{free_port()}"
    told = program("--url", dead, "status", "--timeout", "500ms", exit_code=7).stderr
    assert dead in told
    assert "dispatch serve" in told


@pytest.mark.parametrize("url", ["ftp://a", "127.0.0.1:8080", "http://", "http://a:99999"])
def test_a_url_must_be_one(url: str, program: Program) -> None:
    """An address that cannot be meant is a mistake of the command line."""
    assert "address of a server" in program("--url", url, "status", exit_code=2).stderr


def test_something_else_than_dispatch_is_recognised(program: Program) -> None:
    """Another kind of server gets no traceback out of us."""

    def other(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/html"), ("Content-Length", "12")])
        return [b"<p>hello</p>"]

    with serving(other) as url:
        assert "does not answer as a Dispatch server" in program("--url", url, "status", exit_code=7).stderr


def test_problems_reach_the_user_whole(url: str, program: Program) -> None:
    """Code, field problems and request id of a problem document."""
    wrong = ("submit", "/in/a.mov", "/out/a.mp4", "--priority", "1000", "--json")
    told = json.loads(program("--url", url, *wrong, exit_code=5).stderr)
    assert told["code"] == "invalid-command"
    assert told["errors"][0]["pointer"] == "/priority"
    assert told["request_id"]


def test_keys(
    dispatcher: Dispatcher, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key exit code 6; with it from the environment or a file the command works; it is never shown."""
    settings = HttpSettings(port=0, threads=4, keys=(api_key(KEY),), drain_grace_s=1.0)
    with Server(create_app(dispatcher, settings), dispatcher, settings) as server:
        told = program("--url", server.url, "status", exit_code=6)
        assert "DISPATCH_API_KEY" in told.stderr
        path = tmp_path / "key"
        path.write_text(f"{KEY}\n")
        program("--url", server.url, "--api-key-file", str(path), "status")
        monkeypatch.setenv("DISPATCH_API_KEY_FILE", str(path))
        program("--url", server.url, "status")
        monkeypatch.setenv("DISPATCH_API_KEY", KEY)
        program("--url", server.url, "status")
        monkeypatch.setenv("DISPATCH_API_KEY", "wrong-" + KEY)
        told = program("--url", server.url, "status", exit_code=6)
        assert KEY not in told.output


@pytest.mark.parametrize("content", [None, "", "\n", "schlüssel\n"])
def test_a_key_that_cannot_be_sent_is_a_usage_error(
    content: str | None, program: Program, tmp_path: Path
) -> None:
    """A missing, empty or unsendable key is said before anything is sent, without showing it."""
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    told = program("--url", "http://127.0.0.1:1", "--api-key-file", str(path), "status", exit_code=2)
    assert "schlüssel" not in told.output
