"""What comes out, as classes. They describe the forms of the core; the tests hold every answer against them."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from dispatch_core import (
    Benchmark,
    FactValue,
    FailedOn,
    JobError,
    JobState,
    LadderStep,
    Observed,
    Outcome,
    Progress,
    Rate,
    Retry,
    Scope,
    Seen,
    Timeouts,
    Wanted,
    Wish,
)
from dispatch_http.openapi.schemas import Instant

JsonObject = Mapping[str, object]


@frozen(kw_only=True)
class Size:
    """The known measures of a job."""

    size_bytes: int | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None


@frozen
class Hold:
    """A job that is not granted until released."""

    reason: str


@frozen
class Pin:
    """The next grant goes to this engine only (until then, if an end is set)."""

    engine_id: str
    until: Instant | None
    reason: str


@frozen(kw_only=True)
class JobDeadline:
    """When a job should be done; a hard one moves it forward."""

    at: Instant
    hard: bool


@frozen(kw_only=True)
class LimitUse:
    """What a job takes of a limit while it runs."""

    key: str
    units: int


@frozen(kw_only=True)
class Job:
    """One durable unit of work, as it is now. ``version`` is its entity tag."""

    id: str
    tenant: str
    kind: str
    state: JobState
    priority: int
    parameters: JsonObject
    size: Size
    requirements: tuple[str, ...]
    ladder: tuple[LadderStep, ...]
    step: int
    asked: Wish | None
    falls_back_at: Instant | None
    pool: str | None
    account: str | None
    campaign: str | None
    mode: str | None
    deadline: JobDeadline | None
    deadline_missed: bool | None
    limits: tuple[LimitUse, ...]
    retry: Retry
    max_attempts_effective: int
    timeouts: Timeouts
    note: str
    version: int
    generation: int
    attempts_used: int
    live_attempt: int | None
    engine_id: str | None
    hold: Hold | None
    pin: Pin | None
    cancel_requested: bool
    cancel_reason: str | None
    not_before: Instant | None
    retry_at: Instant | None
    next_timer_at: Instant | None
    created_at: Instant
    updated_at: Instant
    ended_at: Instant | None
    deleted_at: Instant | None
    result: JsonObject | None
    error: JobError | None
    failed_on: tuple[FailedOn, ...]


@frozen
class JobPage:
    """A page of jobs; ``next_cursor`` is null on the last one."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


@frozen(kw_only=True)
class Attempt:
    """One grant: who, when, how far, how it ended."""

    job_id: str
    attempt: int
    generation: int
    engine_id: str
    session: str
    granted_at: Instant
    deadline_at: Instant
    ended_at: Instant | None
    outcome: Outcome | None
    progress: Progress | None
    progress_at: Instant
    error: JobError | None
    usage: JsonObject | None
    estimate_s: float | None
    took_s: float | None


@frozen
class Attempts:
    """Every grant of a job, first to last."""

    attempts: tuple[Attempt, ...]


@frozen(kw_only=True)
class Event:
    """One row of a history. ``data`` holds the fields of the event."""

    cursor: str
    type: str
    id: str
    version: int
    at: Instant
    actor: str
    event: str
    data: JsonObject
    request_id: str | None


@frozen
class EventPage:
    """A page of events, oldest first; ``next_cursor`` is null if there are no more."""

    events: tuple[Event, ...]
    next_cursor: str | None


@frozen(kw_only=True)
class RefusedJob:
    """A job that was counted and refused the verb when its turn came."""

    job_id: str
    code: str
    detail: str


@frozen(kw_only=True)
class Many:
    """What a verb for many jobs found and did; `count` 10,000 stands for more."""

    dry_run: bool
    count: int
    done: tuple[str, ...]
    refused: tuple[RefusedJob, ...]
    remaining: int
    next_cursor: str | None


@frozen(kw_only=True)
class Lease:
    """The time-limited right to run one attempt of a job; reports carry its ``token``."""

    job_id: str
    attempt: int
    token: str
    engine_id: str
    session: str
    granted_at: Instant
    deadline_at: Instant
    ttl_s: float
    job: Job


@frozen
class Leases:
    """What a claim with a `limit` returns."""

    leases: tuple[Lease, ...]


@frozen(kw_only=True)
class LeaseStatus:
    """The answer to a sign of life: go on, stop (``cancel``), or forget it (``lost``)."""

    job_id: str
    token: str
    deadline_at: Instant
    cancel: bool
    lost: bool


@frozen(kw_only=True)
class HeartbeatAnswer:
    """Everything an engine must know; ``unnamed`` are leases it holds but did not name."""

    wanted: Wanted
    leases: tuple[LeaseStatus, ...]
    unnamed: tuple[LeaseStatus, ...]
    next_s: float


@frozen(kw_only=True)
class Performance:
    """How fast an engine completed its last jobs, by task class."""

    engine_id: str
    task_classes: tuple[Observed, ...]


@frozen
class Estimates:
    """How long a unit of work should take, by engine and task class."""

    estimates: tuple[Rate, ...]


@frozen(kw_only=True)
class Window:
    """A time in which an engine, or with null all engines, get no work."""

    id: str
    engine_id: str | None
    begins_at: Instant
    ends_at: Instant
    reason: str
    actor: str


@frozen
class Windows:
    """Maintenance windows, the first to begin first."""

    windows: tuple[Window, ...]


@frozen
class Quarantine:
    """When a quarantined engine is tried again, and how long it had to wait; while probing, one job is let through."""

    probe_at: Instant
    wait_s: float
    probing: bool


@frozen(kw_only=True)
class Engine:
    """A machine's process that executes jobs, its last sign of life, and what it runs."""

    id: str
    seen: Seen
    wanted: Wanted
    quarantine: Quarantine | None
    session: str
    version: int
    kinds: tuple[str, ...]
    slots: int
    facts: Mapping[str, FactValue]
    benchmarks: tuple[Benchmark, ...]
    size_bytes_max: int | None
    engine_version: str
    registered_at: Instant
    updated_at: Instant
    last_seen_at: Instant | None
    disk_free_bytes: int | None
    load: float | None
    attempts: tuple[Attempt, ...]
    windows: tuple[Window, ...]


@frozen
class Engines:
    """The fleet."""

    engines: tuple[Engine, ...]


@frozen(kw_only=True)
class Key:
    """Who is let in, to what; never the secret."""

    id: str
    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    engine_id: str | None
    version: int
    created_at: Instant
    updated_at: Instant
    expires_at: Instant | None
    former_until: Instant | None
    revoked_at: Instant | None


@frozen(kw_only=True)
class NewKeyText(Key):
    """A key with the text that callers present; a repeat of the request is answered without it."""

    text: str | None


@frozen
class Keys:
    """Keys, oldest first."""

    keys: tuple[Key, ...]


@frozen(kw_only=True)
class Status:
    """Counts, and whether accepted jobs are the sum of jobs in all states and of purged ones."""

    jobs: Mapping[str, int]
    accepted: int
    purged: int
    engines: Mapping[str, int]
    identity_holds: bool
    version: str


@frozen(kw_only=True)
class Backup:
    """A backup in the server's folder."""

    name: str
    size_bytes: int
    taken_at: Instant


@frozen(kw_only=True)
class Backups:
    """The backups there are."""

    backups: tuple[Backup, ...]


@frozen(kw_only=True)
class Rekeyed:
    """How many jobs were looked at and how many moved; ``next`` is where to go on, null at the end."""

    looked: int
    moved: int
    next: str | None


@frozen(kw_only=True)
class Purged:
    """How many jobs are purged, or would be, by how they ended; ``more`` says that a repeat has work."""

    dry_run: bool
    total: int
    counts: Mapping[str, int]
    more: bool


@frozen
class Version:
    """Who answers: the program's version and commit, the store's schema, the version of this API."""

    name: str
    version: str
    commit: str | None
    schema: str | None
    api: str


@frozen
class Health:
    """``live`` or ``ready``."""

    status: str


@frozen(kw_only=True)
class ProblemPlace:
    """What is wrong where: a JSON ``pointer``, a query ``parameter``, or a place in the text."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    line: int | None = None
    column: int | None = None


@frozen(kw_only=True)
class Problem:
    """Why a request was refused (RFC 9457). ``code`` never changes; texts may."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    errors: tuple[ProblemPlace, ...] = ()
    request_id: str = ""


@frozen
class LogLines:
    """Lines of the log: each has ``timestamp``, ``level``, ``logger``, ``event`` and what belongs to the event."""

    lines: tuple[JsonObject, ...]
