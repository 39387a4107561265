"""What is measured in one run, as a flat row of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmarks.scheduling.scenario import Scenario
from dispatch_core.simulation import Outcome, WorkOutcome, quantile

SLOWDOWN_BOUND_S = 10.0
BULK = "bulk"


def row_of(given: Scenario, outcome: Outcome) -> dict[str, float]:
    """Seconds, ratios and shares of one run. ``flow_s`` is the sum over jobs of weight × flow."""
    works = [each for each in outcome.works if each.flow_s is not None]
    slow = outcome.slowdowns(SLOWDOWN_BOUND_S)
    small = [_slowdown(each) for each in works if each.work.account != BULK]
    return {
        "jobs": len(outcome.works),
        "done": len(outcome.of_state("completed")),
        "flow_s": sum(2.0**each.work.priority * _flow(each) for each in works),
        "mean_flow_s": sum(map(_flow, works)) / max(len(works), 1),
        **{
            f"flow_p{level}_s": _mean(_flow(each) for each in works if each.work.priority == level)
            for level in range(4)
        },
        **{f"sd{share}": quantile(slow, share / 100) or 0.0 for share in (50, 95, 99)},
        "small_sd99": quantile(small, 0.99) or 0.0,
        "max_wait_s": max((each.wait_s or 0.0 for each in works), default=0.0),
        "deadlines": outcome.deadline_hits() or 0.0,
        "machine_s": sum(engine.busy_s for engine in outcome.engines),
        "makespan_s": outcome.makespan_s(),
        "capacity": _capacity(given, works),
    }


def _flow(each: WorkOutcome) -> float:
    return each.flow_s or 0.0


def _slowdown(each: WorkOutcome) -> float:
    return max(_flow(each) / max(each.best_s or 0.0, SLOWDOWN_BOUND_S), 1.0)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _capacity(given: Scenario, works: Sequence[WorkOutcome]) -> float:
    """Throughput until nine tenths of the work (in seconds on the best engine) are done, over the fleet's best."""
    whole = sum(each.best_s or 0.0 for each in works)
    done = 0.0
    for each in sorted(works, key=lambda work: work.finished_s or 0.0):
        done += each.best_s or 0.0
        if done >= 0.9 * whole:
            return 0.9 * given.drain_s / max(each.finished_s or 0.0, 1e-9)
    return 0.0


def geo_mean(values: Iterable[float]) -> float:
    """The geometric mean; NaN of nothing."""
    found = [math.log(value) for value in values]
    return math.exp(sum(found) / len(found)) if found else math.nan
