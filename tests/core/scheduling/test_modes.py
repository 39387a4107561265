"""Modes: the order that a setting names, and jobs that wait placed anew after a change of it."""

from __future__ import annotations

import pytest

from dispatch_core import Context, Dispatcher, InvalidCommandError, JobKind, JobSpec, ManualClock, Settings
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, claimed, names, start

BACKUP = JobKind(name="backup", units=lambda parameters, _size: float(str(parameters["minutes"])) * 60)
WORKS = (("long", 120, 0), ("short", 2, 0), ("important", 60, 5))


def submitted(dispatcher: Dispatcher) -> dict[str, str]:
    """Three jobs that every mode orders otherwise: their names by id."""
    specs = [
        JobSpec(kind="backup", parameters={"minutes": minutes}, priority=priority, note=name)
        for name, minutes, priority in WORKS
    ]
    return {job.id: job.spec.note for job in dispatcher.submit_many(specs)}


def in_mode(make: MakeDispatcher, mode: str) -> Dispatcher:
    """A server whose setting says so."""
    return make(kinds=[BACKUP], settings=Settings(mode=mode))


def granted(dispatcher: Dispatcher, limit: int = 3) -> list[str]:
    """The ids of what one engine is given, in that order."""
    start(dispatcher, kinds=("backup",))
    return claimed(dispatcher, limit=limit)


@pytest.mark.parametrize(
    ("mode", "order"),
    [
        ("flow", ["important", "short", "long"]),
        ("makespan", ["long", "important", "short"]),
        ("strict-bands", ["important", "long", "short"]),
        ("fifo", ["long", "short", "important"]),
    ],
)
@pytest.mark.parametrize("before", [None, "flow", "makespan", "strict-bands", "fifo"])
def test_a_mode_says_the_order(
    make_dispatcher: MakeDispatcher, before: str | None, mode: str, order: list[str]
) -> None:
    """Each by its own policy; and jobs that came in under another mode come in the same order once they are rekeyed."""
    known = submitted(in_mode(make_dispatcher, before or mode))
    server = in_mode(make_dispatcher, mode)
    if before is not None:
        report = server.rekey()
        assert (report.looked, report.next) == (3, None)
    assert [known[each] for each in granted(server)] == order


def test_a_mode_that_is_none_is_refused() -> None:
    """When the settings are read."""
    with pytest.raises(InvalidCommandError) as refusal:
        Settings(mode="random")
    assert [each.path for each in refusal.value.problems] == ["/mode"]


def test_rekeying_goes_on_where_it_stopped(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """In steps of a bounded size, each of its own; a place is no fact: neither version nor history tells of it."""
    known = submitted(in_mode(make_dispatcher, "flow"))
    clock.advance(5)
    server = in_mode(make_dispatcher, "fifo")
    first = server.rekey(2)
    assert (first.looked, first.moved) == (2, 2)
    assert first.next is not None
    second = server.rekey(2, first.next)
    assert (second.looked, second.moved, second.next) == (1, 1, None)
    assert server.rekey().moved == 0, "they are where they belong"
    for job_id in known:
        assert server.job(job_id).version == 1
        assert names(server.history(job_id)) == ["job-submitted"]
    assert [known[each] for each in granted(server)] == ["long", "short", "important"]
    for limit in (0, 1_001):
        with pytest.raises(InvalidCommandError):
            server.rekey(limit)


def test_with_a_receipt_key_all_are_placed(make_dispatcher: MakeDispatcher) -> None:
    """The key is the request's, not each job's: the first job does not use it up."""
    submitted(in_mode(make_dispatcher, "flow"))
    report = in_mode(make_dispatcher, "fifo").acting(Context(receipt_key="once")).rekey()
    assert (report.looked, report.moved) == (3, 3)


def test_only_what_waits_is_placed(make_dispatcher: MakeDispatcher) -> None:
    """What runs, is held or has ended has no place and gets none."""
    server = in_mode(make_dispatcher, "flow")
    ids = list(submitted(server))
    start(server, kinds=("backup",))
    running = claim(server)
    held, waiting = (each for each in ids if each != running.job.id)
    server.hold(held)
    other = in_mode(make_dispatcher, "makespan")
    other.rekey()
    assert other.job(held).ready is None
    assert other.job(running.job.id).ready is None
    assert claimed(other, limit=3) == [waiting]
