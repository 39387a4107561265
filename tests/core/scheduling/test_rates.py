"""What is learned of speeds: a law each, on the rates alone."""

from __future__ import annotations

from itertools import permutations
from math import exp, expm1, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core import Benchmark, Engine, Profile
from dispatch_core.kernel.scheduling.rates import FLEET_PRIOR, MOVED_MIN, SURPRISE_MAX, Rates, _Seen
from dispatch_core.testing.samples import an_engine
from dispatch_core.vocabulary.clock import SECOND_US

TASK = "h264/1080p/encode"
NOMINAL_US = 0.5 * SECOND_US
TIMES = st.integers(1_000, 100_000_000)
RUNS = st.lists(st.tuples(st.floats(0.1, 1_000), TIMES), max_size=12)


def engine(name: str = "e1", speed: float | None = None) -> Engine:
    """An engine with a benchmark of so many units per second, or without one."""
    cells = () if speed is None else (Benchmark(task_class=TASK, units_per_s=speed),)
    return an_engine(name, profile=Profile(benchmarks=cells))


def learn(rates: Rates, who: Engine, s_per_unit: float, runs: int = 1) -> None:
    """So many runs of ten units each."""
    for _ in range(runs):
        rates.learn(who, TASK, 10.0, round(10.0 * s_per_unit * SECOND_US), NOMINAL_US)


def s_per_unit(rates: Rates, who: Engine) -> float:
    """What one unit is expected to take."""
    return rates.us_per_unit(who, TASK, NOMINAL_US) / SECOND_US


@given(runs=RUNS, took=TIMES, longer=TIMES, speed=st.none() | st.floats(0.01, 100))
def test_a_longer_run_never_makes_an_engine_faster(
    runs: list[tuple[float, int]], took: int, longer: int, speed: float | None
) -> None:
    """After the same runs, of two last ones the longer leaves the slower rate, here and on a bystander."""
    who, other, told = engine("e1", speed), engine("e2", speed), []
    for last in sorted((took, longer)):
        rates = Rates()
        for units, us in [*runs, (5.0, last)]:
            rates.learn(who, TASK, units, us, NOMINAL_US)
        told.append((s_per_unit(rates, who), s_per_unit(rates, other)))
    assert told[0][0] <= told[1][0] * (1 + 1e-9)
    assert told[0][1] <= told[1][1] * (1 + 1e-9)


def test_the_order_of_unrelated_runs_does_not_matter() -> None:
    """Runs of other task classes may come in between as they like: the rates are the same to the bit."""
    who, runs = engine(speed=2.0), (("x", 4), ("y", 40), (TASK, 10), (TASK, 20))
    told = set()
    for order in permutations(runs):
        if order.index(runs[2]) < order.index(runs[3]):
            rates = Rates()
            for task_class, seconds in order:
                rates.learn(who, task_class, 1.0, seconds * SECOND_US, NOMINAL_US)
            told.add(tuple(rates.known(who)))
    assert len(told) == 1


def test_the_order_in_which_engines_report_hardly_matters() -> None:
    """What one engine learns passes to another only as a hint for the fleet, so that runs may cross by a few percent."""
    one, other, told = engine("e1", 1.0), engine("e2", 4.0), []
    for turns in ([one, other] * 6, [one] * 6 + [other] * 6, [other] * 6 + [one] * 6):
        rates = Rates()
        for who in turns:
            learn(rates, who, 2.0 if who is one else 0.3)
        told.append((s_per_unit(rates, one), s_per_unit(rates, other)))
    for each in told[1:]:
        assert each == pytest.approx(told[0], rel=0.25)


@given(straggler=st.floats(1.0, 1e6))
def test_one_straggler_does_not_condemn_its_engine(straggler: float) -> None:
    """However long one run took after ten good ones, the rate grows by less than a fifth; runs after it mend that."""
    who, rates = engine(speed=1.0), Rates()
    learn(rates, who, 1.0, runs=10)
    before = s_per_unit(rates, who)
    learn(rates, who, straggler)
    hurt = s_per_unit(rates, who)
    assert before <= hurt * (1 + 1e-9)
    assert hurt <= before * exp(SURPRISE_MAX / 8)
    learn(rates, who, 1.0, runs=10)
    assert s_per_unit(rates, who) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("wrong", [0.25, 4.0])
def test_a_wrong_benchmark_is_corrected_within_ten_runs(wrong: float) -> None:
    """An engine that says it is four times faster or slower than it is: after ten runs it is known within 25 %."""
    who, rates = engine(speed=wrong), Rates()
    learn(rates, who, 1.0, runs=10)
    assert s_per_unit(rates, who) == pytest.approx(1.0, rel=0.25)


def test_old_runs_are_forgotten() -> None:
    """After fifty runs at one speed, twenty at another count for more: the rate follows within 25 %."""
    who, rates = engine(speed=1.0), Rates()
    learn(rates, who, 1.0, runs=50)
    assert s_per_unit(rates, who) == pytest.approx(1.0, rel=0.01)
    learn(rates, who, 2.0, runs=20)
    assert s_per_unit(rates, who) == pytest.approx(2.0, rel=0.25)
    assert rates.rate(who, TASK, NOMINAL_US).samples < 10.0 + 1e-3


def test_an_engine_without_runs_profits_from_those_of_others() -> None:
    """Where a whole fleet is twice as slow as its benchmarks say, a new engine is expected to be so, too."""
    rates, new = Rates(), engine("new", 4.0)
    for number in range(8):
        learn(rates, engine(f"e{number}", 1.0), 2.0)
    assert 0.25 < s_per_unit(rates, new) < 0.5
    assert s_per_unit(rates, new) == pytest.approx(0.5, rel=0.35)


@given(runs=RUNS)
def test_the_fleets_correction_is_taken_over_when_it_has_moved(runs: list[tuple[float, int]]) -> None:
    """An engine that was not heard of moves when ``learn`` says that all have, never else, and is at most half a
    percent behind what the whole fleet's runs say."""
    who, other, rates, off = engine("who", 3.0), engine("other", 5.0), Rates(), _Seen()
    for units, us in runs:
        before = rates.us_per_unit(other, TASK, NOMINAL_US)
        expected = rates.us_per_unit(who, TASK, NOMINAL_US)
        whole = rates.learn(who, TASK, units, us, NOMINAL_US)
        after = rates.us_per_unit(other, TASK, NOMINAL_US)
        assert whole or after == before
        value = min(log(us / units), log(expected) + SURPRISE_MAX)
        off = off.and_one(min(value - log(SECOND_US / 3.0), 2.0), fading=0.98)
        exact = SECOND_US / 5.0 * exp(off.total / (off.count + FLEET_PRIOR))
        assert after == pytest.approx(exact, rel=1.001 * expm1(MOVED_MIN))


@given(runs=RUNS)
def test_the_spread_is_never_negative(runs: list[tuple[float, int]]) -> None:
    """p90 is at least p50, both are above 0, and samples are what was completed, old runs counting less."""
    who, rates = engine(speed=3.0), Rates()
    for units, us in runs:
        rates.learn(who, TASK, units, us, NOMINAL_US)
    (rate,) = rates.known(who)
    assert 0 < rate.s_per_unit_p50 <= rate.s_per_unit_p90
    assert min(len(runs), 1) <= rate.samples + 1e-3
    assert rate.samples <= len(runs)
