"""A second opinion on choices: every pending job against one engine, by brute force."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from attrs import define, field, frozen

from dispatch_core import DEFAULT_RULES, TRANSCODE, EngineView, FlowPolicy, Job, Policy
from dispatch_core.kernel.scheduling.accounts import Accounts
from dispatch_core.kernel.scheduling.classes import Classifier, SchedulingClass
from dispatch_core.kernel.scheduling.matcher import Matcher
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.policy import Estimate, Prospects
from dispatch_core.kernel.scheduling.routing import Route
from dispatch_core.ports.storage import Bucket, Storage
from dispatch_core.shell.fleetview import FleetView
from dispatch_core.vocabulary.engines import EnginePulse
from dispatch_core.vocabulary.jobs import ENGINE_LANES, OrderKey, Ready, engine_lane, rank_of
from dispatch_core.vocabulary.records import RecordType

KINDS = {TRANSCODE.name: TRANSCODE}


@define
class Judge:
    """Looks at all jobs of a store, one by one, with no bucket, head or memory between."""

    storage: Storage
    policy: Policy = field(factory=FlowPolicy)

    def choices(self, engine_id: str, jobs: Iterable[Job], count: int) -> list[str]:
        """What an engine's next ``count`` grants should be.

        Of each (lane, class) its first admissible job in rank order counts, and among these the least
        (band, lateness + penalty, id): lateness on this engine orders classes, never the jobs of one.
        """
        classifier = Classifier(KINDS, None)
        matcher = Matcher(DEFAULT_RULES, self.policy, classifier)
        view, outlook = self._look(engine_id, matcher, classifier)
        left: dict[Bucket, list[tuple[OrderKey, int]]] = {}
        for job in jobs:
            if not job.claimable or matcher.reasons(job, view, outlook):
                continue
            assert job.ready is not None
            assert not job.ready.lane.startswith(ENGINE_LANES) or job.ready.lane == engine_lane(engine_id)
            wanted = classifier.of(job)
            penalty = sum(rule.penalty_us(wanted, view.engine) for rule in DEFAULT_RULES)
            score = self.policy.lateness(job, matcher.estimate(job, view.engine, outlook)) + penalty
            left.setdefault(job.ready.bucket, []).append((rank_of(job), score))
        chosen: list[str] = []
        while left and len(chosen) < count:
            heads = [(min(ranked), bucket) for bucket, ranked in left.items()]
            (rank, score), bucket = min(heads, key=lambda each: (each[0][0][0], each[0][1], each[0][0][2]))
            chosen.append(rank[2])
            left[bucket].remove((rank, score))
            if not left[bucket]:
                del left[bucket]
        return chosen

    def least(self, engine_id: str, jobs: Iterable[Job]) -> str | None:
        """The least of all admissible jobs by (band, lateness + penalty, id), buckets forgotten.

        It is the first choice wherever lateness keeps the order of a class: without affinity.
        """
        classifier = Classifier(KINDS, None)
        matcher = Matcher(DEFAULT_RULES, self.policy, classifier)
        view, outlook = self._look(engine_id, matcher, classifier)
        ranked = []
        for job in jobs:
            if job.claimable and not matcher.reasons(job, view, outlook) and job.ready is not None:
                wanted = classifier.of(job)
                penalty = sum(rule.penalty_us(wanted, view.engine) for rule in DEFAULT_RULES)
                ranked.append((job.ready.band, job.ready.order_key + penalty, job.id))
        return min(ranked)[2] if ranked else None

    def _look(self, engine_id: str, matcher: Matcher, classifier: Classifier) -> tuple[EngineView, Outlook]:
        fleet = FleetView(matcher, classifier, Accounts(push_us=0), shared=False)
        with self.storage.read() as snapshot:
            outlook = fleet.fresh_outlook(snapshot)
            pulse = snapshot.load([(RecordType.PULSE, engine_id)]).get((RecordType.PULSE, engine_id))
        engine = outlook.engine(engine_id)
        assert isinstance(pulse, EnginePulse)
        assert engine is not None
        return EngineView(engine, pulse), outlook


@frozen
class Unrouted:
    """A policy that routes no job: the whole backlog is open to whoever may run it."""

    policy: Policy = field(factory=FlowPolicy)

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """As the policy does where no engine is known."""
        return self.policy.place(job, wanted, attrs.evolve(prospects, routes=()))

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The policy's."""
        return self.policy.lateness(job, estimate)

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """The policy's."""
        return self.policy.leaves(job, here_us, elsewhere)
