"""Answers 'why is my job waiting' from the same rules that match: every engine, every true reason."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from attrs import frozen

from dispatch_core.kernel.scheduling.explanation import (
    EngineAnswer,
    FallAhead,
    JobExplanation,
    JobVerdict,
    Reason,
    StartEstimate,
)
from dispatch_core.kernel.scheduling.falling import fall_ahead
from dispatch_core.kernel.scheduling.matcher import Matcher
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.rates import SIGMA
from dispatch_core.kernel.scheduling.rules import EngineView
from dispatch_core.kernel.scheduling.severity import Severity, hardest_first, price_of, severity_of
from dispatch_core.kernel.scheduling.standing import Backlog, Place, Rivals, lanes_of
from dispatch_core.kernel.scheduling.starting import around, spread_of, start_of
from dispatch_core.kernel.scheduling.verdicts import settled, waiting
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job, JobState, group_of_lane

Occupied = tuple[EngineView, int]
"""An engine and how many of its slots are taken."""
_INSTEAD_MAX = 8
"""Requirements of a job that are tried one by one for whether it could do without."""


def explain_job(
    job: Job,
    fleet: Sequence[Occupied],
    backlog: Backlog,
    matcher: Matcher,
    outlook: Outlook,
    now: int,
) -> JobExplanation:
    """The verdict, its words, every engine's answer, when it should start and the smallest change that would help."""
    rivals = Rivals(job, backlog, matcher, outlook, now)
    question = _Question(job, fleet, rivals, matcher, outlook, now)
    answers = tuple(question.answer(view, taken) for view, taken in fleet)
    found = settled(job) or waiting(job, answers)
    never = found.verdict is JobVerdict.NEVER
    place = None if never else question.place(answers)
    ahead = fall_ahead(job, [view for view, _ in fleet], matcher, outlook)
    return JobExplanation(
        job_id=job.id,
        at_us=now,
        verdict=found.verdict,
        summary=found.summary,
        unblock=found.unblock if ahead is None else _or_wait(found.unblock, ahead, job, now),
        instead=tuple(question.instead()) if never else (),
        nearest=found.nearest,
        position=None if place is None else question.position(answers, place),
        position_exact=place is None or place.exact,
        start=question.start(found.verdict, answers, place),
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
    fleet: Sequence[Occupied]
    rivals: Rivals
    matcher: Matcher
    outlook: Outlook
    now: int

    def answer(self, view: EngineView, taken: int) -> EngineAnswer:
        """One engine's reasons. Who comes first is told where only slots stand between."""
        reasons = list(self.matcher.reasons(self.job, view, self.outlook))
        rivals = [] if reasons or self.job.ready is None else self.rivals.reasons(view)
        estimate = self.matcher.estimate(self.job, view.engine, self.outlook).here_us / SECOND_US
        slots = view.engine.slots
        if taken >= slots:
            reasons.append(Reason("busy", f"{taken} of {slots} slots are taken", "wait, or add slots"))
        return EngineAnswer(
            engine_id=view.engine.id,
            reasons=hardest_first([*reasons, *rivals]),
            estimate_s=estimate,
        )

    # ----- its place and its start

    def _pool(self, answers: Sequence[EngineAnswer]) -> list[Engine]:
        """The engines it waits for: those it is routed to, if they could take it, else all that could."""
        could = [
            view.engine
            for (view, _), answer in zip(self.fleet, answers, strict=True)
            if price_of(answer.reasons)[0] <= Severity.BUSY
        ]
        assert self.job.ready is not None
        group = group_of_lane(self.job.ready.lane)
        members = () if group is None else self.outlook.members_of(group)
        return [each for each in could if each.id in members] or could

    def place(self, answers: Sequence[EngineAnswer]) -> Place | None:
        """What waits before it on the engines it waits for; None while it may not be claimed."""
        if self.job.ready is None:
            return None
        pool = self._pool(answers)
        lanes = {lane for each in pool for lane in lanes_of(each, self.outlook)}
        return self.rivals.place(sorted({*lanes, self.job.ready.lane}), pool)

    def position(self, answers: Sequence[EngineAnswer], place: Place) -> int:
        """Its place in the order, from 1; never first where every engine that could take it takes another."""
        could = [each for each in answers if each.admits]
        later = bool(could) and all(any(_outranks(each) for each in one.reasons) for one in could)
        return max(len(place.ahead_us) + 1, 2 if later else 1)

    def start(
        self, verdict: JobVerdict, answers: Sequence[EngineAnswer], place: Place | None
    ) -> StartEstimate | None:
        """When it should start, if that rests on more than hope."""
        if verdict is JobVerdict.NEXT:
            first = min(answer.engine_id for answer in answers if not answer.reasons)
            return around(0.0, 0.0, self.now, (first,))
        if verdict is JobVerdict.WAITING:
            return self._after_its_time()
        if verdict not in (JobVerdict.BUSY, JobVerdict.OUTRANKED) or place is None:
            return None
        assert self.job.ready is not None
        more_us = 0.0
        if not place.exact:
            known = self.outlook.ahead_of(self.job.ready)
            if known is None:
                return None  # nobody counts what waits in no group's lane
            more_us = max(known - sum(place.ahead_us), 0.0)
        pool = self._pool(answers)
        spread = spread_of(pool, self.matcher.task_class(self.job), self.outlook)
        return start_of(pool, place.ahead_us, more_us, spread, self.outlook, self.now)

    def _after_its_time(self) -> StartEstimate | None:
        """Not before its time; then behind what waits where it would be routed to."""
        job = self.job
        due_us = job.spec.not_before_us if job.state is JobState.DELAYED else job.retry_at_us
        waits = [route.wait_us for route in self.matcher.routes(job, self.outlook, self.now)]
        if due_us is None or not waits or job.held is not None:
            return None
        behind_us, least_us = min(waits), max(due_us - self.now, 0)
        return around(behind_us, SIGMA * behind_us, self.now, (), least_us)

    # ----- what the job could do without

    def instead(self) -> list[str]:
        """Requirements without which some engine could take it: one of them, or if that is not enough all."""
        texts = [text for text in self.job.spec.requirements if not text.startswith("prefer ")]
        singles = [(text, self._without({text})) for text in texts[:_INSTEAD_MAX]]
        found = [
            f"drop its requirement {text}: {engine_id} could run it"
            for text, engine_id in singles
            if engine_id
        ]
        if not found and len(texts) > 1 and (engine_id := self._without(set(texts))):
            found.append(f"drop its requirements {', '.join(texts)}: {engine_id} could run it")
        return found

    def _without(self, texts: set[str]) -> str | None:
        """The first engine that would not be ruled out if the job did not require these."""
        left = tuple(text for text in self.job.spec.requirements if text not in texts)
        looser = attrs.evolve(
            self.job, spec=attrs.evolve(self.job.spec, requirements=left), ready=None
        )  # its place may be another one
        for view, _ in self.fleet:
            reasons = self.matcher.reasons(looser, view, self.outlook)
            if all(severity_of(each) is not Severity.NEVER for each in reasons):
                return view.engine.id
        return None


def _outranks(reason: Reason) -> bool:
    return reason.code == "outranked"
