"""A fleet to test with: a dispatcher on a manual clock, and engines that behave as they are told.

Nothing happens by itself. ``step`` lets time pass: runs end when they are due, the dispatcher ticks, idle engines ask for
work. So a test of an hour takes no time, and equal tests have equal courses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from attrs import define, field

from dispatch_core.kernel.scheduling.policy import Policy
from dispatch_core.kernel.scheduling.rules import DEFAULT_RULES, Rule
from dispatch_core.ports.storage import Query, Storage
from dispatch_core.shell.batch import Entry
from dispatch_core.shell.committer import DirectCommitter, ReceiptKeys
from dispatch_core.shell.dispatcher import Dispatcher
from dispatch_core.shell.house import House
from dispatch_core.shell.settings import Settings
from dispatch_core.simulation.stage import OpenStorage, own_memory
from dispatch_core.testing.assertions import assert_assigned, assert_never_matches, why
from dispatch_core.testing.checkers import check_store
from dispatch_core.testing.faults import Mishap
from dispatch_core.vocabulary.attempts import Lease
from dispatch_core.vocabulary.clock import ManualClock, to_us
from dispatch_core.vocabulary.commands import Command, HeldLease, Submit
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.engines import Benchmark, Profile
from dispatch_core.vocabulary.errors import LeaseLostError
from dispatch_core.vocabulary.facts import FactValue
from dispatch_core.vocabulary.ids import SeededIds
from dispatch_core.vocabulary.jobs import Job, JobError, JobSpec, JobState
from dispatch_core.vocabulary.kinds import TRANSCODE, JobKind

Work = Callable[[Job], Mapping[str, object] | JobError]
"""What an engine does with a job: its result, or why it failed."""
Speed = float | Mapping[str, float]
LOOKS_MAX = 8
"""Fruitless looks for work before a fleet counts as at rest."""
DOUBLINGS_MAX = 4
"""How often the span between fruitless looks doubles."""
_UNFINISHED = tuple(state.value for state in JobState if not state.terminal)


def does_it(_job: Job) -> Mapping[str, object]:
    """Work that always succeeds, with an empty result."""
    return {}


@define(eq=False)
class FleetEngine:
    """One engine of a fleet: what it said of itself, how fast it is, and what it runs now."""

    id: str
    profile: Profile
    speed: Speed
    work: Work
    starts: int = 1
    up: bool = True
    back_us: int | None = None
    runs: dict[str, tuple[Lease, int]] = field(factory=dict)
    """By job: its lease, and the instant (µs) at which the work is done."""

    @property
    def session(self) -> str:
        """The session of its present process."""
        return f"{self.id}-start-{self.starts}"

    @property
    def idle(self) -> bool:
        """Whether it could take work now."""
        return self.up and len(self.runs) < self.profile.slots

    @property
    def running(self) -> tuple[str, ...]:
        """The ids of the jobs it runs, in the order of their grants."""
        return tuple(self.runs)

    def speed_of(self, task_class: str, kind: JobKind) -> float:
        """Units per second: what was said, else what the kind takes for usual."""
        usual = 1 / kind.nominal_s_per_unit
        return self.speed.get(task_class, usual) if isinstance(self.speed, Mapping) else self.speed


class _Listening(DirectCommitter):
    """Commits at once; before a submit, engines that wait for work say so, as engines that poll do."""

    def __init__(self, house: House, fleet: Fleet) -> None:
        super().__init__(house)
        self._fleet = fleet

    def execute(self, command: Command, context: Context) -> Any:
        """As any committer does."""
        self._before(command)
        return super().execute(command, context)

    def execute_many(
        self, commands: Sequence[Command], context: Context, *, receipt_keys: ReceiptKeys = ()
    ) -> list[Entry]:
        """As any committer does."""
        for command in commands:
            self._before(command)
        return super().execute_many(commands, context, receipt_keys=receipt_keys)

    def _before(self, command: Command) -> None:
        if isinstance(command, Submit):
            self._fleet.tell_speeds(command.specs)
            self.engines_wait()

    def engines_wait(self) -> None:
        """Every idle engine waits for work now."""
        for engine in self._fleet.engines.values():
            if engine.idle:
                self._house.fleet.asked(engine.id, self._fleet.clock.now_us())


class Fleet:
    """A real dispatcher in memory (or on the store ``open_storage`` gives), its clock, and its engines.

    ``dispatcher`` is what an application is given; ``kinds``, ``rules``, ``policy`` and ``settings`` are that
    application's own. Leaving the ``with`` block checks every law of the store.
    """

    def __init__(
        self,
        *,
        kinds: Sequence[JobKind] = (TRANSCODE,),
        rules: Sequence[Rule] = DEFAULT_RULES,
        policy: Policy | None = None,
        settings: Settings | None = None,
        open_storage: OpenStorage = own_memory,
        seed: int = 0,
    ) -> None:
        self.clock = ManualClock()
        self.storage: Storage = open_storage(self.clock)
        self.engines: dict[str, FleetEngine] = {}
        self._told: list[str] = []
        self._mishaps: list[tuple[int, Mishap]] = []
        self._grants = 0
        self._looks = 0
        made: list[_Listening] = []

        def committer(house: House) -> _Listening:
            made.append(_Listening(house, self))
            return made[-1]

        self.dispatcher = Dispatcher(
            self.storage,
            settings=settings,
            kinds=kinds,
            rules=rules,
            policy=policy,
            ids=SeededIds(seed),
            committer=committer,
        )
        self._committer = made[0]

    # ----- who is there, and what there is to do

    def engine(
        self,
        name: str,
        *,
        speed: Speed = 1.0,
        slots: int = 1,
        work: Work = does_it,
        profile: Profile | None = None,
        **facts: FactValue,
    ) -> FleetEngine:
        """An engine joins. ``engine("gpu", speed=8, memory_gb=16)`` runs every kind, 8 units a second.

        ``speed`` by task class if they differ; its benchmarks say the truth. ``work`` gives the result of a job, or
        the JobError it fails with. A ``profile`` says it all instead: then its benchmarks are its speeds.
        """
        if profile is not None:
            speed = {cell.task_class: cell.units_per_s for cell in profile.benchmarks}
        elif isinstance(speed, Mapping):
            profile = self._profile(slots, facts, speed)
        else:
            profile = self._profile(slots, facts, dict.fromkeys(self._told, speed))
        engine = self.engines[name] = FleetEngine(name, profile, speed, work)
        self.dispatcher.register(name, profile, session=engine.session)
        return engine

    def _profile(self, slots: int, facts: Mapping[str, FactValue], speeds: Mapping[str, float]) -> Profile:
        cells = tuple(Benchmark(task_class=name, units_per_s=float(each)) for name, each in speeds.items())
        return Profile(kinds=tuple(self.dispatcher.kinds), slots=slots, facts=dict(facts), benchmarks=cells)

    def submit(self, spec: JobSpec | None = None, **fields: Any) -> Job:
        """A job: a spec, or the fields of one; its kind is the fleet's first unless named. Nobody runs it before ``step``."""
        if spec is None:
            spec = JobSpec(**{"kind": next(iter(self.dispatcher.kinds)), **fields})
        return self.dispatcher.submit(spec)

    def job(self, job: Job | str) -> Job:
        """A job as it stands now."""
        return self.dispatcher.job(job if isinstance(job, str) else job.id)

    def crash(self, engine: FleetEngine | str, *, down_s: float | None = None) -> None:
        """An engine dies; nobody is told. It comes back after ``down_s`` seconds, or when ``restart`` says so."""
        dead = self._named(engine)
        dead.up = False
        dead.runs.clear()
        dead.back_us = None if down_s is None else self.clock.now_us() + to_us(down_s)

    def restart(self, engine: FleetEngine | str) -> None:
        """An engine starts anew, with nothing of what it ran."""
        back = self._named(engine)
        back.up, back.back_us, back.starts = True, None, back.starts + 1
        back.runs.clear()
        self.dispatcher.register(back.id, back.profile, session=back.session)
        self._tell(back, self._told)

    def leave(self, engine: FleetEngine | str) -> None:
        """An engine leaves for good; what it runs goes back."""
        gone = self.engines.pop(self._named(engine).id)
        self.dispatcher.deregister(gone.id)

    def plan(self, mishaps: Iterable[Mishap]) -> None:
        """What will befall the engines while time passes, counted from now."""
        now = self.clock.now_us()
        self._mishaps += [(now + to_us(each.after_s), each) for each in mishaps]
        self._mishaps.sort(key=lambda planned: planned[0])

    def _named(self, engine: FleetEngine | str) -> FleetEngine:
        return self.engines[engine if isinstance(engine, str) else engine.id]

    def tell_speeds(self, specs: Iterable[JobSpec]) -> None:
        """Engines whose speed is one number report it for task classes that are new."""
        new = list(dict.fromkeys(found for spec in specs for found in self._classes(spec)))
        new = [name for name in new if name not in self._told]
        self._told += new
        for engine in self.engines.values():
            self._tell(engine, new)

    def _tell(self, engine: FleetEngine, classes: Sequence[str]) -> None:
        if engine.up and classes and not isinstance(engine.speed, Mapping):
            cells = [Benchmark(task_class=name, units_per_s=float(engine.speed)) for name in classes]
            self.dispatcher.report_benchmark(engine.id, cells)

    def _classes(self, spec: JobSpec) -> Iterator[str]:
        kind = self.dispatcher.kinds.get(spec.kind)
        with suppress(
            Exception
        ):  # parameters that do not suit the kind: the dispatcher refuses them in its own words
            if kind is not None:
                yield kind.measure(spec)[0]

    # ----- time

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass, and everything happen that is due in it. Without seconds: what is due now."""
        until = self.clock.now_us() + to_us(seconds)
        self._settle()
        while (at := min(self._next_us(), self._look_us())) <= until:
            self._move_to(at)
        if self.clock.now_us() < until:
            self._move_to(until)

    def drain(self, *, seconds_max: float = 30 * 86_400.0) -> list[Job]:
        """Let time pass until nothing more would happen; returns the jobs that have not ended, oldest first.

        Raises AssertionError if something still happens after ``seconds_max``.
        """
        until = self.clock.now_us() + to_us(seconds_max)
        self._settle()
        self._looks = 0
        while (left := self._unfinished()) and (self._next_us() < _NEVER or self._looks < LOOKS_MAX):
            at = min(self._next_us(), self._look_us())
            if at > until:
                waiting = "\n".join(f"{job.id}\n{why(self.dispatcher, job)}" for job in left[:3])
                raise AssertionError(f"{len(left)} jobs have not ended after {seconds_max:g} s\n{waiting}")
            self._move_to(at)
        return left

    def _move_to(self, at_us: int) -> None:
        self.clock.advance_us(at_us - self.clock.now_us())
        self._settle()

    def _next_us(self) -> int:
        """The next instant at which something is due."""
        now = self.clock.now_us()
        ends = [ends for engine in self.engines.values() for _, ends in engine.runs.values()]
        backs = [engine.back_us for engine in self.engines.values() if engine.back_us is not None]
        planned = [at for at, _ in self._mishaps]
        # What is overdue already waits for the pause of expiry after a start to end.
        patient = now + to_us(self.dispatcher.settings.heartbeat_s)
        timers = [due if due > now else patient for due in self._timers()]
        return min([*ends, *backs, *planned, *timers], default=_NEVER)

    def _timers(self) -> list[int]:
        dues = [job.due_us for job in self._unfinished()]
        with self.storage.read() as snapshot:
            everybody = [status.engine.id for status in self.dispatcher.engines(left=True)]
            for attempts in snapshot.open_attempts(everybody).values():
                dues += [attempt.due_us for attempt in attempts]
        return [due for due in dues if due is not None]

    def _look_us(self) -> int:
        """When idle engines look again for what they may have left to better ones; ever more rarely."""
        if not any(engine.idle for engine in self.engines.values()):
            return _NEVER
        if not any(job.claimable for job in self._unfinished()):
            return _NEVER
        floor_us = to_us(self.dispatcher.settings.poll_floor_s)
        return self.clock.now_us() + (floor_us << min(self._looks, DOUBLINGS_MAX))

    def _settle(self) -> None:
        """Everything that is due at this instant."""
        grants = self._grants
        for engine in list(self.engines.values()):
            if engine.back_us is not None and engine.back_us <= self.clock.now_us():
                self.restart(engine)
        self._befall()
        for engine in self.engines.values():
            self._beat(engine)
            self._finish(engine)
        while self.dispatcher.tick().more:
            pass
        self._committer.engines_wait()
        while sum(self._claim(engine) for engine in list(self.engines.values())):
            pass
        self._looks = 0 if self._grants > grants else self._looks + 1

    def _befall(self) -> None:
        while self._mishaps and self._mishaps[0][0] <= self.clock.now_us():
            mishap = self._mishaps.pop(0)[1]
            if self.engines:
                names = list(self.engines)
                self.crash(names[mishap.engine % len(names)], down_s=mishap.down_s)

    def _beat(self, engine: FleetEngine) -> None:
        """It says that it is alive, drops what it hears is lost, and gives back what it should stop."""
        if not engine.up:
            return
        held = [HeldLease(job_id=lease.job.id, token=lease.token) for lease, _ in engine.runs.values()]
        answer = self.dispatcher.heartbeat(engine.id, session=engine.session, leases=held)
        for status in answer.leases:
            if status.lost or status.cancel:
                lease, _ = engine.runs.pop(status.job_id)
                if not status.lost:
                    self.dispatcher.give_back(lease)

    def _finish(self, engine: FleetEngine) -> None:
        for lease, ends_us in list(engine.runs.values()):
            if ends_us <= self.clock.now_us():
                del engine.runs[lease.job.id]
                with suppress(LeaseLostError):  # somebody else has the job by now
                    self._report(lease, engine.work(lease.job))

    def _report(self, lease: Lease, result: Mapping[str, object] | JobError) -> None:
        if isinstance(result, JobError):
            self.dispatcher.fail(lease, result)
        else:
            self.dispatcher.complete(lease, result)

    def _claim(self, engine: FleetEngine) -> bool:
        if not engine.idle:
            return False
        leases = self.dispatcher.claim(engine.id, session=engine.session)
        for lease in leases:
            kind = self.dispatcher.kinds[lease.job.spec.kind]
            task_class, units = kind.measure(lease.job.spec)
            length_us = max(to_us(units / engine.speed_of(task_class, kind)), 1)
            engine.runs[lease.job.id] = (lease, self.clock.now_us() + length_us)
        self._grants += len(leases)
        return bool(leases)

    def _unfinished(self) -> list[Job]:
        query = Query(where={"state": _UNFINISHED}, sort="created_us", limit=1_000)
        return list(self.dispatcher.export_jobs(query))

    # ----- what should be

    def assert_assigned(self, job: Job | str, engine: FleetEngine | str) -> None:
        """The job's latest attempt is that engine's; else AssertionError with every engine's reasons."""
        assert_assigned(self.dispatcher, job, engine if isinstance(engine, str) else engine.id)

    def assert_never_matches(self, job: Job | str) -> None:
        """No engine of the fleet could ever run the job; else AssertionError with every engine's reasons."""
        assert_never_matches(self.dispatcher, job)

    def check(self) -> None:
        """Every law of the store. Raises InvariantError."""
        check_store(self.storage, self.dispatcher.settings.give_backs_max)

    def close(self) -> None:
        """The end: the dispatcher and the store close."""
        self.dispatcher.close()
        self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.check()
        finally:
            self.close()


_NEVER = 2**63
