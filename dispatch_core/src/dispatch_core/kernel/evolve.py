"""Applies facts to records: ``evolve`` folded over a record's history gives the record. No decisions here."""

from __future__ import annotations

from typing import assert_never

import attrs

from dispatch_core.kernel.blame import remembered
from dispatch_core.kernel.ladder import asked_for, fallen
from dispatch_core.vocabulary.attempts import Attempt, Outcome, Progress
from dispatch_core.vocabulary.changing import changed
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
    JobFellBack,
    JobGranted,
    JobHeld,
    JobPinned,
    JobRequeued,
    JobRestored,
    JobSubmitted,
    LeaseExpired,
    LeaseGivenBack,
    LeaseResumed,
    LimitExceeded,
    MovesLadder,
    PinEnded,
    TimerRestamped,
)
from dispatch_core.vocabulary.jobs import Job, JobState

IDLE: dict[str, object] = {"engine_id": None, "cancel_reason": None, "grace_at_us": None}
"""What a job that leaves its lease no longer has."""
FOOT: dict[str, object] = {"step": 0, "asked": None}
"""Where a ladder begins."""


def evolve(job: Job | None, event: JobEvent, at_us: int) -> Job:
    """The job after an event: one version further."""
    if isinstance(event, JobSubmitted):
        return _submitted(event, at_us)
    assert job is not None
    at_us = max(at_us, job.updated_us)  # record times never decrease, whatever the clock does
    changes = _changes(job, event, at_us)
    if isinstance(event, MovesLadder):
        changes |= {"fall_at_us": event.fall_at_us, "fall_left_us": event.fall_left_us}
    if changes.get("state", JobState.PENDING) is not JobState.PENDING:
        changes["ready"] = None  # only pending jobs wait in a lane; where, the policy says afterwards
    return changed(job, version=job.version + 1, updated_us=at_us, **changes)


def _submitted(event: JobSubmitted, at_us: int) -> Job:
    return Job(
        id=event.job_id,
        tenant=event.tenant,
        version=1,
        spec=event.spec,
        state=event.state,
        created_us=at_us,
        updated_us=at_us,
        held=event.held,
        ttl_at_us=event.ttl_at_us,
        fall_at_us=event.fall_at_us,
        fall_left_us=event.fall_left_us,
    )


def _changes(job: Job, event: JobEvent, at_us: int) -> dict[str, object]:
    match event:
        case JobGranted() | LeaseResumed():
            return _on_lease(job, event)
        case (
            JobCompleted()
            | AttemptFailed()
            | LeaseGivenBack()
            | LeaseExpired()
            | LimitExceeded()
            | JobCancelled()
        ):
            return _off_lease(job, event, at_us)
        case JobFailed():
            return {"state": JobState.FAILED_PERMANENTLY, "error": event.error, **_ended(at_us)}
        case CancelAsked():
            return {"cancel_reason": event.reason, "grace_at_us": event.grace_at_us}
        case JobDue():
            return {"state": event.into, "ttl_at_us": event.ttl_at_us, "retry_at_us": None}
        case JobRequeued():
            return _requeued(job, event)
        case JobEdited():
            return _edited(job, event)
        case JobFellBack():
            return fallen(job, event)
        case TimerRestamped():
            ttl_at = job.ttl_at_us if event.ttl_at_us is None else event.ttl_at_us
            return {
                "retry_at_us": event.retry_at_us,
                "grace_at_us": event.grace_at_us,
                "ttl_at_us": ttl_at,
            }
        case JobHeld() | HoldReleased() | JobPinned() | PinEnded() | JobDeleted() | JobRestored():
            return _marks(event, at_us)
        case JobSubmitted():
            raise AssertionError("a job is submitted once")
        case _:
            assert_never(event)


def _on_lease(job: Job, event: JobGranted | LeaseResumed) -> dict[str, object]:
    lease: dict[str, object] = {
        "state": JobState.ASSIGNED,
        "engine_id": event.engine_id,
        "retry_at_us": None,
        "ttl_at_us": None,
    }
    if isinstance(event, LeaseResumed):
        return lease
    return {
        **lease,
        "fall_at_us": None,
        "fall_left_us": None,
        "live_attempt": event.attempt,
        "last_attempt": event.attempt,
        "attempts_used": job.attempts_used + 1,
    }


def _off_lease(
    job: Job,
    event: JobCompleted | AttemptFailed | LeaseGivenBack | LeaseExpired | LimitExceeded | JobCancelled,
    at_us: int,
) -> dict[str, object]:
    match event:
        case JobCompleted():
            return {"state": JobState.COMPLETED, "result": event.result, "error": None, **_ended(at_us)}
        case JobCancelled():
            return {"state": JobState.CANCELLED, **_ended(at_us), "cancel_reason": event.reason}
        case LeaseExpired():
            failed_on = remembered(job, event)
            return {"state": event.into, "retry_at_us": event.retry_at_us, "failed_on": failed_on, **IDLE}
        case LeaseGivenBack():
            counts = {"attempts_used": job.attempts_used - 1, "give_backs": job.give_backs + 1}
            return {"state": event.into, "live_attempt": None, "retry_at_us": None, **counts, **IDLE}
        case AttemptFailed() | LimitExceeded():
            after = {"state": event.into, "error": event.error, "retry_at_us": event.retry_at_us}
            after["failed_on"] = remembered(job, event)
            return {**IDLE, "live_attempt": None, **(_ended(at_us) if event.into.terminal else {}), **after}


def _ended(at_us: int) -> dict[str, object]:
    over = {"retry_at_us": None, "ttl_at_us": None, "fall_at_us": None, "fall_left_us": None}
    return {**IDLE, **over, "live_attempt": None, "ended_us": at_us}


def _edited(job: Job, event: JobEdited) -> dict[str, object]:
    kept = None if event.drop_attempt else job.live_attempt
    foot = FOOT if event.anew else {}
    # What failed was other work: engines that could not do it may be able to do this.
    forgotten: dict[str, object] = {"failed_on": ()} if event.drop_attempt else {}
    return {
        "spec": event.spec,
        "state": event.into,
        "ttl_at_us": event.ttl_at_us,
        "live_attempt": kept,
        **foot,
        **forgotten,
    }


def _requeued(job: Job, event: JobRequeued) -> dict[str, object]:
    counts = {"attempts_used": 0, "give_backs": 0, "failed_on": ()}
    fresh = {**counts, "ended_us": None, "result": None, "error": None}
    waits = {"live_attempt": None, "retry_at_us": None, "ttl_at_us": event.ttl_at_us}
    foot = {"spec": asked_for(job), **FOOT}
    return {"state": event.into, "generation": job.generation + 1, **IDLE, **fresh, **waits, **foot}


def _marks(
    event: JobHeld | HoldReleased | JobPinned | PinEnded | JobDeleted | JobRestored, at_us: int
) -> dict[str, object]:
    match event:
        case JobHeld():
            return {"held": event.reason}
        case HoldReleased():
            return {"held": None}
        case JobPinned():
            return {"pin": event.pin}
        case PinEnded():
            return {"pin": None}
        case JobDeleted():
            return {"deleted_us": at_us}
        case JobRestored():
            return {"deleted_us": None}


def evolve_attempt(job: Job, attempt: Attempt | None, event: JobEvent, at_us: int) -> Attempt | None:
    """The attempt after an event of its job, or None if the event is not about it.

    ``job`` is the job as it was before the event.
    """
    match event:
        case JobGranted():
            return _opened(job, event, at_us)
        case LeaseResumed():
            changes: dict[str, object] = {"ended_us": None, "outcome": None, "deadline_us": event.deadline_us}
            changes |= {"progress_at_us": at_us} | ({"progress": event.progress} if event.progress else {})
        case JobCompleted():
            changes = {
                "progress": _whole(attempt),
                "outcome": Outcome.COMPLETED,
                "reported": "complete",
                "usage": event.usage,
                "error": None,
            }
        case AttemptFailed():
            changes = {
                "outcome": Outcome.FAILED,
                "reported": event.verb,
                "error": event.error,
                "usage": event.usage,
            }
        case LeaseGivenBack():
            changes = {"outcome": Outcome.GIVEN_BACK, "reported": "give-back"}
        case LeaseExpired():
            changes = {"outcome": Outcome.EXPIRED}
        case LimitExceeded():
            changes = {
                "outcome": Outcome(event.limit if event.limit != "run" else "run_limit"),
                "error": event.error,
            }
        case JobCancelled() if event.attempt is not None:
            changes = {"outcome": Outcome.CANCELLED, "reported": event.verb}
            changes |= {"error": event.error, "usage": event.usage}
        case _:
            return None
    assert attempt is not None
    ended = {} if isinstance(event, LeaseResumed) else {"ended_us": attempt.ended_us or at_us}
    return changed(attempt, version=attempt.version + 1, **(ended | changes))


def _whole(attempt: Attempt | None) -> Progress | None:
    """What is complete is complete, whatever was reported last."""
    return attrs.evolve(attempt.progress, fraction=1.0) if attempt and attempt.progress else None


def _opened(job: Job, event: JobGranted, at_us: int) -> Attempt:
    return Attempt(
        job_id=job.id,
        number=event.attempt,
        tenant=job.tenant,
        version=1,
        generation=job.generation,
        incarnation=event.incarnation,
        engine_id=event.engine_id,
        session=event.session,
        granted_us=at_us,
        deadline_us=event.deadline_us,
        run_until_us=event.run_until_us,
        stall_us=event.stall_us,
        progress_at_us=at_us,
        estimate_us=event.estimate_us,
    )
