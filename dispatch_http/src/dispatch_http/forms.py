"""Request bodies as values. The core checks the bounds of what is in them; here is only which fields there are."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from attrs import field, frozen

from dispatch_core import (
    OVERLAP_S_MAX,
    REKEY_MAX,
    AnyText,
    Benchmark,
    Bound,
    Complete,
    Ending,
    EngineId,
    Fail,
    FieldProblem,
    GiveBack,
    Grammar,
    HeldLease,
    InvalidCommandError,
    JobError,
    JobId,
    Json,
    KeyName,
    Length,
    Natural,
    Note,
    PoolId,
    PoolSpec,
    Profile,
    Progress,
    Renew,
    ReportProgress,
    Scope,
    Span,
    TenantName,
    Text,
    Token,
)
from dispatch_core.forms import parse

REPORTS_MAX = 1_000
JsonObject = Annotated[Mapping[str, object], Json()]
ReportCommand = Renew | ReportProgress | Complete | Fail | GiveBack
Told = Annotated[str, AnyText()]


@frozen
class Nothing:
    """A body without fields."""


@frozen(kw_only=True)
class Because:
    """Why somebody does this."""

    reason: Note = ""


@frozen(kw_only=True)
class ManyJobs:
    """A verb for the jobs of a filter: first with ``dry_run``, then with the count it told as ``expected``."""

    filter: JsonObject
    dry_run: bool = False
    expected: Natural | None = None
    limit: Annotated[int, Bound(1, 1_000)] = 1_000
    cursor: str | None = None


@frozen(kw_only=True)
class ManyJobsBecause(ManyJobs):
    """The same with a reason."""

    reason: Note = ""


@frozen(kw_only=True)
class RekeyOrder:
    """How many pending jobs to place anew, and behind which: the ``next`` of the last answer."""

    limit: Annotated[int, Bound(1, REKEY_MAX)] = REKEY_MAX
    after: Annotated[str, Grammar(r"-?[0-9]{1,19}\.[a-z0-9-]{1,64}", "the next of an answer")] | None = None


@frozen(kw_only=True)
class PurgeOrder:
    """Which ended jobs to purge; without ``older_than_s`` those that the settings say.

    ``states`` are terminal states, and ``deleted`` for the soft-deleted of all of them; none named: all.
    """

    dry_run: bool = False
    older_than_s: Span | None = None
    states: tuple[Ending, ...] = ()


@frozen(kw_only=True)
class Assignment:
    """Where the next grant goes; ``engine_id`` null ends it. ``until`` is an RFC 3339 time."""

    engine_id: EngineId | None
    until: str | None = None
    reason: Note = ""


@frozen(kw_only=True)
class HeldToken:
    """Which attempt of the job in the path, and who holds it."""

    token: Token
    engine_id: EngineId


def progress_report(data: object) -> tuple[HeldToken, Progress]:
    """Who reports, and how far the attempt is: one flat object at the edge. Raises InvalidCommandError."""
    if not isinstance(data, Mapping):
        return parse(HeldToken, data), Progress(fraction=0)
    held = {name: data[name] for name in ("token", "engine_id") if name in data}
    return parse(HeldToken, held), parse(Progress, {name: data[name] for name in data.keys() - held.keys()})


@frozen(kw_only=True)
class NewPool:
    """The id of a new pool; the fields of its spec stand beside it."""

    id: PoolId


def new_pool(data: object) -> tuple[str, PoolSpec]:
    """The id and the spec of a new pool: one flat object at the edge. Raises InvalidCommandError."""
    if not isinstance(data, Mapping):
        return parse(NewPool, data).id, PoolSpec(capacity_bytes=0)
    said = {name: data[name] for name in data.keys() - {"id"}}
    return parse(NewPool, {name: data[name] for name in data.keys() & {"id"}}).id, parse(PoolSpec, said)


@frozen(kw_only=True)
class MeasuredPool:
    """How full a pool was measured to be, and perhaps how large."""

    used_bytes: Natural
    capacity_bytes: Natural | None = None


@frozen(kw_only=True)
class Plan:
    """When an engine, or with null all engines, get no work. Times are RFC 3339 text; without a beginning, from now."""

    engine_id: str | None
    begins_at: str | None = None
    ends_at: str
    reason: str = ""


class ReportedStatus(StrEnum):
    """How an attempt ended, in the engine's words."""

    COMPLETED = "completed"
    FAILED = "failed"
    GIVEN_BACK = "given_back"


@frozen(kw_only=True)
class ReportedError:
    """Why an attempt failed. Everything has a default: a report is better vague than refused."""

    failure_class: Told = "engine"
    message: Told = "the engine gave no reason"
    detail: Told = ""
    retryable: bool = True


@frozen(kw_only=True)
class StatusReport:
    """The end of an attempt. ``result`` belongs to completed, ``error`` to failed, ``reason`` to given_back."""

    token: Token
    engine_id: EngineId
    status: ReportedStatus
    result: JsonObject | None = None
    error: ReportedError | None = None
    usage: JsonObject | None = None
    reason: Note | None = None

    def command(self, job_id: str) -> Complete | Fail | GiveBack:
        """The command it stands for. Raises InvalidCommandError if a field does not belong to the status."""
        match self.status:
            case ReportedStatus.COMPLETED:
                self._refuse("error", "reason")
                return Complete(**self._held(job_id), result=self.result or {}, usage=self.usage)
            case ReportedStatus.FAILED:
                self._refuse("result", "reason")
                return Fail(**self._held(job_id), error=_job_error(self.error), usage=self.usage)
            case ReportedStatus.GIVEN_BACK:
                self._refuse("result", "error", "usage")
                return GiveBack(**self._held(job_id), reason=self.reason or "")

    def _held(self, job_id: str) -> dict[str, str]:
        return {"job_id": job_id, "token": self.token, "engine_id": self.engine_id}

    def _refuse(self, *fields: str) -> None:
        _refuse_beside(self, *fields)


def _refuse_beside(report: StatusReport | JobReport, *fields: str) -> None:
    message = f"does not belong to status {report.status.value}"
    if problems := [
        FieldProblem(f"/{name}", message) for name in fields if getattr(report, name) is not None
    ]:
        raise InvalidCommandError(problems)


@frozen(kw_only=True)
class ShortForm:
    """The end of an attempt, where the path says how: ``result`` for complete, ``error`` for fail."""

    token: Token
    engine_id: EngineId
    result: JsonObject | None = None
    error: ReportedError | None = None
    usage: JsonObject | None = None

    def report(self, status: ReportedStatus) -> StatusReport:
        """The full report it stands for."""
        return StatusReport(
            token=self.token,
            engine_id=self.engine_id,
            status=status,
            result=self.result,
            error=self.error,
            usage=self.usage,
        )


class Reported(StrEnum):
    """What an engine says of an attempt, in a list of reports."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    GIVEN_BACK = "given_back"


@frozen(kw_only=True)
class JobReport:
    """One of many reports of an engine. ``running`` renews the lease, with ``progress`` it says how far it is.

    ``result`` belongs to completed, ``error`` to failed, ``reason`` to given_back, ``usage`` to the first two of these.
    """

    job_id: JobId
    token: Token
    status: Reported
    progress: Progress | None = None
    result: JsonObject | None = None
    error: ReportedError | None = None
    usage: JsonObject | None = None
    reason: Note | None = None

    def command(self, engine_id: str) -> ReportCommand:
        """The command it stands for. Raises InvalidCommandError if a field does not belong to the status."""
        if self.status is not Reported.RUNNING:
            return self._end(engine_id)
        _refuse_beside(self, "result", "error", "usage", "reason")
        held = {"job_id": self.job_id, "token": self.token, "engine_id": engine_id}
        return Renew(**held) if self.progress is None else ReportProgress(**held, progress=self.progress)

    def _end(self, engine_id: str) -> Complete | Fail | GiveBack:
        _refuse_beside(self, "progress")
        return StatusReport(
            token=self.token,
            engine_id=engine_id,
            status=ReportedStatus(self.status.value),
            result=self.result,
            error=self.error,
            usage=self.usage,
            reason=self.reason,
        ).command(self.job_id)


@frozen(kw_only=True)
class ManyReports:
    """Reports of one engine, each answered for itself."""

    reports: Annotated[tuple[JobReport, ...], Length(1, REPORTS_MAX)]


def _job_error(error: ReportedError | None) -> JobError:
    error = error or ReportedError()
    return JobError(
        failure_class=error.failure_class,
        message=error.message,
        detail=error.detail,
        retryable=error.retryable,
    )


@frozen(kw_only=True)
class Registration:
    """An engine process presents itself."""

    session: Text
    profile: Profile = field(factory=Profile)


@frozen(kw_only=True)
class SignOfLife:
    """A heartbeat: the leases the engine works on, and how it is."""

    session: Text
    leases: Annotated[tuple[HeldLease, ...], Length(0, 1_000)] = ()
    disk_free_bytes: Natural | None = None
    load: Annotated[float, Bound(0, 1e6)] | None = None


@frozen(kw_only=True)
class NewKey:
    """Who is let in, to what. ``tenant`` null is the caller's own; ``expires_at`` is an RFC 3339 time."""

    name: KeyName
    scopes: tuple[Scope, ...]
    tenant: TenantName | None = None
    engine_id: EngineId | None = None
    expires_at: str | None = None


@frozen(kw_only=True)
class Rotation:
    """How long the former secret stays good, up to 30 days."""

    overlap_s: Annotated[float, Bound(0, OVERLAP_S_MAX)] = 0.0


@frozen(kw_only=True)
class Measurements:
    """Measured speeds."""

    benchmarks: Annotated[tuple[Benchmark, ...], Length(1, 500)]
