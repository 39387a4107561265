"""Waits that a clock has made too long: a timer further ahead than its own maximum is stamped anew."""

from __future__ import annotations

from dispatch_core.kernel.ladder import wait_us
from dispatch_core.kernel.terms import Decision, Terms
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.events import TimerRestamped
from dispatch_core.vocabulary.jobs import Job, JobState


def restamp(job: Job, now: int, terms: Terms) -> Decision:
    """A wait that lies further ahead than its own maximum was stamped before the clock jumped back."""
    retry_at = _sooner(job.retry_at_us, now + _longest_us(job, terms), job.state is JobState.FAILED_RETRY)
    grace_at = _sooner(job.grace_at_us, now + terms.cancel_grace_us, job.cancel_asked)
    fall_at = _sooner(job.fall_at_us, now + (wait_us(job.spec, job.step) or 0), job.fall_at_us is not None)
    ttl_at = _sooner(
        job.ttl_at_us, now + to_us(job.spec.timeouts.queue_s or 0), job.spec.timeouts.queue_s is not None
    )
    if retry_at is grace_at is fall_at is ttl_at is None:
        return Decision()
    event = TimerRestamped(retry_at_us=retry_at, grace_at_us=grace_at, ttl_at_us=ttl_at)
    return Decision(events=(event,))


def _longest_us(job: Job, terms: Terms) -> int:
    if job.live_attempt is not None:
        return terms.late_report_us
    # A policy of one's own may wait longer than the spec says.
    granted = (job.retry_at_us or 0) - job.updated_us
    return max(to_us(job.spec.retry.delay_max_s), granted)


def _sooner(at_us: int | None, latest_us: int, waits: bool) -> int | None:
    """The latest instant that makes sense, if the timer runs and lies behind it."""
    return latest_us if waits and at_us is not None and at_us > latest_us else None
