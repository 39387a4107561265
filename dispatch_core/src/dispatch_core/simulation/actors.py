"""Simulated engines: what each runs, whether it is there, and what it has done so far."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from dispatch_core.shell.waiting import Handed
from dispatch_core.simulation.chance import Crashes, Fate
from dispatch_core.simulation.fleet import EngineType
from dispatch_core.vocabulary.attempts import Lease
from dispatch_core.vocabulary.commands import Claim, Command, Heartbeat, HeldLease
from dispatch_core.vocabulary.context import LOCAL, Context
from dispatch_core.vocabulary.engines import Profile


@define(eq=False)
class Run:
    """One attempt under way. ``ended_us`` is None until it ends, however it does."""

    index: int
    lease: Lease
    slot: int
    fate: Fate
    started_us: int
    deadline_us: int
    ended_us: int | None = None
    ending: str = "running"

    @property
    def key(self) -> tuple[str, str]:
        """The job and the token of its lease."""
        return (self.lease.job.id, self.lease.token)


@define(eq=False)
class SimEngine:
    """One engine: a process with sessions, slots and luck."""

    id: str
    type: EngineType
    crashes: Crashes
    profile: Profile
    context: Context = LOCAL
    able: bool = False
    """Whether it is taken for able to run any class: one of a live fleet, whose rules are known to the dispatcher only."""
    session: str = ""
    sessions: int = 0
    up: bool = False
    leaving: bool = False
    claim: Handed | None = None
    running: dict[tuple[str, str], Run] = field(factory=dict)
    heard_us: int = 0
    up_since_us: int = 0
    alive_us: int = 0
    busy_us: int = 0
    runs: int = 0
    crashed: int = 0

    @property
    def wants_work(self) -> bool:
        """Whether it should ask for work and has not yet."""
        return self.up and not self.leaving and self.claim is None and len(self.running) < self.slots

    @property
    def slots(self) -> int:
        """How many jobs it runs at a time."""
        return self.profile.slots

    def can_run(self, task_classes: Iterable[str]) -> bool:
        """Whether it could run a job of one of these classes, as far as classes go."""
        return self.able or any(each in self.type.speeds for each in task_classes)

    def free_slot(self) -> int:
        """The first slot that runs nothing."""
        used = {run.slot for run in self.running.values()}
        return next(slot for slot in range(self.slots) if slot not in used)

    def says(self, command: Command) -> tuple[Command, Context]:
        """A command, in the name of its tenant."""
        return (command, self.context)

    def asking(self) -> tuple[Command, Context]:
        """What asks for one job."""
        return self.says(Claim(engine_id=self.id, session=self.session))

    def beat(self) -> tuple[Command, Context]:
        """What says that it is alive, and what it runs."""
        held = tuple(HeldLease(job_id=job_id, token=token) for job_id, token in self.running)
        return self.says(Heartbeat(engine_id=self.id, session=self.session, leases=held))

    def starts(self, now_us: int) -> None:
        """A process begins."""
        self.sessions += 1
        self.session = f"{self.id}/{self.sessions}"
        self.up = True
        self.up_since_us = self.heard_us = now_us

    def stops(self, now_us: int) -> None:
        """The process is gone."""
        self.up = False
        self.claim = None
        self.alive_us += now_us - self.up_since_us

    def ends(self, run: Run, now_us: int, ending: str) -> None:
        """A run is over."""
        self.running.pop(run.key)
        run.ended_us, run.ending = now_us, ending
        self.busy_us += now_us - max(run.started_us, 0)
