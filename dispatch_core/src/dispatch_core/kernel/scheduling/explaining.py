"""Answers 'why is my job waiting' from the same rules that match: every engine, every true reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import frozen

from dispatch_core.kernel.scheduling.explanation import (
    Candidate,
    EngineAnswer,
    FallAhead,
    JobExplanation,
    JobVerdict,
    Reason,
)
from dispatch_core.kernel.scheduling.falling import fall_ahead
from dispatch_core.kernel.scheduling.matcher import Matcher, in_rank_order
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.rules import EngineView
from dispatch_core.kernel.scheduling.rules.failed_here import FAILED_HERE
from dispatch_core.kernel.scheduling.rules.limits import LIMITED
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.jobs import Job, JobState

OUT_OF_SERVICE = frozenset({"maintenance", "maintenance-window", "offline"})
LIMITS = frozenset({"pool-full", "pool-unknown", "disk-full", FAILED_HERE, LIMITED})
"""What may pass without anybody doing anything about the engine."""
Occupied = tuple[EngineView, int]
"""An engine and how many of its slots are taken."""


def explain_job(
    job: Job,
    fleet: Sequence[Occupied],
    ready: Sequence[Sequence[Job]],
    matcher: Matcher,
    outlook: Outlook,
    now: int,
) -> JobExplanation:
    """The verdict, its words, every engine's answer and the smallest change that would unblock the job.

    ``ready`` are the first jobs of every bucket: what may be chosen before it.
    """
    question = _Question(job, ready, matcher, outlook, now)
    answers = tuple(question.answer(view, taken) for view, taken in fleet)
    position = _position(job, ready)
    verdict, summary, unblock = _settled(job) or _waiting(job, answers)
    if verdict is JobVerdict.NEVER:
        position = None  # first in a row that nobody serves is no place
    ahead = fall_ahead(job, [view for view, _ in fleet], matcher, outlook)
    return JobExplanation(
        job_id=job.id,
        at_us=now,
        verdict=verdict,
        summary=summary,
        unblock=unblock if ahead is None else _or_wait(unblock, ahead, job, now),
        position=position,
        engines=answers,
        fall_back=ahead,
    )


def _or_wait(unblock: str, ahead: FallAhead, job: Job, now: int) -> str:
    """The mend, and what the job's own ladder will do about it."""
    step = f"step {ahead.step} of {len(job.spec.ladder)}"
    fits = f", which {ahead.engines[0]} could take" if ahead.engines else ""
    if ahead.at_us is None:
        wait = f"{step} of its ladder stands still while it may not be claimed{fits}"
    else:
        wait = f"wait {max(0, ahead.at_us - now) / SECOND_US:.0f} s for {step} of its ladder{fits}"
    return f"{unblock}, or {wait}" if unblock else wait


@frozen
class _Question:
    """One job against the fleet."""

    job: Job
    ready: Sequence[Sequence[Job]]
    matcher: Matcher
    outlook: Outlook
    now: int

    def answer(self, view: EngineView, taken: int) -> EngineAnswer:
        """One engine's reasons: what it lacks, then slots, then rank."""
        reasons = list(self.matcher.reasons(self.job, view, self.outlook))
        estimate = self.matcher.estimate(self.job, view.engine, self.outlook).here_us / SECOND_US
        slots = view.engine.slots
        if taken >= slots:
            reasons.append(Reason("busy", f"{taken} of {slots} slots are taken", "wait, or add slots"))
        elif not reasons and self.job.ready is not None:
            reasons += self._outranked(view)
        return EngineAnswer(engine_id=view.engine.id, reasons=tuple(reasons), estimate_s=estimate)

    def _outranked(self, view: EngineView) -> list[Reason]:
        best, mine = (self._chosen(view, runs) for runs in (self.ready, [[self.job]]))
        if best is None or mine is None or best.job_id == mine.job_id:
            return []
        ahead_s = (mine.score - best.score) / SECOND_US
        why = f"it counts as late {ahead_s:.1f} s earlier" if ahead_s >= 0 else "its band is served before"
        return [Reason("outranked", f"{best.job_id} comes first: {why}", "wait, or let it rank higher")]

    def _chosen(self, view: EngineView, runs: Sequence[Sequence[Job]]) -> Candidate | None:
        return self.matcher.choose(view, in_rank_order(runs), self.outlook, self.now)[1].chosen


def _position(job: Job, ready: Sequence[Sequence[Job]]) -> int | None:
    """Its place among its bucket's first jobs, from 1; None if it is not among them."""
    if job.ready is None:
        return None
    mine = job.ready.bucket
    same = [each.id for jobs in ready for each in jobs if each.ready and each.ready.bucket == mine]
    return same.index(job.id) + 1 if job.id in same else None


def _settled(job: Job) -> tuple[JobVerdict, str, str] | None:
    """Answers that need no look at the fleet."""
    if job.deleted_us is not None or job.state.terminal:
        why = f": {job.error.message}" if job.error else ""
        if job.deleted_us is not None:
            return JobVerdict.ENDED, f"it is deleted, and was {job.state.value}{why}", "restore it"
        return JobVerdict.ENDED, f"it is {job.state.value}{why}", "requeue it"
    if job.state is JobState.ASSIGNED:
        stop = ", asked to stop" if job.cancel_asked else ""
        return JobVerdict.RUNNING, f"{job.engine_id} runs attempt {job.live_attempt}{stop}", ""
    if job.held is not None:
        return JobVerdict.LIMITED, f"it is on hold{': ' + job.held if job.held else ''}", "release it"
    if job.state is JobState.DELAYED:
        return JobVerdict.WAITING, "its not-before time has not come", "edit not_before"
    if job.state is JobState.FAILED_RETRY:
        late = "a late report of its last attempt" if job.live_attempt else "the end of its back-off"
        why = f"; last error: {job.error.message}" if job.error else ""
        return JobVerdict.WAITING, f"it waits for {late}{why}", "requeue it"
    return None


def _waiting(job: Job, answers: Sequence[EngineAnswer]) -> tuple[JobVerdict, str, str]:
    """The best news any engine has for a pending job."""
    codes = [{reason.code for reason in answer.reasons} for answer in answers]
    free = [answer.engine_id for answer, found in zip(answers, codes, strict=True) if not found]
    if free:
        return JobVerdict.NEXT, f"the next claim of {free[0]} gets it", ""
    if any(found == {"outranked"} for found in codes):
        return (
            JobVerdict.OUTRANKED,
            "capable engines are free, but other jobs come first",
            "raise its priority",
        )
    if any(found <= {"busy", "outranked"} for found in codes):
        return JobVerdict.BUSY, "every capable engine is occupied", "wait, or add an engine"
    if limited := [
        answer
        for answer, found in zip(answers, codes, strict=True)
        if found <= LIMITS | {"busy"} and found & LIMITS
    ]:
        first = next(reason for reason in limited[0].reasons if reason.code in LIMITS)
        return JobVerdict.LIMITED, f"it {first.message}", _mends(limited[0])
    if job.pin is not None and "pinned" in set().union(*codes):
        return (
            JobVerdict.LIMITED,
            f"it is pinned to {job.pin.engine_id}, which cannot take it now",
            "unpin it",
        )
    if any(found <= OUT_OF_SERVICE | {"busy"} for found in codes):
        away = [
            answer for answer, found in zip(answers, codes, strict=True) if found <= OUT_OF_SERVICE | {"busy"}
        ]
        nearest = min(away, key=lambda answer: len(answer.reasons))
        return JobVerdict.OFFLINE, "the engines that could run it are away or out of service", _mends(nearest)
    return _never(answers)


def _never(answers: Sequence[EngineAnswer]) -> tuple[JobVerdict, str, str]:
    if not answers:
        return JobVerdict.NEVER, "no engine is registered", "start an engine"
    nearest = min(answers, key=lambda answer: len(answer.reasons))
    common = Counter(reason.message.split(";")[0] for answer in answers for reason in answer.reasons)
    return JobVerdict.NEVER, f"no engine can run it: {common.most_common(1)[0][0]}", _mends(nearest)


def _mends(answer: EngineAnswer) -> str:
    return " and ".join(dict.fromkeys(reason.mend for reason in answer.reasons if reason.mend))
