"""Leases in the kernel: granting, renewing, resuming, and why one ends."""

from __future__ import annotations

from dispatch_core.kernel.terms import Terms
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.changing import changed
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.commands import Grant, JobCommand, ReportProgress
from dispatch_core.vocabulary.errors import LeaseLostError
from dispatch_core.vocabulary.events import JobGranted, LeaseResumed
from dispatch_core.vocabulary.jobs import Job


def grant(job: Job, command: Grant, now: int, terms: Terms) -> JobGranted:
    """The event that gives the job's next attempt to an engine."""
    limits = job.spec.timeouts
    run_us = command.run_limit_us if limits.run_s is None else to_us(limits.run_s)
    return JobGranted(
        attempt=job.last_attempt + 1,
        engine_id=command.engine_id,
        session=command.session,
        incarnation=terms.incarnation,
        deadline_us=now + terms.lease_ttl_us,
        run_until_us=None if run_us is None else now + run_us,
        stall_us=None if limits.no_progress_s is None else to_us(limits.no_progress_s),
        explanation=command.explanation,
        estimate_us=command.estimate_us,
    )


def resume(attempt: Attempt, command: JobCommand, now: int, terms: Terms) -> LeaseResumed:
    """The event that re-opens an attempt whose lease had ended; no-progress counts anew from here."""
    return LeaseResumed(
        attempt=attempt.number,
        engine_id=attempt.engine_id,
        deadline_us=now + terms.lease_ttl_us,
        progress=command.progress if isinstance(command, ReportProgress) else None,
    )


def beat(
    attempt: Attempt, command: JobCommand, now: int, terms: Terms, *, forced: bool = False
) -> Attempt | None:
    """The attempt after a sign of life, or None if nothing needs writing.

    A renewal is written only if it moves the deadline by a third of the ttl, or carries progress.
    """
    deadline = now + terms.lease_ttl_us
    progress = command.progress if isinstance(command, ReportProgress) else None
    if not forced and progress is None and deadline - attempt.deadline_us < terms.lease_ttl_us // 3:
        return None
    moved = progress is not None and (
        attempt.progress is None or progress.fraction > attempt.progress.fraction
    )
    return changed(
        attempt,
        version=attempt.version + 1,
        deadline_us=deadline,
        progress=progress or attempt.progress,
        progress_at_us=now if moved else attempt.progress_at_us,
    )


def restamped(job: Job, attempt: Attempt, now: int, terms: Terms) -> Attempt:
    """The attempt with all its limits counted from now: after a jump, what the clock said before means nothing."""
    limit = job.spec.timeouts.run_s
    return changed(
        attempt,
        version=attempt.version + 1,
        deadline_us=now + terms.lease_ttl_us,
        run_until_us=None if attempt.run_until_us is None or limit is None else now + to_us(limit),
        progress_at_us=now,
    )


def end_cause(attempt: Attempt, now: int) -> str | None:
    """Which of its ends came first: ``lease``, ``run`` or ``no_progress``; None while none has come."""
    ends = [(attempt.deadline_us, "lease")]
    ends += [(attempt.run_until_us, "run")] if attempt.run_until_us is not None else []
    ends += [(attempt.stalls_at_us, "no_progress")] if attempt.stalls_at_us is not None else []
    instant, cause = min(ends)
    return cause if instant <= now else None


def refuse_lost(job: Job, attempt: Attempt | None, terms: Terms) -> None:
    """Raises LeaseLostError unless a report is about the attempt that may still decide what becomes of the job.

    What a store forgot by a restore may contradict a token of before, even if its attempt looks live.
    """
    if attempt is None or attempt.number != job.live_attempt:
        raise LeaseLostError(f"{job.id}: another attempt has the job now, or none; stop this work")
    if attempt.incarnation != terms.incarnation:
        raise LeaseLostError(f"{job.id}: the store was restored since this lease was granted; stop this work")
