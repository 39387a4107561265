"""HTTP/1.1 with as little client as possible: bytes made once, sockets kept alive, one thread for all of them."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Callable, Generator, Iterable, Mapping

Script = Generator[bytes, bytes, None]
"""A client: it yields a request and is sent the whole answer."""


def request(
    method: str,
    target: str,
    form: object = None,
    *,
    body: bytes | None = None,
    kind: str = "application/json",
) -> bytes:
    """The bytes of a request."""
    text = body if body is not None else b"" if form is None else json.dumps(form).encode()
    typed = f"Content-Type: {kind}\r\n" if text else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{typed}Content-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


def status(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer[9:12])


def insist(answer: bytes, *wanted: int) -> bytes:
    """The answer, which must have one of these statuses."""
    if status(answer) not in wanted:
        raise RuntimeError(answer[:1_000].decode("utf-8", "replace"))
    return answer


def text_of(answer: bytes, name: bytes, start: int = 0) -> bytes:
    """The first text of this name in a compact JSON answer."""
    mark = b'"' + name + b'":"'
    begin = answer.index(mark, start) + len(mark)
    return answer[begin : answer.index(b'"', begin)]


def form_of(answer: bytes) -> Mapping[str, object]:
    """The JSON of an answer that was sent with its length."""
    form: Mapping[str, object] = json.loads(answer[answer.index(b"\r\n\r\n") + 4 :])
    return form


def _whole(buffer: bytes | bytearray) -> bool:
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(buffer[:end]).lower()
    if head[9:12] in (b"204", b"304"):
        return True
    at = head.find(b"content-length: ")
    if at >= 0:
        line = head.find(b"\r\n", at)
        length = int(head[at + 16 : line if line > 0 else len(head)])
        return len(buffer) >= end + 4 + length
    return b"chunked" not in head or buffer.endswith(b"0\r\n\r\n")


class Line:
    """A client and its connection, made anew where a server says that it closes it."""

    def __init__(self, address: tuple[str, int], script: Script, waiting: selectors.BaseSelector) -> None:
        self._address = address
        self._script = script
        self._waiting = waiting
        self._buffer = bytearray()
        self._connect()
        self.socket.sendall(next(script))

    def _connect(self) -> None:
        self.socket = socket.create_connection(self._address, timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting.register(self.socket, selectors.EVENT_READ, self)

    def _close(self) -> None:
        self._waiting.unregister(self.socket)
        self.socket.close()

    def readable(self) -> bool:
        """Take what has come; go on if an answer is whole. False when the script is over."""
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        if self._buffer or not _whole(chunk):
            self._buffer += chunk
            if not _whole(self._buffer):
                return True
            chunk = bytes(self._buffer)
            self._buffer.clear()
        try:
            asked = self._script.send(chunk)
        except StopIteration:
            self._close()
            return False
        if b"\nConnection: close" in chunk[:512]:
            self._close()
            self._connect()
        self.socket.sendall(asked)
        return True


def play(address: tuple[str, int], scripts: Iterable[Script]) -> None:
    """Run every script on a connection of its own until all are over."""
    play_at((address, script) for script in scripts)


def play_at(scripts: Iterable[tuple[tuple[str, int], Script]]) -> None:
    """Run every script on a connection of its own to its own server until all are over."""
    with selectors.DefaultSelector() as waiting:
        left = len([Line(address, script, waiting) for address, script in scripts])
        while left:
            for key, _ in waiting.select():
                left -= not key.data.readable()


def ask(address: tuple[str, int], asked: bytes, *wanted: int) -> bytes:
    """One request on a connection of its own; the answer, which must have one of these statuses."""
    found: list[bytes] = []

    def once() -> Script:
        found.append((yield asked))

    play(address, [once()])
    return insist(found[0], *wanted)


def until(seconds: float) -> Callable[[], bool]:
    """Whether a span that begins now is not over yet."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() < end
