"""The transition table: every (state, command) pair has an outcome, and each outcome is what lifecycle.md says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import pytest

from dispatch_core.kernel.lifecycle import CELLS
from dispatch_core.kernel.table import TABLE, Variant, Verb, variant_of
from dispatch_core.vocabulary import commands as c
from dispatch_core.vocabulary.attempts import Attempt, Outcome, Progress
from dispatch_core.vocabulary.errors import (
    CommandRejectedError,
    InvalidCommandError,
    LeaseLostError,
    UnknownJobError,
    WrongStateError,
)
from dispatch_core.vocabulary.jobs import JobError, JobState, Retry
from tests.core.kernel.laws import check_fold, check_step, check_world
from tests.core.kernel.world import SECOND, World, placed

J, E = "job-1", "engine-1"


def _grant(world: World) -> None:
    world.do(c.Grant(job_id=J, engine_id=E, session="s", explanation={}))


def _expire(world: World) -> None:
    world.now = max(world.now, world.attempts[world.job.last_attempt].deadline_us)
    world.do(c.EndAttempt(job_id=J, number=world.job.last_attempt, cause="lease"))


def _delay(world: World) -> None:
    world.do(c.Update(job_id=J, edit=c.Edit(not_before_us=world.now + 10 * SECOND)))


def _fail(world: World, *, retryable: bool = True) -> None:
    error = JobError(failure_class="engine", message="x", retryable=retryable)
    world.do(c.Fail(job_id=J, token=world.token(), engine_id=E, error=error))


def _last_grant_expired(world: World) -> None:
    for _ in range(world.job.spec.retry.max_attempts):
        _grant(world)
        _expire(world)


def _steps(*steps: Callable[[World], object]) -> Callable[[], World]:
    def build() -> World:
        world = World()
        for step in steps:
            step(world)
        return world

    return build


WORLDS: Mapping[Variant, Callable[[], World]] = {
    Variant.PENDING: _steps(),
    Variant.PENDING_KEPT: _steps(_grant, _expire),
    Variant.DELAYED: _steps(_delay),
    Variant.DELAYED_KEPT: _steps(_grant, _expire, _delay),
    Variant.ASSIGNED: _steps(_grant),
    Variant.CANCELLING: _steps(_grant, lambda world: world.do(c.Cancel(job_id=J))),
    Variant.BACK_OFF: _steps(_grant, _fail),
    Variant.LATE_WAIT: _steps(_last_grant_expired),
    Variant.COMPLETED: _steps(
        _grant, lambda world: world.do(c.Complete(job_id=J, token=world.token(), engine_id=E, result={}))
    ),
    Variant.FAILED: _steps(_grant, lambda world: _fail(world, retryable=False)),
    Variant.CANCELLED: _steps(lambda world: world.do(c.Cancel(job_id=J))),
    Variant.DELETED: _steps(lambda world: world.do(c.Delete(job_id=J))),
}
_REPORTS = {Verb.RENEW, Verb.PROGRESS, Verb.COMPLETE, Verb.FAIL, Verb.GIVE_BACK}


def _command(verb: Verb, world: World) -> c.JobCommand:
    token = world.token()
    error = JobError(failure_class="engine", message="x")
    made: Mapping[Verb, c.JobCommand] = {
        Verb.GRANT: c.Grant(job_id=J, engine_id=E, session="s", explanation={}),
        Verb.RENEW: c.Renew(job_id=J, token=token, engine_id=E),
        Verb.PROGRESS: c.ReportProgress(job_id=J, token=token, engine_id=E, progress=Progress(fraction=0.5)),
        Verb.COMPLETE: c.Complete(job_id=J, token=token, engine_id=E, result={}),
        Verb.FAIL: c.Fail(job_id=J, token=token, engine_id=E, error=error),
        Verb.GIVE_BACK: c.GiveBack(job_id=J, token=token, engine_id=E),
        Verb.END: c.EndAttempt(job_id=J, number=world.job.last_attempt, cause="lease"),
        Verb.TIMER: c.FireTimer(job_id=J),
        Verb.EDIT: c.Update(job_id=J, edit=c.Edit(priority=7)),
        Verb.EDIT_WORK: c.Update(job_id=J, edit=c.Edit(parameters={"new": 1})),
        Verb.CANCEL: c.Cancel(job_id=J),
        Verb.HOLD: c.Hold(job_id=J),
        Verb.RELEASE: c.Release(job_id=J),
        Verb.ASSIGN: c.Assign(job_id=J, engine_id="engine-2"),
        Verb.REQUEUE: c.Requeue(job_id=J),
        Verb.DELETE: c.Delete(job_id=J),
        Verb.RESTORE: c.Restore(job_id=J),
    }
    return made[verb]


S = JobState
_STATE_AFTER: Mapping[str, JobState | type[Exception] | None] = {
    "grant": S.ASSIGNED, "beat": S.ASSIGNED, "resume": S.ASSIGNED, "finish": S.COMPLETED,
    "fail-run": S.FAILED_RETRY, "late-fail": None, "final-fail": S.FAILED_PERMANENTLY, "hand-back": S.PENDING,
    "late-back": None, "yield-run": S.CANCELLED, "end-run": S.PENDING, "end-cancel": S.CANCELLED,
    "due": None, "edit": None, "reorder": S.FAILED_RETRY, "cancel-now": S.CANCELLED, "ask": S.ASSIGNED,
    "hold": None, "release": None, "pin": None, "requeue": S.PENDING, "delete": None, "discard": S.CANCELLED,
    "restore": None, "lost": LeaseLostError, "refuse": WrongStateError, "absent": UnknownJobError,
    "again": None, "stale": None,
}  # fmt: skip
_DUE = {
    Variant.PENDING: S.FAILED_PERMANENTLY, Variant.DELAYED: S.PENDING, Variant.DELAYED_KEPT: S.PENDING,
    Variant.BACK_OFF: S.PENDING, Variant.LATE_WAIT: S.FAILED_PERMANENTLY, Variant.CANCELLING: S.CANCELLED,
}  # fmt: skip


def test_every_pair_of_state_and_command_has_a_cell() -> None:
    """No pair is left out, and every cell names a function that exists."""
    assert set(TABLE) == {(variant, verb) for variant in Variant for verb in Verb}
    assert set(TABLE.values()) == set(CELLS) == set(_STATE_AFTER)


@pytest.mark.parametrize("variant", Variant)
def test_each_variant_can_be_reached(variant: Variant) -> None:
    """The worlds of these tests are in the states they are named for."""
    assert variant_of(WORLDS[variant]().job) is variant


@pytest.mark.parametrize(("variant", "verb"), sorted(TABLE), ids=str)
def test_cell(variant: Variant, verb: Verb) -> None:
    """The outcome of the cell: the state after it, or its refusal without any trace; all laws hold."""
    world = WORLDS[variant]()
    cell = TABLE[variant, verb]
    if verb is Verb.TIMER and world.job.due_us is not None:
        world.now = world.job.due_us
    if verb is Verb.END and world.attempts:
        world.now = max(world.now, world.attempts[world.job.last_attempt].deadline_us)
    before, command = world.copy(), _command(verb, world)
    expected = _STATE_AFTER[cell]
    repeated = (
        verb in _REPORTS
        and world.job.last_attempt
        and world.attempts[world.job.last_attempt].reported == verb
    )
    if isinstance(expected, type) and not repeated:
        with pytest.raises(expected):
            world.do(command)
        assert world.job == before.job
        assert world.attempts == before.attempts
        return
    decision = world.do(command)
    if cell == "due":
        expected = _DUE.get(variant, world.job.state)
    if isinstance(expected, JobState):
        assert world.job.state is expected
    if cell in ("again", "stale"):
        assert world.job == before.job
    check_step(before, command, decision, world)
    check_world(world)
    check_fold(world)


def test_refusals_name_the_job_and_the_state() -> None:
    """A refusal says what is refused and why."""
    world = WORLDS[Variant.ASSIGNED]()
    with pytest.raises(WrongStateError, match="job-1 is assigned, which does not allow delete"):
        world.do(c.Delete(job_id=J))


def test_a_late_complete_counts_until_the_next_grant() -> None:
    """The lease may run out; as long as nobody else was granted the job, its result is taken."""
    world = WORLDS[Variant.PENDING_KEPT]()
    world.do(c.Complete(job_id=J, token=world.token(1), engine_id=E, result={"late": True}))
    assert world.job.state is S.COMPLETED
    assert world.attempts[1].outcome is Outcome.COMPLETED

    world = WORLDS[Variant.PENDING_KEPT]()
    _grant(world)
    with pytest.raises(LeaseLostError):
        world.do(c.Complete(job_id=J, token=world.token(1), engine_id=E, result={}))
    assert world.job.live_attempt == 2


def test_a_completed_attempt_is_whole() -> None:
    """Its last report may have said 72 %; done is 100 %."""
    world = WORLDS[Variant.ASSIGNED]()
    progress = Progress(fraction=0.72)
    world.do(c.ReportProgress(job_id=J, token=world.token(), engine_id=E, progress=progress))
    world.do(c.Complete(job_id=J, token=world.token(), engine_id=E, result={}))
    assert world.attempts[1].progress == Progress(fraction=1.0)


def test_a_repeat_gets_its_first_answer_and_another_verb_is_lost() -> None:
    """Complete twice is one completion; fail after complete is a lost lease."""
    world = WORLDS[Variant.COMPLETED]()
    before = world.copy()
    assert world.do(c.Complete(job_id=J, token=world.token(1), engine_id=E, result={"other": 1})).events == ()
    assert world.job == before.job
    with pytest.raises(LeaseLostError):
        _fail(world)


def test_attempts_are_counted_when_granted() -> None:
    """A job that kills its engines ends after max_attempts, whoever reports nothing."""
    world = WORLDS[Variant.LATE_WAIT]()
    assert world.job.attempts_used == world.job.spec.retry.max_attempts
    world.now = world.job.due_us or 0
    world.do(c.FireTimer(job_id=J))
    assert world.job.state is S.FAILED_PERMANENTLY
    assert world.job.error is not None
    assert world.job.error.failure_class == "lost"


def test_run_and_progress_limits_back_off() -> None:
    """The limit that comes first ends the attempt, with a back-off."""
    world = WORLDS[Variant.ASSIGNED]()
    world.now += 10 * SECOND
    world.do(c.ReportProgress(job_id=J, token=world.token(), engine_id=E, progress=Progress(fraction=0.1)))
    world.now += 20 * SECOND
    world.do(c.EndAttempt(job_id=J, number=1))
    assert (world.job.state, world.attempts[1].outcome) == (S.FAILED_RETRY, Outcome.NO_PROGRESS)

    world = WORLDS[Variant.ASSIGNED]()
    for fraction in (0.2, 0.4, 0.6):
        world.now += 15 * SECOND
        world.do(
            c.ReportProgress(job_id=J, token=world.token(), engine_id=E, progress=Progress(fraction=fraction))
        )
    world.now += 5 * SECOND
    world.do(c.EndAttempt(job_id=J, number=1))
    assert (world.job.state, world.attempts[1].outcome) == (S.FAILED_RETRY, Outcome.RUN_LIMIT)


def test_progress_that_does_not_move_is_no_progress() -> None:
    """Reporting the same fraction keeps the lease but not the no-progress limit."""
    world = WORLDS[Variant.ASSIGNED]()
    progress = Progress(fraction=0.3)
    world.do(c.ReportProgress(job_id=J, token=world.token(), engine_id=E, progress=progress))
    for _ in range(4):
        world.now += 5 * SECOND
        world.do(c.ReportProgress(job_id=J, token=world.token(), engine_id=E, progress=progress))
    world.do(c.EndAttempt(job_id=J, number=1))
    assert world.attempts[1].outcome is Outcome.NO_PROGRESS


def test_a_lease_ends_at_its_deadline_and_not_before() -> None:
    """One microsecond early nothing happens; at the deadline it ends."""
    world = WORLDS[Variant.ASSIGNED]()
    world.attempts[1] = _without_limits(world)
    world.now = world.attempts[1].deadline_us - 1
    assert world.do(c.EndAttempt(job_id=J, number=1)).events == ()
    world.now += 1
    world.do(c.EndAttempt(job_id=J, number=1))
    assert variant_of(world.job) is Variant.PENDING_KEPT


def _without_limits(world: World) -> Attempt:
    return attrs.evolve(world.attempts[1], run_until_us=None, stall_us=None)


def test_giving_back_is_free_a_stated_number_of_times() -> None:
    """After give_backs_max it counts as a failure, so a job cannot circle for ever."""
    world = World()
    for _ in range(world.terms.give_backs_max):
        _grant(world)
        world.do(c.GiveBack(job_id=J, token=world.token(), engine_id=E))
        assert (world.job.state, world.job.attempts_used) == (S.PENDING, 0)
    _grant(world)
    world.do(c.GiveBack(job_id=J, token=world.token(), engine_id=E))
    assert (world.job.state, world.job.attempts_used) == (S.FAILED_RETRY, 1)


def test_the_queue_ttl_runs_from_pending_to_the_first_grant() -> None:
    """It ends at a grant, does not come back when the lease is given back, and restarts at a requeue."""
    world = World()
    assert world.job.ttl_at_us == world.job.due_us == world.now + 100 * SECOND
    _grant(world)
    world.do(c.GiveBack(job_id=J, token=world.token(), engine_id=E))
    assert placed(world.job).ttl_at_us is None
    world.do(c.Cancel(job_id=J))
    world.do(c.Requeue(job_id=J))
    assert placed(world.job).due_us == world.now + 100 * SECOND


def test_edits_keep_a_late_report_alive_unless_they_change_the_work() -> None:
    """Priority may change under a kept attempt; new parameters mean its result is for other work."""
    world = WORLDS[Variant.PENDING_KEPT]()
    world.do(c.Update(job_id=J, edit=c.Edit(priority=9)))
    assert world.job.live_attempt == 1
    world.do(c.Update(job_id=J, edit=c.Edit(parameters={"other": 1})))
    assert world.job.live_attempt is None


def test_while_a_late_report_may_come_only_priority_changes() -> None:
    """In the late-report wait other edits are refused."""
    world = WORLDS[Variant.LATE_WAIT]()
    world.do(c.Update(job_id=J, edit=c.Edit(priority=9)))
    with pytest.raises(WrongStateError):
        world.do(c.Update(job_id=J, edit=c.Edit(priority=9, note="and this")))


def test_max_attempts_stays_above_what_is_used() -> None:
    """An edit cannot make a job over-used."""
    world = WORLDS[Variant.BACK_OFF]()
    with pytest.raises(InvalidCommandError, match="/retry/max_attempts"):
        world.do(c.Update(job_id=J, edit=c.Edit(retry=Retry(max_attempts=1))))


def test_a_stale_if_version_is_refused() -> None:
    """If-Match: an edit meant for another version changes nothing."""
    world = World()
    with pytest.raises(CommandRejectedError, match="version"):
        world.do(c.Update(job_id=J, edit=c.Edit(priority=3), if_version=7))


@pytest.mark.checklist(19)
def test_a_complete_that_comes_first_beats_the_cancel() -> None:
    """Cancel of a running job has two phases; the work that is done is done."""
    world = WORLDS[Variant.CANCELLING]()
    world.do(c.Complete(job_id=J, token=world.token(), engine_id=E, result={}))
    assert world.job.state is S.COMPLETED


@pytest.mark.checklist(82)
def test_a_pin_constrains_the_next_grant() -> None:
    """Another engine is refused; the pinned one gets it; a soft pin ends by time."""
    world = World()
    world.do(c.Assign(job_id=J, engine_id="engine-2", until_us=world.now + 5 * SECOND))
    with pytest.raises(WrongStateError):
        _grant(world)
    world.now += 5 * SECOND
    world.do(c.FireTimer(job_id=J))
    _grant(world)


def test_timers_stamped_by_a_future_are_stamped_anew() -> None:
    """After the clock jumped back a year, a back-off does not last a year."""
    world = WORLDS[Variant.BACK_OFF]()
    world.now -= 365 * 86_400 * SECOND
    world.do(c.FireTimer(job_id=J))
    assert world.job.due_us is not None
    assert world.job.due_us <= world.now + 600 * SECOND
    check_fold(world)


def test_a_deadline_stamped_by_a_future_is_stamped_anew() -> None:
    """A lease does not outlive two ttl of real time because the clock jumped back."""
    world = WORLDS[Variant.ASSIGNED]()
    world.now -= 365 * 86_400 * SECOND
    world.do(c.EndAttempt(job_id=J, number=1))
    assert world.attempts[1].deadline_us == world.now + world.terms.lease_ttl_us
