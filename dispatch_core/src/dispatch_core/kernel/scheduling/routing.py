"""Where a job could go: what each group of engines offers it, and the best offer.

A submit looks at every group, so the numbers are reckoned in one pass and only the best becomes an object
(120 µs a job with 24 groups when each did).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from math import inf

from attrs import define, field, frozen

from dispatch_core.kernel.scheduling.levels import LEVELS, WEIGHT_UNITS, level_of
from dispatch_core.kernel.scheduling.rates import length_us


@frozen
class Route:
    """What a group of engines offers a job: its length there, and what stands before and behind it (per slot)."""

    group: str
    here_us: int
    wait_us: float
    """Running remainder and queued work of higher weight per length, over the slots."""
    behind: float
    """Weight (jobs of priority 0 weigh 1) queued there with less weight per length, over the slots."""
    backlog_us: float
    """Running remainder and all queued work, over the slots."""
    free_us: float = 0.0
    """Until the next slot is free, whoever is to have it; only where a job waits already."""


@define
class Queue:
    """What is attributed to one group: length and weight by level."""

    lengths: list[int] = field(factory=lambda: [0] * LEVELS)
    weights: list[int] = field(factory=lambda: [0] * LEVELS)
    sums: tuple[list[int], list[int]] | None = None
    """Length above, weight below each level; None: to be summed anew."""

    def add(self, level: int, length: int, weight: int) -> None:
        """A job came (or, with both below zero, went)."""
        self.lengths[level] += length
        self.weights[level] += weight
        self.sums = None

    def summed(self) -> tuple[list[int], list[int]]:
        """Length of all that is above each level, beginning with the highest; weight of all below, with the lowest."""
        self.sums = (
            [*accumulate(reversed(self.lengths), initial=0)],
            [*accumulate(self.weights, initial=0)],
        )
        return self.sums

    def ahead(self, level: int) -> float:
        """Length of what is more urgent, and half of what is equally so."""
        return (self.sums or self.summed())[0][LEVELS - 1 - level] + self.lengths[level] / 2

    def behind(self, level: int) -> float:
        """Weight of what is less urgent, and half of what is equally so."""
        return ((self.sums or self.summed())[1][level] + self.weights[level] / 2) / WEIGHT_UNITS

    def total(self) -> int:
        """Length of everything."""
        return (self.sums or self.summed())[0][-1]


NOTHING_QUEUED = Queue()

Offer = tuple[str, int, float, Queue]
"""A group, its slots, what still runs on them (µs) and what is queued there."""
Offers = Sequence[tuple[float, Sequence[Offer]]]
"""The groups that may run a class, by their µs per unit."""


@frozen
class Routes:
    """Every group that could take a job of so many units now or later. ``barred``: those that one job must not use."""

    offers: Offers
    units: float
    weight: float
    barred: Callable[[str], bool] | None = None

    def __iter__(self) -> Iterator[Route]:
        found = [
            self._route(rate, *offer)
            for rate, offers in self.offers
            for offer in offers
            if self.barred is None or not self.barred(offer[0])
        ]
        return iter(sorted(found, key=lambda route: route.group))

    def _route(self, rate: float, group: str, slots: int, running_us: float, queue: Queue) -> Route:
        here_us = length_us(self.units, rate)
        level = level_of(self.weight, here_us)
        wait_us = (running_us + queue.ahead(level)) / slots
        return Route(
            group, here_us, wait_us, queue.behind(level) / slots, (running_us + queue.total()) / slots
        )

    def least(self, weight: float | None) -> Route | None:
        """As the function of this name, written out: without an object or a call for each group."""
        best: tuple[float, str] = (inf, "")
        chosen: tuple[float, Offer] | None = None
        for rate, offers in self.offers:
            here_us = length_us(self.units, rate)
            level = level_of(self.weight, here_us)
            for offer in offers:
                group, slots, running_us, queue = offer
                if self.barred is not None and self.barred(group):
                    continue
                above, below = queue.sums or queue.summed()
                if weight is None:
                    price = (running_us + above[-1]) / slots + here_us
                else:
                    wait_us = (running_us + (above[LEVELS - 1 - level] + queue.lengths[level] / 2)) / slots
                    behind = (below[level] + queue.weights[level] / 2) / WEIGHT_UNITS / slots
                    price = weight * (wait_us + here_us) + here_us * behind
                if price < best[0] or chosen is None or (price == best[0] and group < best[1]):
                    best, chosen = (price, group), (rate, offer)
        return None if chosen is None else self._route(chosen[0], *chosen[1])


def least(routes: Iterable[Route], weight: float | None = None) -> Route | None:
    """The route on which a job of a weight adds least to the weighted time of all: its own, and that of those it
    delays. Without a weight, the one on which it ends first. Of equals the first by name; None if there is none.
    """
    if isinstance(routes, Routes):
        return routes.least(weight)
    return min(routes, key=lambda route: (price_of(route, weight), route.group), default=None)


def price_of(route: Route, weight: float | None) -> float:
    """What ``least`` compares."""
    if weight is None:
        return route.backlog_us + route.here_us
    return weight * (route.wait_us + route.here_us) + route.here_us * route.behind
