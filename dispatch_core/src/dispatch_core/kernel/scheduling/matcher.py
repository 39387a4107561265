"""Matches one engine with the heads of the classes it may run, and explains the choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from dispatch_core.kernel.scheduling.classes import Classifier, SchedulingClass
from dispatch_core.kernel.scheduling.closing import closing
from dispatch_core.kernel.scheduling.explanation import Candidate, ClaimExplanation, Reason
from dispatch_core.kernel.scheduling.policy import Estimate, Policy, Speeds, here_us, nominal_us
from dispatch_core.kernel.scheduling.rules.rule import EngineView, Rule
from dispatch_core.vocabulary.clock import SECOND_US, to_us
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.kinds import JobKind

_REMEMBERED_MAX = 200_000
_RUNNERS_UP = 3


@frozen
class Scored:
    """A job that may go to the engine, and its rank among the others: (band, lateness, id)."""

    job: Job
    rank: tuple[int, int, str]
    candidate: Candidate


class Matcher:
    """Asks the rules, remembers their verdicts per (class, engine version), and lets the policy choose."""

    def __init__(
        self, rules: Sequence[Rule], policy: Policy, classifier: Classifier, kinds: Mapping[str, JobKind]
    ) -> None:
        self._rules = rules
        self._policy = policy
        self._classifier = classifier
        self._kinds = kinds
        self._verdicts: dict[tuple[str, str, int], tuple[Reason, ...]] = {}

    def admits(self, wanted: SchedulingClass, view: EngineView) -> tuple[Reason, ...]:
        """What keeps a whole class from an engine."""
        key = (wanted.id, view.engine.id, view.engine.version)
        found = self._verdicts.get(key)
        if found is None:
            if len(self._verdicts) >= _REMEMBERED_MAX:
                self._verdicts.clear()
            found = tuple(reason for rule in self._rules for reason in rule.admits(wanted, view.engine))
            self._verdicts[key] = found
        return found

    def reasons(self, job: Job, view: EngineView) -> tuple[Reason, ...]:
        """Everything that keeps this job from this engine, slots and rank apart."""
        wanted = self._classifier.of(job)
        return (*self.admits(wanted, view), *self._misfits(job, wanted, view))

    def _misfits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> tuple[Reason, ...]:
        found = [reason for rule in self._rules for reason in rule.fits(job, wanted, view)]
        if view.windows:
            found += closing(view, self.estimate(job, wanted, view, {}).here_us)
        return tuple(found)

    def estimate_of(self, job: Job, view: EngineView, speeds: Speeds) -> Estimate:
        """How long the job takes on this engine and on the best one alive."""
        return self.estimate(job, self._classifier.of(job), view, speeds)

    def estimate(self, job: Job, wanted: SchedulingClass, view: EngineView, speeds: Speeds) -> Estimate:
        """The same, where its class is known already."""
        kind = self._kinds.get(job.spec.kind)
        nominal = job.ready.est_us if job.ready else nominal_us(job, kind)
        units = kind.measure(job.spec)[1] if kind else 1.0
        here = here_us(view.engine, wanted.task_class, units, nominal)
        best = speeds.get(wanted.task_class)
        return Estimate(here, min(here, to_us(units / best)) if best else here)

    def choose(
        self, view: EngineView, backlog: Iterable[Iterator[Job]], speeds: Speeds, now: int
    ) -> tuple[Job | None, ClaimExplanation]:
        """The job this engine should get: the one that counts as late first among the heads it may run.

        ``backlog`` gives one rank-ordered run of ready jobs per bucket.
        """
        refused: Counter[str] = Counter()
        found = [scored for jobs in backlog if (scored := self._first_fit(jobs, view, speeds, refused))]
        found.sort(key=lambda scored: scored.rank)
        explanation = ClaimExplanation(
            engine_id=view.engine.id,
            at_us=now,
            chosen=found[0].candidate if found else None,
            runners_up=tuple(scored.candidate for scored in found[1 : 1 + _RUNNERS_UP]),
            refused=dict(sorted(refused.items())),
        )
        return (found[0].job if found else None), explanation

    def _first_fit(
        self, jobs: Iterator[Job], view: EngineView, speeds: Speeds, refused: Counter[str]
    ) -> Scored | None:
        for job in jobs:
            wanted = self._classifier.of(job)
            if barred := self.admits(wanted, view):
                refused.update({reason.code for reason in barred})
                return None
            if misfits := self._misfits(job, wanted, view):
                refused.update({reason.code for reason in misfits})
                continue
            return self._scored(job, wanted, view, speeds)
        return None

    def _scored(self, job: Job, wanted: SchedulingClass, view: EngineView, speeds: Speeds) -> Scored:
        assert job.ready is not None
        estimate = self.estimate(job, wanted, view, speeds)
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
