"""Tick: bounded, repeatable, patient after a start or a jump of the clock."""

from __future__ import annotations

import pytest

from dispatch_core import (
    Dispatcher,
    Edit,
    JobError,
    JobState,
    LeaseLostError,
    ManualClock,
    Progress,
    Retry,
    Settings,
    TickReport,
    Timeouts,
)
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, claimed, spec, start

S = JobState
YEAR_S = 365 * 86_400


def settled(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """The pause after a start is over."""
    dispatcher.tick()
    clock.advance(31)
    dispatcher.tick()


@pytest.mark.checklist(20)
def test_a_lease_ends_at_its_deadline(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """To the microsecond, once; the job is pending again and its engine may still report until the next grant."""
    start(dispatcher)
    settled(dispatcher, clock)
    job = dispatcher.submit(spec())
    lease = claim(dispatcher)
    clock.advance_us(29_999_999)
    assert dispatcher.tick().attempts == 0
    clock.advance_us(1)
    assert dispatcher.tick().attempts == 1
    assert dispatcher.tick().attempts == 0
    assert (dispatcher.job(job.id).state, dispatcher.job(job.id).live_attempt) == (S.PENDING, 1)
    assert dispatcher.engine("e1").attempts == ()
    dispatcher.complete(lease)
    assert dispatcher.job(job.id).state is S.COMPLETED


def test_a_pass_is_bounded_and_says_if_there_is_more(
    make_dispatcher: MakeDispatcher, clock: ManualClock
) -> None:
    """As many rows as the setting allows; further passes take the rest; then nothing is left to do."""
    dispatcher = make_dispatcher(settings=Settings(tick_rows_max=10))
    settled(dispatcher, clock)
    dispatcher.submit_many([spec(not_before_us=clock.now_us() + 1_000_000)] * 25)
    clock.advance(1)
    reports = [dispatcher.tick() for _ in range(4)]
    assert [(each.timers, each.more) for each in reports] == [(10, True), (10, True), (5, False), (0, False)]
    assert reports[0].acted == 10
    assert dispatcher.stats().jobs["pending"] == 25


@pytest.mark.checklist(13)
def test_a_failed_job_waits_out_its_back_off(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """It is ``failed_retry`` with a time of its own, granted to nobody; then it is pending; the next wait is longer."""
    start(dispatcher)
    job = dispatcher.submit(spec(retry=Retry(max_attempts=3)))
    waits = []
    for _ in range(2):
        dispatcher.fail(claim(dispatcher), JobError(failure_class="engine", message="it broke"))
        waiting = dispatcher.job(job.id)
        assert waiting.state is S.FAILED_RETRY
        assert waiting.due_us is not None
        waits.append(waiting.due_us - clock.now_us())
        assert waits[-1] > 0
        assert claimed(dispatcher) == []
        clock.advance_us(waits[-1])
        dispatcher.tick()
        assert dispatcher.job(job.id).state is S.PENDING
    assert waits[1] > waits[0]


def test_timers_fire_in_order_of_time(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """A bounded pass takes the earliest first, so nobody who waited longer is passed over."""
    dispatcher = make_dispatcher(settings=Settings(tick_rows_max=1))
    now = clock.now_us()
    late, early = dispatcher.submit_many([spec(not_before_us=now + 2_000), spec(not_before_us=now + 1_000)])
    clock.advance(1)
    dispatcher.tick()
    assert [dispatcher.job(each.id).state for each in (late, early)] == [S.DELAYED, S.PENDING]


def test_nothing_expires_right_after_a_start(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """A server that was down gives engines one ttl to be heard again; timers of jobs fire all the same."""
    first = make_dispatcher()
    start(first)
    settled(first, clock)
    running = first.submit(spec())
    claim(first)
    delayed = first.submit(spec(not_before_us=clock.now_us() + 1_000_000))
    clock.advance(3_600)
    second = make_dispatcher()
    report = second.tick()
    assert (report.expiry_paused, report.attempts, report.engines, report.timers) == (True, 0, 0, 1)
    assert second.job(running.id).state is S.ASSIGNED
    assert second.job(delayed.id).state is S.PENDING
    clock.advance_us(29_999_999)
    assert second.tick().attempts == 0
    clock.advance_us(1)
    report = second.tick()
    assert (report.expiry_paused, report.attempts, report.engines) == (False, 1, 1)


def test_a_jump_forward_ends_no_lease(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """The wall clock set a year ahead: engines get one ttl to be heard, and one that speaks keeps its work."""
    start(dispatcher)
    settled(dispatcher, clock)
    dispatcher.submit_many([spec(), spec()])
    kept, lost = dispatcher.claim("e1", session="s1", limit=2)
    clock.jump(YEAR_S)
    assert dispatcher.tick().expiry_paused
    assert dispatcher.tick().attempts == 0
    clock.advance(10)
    dispatcher.progress(kept, Progress(fraction=0.5))
    clock.advance_us(19_999_999)
    assert dispatcher.tick().expiry_paused
    clock.advance_us(1)
    assert dispatcher.tick().attempts == 1
    assert dispatcher.job(kept.job.id).state is S.ASSIGNED
    assert dispatcher.job(lost.job.id).state is S.PENDING


def test_a_small_step_of_the_clock_is_no_jump(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Two seconds against the monotonic clock are allowed for; a little more is a jump."""
    settled(dispatcher, clock)
    clock.jump(2)
    assert not dispatcher.tick().expiry_paused
    clock.jump(2.000001)
    assert dispatcher.tick().expiry_paused
    clock.advance(30)
    assert not dispatcher.tick().expiry_paused
    clock.jump(-2.000001)
    assert dispatcher.tick().expiry_paused


def test_after_a_jump_back_nothing_waits_for_the_old_future(
    dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """Deadlines, back-offs and cancel graces stamped by the old clock are stamped anew."""
    start(dispatcher)
    settled(dispatcher, clock)
    dispatcher.submit_many([spec(), spec(), spec()])
    failed, silent, cancelled = dispatcher.claim("e1", session="s1", limit=3)
    dispatcher.fail(failed, JobError(failure_class="engine", message="x"))
    dispatcher.cancel(cancelled.job.id)
    clock.jump(-YEAR_S)
    dispatcher.tick()
    now = clock.now_us()
    assert (dispatcher.job(failed.job.id).retry_at_us or 0) <= now + 600_000_000
    assert (dispatcher.job(cancelled.job.id).grace_at_us or 0) <= now + 60_000_000
    assert dispatcher.attempts(silent.job.id)[0].deadline_us == now + 30_000_000
    assert dispatcher.tick().timers == 0
    for _ in range(60):
        clock.advance(11)
        dispatcher.tick()
    states = [dispatcher.job(lease.job.id).state for lease in (failed, silent, cancelled)]
    assert states == [S.PENDING, S.PENDING, S.CANCELLED]


def test_after_a_jump_back_a_queue_ttl_is_no_longer_than_it_was_asked_to_be(
    dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """It is stamped anew like other timers, once; a job held meanwhile, too. One without a TTL waits on."""
    settled(dispatcher, clock)
    limited = [dispatcher.submit(spec(timeouts=Timeouts(queue_s=60), hold=hold)).id for hold in (False, True)]
    patient = dispatcher.submit(spec()).id
    clock.advance(50)
    clock.jump(-YEAR_S)
    for _ in range(3):
        dispatcher.tick()
    for job_id in limited:
        assert dispatcher.job(job_id).ttl_at_us == clock.now_us() + 60_000_000
        assert [row.event for row in dispatcher.history(job_id)].count("timer-restamped") == 1
    assert dispatcher.job(patient).ttl_at_us is None
    clock.advance(61)
    dispatcher.tick()
    assert [dispatcher.job(each).state for each in (*limited, patient)] == [
        S.FAILED_PERMANENTLY, S.FAILED_PERMANENTLY, S.PENDING,
    ]  # fmt: skip


def test_a_backward_jump_while_no_server_ran_is_mended_at_the_start(
    make_dispatcher: MakeDispatcher, clock: ManualClock
) -> None:
    """A fresh server cannot see the jump, so its first pass looks for timers that lie too far ahead."""
    first = make_dispatcher()
    start(first)
    first.submit(spec())
    lease = claim(first)
    clock.jump(-YEAR_S)
    second = make_dispatcher()
    second.tick()
    assert second.attempts(lease.job.id)[0].deadline_us == clock.now_us() + 30_000_000


def test_a_jump_back_is_mended_however_many_jobs_wait(
    make_dispatcher: MakeDispatcher, clock: ManualClock
) -> None:
    """A crowd of honest timers ahead does not hide the deadline of the old future behind them."""
    dispatcher = make_dispatcher(settings=Settings(tick_rows_max=2))
    start(dispatcher)
    settled(dispatcher, clock)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    failed = dispatcher.submit(spec())
    dispatcher.fail(claim(dispatcher), JobError(failure_class="engine", message="x"))
    clock.jump(-YEAR_S)
    dispatcher.submit_many([spec(not_before_us=clock.now_us() + 3_600_000_000)] * 40)
    for _ in range(30):
        dispatcher.tick()
    assert dispatcher.attempts(lease.job.id)[0].deadline_us <= clock.now_us() + 60_000_000
    assert (dispatcher.job(failed.id).retry_at_us or 0) <= clock.now_us() + 600_000_000


def test_limits_end_attempts(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """A run limit and a no-progress limit, though the lease is renewed faithfully."""
    start(dispatcher)
    settled(dispatcher, clock)
    dispatcher.submit_many([spec(timeouts=Timeouts(run_s=50)), spec(timeouts=Timeouts(no_progress_s=20))])
    runs, stalls = dispatcher.claim("e1", session="s1", limit=2)
    dispatcher.progress(stalls, Progress(fraction=0.1))
    for _ in range(5):
        clock.advance(10)
        for lease in (runs, stalls):
            if dispatcher.job(lease.job.id).state is S.ASSIGNED:
                dispatcher.renew(lease)
        dispatcher.tick()
    outcomes = [dispatcher.attempts(lease.job.id)[0].outcome for lease in (runs, stalls)]
    assert outcomes == ["run_limit", "no_progress"]


def test_the_last_attempt_waits_for_a_late_report(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Ten minutes; then the job fails for good, as lost."""
    start(dispatcher)
    settled(dispatcher, clock)
    job = dispatcher.submit(spec(retry=Retry(max_attempts=1)))
    claim(dispatcher)
    clock.advance(30)
    dispatcher.tick()
    assert dispatcher.job(job.id).state is S.FAILED_RETRY
    assert claimed(dispatcher) == []
    assert dispatcher.update(job.id, Edit(priority=4)).spec.priority == 4
    clock.advance_us(599_999_999)
    assert dispatcher.tick().timers == 0
    clock.advance_us(1)
    dispatcher.tick()
    error = dispatcher.job(job.id).error
    assert error is not None
    assert (dispatcher.job(job.id).state, error.failure_class) == (S.FAILED_PERMANENTLY, "lost")


def test_a_requeue_ends_the_wait_for_a_late_report(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """A new generation begins: the report of the old one, when it comes at last, is about nothing."""
    start(dispatcher)
    settled(dispatcher, clock)
    job = dispatcher.submit(spec(retry=Retry(max_attempts=1)))
    lease = claim(dispatcher)
    clock.advance(30)
    dispatcher.tick()
    again = dispatcher.requeue(job.id)
    assert (again.state, again.generation, again.live_attempt) == (S.PENDING, 2, None)
    with pytest.raises(LeaseLostError):
        dispatcher.complete(lease)
    with pytest.raises(LeaseLostError):
        dispatcher.renew(lease)
    assert claim(dispatcher).attempt == 2


def test_a_killer_job_ends(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """A job that kills every engine it meets is granted max_attempts times, counted when granted, and no more."""
    settled(dispatcher, clock)
    job = dispatcher.submit(spec(retry=Retry(max_attempts=3)))
    grants = 0
    for turn in range(10):
        start(dispatcher, session=f"start-{turn}")
        grants += len(claimed(dispatcher, session=f"start-{turn}"))
        clock.advance(700)
        dispatcher.tick()
        dispatcher.tick()
    assert grants == 3
    assert dispatcher.job(job.id).state is S.FAILED_PERMANENTLY


@pytest.mark.checklist(19)
def test_a_cancel_has_a_grace(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """An engine that goes on renewing but never stops is not waited for longer than the grace."""
    start(dispatcher)
    settled(dispatcher, clock)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    dispatcher.cancel(lease.job.id, reason="enough")
    for _ in range(5):
        clock.advance(10)
        assert dispatcher.renew(lease).cancel
        dispatcher.tick()
    clock.advance_us(9_999_999)
    assert dispatcher.tick().timers == 0
    clock.advance_us(1)
    assert dispatcher.tick().timers == 1
    job = dispatcher.job(lease.job.id)
    assert (job.state, job.cancel_reason) == (S.CANCELLED, "enough")


def test_ticks_of_two_servers_do_things_once(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """What one server's pass has done, the other's finds done."""
    servers = [make_dispatcher(), make_dispatcher()]
    start(servers[0])
    for server in servers:
        server.tick()
    clock.advance(31)
    servers[0].submit(spec())
    claim(servers[0])
    clock.advance(30)
    reports: list[TickReport] = [server.tick() for server in servers]
    assert [each.attempts for each in reports] == [1, 0]
