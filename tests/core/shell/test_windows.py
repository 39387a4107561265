"""Maintenance windows: no work in them, nothing long before them, and both said with their end."""

from __future__ import annotations

import pytest

from dispatch_core import (
    Context,
    Dispatcher,
    InvalidCommandError,
    JobSize,
    JobVerdict,
    ManualClock,
    Settings,
    UnknownEngineError,
    UnknownWindowError,
)
from dispatch_core.vocabulary.clock import SECOND_US
from tests.core.conftest import MakeDispatcher
from tests.core.house import claimed, spec, start

pytestmark = pytest.mark.checklist(40)


def at(clock: ManualClock, seconds: float) -> int:
    """An instant so far from now."""
    return clock.now_us() + round(seconds * SECOND_US)


@pytest.mark.parametrize("engine_id", ["e1", None])
def test_no_work_inside_a_window(dispatcher: Dispatcher, clock: ManualClock, engine_id: str | None) -> None:
    """One engine's or everybody's: refused with its reason and its end, and granted when it is over."""
    start(dispatcher)
    job = dispatcher.submit(spec())
    window = dispatcher.windows.plan(engine_id, from_us=0, until_us=at(clock, 60), reason="new disks")
    assert dispatcher.windows.list() == [window]
    assert dispatcher.engine("e1").windows == (window,)
    assert claimed(dispatcher) == []
    assert dispatcher.preview("e1").refused == {"maintenance-window": 1}
    told = dispatcher.explain(job.id)
    (reason,) = told.engines[0].reasons
    assert (told.verdict, reason.code) == (JobVerdict.OFFLINE, "maintenance-window")
    assert "new disks" in reason.message
    assert told.unblock == f"wait until 2030-01-01T00:01:00Z, or end the window {window.id}"
    clock.advance(60)
    assert claimed(dispatcher) == [job.id]
    dispatcher.tick()
    assert dispatcher.windows.list() == []
    assert [row.event for row in dispatcher.events() if row.ref[1] == window.id] == [
        "window-planned",
        "window-ended",
    ]


def test_a_window_of_one_engine_is_not_anothers(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """The rest of the fleet works on, and so do the engines of other tenants."""
    start(dispatcher), start(dispatcher, "e2")
    job = dispatcher.submit(spec())
    dispatcher.windows.plan("e1", from_us=0, until_us=at(clock, 60))
    dispatcher.acting(Context(tenant="other")).windows.plan(None, from_us=0, until_us=at(clock, 60))
    assert claimed(dispatcher) == []
    assert claimed(dispatcher, "e2") == [job.id]


def test_an_ended_window_counts_no_more(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """At once; ending it again, or another tenant's, finds none."""
    start(dispatcher)
    job = dispatcher.submit(spec())
    window = dispatcher.windows.plan(None, from_us=0, until_us=at(clock, 60))
    assert claimed(dispatcher) == []
    with pytest.raises(UnknownWindowError):
        dispatcher.acting(Context(tenant="other")).windows.end(window.id)
    dispatcher.windows.end(window.id)
    assert claimed(dispatcher) == [job.id]
    with pytest.raises(UnknownWindowError):
        dispatcher.windows.end(window.id)


@pytest.mark.parametrize("finish_first", [True, False])
def test_nothing_long_before_a_window(
    make_dispatcher: MakeDispatcher, clock: ManualClock, finish_first: bool
) -> None:
    """A job that would still run when it opens waits, unless the house does not care; a short one goes."""
    dispatcher = make_dispatcher(settings=Settings(windows_finish_first=finish_first))
    start(dispatcher)
    long = dispatcher.submit(spec(size=JobSize(duration_us=600 * SECOND_US)))
    short = dispatcher.submit(spec(size=JobSize(duration_us=20 * SECOND_US)))
    dispatcher.windows.plan("e1", from_us=at(clock, 60), until_us=at(clock, 120))
    assert set(claimed(dispatcher, limit=2)) == ({short.id} if finish_first else {short.id, long.id})
    if finish_first:
        (reason,) = dispatcher.explain(long.id).engines[0].reasons
        assert reason.message == "would take 300 s, and maintenance begins at 2030-01-01T00:01:00Z"


def test_a_window_lies_ahead(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """It ends after it begins and after now, begins now at the earliest, and its engine exists."""
    start(dispatcher)
    for begin, end in ((0, at(clock, 0)), (at(clock, 9), at(clock, 9)), (at(clock, 9), at(clock, 8))):
        with pytest.raises(InvalidCommandError):
            dispatcher.windows.plan("e1", from_us=begin, until_us=end)
    with pytest.raises(UnknownEngineError):
        dispatcher.windows.plan("nobody", from_us=0, until_us=at(clock, 9))
    assert dispatcher.windows.plan("e1", from_us=0, until_us=at(clock, 9)).from_us == clock.now_us()
