"""Signals to a real process under load: nobody who was let in leaves without an answer."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from dispatch_http.listening import refuse_newcomers
from tests.architecture.source import ROOT
from tests.http.fleet import PARAMETERS, PROFILE

PATIENCE_S = 30.0


@contextmanager
def served(grace_s: float = 10.0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server process and its port."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.http.served", str(grace_s)],
        cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = urlsplit(process.stdout.readline().strip()).port
        assert port is not None
        yield process, port
    finally:
        process.kill()
        process.communicate()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> int:
    """The status of a complete answer; whatever is less than that raises."""
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    answer.read()
    if answer.headers.get("Connection", "").lower() == "close":
        connection.close()
    return answer.status


class Load:
    """Threads that submit jobs until they are refused a connection; what happened is counted."""

    def __init__(self, port: int, *, keep_alive: bool) -> None:
        self.seen: Counter[str] = Counter()
        self._port = port
        self._keep_alive = keep_alive
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            while True:
                try:
                    self.seen[str(ask(connection, "POST", "/jobs", {"parameters": PARAMETERS}))] += 1
                except ConnectionRefusedError:
                    return
                except (http.client.HTTPException, OSError) as error:
                    self.seen[f"cut off: {error!r}"] += 1
                    return
                if not self._keep_alive:
                    connection.close()
        finally:
            connection.close()

    def join(self) -> None:
        """Wait for all of them."""
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.mark.checklist(78)
def test_sigterm_under_load_cuts_nobody_off() -> None:
    """Every caller gets a whole answer or is refused a connection; the exit status is 0.

    Where the system does not let the server filter (an ordinary user in some sandboxes, or no Linux), one or
    two that were just connecting may be cut off.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        cut_max = 0 if refuse_newcomers(probe) else 2
    with served() as (process, port):
        loads = [Load(port, keep_alive=False), Load(port, keep_alive=True)]
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE_S)
        for load in loads:
            load.join()
    seen = loads[0].seen + loads[1].seen
    assert status == 0
    assert seen["201"] > 0
    cut = seen.total() - seen["201"] - seen["503"]
    assert cut <= cut_max, seen


@pytest.mark.checklist(78)
def test_sigterm_releases_waiting_claims_and_idle_connections() -> None:
    """A waiting claim hears "nothing"; a connection that only stays open holds nothing up. SIGHUP is ignored."""
    with served() as (process, port):
        engine = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        assert ask(engine, "PUT", "/engines/engine-1", {"session": "s", "profile": PROFILE}) == 201
        heard: list[int] = []
        path = "/queue/next_job?engine_id=engine-1&session=s&wait=60"
        waiting = threading.Thread(target=lambda: heard.append(ask(engine, "POST", path)))
        waiting.start()
        with socket.create_connection(("127.0.0.1", port)):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
            waiting.join(PATIENCE_S)
        engine.close()
    assert heard == [204]


@pytest.mark.checklist(79)
def test_a_second_signal_ends_it_at_once() -> None:
    """Somebody who is in a hurry gets out: half a request may hold the first signal, not the second."""
    with served(grace_s=60) as (process, port), socket.create_connection(("127.0.0.1", port)) as half:
        half.sendall(b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        assert process.poll() is None, "it waits for the rest of the request"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGINT


def test_the_grace_is_the_limit() -> None:
    """A request that never ends holds the server for its grace, not longer; the exit status tells."""
    with served(grace_s=0.5) as (process, port), socket.create_connection(("127.0.0.1", port)) as half:
        half.sendall(b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 1
