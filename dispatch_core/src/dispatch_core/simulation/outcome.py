"""What became of a simulation: of every work, every run and every engine, and the measures people compare."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import TypeVar

from attrs import frozen

from dispatch_core.kernel.scheduling.policy import weight_of
from dispatch_core.simulation.workload import Work

K = TypeVar("K", str, int)


@frozen(kw_only=True)
class WorkOutcome:
    """One work, in seconds since the beginning. ``state`` is completed, failed or open (not ended in time).

    ``started_s`` is the first start; ``engine``, ``est_s`` (the dispatcher's estimate) and ``ran_s`` are those of
    the last run. ``best_s`` is how long the fastest engine of the fleet would take; None if none can run it.
    """

    index: int
    work: Work
    state: str
    submitted_s: float
    started_s: float | None
    finished_s: float | None
    engine: str | None
    attempts: int
    est_s: float | None
    ran_s: float | None
    best_s: float | None

    @property
    def name(self) -> str:
        """Its name for people."""
        return self.work.name or f"#{self.index + 1}"

    @property
    def wait_s(self) -> float | None:
        """From submission to the first start."""
        return None if self.started_s is None else self.started_s - self.submitted_s

    @property
    def flow_s(self) -> float | None:
        """From submission to the end."""
        return None if self.finished_s is None else self.finished_s - self.submitted_s

    @property
    def in_time(self) -> bool | None:
        """Whether it was completed by its deadline; None without one."""
        if self.work.deadline_s is None:
            return None
        return self.state == "completed" and (self.flow_s or 0.0) <= self.work.deadline_s


@frozen(kw_only=True)
class RunOutcome:
    """One attempt on one slot. ``ending``: completed, failed, crashed, lost (its lease was), or running."""

    index: int
    attempt: int
    engine: str
    slot: int
    from_s: float
    until_s: float
    ending: str


@frozen(kw_only=True)
class EngineOutcome:
    """One engine: how long it was there, and how many seconds of its slots were in use."""

    name: str
    type: str
    slots: int
    alive_s: float
    busy_s: float
    runs: int
    crashes: int

    @property
    def utilisation(self) -> float:
        """The share of its slots' time that was in use, 0 to 1."""
        return self.busy_s / (self.alive_s * self.slots) if self.alive_s else 0.0


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank, so always a value that occurred; None of nothing.

    >>> quantile([3.0, 1.0, 2.0], 0.5)
    2.0
    """
    return sorted(values)[max(ceil(len(values) * share), 1) - 1] if values else None


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None of nothing."""
    return sum(values) / len(values) if values else None


@frozen(kw_only=True)
class Outcome:
    """Everything that happened; equal inputs give an equal outcome, to the byte of its ``digest``."""

    policy: str
    seed: int
    works: tuple[WorkOutcome, ...]
    runs: tuple[RunOutcome, ...]
    engines: tuple[EngineOutcome, ...]
    until_s: float

    def digest(self) -> str:
        """SHA-256 of every decision: who ran what, when, and how it ended."""
        lines = [
            f"{run.from_s!r} {run.until_s!r} {run.index} {run.attempt} {run.engine} {run.slot} {run.ending}"
            for run in self.runs
        ]
        lines += [f"{work.index} {work.state} {work.finished_s!r}" for work in self.works]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def of_state(self, state: str) -> list[WorkOutcome]:
        """The works that are completed, failed or open."""
        return [each for each in self.works if each.state == state]

    def flows_s(self) -> list[float]:
        """Submission to end, of all that were completed."""
        return [each.flow_s for each in self.of_state("completed") if each.flow_s is not None]

    def weighted_flow_s(
        self, weight: Callable[[Work], float] = lambda work: weight_of(work.priority)
    ) -> float | None:
        """The weighted mean of the time from submission to end: Σ w·flow / Σ w. None if nothing was completed."""
        found = [
            (weight(each.work), each.flow_s) for each in self.of_state("completed") if each.flow_s is not None
        ]
        total = sum(heavy for heavy, _ in found)
        return sum(heavy * flow for heavy, flow in found) / total if total else None

    def slowdowns(self, bound_s: float = 10.0) -> list[float]:
        """Flow over the best engine's time, which counts as at least ``bound_s``; never below 1."""
        return [
            max(each.flow_s / max(each.best_s, bound_s), 1.0)
            for each in self.of_state("completed")
            if each.flow_s is not None and each.best_s is not None
        ]

    def waits_s(self, key: Callable[[Work], K]) -> Mapping[K, list[float]]:
        """The times from submission to the first start, by some property of the works, in its order."""
        found: dict[K, list[float]] = {}
        for each in self.works:
            if each.wait_s is not None:
                found.setdefault(key(each.work), []).append(each.wait_s)
        return {name: found[name] for name in sorted(found)}

    def waits_by_priority(self) -> Mapping[int, list[float]]:
        """Waiting times by priority, the lowest first."""
        return self.waits_s(lambda work: work.priority)

    def waits_by_account(self) -> Mapping[str, list[float]]:
        """Waiting times by account."""
        return self.waits_s(lambda work: work.account)

    def deadline_hits(self) -> float | None:
        """The share of works with a deadline that met it; None if none has one."""
        judged = [each.in_time for each in self.works if each.in_time is not None]
        return sum(judged) / len(judged) if judged else None

    def makespan_s(self) -> float:
        """From the first submission to the last end."""
        ends = [each.finished_s for each in self.works if each.finished_s is not None]
        return max(ends) - min(each.submitted_s for each in self.works) if ends else 0.0

    def throughput_per_hour(self) -> float:
        """Works completed in an hour, from the first submission to the last end."""
        span_s = self.makespan_s()
        return len(self.of_state("completed")) * 3_600 / span_s if span_s else 0.0

    def estimate_errors(self) -> list[float]:
        """Actual over estimated length of the last run, of all that were completed and had an estimate."""
        return [
            each.ran_s / each.est_s
            for each in self.of_state("completed")
            if each.ran_s is not None and each.est_s
        ]

    def utilisation(self) -> float:
        """The share of the whole fleet's time that was in use."""
        there = sum(each.alive_s * each.slots for each in self.engines)
        return sum(each.busy_s for each in self.engines) / there if there else 0.0
