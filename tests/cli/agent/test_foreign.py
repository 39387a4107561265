"""An address that answers but is not Dispatch, a proxy's own page say, is one that is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dispatch_cli.agent.client import AwayError, Client
from dispatch_cli.agent.logs import make_log
from dispatch_cli.servers import Servers


@contextmanager
def answering(status: int, body: bytes, kind: str) -> Iterator[tuple[str, list[str]]]:
    """A server that always says the same, and the paths it was asked for."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("status", [404, 403, 200])
def test_the_next_server_is_asked(status: int) -> None:
    """A finished result is not dropped because a proxy without its server says that there is no such page."""
    with ExitStack() as stack:
        first, _ = stack.enter_context(answering(status, b"<h1>proxy</h1>", "text/html"))
        other, asked = stack.enter_context(answering(200, b'{"ok":1}', "application/json"))
        client = stack.enter_context(
            closing(Client(Servers.parse(first, other), api_key=None, log=make_log("text")))
        )
        for _ in range(4):
            with suppress(AwayError):
                client.insist("PUT", "/jobs/j/status", body={}, hurry=threading.Event(), patience_s=1.0)
            if asked:
                break
        assert asked
