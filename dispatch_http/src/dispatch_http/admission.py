"""What is let in: requests until the server drains, and no more waiting claims than leave threads for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
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

    @contextmanager
    def request(self) -> Iterator[None]:
        """One request, from its first byte read to its last byte handed over."""
        self._count(inside=1)
        try:
            yield
        finally:
            self._count(inside=-1)

    @contextmanager
    def wait_place(self, wait_s: float) -> Iterator[float]:
        """How long this claim may wait: ``wait_s``, or 0 if all places are taken or the server drains."""
        with self._changed:
            granted = wait_s > 0 and self._waiting < self._waits_max and not self._draining
            self._waiting += granted
        try:
            yield wait_s if granted else 0.0
        finally:
            self._count(waiting=-int(granted))

    def _count(self, *, inside: int = 0, waiting: int = 0) -> None:
        with self._changed:
            self._inside += inside
            self._waiting += waiting
            self._changed.notify_all()

    def await_nobody(self, until: float) -> bool:
        """Whether, before ``until`` (monotonic), no request was inside."""
        with self._changed:
            return self._changed.wait_for(lambda: self._inside == 0, max(0.0, until - time.monotonic()))


def counted(app: WsgiApp, gate: Gate) -> WsgiApp:
    """The same application; a request is inside the gate until its answer has been iterated to the end.

    The application runs before this returns: granian reads the status then, waitress at the first chunk.
    """

    def run(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with ExitStack() as stack:
            stack.enter_context(gate.request())
            chunks = app(environ, start_response)
            if close := getattr(chunks, "close", None):
                stack.callback(close)
            return _Answer(chunks, stack.pop_all())

    return run


class _Answer:
    """Chunks that let go of what they hold when the last one is taken, or when nobody wants them any more."""

    def __init__(self, chunks: Iterable[bytes], held: ExitStack) -> None:
        self._chunks = iter(chunks)
        self._held = held

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except BaseException:
            self._held.close()
            raise

    def close(self) -> None:
        """Let go."""
        self._held.close()


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
