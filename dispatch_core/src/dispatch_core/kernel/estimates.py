"""What engines were seen to do: speeds by task class, as quantiles."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen


@frozen(kw_only=True)
class Observed:
    """How fast an engine completed ``count`` jobs of a task class, in units of work per second.

    Half of them were slower than ``units_per_s_p50``, nine of ten slower than ``units_per_s_p90``.
    """

    task_class: str
    count: int
    units_per_s_p50: float
    units_per_s_p90: float


def observed(speeds: Iterable[tuple[str, float]]) -> list[Observed]:
    """Quantiles of (task class, units per second), by the name of the class.

    >>> observed([("a", 1.0), ("a", 3.0), ("a", 2.0)])
    [Observed(task_class='a', count=3, units_per_s_p50=2.0, units_per_s_p90=3.0)]
    """
    by_class: dict[str, list[float]] = {}
    for task_class, speed in speeds:
        by_class.setdefault(task_class, []).append(speed)
    return [_quantiles(name, sorted(by_class[name])) for name in sorted(by_class)]


def _quantiles(task_class: str, ranked: list[float]) -> Observed:
    def at(tenths: int) -> float:
        return ranked[-(-len(ranked) * tenths // 10) - 1]  # the nearest rank, so always one that was measured

    return Observed(task_class=task_class, count=len(ranked), units_per_s_p50=at(5), units_per_s_p90=at(9))
