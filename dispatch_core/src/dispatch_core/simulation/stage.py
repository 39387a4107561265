"""Where a simulation plays: the real dispatcher on a real store, with a clock that moves only when told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field

from dispatch_core.kernel.scheduling.policy import Policy
from dispatch_core.kernel.scheduling.rules import DEFAULT_RULES, Rule
from dispatch_core.ports.observer import BatchReport
from dispatch_core.ports.storage import Storage
from dispatch_core.shell.dispatcher import Dispatcher
from dispatch_core.shell.house import House
from dispatch_core.shell.settings import Settings
from dispatch_core.shell.stepped import SteppedCommitter
from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.vocabulary.clock import SECOND_US, Clock, ManualClock
from dispatch_core.vocabulary.ids import SeededIds
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.kinds import JobKind
from dispatch_core.vocabulary.records import RecordType

OpenStorage = Callable[[Clock], Storage]
"""Opens the store of a simulation on its clock."""
SETTINGS = Settings(lease_ttl_s=30.0, silent_after_s=30.0)
"""What a simulation runs with unless told otherwise: a crash is seen after half a minute."""


def own_memory(clock: Clock) -> Storage:
    """A store in memory for one dispatcher."""
    return MemoryStorage(clock, shared=False, incarnation="simulated")


class Estimates:
    """Keeps the estimate every grant was given with, and when its run may last until: an observer."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.until_us: dict[str, int] = {}

    def committed(self, report: BatchReport) -> None:
        """Read what the grants of a batch say of themselves."""
        for row in report.history:
            if row.event == "job-granted":
                self._note(row.ref[1], row.data.get("estimate_us"), row.data.get("run_until_us"))

    def _note(self, job_id: str, estimate_us: object, until_us: object) -> None:
        self.until_us.pop(job_id, None)
        if isinstance(estimate_us, int):
            self.seconds[job_id] = estimate_us / SECOND_US
        if isinstance(until_us, int):
            self.until_us[job_id] = until_us


@define(eq=False, kw_only=True)
class Stage:
    """One dispatcher, its committer and its clock."""

    clock: ManualClock
    storage: Storage
    dispatcher: Dispatcher
    committer: SteppedCommitter
    estimates: Estimates
    began_us: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.began_us = self.clock.now_us()

    @property
    def now_us(self) -> int:
        """Microseconds since the beginning."""
        return self.clock.now_us() - self.began_us

    def move_to(self, at_us: int) -> None:
        """Let time pass up to an instant, counted from the beginning."""
        self.clock.advance_us(at_us - self.now_us)

    def jobs(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """The jobs as they stand now."""
        with self.storage.read() as snapshot:
            found = snapshot.load([(RecordType.JOB, job_id) for job_id in job_ids])
        return {job.id: job for job in found.values() if isinstance(job, Job)}

    def close(self) -> None:
        """The dispatcher refuses further commands; the store stays its owner's."""
        self.dispatcher.close()


def open_stage(
    *,
    kinds: Sequence[JobKind],
    policy: Policy | None = None,
    settings: Settings | None = None,
    rules: Sequence[Rule] | None = None,
    seed: int = 0,
    storage: OpenStorage | None = None,
    clock: ManualClock | None = None,
) -> Stage:
    """A dispatcher that waits for the first command."""
    clock = clock or ManualClock()
    store = (storage or own_memory)(clock)
    estimates = Estimates()
    made: list[SteppedCommitter] = []

    def stepped(house: House) -> SteppedCommitter:
        made.append(SteppedCommitter(house, lambda: clock.monotonic_us() / SECOND_US))
        return made[-1]

    dispatcher = Dispatcher(
        store,
        settings=settings or SETTINGS,
        kinds=kinds,
        rules=DEFAULT_RULES if rules is None else rules,
        policy=policy,
        ids=SeededIds(seed),
        observers=[estimates],
        committer=stepped,
    )
    return Stage(clock=clock, storage=store, dispatcher=dispatcher, committer=made[0], estimates=estimates)
