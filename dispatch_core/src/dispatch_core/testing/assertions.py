"""Assertions about where jobs run. When one fails, it says why the job is where it is, engine by engine."""

from __future__ import annotations

from dispatch_core.kernel.scheduling.explanation import JobVerdict
from dispatch_core.shell.dispatcher import Dispatcher
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.jobs import Job


def assert_assigned(dispatcher: Dispatcher, job: Job | str, engine: str) -> None:
    """The job's latest attempt is that engine's, whether it still runs or has ended. Raises AssertionError."""
    job_id = _id_of(job)
    attempts = dispatcher.attempts(job_id)
    if not attempts or attempts[-1].engine_id != engine:
        ran = f"went to {attempts[-1].engine_id}" if attempts else "went to no engine"
        raise AssertionError(f"{job_id} {ran}, not to {engine}\n{why(dispatcher, job_id)}")


def assert_never_matches(dispatcher: Dispatcher, job: Job | str) -> None:
    """No engine known could ever run the job, be it free, away or in maintenance. Raises AssertionError."""
    job_id = _id_of(job)
    verdict = dispatcher.explain(job_id).verdict
    if verdict is not JobVerdict.NEVER:
        raise AssertionError(f"{job_id} should match no engine, but is {verdict}\n{why(dispatcher, job_id)}")


def why(dispatcher: Dispatcher, job: Job | str) -> str:
    """Why a job is where it is, in words: the verdict, all reasons of every engine, and what was tried."""
    stored = dispatcher.job(_id_of(job))
    told = dispatcher.explain(stored.id)
    lines = [f"  {stored.spec.kind}, {stored.state.value}: {told.verdict}, {told.summary}"]
    if told.unblock:
        lines.append(f"  to unblock it: {told.unblock}")
    for answer in told.engines:
        reasons = "; ".join(f"{reason.code}: {reason.message}" for reason in answer.reasons)
        estimate = "" if answer.estimate_s is None else f" (about {answer.estimate_s:g} s)"
        lines.append(f"  {answer.engine_id}{estimate}: {reasons or 'could take it now'}")
    lines += [f"  {_told(attempt)}" for attempt in dispatcher.attempts(stored.id)]
    return "\n".join(lines)


def _told(attempt: Attempt) -> str:
    outcome = attempt.outcome.value if attempt.outcome else "running"
    error = f": {attempt.error.message}" if attempt.error else ""
    took_s = ((attempt.ended_us or attempt.granted_us) - attempt.granted_us) / SECOND_US
    after = f" after {took_s:g} s" if attempt.ended_us else ""
    return f"attempt {attempt.number} on {attempt.engine_id}: {outcome}{after}{error}"


def _id_of(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id
