"""Fleets and workloads for tests of the simulator; run as a program, it prints the digest of a stormy day."""

from __future__ import annotations

from random import Random

from dispatch_core.simulation import EngineType, FleetPlan, Work, Workload, simulate

CLASSES = ("h264", "hevc", "av1")


def calm(count: int = 1, **fields: object) -> FleetPlan:
    """Engines that run every class at one unit a second."""
    speeds = dict.fromkeys(CLASSES, 1.0)
    return FleetPlan((EngineType(**{"name": "cpu", "speeds": speeds, "count": count, **fields}),))  # type: ignore[arg-type]  # keywords of several types


def stormy() -> FleetPlan:
    """Two types of engines, on which all that can go wrong does."""
    trouble = {"straggler_rate": 0.05, "noise_sigma": 0.2, "fail_rate": 0.05, "down_s": (20.0, 60.0)}
    return FleetPlan(
        (
            EngineType(name="cpu", count=3, speeds={"h264": 1.0, "hevc": 0.4}, crash_every_s=100.0, **trouble),  # type: ignore[arg-type]  # keywords of several types
            EngineType(name="gpu", count=2, slots=2, speeds=dict.fromkeys(CLASSES, 2.0), crash_every_s=150.0, **trouble),  # type: ignore[arg-type]  # keywords of several types
            EngineType(name="late", speeds={"av1": 1.0}, joins_at_s=200.0, leaves_at_s=900.0),
        )
    )  # fmt: skip


def busy(count: int = 80, seed: int = 0) -> Workload:
    """Works of every class and priority, some of them declared too short, a few at a time."""
    draw = Random(seed)
    works: list[Work] = []
    at_s = 0.0
    while len(works) < count:
        at_s += draw.expovariate(1 / 20)
        for _ in range(draw.randrange(1, 4)):
            units = draw.lognormvariate(3.5, 0.8)
            account, priority = draw.choice(("", "ann", "bob")), draw.choice((0, 1, 3))
            truth = units * draw.lognormvariate(0, 0.3)
            work = Work(at_s, draw.choice(CLASSES), units, work=truth, priority=priority, account=account)
            works.append(work)
    return Workload(tuple(works[:count]))


if __name__ == "__main__":
    print(simulate(stormy(), busy(40), seed=5).digest())
