"""What a suite of benchmarks is given and gives back, and how its rounds are taken."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from attrs import field, frozen

Rounds = Mapping[str, Sequence[float]]
"""By name of what was measured, one figure a round."""


@frozen
class Figure:
    """What was measured of a goal, and in words what it is to be held against."""

    value: float
    beside: str = ""


@frozen(kw_only=True)
class Outcome:
    """A suite's table, and the goals it has figures of, by ``Goal.key``. ``notes`` say what is not fair in it."""

    rows: Sequence[Mapping[str, object]]
    figures: Mapping[str, Figure] = field(factory=dict)
    notes: Sequence[str] = ()


@frozen(kw_only=True)
class Scale:
    """How much is measured. ``quick``: enough to see where one stands, in a minute a suite at most."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        """How often each thing is measured, in turns with what it is compared with."""
        return 3 if self.quick else 7

    @property
    def seconds(self) -> float:
        """How long one measurement of a rate takes."""
        return 0.7 if self.quick else 3.0

    @property
    def backlog(self) -> int:
        """How many pending jobs are many."""
        return 20_000 if self.quick else 1_000_000


def tell(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def in_turns(rounds: int, measured: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each thing measured once a round, every other round in the reverse order, so that noise meets all alike."""
    found: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(rounds):
        for name in found if number % 2 == 0 else reversed(found):
            found[name].append(measured[name]())
            tell(f"round {number + 1} of {rounds}: {name} {found[name][-1]:,.0f}")
    return found


def ratio(rounds: Rounds, ours: str, theirs: str) -> float:
    """The median over the rounds of one thing divided by another."""
    return statistics.median(a / b for a, b in zip(rounds[ours], rounds[theirs], strict=True))


def line(rounds: Rounds, name: str, unit: str) -> dict[str, object]:
    """A row of a table: the median and how far the rounds lie apart."""
    values = rounds[name]
    return {
        "what": name,
        f"median {unit}": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "rounds": len(values),
    }


def compared(rounds: Rounds, ours: str, theirs: str, unit: str = "lifecycles/s") -> Figure:
    """A ratio as a goal's figure."""
    beside = f"{statistics.median(rounds[ours]):,.0f} ÷ {statistics.median(rounds[theirs]):,.0f} {unit}"
    return Figure(ratio(rounds, ours, theirs), beside)
