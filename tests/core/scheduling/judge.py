"""A second opinion on choices: every pending job against one engine, by brute force."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from dispatch_core import DEFAULT_RULES, TRANSCODE, EngineView, FlowPolicy, Job, Policy
from dispatch_core.kernel.scheduling.classes import Classifier
from dispatch_core.kernel.scheduling.matcher import Matcher
from dispatch_core.ports.storage import Bucket, OrderKey, Query, Storage, rank_of
from dispatch_core.vocabulary.engines import Engine, EnginePulse, Seen
from dispatch_core.vocabulary.jobs import OPEN_LANE, engine_lane
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
        matcher = Matcher(DEFAULT_RULES, self.policy, classifier, KINDS)
        view, speeds = self._look(engine_id)
        left: dict[Bucket, list[tuple[OrderKey, int]]] = {}
        for job in jobs:
            if not job.claimable or matcher.reasons(job, view):
                continue
            assert job.ready is not None
            assert job.ready.lane in (OPEN_LANE, engine_lane(engine_id))
            wanted = classifier.of(job)
            penalty = sum(rule.penalty_us(wanted, view.engine) for rule in DEFAULT_RULES)
            score = self.policy.lateness(job, matcher.estimate(job, wanted, view, speeds)) + penalty
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
        matcher = Matcher(DEFAULT_RULES, self.policy, classifier, KINDS)
        view, _ = self._look(engine_id)
        ranked = []
        for job in jobs:
            if job.claimable and not matcher.reasons(job, view) and job.ready is not None:
                wanted = classifier.of(job)
                penalty = sum(rule.penalty_us(wanted, view.engine) for rule in DEFAULT_RULES)
                ranked.append((job.ready.band, job.ready.order_key + penalty, job.id))
        return min(ranked)[2] if ranked else None

    def _look(self, engine_id: str) -> tuple[EngineView, dict[str, float]]:
        with self.storage.read() as snapshot:
            page = snapshot.find(RecordType.ENGINE, Query(sort="registered_us"))
            engines = {each.id: each for each in page.records if isinstance(each, Engine)}
            pulse = snapshot.load([(RecordType.PULSE, engine_id)]).get((RecordType.PULSE, engine_id))
        assert isinstance(pulse, EnginePulse)
        speeds: dict[str, float] = {}
        for engine in engines.values():
            for cell in engine.profile.benchmarks if engine.seen is Seen.LIVE else ():
                speeds[cell.task_class] = max(speeds.get(cell.task_class, 0.0), cell.units_per_s)
        return EngineView(engines[engine_id], pulse), speeds
