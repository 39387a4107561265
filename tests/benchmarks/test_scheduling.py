"""The scheduling benchmark measures what it says: its scenarios repeat, its bound is one, its baselines run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scheduling.baselines import POLICIES
from benchmarks.scheduling.bound import makespan_bound, weighted_flow_bound
from benchmarks.scheduling.families import FAMILIES
from benchmarks.scheduling.instance import Instance, drain_of, drain_s, instance_of
from benchmarks.scheduling.measures import row_of
from benchmarks.scheduling.scenario import Key, at_once, scenario, with_class_means, with_error
from dispatch_core.simulation import EngineType, FleetPlan, simulate

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_equal_keys_give_equal_scenarios(family: str) -> None:
    """A family is drawn from its key alone, has the number of jobs asked for, and its load is what it says."""
    key = Key(family, load=0.8, seed=3, jobs=150)
    one = scenario(key)
    assert one == scenario(key)
    assert one != scenario(Key(family, load=0.8, seed=4, jobs=150))
    assert len(one.workload.works) == 150
    assert 0 < max(work.at_s for work in one.workload.works) <= one.drain_s / 0.8
    assert all(any(work.task_class in kind.speeds for kind in one.fleet.types) for work in one.workload.works)


def test_scenarios_do_not_depend_on_the_hash_seed() -> None:
    """Another interpreter, with another hash seed, draws the same."""
    code = "from benchmarks.scheduling.scenario import *; print(scenario(Key('random', jobs=60)))"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert other.stdout == f"{scenario(Key('random', jobs=60))}\n"


def tiny(rng: np.random.Generator) -> Instance:
    """Two to four jobs on one or two groups of one or two slots."""
    jobs, groups = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    seconds = rng.lognormal(1.0, 1.0, (jobs, groups))
    seconds[rng.random((jobs, groups)) < 0.2] = np.inf
    seconds[:, 0] = np.where(np.isfinite(seconds).any(axis=1), seconds[:, 0], 3.0)
    release, weight = rng.uniform(0, 6, jobs), np.exp2(rng.integers(0, 4, jobs).astype(np.float64))
    return Instance(release, weight, seconds, rng.integers(1, 3, groups).astype(float))


def schedules(given: Instance) -> Iterator[tuple[float, float]]:
    """(weighted flow, last end) of every schedule in which no job could start earlier in its place."""
    slots = [group for group, count in enumerate(given.slots) for _ in range(int(count))]
    jobs = range(len(given.release))
    for places in product(range(len(slots)), repeat=len(jobs)):
        run = [given.seconds[job, slots[places[job]]] for job in jobs]
        if not np.isfinite(run).all():
            continue
        for order in permutations(jobs):
            free, flow = [0.0] * len(slots), 0.0
            for job in order:
                free[places[job]] = max(free[places[job]], given.release[job]) + run[job]
                flow += given.weight[job] * (free[places[job]] - given.release[job])
            yield flow, max(free)


@pytest.mark.parametrize("seed", range(12))
def test_no_schedule_of_a_tiny_instance_is_below_the_bound(seed: int) -> None:
    """Among all schedules, listed; and the bound is not idle: it comes near the best of them."""
    given = tiny(np.random.default_rng(seed))
    best = min(flow for flow, _ in schedules(given))
    found = weighted_flow_bound(given, slices=60, steps=60)
    assert 0.6 * best <= found <= best


def test_no_makespan_of_a_tiny_instance_is_below_its_bound() -> None:
    """The work in the best routing, or the longest job, whichever is longer."""
    for seed in range(6):
        given = tiny(np.random.default_rng(100 + seed))
        given = Instance(np.zeros_like(given.release), given.weight, given.seconds, given.slots)
        drain = drain_s(np.ones(len(given.release)), given.seconds, given.slots)
        assert makespan_bound(given, drain) <= min(end for _, end in schedules(given)) + 1e-6


def test_the_drain_time_routes_each_class_where_it_loses_least() -> None:
    """Two types, each good at one class: 100 units of each take 10 s, not the 55 s of an even split."""
    fleet = FleetPlan(
        types=(EngineType(name="a", speeds={"x": 10, "y": 1}), EngineType(name="b", speeds={"x": 1, "y": 10}))
    )
    assert drain_of(fleet, {"x": 100.0, "y": 100.0}) == pytest.approx(10.0)
    with pytest.raises(ValueError, match="no engine"):
        drain_of(fleet, {"z": 1.0})


def test_changed_declarations_leave_the_truth_alone() -> None:
    """An experiment with estimates has the same instance, so the same bound."""
    given = scenario(Key("aws", jobs=80))
    truth = instance_of(given.fleet, given.workload)
    for other in (with_error(given, 0.7), with_class_means(given)):
        assert other.workload != given.workload
        assert (instance_of(other.fleet, other.workload).seconds == truth.seconds).all()
    assert {work.at_s for work in at_once(given).workload.works} == {0.0}


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_finishes_every_job_above_the_bound(name: str) -> None:
    """A small run of each through the dispatcher; none beats what nothing can."""
    given = scenario(Key("video", jobs=40))
    outcome = simulate(given.fleet, given.workload, policy=POLICIES[name]())
    row = row_of(given, outcome)
    assert row["done"] == 40
    assert row["flow_s"] >= weighted_flow_bound(instance_of(given.fleet, given.workload), slices=80, steps=40)
    assert row["sd50"] >= 1
