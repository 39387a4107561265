"""Request bodies as values. The core checks the bounds of what is in them; here is only which fields there are."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from dispatch_core import (
    Benchmark,
    Complete,
    Fail,
    FieldProblem,
    GiveBack,
    HeldLease,
    InvalidCommandError,
    JobError,
    PoolId,
    PoolSpec,
    Profile,
    Progress,
    Scope,
)
from dispatch_core.forms import parse

JsonObject = Mapping[str, object]


@frozen
class Nothing:
    """A body without fields."""


@frozen(kw_only=True)
class Because:
    """Why somebody does this."""

    reason: str = ""


@frozen(kw_only=True)
class ManyJobs:
    """A verb for the jobs of a filter: first with ``dry_run``, then with the count it told as ``expected``."""

    filter: JsonObject
    dry_run: bool = False
    expected: int | None = None
    limit: int = 1_000
    cursor: str | None = None


@frozen(kw_only=True)
class ManyJobsBecause(ManyJobs):
    """The same with a reason."""

    reason: str = ""


@frozen(kw_only=True)
class Assignment:
    """Where the next grant goes; ``engine_id`` null ends it. ``until`` is an RFC 3339 time."""

    engine_id: str | None
    until: str | None = None
    reason: str = ""


@frozen(kw_only=True)
class HeldToken:
    """Which attempt of the job in the path, and who holds it."""

    token: str
    engine_id: str


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

    used_bytes: int
    capacity_bytes: int | None = None


class ReportedStatus(StrEnum):
    """How an attempt ended, in the engine's words."""

    COMPLETED = "completed"
    FAILED = "failed"
    GIVEN_BACK = "given_back"


@frozen(kw_only=True)
class ReportedError:
    """Why an attempt failed. Everything has a default: a report is better vague than refused."""

    failure_class: str = "engine"
    message: str = "the engine gave no reason"
    detail: str = ""
    retryable: bool = True


@frozen(kw_only=True)
class StatusReport:
    """The end of an attempt. ``result`` belongs to completed, ``error`` to failed, ``reason`` to given_back."""

    token: str
    engine_id: str
    status: ReportedStatus
    result: JsonObject | None = None
    error: ReportedError | None = None
    usage: JsonObject | None = None
    reason: str | None = None

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
        message = f"does not belong to status {self.status.value}"
        if problems := [
            FieldProblem(f"/{name}", message) for name in fields if getattr(self, name) is not None
        ]:
            raise InvalidCommandError(problems)


@frozen(kw_only=True)
class ShortForm:
    """The end of an attempt, where the path says how: ``result`` for complete, ``error`` for fail."""

    token: str
    engine_id: str
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

    session: str
    profile: Profile = field(factory=Profile)


@frozen(kw_only=True)
class SignOfLife:
    """A heartbeat: the leases the engine works on, and how it is."""

    session: str
    leases: tuple[HeldLease, ...] = ()
    disk_free_bytes: int | None = None
    load: float | None = None


@frozen(kw_only=True)
class NewKey:
    """Who is let in, to what. ``tenant`` null is the caller's own; ``expires_at`` is an RFC 3339 time."""

    name: str
    scopes: tuple[Scope, ...]
    tenant: str | None = None
    engine_id: str | None = None
    expires_at: str | None = None


@frozen(kw_only=True)
class Rotation:
    """How long the former secret stays good, up to 30 days."""

    overlap_s: float = 0.0


@frozen(kw_only=True)
class Measurements:
    """Measured speeds."""

    benchmarks: tuple[Benchmark, ...]
