"""A world of one job, driven by the kernel alone: what the shell does, without a store."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from attrs import define, field

from dispatch_core.kernel.evolve import evolve, evolve_attempt
from dispatch_core.kernel.lifecycle import decide
from dispatch_core.kernel.pacing import paced
from dispatch_core.kernel.terms import Decision, Terms, enter, ttl_at
from dispatch_core.vocabulary import commands as c
from dispatch_core.vocabulary.attempts import Attempt, Progress
from dispatch_core.vocabulary.events import JobEvent, JobSubmitted
from dispatch_core.vocabulary.jobs import Job, JobError, JobSpec, JobState, Ready, Retry, Timeouts

SECOND = 1_000_000
START = 1_000 * SECOND
TERMS = Terms(incarnation="i", lease_ttl_us=30 * SECOND, give_backs_max=2)
SPEC = JobSpec(retry=Retry(max_attempts=2), timeouts=Timeouts(queue_s=100, run_s=50, no_progress_s=20))
READY = Ready("open", "class", 0, 0, 0, 1.0)


@define
class World:
    """One job, its attempts, its history, and the time."""

    spec: JobSpec = SPEC
    terms: Terms = TERMS
    now: int = START
    job: Job = field(init=False)
    attempts: dict[int, Attempt] = field(factory=dict)
    history: list[tuple[JobEvent, int]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        draft = Job(
            id="job-1", tenant="t", version=1, spec=self.spec, state=JobState.PENDING, created_us=self.now,
            updated_us=self.now,
        )  # fmt: skip
        into = enter(draft, self.now)
        event = JobSubmitted(
            job_id="job-1", tenant="t", spec=self.spec, state=into, held="hold" if self.spec.hold else None,
            ttl_at_us=ttl_at(draft, self.now, into),
        )  # fmt: skip
        event = paced(None, event, self.now)
        self.history.append((event, self.now))
        self.job = placed(evolve(None, event, self.now))

    def copy(self) -> World:
        """An independent world in the same state."""
        twin = object.__new__(World)
        twin.spec, twin.terms, twin.now, twin.job = self.spec, self.terms, self.now, self.job
        twin.attempts, twin.history = dict(self.attempts), list(self.history)
        return twin

    def do(self, command: c.JobCommand) -> Decision:
        """Decide and carry out; a refusal changes nothing."""
        decision = decide(
            self.job, self.attempts.get(self.number_of(command) or 0), command, self.now, self.terms
        )
        if decision.pulse is not None:
            self.attempts[decision.pulse.number] = decision.pulse
        for event in decision.events:
            before = self.job
            after = evolve(before, event, self.now)
            number = getattr(event, "attempt", None)
            attempt = evolve_attempt(before, self.attempts.get(number or 0), event, after.updated_us)
            if attempt is not None:
                self.attempts[attempt.number] = attempt
            self.history.append((event, after.updated_us))
            self.job = placed(after)
        return decision

    def number_of(self, command: c.JobCommand) -> int | None:
        """The attempt a command is about: the one it names, else the live one."""
        if isinstance(command, c.JobReport):
            return int(command.token.rpartition(".")[2])
        return command.number if isinstance(command, c.EndAttempt) else self.job.live_attempt

    def token(self, number: int | None = None) -> str:
        """The token of an attempt, the live one by default."""
        return f"i.{self.job.live_attempt or self.job.last_attempt or 99 if number is None else number}"

    def commands(self) -> Iterator[c.JobCommand]:
        """Every command worth trying now, about the live attempt and about the one before it."""
        j, e = "job-1", "engine-1"
        yield c.Grant(job_id=j, engine_id=e, session="s", explanation={})
        for number in {self.job.last_attempt or 99, max(self.job.last_attempt - 1, 1)}:
            token = self.token(number)
            yield c.Renew(job_id=j, token=token, engine_id=e)
            yield c.ReportProgress(job_id=j, token=token, engine_id=e, progress=Progress(fraction=0.5))
            yield c.Complete(job_id=j, token=token, engine_id=e, result={"ok": True})
            yield c.Fail(
                job_id=j, token=token, engine_id=e, error=JobError(failure_class="engine", message="x")
            )
            fatal = JobError(failure_class="input", message="x", retryable=False)
            yield c.Fail(job_id=j, token=token, engine_id=e, error=fatal)
            yield c.GiveBack(job_id=j, token=token, engine_id=e)
            yield c.EndAttempt(job_id=j, number=number)
        yield c.EndAttempt(job_id=j, number=self.job.last_attempt, cause="session-ended")
        yield c.FireTimer(job_id=j)
        yield c.Update(job_id=j, edit=c.Edit(priority=self.job.spec.priority ^ 1))
        yield c.Update(job_id=j, edit=c.Edit(not_before_us=self.now + 10 * SECOND))
        yield c.Update(job_id=j, edit=c.Edit(parameters={"edited": self.job.version}))
        yield c.Cancel(job_id=j)
        yield c.Hold(job_id=j)
        yield c.Release(job_id=j)
        yield c.Assign(job_id=j, engine_id=e, until_us=self.now + 5 * SECOND)
        yield c.Assign(job_id=j, engine_id="engine-2")
        yield c.Assign(job_id=j, engine_id=None)
        yield c.Requeue(job_id=j)
        yield c.Delete(job_id=j)
        yield c.Restore(job_id=j)


def placed(job: Job) -> Job:
    """The job with a lane if and only if it may be claimed, as the shell would place it."""
    return attrs.evolve(job, ready=READY if job.claimable else None)
