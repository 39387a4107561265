"""A lower bound on the weighted flow time that any schedule can reach, a clairvoyant's included.

The non-preemptive time-indexed linear programme chooses for every job a group of engines and an instant to start,
such that no group ever runs more jobs than it has slots. Its Lagrangian dual puts a price on each slot of a group,
second by second, and lets every job choose alone:

    L(prices) = sum over jobs of min over (group, start) of [weight · flow + price of the seconds used]
                − sum of price · slots

For any prices ≥ 0 this is at most the best schedule's weighted flow time (weak duality), so prices may be found by any
means. Here they are constant on slices of time and climb by Adam along the subgradient, where jobs choose among
some starts only; the bound that is given is then computed once over all starts that could be best, so it is valid.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from benchmarks.scheduling.instance import Floats, Instance

SLICES = 800
STEPS = 120
OFFSETS = 40
"""Starts a job looks at in the ascent: at its release, and later by distances that grow geometrically."""


@frozen(eq=False)
class Prices:
    """Price per slot and second, by group and slice; nothing costs anything after the last slice."""

    width_s: float
    values: Floats

    def spent(self) -> Floats:
        """What a slot has cost from 0 to each edge of the slices, by group."""
        groups, _ = self.values.shape
        return np.concatenate([np.zeros((groups, 1)), np.cumsum(self.values, axis=1) * self.width_s], axis=1)


def _at(spent: Floats, width_s: float, instants: Floats) -> Floats:
    """The cost up to any instant: linear between edges, constant after the last."""
    last = len(spent) - 1
    place = np.minimum(instants / width_s, last - 1e-9)
    floor = place.astype(np.int32)
    low = spent[floor]
    found: Floats = low + (place - floor) * (spent[floor + 1] - low)
    return found


@frozen(eq=False)
class Choice:
    """What every job would choose under some prices."""

    cost: Floats
    group: NDArray[np.int64]
    start: Floats


def _choose(given: Instance, prices: Prices, starts: Floats) -> Choice:
    """Each job's cheapest group and start among ``starts[job, …]``."""
    jobs = np.arange(len(given.release))
    cost = np.full(len(jobs), np.inf)
    group, start = np.zeros(len(jobs), dtype=np.int64), given.release.copy()
    waits = given.weight[:, None] * (starts - given.release[:, None])
    for number, spent in enumerate(prices.spent()):
        able = np.flatnonzero(np.isfinite(given.seconds[:, number]))
        run = given.seconds[able, number]
        begun = starts[able]
        offers = waits[able] - _at(spent, prices.width_s, begun)
        offers += _at(spent, prices.width_s, begun + run[:, None])
        offers += (given.weight[able] * run)[:, None]
        pick = offers.argmin(axis=1)
        offer = offers[np.arange(len(able)), pick]
        better = offer < cost[able]
        who = able[better]
        cost[who], group[who], start[who] = offer[better], number, begun[better, pick[better]]
    return Choice(cost, group, start)


def _used(given: Instance, choice: Choice, width_s: float, shape: tuple[int, int]) -> Floats:
    """Slot seconds used by group and slice."""
    groups, slices = shape
    used = np.empty(shape)
    run = given.seconds[np.arange(len(choice.start)), choice.group]
    for number in range(groups):
        mine = choice.group == number
        begun = _ramp(choice.start[mine] / width_s, slices)
        ended = _ramp((choice.start[mine] + run[mine]) / width_s, slices)
        used[number] = np.diff(begun - ended) * width_s
    return used


def _ramp(points: Floats, slices: int) -> Floats:
    """At each edge k the sum over the points of max(0, k − point)."""
    inside = points[points < slices]
    floor = inside.astype(np.int64)
    count = np.bincount(floor, minlength=slices)[:slices]
    part = np.bincount(floor, weights=floor + 1 - inside, minlength=slices)[:slices]
    passed = np.cumsum(count) - count
    return np.concatenate([[0.0], np.cumsum(passed + part)])


def _starts(given: Instance, horizon_s: float, width_s: float) -> Floats:
    offsets = np.concatenate([[0.0], np.geomspace(width_s / 4, horizon_s, OFFSETS - 1)])
    found: Floats = np.minimum(given.release[:, None] + offsets[None, :], horizon_s)
    return found


def climb(given: Instance, horizon_s: float, *, slices: int = SLICES, steps: int = STEPS) -> Prices:
    """Prices found by Adam from nothing, with steps that shrink; the best on the way."""
    width = horizon_s / slices
    shape = (len(given.slots), slices)
    room = given.slots[:, None] * width
    scale = float(given.weight.mean())  # a second of a slot costs what waits behind it
    starts = _starts(given, horizon_s, width)
    values, first, second = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    best, best_value = values, -np.inf
    for step in range(1, steps + 1):
        prices = Prices(width, values)
        choice = _choose(given, prices, starts)
        value = choice.cost.sum() - (values * room).sum()
        if value > best_value:
            best, best_value = values, value
        slope = (_used(given, choice, width, shape) - room) / room
        first = 0.8 * first + 0.2 * slope
        second = 0.98 * second + 0.02 * slope**2
        move = first / (1 - 0.8**step) / (np.sqrt(second / (1 - 0.98**step)) + 1e-9)
        rate = scale * (1 - step / (steps + 1)) ** 1.5
        values = np.maximum(values + rate * move, 0.0)
    return Prices(width, best)


CHUNK = 200


def value(given: Instance, prices: Prices) -> float:
    """The dual's exact value: a valid lower bound, whatever the prices.

    What a job pays is piecewise linear in its start, so the least lies at its release or where its first or its last
    second meets the edge of a slice. After the last edge seconds are free, so that to wait for more only costs.
    """
    edges = np.arange(prices.values.shape[1] + 1) * prices.width_s
    total = 0.0
    for first in range(0, len(given.release), CHUNK):
        some = slice(first, first + CHUNK)
        part = Instance(given.release[some], given.weight[some], given.seconds[some], given.slots)
        total += _exact(part, prices, edges).sum()
    total -= float((prices.values * given.slots[:, None]).sum()) * prices.width_s
    return float(total) * (1 - 1e-9)  # sums of floats are not exact


def _exact(given: Instance, prices: Prices, edges: Floats) -> Floats:
    cost = np.full(len(given.release), np.inf)
    for number, spent in enumerate(prices.spent()):
        able = np.flatnonzero(np.isfinite(given.seconds[:, number]))
        run, release, weight = (
            each[able, None] for each in (given.seconds[:, number], given.release, given.weight)
        )
        both = np.concatenate([np.broadcast_to(edges, (len(able), len(edges))), edges - run, release], axis=1)
        starts = np.maximum(both, release)
        offers = weight * (starts - release + run) - _at(spent, prices.width_s, starts)
        offers += _at(spent, prices.width_s, starts + run)
        cost[able] = np.minimum(cost[able], offers.min(axis=1))
    return cost


def weighted_flow_bound(given: Instance, *, slices: int = SLICES, steps: int = STEPS) -> float:
    """Seconds of weighted flow (sum over jobs of weight × time from release to end) that no schedule goes below."""
    span = float(given.release.max())
    horizon = span + max(0.25 * span, float(given.best.max()))
    prices = climb(given, horizon, slices=slices, steps=steps)
    return max(value(given, prices), float((given.weight * given.best).sum()) * (1 - 1e-9))


def makespan_bound(given: Instance, drain_s: float) -> float:
    """Seconds from the first release that no schedule of jobs released at once goes below: work, or the longest job."""
    return max(drain_s, float(given.best.max()))
