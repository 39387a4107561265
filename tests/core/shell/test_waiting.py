"""Claims that wait: woken by what makes work, not by polling, and only as many as gained work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

import pytest

from dispatch_core import (
    DEFAULT_RULES,
    BatchReport,
    Benchmark,
    Dispatcher,
    EngineView,
    JobSize,
    Lease,
    PoolSpec,
    Reason,
    Settings,
    StorageUnavailableError,
)
from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.testing.faults import CommitFault, FaultyStorage
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.jobs import Job
from tests.core.conftest import MakeDispatcher
from tests.core.house import FACTS, claim, spec, start
from tests.core.shell.test_group import Choosy, Reports

LONG_S = 60.0
SLOW = Settings(poll_floor_s=60.0)


class Counting:
    """How many commands were decided so far."""

    def __init__(self) -> None:
        self.commands = 0

    def committed(self, report: BatchReport) -> None:
        self.commands += report.commands


class Fleet:
    """Engines that wait for work in threads of their own."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.pool = ThreadPoolExecutor(16)

    def wait(self, engine_id: str = "e1", wait_s: float = LONG_S) -> Future[list[Lease]]:
        """A claim that is surely parked when this returns."""
        parked = len(self.dispatcher._committer._parked)  # type: ignore[attr-defined]  # the writer's parking
        future = self.pool.submit(self.dispatcher.claim, engine_id, session="s1", wait_s=wait_s)
        self.until(lambda: len(self.dispatcher._committer._parked) > parked)  # type: ignore[attr-defined]  # the group committer's
        return future

    @staticmethod
    def until(holds: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if holds():
                return
            threading.Event().wait(0.001)
        raise AssertionError("it never happened")


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def fleet(make_dispatcher: MakeDispatcher, counting: Counting) -> Iterator[Fleet]:
    fleet = Fleet(make_dispatcher(group_commit=True, settings=SLOW, observers=[counting]))
    yield fleet
    fleet.dispatcher.close()
    fleet.pool.shutdown()


def granted(future: Future[list[Lease]]) -> list[str]:
    return [lease.job.id for lease in future.result(20)]


def test_a_submit_wakes_a_waiting_claim(fleet: Fleet) -> None:
    """At once, though nobody polls for a minute."""
    start(fleet.dispatcher)
    waiting = fleet.wait()
    began = monotonic()
    job = fleet.dispatcher.submit(spec())
    assert granted(waiting) == [job.id]
    assert monotonic() - began < 30


@pytest.mark.parametrize(
    "act", ["release", "requeue", "unpin", "give-back", "slot", "resume", "profile", "tick"]
)
def test_whatever_makes_work_wakes(fleet: Fleet, act: str) -> None:
    """Not only submits: every event that gives an engine something to do."""
    dispatcher = fleet.dispatcher
    slots = 1 if act == "slot" else 4
    start(dispatcher, slots=slots, facts={"codec": ("vp9",)} if act == "profile" else {"codec": ("h264",)})
    start(dispatcher, "e2")
    job = dispatcher.submit(spec(hold=act == "release"))
    lease = None
    match act:
        case "requeue":
            dispatcher.cancel(job.id)
        case "unpin":
            dispatcher.assign(job.id, "e3")
        case "give-back":
            lease = claim(dispatcher, "e2")
        case "slot":
            lease = claim(dispatcher)
            job = dispatcher.submit(spec())
        case "resume":
            dispatcher.cordon("e1")
        case "tick":
            lease = claim(dispatcher, "e2")
        case _:
            pass
    waiting = fleet.wait()
    match act:
        case "release":
            dispatcher.release(job.id)
        case "requeue":
            dispatcher.requeue(job.id)
        case "unpin":
            dispatcher.assign(job.id, None)
        case "give-back":
            assert lease is not None
            dispatcher.give_back(lease)
        case "slot":
            assert lease is not None
            dispatcher.complete(lease)
        case "resume":
            dispatcher.resume("e1")
        case "profile":
            start(dispatcher, facts={"codec": ("h264",)})
        case _:
            dispatcher.deregister("e2")
    assert granted(waiting) == [job.id]


def test_only_as_many_are_woken_as_gained_work(fleet: Fleet, counting: Counting) -> None:
    """Ten wait, one job comes: one more claim is decided, not ten."""
    for number in range(10):
        start(fleet.dispatcher, f"e{number}")
    waiting = [fleet.wait(f"e{number}") for number in range(10)]
    before = counting.commands
    job = fleet.dispatcher.submit(spec())
    fleet.until(lambda: any(future.done() for future in waiting))
    fleet.until(lambda: counting.commands == before + 2)
    assert [granted(future) for future in waiting if future.done()] == [[job.id]]
    assert len(fleet.dispatcher._committer._parked) == 9  # type: ignore[attr-defined]  # the writer's parking
    fleet.dispatcher.submit(spec(hold=True))
    fleet.dispatcher.submit(spec(requirements=("ffmpeg >= 99",)))
    assert counting.commands == before + 4, "what nobody may have wakes nobody"
    jobs = fleet.dispatcher.submit_many([spec() for _ in range(3)])
    fleet.until(lambda: sum(future.done() for future in waiting) == 4)
    assert counting.commands == before + 8
    assert {each.id for each in jobs} < {
        job_id for future in waiting if future.done() for job_id in granted(future)
    }


def test_the_best_engine_is_woken(fleet: Fleet) -> None:
    """Of those that wait, the one that is fastest at the new job."""
    for number, speed in enumerate((1, 30, 5)):
        cell = Benchmark(task_class="h264/1080p/encode", units_per_s=speed)
        start(fleet.dispatcher, f"e{number}", benchmarks=(cell,))
    waiting = [fleet.wait(f"e{number}") for number in range(3)]
    job = fleet.dispatcher.submit(spec())
    assert granted(waiting[1]) == [job.id]
    assert not waiting[0].done()
    assert not waiting[2].done()


def test_a_pinned_job_wakes_its_engine(fleet: Fleet) -> None:
    """And no other."""
    for number in range(3):
        start(fleet.dispatcher, f"e{number}")
    job = fleet.dispatcher.submit(spec(hold=True))
    fleet.dispatcher.assign(job.id, "e2")
    waiting = [fleet.wait(f"e{number}") for number in range(3)]
    fleet.dispatcher.release(job.id)
    assert granted(waiting[2]) == [job.id]
    assert not waiting[0].done()


def test_patience_ends(fleet: Fleet) -> None:
    """After ``wait_s`` the answer is an empty list, not an error; without it, at once."""
    start(fleet.dispatcher)
    began = monotonic()
    assert fleet.dispatcher.claim("e1", session="s1") == []
    assert monotonic() - began < 30
    began = monotonic()
    assert fleet.dispatcher.claim("e1", session="s1", wait_s=0.1) == []
    assert 0.1 <= monotonic() - began < 30


def test_stop_waiting_answers_those_who_wait(fleet: Fleet) -> None:
    """The first step of a drain: nobody waits from now on, commands still work."""
    start(fleet.dispatcher)
    waiting = fleet.wait()
    fleet.dispatcher.stop_waiting()
    assert granted(waiting) == []
    assert fleet.dispatcher.claim("e1", session="s1", wait_s=LONG_S) == []
    job = fleet.dispatcher.submit(spec())
    assert [lease.job.id for lease in fleet.dispatcher.claim("e1", session="s1", wait_s=LONG_S)] == [job.id]


def test_close_answers_those_who_wait(fleet: Fleet) -> None:
    """Nobody hangs on a dispatcher that is gone."""
    start(fleet.dispatcher)
    waiting = [fleet.wait() for _ in range(3)]
    fleet.dispatcher.close()
    assert [granted(future) for future in waiting] == [[], [], []]


def test_a_replaced_session_stops_waiting(fleet: Fleet) -> None:
    """A process whose name was taken over is told, not left in the row."""
    start(fleet.dispatcher)
    waiting = fleet.wait()
    start(fleet.dispatcher, session="s2")
    assert type(waiting.exception(20)).__name__ == "SessionReplacedError"


class Explosive:
    """A rule with a bug that shows at one job."""

    name = "explosive"

    def admits(self, wanted: SchedulingClass, engine: Engine) -> Sequence[Reason]:
        return ()

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        if job.spec.note == "poison":
            raise ZeroDivisionError("a bug in a rule")
        return ()

    def penalty_us(self, wanted: SchedulingClass, engine: Engine) -> int:
        return 0


def test_a_bug_in_a_rule_does_not_end_the_writer(make_dispatcher: MakeDispatcher) -> None:
    """Choosing whom to wake runs somebody's rules: whatever they raise, later commands are answered."""
    fleet = Fleet(make_dispatcher(group_commit=True, settings=SLOW, rules=(*DEFAULT_RULES, Explosive())))
    start(fleet.dispatcher)
    waiting = fleet.wait()
    poison = fleet.dispatcher.submit(spec(note="poison"))
    assert isinstance(waiting.exception(20), ZeroDivisionError), "the claim hears of the bug"
    assert fleet.pool.submit(fleet.dispatcher.cancel, poison.id).result(20).state == "cancelled"
    job = fleet.dispatcher.submit(spec())
    assert granted(fleet.pool.submit(fleet.dispatcher.claim, "e1", session="s1")) == [job.id]
    fleet.dispatcher.close()
    fleet.pool.shutdown()


def test_work_of_a_batch_that_had_to_be_split_wakes_too(make_dispatcher: MakeDispatcher) -> None:
    """Beside a command with a bug a good submit is committed alone: the claim that waits for it gets it."""
    reports = Reports()
    fleet = Fleet(make_dispatcher(group_commit=True, settings=SLOW, policy=Choosy(), observers=[reports]))
    dispatcher = fleet.dispatcher
    start(dispatcher)
    waiting = fleet.wait()
    reports.stop()
    first = fleet.pool.submit(dispatcher.submit, spec(hold=True))
    assert reports.reached.wait(20)
    futures = [fleet.pool.submit(dispatcher.submit, spec(note=note)) for note in ("poison", "good")]
    fleet.until(lambda: dispatcher._committer._queue.qsize() >= 2)  # type: ignore[attr-defined]  # the group's queue
    reports.go_on.set()
    first.result(20)
    assert isinstance(futures[0].exception(20), ZeroDivisionError)
    assert granted(waiting) == [futures[1].result(20).id]
    dispatcher.close()
    fleet.pool.shutdown()


def test_a_storage_fault_reaches_a_woken_claim(make_dispatcher: MakeDispatcher, fleet: Fleet) -> None:
    """A claim whose grant could not be committed hears that its outcome is unknown."""
    door = FaultyStorage(fleet.dispatcher.storage)
    other = Fleet(make_dispatcher(door, group_commit=True, settings=SLOW))
    start(other.dispatcher)
    waiting = other.wait()
    saves = door.saves
    door.meanwhile = lambda: None

    def second_fails() -> None:
        door.meanwhile = lambda: setattr(door, "fault", CommitFault.BEFORE)

    door.meanwhile = second_fails
    other.dispatcher.submit(spec())
    assert isinstance(waiting.exception(20), StorageUnavailableError)
    assert door.saves == saves + 1
    assert len(other.dispatcher.claim("e1", session="s1")) == 1
    other.dispatcher.close()
    other.pool.shutdown()


@pytest.mark.parametrize("how", ["complete", "give-back", "report", "cancel"])
def test_room_in_a_pool_wakes_a_claim(fleet: Fleet, how: str) -> None:
    """A job that waits for its pool is granted as soon as another lets go of it, not at the poll floor."""
    act = fleet.dispatcher
    act.pools.create("nas", PoolSpec(capacity_bytes=100))
    for engine_id in ("e1", "e2"):
        start(act, engine_id, facts={**FACTS, "pool": ("nas",)})
    start(act, "e3")
    size = JobSize(size_bytes=60)
    act.submit(spec(pool="nas", size=size))
    lease = claim(act)
    waits = act.submit(spec(pool="nas", size=size))
    waiting = [fleet.wait("e2"), fleet.wait("e3")]
    match how:
        case "complete":
            act.complete(lease)
        case "give-back":
            act.hold(lease.job.id)
            act.give_back(lease)
        case "report":
            act.pools.report("nas", used_bytes=0, capacity_bytes=500)
        case _:
            act.cancel(lease.job.id)
            act.give_back(lease)
    assert granted(waiting[0]) == [waits.id]
    assert not waiting[1].done()
