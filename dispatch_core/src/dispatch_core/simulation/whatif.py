"""What if: a live store forked into memory, played on as it is and with a change, and what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import attrs
from attrs import frozen

from dispatch_core.kernel.scheduling.policy import Policy
from dispatch_core.shell.settings import Settings
from dispatch_core.simulation.actors import SimEngine
from dispatch_core.simulation.chance import Crashes
from dispatch_core.simulation.fleet import EngineType
from dispatch_core.simulation.forking import Fork
from dispatch_core.simulation.outcome import Outcome
from dispatch_core.simulation.playing import Play
from dispatch_core.simulation.stage import Stage, open_stage
from dispatch_core.simulation.story import Story
from dispatch_core.simulation.workload import SUBMIT_MAX, Work
from dispatch_core.vocabulary.attempts import Attempt, Lease
from dispatch_core.vocabulary.clock import SECOND_US, ManualClock, to_us
from dispatch_core.vocabulary.commands import Edit, Update
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.engines import Engine, Seen
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError, UnknownEngineError
from dispatch_core.vocabulary.jobs import Job, JobSpec
from dispatch_core.vocabulary.kinds import TRANSCODE, JobKind

HORIZON_S = 7 * 86_400.0
"""How far a fork is played on."""
_LIVE = EngineType(name="live", speeds={})


@frozen(kw_only=True)
class Changes:
    """What would be different: engines like a present one more, engines gone, jobs submitted now, another cap or policy."""

    engines: tuple[tuple[str, int], ...] = ()
    """(the engine that the new ones are like, how many)"""
    without: tuple[str, ...] = ()
    submit: tuple[JobSpec, ...] = ()
    cap_s: float | None = None
    policy: Policy | None = None
    mode: str | None = None
    """The mode of the server, with its dials as they are; ``policy`` is one that has its own."""

    @property
    def order(self) -> bool:
        """Whether jobs that wait already must be put into another order."""
        return self.cap_s is not None or self.policy is not None or self.mode is not None


@frozen(kw_only=True)
class Shift:
    """When one job starts and ends as things are, and with the change; seconds from now, None: not in sight."""

    job_id: str
    started_s: tuple[float | None, float | None]
    finished_s: tuple[float | None, float | None]
    engine: tuple[str | None, str | None]
    in_time: tuple[bool | None, bool | None]

    @property
    def moved_s(self) -> float:
        """How much later it ends with the change; what never ends counts as the horizon's end."""
        before, after = (HORIZON_S if each is None else each for each in self.finished_s)
        return after - before


@frozen(kw_only=True)
class WhatIf:
    """Both ways it may go on. ``shifts`` are the jobs that are open now; jobs of the change stand in ``after`` only."""

    before: Outcome
    after: Outcome
    shifts: tuple[Shift, ...]


def what_if(
    state: Fork,
    changes: Changes,
    *,
    kinds: Sequence[JobKind] = (TRANSCODE,),
    settings: Settings | None = None,
    policy: Policy | None = None,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> WhatIf:
    """How the open jobs would go on as things are, and with the changes.

    Every run takes as long as the dispatcher estimates, and nothing fails: what differs is what was decided.
    Engines that are silent now stay away. ``settings`` and ``policy`` are those the store is used with. Raises
    UnknownEngineError if a change names an engine that is not there, InvalidCommandError for an unfit job.
    """
    settings = settings or Settings()
    tell = progress or (lambda _name: lambda _done, _total: None)
    before = _Future(state, Changes(), kinds, settings, policy).play("as it is", tell("as it is"))
    after = _Future(state, changes, kinds, settings, policy).play("changed", tell("changed"))
    return WhatIf(before=before, after=after, shifts=tuple(_shifts(state, before, after)))


def _shifts(state: Fork, before: Outcome, after: Outcome) -> list[Shift]:
    return [
        Shift(
            job_id=job.id,
            started_s=(one.started_s, other.started_s),
            finished_s=(one.finished_s, other.finished_s),
            engine=(one.engine, other.engine),
            in_time=(one.in_time, other.in_time),
        )
        for job, one, other in zip(state.jobs, before.works, after.works, strict=False)
    ]


class _Future:
    """One way it may go on."""

    def __init__(
        self,
        state: Fork,
        changes: Changes,
        kinds: Sequence[JobKind],
        settings: Settings,
        policy: Policy | None,
    ) -> None:
        self._state = state
        self._changes = changes
        self._kinds = {kind.name: kind for kind in kinds}
        if changes.cap_s is not None:
            settings = attrs.evolve(settings, priority_cap_s=changes.cap_s)
        if changes.mode is not None:
            settings, policy = attrs.evolve(settings, mode=changes.mode), None
        self._stage = _stage(state, kinds, settings, changes.policy or policy)
        self._engines = {each.id: each for each in (*self._present(), *self._added())}

    def play(self, name: str, progress: Callable[[int, int], None]) -> Outcome:
        """Until all jobs have ended, or nothing more can happen."""
        state, stage = self._state, self._stage
        specs = [*(job.spec for job in state.jobs), *self._changes.submit]
        works = [*(self._work(job.spec, job) for job in state.jobs), *map(self._work, self._changes.submit)]
        story = Story(works, specs, self._engines, self._length_s, 0, progress)
        play = Play(stage, story)
        try:
            self._set_out(play)
            play.run(to_us(HORIZON_S))
            return story.outcome(name, stage.now_us, stage.estimates.seconds)
        finally:
            stage.close()

    def _length_s(self, _place: int, _engine: SimEngine, lease: Lease) -> float:
        return max(self._stage.estimates.seconds.get(lease.job.id, 1.0), 1e-6)

    def _set_out(self, play: Play) -> None:
        """Everything stands where it stood; then the change happens."""
        if self._changes.order:
            _place_anew(self._stage, self._state.jobs)
        running = {attempt.job_id: attempt for attempt in self._state.attempts}
        for place, job in enumerate(self._state.jobs):
            attempt = running.get(job.id)
            engine = self._engines.get(attempt.engine_id) if attempt else None
            if attempt is not None and engine is not None and job.live_attempt == attempt.number:
                left_us = self._left_us(attempt)
                lease = _lease(job, attempt, self._stage)
                play.adopt_run(place, engine, lease, left_us, attempt.run_until_us)
            else:
                play.adopt(place, job)
                if attempt is not None:
                    play.plan_tick(attempt.deadline_us - self._state.now_us)
        play.at(0, play.greet)
        for engine in self._engines.values():
            if not engine.up:
                play.at(0, partial(play.join, engine))
        gone = [self._engines.get(self._known(engine_id).id) for engine_id in self._changes.without]
        for engine in gone:
            if engine is not None:  # a silent one is away in any case
                play.at(0, partial(play.leave, engine))
        new = list(range(len(self._state.jobs), len(self._state.jobs) + len(self._changes.submit)))
        for start in range(0, len(new), SUBMIT_MAX):
            play.at(0, partial(play.submit, new[start : start + SUBMIT_MAX]))

    def _left_us(self, attempt: Attempt) -> int:
        """How long a run has to go: by its own progress if it told any, else by its estimate."""
        ran_us = self._state.now_us - attempt.granted_us
        progress = attempt.progress
        if progress is not None and progress.fraction > 0.01:
            whole_us = (attempt.progress_at_us - attempt.granted_us) / progress.fraction
        else:
            whole_us = attempt.estimate_us or 0
        return max(round(whole_us - ran_us), SECOND_US)

    def _present(self) -> list[SimEngine]:
        return [
            _actor(engine.id, engine, engine.session)
            for engine in self._state.engines
            if engine.seen is Seen.LIVE
        ]

    def _added(self) -> list[SimEngine]:
        found: list[SimEngine] = []
        for like, count in self._changes.engines:
            model = self._known(like)
            taken = {engine.id for engine in self._state.engines} | {each.id for each in found}
            free = (f"{like}-new-{number}" for number in range(1, count + len(taken) + 1))
            names = [name for name in free if name not in taken][:count]
            found += [_actor(name, model) for name in names]
        return found

    def _known(self, engine_id: str) -> Engine:
        for engine in self._state.engines:
            if engine.id == engine_id and engine.seen is not Seen.LEFT:
                return engine
        raise UnknownEngineError(f"there is no engine {engine_id}")

    def _work(self, spec: JobSpec, job: Job | None = None) -> Work:
        kind = self._kinds.get(spec.kind)
        if kind is None:
            raise InvalidCommandError([FieldProblem("/kind", f"{spec.kind!r} is not known here")])
        task_class, units = kind.measure(spec)
        at_s = 0.0 if job is None else (job.created_us - self._state.now_us) / SECOND_US
        due = spec.deadline
        return Work(
            at_s,
            task_class,
            units,
            priority=spec.priority,
            account=spec.account or "",
            deadline_s=None if due is None else (due.at_us - self._state.now_us) / SECOND_US - at_s,
            hard=due is not None and due.hard,
            name=job.id if job else spec.note,
            campaign=spec.campaign or "",
            mode=spec.mode or "",
        )


def _stage(state: Fork, kinds: Sequence[JobKind], settings: Settings, policy: Policy | None) -> Stage:
    return open_stage(
        kinds=kinds,
        policy=policy,
        settings=settings,
        storage=state.open_in_memory,
        clock=ManualClock(state.now_us),
    )


def _actor(name: str, like: Engine, session: str = "") -> SimEngine:
    """An engine with the profile of a present one; with a session it is up already."""
    engine = SimEngine(
        name, _LIVE, Crashes(0, name, _LIVE), like.profile, context=Context(tenant=like.tenant), able=True
    )
    engine.up, engine.session = bool(session), session
    return engine


def _lease(job: Job, attempt: Attempt, stage: Stage) -> Lease:
    return Lease(
        job=job,
        attempt=attempt.number,
        token=attempt.token,
        engine_id=attempt.engine_id,
        session=attempt.session,
        granted_us=attempt.granted_us,
        deadline_us=attempt.deadline_us,
        ttl_us=to_us(stage.dispatcher.settings.lease_ttl_s),
    )


def _place_anew(stage: Stage, jobs: Sequence[Job]) -> None:
    """Let every waiting job be placed by the present policy: an edit that changes nothing else does."""
    pairs = [
        (job, Edit(note="" if job.spec.note else "placed anew")) for job in jobs if job.ready is not None
    ]
    for job, edit in pairs:
        stage.committer.execute(Update(job_id=job.id, edit=edit), Context(tenant=job.tenant))
