"""Who is to blame for failures: what a job remembers of them, and when it is poison."""

from __future__ import annotations

import attrs

from dispatch_core.kernel.terms import Decision, Terms
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.events import AttemptFailed, JobFailed, LeaseExpired, LimitExceeded
from dispatch_core.vocabulary.jobs import FAILED_ON_MAX, FailedOn, Job, JobError, JobState

LOST = "lost"
POISON = "poison"
POLICY = "policy"
"""The class of failures that the dispatcher itself decides."""
TELLING = frozenset({"input", "engine", "resource", "timeout"})
"""Failures an engine lived to tell: on several engines they speak against the job. Engines that vanish may have
been switched off, and what the dispatcher itself ended (``policy``) says nothing of either.
"""


def culprit(attempt: Attempt, error: JobError) -> str:
    """The engine a failure is remembered with; "" if the dispatcher itself decided it."""
    return "" if error.failure_class == POLICY else attempt.engine_id


def remembered(job: Job, event: AttemptFailed | LeaseExpired | LimitExceeded) -> tuple[FailedOn, ...]:
    """What the job remembers after a failure. A late report says more of one that was counted already."""
    if not event.engine_id:
        return job.failed_on
    what = LOST if isinstance(event, LeaseExpired) else event.error.failure_class
    late = isinstance(event, AttemptFailed) and event.late
    return failed_again(job.failed_on, event.engine_id, what, late=late)


def failed_again(
    known: tuple[FailedOn, ...], engine_id: str, failure_class: str, *, late: bool = False
) -> tuple[FailedOn, ...]:
    """One more failure on an engine, which comes last; of too many engines the first is forgotten."""
    before = next((each.times for each in known if each.engine_id == engine_id), 0)
    others = tuple(each for each in known if each.engine_id != engine_id)
    times = before if late and before else before + 1
    return (*others, FailedOn(engine_id, failure_class, times))[-FAILED_ON_MAX:]


def poison(known: tuple[FailedOn, ...], engines_max: int) -> JobError | None:
    """Why a job is given up whatever attempts it has left: so many engines told of its failure. 0: never."""
    told = [each for each in known if each.failure_class in TELLING]
    if not engines_max or len(told) < engines_max:
        return None
    where = ", ".join(f"{each.engine_id} ({each.failure_class})" for each in told)
    message = f"poison: it failed on {len(told)} engines: {where}"
    return JobError(failure_class=POISON, message=message, retryable=False)


def or_poison(job: Job, failed: AttemptFailed | LimitExceeded, now: int, terms: Terms) -> Decision:
    """The failure; and if that makes one engine too many, the job is given up whatever attempts it has left."""
    error = poison(remembered(job, failed), terms.poison_engines)
    if error is None:
        return Decision(events=(failed,))
    waits = attrs.evolve(failed, into=JobState.FAILED_RETRY, retry_at_us=now)
    return Decision(events=(waits, JobFailed(error=error)))
