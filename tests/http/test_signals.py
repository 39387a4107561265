"""Signals that ask to end are heard whatever lock the main thread holds when they come."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

import pytest

from dispatch_core import Dispatcher
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings
from dispatch_http.signals import Handler, hear, heard, outlive_the_terminal, restore

NUMBERS = (signal.SIGTERM, signal.SIGINT)
LOCK_FREE = {"SimpleQueue.put", "list.append"}
"""What a handler may call: C code that cannot be interrupted half-way, and waits for nobody."""


@pytest.fixture(autouse=True)
def former_handlers() -> Iterator[None]:
    """Whatever a test installs is gone after it."""
    former: dict[int, Handler] = {number: signal.getsignal(number) for number in (*NUMBERS, signal.SIGHUP)}
    yield
    restore(former)


def calls_of(handler: Any, number: int) -> list[str]:
    """Every function that a handler calls, by its name, in order."""
    called: list[str] = []

    def note(frame: FrameType, event: str, function: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)
        elif event == "c_call":
            called.append(function.__qualname__)

    sys.setprofile(note)
    try:
        handler(number, None)
    finally:
        sys.setprofile(None)
    own, *others = called
    assert own.endswith("handle")
    return [name for name in others if name != "setprofile"]


def test_the_measure_sees_a_lock() -> None:
    """A handler that sets an event is caught calling what locks."""
    event = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        event.set()

    assert set(calls_of(handle, signal.SIGTERM)) - LOCK_FREE


@pytest.mark.parametrize("number", NUMBERS)
def test_a_handler_locks_nothing(number: signal.Signals) -> None:
    """Whichever signal comes, its handler calls nothing but a put that may interrupt itself; the number is there."""
    asked: SimpleQueue[int] = SimpleQueue()
    hear(asked)
    assert set(calls_of(signal.getsignal(number), number)) == LOCK_FREE
    assert asked.get_nowait() == number


@pytest.mark.parametrize("number", NUMBERS)
def test_the_server_hears_by_such_a_handler(number: signal.Signals) -> None:
    """The handler that a serving server has installed locks nothing; the server stops by it, and takes it back."""
    settings = HttpSettings(port=0, threads=2, drain_grace_s=2.0)
    dispatcher = Dispatcher(MemoryStorage(), group_commit=True)
    server = Server(create_app(dispatcher, settings), dispatcher, settings)
    called: list[str] = []

    def announce(_url: str) -> None:
        called.extend(calls_of(signal.getsignal(number), number))

    former = signal.getsignal(number)
    assert server.serve_forever(announce) == 0
    assert set(called) == LOCK_FREE
    assert signal.getsignal(number) is former


def test_from_the_second_on_signals_end_at_once_if_they_shall() -> None:
    """With ``again`` only the first is put; without it each one is."""
    asked: SimpleQueue[int] = SimpleQueue()
    hurried: list[int] = []
    for again in (hurried.append, None):
        hear(asked, again=again)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
    assert hurried == [signal.SIGINT, signal.SIGTERM]
    assert [asked.get_nowait() for _ in range(asked.qsize())] == [15, 15, 2, 15]


def test_a_lost_terminal_ends_nothing() -> None:
    """SIGHUP changes nothing, and its handler can be had back."""
    heard: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    former = outlive_the_terminal()
    signal.raise_signal(signal.SIGHUP)
    assert heard == []
    restore(former)
    signal.raise_signal(signal.SIGHUP)
    assert heard == [signal.SIGHUP]


class Late:
    """A queue in which the signal lies only when its reader has given up waiting once: it came just before that wait."""

    def __init__(self) -> None:
        self.waits: list[float | None] = []

    def get(self, *, timeout: float | None = None) -> int:
        self.waits.append(timeout)
        if len(self.waits) == 1:
            raise Empty
        return signal.SIGTERM


def test_a_signal_that_comes_just_before_the_wait_is_heard() -> None:
    """No wait is for ever: the handler of such a signal runs only when the wait is over."""
    late = Late()
    assert heard(late) == signal.SIGTERM  # type: ignore[arg-type]  # as much of a queue as is used
    assert all(wait is not None and wait <= 1 for wait in late.waits)
