"""When a waiting job should start: the slots of its engines, taken in turn by what comes before it.

The slots are filled in the order of the queue, each job on the slot that is free first. A run of expected length m
(a median) lasts m · e^(s²/2) on average and varies by m · √(e^(s²) − 1), s being the spread of the logarithm of run times
that the engine has shown; what all lengths may be off together, for want of samples, is added once.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from math import exp, expm1, hypot, sqrt

from attrs import frozen

from dispatch_core.kernel.scheduling.explanation import StartEstimate
from dispatch_core.kernel.scheduling.outlook import Outlook
from dispatch_core.kernel.scheduling.rates import SIGMA, Z90
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine

HORIZON_US = 366 * 86_400 * SECOND_US
"""Beyond a year nothing is promised."""


@frozen
class Spread:
    """How run times vary: the deviation of their logarithm, and on how many runs that rests."""

    sigma: float
    samples: float

    @property
    def mean(self) -> float:
        """The mean of runs over their median."""
        return exp(self.sigma * self.sigma / 2)

    @property
    def deviation(self) -> float:
        """The standard deviation of one run over the median."""
        return self.mean * sqrt(expm1(self.sigma * self.sigma))

    @property
    def shared(self) -> float:
        """How far the lengths of all runs may be off together."""
        return SIGMA / sqrt(1 + self.samples)


def spread_of(engines: Sequence[Engine], task_class: str, outlook: Outlook) -> Spread:
    """The widest of those engines, which promises least."""
    found = [Spread(*outlook.rates.spread(each.id, task_class)) for each in engines]
    return max(found, key=lambda each: (each.deviation, each.shared), default=Spread(SIGMA, 0.0))


def start_of(
    engines: Sequence[Engine],
    ahead_us: Sequence[int],
    more_us: float,
    spread: Spread,
    outlook: Outlook,
    now: int,
) -> StartEstimate | None:
    """The start of a job on the first free slot of these engines, behind jobs of these lengths.

    ``more_us`` is machine time ahead of it beyond those. None if the engines have no slots.
    """
    slots = [(left, variance) for each in engines for left, variance in _slots(each, spread, outlook, now)]
    if not slots:
        return None
    heapify(slots)
    for length_us in ahead_us:
        free_in, variance = slots[0]
        deviation = length_us * spread.deviation
        heapreplace(slots, (free_in + length_us * spread.mean, variance + deviation * deviation))
    free_in, variance = slots[0]
    rest_us = more_us * spread.mean / len(slots)
    typical_us = sum(ahead_us) / len(ahead_us) if ahead_us else 0.0
    variance += rest_us * typical_us * spread.deviation**2
    wait_us = free_in + rest_us
    names = tuple(each.id for each in engines)
    return around(wait_us, hypot(sqrt(variance), wait_us * spread.shared), now, names)


def around(
    wait_us: float, deviation_us: float, now: int, engines: tuple[str, ...], least_us: float = 0.0
) -> StartEstimate | None:
    """An estimate from a wait and its standard deviation; nothing starts before ``least_us`` from now.

    None if that is beyond the horizon.
    """
    margin_us = Z90 * deviation_us
    if not max(wait_us + margin_us, least_us) < HORIZON_US:
        return None
    return StartEstimate(
        p10_us=now + round(max(wait_us - margin_us, least_us)),
        p50_us=now + round(max(wait_us, least_us)),
        p90_us=now + round(max(wait_us + margin_us, least_us)),
        engines=engines,
    )


def _slots(engine: Engine, spread: Spread, outlook: Outlook, now: int) -> list[tuple[float, float]]:
    """When each slot is free and with which variance: the runs that end last keep theirs."""
    slots = engine.slots
    left = outlook.left_on(engine.id, now)
    runs = left[max(len(left) - slots, 0) :]
    return [(each, (each * spread.deviation) ** 2) for each in runs] + [(0.0, 0.0)] * (slots - len(runs))
