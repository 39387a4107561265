"""The real server on a real socket: waiting claims, framing, ticking, starting and stopping."""

import contextlib
import http.client
import io
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dispatch_core import Dispatcher, Profile, Settings, StorageUnavailableError
from dispatch_core.storage import MemoryStorage
from dispatch_http import listening
from dispatch_http.app import create_app
from dispatch_http.observing import make_log
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings, SettingsError
from dispatch_http.ticking import Ticking
from tests.http.fleet import PARAMETERS, PROFILE

PATIENCE_S = 20.0


def make_server(settings: HttpSettings | None = None, core: Settings | None = None) -> Server:
    """A server on a free port over a store in memory."""
    settings = settings or HttpSettings(port=0, threads=8, drain_grace_s=5)
    dispatcher = Dispatcher(MemoryStorage(), settings=core, group_commit=True)
    try:
        return Server(create_app(dispatcher, settings, log=make_log(io.StringIO())), dispatcher, settings)
    except SettingsError:
        dispatcher.close()
        raise


@pytest.fixture
def server() -> Iterator[Server]:
    """A running one that ticks often."""
    with make_server(core=Settings(tick_s=0.05)) as server:
        yield server


def ask(server: Server, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and form of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None
    finally:
        connection.close()


def say(server: Server, text: bytes) -> bytes:
    """Everything the server answers to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(text)
        chunks = []
        while chunk := connection.recv(65_536):
            chunks.append(chunk)
        return b"".join(chunks)


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds before patience ends."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def register(server: Server) -> None:
    """An engine that can transcode."""
    assert ask(server, "PUT", "/engines/engine-1", {"session": "s", "profile": PROFILE})[0] == 201


@pytest.mark.checklist(52)
def test_port_0_takes_a_free_port_and_tells_it(server: Server) -> None:
    """The address that it tells is the one where it answers."""
    assert server.port > 0
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert ask(server, "GET", "/health/ready") == (200, {"status": "ready"})


def test_a_waiting_claim_wakes_when_work_arrives(server: Server) -> None:
    """A claim that waits gets the job that is submitted meanwhile, long before its time is up."""
    register(server)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, server, "POST", "/queue/next_job?engine_id=engine-1&session=s&wait=60")
        time.sleep(0.2)
        assert not waiting.done()
        _, job = ask(server, "POST", "/jobs", {"parameters": PARAMETERS})
        status, lease = waiting.result(PATIENCE_S)
    assert (status, lease["job_id"]) == (201, job["id"])


def test_a_waiting_claim_that_hears_nothing_ends_empty(server: Server) -> None:
    """204 when its time is up."""
    register(server)
    assert ask(server, "POST", "/queue/next_job?engine_id=engine-1&session=s&wait=0.2") == (204, None)


def test_waiting_claims_leave_threads_for_others(server: Server) -> None:
    """With more waiting claims than threads, everything else is answered, and so are the claims."""
    register(server)
    path = "/queue/next_job?engine_id=engine-1&session=s&wait=2"
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(ask, server, "POST", path) for _ in range(12)]
        assert ask(server, "GET", "/status")[0] == 200
        assert [each.result(PATIENCE_S)[0] for each in waiting] == [204] * 12


def test_stopping_releases_waiting_claims() -> None:
    """A claim that waits when the server stops hears "nothing", at once and in full."""
    server = make_server()
    with server, ThreadPoolExecutor() as pool:
        register(server)
        waiting = pool.submit(ask, server, "POST", "/queue/next_job?engine_id=engine-1&session=s&wait=60")
        time.sleep(0.2)
        assert server.stop() is True
        assert waiting.result(PATIENCE_S) == (204, None)


def test_stopping_leaves_nothing_behind() -> None:
    """Threads end, the port is free, and a second stop does nothing."""
    before = set(threading.enumerate())
    server = make_server()
    server.start()
    ask(server, "GET", "/version")
    assert server.stop()
    assert server.stop()
    assert eventually(lambda: set(threading.enumerate()) <= before)
    with pytest.raises(ConnectionRefusedError):
        ask(server, "GET", "/version")


def test_a_server_that_never_started_can_be_stopped() -> None:
    """It gives its address back."""
    server = make_server()
    assert server.stop()
    assert make_server(HttpSettings(port=server.port)).stop()


def test_time_passes_by_itself(server: Server) -> None:
    """The server ticks: a job that waits for a moment becomes pending without being touched."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    _, job = ask(server, "POST", "/jobs", {"parameters": PARAMETERS, "not_before": now})
    assert eventually(lambda: ask(server, "GET", f"/jobs/{job['id']}")[1]["state"] == "pending")


@pytest.mark.checklist(47)
def test_a_failing_store_slows_the_tick_and_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of any kind are logged; when they are over, time goes on."""
    stream = io.StringIO()
    with Dispatcher(MemoryStorage(), settings=Settings(tick_s=0.01)) as dispatcher:
        tick = dispatcher.tick
        outcomes: list[Exception] = [StorageUnavailableError("away"), RuntimeError("bug")]
        done = threading.Event()

        def failing() -> object:
            if outcomes:
                raise outcomes.pop(0)
            done.set()
            return tick()

        monkeypatch.setattr(dispatcher, "tick", failing)
        ticking = Ticking(dispatcher, make_log(stream))
        ticking.start()
        assert done.wait(PATIENCE_S)
        ticking.stop()
    assert '"storage-unavailable"' in stream.getvalue()
    assert "RuntimeError: bug" in stream.getvalue()


GET = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
POST = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET + b"\r\n", 200),
        (GET + b"Host: localhost\r\n\r\n", 400),
        (GET + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400),
        (GET.replace(b"Host: localhost\r\n", b"") + b"\r\n", 400),
        (GET.replace(b"/version", b"http://other.example/version") + b"\r\n", 400),
        (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
        (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 422),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"Content-Length: x\r\n\r\n", 400),
        (POST + b"Content-Length: 3000000\r\n\r\n", 413),
        (POST + b"Content-Length: 1048577\r\n\r\n" + b" " * 1_048_577, 413),
        ((GET + b"X: ").ljust(32_768, b"a"), 431),
        (GET + b"X : a\r\n\r\n", 400),
        (b"GET /jobs/%00%0d%0aX HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"NONSENSE\r\n\r\n", 400),
        (GET.replace(b"GET", b"WEBSOCKET") + b"\r\n", 400),
        (GET.replace(b"GET", b"BREW") + b"\r\n", 400),
        (GET.replace(b"/version", b"/jobs?limit=%ff%00") + b"\r\n", 400),
        (GET.replace(b"/version", b"/jobs?" + b"a=1&" * 5_000) + b"\r\n", 400),
    ],
    ids=lambda value: repr(value[-40:]) if isinstance(value, bytes) else None,
)
def test_ambiguous_framing_is_refused_as_a_problem(server: Server, request_: bytes, status: int) -> None:
    """Whatever is refused, by whichever layer, is refused in the same form."""
    head, _, body = say(server, request_).partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode(), head
    if status != 200:
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status


@pytest.mark.parametrize("start", [b"GET /version HT", GET, POST + b"Content-Length: 100\r\n\r\n{"])
def test_a_request_that_does_not_end_is_ended(start: bytes) -> None:
    """408 once its time is up, however diligently one byte follows the other; others are not disturbed."""
    with make_server(HttpSettings(port=0, threads=4, receive_s=0.5, drain_grace_s=5)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as slow:
            slow.sendall(start)
            until = time.monotonic() + PATIENCE_S
            while not select.select([slow], [], [], 0.1)[0] and time.monotonic() < until:
                with contextlib.suppress(ConnectionError):  # it has just been closed: the answer is there
                    slow.sendall(b"a")
            assert slow.recv(65_536).split()[1] == b"408"
        assert ask(server, "GET", "/version")[0] == 200


def test_an_idle_connection_may_stay() -> None:
    """Between requests nothing has to arrive: a kept connection serves the next one."""
    with make_server(HttpSettings(port=0, threads=4, receive_s=0.2, drain_grace_s=5)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        for _ in range(2):
            connection.request("GET", "/version")
            assert connection.getresponse().read()
            time.sleep(1.5)
        connection.close()


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Two requests in one packet get two answers."""
    once = GET.replace(b"Connection: close\r\n", b"") + b"\r\n"
    assert say(server, once + GET + b"\r\n").count(b"HTTP/1.1 200") == 2


def test_nothing_names_the_server_software(server: Server) -> None:
    """No Server header: versions are for those who have a reason to ask."""
    assert b"Server:" not in say(server, GET + b"\r\n")


def test_an_address_in_use_is_said_so(server: Server) -> None:
    """The message names the address and the reason."""
    with pytest.raises(SettingsError, match=rf"cannot listen on 127.0.0.1 port {server.port}"):
        make_server(HttpSettings(port=server.port))


def test_a_public_address_without_a_key_does_not_start() -> None:
    """The check is the server's, so that nobody can forget it."""
    with pytest.raises(SettingsError, match="without a key"):
        make_server(HttpSettings(host="0.0.0.0", port=0))


def test_too_few_descriptors_are_found_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that would run out of descriptors under load says so before there is load."""
    resource = pytest.importorskip("resource")
    limits = [(64, 64)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[0])
    with pytest.raises(SettingsError, match="ulimit"):
        listening.allow_descriptors(1_000)
    raised: list[object] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: raised.append(limit))
    limits[0] = (64, 4_096)
    listening.allow_descriptors(1_000)
    assert raised == [(1_128, 4_096)]


@pytest.mark.checklist(7)
@pytest.mark.checklist(77)
def test_the_application_starts_nothing() -> None:
    """create_app is for any WSGI server: it opens no socket and starts no thread."""
    before = set(threading.enumerate())
    with Dispatcher(MemoryStorage()) as dispatcher:
        dispatcher.register("engine-1", Profile(), session="s")
        create_app(dispatcher, log=make_log(io.StringIO()))
        assert set(threading.enumerate()) == before
