"""What is let in: requests until the server drains, and no more waiting claims than leave threads for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import falcon

from dispatch_core import ClosedError

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Gate:
    """Counts what is inside. Once it drains, nothing new goes in."""

    def __init__(self, waits_max: int) -> None:
        self._changed = threading.Condition()
        self._waits_max = waits_max
        self._inside = 0
        self._waiting = 0
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the server is on its way out."""
        return self._draining

    def drain(self) -> None:
        """Let nothing new in. There is no way back."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def enter(self) -> None:
        """A request begins: its first byte is read."""
        with self._changed:
            self._inside += 1

    def leave(self) -> None:
        """A request that entered has ended: its last byte is handed over."""
        with self._changed:
            self._inside -= 1
            if not self._inside:
                self._changed.notify_all()

    @contextmanager
    def wait_place(self, wait_s: float) -> Iterator[float]:
        """How long this claim may wait: ``wait_s``, or 0 if all places are taken or the server drains."""
        if not wait_s:
            yield 0.0
            return
        with self._changed:
            granted = self._waiting < self._waits_max and not self._draining
            self._waiting += granted
        try:
            yield wait_s if granted else 0.0
        finally:
            with self._changed:
                self._waiting -= granted

    def await_nobody(self, until: float) -> bool:
        """Whether, before ``until`` (monotonic), no request was inside."""
        with self._changed:
            return self._changed.wait_for(lambda: self._inside == 0, max(0.0, until - time.monotonic()))


def counted(app: WsgiApp, gate: Gate) -> WsgiApp:
    """The same application; a request is inside the gate until its answer has been iterated to the end.

    The application runs before this returns: granian reads the status then, waitress at the first chunk.
    """

    def run(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        gate.enter()
        try:
            return _Answer(app(environ, start_response), gate)
        except BaseException:
            gate.leave()
            raise

    return run


class _Answer:
    """Chunks of an answer that leaves the gate when the last one is taken, or when nobody wants them any more."""

    def __init__(self, chunks: Iterable[bytes], gate: Gate) -> None:
        self._chunks = iter(chunks)
        self._source: Any = chunks
        self._gate: Gate | None = gate

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the chunks, then leave; once."""
        gate, self._gate = self._gate, None
        if gate is None:
            return
        try:
            if close := getattr(self._source, "close", None):
                close()
        finally:
            gate.leave()


@runtime_checkable
class AlwaysServed(Protocol):
    """A resource that answers while the server drains, too."""

    when_draining: bool


class Admission:
    """Middleware: while the server drains, new requests are refused at once, so that old ones can finish."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        """Refuse with 503 if the server drains."""
        if self._gate.draining and not (isinstance(resource, AlwaysServed) and resource.when_draining):
            raise ClosedError("the server is shutting down; repeat the request, with its key if it has one")
