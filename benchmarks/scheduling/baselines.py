"""The rules that other systems use, as policies of the real dispatcher: only the order differs, nothing else.

All of them skip jobs that an engine cannot run, so none blocks behind the head of its queue: that is kinder than
some of the originals are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import Factory, define, frozen

from dispatch_core import FifoPolicy, Job, Policy, Prospects, Route, StrictPolicy
from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.policy import Estimate, place_at, weight_of
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.jobs import Ready

HOUR_US = 3_600 * SECOND_US


@frozen
class WsptPolicy:
    """Weighted shortest processing time first, by the time on the engine that asks. No age, no affinity."""

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """Within a class the order is the same on every engine."""
        key = round(prospects.best_us / weight_of(job.spec.priority))
        return place_at(job, wanted, prospects.best_us, order_key=key)

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """Smith's ratio."""
        return round(estimate.here_us / weight_of(job.spec.priority))

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """Never."""
        return False


@define
class SlurmLikePolicy:
    """A weighted sum of age, priority, fair share and shortness, like Slurm's multifactor plugin; no affinity.

    An hour of age is worth as much as three steps of priority, as much as an account that has used nothing has
    before one that has used all, and twice as much as being very short. Age grows alike for all, so the order
    stands when a job is submitted; usage is what an account has submitted, halved every hour.
    """

    used: dict[str, tuple[int, float]] = Factory(dict)
    seen: set[str] = Factory(set)

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """One scale: µs of age."""
        est_us = prospects.best_us
        share = self._share(job, est_us)
        short = 1 / (1 + est_us / (60 * SECOND_US))
        worth = job.spec.priority / 3 + share + short / 2
        return place_at(job, wanted, est_us, order_key=job.created_us - round(worth * HOUR_US))

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The key itself."""
        assert job.ready is not None
        return job.ready.order_key

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """Never."""
        return False

    def _share(self, job: Job, est_us: int) -> float:
        """2^(−usage ÷ even share), before the job itself counts."""
        account = job.spec.account or ""
        faded = {
            name: amount * 0.5 ** ((job.created_us - since) / HOUR_US)
            for name, (since, amount) in self.used.items()
        }
        whole, own = sum(faded.values()), faded.get(account, 0.0)
        if job.id not in self.seen:
            self.seen.add(job.id)
            self.used[account] = (job.created_us, own + est_us)
        return float(2.0 ** (-own / whole * len(faded))) if whole else 1.0


POLICIES: Mapping[str, Callable[[], Policy | None]] = {
    "ours": lambda: None,
    "fifo": FifoPolicy,
    "priority": StrictPolicy,
    "slurm": SlurmLikePolicy,
    "wspt": WsptPolicy,
}
"""By name; ``ours`` is whatever the dispatcher uses if it is told nothing."""
