"""Chance in a simulation: drawn from the seed and the name of what it is about, never from what ran before.

So two policies meet the same luck: a run of the same job, or an engine's crashes, do not depend on decisions.
"""

from __future__ import annotations

from math import exp
from random import Random

from attrs import frozen

from dispatch_core.simulation.fleet import EngineType
from dispatch_core.vocabulary.clock import to_us


@frozen
class Fate:
    """How one run will go: how long it takes, and whether it ends well."""

    lasts_us: int
    fails: bool


def fate_of(seed: int, job: str, attempt: int, engine: EngineType, ideal_s: float) -> Fate:
    """How a job's attempt goes on an engine that would need ``ideal_s`` seconds on its best day."""
    draw = Random(f"{seed}/{job}/{attempt}")  # noqa: S311  # repeatable on purpose
    noise, straggles, slow, fails, how_far = (
        draw.gauss(),
        draw.random(),
        draw.random(),
        draw.random(),
        draw.random(),
    )
    low, high = engine.straggler_factor
    factor = low + (high - low) * slow if straggles < engine.straggler_rate else 1.0
    whole_s = ideal_s * factor * exp(engine.noise_sigma * noise)
    if fails < engine.fail_rate:
        return Fate(max(to_us(whole_s * how_far), 1), fails=True)
    return Fate(max(to_us(whole_s), 1), fails=False)


class Crashes:
    """When one engine crashes, and for how long it is away."""

    def __init__(self, seed: int, engine_id: str, engine: EngineType) -> None:
        self._draw = Random(f"{seed}/{engine_id}")  # noqa: S311  # repeatable on purpose
        self._engine = engine

    def next_us(self) -> int | None:
        """How long it will be up from now; None: it never crashes."""
        every_s = self._engine.crash_every_s
        return None if every_s is None else max(to_us(self._draw.expovariate(1 / every_s)), 1)

    def down_us(self) -> int:
        """How long it will be away."""
        return max(to_us(self._draw.uniform(*self._engine.down_s)), 1)
