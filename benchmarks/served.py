"""A real server: how long ``dispatch serve`` takes to be ready, and its memory after some claims."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

PATIENCE_S = 120


@frozen
class Serving:
    """What was seen of a server."""

    ready_s: float
    """From the start of its process until /health/ready says 200."""
    rss_mib: float
    """Resident memory after the claims (Linux)."""


def serving(database: Path, *, claims: int, engines: int) -> Serving:
    """Start a server on a store, claim jobs over HTTP, look, end it."""
    started = time.perf_counter()
    command = [
        Path(sys.executable).with_name("dispatch"),
        "serve",
        "--port",
        "0",
        "--database",
        database,
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = urlsplit(json.loads(process.stdout.readline())["url"])
            connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_S)
            while _asked(connection, "GET", "/health/ready") != 200:
                assert time.perf_counter() < started + PATIENCE_S, "the server does not become ready"
            ready_s = time.perf_counter() - started
            for number in range(claims):
                _asked(connection, "POST", f"/queue/next_job?engine_id=engine-{number % engines}")
            return Serving(ready_s, _rss_mib(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)


def _asked(connection: http.client.HTTPConnection, method: str, target: str) -> int:
    connection.request(method, target)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
