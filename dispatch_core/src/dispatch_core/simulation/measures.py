"""What people compare of an outcome: one row per measure, the same in tables, pages and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from dispatch_core.simulation.outcome import Outcome, mean, quantile

Measured = float | int | None


@frozen
class Measure:
    """One measure: its name in JSON, its words, its unit (``s``, ``%``, ``×``, ``/h`` or none), and how to take it."""

    name: str
    words: str
    unit: str
    of: Callable[[Outcome], Measured]


def _waits(outcome: Outcome) -> list[float]:
    return [each.wait_s for each in outcome.works if each.wait_s is not None]


def _misses(outcome: Outcome) -> int:
    return sum(each.in_time is False for each in outcome.works)


MEASURES: Sequence[Measure] = (
    Measure("works", "works", "", lambda it: len(it.works)),
    Measure("completed", "completed", "", lambda it: len(it.of_state("completed"))),
    Measure("failed", "failed for good", "", lambda it: len(it.of_state("failed"))),
    Measure("open", "not ended", "", lambda it: len(it.of_state("open"))),
    Measure("weighted_flow_s", "weighted mean time to the end", "s", lambda it: it.weighted_flow_s()),
    Measure("flow_s_mean", "mean time to the end", "s", lambda it: mean(it.flows_s())),
    Measure("wait_s_p50", "waiting, half", "s", lambda it: quantile(_waits(it), 0.5)),
    Measure("wait_s_p99", "waiting, 99 %", "s", lambda it: quantile(_waits(it), 0.99)),
    Measure("wait_s_max", "waiting, longest", "s", lambda it: max(_waits(it), default=None)),
    Measure("slowdown_p50", "slowdown, half", "×", lambda it: quantile(it.slowdowns(), 0.5)),
    Measure("slowdown_p99", "slowdown, 99 %", "×", lambda it: quantile(it.slowdowns(), 0.99)),
    Measure("deadline_hits", "deadlines met", "%", lambda it: it.deadline_hits()),
    Measure("deadline_misses", "deadlines missed", "", _misses),
    Measure("makespan_s", "from first to last", "s", lambda it: it.makespan_s()),
    Measure("throughput_per_hour", "throughput", "/h", lambda it: it.throughput_per_hour()),
    Measure("utilisation", "fleet in use", "%", lambda it: it.utilisation()),
    Measure("runs", "runs", "", lambda it: len(it.runs)),
    Measure("crashes", "crashes of engines", "", lambda it: sum(each.crashes for each in it.engines)),
)
"""Lengths of time count from submission; slowdown is the time to the end over the best engine's time (≥ 10 s)."""


def measures(outcome: Outcome) -> dict[str, Measured]:
    """Every measure of an outcome by name, for JSON."""
    return {each.name: each.of(outcome) for each in MEASURES}


def waits(outcome: Outcome) -> dict[str, dict[str, dict[str, float | None]]]:
    """Waiting times by priority and by account, for JSON: how many, and half, 95 % and all of them within."""
    by = {
        "priority": {str(name): each for name, each in outcome.waits_by_priority().items()},
        "account": dict(outcome.waits_by_account()),
    }
    return {
        what: {name: {"count": len(each), **_within(each)} for name, each in groups.items()}
        for what, groups in by.items()
    }


def _within(waits_s: Sequence[float]) -> dict[str, float | None]:
    shares = {"p50_s": 0.5, "p95_s": 0.95, "max_s": 1.0}
    return {name: quantile(waits_s, share) for name, share in shares.items()}


def in_words(value: Measured, unit: str) -> str:
    """A measured value for people.

    >>> in_words(1234.567, "s"), in_words(0.985, "%"), in_words(None, "s"), in_words(3, "")
    ('1,234.6 s', '98.5 %', '–', '3')
    """
    if value is None:
        return "–"
    if unit == "%":
        return f"{value * 100:.1f} %"
    number = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return f"{number} {unit}".rstrip()
