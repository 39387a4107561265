"""Signals that ask a process to end, heard without a lock.

A handler runs in the main thread between any two of its steps, also while that thread holds the lock inside an
event, a condition or a log. A handler that wants the same lock then waits for itself, for ever. The handler here
only puts into a queue that is made for this; whoever takes from the queue may lock what it likes.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

_LOOK_S = 0.2
Handler = Callable[[int, FrameType | None], Any] | int | None


def hear(asked: SimpleQueue[int], *, again: Callable[[int], object] | None = None) -> dict[int, Handler]:
    """Put the number of every SIGTERM and SIGINT into ``asked``. Returns the handlers they had. Main thread only.

    From the second signal on ``again`` is called instead, if it is given: in the handler, so it must lock nothing.
    """
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen and again is not None:
            again(number)
            return
        seen.append(number)
        asked.put(number)

    return {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}


def heard(asked: SimpleQueue[int]) -> int:
    """The next signal that ``hear`` has put there. Main thread only.

    The wait is broken off and begun again all the time: a signal that comes just before a wait begins does not end
    that wait, and its handler runs when it is over.
    """
    while True:
        with suppress(Empty):
            return asked.get(timeout=_LOOK_S)


def outlive_the_terminal() -> dict[int, Handler]:
    """Ignore SIGHUP: whoever started a server may log out, and there is nothing to read anew. Main thread only."""
    if not hasattr(signal, "SIGHUP"):
        return {}
    return {signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN)}


def restore(former: Mapping[int, Handler]) -> None:
    """Install the handlers that signals had before. Main thread only."""
    for number, handler in former.items():
        signal.signal(number, handler)
