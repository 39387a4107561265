"""The fleet that embedders test with: engines behave as told, time passes only in steps, and failures explain themselves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from dispatch_core import (
    Clock,
    InvariantError,
    Job,
    JobError,
    JobKind,
    JobState,
    Retry,
    Settings,
    Storage,
    Timeouts,
)
from dispatch_core.storage import create_storage
from dispatch_core.testing.fleet import Fleet
from dispatch_core.testing.samples import a_job, added, save

PAGES = JobKind(
    name="print",
    units=lambda parameters, _size: float(str(parameters["pages"])),
    task_class=lambda parameters, _size: str(parameters.get("paper", "plain")),
)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """A print shop."""
    with Fleet(kinds=[PAGES], settings=Settings(lease_ttl_s=20, lost_after_s=120)) as made:
        yield made


def pages(fleet: Fleet, count: int, **fields: Any) -> Job:
    """A job of so many pages."""
    return fleet.submit(parameters={"pages": count}, **fields)


def test_nothing_happens_between_steps(fleet: Fleet) -> None:
    """A job waits until a step lets engines ask; it ends when its engine has had the time it needs."""
    fleet.engine("fast", speed=2.0)
    job = pages(fleet, 10)
    assert fleet.job(job).state is JobState.PENDING
    fleet.step()
    assert fleet.job(job).state is JobState.ASSIGNED
    fleet.step(4.9)
    assert fleet.engines["fast"].running == (job.id,)
    fleet.step(0.1)
    assert fleet.job(job).state is JobState.COMPLETED


def test_the_fastest_idle_engine_gets_the_job_whatever_the_order(fleet: Fleet) -> None:
    """Whoever joined first, and although the speed was said before any task class was known."""
    slow, fast = fleet.engine("slow", speed=1.0), fleet.engine("fast", speed=9.0)
    first = pages(fleet, 30)
    fleet.step()
    fleet.assert_assigned(first, fast)
    second = fleet.dispatcher.submit(first.spec)
    fleet.step()
    assert slow.running == ()
    fleet.drain()
    fleet.assert_assigned(second, "fast")


def test_speeds_may_differ_by_task_class(fleet: Fleet) -> None:
    """Each job goes to the engine that is best at its class."""
    fleet.engine("glossy", speed={"plain": 1.0, "photo": 5.0})
    fleet.engine("plain", speed={"plain": 5.0, "photo": 1.0})
    photo = fleet.submit(parameters={"pages": 20, "paper": "photo"})
    plain = fleet.submit(parameters={"pages": 20})
    assert fleet.drain() == []
    fleet.assert_assigned(photo, "glossy")
    fleet.assert_assigned(plain, "plain")


def test_a_failure_names_every_reason_of_every_engine(fleet: Fleet) -> None:
    """Who reads it need not ask again."""
    fleet.engine("small", memory_gb=2)
    fleet.engine("away", memory_gb=1)
    fleet.dispatcher.cordon("away", reason="toner")
    job = pages(fleet, 1, requirements=("memory_gb >= 4",))
    fleet.step()
    fleet.assert_never_matches(job)
    with pytest.raises(AssertionError) as failed:
        fleet.assert_assigned(job, "small")
    told = str(failed.value)
    assert f"{job.id} went to no engine, not to small" in told
    assert "small (about 1 s): not-capable: needs memory_gb >= 4; memory_gb: has 2" in told
    assert "needs memory_gb >= 4; memory_gb: has 1; maintenance: " in told
    assert "to unblock it: an engine with memory_gb >= 4" in told


def test_a_job_that_an_absent_engine_could_run_is_not_without_a_match(fleet: Fleet) -> None:
    """Offline is not never; the message tells the verdict and what was tried."""
    fleet.engine("only")
    job = pages(fleet, 100)
    fleet.step()
    fleet.crash("only")
    fleet.step(1_000)
    with pytest.raises(AssertionError, match="should match no engine, but is offline"):
        fleet.assert_never_matches(job)
    with pytest.raises(
        AssertionError, match=r"went to only, not to other\n(.*\n)*.*attempt 1 on only: expired"
    ):
        fleet.assert_assigned(job, "other")


def test_work_decides_how_a_run_ends(fleet: Fleet) -> None:
    """Its result is the job's; its error is the attempt's, and the job is tried again until its attempts are used."""
    fleet.engine("good", work=lambda job: {"printed": job.spec.parameters["pages"]})
    job = pages(fleet, 3)
    assert fleet.drain() == []
    assert fleet.job(job).result == {"printed": 3}
    fleet.leave("good")
    fleet.engine("bad", work=lambda _job: JobError(failure_class="engine", message="paper jam"))
    job = pages(fleet, 3, retry=Retry(max_attempts=3))
    assert fleet.drain() == []
    assert fleet.job(job).state is JobState.FAILED_PERMANENTLY
    assert len(fleet.dispatcher.attempts(job.id)) == 3


def test_a_crash_is_survived(fleet: Fleet) -> None:
    """What a dead engine ran goes to another when its lease is over; back again, it takes new work."""
    first = fleet.engine("first", speed=2.0)
    job = pages(fleet, 100)
    fleet.step()
    fleet.assert_assigned(job, first)
    fleet.engine("second", speed=1.0)
    fleet.crash(first, down_s=300)
    assert fleet.drain() == []
    assert fleet.job(job).state is JobState.COMPLETED
    fleet.assert_assigned(job, "second")
    fleet.step(400)
    again = pages(fleet, 100)
    fleet.step()
    fleet.assert_assigned(again, first)


def test_drain_stops_where_nothing_more_happens(fleet: Fleet) -> None:
    """It returns what can never run and what is held; what is late by itself it waits for; a limit ends it."""
    fleet.engine("only")
    held, never = pages(fleet, 1, hold=True), pages(fleet, 1, requirements=("memory_gb >= 4",))
    limited = pages(fleet, 1, requirements=("memory_gb >= 4",), timeouts=Timeouts(queue_s=5_000))
    late = pages(fleet, 1, not_before_us=fleet.clock.now_us() + 3_600_000_000)
    assert {job.id for job in fleet.drain()} == {held.id, never.id}
    assert fleet.job(late).state is JobState.COMPLETED
    assert fleet.job(limited).state is JobState.FAILED_PERMANENTLY
    long = pages(fleet, 10_000)
    with pytest.raises(AssertionError, match=rf"have not ended after 100 s\n(.*\n)*{long.id}"):
        fleet.drain(seconds_max=100)


def test_a_cancelled_run_is_given_back(fleet: Fleet) -> None:
    """The engine hears of it at its next sign of life, and is free."""
    only = fleet.engine("only")
    job = pages(fleet, 1_000)
    fleet.step()
    fleet.dispatcher.cancel(job.id)
    fleet.step(5)
    assert fleet.job(job).state is JobState.CANCELLED
    assert only.idle


def opened(url: str, clock: Clock) -> Storage:
    """A store on a clock."""
    return create_storage(url, clock=clock)


def test_a_fleet_on_another_store_ends_alike() -> None:
    """The same story on SQLite has the same ends at the same instants."""
    ends = []
    for url in ("memory:", "sqlite://"):
        with Fleet(kinds=[PAGES], open_storage=partial(opened, url)) as fleet:
            fleet.engine("one", speed=1.0)
            fleet.engine("two", speed=3.0, slots=2)
            jobs = [pages(fleet, count) for count in range(1, 20, 3)]
            assert fleet.drain() == []
            ends.append([(fleet.job(job).engine_id, fleet.job(job).ended_us) for job in jobs])
    assert ends[0] == ends[1]


def test_the_end_of_a_fleet_checks_its_store() -> None:
    """A job that nobody submitted is noticed."""
    with pytest.raises(InvariantError), Fleet() as fleet:
        save(fleet.storage, added(a_job()))
