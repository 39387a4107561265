"""How long ended jobs stay, and what is left of one that goes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Annotated

from attrs import frozen

from dispatch_core.vocabulary.bounds import Bound
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.commands import PurgeJob
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.events import JobPurged
from dispatch_core.vocabulary.jobs import Job, JobState


class Ending(StrEnum):
    """How a job may have ended; ``deleted`` are the soft-deleted ones, whatever state they are in."""

    COMPLETED = "completed"
    FAILED_PERMANENTLY = "failed_permanently"
    CANCELLED = "cancelled"
    DELETED = "deleted"


_SPANS = {
    Ending.COMPLETED: "completed_s",
    Ending.FAILED_PERMANENTLY: "failed_s",
    Ending.CANCELLED: "cancelled_s",
    Ending.DELETED: "deleted_s",
}
FOR_EVER_S = 100 * 366 * 86_400
Span = Annotated[float, Bound(0, FOR_EVER_S)]


@frozen
class Cutoff:
    """Jobs of this state, soft-deleted or not, may go if they have not changed since then."""

    state: JobState
    deleted: bool
    before_us: int

    @property
    def name(self) -> str:
        """How such jobs are called in counts."""
        return "deleted" if self.deleted else self.state.value


@frozen(kw_only=True)
class Retention:
    """How many seconds jobs stay after their last change, by how they ended; None: for ever."""

    completed_s: Span | None = None
    failed_s: Span | None = None
    cancelled_s: Span | None = None
    deleted_s: Span | None = None

    @classmethod
    def older_than(cls, span_s: float, endings: Collection[str] = ()) -> Retention:
        """The same span for these endings (``completed`` … ``deleted``; none named: for all), the others for ever.

        Raises InvalidCommandError for an ending there is not.
        """
        unknown = [each for each in endings if each not in list(Ending)]
        if unknown:
            message = f"{unknown[0]!r} is none of {', '.join(Ending)}"
            raise InvalidCommandError([FieldProblem("/states", message)])
        return cls(**{_SPANS[Ending(each)]: span_s for each in endings or Ending})

    def cutoffs(self, now: int) -> Iterator[Cutoff]:
        """Which jobs may go now."""
        spans = {
            JobState.COMPLETED: self.completed_s,
            JobState.FAILED_PERMANENTLY: self.failed_s,
            JobState.CANCELLED: self.cancelled_s,
        }
        for state, span_s in spans.items():
            if span_s is not None:
                yield Cutoff(state, False, now - to_us(span_s))
            if self.deleted_s is not None:
                yield Cutoff(state, True, now - to_us(self.deleted_s))


def purge(job: Job, command: PurgeJob) -> JobPurged | None:
    """The end of a job's record, if it is as it was when its time was looked at; None if it must stay."""
    touched = job.updated_us > command.unchanged_since_us
    if not job.state.terminal or touched or (job.deleted_us is not None) is not command.deleted:
        return None
    return JobPurged(
        state=job.state,
        generation=job.generation,
        attempts=job.last_attempt,
        created_us=job.created_us,
        ended_us=job.ended_us,
        deleted_us=job.deleted_us,
    )
