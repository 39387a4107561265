"""Engines: sessions, heartbeats, wanted states, and what a dead process leaves behind."""

from __future__ import annotations

import pytest
from attrs import evolve

from dispatch_core import (
    Benchmark,
    Context,
    Dispatcher,
    HeldLease,
    InvalidCommandError,
    JobError,
    JobState,
    LeaseLostError,
    LeaseStatus,
    ManualClock,
    Outcome,
    Profile,
    Progress,
    Retry,
    Seen,
    SessionReplacedError,
    Settings,
    UnknownEngineError,
    WantedState,
)
from tests.core.conftest import MakeDispatcher
from tests.core.house import FACTS, claim, claimed, names, spec, start

S = JobState


def held(*leases: object) -> list[HeldLease]:
    return [HeldLease(lease.job.id, lease.token) for lease in leases]  # type: ignore[attr-defined]  # leases


@pytest.mark.checklist(35)
def test_a_heartbeat_renews_what_it_names(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Only the named leases run on; the others are told back as unnamed, with their own deadline."""
    start(dispatcher)
    dispatcher.submit_many([spec(), spec()])
    mine, forgotten = dispatcher.claim("e1", session="s1", limit=2)
    clock.advance(20)
    answer = dispatcher.heartbeat("e1", session="s1", leases=held(mine))
    now = clock.now_us()
    assert answer.leases == (LeaseStatus(job_id=mine.job.id, token=mine.token, deadline_us=now + 30_000_000),)
    assert answer.unnamed == (
        LeaseStatus(job_id=forgotten.job.id, token=forgotten.token, deadline_us=forgotten.deadline_us),
    )
    assert answer.next_s == dispatcher.settings.heartbeat_s
    left = {each.job_id: each.deadline_us - now for each in dispatcher.engine("e1").attempts}
    assert left == {mine.job.id: 30_000_000, forgotten.job.id: 10_000_000}


@pytest.mark.checklist(19)
def test_a_heartbeat_hears_cancels_and_losses(dispatcher: Dispatcher) -> None:
    """A cancelled job is flagged, named or not; a token that is not the live one is lost; others' tokens too."""
    start(dispatcher)
    start(dispatcher, "e2")
    dispatcher.submit_many([spec(), spec(), spec()])
    one, two = dispatcher.claim("e1", session="s1", limit=2)
    theirs = claim(dispatcher, "e2")
    dispatcher.cancel(one.job.id)
    dispatcher.cancel(two.job.id)
    strange = [
        HeldLease("job-none", one.token),
        HeldLease(two.job.id, "nonsense"),
        HeldLease(two.job.id, "x.1"),
    ]
    answer = dispatcher.heartbeat("e1", session="s1", leases=[*held(one, theirs), *strange])
    assert [(each.cancel, each.lost) for each in answer.leases] == [(True, False)] + [(False, True)] * 4
    assert [(each.job_id, each.cancel) for each in answer.unnamed] == [(two.job.id, True)]
    assert len(dispatcher.engine("e2").attempts) == 1


def test_a_renewal_is_written_only_if_it_matters(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Less than a third of the ttl is not worth a write; the answer says the deadline that holds."""
    start(dispatcher)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    clock.advance_us(9_999_999)
    assert dispatcher.renew(lease).deadline_us == lease.deadline_us
    clock.advance_us(1)
    assert dispatcher.renew(lease).deadline_us == clock.now_us() + 30_000_000
    assert dispatcher.job(lease.job.id).version == 2


def test_a_new_session_ends_what_the_old_one_ran(dispatcher: Dispatcher) -> None:
    """At once, as lease end: the job is claimable again, the old process is told it was replaced."""
    start(dispatcher)
    job = dispatcher.submit(spec(retry=Retry(max_attempts=2)))
    lease = claim(dispatcher)
    start(dispatcher, session="s2")
    assert dispatcher.job(job.id).state is S.PENDING
    assert dispatcher.attempts(job.id)[0].outcome is Outcome.EXPIRED
    assert names(dispatcher.history(job.id))[-1] == "lease-expired"
    for act in (
        lambda: dispatcher.heartbeat("e1", session="s1", leases=held(lease)),
        lambda: dispatcher.claim("e1", session="s1"),
    ):
        with pytest.raises(SessionReplacedError):
            act()
    again = claim(dispatcher, session="s2")
    assert (again.attempt, again.session) == (2, "s2")
    with pytest.raises(LeaseLostError):
        dispatcher.complete(lease)
    start(dispatcher, session="s2")
    assert dispatcher.job(job.id).live_attempt == 2


def test_registering_again_is_no_event_unless_something_changed(dispatcher: Dispatcher) -> None:
    """The same process and profile: nothing. Another profile: a version, and leases stay."""
    start(dispatcher)
    dispatcher.submit(spec())
    claim(dispatcher)
    assert dispatcher.register("e1", Profile(facts=FACTS, slots=4), session="s1").version == 1
    assert dispatcher.register("e1", Profile(facts=FACTS, slots=9), session="s1").version == 2
    assert len(dispatcher.engine("e1").attempts) == 1


@pytest.mark.checklist(24)
def test_leaving_ends_leases_and_all_else(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """After deregister the engine must register again; its job goes back at once; it is listed only on request."""
    start(dispatcher)
    job = dispatcher.submit(spec())
    claim(dispatcher)
    assert dispatcher.deregister("e1").seen is Seen.LEFT
    assert dispatcher.job(job.id).state is S.PENDING
    assert dispatcher.engines() == []
    assert [each.engine.id for each in dispatcher.engines(left=True)] == ["e1"]
    for act in (
        lambda: dispatcher.heartbeat("e1", session="s1"),
        lambda: dispatcher.claim("e1", session="s1"),
        lambda: dispatcher.deregister("e1"),
        lambda: dispatcher.report_benchmark("e1", [Benchmark(task_class="h264/1080p/encode", units_per_s=1)]),
    ):
        with pytest.raises(UnknownEngineError):
            act()
    clock.advance(1_000)
    dispatcher.tick()
    assert dispatcher.engine("e1").engine.seen is Seen.LEFT
    assert dispatcher.cordon("e1").wanted.state is WantedState.CORDONED, "a wish outlives the process"
    start(dispatcher)
    assert claimed(dispatcher) == []
    dispatcher.resume("e1")
    assert claimed(dispatcher) == [job.id]


@pytest.mark.parametrize(
    ("verb", "state"), [("cordon", WantedState.CORDONED), ("drain", WantedState.DRAINING)]
)
def test_wanted_states(dispatcher: Dispatcher, verb: str, state: WantedState) -> None:
    """No new work, what runs goes on, the engine hears it, a repeat is no event, resume ends it."""
    start(dispatcher)
    dispatcher.submit_many([spec(), spec()])
    lease = claim(dispatcher)
    operator = dispatcher.acting(Context(actor="olga"))
    engine = getattr(operator, verb)("e1", reason="update")
    assert (engine.wanted.state, engine.wanted.reason, engine.wanted.actor) == (state, "update", "olga")
    assert getattr(operator, verb)("e1", reason="update").version == engine.version
    assert claimed(dispatcher) == []
    assert dispatcher.heartbeat("e1", session="s1", leases=held(lease)).wanted.state is state
    dispatcher.complete(lease)
    start(dispatcher, session="s2")
    assert dispatcher.engine("e1").engine.wanted.state is state, "a restart does not put it back into service"
    dispatcher.resume("e1")
    assert len(claimed(dispatcher, session="s2")) == 1


@pytest.mark.checklist(36)
def test_an_engine_goes_silent_then_lost_then_live(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """By the server's clock alone, to the microsecond; any sign of life brings it back."""
    start(dispatcher)
    clock.advance(31)
    dispatcher.heartbeat("e1", session="s1")
    dispatcher.tick()
    clock.advance_us(14_999_999)
    dispatcher.tick()
    assert dispatcher.engine("e1").engine.seen is Seen.LIVE
    clock.advance_us(1)
    assert dispatcher.tick().engines == 1
    assert dispatcher.engine("e1").engine.seen is Seen.SILENT
    assert dispatcher.tick().engines == 0
    clock.advance_us(284_999_999)
    dispatcher.tick()
    assert dispatcher.engine("e1").engine.seen is Seen.SILENT
    clock.advance_us(1)
    dispatcher.tick()
    assert dispatcher.engine("e1").engine.seen is Seen.LOST
    clock.advance(10_000)
    assert dispatcher.tick().engines == 0
    job = dispatcher.submit(spec())
    assert claimed(dispatcher) == [job.id], "asking for work is a sign of life"
    assert dispatcher.engine("e1").engine.seen is Seen.LIVE
    clock.advance(15)
    dispatcher.tick()
    assert dispatcher.engine("e1").engine.seen is Seen.SILENT
    dispatcher.heartbeat("e1", session="s1")
    seen = [row.data.get("seen") for row in dispatcher.events() if row.event == "engine-seen"]
    assert seen == ["silent", "lost", "live", "silent", "live"]


def test_what_a_heartbeat_does_not_say_stays(dispatcher: Dispatcher) -> None:
    """Free disk and load are kept until told anew; zero is told."""
    start(dispatcher)
    dispatcher.heartbeat("e1", session="s1", disk_free_bytes=10, load=0.5)
    dispatcher.heartbeat("e1", session="s1")
    pulse = dispatcher.engine("e1").pulse
    assert pulse is not None
    assert (pulse.disk_free_bytes, pulse.load) == (10, 0.5)
    dispatcher.heartbeat("e1", session="s1", disk_free_bytes=0, load=0)
    pulse = dispatcher.engine("e1").pulse
    assert pulse is not None
    assert (pulse.disk_free_bytes, pulse.load) == (0, 0)


@pytest.mark.checklist(84)
def test_benchmarks_replace_those_of_their_class(dispatcher: Dispatcher) -> None:
    """Cell by cell, sorted; the estimates follow them."""
    start(dispatcher)
    dispatcher.report_benchmark(
        "e1",
        [
            Benchmark(task_class="h264/720p/encode", units_per_s=1),
            Benchmark(task_class="av1/720p/encode", units_per_s=2),
        ],
    )
    engine = dispatcher.report_benchmark("e1", [Benchmark(task_class="h264/720p/encode", units_per_s=3)])
    assert [(cell.task_class, cell.units_per_s) for cell in engine.profile.benchmarks] == [
        ("av1/720p/encode", 2),
        ("h264/720p/encode", 3),
    ]


@pytest.mark.parametrize(
    "message", ["a\x00b", "\ud800", "x" * 100_000, ""], ids=["nul", "surrogate", "huge", "empty"]
)
def test_an_error_report_is_never_refused(dispatcher: Dispatcher, message: str) -> None:
    """Whatever its text; an unknown class counts as the engine's own; the first answer is repeated."""
    start(dispatcher)
    job = dispatcher.submit(spec())
    lease = claim(dispatcher)
    error = JobError(failure_class=message, message=message, detail=message)
    attempt = dispatcher.fail(lease, error)
    assert attempt.error is not None
    assert attempt.error.failure_class == "engine"
    assert len(attempt.error.message) <= 1_000
    assert len(attempt.error.detail) <= 8_000
    assert dispatcher.fail(lease, error) == attempt
    assert dispatcher.job(job.id).state is S.FAILED_RETRY


def test_an_error_that_is_no_text_is_refused(dispatcher: Dispatcher) -> None:
    """A number where text belongs is a programmer's mistake and is named as such."""
    start(dispatcher)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    with pytest.raises(InvalidCommandError, match="/error/message: must be text"):
        dispatcher.fail(lease, JobError(failure_class="engine", message=5))  # type: ignore[arg-type]  # the mistake


def test_reports_come_from_the_engine_that_holds_the_token(dispatcher: Dispatcher) -> None:
    """The right token from another engine, or another token from the right one, changes nothing."""
    start(dispatcher)
    start(dispatcher, "e2")
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    for wrong in (
        evolve(lease, engine_id="e2"),
        evolve(lease, token="x.1"),
        evolve(lease, token="1"),
        evolve(lease, token=lease.token + "0"),
    ):
        for act in (dispatcher.renew, dispatcher.complete, dispatcher.give_back):
            with pytest.raises(LeaseLostError):
                act(wrong)
        with pytest.raises(LeaseLostError):
            dispatcher.progress(wrong, Progress(fraction=1))
    assert dispatcher.job(lease.job.id).version == 2


def test_giving_back_has_a_limit(make_dispatcher: MakeDispatcher) -> None:
    """As often as published it is free; then it counts as a failure."""
    dispatcher = make_dispatcher(settings=Settings(give_backs_max=2))
    start(dispatcher)
    job = dispatcher.submit(spec())
    for _ in range(2):
        dispatcher.give_back(claim(dispatcher))
        assert dispatcher.job(job.id).attempts_used == 0
    dispatcher.give_back(claim(dispatcher))
    assert (dispatcher.job(job.id).state, dispatcher.job(job.id).attempts_used) == (S.FAILED_RETRY, 1)
