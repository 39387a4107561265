"""What if: a live store played on in memory, as it is and changed; the store itself is not touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dispatch_core import (
    Attempt,
    Benchmark,
    Deadline,
    Dispatcher,
    FifoPolicy,
    Job,
    JobKind,
    JobSpec,
    Lease,
    ManualClock,
    Profile,
    Progress,
    Retry,
    SeededIds,
    Timeouts,
    UnknownEngineError,
)
from dispatch_core.simulation import Changes, WhatIf, fork, what_if, what_if_report
from dispatch_core.storage import create_storage
from dispatch_core.testing.checkers import check_store

MEASURE = JobKind(name="measure", units=lambda parameters, _size: float(str(parameters["units"])))
FAST = Profile(kinds=("measure",), benchmarks=(Benchmark(task_class="any", units_per_s=2.0),))


class Live:
    """A store in use: one engine, which runs the first job, and jobs that wait."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self.storage = create_storage(url, clock=self.clock)
        self.dispatcher = Dispatcher(self.storage, kinds=[MEASURE], ids=SeededIds(1))
        self.dispatcher.register("one", FAST, session="s")

    def submit(self, *units: float, **fields: object) -> list[str]:
        specs = [JobSpec(kind="measure", parameters={"units": each}, **fields) for each in units]  # type: ignore[arg-type]  # fields of a spec
        return [job.id for job in self.dispatcher.submit_many(specs)]

    def claim(self, engine_id: str = "one") -> Lease:
        [lease] = self.dispatcher.claim(engine_id, session="s")
        return lease

    def ask(self, **changes: object) -> WhatIf:
        return what_if(fork(self.storage), Changes(**changes), kinds=[MEASURE])  # type: ignore[arg-type]  # fields of changes


@pytest.fixture(params=["memory:", "sqlite://"], ids=["memory", "sqlite"])
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    """Whatever is asked, the store is afterwards what it was."""
    live = Live(request.param)
    yield live
    check_store(live.storage)
    live.dispatcher.close()
    live.storage.close()


def ends(found: WhatIf, way: int) -> list[float | None]:
    """To the millisecond: a batch's jobs are a microsecond apart."""
    instants = [shift.finished_s[way] for shift in found.shifts]
    return [None if each is None else round(each, 3) for each in instants]


def test_what_runs_goes_on_and_what_waits_follows(live: Live) -> None:
    """Of 100 units at 2 a second 10 s are done, so 40 are left; then the shorter of the others."""
    live.submit(100)
    live.claim()
    live.submit(60, 20)
    live.clock.advance(10)
    live.dispatcher.heartbeat("one", session="s")
    before = live.dispatcher.events(limit=10_000)
    found = live.ask()
    assert ends(found, 0) == ends(found, 1) == [40.0, 80.0, 50.0]
    assert [shift.started_s[0] for shift in found.shifts] == [-10.0, 50.0, 40.0]
    assert [shift.moved_s for shift in found.shifts] == [0.0, 0.0, 0.0]
    assert live.dispatcher.events(limit=10_000) == before


def test_progress_tells_more_than_an_estimate(live: Live) -> None:
    """A run that has done a quarter in ten seconds has thirty to go."""
    live.submit(100)
    lease = live.claim()
    live.clock.advance(10)
    live.dispatcher.progress(lease, Progress(fraction=0.25))
    live.dispatcher.heartbeat("one", session="s")
    assert ends(live.ask(), 0) == [30.0]


def test_more_engines(live: Live) -> None:
    """Two more like the one there is: all three waiting jobs start now, or when it is free."""
    live.submit(100)
    live.claim()
    live.submit(20, 20)
    found = live.ask(engines=(("one", 2),))
    assert ends(found, 0) == [50.0, 60.0, 70.0]
    assert ends(found, 1) == [50.0, 10.0, 10.0]
    assert {shift.engine[1] for shift in found.shifts} == {"one", "one-new-1", "one-new-2"}
    told = what_if_report(found)
    assert "3 open jobs: 2 end sooner, 0 later, 1 when they would anyway" in told
    assert "60.0 s → 10.0 s" in told
    assert "… and 1 more" in what_if_report(found, jobs_max=1)


def test_an_engine_less(live: Live) -> None:
    """It finishes what it runs; what waits has nobody."""
    live.submit(100, 20)
    live.claim()
    found = live.ask(without=("one",))
    assert sorted(str(each) for each in ends(found, 0)) == ["10.0", "60.0"]
    assert sorted(str(each) for each in ends(found, 1)) == ["10.0", "None"]
    assert "–" in what_if_report(found)


def test_a_batch_submitted_now(live: Live) -> None:
    """Short jobs go before a long one that waits; they are not among those that wait today."""
    live.submit(1_000)
    batch = tuple(JobSpec(kind="measure", parameters={"units": 20}) for _ in range(2))
    live.submit(2)
    live.claim()
    found = live.ask(submit=batch)
    assert ends(found, 0) == [501.0, 1.0]
    assert ends(found, 1) == [521.0, 1.0]
    assert [work.finished_s for work in found.after.works[2:]] == pytest.approx([11.0, 21.0])


def test_a_run_longer_than_its_limit_is_ended_then(live: Live) -> None:
    """One under way, and after it one to come: each at its own limit, though nothing else is due then."""
    limits = Timeouts(run_s=60.0)
    live.submit(1_000, 1_000, timeouts=limits, retry=Retry(max_attempts=1))
    live.claim()
    found = live.ask()
    assert [work.state for work in found.before.works] == ["failed", "failed"]
    assert sorted(ends(found, 0), key=str) == [pytest.approx(120, abs=0.1), pytest.approx(60, abs=0.1)]


def test_deadlines_met_and_missed(live: Live) -> None:
    """Which of the open jobs would be in time, both ways."""
    due = Deadline(at_us=live.clock.now_us() + 15_000_000)
    live.submit(20, 20, deadline=due)
    found = live.ask(engines=(("one", 1),))
    assert sorted(str(shift.in_time[0]) for shift in found.shifts) == ["False", "True"]
    assert [shift.in_time[1] for shift in found.shifts] == [True, True]
    assert "deadlines missed by them: 1 as it is, 0 with the change" in what_if_report(found)


@pytest.mark.parametrize("changes", [{"cap_s": 0.0}, {"policy": FifoPolicy()}])
def test_another_order(live: Live, changes: dict[str, object]) -> None:
    """With no cap, and under fifo, what came first goes first; those that wait are placed anew."""
    live.submit(2)
    live.claim()
    live.submit(100)
    live.clock.advance(1)
    live.submit(20)
    live.dispatcher.heartbeat("one", session="s")
    found = live.ask(**changes)
    first, second = found.shifts[1:]
    assert (first.moved_s < 0, second.moved_s > 0) == (True, True)


def test_timers_and_holds_are_kept(live: Live) -> None:
    """A job that may not begin yet begins then; one on hold, or pinned to nobody, does not."""
    later_us = live.clock.now_us() + 100_000_000
    live.submit(20, not_before_us=later_us)
    live.submit(20, hold=True)
    [pinned] = live.submit(20)
    live.dispatcher.assign(pinned, "nobody")
    found = live.ask(engines=(("one", 1),))
    assert ends(found, 0) == ends(found, 1) == [110.0, None, None]


def test_a_silent_engine_stays_away_and_its_job_is_granted_anew(live: Live) -> None:
    """When its lease has ended; until then nobody may have it."""
    live.dispatcher.register("two", FAST, session="s")
    live.submit(20)
    live.claim("two")
    live.clock.advance(20)
    live.dispatcher.heartbeat("one", session="s")
    live.clock.advance(14)  # after a start, nothing is taken for silent during the first ttl
    live.dispatcher.heartbeat("one", session="s")
    live.dispatcher.tick()
    assert live.dispatcher.engine("two").engine.seen == "silent"
    [shift] = live.ask().shifts
    assert shift.engine == ("one", "one")
    assert shift.finished_s[0] is not None


def test_what_has_ended_is_remembered_but_not_played(live: Live) -> None:
    """The last runs of an engine come along, for estimates rest on them; their jobs are over."""
    [done] = live.submit(20)
    live.dispatcher.complete(live.claim())
    [left] = live.submit(20)
    state = fork(live.storage)
    kept = {each.id for each in state.others if isinstance(each, Job)}
    assert (kept, [job.id for job in state.jobs]) == ({done}, [left])
    assert any(isinstance(each, Attempt) and each.job_id == done for each in state.others)
    assert len(live.ask().shifts) == 1


def test_it_can_be_asked_again(live: Live) -> None:
    """The same state gives the same answer."""
    live.submit(*range(1, 20))
    live.claim()
    found = live.ask(engines=(("one", 1),))
    assert found == live.ask(engines=(("one", 1),))
    assert found.after.digest() != found.before.digest()


def test_what_is_not_there_is_refused(live: Live) -> None:
    """An engine nobody knows, more of or less."""
    for changes in (Changes(engines=(("none", 1),)), Changes(without=("none",))):
        with pytest.raises(UnknownEngineError):
            what_if(fork(live.storage), changes, kinds=[MEASURE])


def test_an_empty_store_has_a_future(live: Live) -> None:
    """Nothing, both ways."""
    found = live.ask(engines=(("one", 1),))
    assert found.shifts == ()
    assert "0 open jobs" in what_if_report(found)


def test_a_cap_holds_beside_a_change_of_mode() -> None:
    """The mode of the changed side has the dials of its settings: each of the two changes says something."""
    live = Live("memory:")
    live.submit(*(float(600 + 3_000 * (n % 7)) for n in range(20)))
    plain = live.ask().after.digest()
    makespan = live.ask(mode="makespan").after.digest()
    short = live.ask(mode="makespan", cap_s=60.0).after.digest()
    assert makespan not in (plain, short)  # with a cap shorter than every job nothing is overtaken
    live.dispatcher.close()
