"""What a job is: what was asked for (``JobSpec``) and what has become of it (``Job``)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from attrs import field, frozen

from dispatch_core.vocabulary.bounds import INT_MAX, NAME, AnyText, Bound, Grammar, Json, Length

Text = Annotated[str, Length(1, 255)]
Note = Annotated[str, Length(0, 1_000)]
Seconds = Annotated[float, Bound(0, 366 * 86_400)]
PoolId = Annotated[str, Length(1, 64), NAME]
AccountName = Annotated[str, Length(1, 100)]
CampaignName = Annotated[
    str, Length(1, 100), Grammar(r"\.*[^/.][^/]*", "without slashes, and not of dots alone")
]
"""It stands in the address of its progress, which parts it at slashes."""
JOB_MODES = ("flow", "makespan", "fifo")
"""The modes that a job may have of its own. Bands part the whole queue, so they are the server's alone."""
JobMode = Annotated[
    str,
    Grammar(
        "|".join(JOB_MODES),
        f"{' or '.join(JOB_MODES)} (strict-bands is a mode of the whole queue: dispatch serve --mode strict-bands)",
    ),
]
Natural = Annotated[int, Bound(0, INT_MAX)]
LimitKey = Annotated[
    str,
    Length(1, 120),
    Grammar(
        r"[A-Za-z0-9][A-Za-z0-9._:@-]*", "letters, digits, dots, dashes, underscores, colons and at signs"
    ),
]
LimitUnits = Annotated[int, Bound(1, 1_000_000)]
LIMIT_USES_MAX = 8
Requirements = Annotated[tuple[Annotated[str, Length(1, 300)], ...], Length(0, 32)]
ATTEMPTS_MAX = 100
LADDER_MAX = 8
Instant = Annotated[int, Bound(0, 253_402_300_799_999_999)]
"""Microseconds since 1970 UTC, up to the end of the year 9999."""


class JobState(StrEnum):
    """The state of a job. Hold, pin and deletion are fields beside it."""

    PENDING = "pending"
    DELAYED = "delayed"
    ASSIGNED = "assigned"
    FAILED_RETRY = "failed_retry"
    COMPLETED = "completed"
    FAILED_PERMANENTLY = "failed_permanently"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether only a requeue (or a deletion) may follow."""
        return self in TERMINAL_STATES


TERMINAL_STATES = frozenset({JobState.COMPLETED, JobState.FAILED_PERMANENTLY, JobState.CANCELLED})


@frozen(kw_only=True)
class JobSize:
    """How large a job is, each measure in the unit of its name; what is unknown is None."""

    size_bytes: Natural | None = None
    duration_us: Natural | None = None
    width: Annotated[int, Bound(1, 1_000_000)] | None = None
    height: Annotated[int, Bound(1, 1_000_000)] | None = None
    frames: Natural | None = None


@frozen(kw_only=True)
class Retry:
    """How often and how soon a job is tried again: delay = first · factor^(n−1), capped, then jittered."""

    max_attempts: Annotated[int, Bound(1, ATTEMPTS_MAX)] = 4
    first_delay_s: Seconds = 5.0
    factor: Annotated[float, Bound(1, 10)] = 2.0
    delay_max_s: Seconds = 600.0


@frozen(kw_only=True)
class Timeouts:
    """Limits in seconds; None means no limit. Queue: submitted to granted. No-progress: between reports."""

    queue_s: Seconds | None = None
    run_s: Annotated[float, Bound(1, 366 * 86_400)] | None = None
    no_progress_s: Annotated[float, Bound(1, 366 * 86_400)] | None = None


@frozen(kw_only=True)
class LadderStep:
    """A wish made looser: in force when nobody took the job for ``after_s`` seconds in which it could be claimed.

    ``requirements`` take the place of the former; ``parameters`` are a JSON merge patch (RFC 7396) over them.
    What a step does not name stays as the step before it left it; it names one of the two at least.
    """

    after_s: Annotated[float, Bound(1, 366 * 86_400)]
    requirements: Requirements | None = None
    parameters: Annotated[Mapping[str, object], Json()] | None = None


Ladder = Annotated[tuple[LadderStep, ...], Length(0, LADDER_MAX)]


@frozen(kw_only=True)
class Deadline:
    """When a job should be done. A ``hard`` one moves it forward in the order; a soft one is only reported."""

    at_us: Instant
    hard: bool = False


@frozen(kw_only=True)
class LimitUse:
    """So many units of a limit a job takes while it runs; a key that nobody has limited costs nothing."""

    key: LimitKey
    units: LimitUnits = 1


LimitUses = Annotated[tuple[LimitUse, ...], Length(0, LIMIT_USES_MAX)]


@frozen(kw_only=True)
class JobSpec:
    """What the submitter asks for. Priority: −100 to 100, higher first. ``pool`` is where it writes to.

    ``ladder``: how the wish becomes looser while nobody takes the job, each step later than the one before.
    ``limits`` are what it takes of limits by key while it runs.
    ``account`` is whose share of the fleet it uses: accounts that queue at the same time are served by turns.
    ``campaign`` names the jobs that it belongs together with, for as long as there is the job.
    ``mode`` is how it is ordered among others, if not by the mode of the server.
    """

    kind: Text = "transcode"
    parameters: Annotated[Mapping[str, object], Json()] = field(factory=dict)
    priority: Annotated[int, Bound(-100, 100)] = 0
    size: JobSize = JobSize()
    requirements: Requirements = ()
    ladder: Ladder = ()
    pool: PoolId | None = None
    limits: LimitUses = ()
    account: AccountName | None = None
    campaign: CampaignName | None = None
    mode: JobMode | None = None
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    deadline: Deadline | None = None
    not_before_us: Instant | None = None
    hold: bool = False
    note: Note = ""

    @property
    def scarce(self) -> tuple[str, ...]:
        """The names of what its class may have to wait for: its pool and its limits."""
        pool = () if self.pool is None else (f"pool:{self.pool}",)
        return (*pool, *(f"limit:{use.key}" for use in self.limits))


@frozen(kw_only=True)
class Wish:
    """The part of a spec that a ladder may loosen."""

    requirements: tuple[str, ...]
    parameters: Mapping[str, object]


@frozen(kw_only=True)
class JobError:
    """Why an attempt failed. ``failure_class``: input, engine, resource, timeout, lost or policy."""

    failure_class: Annotated[str, AnyText()]
    message: Annotated[str, AnyText()]
    detail: Annotated[str, AnyText()] = ""
    retryable: bool = True


FAILED_ON_MAX = 32
"""So many engines a job keeps in mind that it failed on, the last ones."""


@frozen
class FailedOn:
    """An engine the job failed on in this generation: how often, and of which class the last failure was."""

    engine_id: str
    failure_class: str
    times: int = 1


@frozen
class Pin:
    """An operator's wish: the next grant goes to this engine only (until then, if an end is set)."""

    engine_id: str
    until_us: int | None = None
    reason: str = ""


@frozen
class Ready:
    """A job's place in the ready order: its bucket (lane, class) and its rank there.

    ``order_key`` is the instant (µs) from which the job counts as late; ties go by id.
    """

    lane: str
    class_id: str
    band: int
    order_key: int
    est_us: int
    weight: float

    @property
    def bucket(self) -> Bucket:
        """The (lane, class) this job waits in."""
        return (self.lane, self.class_id)


Bucket = tuple[str, str]
OPEN_LANE = "open"
ENGINE_LANES = "engine:"
"""How the lanes of pinned jobs begin."""


def engine_lane(engine_id: str) -> str:
    """The lane of jobs pinned to one engine."""
    return f"engine:{engine_id}"


def group_lane(group: str) -> str:
    """The lane of jobs routed to a group of engines: a wish, anybody who may run them may claim them."""
    return f"group:{group}"


def group_of_lane(lane: str) -> str | None:
    """The group whose time the jobs of a lane will use, as far as one is named."""
    kind, _, name = lane.partition(":")
    return name or None if kind in ("group", "engine") else None


@frozen(kw_only=True)
class Job:
    """One durable unit of work, as last decided. Changes only by events: version + 1 each.

    ``spec`` is what is in force. Below the foot of its ladder (``step`` 0) ``asked`` is what was asked for at
    first. The ladder's time ends at ``fall_at_us``, or has ``fall_left_us`` to go while it stands still.
    ``failed_on`` are the engines this work failed on, the last failure last.
    """

    record_type: ClassVar[str] = "job"

    id: str
    tenant: str
    version: int
    spec: JobSpec
    state: JobState
    created_us: int
    updated_us: int
    generation: int = 1
    attempts_used: int = 0
    last_attempt: int = 0
    give_backs: int = 0
    live_attempt: int | None = None
    engine_id: str | None = None
    held: str | None = None
    pin: Pin | None = None
    cancel_reason: str | None = None
    grace_at_us: int | None = None
    ttl_at_us: int | None = None
    retry_at_us: int | None = None
    ended_us: int | None = None
    deleted_us: int | None = None
    result: Mapping[str, object] | None = None
    error: JobError | None = None
    failed_on: tuple[FailedOn, ...] = ()
    step: int = 0
    asked: Wish | None = None
    fall_at_us: int | None = None
    fall_left_us: int | None = None
    ready: Ready | None = None

    @property
    def key(self) -> str:
        """The id under which the store keeps it."""
        return self.id

    @property
    def deadline_missed(self) -> bool | None:
        """Whether it ended too late, or failed; None without a deadline, while it is open, and if cancelled."""
        deadline = self.spec.deadline
        if deadline is None or self.ended_us is None or self.state is JobState.CANCELLED:
            return None
        return self.state is not JobState.COMPLETED or self.ended_us > deadline.at_us

    @property
    def waits(self) -> bool:
        """Whether it neither runs nor has ended."""
        return self.state is not JobState.ASSIGNED and not self.state.terminal

    @property
    def cancel_asked(self) -> bool:
        """Whether a running job was asked to stop and the engine has not answered yet."""
        return self.cancel_reason is not None and self.state is JobState.ASSIGNED

    @property
    def claimable(self) -> bool:
        """Whether an engine may be granted this job now."""
        return self.state is JobState.PENDING and self.held is None and self.deleted_us is None

    @property
    def due_us(self) -> int | None:
        """The earliest timer of the present state, or None if the job waits for no time."""
        if self.deleted_us is not None or self.state.terminal:
            return None
        if self.state is JobState.ASSIGNED:
            return self.grace_at_us
        own = self.ttl_at_us
        if self.state is not JobState.PENDING:
            own = self.spec.not_before_us if self.state is JobState.DELAYED else self.retry_at_us
        if self.fall_at_us is None and self.pin is None:
            return own
        timers = (own, self.fall_at_us, self.pin.until_us if self.pin else None)
        return min((instant for instant in timers if instant is not None), default=None)


OrderKey = tuple[int, int, str]
"""(band, order_key, id): the rank of a job in its bucket."""


def rank_of(job: Job) -> OrderKey:
    """A ready job's rank in its bucket."""
    assert job.ready is not None
    return (job.ready.band, job.ready.order_key, job.id)
