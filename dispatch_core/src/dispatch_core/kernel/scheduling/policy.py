"""Policies: where a job waits (``place``), how late it counts on one engine (``lateness``), and whether an
idle engine leaves it to a better one (``leaves``).

All work on one scale, µs since the epoch, so that modes may change while jobs wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from attrs import frozen

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.routing import Route, least
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.jobs import OPEN_LANE, Job, Ready, engine_lane, group_lane


@frozen
class Estimate:
    """How long a job takes here, and on the best engine alive (µs)."""

    here_us: int
    best_us: int


@frozen(kw_only=True)
class Prospects:
    """What a job may expect when it is placed: its length on the best engine alive, and what each group offers.

    ``routes`` is empty while no engine could take it. ``push_us`` is how far its account is ahead of others.
    """

    best_us: int
    routes: Iterable[Route] = ()
    push_us: int = 0


class Policy(Protocol):
    """Orders jobs. Pure and deterministic; it may change who goes first, never what is safe."""

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """The job's place in the ready order, static until the job changes."""
        ...

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The instant (µs) from which the job counts as late for this engine; the least is chosen.

        Never before its ``order_key``.
        """
        ...

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """Whether an idle engine, where it would take ``here_us``, leaves it to the group it is routed to."""
        ...


def weight_of(priority: int) -> float:
    """2^priority, clamped to −4 … 8: one step of priority is worth twice the waiting time."""
    return 2.0 ** max(-4, min(8, priority))


def place_at(
    job: Job,
    wanted: SchedulingClass,
    est_us: int,
    *,
    band: int = 0,
    order_key: int,
    group: str | None = None,
) -> Ready:
    """A ready place: in its pin's lane, else in that of the group it is routed to, else in the open one."""
    lane = engine_lane(job.pin.engine_id) if job.pin else OPEN_LANE if group is None else group_lane(group)
    weight = weight_of(job.spec.priority)
    return Ready(
        lane=lane, class_id=wanted.id, band=band, order_key=max(order_key, 0), est_us=est_us, weight=weight
    )


@frozen(kw_only=True)
class FlowPolicy:
    """Least weighted time in the system: greedy late binding.

    order_key = created + push + min(kappa · best/weight, cap) − step · priority: an old job is overtaken only
    by jobs that arrive within ``cap_s`` (and the steps and pushes) of it. A hard deadline moves it forward to
    deadline − best. On an engine slower than the best, lateness adds kappa · (p²/best − best)/weight, within
    the same cap.

    A job is routed to the group where it adds least to the weighted time of all:
    weight · (wait + p) + p · (weight behind it), all per slot (greedy weighted shortest processing time for
    unrelated machines; Gupta, Moseley, Uetz and Xie, "Greed works", 2020). Another engine takes it only if it would be
    done sooner there by the same reckoning.
    """

    kappa: float = 100.0
    cap_s: float = 6 * 3_600.0
    step_s: float = 0.0

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """One band; the key is the instant it counts as late."""
        weight = weight_of(job.spec.priority)
        route = least(prospects.routes, weight)
        grace = min(self.kappa * prospects.best_us / weight, self.cap_s * SECOND_US)
        steps = max(-4, min(8, job.spec.priority)) * self.step_s * SECOND_US
        key = job.created_us + prospects.push_us + round(grace - steps)
        if job.spec.deadline is not None and job.spec.deadline.hard:
            key = min(key, job.spec.deadline.at_us - prospects.best_us)
        est_us = prospects.best_us if route is None else route.here_us
        return place_at(job, wanted, est_us, order_key=key, group=route.group if route else None)

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The key, later on engines that are slow for this class; bounded by the cap like the key itself."""
        assert job.ready is not None
        here, best = estimate.here_us, max(estimate.best_us, 1)
        if here <= best:  # no regret: most questions are asked of the best engine, or of one among its like
            return job.ready.order_key
        regret = self.kappa * (here * here / best - best) / job.ready.weight
        latest = max(job.created_us + round(self.cap_s * SECOND_US), job.ready.order_key)
        return max(job.ready.order_key, min(job.ready.order_key + round(regret), latest))

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """If it would be done later here, counting what its time there would cost those behind it."""
        assert job.ready is not None
        weight = job.ready.weight
        there = weight * (elsewhere.wait_us + elsewhere.here_us) + elsewhere.here_us * elsewhere.behind / 2
        return weight * here_us > there


@frozen(kw_only=True)
class MakespanPolicy:
    """All done as early as possible: long jobs first, each where it would end first; for batches.

    order_key = created + cap − min(best, cap), so that among jobs of other modes nobody is overtaken by more than
    ``cap_s`` either. On an engine slower than the best, lateness adds what is lost there, p − best, up to the cap.
    """

    cap_s: float = 6 * 3_600.0

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """By length, longest first among jobs of one instant."""
        route = least(prospects.routes)
        key = job.created_us + max(round(self.cap_s * SECOND_US) - prospects.best_us, 0)
        est_us = prospects.best_us if route is None else route.here_us
        return place_at(job, wanted, est_us, order_key=key, group=route.group if route else None)

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The key, and what is lost by running it here instead of where it is fastest."""
        assert job.ready is not None
        lost_us = max(estimate.here_us - estimate.best_us, 0)
        return job.ready.order_key + min(lost_us, round(self.cap_s * SECOND_US))

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """If the group it is routed to would end it sooner, were it next there."""
        return here_us > elsewhere.free_us + elsewhere.here_us


@frozen
class FifoPolicy:
    """First come, first served."""

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """By the instant of submission."""
        return place_at(job, wanted, prospects.best_us, order_key=job.created_us)

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The key itself."""
        assert job.ready is not None
        return job.ready.order_key

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """Never: whoever is idle takes the first."""
        return False


@frozen
class StrictPolicy:
    """Higher priority always first; first come, first served within one."""

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        """One band per priority."""
        band = -job.spec.priority
        return place_at(job, wanted, prospects.best_us, band=band, order_key=job.created_us)

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The key itself; bands are compared before it."""
        assert job.ready is not None
        return job.ready.order_key

    def leaves(self, job: Job, here_us: int, elsewhere: Route) -> bool:
        """Never: whoever is idle takes the first."""
        return False
