"""One run: a scenario, perhaps changed for an experiment, under one policy. Several runs at once, in processes."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import numpy as np
from attrs import frozen

from benchmarks.machine import RESULTS
from benchmarks.scheduling import bound
from benchmarks.scheduling.baselines import POLICIES
from benchmarks.scheduling.experiments import EXPERIMENTS, PLAIN
from benchmarks.scheduling.instance import Instance, instance_of
from benchmarks.scheduling.measures import row_of
from benchmarks.scheduling.scenario import Key, Scenario, scenario
from dispatch_core.kernel.scheduling.rates import Rates
from dispatch_core.simulation import simulate

Row = Mapping[str, float]
BOUNDS = RESULTS / "local" / "bounds"
PROCESSES = 2
T = TypeVar("T")
R = TypeVar("R")


@frozen
class Case:
    """What to run."""

    key: Key
    policy: str
    experiment: str = PLAIN


def changed(case: Case) -> Scenario:
    """The scenario of a case, as its experiment wants it."""
    return EXPERIMENTS[case.experiment].change(scenario(case.key))


def bound_of(key: Key, given: Scenario) -> float:
    """The lower bound on Σ weight × flow of a scenario, from the cache if the very same was bounded before."""
    numbers = instance_of(given.fleet, given.workload)
    path = BOUNDS / f"{key.name}-{_mark(numbers)}.json"
    if path.exists():
        return float(json.loads(path.read_text(encoding="ascii")))
    found = bound.weighted_flow_bound(numbers)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found), encoding="ascii")
    return found


def _mark(given: Instance) -> str:
    """Changes with anything that the bound is computed from."""
    digest = hashlib.sha256(repr((bound.SLICES, bound.STEPS, bound.OFFSETS)).encode())
    for array in (given.release, given.weight, given.seconds, given.slots):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def unlearning() -> Iterator[None]:
    """For a while nothing is learned from runs in this process: a comparison that no setting of the product offers."""
    learn = Rates.learn
    Rates.learn = _forget  # type: ignore[method-assign, assignment]  # the row that learns nothing
    try:
        yield
    finally:
        Rates.learn = learn  # type: ignore[method-assign]  # as it was


def _forget(*_: object) -> None:
    """What was seen."""


def run_case(case: Case) -> dict[str, float]:
    """Simulate and measure. ``x_bound`` is weighted flow over its bound; ``wall_s`` what the simulation took."""
    given, experiment = changed(case), EXPERIMENTS[case.experiment]
    policy = experiment.policy() if experiment.policy and case.policy == "ours" else POLICIES[case.policy]()
    began = time.perf_counter()
    with nullcontext() if experiment.learns else unlearning():
        outcome = simulate(
            given.fleet, given.workload, policy=policy, settings=experiment.settings, seed=case.key.seed
        )
    wall = time.perf_counter() - began
    row = row_of(given, outcome) | {"wall_s": wall}
    if experiment.bounded:
        row["x_bound"] = row["flow_s"] / bound_of(case.key, given)
    if experiment.at_once:
        longest = float(instance_of(given.fleet, given.workload).best.max())
        row["x_makespan"] = row["makespan_s"] / max(given.drain_s, longest)
    return row


def _warm(case: Case) -> None:
    bound_of(case.key, changed(case))


def run_all(cases: Sequence[Case], processes: int = PROCESSES) -> dict[Case, Row]:
    """All the cases, the bounds they share first; their rows in the order given."""
    wanted = list(dict.fromkeys(cases))
    shared = list({case.key: case for case in wanted if EXPERIMENTS[case.experiment].bounded}.values())
    with ProcessPoolExecutor(processes) as pool:
        _gather(pool, _warm, shared, "bounds")
        rows = _gather(pool, run_case, wanted, "runs")
    return dict(zip(wanted, rows, strict=True))


def _gather(pool: ProcessPoolExecutor, work: Callable[[T], R], items: Sequence[T], what: str) -> list[R]:
    began = time.perf_counter()
    futures = [pool.submit(work, item) for item in items]
    for number, future in enumerate(as_completed(futures), 1):
        if future.exception():
            pool.shutdown(cancel_futures=True)  # or the others would run to their end first
        _bar(what, number, len(futures), time.perf_counter() - began)
    return [future.result() for future in futures]


def _bar(what: str, done: int, total: int, spent_s: float) -> None:
    if not sys.stderr.isatty():
        return
    filled = 30 * done // total
    left = spent_s / done * (total - done)
    line = f"\r{what} [{'#' * filled}{'.' * (30 - filled)}] {done}/{total}, about {left:.0f} s left "
    print(line, end="\n" if done == total else "", file=sys.stderr, flush=True)
