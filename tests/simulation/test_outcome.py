"""The measures of an outcome, against figures worked out by hand."""

from __future__ import annotations

import pytest

from dispatch_core import FifoPolicy
from dispatch_core.simulation import Outcome, Work, Workload, mean, quantile, simulate
from tests.simulation.fleets import calm


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """One engine: 0–100, 100–120, 120–130; submitted at 0, 10, 20."""
    works = (
        Work(0, "h264", 100, account="ann", deadline_s=100),
        Work(10, "h264", 20, priority=1, account="bob", deadline_s=100),
        Work(20, "h264", 5, work=10, priority=3, account="ann"),
    )
    return simulate(calm(), Workload(works), policy=FifoPolicy())


def test_flow_and_wait(outcome: Outcome) -> None:
    """Flow is from submission to end, waiting to the first start; weights are 2^priority."""
    assert outcome.flows_s() == [100.0, 110.0, 110.0]
    assert outcome.weighted_flow_s() == pytest.approx((100 + 2 * 110 + 8 * 110) / 11)
    assert outcome.weighted_flow_s(lambda _work: 1.0) == pytest.approx(320 / 3)
    assert outcome.waits_by_priority() == {0: [0.0], 1: [90.0], 3: [100.0]}
    assert outcome.waits_by_account() == {"ann": [0.0, 100.0], "bob": [90.0]}


def test_slowdowns_are_bounded(outcome: Outcome) -> None:
    """Flow over the best time in truth, which counts as ten seconds at least."""
    assert outcome.slowdowns() == [1.0, 5.5, 11.0]
    assert outcome.slowdowns(bound_s=50) == [1.0, 2.2, 2.2]


def test_the_rest(outcome: Outcome) -> None:
    """Deadlines, makespan, throughput, utilisation, and how wrong the estimates were."""
    assert outcome.deadline_hits() == 0.5
    assert outcome.makespan_s() == 130.0
    assert outcome.throughput_per_hour() == pytest.approx(3 * 3_600 / 130)
    assert outcome.utilisation() == outcome.engines[0].utilisation == 1.0
    assert outcome.estimate_errors() == [1.0, 1.0, 2.0]
    assert (outcome.policy, outcome.works[2].name) == ("fifo", "#3")


def test_nothing_has_no_measures() -> None:
    """An empty workload is over at once, and its measures are None rather than a division by zero."""
    empty = simulate(calm(), Workload(()))
    assert empty.until_s == 0
    assert (empty.weighted_flow_s(), empty.deadline_hits(), empty.slowdowns()) == (None, None, [])
    assert (empty.makespan_s(), empty.throughput_per_hour(), mean([]), quantile([], 0.5)) == (
        0,
        0,
        None,
        None,
    )
