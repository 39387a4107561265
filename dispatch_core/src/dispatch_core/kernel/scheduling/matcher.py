"""Matches one engine with the heads of the classes it may run, and explains the choice."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from attrs import frozen

from dispatch_core.kernel.scheduling.classes import Classifier, SchedulingClass
from dispatch_core.kernel.scheduling.closing import closing
from dispatch_core.kernel.scheduling.explanation import Candidate, ClaimExplanation, Reason
from dispatch_core.kernel.scheduling.outlook import Outlook, Route
from dispatch_core.kernel.scheduling.policy import Estimate, Policy
from dispatch_core.kernel.scheduling.rates import length_us
from dispatch_core.kernel.scheduling.rules.rule import EngineView, Rule
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Bucket, Job, OrderKey, group_of_lane, rank_of

WAITS_FOR_BETTER = "waits-for-better"
_REMEMBERED_MAX = 5_000
_RUNNERS_UP = 3


@frozen
class Scored:
    """A job that may go to the engine, and its rank among the others: (band, lateness, id)."""

    job: Job
    rank: tuple[int, int, str]
    candidate: Candidate


Front = tuple[OrderKey, Bucket, Job, Callable[[], Iterator[Job]]]
"""A bucket: the rank of its first job, its name, that job, and how to come to those behind it, in rank order."""


class Matcher:
    """Asks the rules, remembers their verdicts per (class, engine version), and lets the policy choose."""

    def __init__(self, rules: Sequence[Rule], policy: Policy, classifier: Classifier) -> None:
        self._rules = rules
        self._fits = [rule.fits for rule in rules]
        self._policy = policy
        self._classifier = classifier
        self._verdicts: dict[tuple[str, int], dict[str, tuple[Reason, ...]]] = {}

    def admits(self, wanted: SchedulingClass, engine: Engine) -> tuple[Reason, ...]:
        """What keeps a whole class from an engine."""
        known = self._verdicts.get((engine.id, engine.version))
        if known is None:
            if len(self._verdicts) >= _REMEMBERED_MAX:
                self._verdicts.clear()
            known = self._verdicts[engine.id, engine.version] = {}
        found = known.get(wanted.id)
        if found is None:
            found = tuple(reason for rule in self._rules for reason in rule.admits(wanted, engine))
            known[wanted.id] = found
        return found

    def reasons(self, job: Job, view: EngineView, outlook: Outlook) -> tuple[Reason, ...]:
        """Everything that keeps this job from this engine, slots and rank apart."""
        wanted = self._classifier.of(job)
        return (*self.admits(wanted, view.engine), *self._misfits(job, wanted, view, outlook))

    def _misfits(
        self, job: Job, wanted: SchedulingClass, view: EngineView, outlook: Outlook
    ) -> tuple[Reason, ...]:
        found = [reason for fits in self._fits for reason in fits(job, wanted, view)]
        if view.windows:
            found += closing(view, self.estimate(job, view.engine, outlook).here_us)
        return tuple(found)

    def estimate(self, job: Job, engine: Engine, outlook: Outlook) -> Estimate:
        """How long the job takes on this engine and on the best one alive that may run it."""
        wanted, units = self._classifier.measured(job)
        here = length_us(units, outlook.rate_on(wanted, engine))
        best = outlook.best_rate(wanted)
        return Estimate(here, here if best is None else min(here, length_us(units, best)))

    def elsewhere(self, job: Job, engine: Engine, outlook: Outlook, now: int) -> Route | None:
        """The group this engine leaves the job to, if it does."""
        assert job.ready is not None
        group = group_of_lane(job.ready.lane)
        if group is None or group in outlook.groups_of(engine.id):
            return None
        wanted, units = self._classifier.measured(job)
        route = outlook.elsewhere(wanted, job, units, now)
        if route is None:
            return None
        here_us = length_us(units, outlook.rate_on(wanted, engine))
        return route if self._policy.leaves(job, here_us, route) else None

    def choose(
        self, view: EngineView, fronts: Iterable[Front], outlook: Outlook, now: int
    ) -> tuple[Job | None, ClaimExplanation]:
        """The job this engine should get: the one that counts as late first among the heads it may run.

        ``fronts`` come in rank order. No job counts as late before its order key, so the look ends where
        none behind could come before those found.
        """
        refused: Counter[str] = Counter()
        found: list[Scored] = []
        worst: tuple[int, int, str] | None = None
        for rank, _, first, rest in fronts:
            if worst is not None and rank > worst:
                break
            scored = self._first_fit(first, rest, view, outlook, now, refused)
            if scored is not None:
                insort(found, scored, key=lambda each: each.rank)
                del found[1 + _RUNNERS_UP :]
                worst = found[-1].rank if len(found) > _RUNNERS_UP else None
        explanation = ClaimExplanation(
            engine_id=view.engine.id,
            at_us=now,
            chosen=found[0].candidate if found else None,
            runners_up=tuple(scored.candidate for scored in found[1:]),
            refused=dict(sorted(refused.items())),
        )
        return (found[0].job if found else None), explanation

    def _first_fit(
        self,
        first: Job,
        rest: Callable[[], Iterator[Job]],
        view: EngineView,
        outlook: Outlook,
        now: int,
        refused: Counter[str],
    ) -> Scored | None:
        wanted = self._classifier.of(first)
        if barred := self.admits(wanted, view.engine):
            refused.update({reason.code for reason in barred})
            return None
        job: Job | None = first
        behind: Iterator[Job] | None = None
        while job is not None:
            misfits = self._misfits(job, wanted, view, outlook)
            if not misfits:
                if self.elsewhere(job, view.engine, outlook, now) is None:
                    return self._scored(job, wanted, view, outlook)
                refused[WAITS_FOR_BETTER] += 1
                return None  # those behind it wait for the same group, and longer
            refused.update({reason.code for reason in misfits})
            outlook.unfit(job.id)
            behind = behind or rest()
            job = next(behind, None)
        return None

    def _scored(self, job: Job, wanted: SchedulingClass, view: EngineView, outlook: Outlook) -> Scored:
        assert job.ready is not None
        estimate = self.estimate(job, view.engine, outlook)
        penalty = sum(rule.penalty_us(wanted, view.engine) for rule in self._rules)
        score = self._policy.lateness(job, estimate) + penalty
        candidate = Candidate(
            job_id=job.id,
            score=score,
            order_key=job.ready.order_key,
            penalty_us=score - job.ready.order_key,
            estimate_s=estimate.here_us / SECOND_US,
        )
        return Scored(job, (job.ready.band, score, job.id), candidate)


def in_rank_order(runs: Iterable[Sequence[Job]]) -> list[Front]:
    """Buckets given by their first jobs, the first of all first."""
    found = sorted(((rank_of(jobs[0]), _bucket(jobs[0]), jobs) for jobs in runs if jobs), key=_place)
    return [(rank, bucket, jobs[0], partial(iter, jobs[1:])) for rank, bucket, jobs in found]


def _place(front: tuple[OrderKey, Bucket, Sequence[Job]]) -> tuple[OrderKey, Bucket]:
    return front[:2]


def _bucket(job: Job) -> Bucket:
    assert job.ready is not None
    return job.ready.bucket
