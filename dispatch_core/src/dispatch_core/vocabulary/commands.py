"""Every request Dispatch accepts, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from attrs import field, frozen

from dispatch_core.vocabulary.attempts import Progress
from dispatch_core.vocabulary.bounds import INT_MAX, Bound, Grammar, Json, Length
from dispatch_core.vocabulary.denials import DenialCommand
from dispatch_core.vocabulary.engines import Benchmark, EngineId, Profile, WantedState
from dispatch_core.vocabulary.errors import FieldProblem
from dispatch_core.vocabulary.jobs import (
    AccountName,
    Deadline,
    Instant,
    Job,
    JobError,
    JobMode,
    JobSize,
    JobSpec,
    Ladder,
    LimitUses,
    Natural,
    Note,
    PoolId,
    Requirements,
    Retry,
    Text,
    Timeouts,
)
from dispatch_core.vocabulary.keys import KeyId, KeyName, KeyScopes, TenantName
from dispatch_core.vocabulary.limits import LimitCommand
from dispatch_core.vocabulary.pools import PoolCommand
from dispatch_core.vocabulary.windows import WindowCommand

JobId = Annotated[str, Length(1, 64)]
Token = Annotated[str, Length(1, 64)]
Version = Annotated[int, Bound(1, INT_MAX)] | None
SUBMIT_MAX = 1_000
CLAIM_MAX = 100
OVERLAP_S_MAX = 30 * 86_400
Digest = Annotated[str, Grammar(r"[0-9a-f]{64}", "the SHA-256 of a secret in hexadecimal")]


class Unset:
    """The type of ``UNSET``: a field an edit does not name (None may mean 'clear it')."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


@frozen(kw_only=True)
class Edit:
    """What an edit changes; what is UNSET stays.

    ``merge`` holds JSON merge patches (RFC 7396) for retry, timeouts, size, deadline and parameters, in their plain
    form: what a patch does not name stays as the job has it, null goes back to the default.
    """

    priority: Annotated[int, Bound(-100, 100)] | Unset = UNSET
    not_before_us: Instant | None | Unset = UNSET
    retry: Retry | Unset = UNSET
    timeouts: Timeouts | Unset = UNSET
    note: Note | Unset = UNSET
    parameters: Annotated[Mapping[str, object], Json()] | Unset = UNSET
    requirements: Requirements | Unset = UNSET
    ladder: Ladder | Unset = UNSET
    size: JobSize | Unset = UNSET
    pool: PoolId | None | Unset = UNSET
    account: AccountName | None | Unset = UNSET
    mode: JobMode | None | Unset = UNSET
    deadline: Deadline | None | Unset = UNSET
    limits: LimitUses | Unset = UNSET
    merge: Annotated[Mapping[str, object], Json()] = field(factory=dict)

    @property
    def work(self) -> bool:
        """Whether it changes what the engine runs (then a kept attempt cannot be reported any more)."""
        return self.wish or not (self.size is self.pool is UNSET)

    @property
    def wish(self) -> bool:
        """Whether it states anew what a ladder loosens, or the ladder: then the job is at its foot again."""
        return not (self.parameters is self.requirements is self.ladder is UNSET)


# ----- jobs


@frozen(kw_only=True)
class Submit:
    """Accept up to 1,000 jobs, all or nothing."""

    specs: Annotated[tuple[JobSpec, ...], Length(1, SUBMIT_MAX)]


@frozen(kw_only=True)
class SubmitEach:
    """Accept those of up to 1,000 jobs that are fit, in one commit; the answer is a ``Submitted`` for each."""

    specs: Annotated[tuple[JobSpec, ...], Length(1, SUBMIT_MAX)]


@frozen(kw_only=True)
class Submitted:
    """What became of one of the jobs of a ``SubmitEach``: the job, or what is wrong with it."""

    job: Job | None = None
    problems: tuple[FieldProblem, ...] = ()


@frozen(kw_only=True)
class Update:
    """Edit a waiting job; ``if_version`` refuses the edit if the job has changed since."""

    job_id: JobId
    edit: Edit
    if_version: Version = None


@frozen(kw_only=True)
class Cancel:
    """Stop a job: at once if it waits, in two phases if it runs."""

    job_id: JobId
    reason: Note = ""


@frozen(kw_only=True)
class Hold:
    """Keep a job from being granted until released."""

    job_id: JobId
    reason: Note = ""


@frozen(kw_only=True)
class Release:
    """End a hold."""

    job_id: JobId


@frozen(kw_only=True)
class Assign:
    """Pin the next grant to an engine (None: unpin)."""

    job_id: JobId
    engine_id: EngineId | None
    until_us: Instant | None = None
    reason: Note = ""


@frozen(kw_only=True)
class Requeue:
    """Open a new generation of a terminal (or backing-off) job."""

    job_id: JobId


@frozen(kw_only=True)
class Delete:
    """Soft-delete; a waiting job is cancelled first."""

    job_id: JobId


@frozen(kw_only=True)
class Restore:
    """Undo a soft delete. Never queues."""

    job_id: JobId


# ----- engines


@frozen(kw_only=True)
class Register:
    """An engine process presents itself; a new session ends the engine's older open attempts."""

    engine_id: EngineId
    session: Text
    profile: Profile


@frozen
class HeldLease:
    """One lease an engine says it is working on."""

    job_id: JobId
    token: Token


@frozen(kw_only=True)
class Heartbeat:
    """Renew the named leases and hear everything: cancels, lost leases, the wanted state."""

    engine_id: EngineId
    session: Text
    leases: Annotated[tuple[HeldLease, ...], Length(0, 1_000)] = ()
    disk_free_bytes: Natural | None = None
    load: Annotated[float, Bound(0, 1e6)] | None = None


@frozen(kw_only=True)
class SetWanted:
    """Cordon, drain, quarantine or resume an engine."""

    engine_id: EngineId
    state: WantedState
    reason: Note = ""


@frozen(kw_only=True)
class Deregister:
    """An engine leaves; its open attempts end at once as lease end."""

    engine_id: EngineId


@frozen(kw_only=True)
class ReportBenchmark:
    """Measured speeds; cells replace those of the same task class."""

    engine_id: EngineId
    benchmarks: Annotated[tuple[Benchmark, ...], Length(1, 500)]


# ----- work


@frozen(kw_only=True)
class Claim:
    """Ask for work: up to ``limit`` leases. ``wait_s`` is honoured by the group committer.

    ``waited`` marks a claim that is decided again after waiting: it is no new sign of life.
    """

    engine_id: EngineId
    session: Text
    limit: Annotated[int, Bound(1, CLAIM_MAX)] = 1
    wait_s: Annotated[float, Bound(0, 300)] = 0.0
    waited: bool = False


@frozen(kw_only=True)
class Renew:
    """Extend one lease by its ttl."""

    job_id: JobId
    token: Token
    engine_id: EngineId


@frozen(kw_only=True)
class ReportProgress:
    """Progress, which also renews."""

    job_id: JobId
    token: Token
    engine_id: EngineId
    progress: Progress


@frozen(kw_only=True)
class Complete:
    """The attempt succeeded."""

    job_id: JobId
    token: Token
    engine_id: EngineId
    result: Annotated[Mapping[str, object], Json()]
    usage: Annotated[Mapping[str, object], Json()] | None = None


@frozen(kw_only=True)
class Fail:
    """The attempt failed. The error's text is sanitised, never refused."""

    job_id: JobId
    token: Token
    engine_id: EngineId
    error: JobError
    usage: Annotated[Mapping[str, object], Json()] | None = None


@frozen(kw_only=True)
class GiveBack:
    """Return a lease undone: the attempt is not counted. Also the acknowledgement of a cancel."""

    job_id: JobId
    token: Token
    engine_id: EngineId
    reason: Note = ""


# ----- keys


@frozen(kw_only=True)
class CreateKey:
    """Let somebody in. ``tenant`` None is the caller's own; the secret itself never comes this far."""

    name: KeyName
    scopes: KeyScopes
    tenant: TenantName | None = None
    engine_id: EngineId | None = None
    expires_us: Instant | None = None
    digest: Digest = field(repr=False)


@frozen(kw_only=True)
class RevokeKey:
    """Let somebody in no longer."""

    key_id: KeyId


@frozen(kw_only=True)
class RotateKey:
    """Give a key another secret; the former one stays good for ``overlap_s``."""

    key_id: KeyId
    overlap_s: Annotated[float, Bound(0, OVERLAP_S_MAX)] = 0.0
    digest: Digest = field(repr=False)


# ----- time (given by tick only)


@frozen(kw_only=True)
class Grant:
    """Give this job to this engine: what a claim decides, one per lease."""

    job_id: JobId
    engine_id: EngineId
    session: Text
    explanation: Mapping[str, object]
    estimate_us: Natural | None = None
    run_limit_us: Natural | None = None
    """The learned time limit of a job that names none."""


@frozen(kw_only=True)
class EndAttempt:
    """Look at an open attempt: past its deadline or a limit, or its engine's session has ended (``cause``)."""

    job_id: JobId
    number: int
    cause: str | None = None


@frozen(kw_only=True)
class FireTimer:
    """A job's earliest timer has come; ``paused``: engines had no chance to speak, give up on none of them."""

    job_id: JobId
    paused: bool = False


@frozen(kw_only=True)
class CheckEngine:
    """An engine's pulse is overdue."""

    engine_id: EngineId


@frozen(kw_only=True)
class ProbeEngine:
    """The time has come to try a quarantined engine again."""

    engine_id: EngineId


@frozen(kw_only=True)
class PruneReceipt:
    """A receipt has expired; it goes unless its job still lives."""

    key: str


@frozen(kw_only=True)
class PurgeJob:
    """An ended job's time is over; it goes unless it was deleted, restored or touched since."""

    job_id: JobId
    deleted: bool
    unchanged_since_us: int


@frozen(kw_only=True)
class Rekey:
    """Place a pending job anew; whether it has another place now is the answer."""

    job_id: JobId


@frozen(kw_only=True)
class ManyPlan:
    """The jobs that a verb for many is done to, of ``count`` that fit; ``last_us`` is set if some come after."""

    count: int
    job_ids: tuple[str, ...]
    remaining: int
    last_us: int | None

    @property
    def next(self) -> tuple[int, str] | None:
        """Where the others begin: behind the last one of these."""
        return None if self.last_us is None else (self.last_us, self.job_ids[-1])


@frozen(kw_only=True)
class PlanMany:
    """Settle the jobs of a verb for many, if they are as many as expected. ``asked`` says what is wanted."""

    asked: str
    expected: int
    found: ManyPlan


JobReport = Renew | ReportProgress | Complete | Fail | GiveBack
JobControl = Update | Cancel | Hold | Release | Assign | Requeue | Delete | Restore
JobTimer = EndAttempt | FireTimer
JobCommand = Grant | JobReport | JobControl | JobTimer
EngineCommand = Register | Heartbeat | SetWanted | Deregister | ReportBenchmark | CheckEngine | ProbeEngine
KeyCommand = CreateKey | RevokeKey | RotateKey
Command = (
    Submit
    | SubmitEach
    | Claim
    | JobCommand
    | EngineCommand
    | KeyCommand
    | PoolCommand
    | WindowCommand
    | LimitCommand
    | DenialCommand
    | PruneReceipt
    | PurgeJob
    | Rekey
    | PlanMany
)
