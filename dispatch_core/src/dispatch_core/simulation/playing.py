"""The events of a simulation, in the order of time: arrivals, ends of runs, crashes, ticks, the poll floor.

Engines are lazy: an engine that is alive says so only when somebody is about to look (before a tick), because
until then nobody can tell the difference. So a simulated hour costs as much as what happens in it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from functools import partial

from dispatch_core.shell.verbs import named
from dispatch_core.shell.waiting import Handed
from dispatch_core.simulation.actors import Run, SimEngine
from dispatch_core.simulation.stage import Stage
from dispatch_core.simulation.story import Story
from dispatch_core.vocabulary.attempts import Lease
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.commands import Claim, Command, Complete, Deregister, Fail, Register, Submit
from dispatch_core.vocabulary.context import LOCAL
from dispatch_core.vocabulary.engines import HeartbeatAnswer
from dispatch_core.vocabulary.errors import LeaseLostError
from dispatch_core.vocabulary.jobs import Job, JobError, JobState

TICK_US = to_us(300)
"""Between ticks that nothing in particular asks for."""
LOOKS_MAX = 20
"""Fruitless looks at the poll floor, when nothing else can happen any more, before a simulation is over."""
FLOOR_GROWS_MAX = 16
_FAILURE = JobError(failure_class="engine", message="the simulated engine failed")

Act = Callable[[], None]


class Play:
    """One simulation under way."""

    def __init__(self, stage: Stage, story: Story) -> None:
        self._stage = stage
        self._story = story
        self._engines = story.engines
        self._heap: list[tuple[int, int, bool, Act]] = []
        self._count = 0
        self._hopes = 0
        self._waiting: Counter[str] = Counter()
        self._loose: dict[str, int] = {}
        self._ticks: set[int] = set()
        self._eager = {engine.id: engine for engine in self._engines.values() if engine.up}
        """Engines that may want to ask for work: in a fleet of hundreds, few do at any moment."""
        self._idle: dict[str, SimEngine] = {}
        """Engines whose claims wait."""
        self._floor_planned = False
        self._looks = 0

    # ----- time

    def at(self, at_us: int, act: Act, *, hopeful: bool = True) -> None:
        """Plan an event. A hopeful one may lead to work being done: without any, it is over."""
        self._count += 1
        self._hopes += hopeful
        heapq.heappush(self._heap, (at_us, self._count, hopeful, act))

    def after(self, span_us: int, act: Act, *, hopeful: bool = True) -> None:
        """Plan an event some time from now."""
        self.at(self._stage.now_us + span_us, act, hopeful=hopeful)

    def run(self, until_us: int | None) -> None:
        """Play until every work has ended, nothing can happen any more, or time is up."""
        self.after(TICK_US, self._regular_tick, hopeful=False)
        while self._heap and not self._over():
            if until_us is not None and self._heap[0][0] > until_us:
                self._stage.move_to(until_us)
                break
            at_us, _, hopeful, act = heapq.heappop(self._heap)
            self._hopes -= hopeful
            self._stage.move_to(at_us)
            act()
            self._settle()

    def _over(self) -> bool:
        hopeless = self._hopes == 0 and (not self._floor_planned or self._looks >= LOOKS_MAX)
        return self._story.over or hopeless

    def _settle(self) -> None:
        """Engines with a free slot ask; whoever got a job starts it; until all are busy or wait."""
        committer = self._stage.committer
        while True:
            for entry in committer.answered():
                if isinstance(entry.command, Claim):
                    self._answered(self._engines[entry.command.engine_id], entry.answer())
            asking = [engine for engine in self._eager.values() if engine.wants_work]
            self._eager.clear()
            if not asking:
                break
            entries = committer.hand([engine.asking() for engine in asking])
            for engine, entry in zip(asking, entries, strict=True):
                self._waits(engine, entry)
        self._plan_floor()

    def _waits(self, engine: SimEngine, claim: Handed) -> None:
        engine.claim = claim
        self._idle[engine.id] = engine

    def _answered(self, engine: SimEngine, leases: list[Lease]) -> None:
        engine.claim = None
        self._idle.pop(engine.id, None)
        self._eager[engine.id] = engine
        for lease in leases:
            self._start(engine, lease)

    # ----- work

    def submit(self, places: list[int]) -> None:
        """Works arrive together."""
        specs = tuple(self._story.specs[place] for place in places)
        jobs = self._stage.committer.execute(Submit(specs=specs), LOCAL)
        for place, job in zip(places, jobs, strict=True):
            self._story.submitted(place, job.id, self._stage.now_us)
            self._waiting[self._story.task_class(place)] += 1

    def greet(self) -> None:
        """Engines that were there before the beginning say that they are alive."""
        self._beat([engine for engine in self._engines.values() if engine.up])

    def adopt(self, place: int, job: Job) -> None:
        """A job that was there before the beginning and does not run: its timers are looked after."""
        self._story.submitted(place, job.id, job.created_us - self._stage.began_us)
        self._waiting[self._story.task_class(place)] += 1
        if job.due_us is not None:
            self._loose[job.id] = place
            self.plan_tick(job.due_us - self._stage.began_us)

    def adopt_run(
        self, place: int, engine: SimEngine, lease: Lease, left_us: int, until_us: int | None = None
    ) -> None:
        """A run that was under way before the beginning, and has so long to go."""
        self._story.submitted(place, lease.job.id, lease.job.created_us - self._stage.began_us)
        run = self._story.went_on(engine, lease, self._stage.began_us, left_us)
        self.after(left_us, partial(self.end, engine, run))
        self._limit(left_us, until_us)

    def _start(self, engine: SimEngine, lease: Lease) -> None:
        now_us = self._stage.now_us
        run = self._story.started(engine, lease, now_us, lease.deadline_us - self._stage.began_us)
        self._waiting[self._story.task_class(run.index)] -= 1
        self._loose.pop(lease.job.id, None)
        self._looks = 0
        self.after(run.fate.lasts_us, partial(self.end, engine, run))
        self._limit(run.fate.lasts_us, self._stage.estimates.until_us.get(lease.job.id))

    def _limit(self, left_us: int, until_us: int | None) -> None:
        """A tick at the instant a run may last until, if it would last longer."""
        if until_us is not None and until_us - self._stage.began_us < self._stage.now_us + left_us:
            self.plan_tick(until_us - self._stage.began_us)

    def end(self, engine: SimEngine, run: Run) -> None:
        """A run has come to its own end, unless something else ended it."""
        if run.ended_us is not None:
            return
        engine.ends(run, self._stage.now_us, "failed" if run.fate.fails else "completed")
        self._looks = 0
        report = engine.says(_report(run))
        said = [report, engine.asking()] if engine.wants_work else [report]
        entry, *claims = self._stage.committer.hand(said)
        if claims:
            self._waits(engine, claims[0])
        self._reported(run, entry.error)
        self._leave_if_done(engine)

    def _reported(self, run: Run, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, LeaseLostError):
            raise error
        if error is not None:
            run.ending = "lost"
        if error is None and not run.fate.fails:
            self._story.ended(run.index, "completed", self._stage.now_us)
        else:
            self._let_loose(run)
            self._look_after_loose()

    def _let_loose(self, run: Run) -> None:
        """A job whose run is over without being done: it waits for another, or has failed for good."""
        self._loose[run.lease.job.id] = run.index
        self._waiting[self._story.task_class(run.index)] += 1

    def _look_after_loose(self) -> None:
        """Which of them have failed for good, and when the others' timers are due."""
        jobs = self._stage.jobs(list(self._loose))
        for job_id, index in list(self._loose.items()):
            job = jobs[job_id]
            if job.state.terminal:
                del self._loose[job_id]
                self._waiting[self._story.task_class(index)] -= 1
                done = "completed" if job.state is JobState.COMPLETED else "failed"
                self._story.ended(index, done, self._stage.now_us)
            elif job.due_us is not None:
                self.plan_tick(job.due_us - self._stage.began_us)

    # ----- engines

    def join(self, engine: SimEngine) -> None:
        """A process starts: the first of its engine, or one after a crash."""
        if engine.leaving:
            return
        engine.starts(self._stage.now_us)
        self._eager[engine.id] = engine
        register = Register(engine_id=engine.id, profile=engine.profile, session=engine.session)
        self._stage.committer.execute(register, engine.context)
        up_us = engine.crashes.next_us()
        if up_us is not None:
            self.after(up_us, partial(self._crash, engine, engine.sessions), hopeful=False)

    def _crash(self, engine: SimEngine, session: int) -> None:
        """It had just been heard; from now on it is not. Nobody is told."""
        if not engine.up or engine.sessions != session:
            return
        self._stage.committer.hand([engine.beat()])
        self._withdraw(engine)
        for run in list(engine.running.values()):
            engine.ends(run, self._stage.now_us, "crashed")
            self._let_loose(run)
        engine.stops(self._stage.now_us)
        engine.crashed += 1
        settings = self._stage.dispatcher.settings
        for span_s in (settings.lease_ttl_s, settings.silent_after_s, settings.lost_after_s):
            self.plan_tick(self._stage.now_us + to_us(span_s))
        self.after(engine.crashes.down_us(), partial(self.join, engine))

    def leave(self, engine: SimEngine) -> None:
        """It asks for no more work, and is gone when it has none."""
        engine.leaving = True
        self._withdraw(engine)
        self._leave_if_done(engine)

    def _leave_if_done(self, engine: SimEngine) -> None:
        if engine.up and engine.leaving and not engine.running:
            engine.stops(self._stage.now_us)
            self._stage.committer.execute(Deregister(engine_id=engine.id), engine.context)

    def _withdraw(self, engine: SimEngine) -> None:
        if engine.claim is not None:
            self._stage.committer.withdraw(engine.claim)
            engine.claim = None
            self._idle.pop(engine.id)

    # ----- what the server does by itself

    def plan_tick(self, at_us: int) -> None:
        """A tick at an instant, once."""
        at_us = max(at_us, self._stage.now_us + 1)
        if at_us not in self._ticks:
            self._ticks.add(at_us)
            self.at(at_us, partial(self._planned_tick, at_us))

    def _planned_tick(self, at_us: int) -> None:
        self._ticks.discard(at_us)
        self._tick()

    def _regular_tick(self) -> None:
        self._tick()
        self.after(TICK_US, self._regular_tick, hopeful=False)

    def _tick(self) -> None:
        self._beat([engine for engine in self._engines.values() if self._overdue(engine)])
        report = self._stage.dispatcher.tick()
        if report.attempts:
            self._beat([engine for engine in self._engines.values() if engine.up and engine.running])
        if report.more or report.expiry_paused:
            self.plan_tick(self._stage.now_us + to_us(self._stage.dispatcher.settings.heartbeat_s))
        self._look_after_loose()

    def _overdue(self, engine: SimEngine) -> bool:
        """Whether somebody who looked now would miss it: it must speak first."""
        if not engine.up:
            return False
        silent_us = engine.heard_us + to_us(self._stage.dispatcher.settings.silent_after_s)
        return self._stage.now_us >= min([silent_us, *(run.deadline_us for run in engine.running.values())])

    def _beat(self, engines: list[SimEngine]) -> None:
        """They all say that they are alive, and stop what they hear is lost."""
        if not engines:
            return
        entries = self._stage.committer.hand([engine.beat() for engine in engines])
        for engine, entry in zip(engines, entries, strict=True):
            engine.heard_us = self._stage.now_us
            answer = entry.answer()
            assert isinstance(answer, HeartbeatAnswer)
            for status in answer.leases:
                run = engine.running[status.job_id, status.token]
                run.deadline_us = status.deadline_us - self._stage.began_us
                if status.lost:
                    self._eager[engine.id] = engine
                    engine.ends(run, self._stage.now_us, "lost")
                    self._let_loose(run)

    def _plan_floor(self) -> None:
        """The poll floor, while somebody waits who could run something that waits."""
        if not self._floor_planned and self._worth_looking():
            self._floor_planned = True
            growth = min(2**self._looks, FLOOR_GROWS_MAX)
            span_us = to_us(self._stage.dispatcher.settings.poll_floor_s) * growth
            self.after(span_us, self._look, hopeful=False)

    def _look(self) -> None:
        self._floor_planned = False
        if self._worth_looking():
            self._looks += 1
            self._stage.committer.look()

    def _worth_looking(self) -> bool:
        wanted = [task_class for task_class, count in self._waiting.items() if count]
        return bool(wanted) and any(engine.can_run(wanted) for engine in self._idle.values())


def _report(run: Run) -> Command:
    if run.fate.fails:
        return Fail(**named(run.lease), error=_FAILURE)
    return Complete(**named(run.lease), result={})
