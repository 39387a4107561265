"""Decides about one job: ``decide(job, attempt, command, now, terms)`` gives events, or raises a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from attrs import frozen

from dispatch_core.kernel.blame import POLICY, culprit, or_poison
from dispatch_core.kernel.ladder import asked_for, fall
from dispatch_core.kernel.leases import beat, end_cause, grant, refuse_lost, restamped, resume
from dispatch_core.kernel.pacing import paced
from dispatch_core.kernel.table import TABLE, Verb, variant_of, verb_of
from dispatch_core.kernel.terms import Decision, Terms, edited_ttl, enter, ttl_at
from dispatch_core.kernel.waits import restamp
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.commands import (
    UNSET,
    Assign,
    Cancel,
    Complete,
    Edit,
    EndAttempt,
    Fail,
    FireTimer,
    GiveBack,
    Grant,
    Hold,
    JobCommand,
    JobReport,
    Update,
)
from dispatch_core.vocabulary.errors import (
    FieldProblem,
    InvalidCommandError,
    LeaseLostError,
    UnknownJobError,
    VersionMismatchError,
    WrongStateError,
)
from dispatch_core.vocabulary.events import (
    AttemptFailed,
    CancelAsked,
    HoldReleased,
    JobCancelled,
    JobCompleted,
    JobDeleted,
    JobDue,
    JobEdited,
    JobEvent,
    JobFailed,
    JobHeld,
    JobPinned,
    JobRequeued,
    JobRestored,
    LeaseExpired,
    LeaseGivenBack,
    LimitExceeded,
    PinEnded,
)
from dispatch_core.vocabulary.jobs import Job, JobError, JobState, Pin

CLOCK_JUMPED = "clock-jumped"
"""The cause of an ``EndAttempt`` that asks for new stamps, not for an end."""
EDITABLE = frozenset(each.name for each in attrs.fields(Edit)) - {"merge"}
_REMEMBERED = {Verb.COMPLETE, Verb.FAIL, Verb.GIVE_BACK}


@frozen
class Case:
    """One question to the kernel: the job, the attempt it is about, and the company of the command."""

    job: Job
    attempt: Attempt | None
    now: int
    terms: Terms

    @property
    def at_cap(self) -> bool:
        """Whether no further attempt is permitted in this generation."""
        return self.job.attempts_used >= min(self.job.spec.retry.max_attempts, self.terms.attempts_cap)

    @property
    def held(self) -> Attempt:
        """The live attempt. Cells that need one stand only in rows that have one."""
        assert self.attempt is not None
        return self.attempt


def decide(job: Job, attempt: Attempt | None, command: JobCommand, now: int, terms: Terms) -> Decision:
    """What a command does to a job. ``attempt`` is the one the command names, else the live one.

    Raises a CommandRejectedError if the job's state refuses the command; nothing has happened then.
    """
    verb = verb_of(command)
    if verb in _REMEMBERED and attempt is not None and attempt.reported == verb:
        return Decision()
    if isinstance(command, JobReport):
        refuse_lost(job, attempt, terms)
    if isinstance(command, EndAttempt) and (early := _before_the_end(job, attempt, command, now, terms)):
        return early
    cell = TABLE[variant_of(job), verb]
    decision = CELLS[cell](Case(job, attempt, now, terms), command)
    return Decision(tuple(paced(job, each, now) for each in decision.events), decision.pulse)


def _before_the_end(
    job: Job, attempt: Attempt | None, command: EndAttempt, now: int, terms: Terms
) -> Decision | None:
    """Only the open, live attempt ends; after a jump of the clock its limits are stamped anew instead."""
    if attempt is None or attempt.ended_us is not None:
        return Decision()
    if not attempt.number == command.number == job.live_attempt:
        return Decision()
    return Decision(pulse=restamped(job, attempt, now, terms)) if command.cause == CLOCK_JUMPED else None


def _happened(*events: JobEvent) -> Decision:
    return Decision(events=events)


def _lost(case: Case, _command: JobCommand) -> Decision:
    raise LeaseLostError(
        f"{case.job.id} is {variant_of(case.job)}: this attempt no longer counts; stop this work"
    )


def _refuse(case: Case, command: JobCommand) -> Decision:
    raise WrongStateError(f"{case.job.id} is {variant_of(case.job)}, which does not allow {verb_of(command)}")


def _absent(case: Case, _command: JobCommand) -> Decision:
    raise UnknownJobError(f"there is no job {case.job.id}")


def _nothing(_case: Case, _command: JobCommand) -> Decision:
    return Decision()


# ----- grants and signs of life


def _grant(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Grant)
    if not case.job.claimable or (case.job.pin and case.job.pin.engine_id != command.engine_id):
        raise WrongStateError(f"{case.job.id} may not be granted to {command.engine_id} now")
    return _happened(grant(case.job, command, case.now, case.terms))


def _beat(case: Case, command: JobCommand) -> Decision:
    return Decision(pulse=beat(case.held, command, case.now, case.terms))


def _resume(case: Case, command: JobCommand) -> Decision:
    return _happened(resume(case.held, command, case.now, case.terms))


# ----- reports


def _finish(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Complete)
    return _happened(JobCompleted(attempt=case.held.number, result=command.result, usage=command.usage))


def _failed(case: Case, error: JobError, usage: Mapping[str, object] | None = None) -> AttemptFailed:
    delay = None if case.at_cap else case.terms.retry.delay_us(case.job, case.held.number, error)
    into = JobState.FAILED_PERMANENTLY if delay is None else JobState.FAILED_RETRY
    return AttemptFailed(
        attempt=case.held.number,
        error=error,
        usage=usage,
        into=into,
        retry_at_us=None if delay is None else case.now + delay,
        late=False,
        engine_id=culprit(case.held, error),
    )


def _fail_run(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Fail)
    return or_poison(case.job, _failed(case, command.error, command.usage), case.now, case.terms)


def _late_fail(case: Case, command: JobCommand) -> Decision:
    """The lease end was its penalty already: no second wait, unless nothing can mend it."""
    assert isinstance(command, Fail)
    hopeless = case.terms.retry.delay_us(case.job, case.held.number, command.error) is None
    into = JobState.FAILED_PERMANENTLY if hopeless else enter(case.job, case.now)
    return or_poison(case.job, _late(case, command, into), case.now, case.terms)


def _final_fail(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Fail)
    return or_poison(case.job, _late(case, command, JobState.FAILED_PERMANENTLY), case.now, case.terms)


def _late(case: Case, command: Fail, into: JobState) -> AttemptFailed:
    return AttemptFailed(
        attempt=case.held.number,
        error=command.error,
        usage=command.usage,
        into=into,
        retry_at_us=None,
        late=True,
        engine_id=culprit(case.held, command.error),
    )


def _hand_back(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, GiveBack)
    if _too_often(case):
        return _reported_back(_fail_run(case, _as_fail(case, command)))
    return _happened(_given_back(case, command, late=False))


def _late_back(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, GiveBack)
    if _too_often(case):
        into = JobState.FAILED_PERMANENTLY if case.at_cap else enter(case.job, case.now)
        return _reported_back(_happened(_late(case, _as_fail(case, command), into)))
    return _happened(_given_back(case, command, late=True))


def _too_often(case: Case) -> bool:
    return case.job.give_backs >= case.terms.give_backs_max


def _as_fail(case: Case, command: GiveBack) -> Fail:
    """From the published number on, giving back counts as failing (or a job could circle for ever)."""
    error = JobError(failure_class=POLICY, message=f"given back {case.job.give_backs} times before")
    return Fail(job_id=case.job.id, token=command.token, engine_id=command.engine_id, error=error)


def _reported_back(decision: Decision) -> Decision:
    """It was reported as a give-back, so that a repeat of it gets the same answer."""
    failed = [each for each in decision.events if isinstance(each, AttemptFailed)]
    return _happened(*(attrs.evolve(each, verb=Verb.GIVE_BACK.value) for each in failed))


def _given_back(case: Case, command: GiveBack, *, late: bool) -> LeaseGivenBack:
    into = enter(case.job, case.now)
    return LeaseGivenBack(attempt=case.held.number, reason=command.reason, into=into, late=late)


def _yield_run(case: Case, command: JobCommand) -> Decision:
    """Any end but success acknowledges a cancel."""
    cancelled = _cancelled(case, verb_of(command))
    if isinstance(command, Fail):
        cancelled = attrs.evolve(cancelled, error=command.error, usage=command.usage)
    return _happened(cancelled)


def _cancelled(case: Case, verb: Verb | None = None) -> JobCancelled:
    attempt = case.attempt.number if case.attempt and case.attempt.ended_us is None else None
    return JobCancelled(reason=case.job.cancel_reason or "", attempt=attempt, verb=verb)


# ----- time


def _end_run(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, EndAttempt)
    attempt = case.held
    cause = command.cause or end_cause(attempt, case.now)
    if cause is None:
        too_far = attempt.deadline_us > case.now + 2 * case.terms.lease_ttl_us
        return Decision(pulse=restamped(case.job, attempt, case.now, case.terms) if too_far else None)
    return _over_limit(case, cause) if cause in ("run", "no_progress") else _happened(_expired(case, cause))


def _expired(case: Case, cause: str) -> LeaseExpired:
    """Pending at once, without back-off; at the cap it waits for a late report."""
    into = JobState.FAILED_RETRY if case.at_cap else enter(case.job, case.now)
    late_until = case.now + case.terms.late_report_us if case.at_cap else None
    return LeaseExpired(
        attempt=case.held.number,
        cause=cause,
        into=into,
        retry_at_us=late_until,
        engine_id=case.held.engine_id,
    )


def _over_limit(case: Case, limit: str) -> Decision:
    words = {"run": "ran longer than its run limit", "no_progress": "made no progress within its limit"}
    failed = _failed(case, JobError(failure_class="timeout", message=words[limit]))
    over = LimitExceeded(
        attempt=failed.attempt, limit=limit, error=failed.error, into=failed.into,
        retry_at_us=failed.retry_at_us, engine_id=failed.engine_id,
    )  # fmt: skip
    return or_poison(case.job, over, case.now, case.terms)


def _end_cancel(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, EndAttempt)
    due = command.cause or end_cause(case.held, case.now)
    return _happened(_cancelled(case)) if due else Decision()


def _due(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, FireTimer)
    job, now = case.job, case.now
    if job.due_us is None or (command.paused and job.live_attempt is not None):
        return Decision()
    if job.due_us > now:
        return restamp(job, now, case.terms)
    if job.state is not JobState.ASSIGNED and job.pin and job.pin.until_us == job.due_us:
        return _happened(PinEnded(cause="pin-end"))
    match job.state:
        case JobState.ASSIGNED:
            return _happened(_cancelled(case))
        case JobState.PENDING if job.ttl_at_us != job.due_us:
            return Decision() if command.paused else _happened(fall(job))
        case JobState.PENDING:
            return _happened(
                JobFailed(error=_policy(f"not granted within {job.spec.timeouts.queue_s or 0:g} s"))
            )
        case JobState.DELAYED:
            return _happened(JobDue(cause="not-before", into=JobState.PENDING, ttl_at_us=ttl_at(job, now)))
        case JobState.FAILED_RETRY if job.live_attempt is not None:
            lost = JobError(
                failure_class="lost", message="the last permitted attempt was never heard of again"
            )
            return _happened(JobFailed(error=lost))
        case _:
            into = enter(job, now)
            return _happened(JobDue(cause="back-off", into=into, ttl_at_us=ttl_at(job, now, into)))


def _policy(message: str) -> JobError:
    return JobError(failure_class=POLICY, message=message, retryable=False)


# ----- what people ask


def _edit(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Update)
    job, edit = case.job, command.edit
    if command.if_version is not None and command.if_version != job.version:
        raise VersionMismatchError(f"{job.id} is at version {job.version}, not {command.if_version}")
    wanted = {name: getattr(edit, name) for name in EDITABLE}
    base = asked_for(job) if edit.wish else job.spec
    spec = attrs.evolve(base, **{name: value for name, value in wanted.items() if value is not UNSET})
    if spec.retry != job.spec.retry and spec.retry.max_attempts <= job.attempts_used:
        message = f"must stay above the {job.attempts_used} attempts already used"
        raise InvalidCommandError([FieldProblem("/retry/max_attempts", message)])
    if spec == job.spec and not (edit.wish and job.step):
        return Decision()
    edited = attrs.evolve(job, spec=spec, ttl_at_us=edited_ttl(job, spec.timeouts.queue_s))
    into = job.state if job.state is JobState.FAILED_RETRY else enter(edited, case.now)
    ttl = ttl_at(edited, case.now, into)
    anew = edit.wish and bool(spec.ladder or job.spec.ladder)
    return _happened(JobEdited(spec=spec, into=into, ttl_at_us=ttl, drop_attempt=edit.work, anew=anew))


def _reorder(case: Case, command: JobCommand) -> Decision:
    """While a late report may still come, only the priority may change."""
    assert isinstance(command, Update)
    if not all(getattr(command.edit, name) is UNSET for name in EDITABLE - {"priority"}):
        raise WrongStateError(
            f"{case.job.id} may still be reported by its last engine: only its priority may change"
        )
    return _edit(case, command)


def _cancel_now(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Cancel)
    return _happened(JobCancelled(reason=command.reason))


def _ask_cancel(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Cancel)
    return _happened(CancelAsked(reason=command.reason, grace_at_us=case.now + case.terms.cancel_grace_us))


def _hold(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Hold)
    return Decision() if case.job.held == command.reason else _happened(JobHeld(reason=command.reason))


def _release(case: Case, _command: JobCommand) -> Decision:
    return Decision() if case.job.held is None else _happened(HoldReleased())


def _pin(case: Case, command: JobCommand) -> Decision:
    assert isinstance(command, Assign)
    if command.engine_id is None:
        return Decision() if case.job.pin is None else _happened(PinEnded(cause="unpinned"))
    pin = Pin(command.engine_id, command.until_us, command.reason)
    return Decision() if case.job.pin == pin else _happened(JobPinned(pin=pin))


def _requeue(case: Case, _command: JobCommand) -> Decision:
    fresh = attrs.evolve(case.job, attempts_used=0, give_backs=0, ttl_at_us=None)
    into = enter(fresh, case.now)
    return _happened(JobRequeued(into=into, ttl_at_us=ttl_at(fresh, case.now, into)))


def _delete(_case: Case, _command: JobCommand) -> Decision:
    return _happened(JobDeleted())


def _discard(_case: Case, _command: JobCommand) -> Decision:
    return _happened(JobCancelled(reason="deleted"), JobDeleted())


def _restore(_case: Case, _command: JobCommand) -> Decision:
    return _happened(JobRestored())


CELLS: Mapping[str, Callable[[Case, JobCommand], Decision]] = {
    "grant": _grant,
    "beat": _beat,
    "resume": _resume,
    "finish": _finish,
    "fail-run": _fail_run,
    "late-fail": _late_fail,
    "final-fail": _final_fail,
    "hand-back": _hand_back,
    "late-back": _late_back,
    "yield-run": _yield_run,
    "end-run": _end_run,
    "end-cancel": _end_cancel,
    "due": _due,
    "edit": _edit,
    "reorder": _reorder,
    "cancel-now": _cancel_now,
    "ask": _ask_cancel,
    "hold": _hold,
    "release": _release,
    "pin": _pin,
    "requeue": _requeue,
    "delete": _delete,
    "discard": _discard,
    "restore": _restore,
    "lost": _lost,
    "refuse": _refuse,
    "absent": _absent,
    "again": _nothing,
    "stale": _nothing,
}
"""What each word of the table does."""
