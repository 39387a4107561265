"""The books of a simulation: which job is which work, what has become of it, and the outcome in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import define

from dispatch_core.simulation.actors import Run, SimEngine
from dispatch_core.simulation.chance import Fate, fate_of
from dispatch_core.simulation.outcome import EngineOutcome, Outcome, RunOutcome, WorkOutcome
from dispatch_core.simulation.workload import Work
from dispatch_core.vocabulary.attempts import Lease
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.jobs import JobSpec

Length = Callable[[int, SimEngine, Lease], float]
"""How many seconds a work takes on an engine that has been granted it, if nothing disturbs."""
Progress = Callable[[int, int], None]
"""Told how many works have ended, and how many there are."""


@define(eq=False)
class Page:
    """What has become of one work so far."""

    job_id: str = ""
    submitted_us: int | None = None
    ended_us: int | None = None
    state: str = "open"
    first_us: int | None = None
    last: Run | None = None
    engine: str | None = None
    attempts: int = 0


class Story:
    """Keeps account of every work and every run."""

    def __init__(
        self,
        works: Sequence[Work],
        specs: Sequence[JobSpec],
        engines: Mapping[str, SimEngine],
        length_s: Length,
        seed: int,
        progress: Progress | None = None,
    ) -> None:
        self.works = works
        self.specs = specs
        self.engines = engines
        self._length_s = length_s
        self._seed = seed
        self._progress = progress
        self._pages = [Page() for _ in works]
        self._index: dict[str, int] = {}
        self._runs: list[tuple[str, Run]] = []
        self._ended = 0

    @property
    def over(self) -> bool:
        """Whether every work has ended."""
        return self._ended == len(self.works)

    def task_class(self, index: int) -> str:
        """The task class of a work."""
        return self.works[index].task_class

    def submitted(self, index: int, job_id: str, now_us: int) -> None:
        """A work has become a job."""
        self._index[job_id] = index
        self._pages[index].job_id = job_id
        self._pages[index].submitted_us = now_us

    def started(self, engine: SimEngine, lease: Lease, now_us: int, deadline_us: int) -> Run:
        """A grant: the run begins at once, and how it will go is known here alone."""
        index = self._index[lease.job.id]
        attempt = self._pages[index].attempts + 1
        fate = fate_of(self._seed, str(index), attempt, engine.type, self._length_s(index, engine, lease))
        return self._runs_on(engine, Run(index, lease, engine.free_slot(), fate, now_us, deadline_us))

    def went_on(self, engine: SimEngine, lease: Lease, began_us: int, left_us: int) -> Run:
        """A run that began before the beginning, and has so long to go."""
        index, started_us = self._index[lease.job.id], lease.granted_us - began_us
        fate, deadline_us = Fate(left_us, fails=False), lease.deadline_us - began_us
        return self._runs_on(engine, Run(index, lease, engine.free_slot(), fate, started_us, deadline_us))

    def _runs_on(self, engine: SimEngine, run: Run) -> Run:
        page = self._pages[run.index]
        page.attempts += 1
        page.first_us = run.started_us if page.first_us is None else page.first_us
        page.last, page.engine = run, engine.id
        engine.running[run.key] = run
        engine.runs += 1
        self._runs.append((engine.id, run))
        return run

    def ended(self, index: int, state: str, now_us: int) -> None:
        """A work is completed, or has failed for good."""
        self._pages[index].state, self._pages[index].ended_us = state, now_us
        self._ended += 1
        total = len(self.works)
        if self._progress and (self._ended % max(total // 200, 1) == 0 or self._ended == total):
            self._progress(self._ended, total)

    def outcome(self, policy: str, now_us: int, estimates: Mapping[str, float]) -> Outcome:
        """Everything, once it is over."""
        best = self._best_speeds()
        return Outcome(
            policy=policy,
            seed=self._seed,
            works=tuple(self._work(index, estimates, best) for index in range(len(self.works))),
            runs=tuple(_run(engine, run, now_us) for engine, run in self._runs),
            engines=tuple(_engine(engine, now_us) for engine in self.engines.values()),
            until_s=now_us / SECOND_US,
        )

    def _best_speeds(self) -> dict[str, float]:
        best: dict[str, float] = {}
        for engine in self.engines.values():
            for task_class, speed in engine.type.speeds.items():
                best[task_class] = max(speed, best.get(task_class, 0.0))
        return best

    def _work(self, index: int, estimates: Mapping[str, float], best: Mapping[str, float]) -> WorkOutcome:
        work, page = self.works[index], self._pages[index]
        last, speed = page.last, best.get(work.task_class)
        ran_us = None if last is None or last.ended_us is None else last.ended_us - last.started_us
        return WorkOutcome(
            index=index,
            work=work,
            state=page.state,
            submitted_s=work.at_s if page.submitted_us is None else page.submitted_us / SECOND_US,
            started_s=_seconds(page.first_us),
            finished_s=_seconds(page.ended_us),
            engine=page.engine,
            attempts=page.attempts,
            est_s=estimates.get(page.job_id),
            ran_s=_seconds(ran_us),
            best_s=None if speed is None else work.true_units / speed,
        )


def _seconds(span_us: int | None) -> float | None:
    return None if span_us is None else span_us / SECOND_US


def _run(engine: str, run: Run, now_us: int) -> RunOutcome:
    return RunOutcome(
        index=run.index,
        attempt=run.lease.attempt,
        engine=engine,
        slot=run.slot,
        from_s=run.started_us / SECOND_US,
        until_s=(now_us if run.ended_us is None else run.ended_us) / SECOND_US,
        ending=run.ending,
    )


def _engine(engine: SimEngine, now_us: int) -> EngineOutcome:
    alive_us = engine.alive_us + (now_us - engine.up_since_us if engine.up else 0)
    busy_us = engine.busy_us + sum(now_us - max(run.started_us, 0) for run in engine.running.values())
    return EngineOutcome(
        name=engine.id,
        type=engine.type.name,
        slots=engine.slots,
        alive_s=alive_us / SECOND_US,
        busy_s=busy_us / SECOND_US,
        runs=engine.runs,
        crashes=engine.crashed,
    )
