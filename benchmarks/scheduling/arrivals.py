"""When titles arrive, who sends them and how urgent they are: the part that all families share."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from random import Random

BURST_FACTOR = 5.0
BURST_SHARE, BURSTS = 0.10, 40
"""The share of time in bursts, and how many there are on average."""
WAVE = 0.4
"""The amplitude of the day. A run spans an hour or two of it."""
DAY_S = 86_400.0
PRIORITIES, PRIORITY_SHARES = (0, 1, 2, 3), (0.15, 0.55, 0.20, 0.10)
ACCOUNTS = tuple(f"account-{number}" for number in range(1, 9))
ACCOUNT_SHARES = tuple(1 / number for number in range(1, 9))
DEADLINE_SHARE = 0.4


def instants(rng: Random, count: int, span_s: float) -> list[float]:
    """Ascending seconds in 0 … ``span_s`` of a two-state Poisson process under a daily wave, given their number."""
    first, edges, phase = rng.random() < BURST_SHARE, [0.0], rng.random()
    burst = first
    while edges[-1] < span_s:
        mean = (BURST_SHARE if burst else 1 - BURST_SHARE) * span_s / BURSTS
        edges.append(edges[-1] + rng.expovariate(1 / mean))
        burst = not burst
    found: list[float] = []
    while len(found) < count:
        at = rng.random() * span_s
        bursting = first ^ (bisect_right(edges, at) % 2 == 0)
        rate = (BURST_FACTOR if bursting else 1.0) * (1 + WAVE * math.sin(2 * math.pi * (at / DAY_S + phase)))
        if rng.random() * BURST_FACTOR * (1 + WAVE) < rate:
            found.append(round(at, 6))
    return sorted(found)


def priority(rng: Random) -> int:
    """0 … 3, in the shares 15, 55, 20 and 10 %."""
    return rng.choices(PRIORITIES, PRIORITY_SHARES)[0]


def account(rng: Random) -> str:
    """One of eight, by Zipf's law."""
    return rng.choices(ACCOUNTS, ACCOUNT_SHARES)[0]


def deadline_s(rng: Random, best_s: float) -> float | None:
    """For four jobs of ten: 3 to 20 times the best run time, and 30 to 300 s; counted from the arrival."""
    if rng.random() >= DEADLINE_SHARE:
        return None
    return rng.uniform(3, 20) * best_s + rng.uniform(30, 300)


def zipf(count: int, exponent: float) -> list[float]:
    """Cumulative shares of ``count`` things, the first the most common."""
    weights = [rank**-exponent for rank in range(1, count + 1)]
    return [each / sum(weights) for each in accumulate(weights)]
