"""An attempt: one grant of one job to one engine. While open it is the lease; afterwards, history."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from attrs import frozen

from dispatch_core.vocabulary.bounds import Bound, Length
from dispatch_core.vocabulary.jobs import Job, JobError


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    GIVEN_BACK = "given_back"
    EXPIRED = "expired"
    RUN_LIMIT = "run_limit"
    NO_PROGRESS = "no_progress"
    CANCELLED = "cancelled"


@frozen(kw_only=True)
class Progress:
    """How far an attempt is: ``fraction`` 0 to 1, ``speed`` in units (media seconds) per second."""

    fraction: Annotated[float, Bound(0, 1)]
    speed: Annotated[float, Bound(0, 1e9)] | None = None
    message: Annotated[str, Length(0, 200)] = ""


@frozen(kw_only=True)
class Attempt:
    """One row per grant. ``version`` counts writes, pulses included; it guards renewal against expiry.

    ``estimate_us`` is how long it should have taken, as expected when it was granted.
    """

    record_type: ClassVar[str] = "attempt"

    job_id: str
    number: int
    tenant: str
    version: int
    generation: int
    incarnation: str
    engine_id: str
    session: str
    granted_us: int
    deadline_us: int
    run_until_us: int | None = None
    stall_us: int | None = None
    progress_at_us: int
    progress: Progress | None = None
    ended_us: int | None = None
    outcome: Outcome | None = None
    reported: str | None = None
    error: JobError | None = None
    usage: Mapping[str, object] | None = None
    estimate_us: int | None = None

    @property
    def key(self) -> str:
        """The id under which the store keeps it."""
        return attempt_key(self.job_id, self.number)

    @property
    def token(self) -> str:
        """The fencing token a report must carry: never issued twice, not even after a restore."""
        return f"{self.incarnation}.{self.number}"

    @property
    def took_us(self) -> int | None:
        """From grant to end; None while it runs."""
        return None if self.ended_us is None else self.ended_us - self.granted_us

    @property
    def due_us(self) -> int | None:
        """When tick must look at it: lease end, run limit or no-progress limit, whichever is first."""
        if self.ended_us is not None:
            return None
        due_us, stalls_at_us = self.deadline_us, self.stalls_at_us
        if self.run_until_us is not None:
            due_us = min(due_us, self.run_until_us)
        return due_us if stalls_at_us is None else min(due_us, stalls_at_us)

    @property
    def stalls_at_us(self) -> int | None:
        """The instant at which it counts as making no progress."""
        return None if self.stall_us is None else self.progress_at_us + self.stall_us


def attempt_key(job_id: str, number: int) -> str:
    """The store's id of an attempt."""
    return f"{job_id}/{number}"


@frozen(kw_only=True)
class Lease:
    """What a claim returns: the job, and the time-limited right to run one attempt of it."""

    job: Job
    attempt: int
    token: str
    engine_id: str
    session: str
    granted_us: int
    deadline_us: int
    ttl_us: int


@frozen(kw_only=True)
class LeaseStatus:
    """The answer to a sign of life: how long the lease now runs, and whether to stop."""

    job_id: str
    token: str
    deadline_us: int
    cancel: bool = False
    lost: bool = False
