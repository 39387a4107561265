"""What the older fleet means by its calls. Its engines carry no token, so it is looked up in the store for them.

An engine's session stands for one stretch of work it can answer for: a new one begins when the process
starts, and when the engine asks for work though it holds some, which says that it has forgotten it.
A new session ends the attempts of the former one as lease end: they stay counted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from dispatch_core import (
    Attempt,
    Command,
    Complete,
    Dispatcher,
    EngineStatus,
    Fail,
    GiveBack,
    HeldLease,
    Job,
    JobError,
    JobState,
    Lease,
    LeaseLostError,
    Profile,
    Progress,
    ReportProgress,
    Seen,
    SessionReplacedError,
    UnknownEngineError,
    UnknownJobError,
    WrongStateError,
)
from dispatch_http.legacy.kind import is_ours
from dispatch_http.legacy.reading import Advance, engine_key, profile_of, starts, storable

SESSION = "older-fleet-"
TRIES_MAX = 4
"""How often a call is decided again because the engine or the job changed under it."""
_RETRYABLE = (JobState.FAILED_RETRY, JobState.FAILED_PERMANENTLY, JobState.CANCELLED)
_URL_MAX = 2_048
_MESSAGE_MAX = 200


# ----- engines


def heartbeat(dispatcher: Dispatcher, name: str, data: Mapping[str, Any]) -> None:
    """A sign of life: renews all the engine holds, or begins a session if the process is new.

    Raises SessionReplacedError if the name belongs to an engine that speaks the present protocol.
    """
    for _ in range(TRIES_MAX):
        status = _present(dispatcher, name)
        if status is None or starts(data):
            _begin(dispatcher, engine_key(name), profile_of(name, data))
            return
        held = [HeldLease(each.job_id, each.token) for each in status.attempts]
        try:
            dispatcher.heartbeat(status.engine.id, session=status.engine.session, leases=held)
            return
        except (SessionReplacedError, UnknownEngineError):  # a new session began between the two steps
            continue


def assign(dispatcher: Dispatcher, name: str) -> Lease | None:
    """A job for an engine that is free: it never asks while it works. Raises UnknownEngineError.

    What it still holds was lost with a crash, an answer or a report. It may get the same job again,
    as a new attempt: it would redo it from scratch, and a job that kills engines must come to an end.
    """
    status = _present(dispatcher, name)
    if status is None:
        raise UnknownEngineError(f"engine {name!r} is not registered: send a heartbeat first")
    session = status.engine.session
    if status.attempts:
        session = _begin(dispatcher, status.engine.id, status.engine.profile)
    try:
        leases = dispatcher.claim(status.engine.id, session=session)
    except SessionReplacedError:  # it has asked twice at a time, and the other call serves it
        return None
    return leases[0] if leases else None


def _present(dispatcher: Dispatcher, name: str) -> EngineStatus | None:
    """The engine as the store has it, or None if it must begin anew."""
    try:
        status = dispatcher.engine(engine_key(name))
    except UnknownEngineError:
        return None
    if status.engine.session.startswith(SESSION):
        return None if status.engine.seen is Seen.LEFT else status
    if status.engine.seen is Seen.LIVE:
        raise SessionReplacedError(f"{name!r} is the id of an engine that speaks the present protocol")
    return None


def _begin(dispatcher: Dispatcher, engine_id: str, profile: Profile) -> str:
    session = SESSION + secrets.token_hex(8)
    dispatcher.register(engine_id, profile, session=session)
    return session


def is_older(status: EngineStatus) -> bool:
    """Whether an engine is of the older fleet."""
    return status.engine.session.startswith(SESSION)


# ----- jobs


def find(dispatcher: Dispatcher, job_id: str) -> Job:
    """A job of the older fleet. Raises UnknownJobError: other jobs, and deleted ones, do not exist for it."""
    job = _itself(dispatcher).job(job_id)
    if not is_ours(job.spec) or job.deleted_us is not None:
        raise UnknownJobError(f"there is no job {job_id} of the older fleet")
    return job


def _itself(dispatcher: Dispatcher) -> Dispatcher:
    """This frontend, for the caller's tenant: it looks up what the caller's scopes need not show, and
    acknowledges a cancel that the caller may ask for though only an engine could acknowledge it.
    """
    return dispatcher.acting(evolve(dispatcher.context, scopes=None, receipt_key=None))


def live_attempt(dispatcher: Dispatcher, job: Job) -> Attempt | None:
    """The attempt that may be reported, if there is one: lease end does not end the right to report."""
    if job.live_attempt is None:
        return None
    return next(
        (each for each in _itself(dispatcher).attempts(job.id) if each.number == job.live_attempt), None
    )


def complete(dispatcher: Dispatcher, job_id: str, output_url: object) -> Job:
    """The job is done, whoever says so."""
    result = {"output_url": storable(output_url, _URL_MAX)}
    return _report(dispatcher, job_id, lambda held: Complete(**_named(held), result=result))


def fail(dispatcher: Dispatcher, job_id: str, message: object) -> Job:
    """The attempt failed; what follows is the retry policy's decision."""
    text = message if isinstance(message, str) and message else "the engine gave no reason"
    error = JobError(failure_class="engine", message=text)
    return _report(dispatcher, job_id, lambda held: Fail(**_named(held), error=error))


def progress(dispatcher: Dispatcher, job_id: str, advance: Advance) -> None:
    """How far the job is. Raises WrongStateError if nobody may be working on it."""
    told = Progress(fraction=advance.progress / 100, message=storable(advance.message, _MESSAGE_MAX))
    held = _held(dispatcher, job_id)
    if held is None:
        raise WrongStateError(f"{job_id} is not being worked on")
    dispatcher.execute(ReportProgress(**_named(held), progress=told))


def cancel(dispatcher: Dispatcher, job_id: str) -> Job:
    """Stop a job at once. Its engine cannot be told, so the cancel is acknowledged for it."""
    find(dispatcher, job_id)
    job = dispatcher.cancel(job_id)
    if not job.cancel_asked:
        return job
    try:
        return _report(
            _itself(dispatcher), job_id, lambda held: GiveBack(**_named(held), reason="cannot be told")
        )
    except LeaseLostError:  # an engine with a token runs it, and will hear of the cancel
        return job


def retry(dispatcher: Dispatcher, job_id: str) -> Job:
    """Begin again. Raises WrongStateError unless the job has failed or was cancelled."""
    job = find(dispatcher, job_id)
    if job.state not in _RETRYABLE:
        raise WrongStateError(f"{job_id} is {job.state.value}: only a failed or cancelled job is retried")
    return dispatcher.requeue(job_id)


def _report(dispatcher: Dispatcher, job_id: str, command: Callable[[Attempt], Command]) -> Job:
    """Apply a report to the live attempt, and return the job as it is then.

    Who reports is unknown. So a repeat, which finds no live attempt, changes nothing; and a report of
    an engine that has lost the job counts for the engine that has it now.
    """
    for _ in range(TRIES_MAX):
        held = _held(dispatcher, job_id)
        if held is None:
            break
        try:
            dispatcher.execute(command(held))
            break
        except LeaseLostError:  # it was given to somebody else, or reported, between the two steps
            continue
    return find(dispatcher, job_id)


def _held(dispatcher: Dispatcher, job_id: str) -> Attempt | None:
    """The live attempt of a job, which must be the older fleet's. Raises LeaseLostError."""
    held = live_attempt(dispatcher, find(dispatcher, job_id))
    if held is not None and not held.session.startswith(SESSION):
        raise LeaseLostError(f"{job_id} is run by an engine that reports with its token")
    return held


def _named(held: Attempt) -> dict[str, Any]:
    return {"job_id": held.job_id, "token": held.token, "engine_id": held.engine_id}
