"""What is changed for an experiment beside the plain run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from attrs import evolve, frozen

from benchmarks.scheduling import scenario
from benchmarks.scheduling.scenario import Scenario
from dispatch_core import FlowPolicy, MakespanPolicy, Policy, Settings
from dispatch_core.simulation import EngineType, FleetPlan
from dispatch_core.simulation.stage import SETTINGS

PLAIN = "plain"


def _same(given: Scenario) -> Scenario:
    return given


@frozen(kw_only=True)
class Experiment:
    """``change`` makes the scenario; ``policy`` and ``settings`` are ours, where not the default.

    ``bounded`` says that the lower bound is wanted, ``at_once`` that all work is there at the start.
    Without ``learns`` the dispatcher believes the benchmarks to the end.
    """

    change: Callable[[Scenario], Scenario] = _same
    policy: Callable[[], Policy] | None = None
    settings: Settings | None = None
    bounded: bool = False
    at_once: bool = False
    learns: bool = True


def _engines(given: Scenario, change: Callable[[EngineType], EngineType]) -> Scenario:
    return evolve(given, fleet=FleetPlan(types=tuple(change(each) for each in given.fleet.types)))


def chaos(given: Scenario) -> Scenario:
    """Each engine crashes about twice a run (never more than every 10 min, or long jobs would have no chance),
    and is away 2 to 10 min; 1 % stragglers × 3 to 8; 5 % noise.
    """
    every_s = max(given.drain_s / given.key.load / 2, 600.0)
    return _engines(
        given,
        lambda each: evolve(
            each, crash_every_s=every_s, down_s=(120.0, 600.0), straggler_rate=0.01, noise_sigma=0.05
        ),
    )


def misjudged(given: Scenario) -> Scenario:
    """Engine by engine, true speeds differ from what is reported: lognormal 0.5 a class; one of ten is 4 × slower."""
    rng = Random(f"misjudged/{given.key.name}")
    types = []
    for each in given.fleet.types:
        for name in each.engine_names():
            factor = 0.25 if rng.random() < 0.1 else 1.0
            true = {
                task_class: speed * factor * rng.lognormvariate(0.0, 0.5)
                for task_class, speed in sorted(each.speeds.items())
            }
            types.append(evolve(each, name=f"{name}x", count=1, speeds=true, reported=dict(each.speeds)))
    return evolve(given, fleet=FleetPlan(types=tuple(types)))


def oracle(given: Scenario) -> Scenario:
    """The same true speeds, reported as they are."""
    return _engines(misjudged(given), lambda each: evolve(each, reported=None))


EXPERIMENTS: Mapping[str, Experiment] = {
    PLAIN: Experiment(bounded=True),
    "exact": Experiment(change=lambda given: scenario.with_error(given, 0.0), bounded=True),
    "sigma 0.7": Experiment(change=lambda given: scenario.with_error(given, 0.7), bounded=True),
    "class means": Experiment(change=scenario.with_class_means, bounded=True),
    "chaos": Experiment(change=chaos),
    "misjudged": Experiment(change=misjudged),
    "oracle": Experiment(change=oracle),
    "unlearned": Experiment(change=misjudged, learns=False),
    "flood": Experiment(change=scenario.flooded),
    "flood, no shares": Experiment(change=scenario.flooded, settings=evolve(SETTINGS, account_push_s=0.0)),
    "cap 1 h": Experiment(policy=lambda: FlowPolicy(cap_s=3_600.0)),
    "at once": Experiment(change=scenario.at_once, at_once=True),
    "makespan": Experiment(change=scenario.at_once, at_once=True, policy=MakespanPolicy),
}
