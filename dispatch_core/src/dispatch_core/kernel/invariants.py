"""The laws, as checks over records. Used by tests, the simulation and ``verify``; empty means all hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.jobs import Job, JobState


def broken_laws(job: Job, attempts: Collection[Attempt], give_backs_max: int = 16) -> Iterator[str]:
    """Every law that this job and its attempts break, in words."""
    yield from _attempt_laws(job, attempts, give_backs_max)
    yield from _state_laws(job)


def _attempt_laws(job: Job, attempts: Collection[Attempt], give_backs_max: int) -> Iterator[str]:
    open_numbers = [attempt.number for attempt in attempts if attempt.ended_us is None]
    numbers = sorted(attempt.number for attempt in attempts)
    if len(open_numbers) > 1:
        yield f"{job.id}: more than one open attempt {open_numbers}"
    if open_numbers and job.state is not JobState.ASSIGNED:
        yield f"{job.id}: open attempt {open_numbers} in state {job.state}"
    if job.state is JobState.ASSIGNED and open_numbers != [job.live_attempt]:
        yield f"{job.id}: assigned, but open attempts are {open_numbers}, live is {job.live_attempt}"
    if numbers != list(range(1, job.last_attempt + 1)):
        yield f"{job.id}: attempt numbers {numbers}, last {job.last_attempt}"
    grants = sum(attempt.generation == job.generation for attempt in attempts)
    if grants != job.attempts_used + job.give_backs or job.give_backs > give_backs_max:
        yield f"{job.id}: {grants} grants, {job.attempts_used} used, {job.give_backs} given back"


def _state_laws(job: Job) -> Iterator[str]:
    if job.attempts_used > job.spec.retry.max_attempts:
        yield f"{job.id}: {job.attempts_used} attempts of {job.spec.retry.max_attempts}"
    if job.state.terminal and (job.live_attempt is not None or job.engine_id is not None):
        yield f"{job.id}: terminal but still live"
    if (job.state is JobState.ASSIGNED) != (job.engine_id is not None):
        yield f"{job.id}: state {job.state} with engine {job.engine_id}"
    if (
        job.state in (JobState.DELAYED, JobState.FAILED_RETRY)
        and job.due_us is None
        and job.deleted_us is None
    ):
        yield f"{job.id}: waits for time in {job.state} without a timer"
    if job.cancel_asked and job.grace_at_us is None:
        yield f"{job.id}: asked to stop without a grace"
    if job.claimable != (job.ready is not None):
        yield f"{job.id}: lane {job.ready and job.ready.lane} while claimable is {job.claimable}"
    if job.state.terminal != (job.ended_us is not None):
        yield f"{job.id}: state {job.state} ended at {job.ended_us}"
