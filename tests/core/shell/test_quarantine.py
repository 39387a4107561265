"""Quarantine through the dispatcher: taken out, tried again, healed; never the last one, never silently."""

from __future__ import annotations

import logging

import attrs
import pytest

from dispatch_core import (
    Dispatcher,
    JobError,
    JobSpec,
    Lease,
    ManualClock,
    Profile,
    Retry,
    Settings,
    Timeouts,
    WantedState,
)
from dispatch_core.shell.forms import engine_form
from tests.core.conftest import MakeDispatcher

PROFILE = Profile(slots=4, facts={"codec": ("h264",)})
RETRY = Retry(max_attempts=20, first_delay_s=0)
SPEC = JobSpec(parameters={"source": "a", "target": "b", "codec": "h264"}, retry=RETRY)
BROKEN = JobError(failure_class="engine", message="the driver is gone")
OURS = Settings(silent_after_s=86_400, lost_after_s=10 * 86_400, lease_ttl_s=86_400, quarantine_failures=3)


@pytest.fixture
def fleet(make_dispatcher: MakeDispatcher) -> Dispatcher:
    """Engines bad and good, alike on paper."""
    dispatcher = make_dispatcher(settings=OURS)
    for name in ("bad", "good"):
        dispatcher.register(name, PROFILE, session="s")
    return dispatcher


def state(dispatcher: Dispatcher, engine_id: str = "bad") -> WantedState:
    """What is wanted of an engine."""
    return dispatcher.engine(engine_id).engine.wanted.state


def given(dispatcher: Dispatcher, engine_id: str, spec: JobSpec = SPEC) -> Lease:
    """A new job that this engine gets, and no other."""
    job = dispatcher.submit(spec)
    dispatcher.assign(job.id, engine_id)
    (lease,) = dispatcher.claim(engine_id, session="s")
    assert lease.job.id == job.id
    dispatcher.assign(job.id, None)
    return lease


def break_down(dispatcher: Dispatcher, times: int = 3, engine_id: str = "bad") -> None:
    """An engine fails so many jobs."""
    for _ in range(times):
        dispatcher.fail(given(dispatcher, engine_id), BROKEN)


def events(dispatcher: Dispatcher, engine_id: str = "bad") -> list[tuple[str, str]]:
    """What became of an engine, and who did it."""
    rows = dispatcher.events(limit=1_000)
    return [(row.event, row.actor) for row in rows if row.ref == ("engine", engine_id)][1:]


def probed(dispatcher: Dispatcher, clock: ManualClock, wait_s: float = 300) -> None:
    """The time of the next trial comes."""
    clock.advance(wait_s)
    dispatcher.tick()
    trial = dispatcher.engine("bad").engine.quarantine
    assert trial is not None
    assert trial.probing


def test_an_engine_that_fails_job_after_job_is_taken_out(
    fleet: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets nothing, and everybody is told: history, list of engines, explanation, log."""
    with caplog.at_level(logging.WARNING, "dispatch_core"):
        break_down(fleet, 2)
        assert state(fleet) is WantedState.ACTIVE
        break_down(fleet, 1)
    assert state(fleet) is WantedState.QUARANTINED
    form = engine_form(fleet.engine("bad").engine, None)
    reason = "3 jobs in a row failed here that others could do (3 engine)"
    assert form["wanted"] == {"state": "quarantined", "reason": reason, "actor": "dispatch"}
    assert form["quarantine"]["wait_s"] == 300
    assert events(fleet) == [("engine-quarantined", "dispatch")]
    job = fleet.submit(SPEC)
    assert fleet.claim("bad", session="s") == []
    (why, *_) = fleet.explain(job.id, "bad").engines[0].reasons
    assert (why.code, why.message) == ("maintenance", f"is quarantined: {reason}")
    assert why.mend.startswith("resume bad, or wait for its trial at 20")
    assert f"engine bad is quarantined now: {reason}" in caplog.text
    ready = fleet.job(job.id).ready
    assert ready is not None
    assert ready.lane == "group:good"


def test_a_trial_lets_one_job_through_and_success_heals(fleet: Dispatcher, clock: ManualClock) -> None:
    """Four slots, one job; when it is done the engine is back, and its former failures are forgotten."""
    break_down(fleet)
    probed(fleet, clock)
    queued = fleet.submit_many([SPEC] * 3)
    fleet.cordon("good")
    (lease,) = fleet.claim("bad", session="s", limit=4)
    assert fleet.claim("bad", session="s", limit=4) == []
    answer = fleet.explain(queued[-1].id, "bad").engines[0]
    assert [reason.code for reason in answer.reasons] == ["busy", "outranked"]
    fleet.complete(lease)
    assert state(fleet) is WantedState.ACTIVE
    assert [name for name, _ in events(fleet)][-3:] == [
        "engine-quarantined",
        "engine-probed",
        "engine-healed",
    ]
    fleet.resume("good")
    for job in queued:
        if job.id != lease.job.id:
            fleet.cancel(job.id)
    break_down(fleet, 2)
    assert state(fleet) is WantedState.ACTIVE


def test_a_trial_that_fails_doubles_the_wait(fleet: Dispatcher, clock: ManualClock) -> None:
    """The engine is out again, for twice as long; a lease that ran out fails a trial, too."""
    break_down(fleet)
    probed(fleet, clock)
    fleet.fail(given(fleet, "bad"), BROKEN)
    trial = fleet.engine("bad").engine.quarantine
    assert trial is not None
    assert (trial.wait_us, trial.probing) == (600_000_000, False)
    assert fleet.claim("bad", session="s") == []
    probed(fleet, clock, 600)
    given(fleet, "bad")
    fleet.register("bad", PROFILE, session="s2")
    trial = fleet.engine("bad").engine.quarantine
    assert trial is not None
    assert trial.wait_us == 1_200_000_000


def test_an_operator_heals_at_once(fleet: Dispatcher) -> None:
    """Resume, and nothing of before is held against it."""
    break_down(fleet)
    fleet.resume("bad")
    assert state(fleet) is WantedState.ACTIVE
    assert fleet.engine("bad").engine.quarantine is None
    break_down(fleet, 2)
    assert state(fleet) is WantedState.ACTIVE


def test_the_last_engine_is_never_taken_out(fleet: Dispatcher) -> None:
    """Whatever it fails: nobody else could do it."""
    fleet.drain("good")
    break_down(fleet, 5)
    assert state(fleet) is WantedState.ACTIVE


def test_two_bad_engines_are_not_taken_out_both(fleet: Dispatcher) -> None:
    """The second one is the last."""
    break_down(fleet)
    break_down(fleet, 5, "good")
    assert [state(fleet, name) for name in ("bad", "good")] == [WantedState.QUARANTINED, WantedState.ACTIVE]


def test_an_engine_that_is_needed_stays(fleet: Dispatcher) -> None:
    """Something waits that it alone could do, though what it fails others could do."""
    fleet.register("bad", Profile(slots=4, facts={"codec": ("h264", "av1")}), session="s")
    alone = fleet.submit(JobSpec(parameters={"source": "a", "target": "b", "codec": "av1"}))
    break_down(fleet)
    assert state(fleet) is WantedState.ACTIVE
    fleet.cancel(alone.id)
    break_down(fleet, 1)
    assert state(fleet) is WantedState.QUARANTINED


def test_the_data_is_blamed_if_others_fail_the_same(fleet: Dispatcher) -> None:
    """Jobs that failed elsewhere, too, say nothing of this engine."""
    for _ in range(4):
        lease = given(fleet, "good")
        fleet.fail(lease, BROKEN)
        fleet.tick()
        (again,) = fleet.claim("bad", session="s")
        assert again.job.id == lease.job.id
        fleet.fail(again, BROKEN)
        fleet.complete(given(fleet, "good"))
        fleet.cancel(lease.job.id)
    assert state(fleet) is WantedState.ACTIVE


def test_unreadable_sources_are_nobodys_fault(fleet: Dispatcher) -> None:
    """Failures of class input never count against an engine."""
    for _ in range(5):
        fleet.fail(given(fleet, "bad"), JobError(failure_class="input", message="no such file"))
    assert state(fleet) is WantedState.ACTIVE


def test_it_can_be_switched_off(make_dispatcher: MakeDispatcher) -> None:
    """``quarantine_failures`` 0: never."""
    dispatcher = make_dispatcher(settings=Settings(quarantine_failures=0, lease_ttl_s=86_400))
    for name in ("bad", "good"):
        dispatcher.register(name, PROFILE, session="s")
    break_down(dispatcher, 8)
    assert state(dispatcher) is WantedState.ACTIVE


def test_it_is_let_back_when_all_others_are_gone(fleet: Dispatcher, clock: ManualClock) -> None:
    """At the time of its trial nobody else is in service: a bad engine is better than none."""
    break_down(fleet)
    fleet.deregister("good")
    clock.advance(300)
    fleet.tick()
    assert state(fleet) is WantedState.ACTIVE
    assert events(fleet)[-1] == ("engine-healed", "dispatch")


def test_two_engines_judged_at_once_are_not_taken_out_both(
    make_dispatcher: MakeDispatcher, clock: ManualClock
) -> None:
    """One tick finds that both of them ran too long again and again: one of them stays."""
    dispatcher = make_dispatcher(settings=Settings(silent_after_s=86_400, quarantine_failures=3))
    clock.advance(31)
    for name in ("bad", "good"):
        dispatcher.register(name, PROFILE, session="s")
        for _ in range(3):
            given(dispatcher, name, attrs.evolve(SPEC, timeouts=Timeouts(run_s=10)))
    clock.advance(11)
    assert dispatcher.tick().attempts == 6
    states = [state(dispatcher, name) for name in ("bad", "good")]
    assert sorted(states) == [WantedState.ACTIVE, WantedState.QUARANTINED]
