"""Where the time of the library goes on SQLite (WAL, FULL): µs of CPU by room, sampled while it works.

A sample counts for the innermost room on its stack; libraries count for the room that calls them.
"""

from __future__ import annotations

import itertools
import resource
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Self

from benchmarks.library import batched, submitted
from benchmarks.suite import Outcome, Scale, tell

EVERY_S = 0.001
"""Asked for; kernels that tick 250 times a second give a quarter of that."""
CALLER = "the benchmark itself"
ROOMS: Mapping[str, tuple[str, ...]] = {
    "SQLite: commit": ("storage/sql/sqlite_session.py:control",),
    "SQLite: statements": ("storage/sql/sqlite_session.py:",),
    "checking input": ("vocabulary/bounds.py:", "shell/parse.py:", "vocabulary/locations.py:"),
    "rows and JSON": ("storage/", "shell/wire.py:"),
    "routing and choosing": ("kernel/scheduling/",),
    "deciding and applying": ("kernel/", "vocabulary/"),
    "the batch: records, memory, answers": ("shell/",),
}
NOTES = (
    "The sampler itself costs a few percent. COMMIT is CPU only: waiting for the disk is not in it.",
    "A lifecycle is submit, claim and complete; of `submit_many` a job is one.",
)


class Sampler:
    """Counts, while it is open, which room the process spends its CPU time in."""

    def __init__(self) -> None:
        self.rooms: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._former = signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._former)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        while frame is not None:
            if room := room_of(frame.f_code.co_filename, frame.f_code.co_name):
                self.rooms[room] += 1
                return
            frame = frame.f_back
        self.rooms[CALLER] += 1


def room_of(path: str, function: str) -> str | None:
    """The room a function stands in; None for those of libraries and of the benchmark."""
    _, ours, inner = path.rpartition("/dispatch_core/")
    place = f"{inner}:{function}"
    return next((room for room, begins in ROOMS.items() if ours and place.startswith(begins)), None)


def sampled(measure: Callable[[], float], seconds: float) -> tuple[Counter[str], float]:
    """Samples by room, and µs of CPU for each thing done."""
    with Sampler() as sampler:
        before = resource.getrusage(resource.RUSAGE_SELF)
        done = measure() * seconds
        after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return sampler.rooms, 1e6 * spent / done


def run(scale: Scale) -> Outcome:
    """Three ways to use the library, one after the other."""
    seconds = scale.seconds * 3
    with tempfile.TemporaryDirectory() as name:
        paths = (str(Path(name) / f"dispatch-{number}.db") for number in itertools.count())
        shapes: dict[str, Callable[[], float]] = {
            "calls of 100, a lifecycle": lambda: batched(next(paths), 100, seconds),
            "one by one, a lifecycle": lambda: batched(next(paths), 1, seconds),
            "submit_many(1,000), a job": lambda: submitted(next(paths), seconds),
        }
        rows: list[dict[str, object]] = [{"room": room} for room in (*ROOMS, CALLER)]
        whole: dict[str, object] = {"room": "all"}
        for shape, measure in shapes.items():
            rooms, each_us = sampled(measure, seconds)
            tell(f"{shape}: {each_us:,.0f} µs of CPU, {rooms.total()} samples")
            for row in rows:
                row[f"{shape}, µs"] = round(each_us * rooms[str(row["room"])] / rooms.total(), 1)
            whole[f"{shape}, µs"] = round(each_us, 1)
    return Outcome(rows=[*rows, whole], notes=NOTES)
