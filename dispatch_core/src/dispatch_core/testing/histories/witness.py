"""A client or an engine of a dispatcher in this process, that logs what it asks and what it hears."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from attrs import frozen

from dispatch_core.shell.dispatcher import Dispatcher
from dispatch_core.testing.histories.logbook import Logbook
from dispatch_core.testing.histories.operations import Act, Granted
from dispatch_core.vocabulary.attempts import Attempt, Lease, LeaseStatus, Progress
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import CommandRejectedError, InvalidCommandError
from dispatch_core.vocabulary.jobs import Job, JobError, JobSpec

T = TypeVar("T")


@frozen
class Witness:
    """Asks one dispatcher in the name of its logbook, from one thread. Errors are logged and raised."""

    dispatcher: Dispatcher
    book: Logbook

    def submit(self, spec: JobSpec, *, key: str | None = None) -> Job:
        """Submit a job, under an idempotency key."""
        n = self.book.invoke(Act.SUBMIT, key=key)
        job = self._heard(n, lambda: self._keyed(key).submit(spec))
        self.book.ok(n, told_of_job(job), job_id=job.id)
        return job

    def claim(self, engine_id: str, *, session: str, limit: int = 1, key: str | None = None) -> list[Lease]:
        """Ask for work."""
        n = self.book.invoke(Act.CLAIM, engine_id=engine_id, key=key, limit=limit)
        leases = self._heard(n, lambda: self._keyed(key).claim(engine_id, session=session, limit=limit))
        self.book.ok(n, granted=[Granted(job_id=each.job.id, token=each.token) for each in leases])
        return leases

    def renew(self, lease: Lease) -> LeaseStatus:
        """Extend a lease."""
        return self._alive(Act.RENEW, lease, lambda: self.dispatcher.renew(lease))

    def progress(self, lease: Lease, fraction: float) -> LeaseStatus:
        """Report progress."""
        return self._alive(
            Act.PROGRESS, lease, lambda: self.dispatcher.progress(lease, Progress(fraction=fraction))
        )

    def complete(self, lease: Lease, result: Mapping[str, object] | None = None) -> Attempt:
        """Report that the work is done."""
        value = as_text(result or {})
        return self._ended(Act.COMPLETE, lease, lambda: self.dispatcher.complete(lease, result), value=value)

    def fail(self, lease: Lease, error: JobError) -> Attempt:
        """Report that the attempt failed."""
        return self._ended(
            Act.FAIL, lease, lambda: self.dispatcher.fail(lease, error), retryable=error.retryable
        )

    def give_back(self, lease: Lease) -> Attempt:
        """Return a lease undone."""
        return self._ended(Act.GIVE_BACK, lease, lambda: self.dispatcher.give_back(lease))

    def cancel(self, job_id: str) -> Job:
        """Ask for a job to be stopped."""
        return self._about(Act.CANCEL, job_id, self.dispatcher.cancel)

    def requeue(self, job_id: str) -> Job:
        """Open a new generation of a job."""
        return self._about(Act.REQUEUE, job_id, self.dispatcher.requeue)

    def look(self, job_id: str) -> Job:
        """Read a job."""
        return self._about(Act.LOOK, job_id, self.dispatcher.job)

    def _keyed(self, key: str | None) -> Dispatcher:
        return self.dispatcher.acting(Context(actor=self.book.process, receipt_key=key))

    def _about(self, act: Act, job_id: str, ask: Callable[[str], Job]) -> Job:
        n = self.book.invoke(act, job_id=job_id)
        job = self._heard(n, lambda: ask(job_id))
        self.book.ok(n, told_of_job(job))
        return job

    def _alive(self, act: Act, lease: Lease, ask: Callable[[], LeaseStatus]) -> LeaseStatus:
        n = self.book.invoke(act, job_id=lease.job.id, token=lease.token, engine_id=lease.engine_id)
        status = self._heard(n, ask)
        self.book.ok(n, {"cancel": status.cancel})
        return status

    def _ended(
        self,
        act: Act,
        lease: Lease,
        ask: Callable[[], Attempt],
        *,
        value: str | None = None,
        retryable: bool = True,
    ) -> Attempt:
        n = self.book.invoke(
            act, job_id=lease.job.id, token=lease.token, engine_id=lease.engine_id, value=value, retryable=retryable
        )  # fmt: skip
        attempt = self._heard(n, ask)
        self.book.ok(n, told_of_attempt(attempt))
        return attempt

    def _heard(self, n: int, ask: Callable[[], T]) -> T:
        """The answer; a refusal is logged as one, and of anything else nobody knows what it did."""
        try:
            return ask()
        except (CommandRejectedError, InvalidCommandError) as error:
            self.book.fail(n, error.code)
            raise
        except BaseException:
            self.book.unknown(n)
            raise


def as_text(result: Mapping[str, object]) -> str:
    """A result as the text that a log holds of it."""
    return json.dumps(result, sort_keys=True)


def told_of_job(job: Job) -> dict[str, object]:
    """What a log holds of a job that was read or answered."""
    told: dict[str, object] = {
        "state": job.state.value,
        "generation": job.generation,
        "attempts_used": job.attempts_used,
        "live_attempt": job.live_attempt,
        "cancel_requested": job.cancel_asked,
    }
    return told if job.result is None else told | {"result": as_text(job.result)}


def told_of_attempt(attempt: Attempt) -> dict[str, object]:
    """What a log holds of an attempt that was reported: every repeat must hear the same."""
    outcome = None if attempt.outcome is None else attempt.outcome.value
    return {"attempt": attempt.number, "outcome": outcome, "ended_us": attempt.ended_us}
