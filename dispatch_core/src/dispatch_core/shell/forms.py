"""Edge forms: the JSON people and engines see, the same over HTTP, in the CLI and in exports.

Instants are RFC 3339 text in UTC; spans are seconds; sizes say their unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

import attrs

from dispatch_core.kernel.estimates import Observed
from dispatch_core.kernel.scheduling.rates import Rate
from dispatch_core.ports.storage import Recorded
from dispatch_core.shell.bulk import BulkReport
from dispatch_core.shell.parse import parse
from dispatch_core.shell.pointing import DEADLINE, pointing_at
from dispatch_core.shell.wire import to_plain
from dispatch_core.vocabulary.attempts import Attempt, Lease, LeaseStatus
from dispatch_core.vocabulary.clock import SECOND_US, from_datetime, to_datetime
from dispatch_core.vocabulary.commands import Edit
from dispatch_core.vocabulary.engines import Engine, EnginePulse, HeartbeatAnswer, Profile, Quarantine
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.jobs import ATTEMPTS_MAX, Deadline, Job, JobError, JobSize, JobSpec, Wish
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.windows import Window

Form = dict[str, Any]
MERGEABLE = ("retry", "timeouts", "size", "deadline", "parameters")


def instant(us: int | None) -> str | None:
    """RFC 3339 text of an instant, microseconds kept."""
    if us is None:
        return None
    second, rest = divmod(us, SECOND_US)
    return f"{_to_the_second(second)}.{rest:06d}Z"


@lru_cache(maxsize=4_096)
def _to_the_second(second: int) -> str:
    """The text of a second; what happens now has the same one many times."""
    return to_datetime(second * SECOND_US).isoformat(timespec="seconds").removesuffix("+00:00")


def seconds(us: int | None) -> float | None:
    """Microseconds as seconds."""
    return None if us is None else us / SECOND_US


def parse_instant(text: object, path: str) -> int:
    """Microseconds of an RFC 3339 text. Raises InvalidCommandError."""
    try:
        found = from_datetime(datetime.fromisoformat(text if isinstance(text, str) else ""))
        if found >= 0 and instant(found):  # a zone can push a time beyond the calendar
            return found
    except (ValueError, OverflowError):
        pass
    raise InvalidCommandError(
        [FieldProblem(path, "must be a time with its zone, such as 2030-01-31T12:00:00Z")]
    )


# ----- in


def spec_from_form(data: object, *, priority: int = 0) -> JobSpec:
    """A job spec from its edge form. ``not_before``, ``deadline.at``, ``max_retries`` and some of ``size`` are edge names.

    ``priority`` is what one gets that names none: that of the dispatcher's settings.
    """
    stored = _to_stored(data)
    with pointing_at(DEADLINE):
        return parse(JobSpec, {"priority": priority, **stored} if isinstance(stored, Mapping) else stored)


def edit_from_form(data: object) -> Edit:
    """An edit from a JSON merge patch (RFC 7396): what it does not name stays, in nested objects too."""
    stored = _to_stored(data)
    if not isinstance(stored, dict):
        return parse(Edit, stored)
    nested = {name: stored.pop(name) for name in MERGEABLE if isinstance(stored.get(name), Mapping)}
    if "merge" in stored:
        raise InvalidCommandError([FieldProblem("/merge", "is not a known field")])
    return attrs.evolve(parse(Edit, stored), merge=nested)


def profile_from_form(data: object) -> Profile:
    """An engine's profile from its edge form."""
    return parse(Profile, data)


def _to_stored(data: object) -> object:
    if not isinstance(data, Mapping):
        return data
    stored = dict(data)
    if "not_before_us" in stored:
        message = "is not a known field; did you mean 'not_before'?"
        raise InvalidCommandError([FieldProblem("/not_before_us", message)])
    if "not_before" in stored:
        at = stored.pop("not_before")
        stored["not_before_us"] = None if at is None else parse_instant(at, "/not_before")
    if isinstance(stored.get("size"), Mapping):
        stored["size"] = _size_to_stored(stored["size"])
    if isinstance(stored.get("deadline"), Mapping):
        stored["deadline"] = _deadline_to_stored(stored["deadline"])
    if "max_retries" in stored:
        stored["retry"] = _retry_to_stored(stored.pop("max_retries"), stored.get("retry") or {})
    return stored


def _retry_to_stored(retries: object, retry: object) -> object:
    """``max_retries`` counts what comes after the first attempt."""
    if isinstance(retries, float) and retries.is_integer():
        retries = int(retries)
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries < ATTEMPTS_MAX:
        message = f"must be a whole number from 0 to {ATTEMPTS_MAX - 1}"
        raise InvalidCommandError([FieldProblem("/max_retries", message)])
    if not isinstance(retry, Mapping):
        return retry
    if "max_attempts" in retry:
        message = "says the same as retry.max_attempts, which counts the first attempt, too; give one"
        raise InvalidCommandError([FieldProblem("/max_retries", message)])
    return {**retry, "max_attempts": retries + 1}


def _deadline_to_stored(deadline: Mapping[str, object]) -> Form:
    stored = dict(deadline)
    if "at_us" in stored:
        message = "is not a known field; did you mean 'at'?"
        raise InvalidCommandError([FieldProblem("/deadline/at_us", message)])
    if "at" in stored:
        stored["at_us"] = parse_instant(stored.pop("at"), "/deadline/at")
    return stored


def _size_to_stored(size: Mapping[str, object]) -> Form:
    stored = dict(size)
    for edge, name, factor in (
        ("size_mb", "size_bytes", 1_000_000),
        ("duration_s", "duration_us", SECOND_US),
    ):
        if edge in stored:
            value = stored.pop(edge)
            if name in stored:
                raise InvalidCommandError(
                    [FieldProblem(f"/size/{edge}", f"says the same as {name}; give one")]
                )
            if value is None:
                stored[name] = None
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1e12:
                raise InvalidCommandError([FieldProblem(f"/size/{edge}", "must be a number from 0 to 1e12")])
            stored[name] = round(value * factor)
    return stored


# ----- out


def key_form(key: Key) -> Form:
    """Everything about a key but its digests."""
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": list(key.scopes),
        "engine_id": key.engine_id,
        "version": key.version,
        "created_at": instant(key.created_us),
        "updated_at": instant(key.updated_us),
        "expires_at": instant(key.expires_us),
        "former_until": instant(key.former_until_us),
        "revoked_at": instant(key.revoked_us),
    }


def job_form(job: Job, *, attempts_cap: int = ATTEMPTS_MAX, fields: Sequence[str] = ()) -> Form:
    """Everything there is to say of a job, or these fields; ``attempts_cap`` is that of the dispatcher's settings."""
    if fields:
        return {name: _OF_JOB[name](job, job.spec, attempts_cap) for name in fields}
    spec = job.spec
    return {name: told(job, spec, attempts_cap) for name, told in _OF_JOB.items()}


_OF_JOB: Mapping[str, Callable[[Job, JobSpec, int], Any]] = {
    "id": lambda job, _spec, _cap: job.id,
    "tenant": lambda job, _spec, _cap: job.tenant,
    "kind": lambda _job, spec, _cap: spec.kind,
    "state": lambda job, _spec, _cap: job.state.value,
    "priority": lambda _job, spec, _cap: spec.priority,
    "parameters": lambda _job, spec, _cap: spec.parameters,
    "size": lambda _job, spec, _cap: size_form(spec.size),
    "requirements": lambda _job, spec, _cap: list(spec.requirements),
    "ladder": lambda _job, spec, _cap: [to_plain(each) for each in spec.ladder],
    "step": lambda job, _spec, _cap: job.step,
    "asked": lambda job, _spec, _cap: None if job.asked is None else _wish_form(job.asked),
    "falls_back_at": lambda job, _spec, _cap: instant(job.fall_at_us),
    "pool": lambda _job, spec, _cap: spec.pool,
    "account": lambda _job, spec, _cap: spec.account,
    "campaign": lambda _job, spec, _cap: spec.campaign,
    "mode": lambda _job, spec, _cap: spec.mode,
    "deadline": lambda _job, spec, _cap: None if spec.deadline is None else deadline_form(spec.deadline),
    "deadline_missed": lambda job, _spec, _cap: job.deadline_missed,
    "limits": lambda _job, spec, _cap: [_all(each) for each in spec.limits],
    "retry": lambda _job, spec, _cap: _all(spec.retry),
    "max_attempts_effective": lambda _job, spec, cap: min(spec.retry.max_attempts, cap),
    "timeouts": lambda _job, spec, _cap: _all(spec.timeouts),
    "note": lambda _job, spec, _cap: spec.note,
    "version": lambda job, _spec, _cap: job.version,
    "generation": lambda job, _spec, _cap: job.generation,
    "attempts_used": lambda job, _spec, _cap: job.attempts_used,
    "live_attempt": lambda job, _spec, _cap: job.live_attempt,
    "engine_id": lambda job, _spec, _cap: job.engine_id,
    "hold": lambda job, _spec, _cap: None if job.held is None else {"reason": job.held},
    "pin": lambda job, _spec, _cap: None if job.pin is None else _pin_form(job),
    "cancel_requested": lambda job, _spec, _cap: job.cancel_asked,
    "cancel_reason": lambda job, _spec, _cap: job.cancel_reason,
    "not_before": lambda _job, spec, _cap: instant(spec.not_before_us),
    "retry_at": lambda job, _spec, _cap: instant(job.retry_at_us),
    "next_timer_at": lambda job, _spec, _cap: instant(job.due_us),
    "created_at": lambda job, _spec, _cap: instant(job.created_us),
    "updated_at": lambda job, _spec, _cap: instant(job.updated_us),
    "ended_at": lambda job, _spec, _cap: instant(job.ended_us),
    "deleted_at": lambda job, _spec, _cap: instant(job.deleted_us),
    "result": lambda job, _spec, _cap: job.result,
    "error": lambda job, _spec, _cap: error_form(job.error),
    "failed_on": lambda job, _spec, _cap: [_all(each) for each in job.failed_on],
}


def deadline_form(deadline: Deadline) -> Form:
    """When a job should be done."""
    return {"at": instant(deadline.at_us), "hard": deadline.hard}


def _wish_form(wish: Wish) -> Form:
    return {"requirements": list(wish.requirements), "parameters": wish.parameters}


def _all(value: object) -> Form:
    kind: Any = type(value)
    names, values = _parts_of(kind)
    return dict(zip(names, values(value), strict=True))


@cache
def _parts_of(kind: Any) -> tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]:
    """The names of what a class of slots holds, and what takes that out of a value."""
    names = tuple(name for name in kind.__slots__ if not name.startswith("_"))
    take = attrgetter(*names)
    return names, take if len(names) > 1 else lambda value: (take(value),)


def _pin_form(job: Job) -> Form:
    assert job.pin is not None
    return {"engine_id": job.pin.engine_id, "until": instant(job.pin.until_us), "reason": job.pin.reason}


def size_form(size: JobSize) -> Form:
    """The known measures of a job."""
    known = {
        "size_bytes": size.size_bytes,
        "duration_s": None if size.duration_us is None else size.duration_us / SECOND_US,
        "width": size.width,
        "height": size.height,
        "frames": size.frames,
    }
    return {name: value for name, value in known.items() if value is not None}


def error_form(error: JobError | None) -> Form | None:
    """Why an attempt or a job failed."""
    return None if error is None else _all(error)


def attempt_form(attempt: Attempt) -> Form:
    """One grant: who, when, how far, how it ended."""
    progress = attempt.progress
    return {
        "job_id": attempt.job_id,
        "attempt": attempt.number,
        "generation": attempt.generation,
        "engine_id": attempt.engine_id,
        "session": attempt.session,
        "granted_at": instant(attempt.granted_us),
        "deadline_at": instant(attempt.deadline_us),
        "ended_at": instant(attempt.ended_us),
        "outcome": attempt.outcome and attempt.outcome.value,
        "progress": None if progress is None else _all(progress),
        "progress_at": instant(attempt.progress_at_us),
        "error": error_form(attempt.error),
        "usage": attempt.usage,
        "estimate_s": seconds(attempt.estimate_us),
        "took_s": seconds(attempt.took_us),
    }


def lease_form(lease: Lease, *, attempts_cap: int = ATTEMPTS_MAX) -> Form:
    """What a claim returns: the token to report with, the deadline, and the job."""
    return {
        "job_id": lease.job.id,
        "attempt": lease.attempt,
        "token": lease.token,
        "engine_id": lease.engine_id,
        "session": lease.session,
        "granted_at": instant(lease.granted_us),
        "deadline_at": instant(lease.deadline_us),
        "ttl_s": lease.ttl_us / SECOND_US,
        "job": job_form(lease.job, attempts_cap=attempts_cap),
    }


def lease_status_form(status: LeaseStatus) -> Form:
    """The answer to a sign of life: go on, stop (``cancel``), or forget it (``lost``)."""
    return {
        "job_id": status.job_id,
        "token": status.token,
        "deadline_at": instant(status.deadline_us),
        "cancel": status.cancel,
        "lost": status.lost,
    }


def heartbeat_form(answer: HeartbeatAnswer) -> Form:
    """Everything an engine hears at a heartbeat."""
    return {
        "wanted": _all(answer.wanted) | {"state": answer.wanted.state.value},
        "leases": [lease_status_form(each) for each in answer.leases],
        "unnamed": [lease_status_form(each) for each in answer.unnamed],
        "next_s": answer.next_s,
    }


def performance_form(engine_id: str, found: Sequence[Observed]) -> Form:
    """What an engine was seen to do, by task class."""
    return {"engine_id": engine_id, "task_classes": [_all(each) for each in found]}


def estimates_form(found: Sequence[Rate]) -> Form:
    """How long a unit of work should take, by engine and task class."""
    return {"estimates": [_all(each) for each in found]}


def window_form(window: Window) -> Form:
    """A maintenance window; ``engine_id`` null means all engines."""
    return {
        "id": window.id,
        "engine_id": window.engine_id,
        "begins_at": instant(window.from_us),
        "ends_at": instant(window.until_us),
        "reason": window.reason,
        "actor": window.actor,
    }


def _quarantine_form(trial: Quarantine) -> Form:
    wait_s = trial.wait_us / SECOND_US
    return {"probe_at": instant(trial.probe_at_us), "wait_s": wait_s, "probing": trial.probing}


def engine_form(
    engine: Engine,
    pulse: EnginePulse | None,
    attempts: tuple[Attempt, ...] = (),
    windows: tuple[Window, ...] = (),
) -> Form:
    """An engine, its last sign of life, what it runs, and its maintenance windows."""
    profile = to_plain(engine.profile)
    return {
        "id": engine.id,
        "seen": engine.seen.value,
        "wanted": _all(engine.wanted) | {"state": engine.wanted.state.value},
        "quarantine": None if engine.quarantine is None else _quarantine_form(engine.quarantine),
        "session": engine.session,
        "version": engine.version,
        "kinds": list(engine.profile.kinds),
        "slots": engine.profile.slots,
        "facts": profile.get("facts", {}),
        "benchmarks": profile.get("benchmarks", []),
        "size_bytes_max": engine.profile.size_bytes_max,
        "engine_version": engine.profile.version,
        "registered_at": instant(engine.registered_us),
        "updated_at": instant(engine.updated_us),
        "last_seen_at": instant(pulse.seen_us) if pulse else None,
        "disk_free_bytes": pulse.disk_free_bytes if pulse else None,
        "load": pulse.load if pulse else None,
        "attempts": [attempt_form(each) for each in attempts],
        "windows": [window_form(each) for each in windows],
    }


def bulk_form(report: BulkReport) -> Form:
    """What a verb for many jobs found and did; the place where it goes on is the frontend's to write."""
    return {
        "count": report.count,
        "done": [job.id for job in report.done],
        "refused": [_all(each) for each in report.refused],
        "remaining": report.remaining,
    }


def recorded_form(row: Recorded) -> Form:
    """One history row."""
    return {
        "cursor": f"{row.tx}.{row.n}",
        "type": row.ref[0].value,
        "id": row.ref[1],
        "version": row.version,
        "at": instant(row.at_us),
        "actor": row.actor,
        "event": row.event,
        "data": row.data,
        "request_id": row.request_id,
    }
