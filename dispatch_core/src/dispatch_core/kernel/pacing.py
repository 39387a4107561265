"""The time of a ladder: it runs while the job may be claimed, and stands still while it may not.

A hold or a start time ahead stops it; the first grant ends it, until a requeue or an edit of the wish. A step counts
from the instant at which the one before it took effect, so that a tick that comes late skips none.
"""

from __future__ import annotations

from typing import TypeVar

import attrs

from dispatch_core.kernel.evolve import evolve
from dispatch_core.kernel.ladder import wait_us
from dispatch_core.vocabulary.events import (
    JobEdited,
    JobEvent,
    JobFellBack,
    JobRequeued,
    JobSubmitted,
    MovesLadder,
)
from dispatch_core.vocabulary.jobs import Job

E = TypeVar("E", bound=JobEvent)


def paced(job: Job | None, event: E, now: int) -> E:
    """The event with what it makes of the ladder's time; ``job`` is the one before it."""
    if not issubclass(type(event), MovesLadder) or not (_has_ladder(job) or _has_ladder(event)):
        return event
    after = evolve(job, event, now)
    left = _left_us(job, after, event, now)
    if left is None:
        return event
    time = {"fall_at_us": now + left} if after.claimable else {"fall_left_us": left}
    return attrs.evolve(event, **time)  # type: ignore[arg-type]  # it has these fields


def _has_ladder(thing: object) -> bool:
    spec = getattr(thing, "spec", None)
    return spec is not None and bool(spec.ladder)


def _left_us(before: Job | None, after: Job, event: JobEvent, now: int) -> int | None:
    """What is left of the wait for the next step; None if there is no such wait."""
    whole = wait_us(after.spec, after.step)
    if whole is None or after.state.terminal:
        return None
    anew = isinstance(event, (JobSubmitted, JobRequeued, JobFellBack))
    if before is None or anew or (isinstance(event, JobEdited) and event.anew):
        return whole
    if before.fall_at_us is not None:
        # A clock that went back must not make a wait longer than it was declared to be.
        return min(max(before.fall_at_us - now, 0), whole)
    return before.fall_left_us
