"""Every fact that can become history. Events carry instants, so that ``evolve`` needs no clock or settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from attrs import field, frozen

from dispatch_core.vocabulary.attempts import Progress
from dispatch_core.vocabulary.denials import DenialEvent
from dispatch_core.vocabulary.engines import Benchmark, Profile, Seen, Wanted
from dispatch_core.vocabulary.jobs import JobError, JobSpec, JobState, Pin
from dispatch_core.vocabulary.limits import LimitEvent
from dispatch_core.vocabulary.pools import PoolEvent
from dispatch_core.vocabulary.scopes import Scope
from dispatch_core.vocabulary.windows import WindowEvent

# ----- jobs


@frozen(kw_only=True)
class MovesLadder:
    """What an event makes of the time of the job's ladder: it runs to an instant, or stands still with a rest."""

    fall_at_us: int | None = None
    fall_left_us: int | None = None


@frozen(kw_only=True)
class JobSubmitted(MovesLadder):
    """The job exists."""

    job_id: str
    tenant: str
    spec: JobSpec
    state: JobState
    held: str | None
    ttl_at_us: int | None


@frozen(kw_only=True)
class JobGranted:
    """An engine holds a lease; ``explanation`` says why this job and this engine (≤ 512 bytes)."""

    attempt: int
    engine_id: str
    session: str
    incarnation: str
    deadline_us: int
    run_until_us: int | None
    stall_us: int | None
    explanation: Mapping[str, object] = field(factory=dict)
    estimate_us: int | None = None


@frozen(kw_only=True)
class LeaseResumed:
    """An expired attempt that nobody replaced showed life again."""

    attempt: int
    engine_id: str
    deadline_us: int
    progress: Progress | None


@frozen(kw_only=True)
class JobCompleted:
    """An attempt succeeded."""

    attempt: int
    result: Mapping[str, object]
    usage: Mapping[str, object] | None


@frozen(kw_only=True)
class AttemptFailed:
    """An attempt reported failure (by ``verb``). ``late``: its lease had already ended and was counted then.

    ``engine_id`` is the engine the job failed on, if that is to be remembered.
    """

    attempt: int
    error: JobError
    usage: Mapping[str, object] | None
    into: JobState
    retry_at_us: int | None
    late: bool
    verb: str = "fail"
    engine_id: str = ""


@frozen(kw_only=True)
class LeaseGivenBack:
    """A lease was returned undone. ``late``: its lease had already ended."""

    attempt: int
    reason: str
    into: JobState
    late: bool


@frozen(kw_only=True)
class LeaseExpired:
    """A lease ended without a report; the attempt may still report until the next grant."""

    attempt: int
    cause: str
    into: JobState
    retry_at_us: int | None
    engine_id: str = ""


@frozen(kw_only=True)
class LimitExceeded:
    """An attempt ran too long (``run``) or stood still (``no_progress``)."""

    attempt: int
    limit: str
    error: JobError
    into: JobState
    retry_at_us: int | None
    engine_id: str = ""


@frozen(kw_only=True)
class CancelAsked:
    """A running job was asked to stop; at ``grace_at_us`` it stops being waited for."""

    reason: str
    grace_at_us: int


@frozen(kw_only=True)
class JobCancelled:
    """The job is cancelled; ``attempt`` is the open attempt that this ended, if any, by ``verb``."""

    reason: str
    attempt: int | None = None
    verb: str | None = None
    error: JobError | None = None
    usage: Mapping[str, object] | None = None


@frozen(kw_only=True)
class JobDue(MovesLadder):
    """A wait is over (``not-before`` or ``back-off``)."""

    cause: str
    into: JobState
    ttl_at_us: int | None


@frozen(kw_only=True)
class JobFailed:
    """The job failed for good: its queue TTL or the wait for a late report ran out, or it is poison."""

    error: JobError


@frozen(kw_only=True)
class JobEdited(MovesLadder):
    """The spec changed."""

    spec: JobSpec
    into: JobState
    ttl_at_us: int | None
    drop_attempt: bool
    anew: bool = False
    """Whether the wish was stated anew: its ladder begins at the foot, with all its time."""


@frozen(kw_only=True)
class JobFellBack(MovesLadder):
    """Nobody took the job in time: the next step of its ladder is in force, with these terms and parameters.

    ``from_class`` and ``to_class`` are the scheduling classes before and after.
    """

    step: int
    requirements: tuple[str, ...]
    parameters: Mapping[str, object]
    reason: str
    from_class: str = ""
    to_class: str = ""


@frozen(kw_only=True)
class JobHeld(MovesLadder):
    """The job is not granted until released."""

    reason: str


@frozen(kw_only=True)
class HoldReleased(MovesLadder):
    """The hold ended."""


@frozen(kw_only=True)
class JobPinned:
    """The next grant belongs to one engine."""

    pin: Pin


@frozen(kw_only=True)
class PinEnded:
    """Any engine may have it again. ``cause``: ``unpinned`` or ``pin-end``."""

    cause: str


@frozen(kw_only=True)
class JobRequeued(MovesLadder):
    """A new generation begins; attempt numbers go on."""

    into: JobState
    ttl_at_us: int | None


@frozen(kw_only=True)
class JobDeleted:
    """Soft-deleted: out of sight, still counted."""


@frozen(kw_only=True)
class JobRestored:
    """The deletion was undone."""


@frozen(kw_only=True)
class TimerRestamped(MovesLadder):
    """A timer lay further ahead than its own maximum (the clock jumped) and was stamped anew.

    A queue TTL that is not named stays as it was.
    """

    retry_at_us: int | None
    grace_at_us: int | None
    ttl_at_us: int | None = None


@frozen(kw_only=True)
class JobPurged:
    """The job, its attempts and its history are gone; this row is all that is left of it."""

    state: JobState
    generation: int
    attempts: int
    created_us: int
    ended_us: int | None
    deleted_us: int | None


# ----- engines


@frozen(kw_only=True)
class EngineRegistered:
    """An engine process presented itself."""

    engine_id: str
    tenant: str
    session: str
    profile: Profile


@frozen(kw_only=True)
class EngineSeen:
    """What we know of the engine's life changed."""

    seen: Seen
    reason: str


@frozen(kw_only=True)
class EngineWanted:
    """What we want of the engine changed."""

    wanted: Wanted


@frozen(kw_only=True)
class EngineQuarantined:
    """The engine failed job after job that others could do, or failed its trial; the next trial is due."""

    wanted: Wanted
    probe_at_us: int
    wait_us: int


@frozen(kw_only=True)
class EngineProbed:
    """One job at a time is let through, to see whether a quarantined engine has healed."""


@frozen(kw_only=True)
class EngineHealed:
    """The quarantine is over."""

    wanted: Wanted
    reason: str


@frozen(kw_only=True)
class EngineBenchmarked:
    """Measured speeds arrived."""

    benchmarks: tuple[Benchmark, ...]


# ----- keys (their digests are no part of history)


@frozen(kw_only=True)
class KeyCreated:
    """Somebody is let in."""

    key_id: str
    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    engine_id: str | None
    expires_us: int | None


@frozen(kw_only=True)
class KeyRotated:
    """A key has another secret; the former one is good until an instant."""

    former_until_us: int


@frozen(kw_only=True)
class KeyRevoked:
    """A key opens nothing any more."""


JobEvent = (
    JobSubmitted
    | JobGranted
    | LeaseResumed
    | JobCompleted
    | AttemptFailed
    | LeaseGivenBack
    | LeaseExpired
    | LimitExceeded
    | CancelAsked
    | JobCancelled
    | JobDue
    | JobFailed
    | JobEdited
    | JobFellBack
    | JobHeld
    | HoldReleased
    | JobPinned
    | PinEnded
    | JobRequeued
    | JobDeleted
    | JobRestored
    | TimerRestamped
)
EngineEvent = (
    EngineRegistered
    | EngineSeen
    | EngineWanted
    | EngineBenchmarked
    | EngineQuarantined
    | EngineProbed
    | EngineHealed
)
KeyEvent = KeyCreated | KeyRotated | KeyRevoked
PurgeEvent = JobPurged
"""What happens to a job's record as a whole: no job comes after it."""
Event = JobEvent | EngineEvent | KeyEvent | PurgeEvent | PoolEvent | WindowEvent | LimitEvent | DenialEvent


def event_name(event: Event) -> str:
    """The stable kebab-case name of an event, as stored: ``JobGranted`` is ``job-granted``."""
    kind: Any = type(event)
    return name_of(kind)


@cache
def name_of(kind: Any) -> str:
    """The name of a class of events."""
    name: str = kind.__name__
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in name).lstrip("-")
