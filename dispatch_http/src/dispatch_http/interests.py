"""What the server's loop waits for: connections that may have news, each until it has some."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol

IN, OUT = 1 | 2, 4
"""Something to read (urgent or not), room to write; poll and epoll have the same numbers."""


class Interests:
    """The sockets waited for, kept by the kernel: what a turn of the loop costs does not grow with them.

    waitress asks each of its connections at each turn what it waits for, and has the loop woken for another turn when
    an answer is sent. Here a socket has one event at most and is then forgotten until somebody, in whatever thread,
    waits for it again.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def wait_for(self, fileno: int, flags: int, *, once: bool = True) -> None:
        """Tell of the next event of these, or as long as there are some; with no flags, of none."""
        flags |= select.EPOLLONESHOT if once else 0
        try:
            self._epoll.modify(fileno, flags)
        except FileNotFoundError:
            self._epoll.register(fileno, flags)

    def forget(self, fileno: int) -> None:
        """Tell no more of a socket that is about to be closed."""
        with suppress(FileNotFoundError, ValueError):
            self._epoll.unregister(fileno)

    def news(self, timeout_s: float) -> Iterable[tuple[int, int]]:
        """The sockets with events, and which; after ``timeout_s`` none."""
        return self._epoll.poll(timeout_s)

    def close(self) -> None:
        """Let go of it."""
        self._epoll.close()


class Waiting(Protocol):
    """What waitress says of a connection."""

    def readable(self) -> Any:
        """Whether it would read now."""
        ...

    def writable(self) -> Any:
        """Whether it has something to write, or wants to close."""
        ...


def flags_of(waiting: Waiting) -> int:
    """What a connection waits for."""
    return (IN if waiting.readable() else 0) | (OUT if waiting.writable() else 0)


def interests() -> Interests | None:
    """None where the system has no epoll: there waitress has its own way."""
    return Interests() if sys.platform == "linux" else None
