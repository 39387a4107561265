"""What one decision costs: 24 engines, 32 classes, a thousand or a million jobs pending in memory."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.fleet import register, specs
from dispatch_core import Dispatcher
from dispatch_core.kernel.scheduling.matcher import Matcher
from dispatch_core.storage import MemoryStorage

ENGINES, CLASSES, CLAIMS = 24, 32, 600
SIZES = (1_000, 1_000_000)


@contextmanager
def timed(spent_ms: list[float]) -> Iterator[None]:
    """Notes the CPU time of every choice that is made in the meantime."""
    choose = Matcher.choose

    def stopwatch(self: Matcher, *args: Any, **names: Any) -> Any:
        began = time.process_time()
        try:
            return choose(self, *args, **names)
        finally:
            spent_ms.append((time.process_time() - began) * 1_000)

    Matcher.choose = stopwatch  # type: ignore[method-assign]  # only the choice is timed
    try:
        yield
    finally:
        Matcher.choose = choose  # type: ignore[method-assign]  # as it was


def decision_ms(pending: int) -> list[float]:
    """CPU milliseconds of each choice, while all engines claim in turn and complete at once what they get."""
    spent: list[float] = []
    with Dispatcher(MemoryStorage()) as dispatcher:
        names = register(dispatcher, ENGINES)
        source = specs(CLASSES)
        for start in range(0, pending, 1_000):
            dispatcher.submit_many(list(itertools.islice(source, min(1_000, pending - start))))
        gc.collect()
        _claim(dispatcher, names, 2 * ENGINES)  # so that nothing is read for the first time
        with timed(spent):
            _claim(dispatcher, names, CLAIMS)
    return spent


def _claim(dispatcher: Dispatcher, names: Sequence[str], count: int) -> None:
    for number in range(count):
        for lease in dispatcher.claim(names[number % len(names)], session="bench"):
            dispatcher.complete(lease)


def decision_rows(sizes: tuple[int, int]) -> list[dict[str, object]]:
    """Goal 13: the median decision with many jobs pending, and that over the median with few."""
    few, many = (statistics.median(decision_ms(pending)) for pending in sizes)
    what = f"CPU ms of a decision, median, {sizes[1]:,} pending"
    return [
        _line(what, many, 0.3, "≤ 0.1"),
        _line(f"the same ÷ {sizes[0]:,} pending", many / few, 3.0, ""),
    ]


def _line(what: str, value: float, must: float, moonshot: str) -> dict[str, object]:
    reached = "missed" if value > must else "moonshot" if moonshot and value <= 0.1 else "must"
    return {
        "#": 13,
        "goal": what,
        "must": f"≤ {must:g}",
        "moonshot": moonshot,
        "measured": round(value, 3),
        "reached": reached,
    }
