"""Matches one engine with the heads of the classes it may run, and explains the choice."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter

from attrs import frozen

from dispatch_core.kernel.scheduling.classes import Classifier, SchedulingClass
from dispatch_core.kernel.scheduling.closing import closing
from dispatch_core.kernel.scheduling.explanation import Candidate, ClaimExplanation, Reason
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.policy import Estimate, Policy, weight_of
from dispatch_core.kernel.scheduling.rates import length_us
from dispatch_core.kernel.scheduling.routing import Route
from dispatch_core.kernel.scheduling.rules.limits import class_is_limited
from dispatch_core.kernel.scheduling.rules.rule import NO_ROOMS, EngineView, Rule
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import (
    OPEN_LANE,
    Bucket,
    Job,
    OrderKey,
    engine_lane,
    group_lane,
    rank_of,
)
from dispatch_core.vocabulary.pools import PoolRoom

WAITS_FOR_BETTER = "waits-for-better"
_REMEMBERED_MAX = 5_000
_RUNNERS_UP = 3
LOOK_MIN = 1 + _RUNNERS_UP
"""Heads looked at in any case, so that a grant has runners-up to tell of."""


@frozen
class Match:
    """What holds for all jobs of a class on one engine: who may not, how much later, and µs per unit."""

    wanted: SchedulingClass
    barred: tuple[Reason, ...]
    penalty_us: int
    here: float
    best: float

    def estimate(self, units: float) -> Estimate:
        """How long a job of so many units takes here, and on the best engine alive."""
        here_us = length_us(units, self.here)
        return Estimate(here_us, min(here_us, length_us(units, self.best)))


Scored = tuple[tuple[int, int, str], Job, int]
"""A job that may go to the engine: its rank among the others as (band, lateness, id), and its length there (µs)."""


Front = tuple[OrderKey, Bucket, Job, Callable[[], Iterator[Job]]]
"""A bucket: the rank of its first job, its name, that job, and how to come to those behind it, in rank order."""


class Matcher:
    """Asks the rules, remembers their verdicts per (class, engine version), and lets the policy choose."""

    def __init__(self, rules: Sequence[Rule], policy: Policy, classifier: Classifier) -> None:
        self._rules = rules
        self._fits = [rule.fits for rule in rules]
        self._policy = policy
        self._classifier = classifier
        self._verdicts: dict[tuple[str, int], dict[str, tuple[tuple[Reason, ...], int]]] = {}

    def forget(self) -> None:
        """Ask the rules anew: a batch that was not written may have shown engines as they never were."""
        self._verdicts.clear()

    def admits(self, wanted: SchedulingClass, engine: Engine) -> tuple[Reason, ...]:
        """What keeps a whole class from an engine."""
        return self._verdict(wanted, engine)[0]

    def _verdict(self, wanted: SchedulingClass, engine: Engine) -> tuple[tuple[Reason, ...], int]:
        """What keeps a class from an engine, and by how much its jobs count as less late there (µs)."""
        known = self._verdicts.get((engine.id, engine.version))
        if known is None:
            if len(self._verdicts) >= _REMEMBERED_MAX:
                self._verdicts.clear()
            known = self._verdicts[engine.id, engine.version] = {}
        found = known.get(wanted.id)
        if found is None:
            reasons = tuple(reason for rule in self._rules for reason in rule.admits(wanted, engine))
            penalty = 0 if reasons else sum(rule.penalty_us(wanted, engine) for rule in self._rules)
            found = known[wanted.id] = (reasons, penalty)
        return found

    def reasons(self, job: Job, view: EngineView, outlook: Outlook) -> tuple[Reason, ...]:
        """Everything that keeps this job from this engine, slots and rank apart."""
        wanted = self._classifier.of(job)
        return (*self.admits(wanted, view.engine), *self._misfits(job, wanted, view, outlook))

    def _misfits(
        self, job: Job, wanted: SchedulingClass, view: EngineView, outlook: Outlook
    ) -> tuple[Reason, ...]:
        found: Sequence[Reason] = ()
        for fits in self._fits:
            if reasons := fits(job, wanted, view):
                found = (*found, *reasons)
        if view.windows:
            found = (*found, *closing(view, self.estimate(job, view.engine, outlook).here_us))
        return tuple(found)

    def others(
        self, job: Job, engine: Engine, outlook: Outlook, pools: Mapping[str, PoolRoom] = NO_ROOMS
    ) -> list[str]:
        """The engines in service beside this one that could take the job, as far as their records say, by id."""
        return sorted(self.others_anyhow(job, engine, outlook, pools))

    def others_anyhow(
        self, job: Job, engine: Engine, outlook: Outlook, pools: Mapping[str, PoolRoom] = NO_ROOMS
    ) -> Iterator[str]:
        """The same one by one, in no order that means anything: for who does not need them all."""
        wanted = self._classifier.of(job)
        views = (EngineView(each, pools=pools) for each in outlook.serving(wanted) if each.id != engine.id)
        for view in views:
            if not any(fits(job, wanted, view) for fits in self._fits):
                yield view.engine.id

    def routable(self, job: Job, group: str, outlook: Outlook) -> bool:
        """Whether a job may be left to a group: it is no engine that it failed on while others could take it."""
        if all(each.engine_id != group for each in job.failed_on):
            return True
        engine = outlook.engine(group)
        return engine is None or not any(self.others_anyhow(job, engine, outlook))

    def estimate(self, job: Job, engine: Engine, outlook: Outlook) -> Estimate:
        """How long the job takes on this engine and on the best one alive that may run it."""
        wanted, units = self._classifier.measured(job)
        return self.match(wanted, engine, outlook).estimate(units)

    def match(self, wanted: SchedulingClass, engine: Engine, outlook: Outlook) -> Match:
        """What holds for a class on an engine."""
        barred, penalty = self._verdict(wanted, engine)
        return Match(wanted, barred, penalty, *outlook.rates_of(wanted, engine))

    def bars(self, job: Job, engine: Engine) -> bool:
        """Whether the class of a job keeps it from an engine."""
        return bool(self.admits(self._classifier.of(job), engine))

    def routes(self, job: Job, outlook: Outlook, now: int) -> list[Route]:
        """What each group of engines would offer the job if it came now."""
        wanted, units = self._classifier.measured(job)
        return list(outlook.routes(wanted, units, weight_of(job.spec.priority), now))

    def task_class(self, job: Job) -> str:
        """What the speeds of engines are told by, for this job."""
        return self._classifier.of(job).task_class

    def rank(self, job: Job, engine: Engine, outlook: Outlook) -> tuple[int, int, str]:
        """Its rank for this engine among the heads of buckets: (band, lateness, id)."""
        assert job.ready is not None
        wanted, units = self._classifier.measured(job)
        match = self.match(wanted, engine, outlook)
        score = self._policy.lateness(job, match.estimate(units)) + match.penalty_us
        return (job.ready.band, score, job.id)

    def elsewhere(self, job: Job, engine: Engine, outlook: Outlook, now: int) -> Route | None:
        """The group this engine leaves the job to, if it does."""
        wanted, units = self._classifier.measured(job)
        here_us = self.match(wanted, engine, outlook).estimate(units).here_us
        return self._left_to(job, wanted, units, here_us, _Look(engine, outlook, now, {}))

    def lengths(self, job: Job, outlook: Outlook, now: int) -> Callable[[Engine], int | None]:
        """How long (µs) a job would take on an engine that its class may go to; None if that one leaves it to a better one.

        What does not hang on the engine is found out once, for hundreds may be waiting.
        """
        wanted, units = self._classifier.measured(job)
        route = outlook.elsewhere(wanted, job, units, now)
        if route is not None and not self.routable(job, route.group, outlook):
            route = None

        def length(engine: Engine) -> int | None:
            here_us = length_us(units, outlook.rate_on(wanted, engine))
            if route is None or route.group in outlook.groups_of(engine.id):
                return here_us
            return None if self._policy.leaves(job, here_us, route) else here_us

        return length

    def _left_to(
        self, job: Job, wanted: SchedulingClass, units: float, here_us: int, look: _Look
    ) -> Route | None:
        assert job.ready is not None
        lane = job.ready.lane
        if lane in look.own_lanes:
            return None
        route = look.outlook.elsewhere(wanted, job, units, look.now)
        if route is None or not self.routable(job, route.group, look.outlook):
            return None
        return route if self._policy.leaves(job, here_us, route) else None

    def choose(
        self,
        view: EngineView,
        fronts: Iterable[Front],
        outlook: Outlook,
        now: int,
        matches: dict[str, Match] | None = None,
    ) -> tuple[Job | None, ClaimExplanation]:
        """The job this engine should get: the one that counts as late first among the heads it may run.

        ``fronts`` come in rank order. No job counts as late before its order key, so the look ends where
        none behind could come before the best found; the runners-up are those met on the way. ``matches`` is what
        was found out of classes for the same engine in the same batch, and is added to.
        """
        look = _Look(view.engine, outlook, now, {} if matches is None else matches)
        found: list[Scored] = []
        for place, (rank, _, first, rest) in enumerate(fronts):
            if place >= LOOK_MIN and found and rank > found[0][0]:
                break
            scored = self._first_fit(first, rest, view, look)
            if scored is not None:
                insort(found, scored, key=_rank)
        chosen = [self._candidate(scored) for scored in found[: 1 + _RUNNERS_UP]]
        explanation = ClaimExplanation(
            engine_id=view.engine.id,
            at_us=now,
            chosen=chosen[0] if chosen else None,
            runners_up=tuple(chosen[1:]),
            refused=dict(sorted(look.refused.items())),
        )
        return (found[0][1] if found else None), explanation

    def _first_fit(
        self, first: Job, rest: Callable[[], Iterator[Job]], view: EngineView, look: _Look
    ) -> Scored | None:
        job: Job | None = first
        behind: Iterator[Job] | None = None
        while job is not None:
            wanted, units = self._classifier.measured(job)
            match = look.matches.get(wanted.id)
            if match is None:
                if barred := self.admits(
                    wanted, view.engine
                ):  # many classes may be: nothing is reckoned for them
                    look.refuse(barred)
                    return None
                match = look.matches[wanted.id] = self.match(wanted, view.engine, look.outlook)
            if misfits := self._misfits(job, wanted, view, look.outlook):
                look.refuse(misfits)
                if wanted.limits and class_is_limited(wanted, view):
                    return None  # those behind it wait for the same, wherever they go
                if job.ready is not None and job.ready.lane in look.own_lanes:
                    look.outlook.unfit(job.id)
                behind = behind or rest()
                job = next(behind, None)
                continue
            return self._scored(job, match, units, look)
        return None

    def _scored(self, job: Job, match: Match, units: float, look: _Look) -> Scored | None:
        assert job.ready is not None
        estimate = match.estimate(units)
        if self._left_to(job, match.wanted, units, estimate.here_us, look) is not None:
            look.refused[WAITS_FOR_BETTER] += 1
            return None  # those behind it wait for the same group, and longer, or at least behind it
        score = self._policy.lateness(job, estimate) + match.penalty_us
        return (job.ready.band, score, job.id), job, estimate.here_us

    def _candidate(self, scored: Scored) -> Candidate:
        (_, score, job_id), job, here_us = scored
        assert job.ready is not None
        return Candidate(
            job_id=job_id,
            score=score,
            order_key=job.ready.order_key,
            penalty_us=score - job.ready.order_key,
            estimate_s=here_us / SECOND_US,
        )


class _Look:
    """One engine's look at the heads: what it has found out on the way."""

    __slots__ = ("matches", "now", "outlook", "own_lanes", "refused")

    def __init__(self, engine: Engine, outlook: Outlook, now: int, matches: dict[str, Match]) -> None:
        self.outlook, self.now, self.matches = outlook, now, matches
        self.own_lanes = {
            OPEN_LANE, engine_lane(engine.id), *(group_lane(name) for name in outlook.groups_of(engine.id))
        }  # fmt: skip
        self.refused: defaultdict[str, int] = defaultdict(int)

    def refuse(self, reasons: Sequence[Reason]) -> None:
        """Count each code once."""
        for code in {reason.code for reason in reasons}:
            self.refused[code] += 1


_rank = itemgetter(0)


def in_rank_order(runs: Iterable[Sequence[Job]]) -> list[Front]:
    """Buckets given by their first jobs, the first of all first."""
    found = sorted(((rank_of(jobs[0]), _bucket(jobs[0]), jobs) for jobs in runs if jobs), key=_place)
    return [(rank, bucket, jobs[0], partial(iter, jobs[1:])) for rank, bucket, jobs in found]


def _place(front: tuple[OrderKey, Bucket, Sequence[Job]]) -> tuple[OrderKey, Bucket]:
    return front[:2]


def _bucket(job: Job) -> Bucket:
    assert job.ready is not None
    return job.ready.bucket
