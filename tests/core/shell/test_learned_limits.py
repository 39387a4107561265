"""Learned time limits: a job that names none may run some times as long as such jobs do on that engine."""

from __future__ import annotations

from dispatch_core import Dispatcher, JobSize, JobSpec, Lease, ManualClock, Profile, Settings, Timeouts
from dispatch_core.vocabulary.clock import SECOND_US
from tests.core.conftest import MakeDispatcher


def given(dispatcher: Dispatcher, seconds: float, run_s: float | None = None) -> Lease:
    """A job of so many media seconds, granted."""
    size = JobSize(duration_us=round(seconds * SECOND_US), height=1080)
    parameters = {"source": "a", "target": "b", "codec": "h264"}
    dispatcher.submit(JobSpec(parameters=parameters, size=size, timeouts=Timeouts(run_s=run_s)))
    (lease,) = dispatcher.claim("e", session="s")
    return lease


def limit_s(dispatcher: Dispatcher, lease: Lease) -> float | None:
    """How long an attempt may run."""
    (attempt,) = dispatcher.attempts(lease.job.id)
    return None if attempt.run_until_us is None else (attempt.run_until_us - attempt.granted_us) / SECOND_US


def taught(
    make_dispatcher: MakeDispatcher, clock: ManualClock, runs: int, factor: float | None
) -> Dispatcher:
    """An engine that has taken ten seconds for ten media seconds so often."""
    settings = Settings(learned_timeout_factor=factor, lease_ttl_s=86_400, silent_after_s=86_400)
    dispatcher = make_dispatcher(settings=settings)
    dispatcher.register("e", Profile(facts={"codec": ("h264",)}), session="s")
    for _ in range(runs):
        lease = given(dispatcher, 10)
        clock.advance(10)
        dispatcher.complete(lease)
    return dispatcher


def test_five_runs_teach_a_limit(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """Five times what 19 of 20 stay below; the grant says so; what the job itself says counts more."""
    dispatcher = taught(make_dispatcher, clock, 5, 5.0)
    lease = given(dispatcher, 100)
    learned = limit_s(dispatcher, lease)
    assert learned is not None
    assert 500 < learned < 1_500
    (granted,) = (row for row in dispatcher.history(lease.job.id) if row.event == "job-granted")
    explanation = granted.data["explanation"]
    assert isinstance(explanation, dict)
    assert explanation["run_limit_s"] == round(learned, 3)
    dispatcher.complete(lease)
    assert limit_s(dispatcher, given(dispatcher, 100, run_s=7)) == 7


def test_there_is_a_floor(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """No learned limit is shorter than a minute."""
    dispatcher = taught(make_dispatcher, clock, 5, 5.0)
    assert limit_s(dispatcher, given(dispatcher, 0.1)) == 60


def test_few_runs_teach_nothing_and_it_is_off_by_default(
    make_dispatcher: MakeDispatcher, clock: ManualClock
) -> None:
    """Four runs are too few; without a factor there is no limit however many there were."""
    for runs, factor in ((4, 5.0), (6, None)):
        dispatcher = taught(make_dispatcher, clock, runs, factor)
        lease = given(dispatcher, 100)
        assert limit_s(dispatcher, lease) is None
        dispatcher.complete(lease)
        dispatcher.deregister("e")
