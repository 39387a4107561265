"""Patience with servers, and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO

import pytest

from dispatch_cli.agent.claiming import Claimer
from dispatch_cli.agent.client import AwayError, BackOff, Client, patiently
from dispatch_cli.agent.hand import Hand
from dispatch_cli.agent.logs import make_log
from dispatch_cli.agent.session import Session
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.servers import Servers

Answers = list[tuple[int, dict[str, str]]]


@pytest.fixture
def answers() -> Answers:
    """Statuses and headers that the next requests are answered with; 200 when there are none left."""
    return []


@pytest.fixture
def url(answers: Answers) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers = answers.pop(0) if answers else (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            body = b"" if status == 204 else b"{}"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def connect(*urls: str) -> Client:
        clients.append(Client(Servers.parse(*urls), api_key="k" * 16, log=make_log("text", StringIO())))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_pass_is_not_a_refusal(
    url: str, answers: Answers, connect: Callable[..., Client], status: int
) -> None:
    """Overload and failures of the server are reasons to come back, as late as it says."""
    answers.append((status, {"Retry-After": "7"}))
    with pytest.raises(AwayError) as caught:
        connect(url).call("POST", "/x")
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_is_final(url: str, answers: Answers, connect: Callable[..., Client], status: int) -> None:
    """What the server refuses is not tried again."""
    answers.append((status, {}))
    with pytest.raises(CommandFailure):
        connect(url).insist("POST", "/x", hurry=threading.Event(), patience_s=5)
    assert not answers


def test_a_refused_key_is_waited_for_where_work_is_at_stake(
    url: str, answers: Answers, connect: Callable[..., Client]
) -> None:
    """401 is final for one call, and passing for a report: keys are replaced while engines work."""
    answers += [(401, {}), (401, {}), (401, {})]
    client = connect(url)
    with pytest.raises(CommandFailure) as caught:
        client.call("POST", "/x")
    assert caught.value.exit_code is ExitCode.UNAUTHORISED
    assert client.insist("POST", "/x", hurry=threading.Event(), patience_s=5).status == 200


def test_another_address_of_the_service_is_asked(url: str, connect: Callable[..., Client]) -> None:
    """When one address does not answer, the next one is asked."""
    client = connect("http://127.0.0.1:9", url)
    assert client.insist("POST", "/x", hurry=threading.Event(), patience_s=5).status == 200
    assert client.call("POST", "/x").status == 200, "it stays where it was answered"


def test_a_hurry_ends_the_patience_after_one_more_try() -> None:
    """Who must leave does not wait for a pause to end, but tries once more."""
    hurry, calls = threading.Event(), []

    def away() -> None:
        calls.append(time.monotonic())
        raise AwayError("away", retry_after_s=60)

    threading.Timer(0.1, hurry.set).start()
    with pytest.raises(AwayError):
        patiently(away, hurry=hurry, patience_s=600)
    assert len(calls) == 2
    assert calls[1] - calls[0] < 5


def test_a_hurry_leaves_no_server_out() -> None:
    """The last try is one at every server: who has not been asked may have the answer."""
    calls: list[float] = []

    def away() -> str:
        calls.append(0.0)
        if len(calls) < 3:
            raise AwayError("away", retry_after_s=0)
        return "here"

    hurry = threading.Event()
    hurry.set()
    assert patiently(away, hurry=hurry, patience_s=600) == "here"


def test_patience_has_an_end() -> None:
    """After the time given the last reason is raised."""

    def away() -> None:
        raise AwayError("still away")

    started = time.monotonic()
    with pytest.raises(AwayError, match="still away"):
        patiently(away, hurry=threading.Event(), patience_s=0.3)
    assert 0.3 <= time.monotonic() - started < 30


def test_pauses_grow_and_spread() -> None:
    """Pauses double up to 10 s, none is fixed, and what a server asks for is never undercut."""
    back_off = BackOff()
    pauses = [back_off.pause_s() for _ in range(12)]
    for n, pause in enumerate(pauses):
        full = min(0.1 * 2**n, 10)
        assert full / 2 <= pause <= full
    assert all(20 <= back_off.pause_s(20) <= 30 for _ in range(20))
    back_off.reset()
    assert back_off.pause_s() <= 0.1


def test_an_engine_that_may_not_wait_polls_gently(
    url: str, answers: Answers, connect: Callable[..., Client]
) -> None:
    """A server with no room for another long poll answers at once; the claims then keep a growing distance."""
    answers += [(204, {})] * 1_000
    client, log = connect(url), make_log("text", StringIO())
    session = Session("e1", {}, client, log)
    claimer = Claimer(session, Hand(1), client, log, on_lease=lambda _lease: None)
    claimer.start()
    time.sleep(1.5)
    claimer.stop()
    claimer.join(3)
    assert 2 <= 1_000 - len(answers) <= 8


def test_log_lines_cannot_be_forged() -> None:
    """Control characters from elsewhere do not reach the log, in either form."""
    for form in ("text", "json"):
        stream = StringIO()
        make_log("json" if form == "json" else "text", stream).warning(
            "failed", reason="no\nlevel=info forged\x1b[2J"
        )
        assert stream.getvalue().count("\n") == 1
        assert "\x1b" not in stream.getvalue()
