"""How long work takes where: seconds per unit by (task class, engine), from benchmarks, learned from runs.

The learned rate of an engine is the geometric mean of its runs, shrunk to what is expected of it:
log u = (n · mean + 3 · expected) / (n + 3), where the expected rate is the benchmark, corrected by how far the whole
fleet was off in that task class (itself shrunk by 5, and taken over when it has moved by half a percent: every engine's rate
moves with it). Old runs fade by 0.9 a run; one run counts
as at most 4.5 times as long as expected, so that a straggler does not condemn its engine.
"""

from __future__ import annotations

from math import exp, log, sqrt

from attrs import frozen

from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.engines import Engine

FORGETTING = 0.9
ENGINE_PRIOR, FLEET_PRIOR = 3.0, 5.0
"""How many runs the expectation counts for: of one engine, and of the fleet in one task class."""
MOVED_MIN = 0.005
"""A change of the fleet's correction (in log units) that is smaller waits: only near ties could fall otherwise."""
SURPRISE_MAX = 1.5
"""A run counts as at most e^1.5 = 4.5 times as long as was expected."""
SIGMA = 0.3
"""The spread of log run times taken for granted before anything was seen, as if in ENGINE_PRIOR runs."""
Z90, Z95 = 1.2816, 1.6449
"""The 90 % and 95 % points of the standard normal distribution."""
TRUSTED_SAMPLES = 4.0
"""So many samples, old ones counting less, are needed before a time limit rests on them: five runs in a row."""
LENGTH_MAX_US = 2**40
"""Longer work (12.7 days) is reckoned with as if it took so long: stores add the lengths of millions of jobs up in 64 bits."""


@frozen
class _Seen:
    """A fading count, sum and sum of squares. Readers beside the writer see one or the next, never half of both."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def and_one(self, value: float, deviation: float = 0.0, fading: float = 1.0) -> _Seen:
        """With one more observation."""
        return _Seen(
            self.count * fading + 1.0,
            self.total * fading + value,
            self.squares * fading + deviation * deviation,
        )


_NEVER = _Seen()


@frozen(kw_only=True)
class Rate:
    """Seconds per unit of a task class on one engine: half of the runs below p50, nine of ten below p90.

    ``samples`` is how many completed runs it rests on, old ones counting less; 0: benchmark or nominal only.
    """

    engine_id: str
    task_class: str
    s_per_unit_p50: float
    s_per_unit_p90: float
    samples: float
    benchmarked: bool


class Rates:
    """Learns from completed runs. A choice rests on it, never safety; the same runs give the same rates."""

    def __init__(self) -> None:
        self._engines: dict[tuple[str, str], _Seen] = {}
        self._fleet: dict[str, _Seen] = {}
        self._corrections: dict[str, float] = {}
        self._known: dict[str, dict[str, tuple[int, _Seen, float]]] = {}
        self._nominal: dict[str, float] = {}
        self._bases: dict[str, dict[str, tuple[int, float | None]]] = {}

    def look_again(self) -> None:
        """Look at benchmarks anew: a batch that was not written may have shown engines as they never were."""
        self._known.clear()
        self._bases.clear()

    def learn(self, engine: Engine, task_class: str, units: float, took_us: int, nominal_us: float) -> bool:
        """An attempt of ``units`` took ``took_us`` on this engine; ``nominal_us`` is the kind's guess per unit.

        Whether the rates of all engines have moved by that, or its own alone.
        """
        if took_us <= 0 or units <= 0:
            return False
        now = log(self.us_per_unit(engine, task_class, nominal_us))
        value = min(log(took_us / units), now + SURPRISE_MAX)
        own = self._engines.get((engine.id, task_class), _NEVER)
        self._engines[engine.id, task_class] = own.and_one(value, value - now, FORGETTING)
        off = min(value - log(self._base(engine, task_class) or nominal_us), 2.0)
        fleet = self._fleet[task_class] = self._fleet.get(task_class, _NEVER).and_one(off, fading=0.98)
        self._nominal[task_class] = nominal_us
        return self._corrected(task_class, fleet.total / (fleet.count + FLEET_PRIOR))

    def _corrected(self, task_class: str, correction: float) -> bool:
        known = self._corrections.get(task_class)
        if known is not None and abs(correction - known) < MOVED_MIN:
            return False
        self._corrections[task_class] = correction
        self._known.pop(task_class, None)
        return True

    def us_per_unit(self, engine: Engine, task_class: str, nominal_us: float) -> float:
        """The expected µs for one unit of a task class on this engine."""
        known = self._known.setdefault(task_class, {})
        found, own = known.get(engine.id), self._engines.get((engine.id, task_class), _NEVER)
        if found is None or found[0] != engine.version or found[1] is not own:
            expected = self._expected(engine, task_class, nominal_us, own)
            found = known[engine.id] = (engine.version, own, expected)
        return found[2]

    def _expected(self, engine: Engine, task_class: str, nominal_us: float, own: _Seen) -> float:
        base = self._base(engine, task_class) or nominal_us
        correction = self._corrections.get(task_class)
        if correction is None:
            return base
        prior = log(base) + correction
        if own is _NEVER:
            return exp(prior)
        return exp((own.total + ENGINE_PRIOR * prior) / (own.count + ENGINE_PRIOR))

    def known(self, engine: Engine) -> list[Rate]:
        """The rate of every task class that an engine was benchmarked for or has completed, by name."""
        learned = [name for engine_id, name in tuple(self._engines) if engine_id == engine.id]
        names = sorted({*learned, *(cell.task_class for cell in engine.profile.benchmarks)})
        return [self.rate(engine, name, self._nominal.get(name, SECOND_US)) for name in names]

    def _base(self, engine: Engine, task_class: str) -> float | None:
        """Remembered, for it is looked for among up to 500 benchmarks."""
        known = self._bases.setdefault(task_class, {})
        found = known.get(engine.id)
        if found is None or found[0] != engine.version:
            found = known[engine.id] = (engine.version, base_us_per_unit(engine, task_class))
        return found[1]

    def us_per_unit_p95(self, engine: Engine, task_class: str, nominal_us: float) -> float | None:
        """µs per unit that 19 of 20 runs stay below; None while too few were seen to say."""
        own = self._engines.get((engine.id, task_class))
        if own is None or own.count < TRUSTED_SAMPLES:
            return None
        return self.us_per_unit(engine, task_class, nominal_us) * exp(Z95 * _spread(own))

    def rate(self, engine: Engine, task_class: str, nominal_us: float) -> Rate:
        """What is known, with its spread."""
        median = self.us_per_unit(engine, task_class, nominal_us) / SECOND_US
        own = self._engines.get((engine.id, task_class), _NEVER)
        return Rate(
            engine_id=engine.id,
            task_class=task_class,
            s_per_unit_p50=median,
            s_per_unit_p90=median * exp(Z90 * _spread(own)),
            samples=round(own.count, 3),
            benchmarked=base_us_per_unit(engine, task_class) is not None,
        )

    def spread(self, engine_id: str, task_class: str) -> tuple[float, float]:
        """The standard deviation of the logarithm of a run's time, and the (fading) count of runs it rests on."""
        own = self._engines.get((engine_id, task_class), _NEVER)
        return _spread(own), own.count


def length_us(units: float, us_per_unit: float) -> int:
    """How long so much work takes, in whole µs: 1 … LENGTH_MAX_US.

    >>> length_us(2.0, 1e6), length_us(0.0, 1e6), length_us(1e30, 1e300) == LENGTH_MAX_US
    (2000000, 1, True)
    """
    length = units * us_per_unit
    if length >= LENGTH_MAX_US:
        return LENGTH_MAX_US
    return round(length) if length > 1.0 else 1


def _spread(own: _Seen) -> float:
    """The standard deviation of log run times."""
    return sqrt((own.squares + ENGINE_PRIOR * SIGMA * SIGMA) / (own.count + ENGINE_PRIOR))


def base_us_per_unit(engine: Engine, task_class: str) -> float | None:
    """µs for one unit by the engine's benchmark; None if it has none of the task class."""
    for cell in engine.profile.benchmarks:
        if cell.task_class == task_class:
            return SECOND_US / cell.units_per_s
    return None
