"""Policies: where a job waits (``place``) and how late it counts on one engine (``lateness``).

All work on one scale, µs since the epoch, so that modes may change while jobs wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.vocabulary.clock import SECOND_US, to_us
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import OPEN_LANE, Job, Ready, engine_lane
from dispatch_core.vocabulary.kinds import JobKind


@frozen
class Estimate:
    """How long a job takes here, and on the best engine alive (µs)."""

    here_us: int
    best_us: int


class Policy(Protocol):
    """Orders jobs. Pure and deterministic; it may change who goes first, never what is safe."""

    def place(self, job: Job, wanted: SchedulingClass, est_us: int) -> Ready:
        """The job's place in the ready order, static until the job changes."""
        ...

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The instant (µs) from which the job counts as late for this engine; the least is chosen."""
        ...


def weight_of(priority: int) -> float:
    """2^priority, clamped to −4 … 8: one step of priority is worth twice the waiting time."""
    return 2.0 ** max(-4, min(8, priority))


def place_at(job: Job, wanted: SchedulingClass, est_us: int, *, band: int, order_key: int) -> Ready:
    """A ready place in the job's own lane: its pin's, else the open one."""
    lane = engine_lane(job.pin.engine_id) if job.pin else OPEN_LANE
    weight = weight_of(job.spec.priority)
    return Ready(lane=lane, class_id=wanted.id, band=band, order_key=order_key, est_us=est_us, weight=weight)


@frozen(kw_only=True)
class FlowPolicy:
    """Least weighted time in the system: a job is late after ``kappa`` times its own length over its weight.

    order_key = created + min(kappa · est/weight, cap): an old job is overtaken only by jobs that arrive
    within ``cap_s`` of it. On an engine slower than the best, lateness adds kappa · (p²/best − best)/weight,
    the affinity term (Smith's rule with the engine's own time: weighted shortest processing time first).
    """

    kappa: float = 100.0
    cap_s: float = 6 * 3_600.0

    def place(self, job: Job, wanted: SchedulingClass, est_us: int) -> Ready:
        """One band; the key is the instant it counts as late."""
        grace = min(self.kappa * est_us / weight_of(job.spec.priority), self.cap_s * SECOND_US)
        return place_at(job, wanted, est_us, band=0, order_key=job.created_us + round(grace))

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The key, later on engines that are slow for this class; bounded by the cap like the key itself."""
        assert job.ready is not None
        here, best = estimate.here_us, max(estimate.best_us, 1)
        regret = self.kappa * (here * here / best - best) / job.ready.weight
        return job.ready.order_key + round(min(max(regret, 0.0), self.cap_s * SECOND_US))


@frozen
class FifoPolicy:
    """First come, first served."""

    def place(self, job: Job, wanted: SchedulingClass, est_us: int) -> Ready:
        """By the instant of submission."""
        return place_at(job, wanted, est_us, band=0, order_key=job.created_us)

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The key itself."""
        assert job.ready is not None
        return job.ready.order_key


@frozen
class StrictPolicy:
    """Higher priority always first; first come, first served within one."""

    def place(self, job: Job, wanted: SchedulingClass, est_us: int) -> Ready:
        """One band per priority."""
        return place_at(job, wanted, est_us, band=-job.spec.priority, order_key=job.created_us)

    def lateness(self, job: Job, estimate: Estimate) -> int:
        """The key itself; bands are compared before it."""
        assert job.ready is not None
        return job.ready.order_key


def nominal_us(job: Job, kind: JobKind | None) -> int:
    """A job's length before any engine is known: units × the kind's nominal seconds per unit."""
    kind = kind or JobKind(name=job.spec.kind)
    return to_us(kind.measure(job.spec)[1] * kind.nominal_s_per_unit)


def here_us(engine: Engine, task_class: str, units: float, otherwise_us: int) -> int:
    """A job's length on one engine by its benchmark of the task class, else ``otherwise_us``."""
    for cell in engine.profile.benchmarks:
        if cell.task_class == task_class:
            return to_us(units / cell.units_per_s)
    return otherwise_us


Speeds = Mapping[str, float]
"""The best units per second among live engines, by task class."""
