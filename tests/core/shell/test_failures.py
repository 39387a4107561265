"""Failures that teach: not straight back, and poison, through the dispatcher."""

from __future__ import annotations

import pytest

from dispatch_core import (
    Dispatcher,
    Edit,
    JobError,
    JobSpec,
    JobState,
    JobVerdict,
    Lease,
    ManualClock,
    Profile,
    Retry,
    Settings,
)
from dispatch_core.kernel.scheduling.rules.failed_here import PATIENCE_US
from dispatch_core.vocabulary.clock import SECOND_US
from tests.core.conftest import MakeDispatcher

PROFILE = Profile(facts={"codec": ("h264",)})
SPEC = JobSpec(parameters={"source": "a", "target": "b", "codec": "h264"}, retry=Retry(max_attempts=20))
BROKEN = JobError(failure_class="engine", message="it broke")
BACK_OFF_S = 700


@pytest.fixture
def fleet(make_dispatcher: MakeDispatcher, clock: ManualClock) -> Dispatcher:
    """Engines a and b, alike."""
    dispatcher = make_dispatcher(settings=Settings(silent_after_s=86_400, lease_ttl_s=86_400))
    clock.advance(60)
    dispatcher.tick()
    for name in "ab":
        dispatcher.register(name, PROFILE, session="s")
    return dispatcher


def claim(dispatcher: Dispatcher, engine_id: str) -> list[Lease]:
    """What an engine gets."""
    return dispatcher.claim(engine_id, session="s")


def fail(
    dispatcher: Dispatcher,
    clock: ManualClock,
    engine_id: str,
    error: JobError = BROKEN,
    wait_s: float = BACK_OFF_S,
) -> None:
    """The next job fails on an engine; then its back-off is over."""
    (lease,) = claim(dispatcher, engine_id)
    dispatcher.fail(lease, error)
    clock.advance(wait_s)
    dispatcher.tick()


def codes(dispatcher: Dispatcher, job_id: str, engine_id: str) -> list[str]:
    """What keeps a job from an engine."""
    (answer,) = dispatcher.explain(job_id, engine_id).engines
    return [reason.code for reason in answer.reasons]


def test_a_job_never_goes_straight_back(fleet: Dispatcher, clock: ManualClock) -> None:
    """The engine it failed on is refused, and told why; the other one gets it."""
    job = fleet.submit(SPEC)
    fail(fleet, clock, "a")
    assert claim(fleet, "a") == []
    explained = fleet.explain(job.id)
    assert [[reason.code for reason in each.reasons] for each in explained.engines] == [["failed-here"], []]
    (reason,) = explained.engines[0].reasons
    assert reason.message == "it failed here once, last by engine; b could take it"
    assert reason.mend == "let b take it, or assign it to a"
    assert explained.verdict is JobVerdict.NEXT
    ready = fleet.job(job.id).ready
    assert ready is not None
    assert ready.lane == "group:b"
    assert [lease.job.id for lease in claim(fleet, "b")] == [job.id]


def test_it_comes_back_when_there_is_nobody_else(fleet: Dispatcher, clock: ManualClock) -> None:
    """With the other engine out of service the rule yields."""
    job = fleet.submit(SPEC)
    fail(fleet, clock, "a")
    fleet.cordon("b")
    assert codes(fleet, job.id, "a") == []
    assert [lease.job.id for lease in claim(fleet, "a")] == [job.id]


def test_an_engine_that_could_not_take_it_does_not_count(fleet: Dispatcher, clock: ManualClock) -> None:
    """Neither one that cannot run it, nor one that takes no job of that size: nobody waits for them."""
    fleet.register("b", Profile(facts={"codec": ("h264",)}, size_bytes_max=5), session="s")
    fleet.register("c", Profile(facts={"codec": ("av1",)}), session="s")
    job = fleet.submit(SPEC)
    fleet.update(job.id, Edit(merge={"size": {"size_bytes": 10}}))
    fail(fleet, clock, "a")
    assert codes(fleet, job.id, "a") == []
    assert [lease.job.id for lease in claim(fleet, "a")] == [job.id]


def test_a_pin_is_obeyed(fleet: Dispatcher, clock: ManualClock) -> None:
    """An operator may want to see it fail there once more."""
    job = fleet.submit(SPEC)
    fail(fleet, clock, "a")
    fleet.assign(job.id, "a")
    assert codes(fleet, job.id, "a") == []
    assert [lease.job.id for lease in claim(fleet, "a")] == [job.id]


def test_a_busy_engine_is_waited_for_but_not_for_ever(fleet: Dispatcher, clock: ManualClock) -> None:
    """The other one may be occupied for long: after a quarter of an hour the first may try once more."""
    job, other = fleet.submit(SPEC), fleet.submit(SPEC)
    fleet.assign(other.id, "b")
    assert len(claim(fleet, "b")) == 1
    fail(fleet, clock, "a")
    assert claim(fleet, "a") == []
    assert fleet.explain(job.id).verdict is JobVerdict.BUSY
    clock.advance(PATIENCE_US / SECOND_US - 1)
    assert codes(fleet, job.id, "a") == ["failed-here"]
    clock.advance(1)
    assert codes(fleet, job.id, "a") == []
    assert [lease.job.id for lease in claim(fleet, "a")] == [job.id]


def test_a_lease_that_ran_out_counts(fleet: Dispatcher, clock: ManualClock) -> None:
    """A restarted engine is not given at once what may have killed it."""
    job = fleet.submit(SPEC)
    assert len(claim(fleet, "a")) == 1
    fleet.register("a", PROFILE, session="s2")
    assert fleet.claim("a", session="s2") == []
    assert [lease.job.id for lease in claim(fleet, "b")] == [job.id]


def test_it_goes_where_it_failed_least_and_longest_ago(fleet: Dispatcher, clock: ManualClock) -> None:
    """Between two engines that failed it, it goes to and fro."""
    job = fleet.submit(SPEC)
    for name, other in ("ab", "ba", "ab", "ba"):
        fail(fleet, clock, name)
        assert codes(fleet, job.id, name) == ["failed-here"]
        assert codes(fleet, job.id, other) == []


def test_jobs_behind_it_are_not_held_up(fleet: Dispatcher, clock: ManualClock) -> None:
    """The engine looks past what failed on it."""
    failed = fleet.submit(SPEC)
    fail(fleet, clock, "a")
    behind = fleet.submit(SPEC)
    fleet.assign(behind.id, None)
    assert [lease.job.id for lease in claim(fleet, "b")] == [failed.id]
    fleet.give_back(next(iter(fleet_leases(fleet, "b"))))
    fleet.cordon("b")
    fleet.resume("b")
    assert fleet.preview("a").refused.get("failed-here") == 1
    assert [lease.job.id for lease in claim(fleet, "a")] == [behind.id]


def fleet_leases(dispatcher: Dispatcher, engine_id: str) -> list[Lease]:
    """The leases an engine has open, as it would name them."""
    status = dispatcher.engine(engine_id)
    return [
        Lease(
            job=dispatcher.job(each.job_id), attempt=each.number, token=each.token, engine_id=engine_id,
            session=each.session, granted_us=each.granted_us, deadline_us=each.deadline_us, ttl_us=1,
        )
        for each in status.attempts
    ]  # fmt: skip


def test_a_job_that_fails_everywhere_is_poison(fleet: Dispatcher, clock: ManualClock) -> None:
    """On the third engine it ends, says where it failed, and a requeue gives it another life."""
    fleet.register("c", PROFILE, session="s")
    job = fleet.submit(SPEC)
    fail(fleet, clock, "a")
    fail(fleet, clock, "b", JobError(failure_class="input", message="cannot read it"))
    (lease,) = claim(fleet, "c")
    fleet.fail(lease, BROKEN)
    ended = fleet.job(job.id)
    assert ended.state is JobState.FAILED_PERMANENTLY
    assert ended.error is not None
    assert ended.error.message == "poison: it failed on 3 engines: a (engine), b (input), c (engine)"
    assert [row.event for row in fleet.history(job.id)][-2:] == ["attempt-failed", "job-failed"]
    assert "poison" in fleet.explain(job.id).summary
    assert fleet.requeue(job.id).failed_on == ()
