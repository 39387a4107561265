"""A fleet and a workload to begin with: a small transcoding house, and one of its busy afternoons."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from dispatch_core.simulation.fleet import EngineType, FleetPlan
from dispatch_core.simulation.workload import Work, Workload

T = TypeVar("T")
_CLASSES = (("h264/720p", 5), ("h264/1080p", 6), ("hevc/1080p", 4), ("hevc/2160p", 2), ("av1/1080p", 2))
_ACCOUNTS = (("news", 5), ("films", 3), ("archive", 2))
_PRIORITIES = ((0, 3), (1, 11), (2, 4), (3, 2))


def example_fleet() -> FleetPlan:
    """Eight engines of four types: some good at one codec, some old, one that joins later; crashes happen."""
    cpu = {"h264/720p": 4.0, "h264/1080p": 2.0, "hevc/1080p": 0.8, "hevc/2160p": 0.2, "av1/1080p": 0.3}
    gpu = {"h264/720p": 16.0, "h264/1080p": 9.0, "hevc/1080p": 6.0, "hevc/2160p": 2.0}
    av1 = {"h264/1080p": 6.0, "hevc/1080p": 5.0, "av1/1080p": 4.0}
    return FleetPlan(
        (
            EngineType(name="cpu", count=3, speeds=cpu, noise_sigma=0.1, crash_every_s=20_000.0),
            EngineType(name="gpu", count=2, slots=2, speeds=gpu, noise_sigma=0.1, straggler_rate=0.01),
            EngineType(name="av1", count=1, speeds=av1, noise_sigma=0.1),
            EngineType(
                name="old", count=2, speeds={name: speed / 2 for name, speed in cpu.items()}, fail_rate=0.02
            ),
        )
    )


def example_workload(count: int = 300, *, seed: int = 0) -> Workload:
    """Titles that arrive in bursts, each as a few renditions; lengths are known to a third, some have deadlines."""
    draw = Random(seed)  # noqa: S311  # repeatable on purpose
    works: list[Work] = []
    at_s = 0.0
    while len(works) < count:
        at_s += draw.expovariate(1 / (3.0 if draw.random() < 0.5 else 20.0))
        works += _title(draw, round(at_s, 3), len(works) + 1)
    return Workload(tuple(works[:count]), name="afternoon")


def _title(draw: Random, at_s: float, number: int) -> list[Work]:
    length_s = min(draw.lognormvariate(5.0, 0.8), 1_200.0)
    account, priority = _one_of(draw, _ACCOUNTS), _one_of(draw, _PRIORITIES)
    deadline_s = round(60 + length_s * draw.uniform(2, 8)) if draw.random() < 0.4 else None
    renditions = dict.fromkeys(_one_of(draw, _CLASSES) for _ in range(draw.randint(1, 4)))
    return [
        Work(
            at_s,
            task_class,
            round(length_s, 3),
            work=round(length_s * draw.lognormvariate(0, 0.3), 3),
            priority=priority,
            account=account,
            deadline_s=deadline_s,
            name=f"title {number} {task_class}",
        )
        for task_class in renditions
    ]


def _one_of(draw: Random, options: tuple[tuple[T, int], ...]) -> T:
    return draw.choices([name for name, _ in options], [weight for _, weight in options])[0]
