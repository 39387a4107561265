"""A signal that comes at the worst moment: while the main thread holds the lock of what the signal will set."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Any

import pytest

from dispatch_cli.agent.client import Client
from dispatch_cli.agent.engine_agent import EngineAgent, Offer
from dispatch_cli.agent.logs import make_log
from dispatch_cli.servers import Servers

NOBODY = "http://127.0.0.1:1"


@contextmanager
def raised_under_the_lock(*numbers: signal.Signals) -> Iterator[list[signal.Signals]]:
    """Raise one signal each time this thread, waiting for an event, has just locked it; those still to come."""
    to_come = [*numbers]

    def watch(frame: FrameType, event: str, _: object) -> Any:
        own_wait = (
            frame.f_code is threading.Event.wait.__code__
            and frame.f_back is not None
            and frame.f_back.f_code.co_filename
            != threading.__file__  # a thread that starts is waited for too
        )
        if own_wait and event == "line" and to_come and frame.f_locals["self"]._cond._is_owned():
            signal.raise_signal(to_come.pop(0))
            return None
        return watch if own_wait else None

    former = sys.gettrace()
    sys.settrace(watch)
    try:
        yield to_come
    finally:
        sys.settrace(former)


@pytest.mark.checklist(79)
@pytest.mark.timeout(20)  # a main thread that waits for itself is a failure, not the end of the run
@pytest.mark.parametrize(
    ("numbers", "status"),
    [((signal.SIGTERM,), 0), ((signal.SIGINT,), 0), ((signal.SIGTERM, signal.SIGINT), 128 + signal.SIGINT)],
)
def test_a_signal_is_heard_while_its_event_is_locked(
    numbers: tuple[signal.Signals, ...], status: int
) -> None:
    """An agent that waits for its server ends by the first signal in order, by a second at once, and never hangs."""
    log = make_log("json", io.StringIO())
    offer = Offer(engine_id="e1", profile={}, slots=1, runners={})
    with closing(Client(Servers.parse(NOBODY), api_key=None, log=log)) as client:
        agent = EngineAgent(offer, client, log, drain_grace_s=1.0)
        with raised_under_the_lock(*numbers) as to_come:
            ended = agent.run()
    assert (ended, to_come) == (status, [])
