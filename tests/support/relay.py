"""A way to a server that can be cut: between a client and a port on loopback, by real TCP."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, Self

Mood = Literal["pass", "hang", "away"]

RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: closing then resets, as a server that was killed with bytes unread."""


class Relay:
    """Forwards TCP to a server on loopback, unless it is told to do worse. One request at a time and connection.

    ``refuse`` and ``hang`` also hold for connections that are open.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._mood: Mood = "pass"
        self._retry_after_s: int | None = None
        self._to_lose = 0
        self._where = b""
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.lost: list[bytes] = []
        """Replies that nobody got, although what they told had happened."""
        self.asked = 0
        """Connections that were made."""
        self.heard: list[bytes] = []
        """The first line of every request that was let through."""
        self._listener = _listening(0)
        self.port: int = self._listener.getsockname()[1]
        self._begin()

    @property
    def url(self) -> str:
        """Where clients find the server."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    def refuse(self) -> None:
        """Be dead: refuse who comes, cut off who is here."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or a thread that accepts would let one more in
        self._listener.close()
        self._cut()

    def revive(self) -> None:
        """Come back after ``refuse`` or worse, on the same port."""
        self._mood = "pass"
        if self._listener.fileno() == -1:
            self._listener = _listening(self.port)
            self._begin()

    def hang(self) -> None:
        """Be frozen: take connections and requests, and say nothing any more."""
        self._mood = "hang"

    def be_away(self, retry_after_s: int | None = None) -> None:
        """Answer 503 to every request, as a server that shuts down; open connections are cut off."""
        self._retry_after_s = retry_after_s
        self._mood = "away"
        self._cut()

    def lose(self, replies: int, where: bytes = b" HTTP/1.1") -> None:
        """Deliver requests, but reset the connection instead of the next so many replies.

        Only those count in which, or in whose request, ``where`` stands.
        """
        self._to_lose, self._where = replies, where

    # ----- the threads

    def _begin(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.asked += 1
            with self._lock:
                self._open.append(client)
            if self._mood == "away":
                threading.Thread(target=self._send_away, args=(client,), daemon=True).start()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                _reset(client)
                continue
            with self._lock:
                self._open.append(server)
            request = bytearray()
            for way in (self._ask, self._answer):
                threading.Thread(target=way, args=(client, server, request), daemon=True).start()

    def _send_away(self, client: socket.socket) -> None:
        told = "" if self._retry_after_s is None else f"Retry-After: {self._retry_after_s}\r\n"
        head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n{told}\r\n"
        with contextlib.suppress(OSError), client:
            if client.recv(65_536):
                client.sendall(head.encode())
                client.shutdown(socket.SHUT_WR)
                while client.recv(65_536):
                    pass

    def _ask(self, client: socket.socket, server: socket.socket, request: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if not request:
                    self.heard.append(data.partition(b"\r\n")[0])
                request += data
                if self._mood != "hang":
                    server.sendall(data)
        _reset(client)
        _reset(server)

    def _answer(self, client: socket.socket, server: socket.socket, request: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self._loses(bytes(request), data):
                    break
                request.clear()
                if self._mood != "hang":
                    client.sendall(data)
        _reset(client)
        _reset(server)

    def _loses(self, request: bytes, reply: bytes) -> bool:
        with self._lock:
            if not self._to_lose or not (self._where in request or self._where in reply):
                return False
            self._to_lose -= 1
            self.lost.append(reply)
            return True

    def _cut(self) -> None:
        with self._lock:
            cut, self._open = self._open, []
        for each in cut:
            _reset(each)


@contextmanager
def relayed(*ports: int) -> Iterator[list[Relay]]:
    """A relay to each of the ports."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Relay(port)) for port in ports]


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
