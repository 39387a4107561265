"""What engines were seen to do: speeds by task class and how far estimates were off, as quantiles."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen


@frozen(kw_only=True)
class Timed:
    """A completed attempt: its units of work, and how long (µs) it took and should have taken."""

    task_class: str
    units: float
    took_us: int
    estimate_us: int | None = None


@frozen(kw_only=True)
class Observed:
    """How fast an engine completed ``count`` jobs of a task class, in units of work per second.

    Half of them were slower than ``units_per_s_p50``, nine of ten slower than ``units_per_s_p90``. Half of their
    estimates were off by less than the factor ``estimate_off_p50`` (1 is exact; too long and too short count
    alike), nine of ten by less than ``estimate_off_p90``; None if none of them had an estimate.
    """

    task_class: str
    count: int
    units_per_s_p50: float
    units_per_s_p90: float
    estimate_off_p50: float | None = None
    estimate_off_p90: float | None = None


def observed(runs: Iterable[Timed]) -> list[Observed]:
    """Quantiles by task class, in the order of the names of the classes.

    >>> (found,) = observed([Timed(task_class="a", units=each, took_us=1_000_000) for each in (1.0, 3.0, 2.0)])
    >>> found.count, found.units_per_s_p50, found.units_per_s_p90
    (3, 2.0, 3.0)
    """
    by_class: dict[str, list[Timed]] = {}
    for run in runs:
        by_class.setdefault(run.task_class, []).append(run)
    return [_quantiles(name, by_class[name]) for name in sorted(by_class)]


def off(estimate_us: int, took_us: int) -> float:
    """The factor by which an estimate was off, at least 1.

    >>> off(50, 100), off(100, 50)
    (2.0, 2.0)
    """
    longer, shorter = max(estimate_us, took_us), min(estimate_us, took_us)
    return longer / max(shorter, 1)


def _quantiles(task_class: str, runs: list[Timed]) -> Observed:
    speeds = sorted(run.units * 1_000_000 / run.took_us for run in runs)
    factors = sorted(off(run.estimate_us, run.took_us) for run in runs if run.estimate_us is not None)
    return Observed(
        task_class=task_class,
        count=len(runs),
        units_per_s_p50=_at(speeds, 5),
        units_per_s_p90=_at(speeds, 9),
        estimate_off_p50=_at(factors, 5) if factors else None,
        estimate_off_p90=_at(factors, 9) if factors else None,
    )


def _at(ranked: list[float], tenths: int) -> float:
    return ranked[-(-len(ranked) * tenths // 10) - 1]  # the nearest rank, so always one that was measured
