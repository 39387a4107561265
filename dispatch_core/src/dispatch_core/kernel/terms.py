"""The terms under which the kernel decides, and the two rules about entering a wait."""

from __future__ import annotations

from attrs import field, frozen

from dispatch_core.kernel.retry import ExponentialBackoff, RetryPolicy
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.clock import SECOND_US, to_us
from dispatch_core.vocabulary.events import JobEvent
from dispatch_core.vocabulary.jobs import Job, JobSpec, JobState


@frozen(kw_only=True)
class Terms:
    """The house's limits, in microseconds where the name ends in ``_us``."""

    incarnation: str
    lease_ttl_us: int = 30 * SECOND_US
    late_report_us: int = 600 * SECOND_US
    cancel_grace_us: int = 60 * SECOND_US
    give_backs_max: int = 16
    attempts_cap: int = 100
    poison_engines: int = 3
    """A job that so many engines told of failing is given up; 0: never."""
    retry: RetryPolicy = field(factory=ExponentialBackoff)


@frozen
class Decision:
    """What a command does: events (each a version and a history row), a pulse (neither), or nothing."""

    events: tuple[JobEvent, ...] = ()
    pulse: Attempt | None = None


def enter(job: Job, now: int) -> JobState:
    """Where a job goes that leaves a lease or a wait: ``delayed`` if not-before is ahead, else ``pending``."""
    not_before = job.spec.not_before_us
    return JobState.DELAYED if not_before is not None and not_before > now else JobState.PENDING


def first_wait(spec: JobSpec, now: int) -> tuple[JobState, int | None]:
    """Where a job begins, and when its queue TTL ends, if that runs already."""
    not_before, queue_s = spec.not_before_us, spec.timeouts.queue_s
    if not_before is not None and not_before > now:
        return JobState.DELAYED, None
    return JobState.PENDING, None if queue_s is None else now + to_us(queue_s)


def ttl_at(job: Job, now: int, into: JobState = JobState.PENDING) -> int | None:
    """The queue TTL runs from the first ``pending`` of a generation to its first grant."""
    granted = job.attempts_used > 0 or job.give_backs > 0
    if granted or job.spec.timeouts.queue_s is None or into is not JobState.PENDING:
        return job.ttl_at_us
    return job.ttl_at_us if job.ttl_at_us is not None else now + to_us(job.spec.timeouts.queue_s)


def edited_ttl(job: Job, queue_s: float | None) -> int | None:
    """The running queue TTL moved to another length; it still counts from the first ``pending``."""
    if job.ttl_at_us is None or queue_s is None or job.spec.timeouts.queue_s is None:
        return None
    return job.ttl_at_us - to_us(job.spec.timeouts.queue_s) + to_us(queue_s)
