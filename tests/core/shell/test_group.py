"""The group committer: many callers, one writer; every caller gets its own answer and no other's."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from dispatch_core import (
    BatchReport,
    ClosedError,
    CommandRejectedError,
    Context,
    Dispatcher,
    Edit,
    FlowPolicy,
    InvariantError,
    Job,
    JobError,
    LeaseLostError,
    LimitExceededError,
    ManualClock,
    Progress,
    Prospects,
    Settings,
    Storage,
    StorageUnavailableError,
    UnknownJobError,
)
from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.shell import committer
from dispatch_core.storage import create_storage
from dispatch_core.testing.faults import CommitFault, FaultyStorage
from dispatch_core.vocabulary.jobs import Ready
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, claimed, spec, start, stored


class Reports:
    """Remembers every batch; may stop the writer until told to go on, so that commands gather behind it."""

    def __init__(self) -> None:
        self.batches: list[BatchReport] = []
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def committed(self, report: BatchReport) -> None:
        self.batches.append(report)
        self.reached.set()
        assert self.go_on.wait(20)

    def stop(self) -> None:
        """The writer stops at the end of the next batch."""
        self.reached.clear()
        self.go_on.clear()


@pytest.fixture
def reports() -> Iterator[Reports]:
    reports = Reports()
    yield reports
    reports.go_on.set()


@pytest.fixture
def group(make_dispatcher: MakeDispatcher, reports: Reports) -> Dispatcher:
    """A dispatcher with a writer thread."""
    return make_dispatcher(group_commit=True, observers=[reports])


def together(dispatcher: Dispatcher, reports: Reports, acts: list[Callable[[], object]]) -> list[object]:
    """Run calls so that they share one batch; each answer or refusal in its place."""
    reports.stop()
    with ThreadPoolExecutor(len(acts) + 1) as pool:
        first = pool.submit(dispatcher.submit, spec())
        assert reports.reached.wait(20)
        before = len(reports.batches)
        futures = []
        for act in acts:
            waiting = dispatcher._committer._queue.qsize()  # type: ignore[attr-defined]  # the group's queue
            futures.append(pool.submit(act))
            _until(lambda waiting=waiting: dispatcher._committer._queue.qsize() > waiting)  # type: ignore[attr-defined, misc]  # the group's queue
        reports.go_on.set()
        first.result(20)
        answers = [future.exception(20) or future.result() for future in futures]
    assert max(batch.commands for batch in reports.batches[before:]) == len(acts)
    return answers


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if holds():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never happened")


def test_sixteen_threads_lose_nothing(tmp_path: Path, make_dispatcher: MakeDispatcher) -> None:
    """Mixed verbs from all sides on a file: every acknowledged job is there, results go to their callers."""
    storage = create_storage(str(tmp_path / "jobs.db"))
    dispatcher = make_dispatcher(storage, group_commit=True)
    accepted: dict[str, str] = {}
    completed: list[str] = []

    def work(number: int) -> None:
        random, name = Random(number), f"e{number}"
        mine: list[Job] = []
        start(dispatcher, name, session=name, slots=3)
        for turn in range(12):
            note = f"{number}/{turn}"
            job = dispatcher.acting(Context(actor=name)).submit(
                spec(note=note, priority=random.randint(-3, 3))
            )
            assert job.spec.note == note
            accepted[job.id] = note
            mine.append(job)
            for lease in dispatcher.claim(name, session=name, limit=2):
                assert (lease.engine_id, lease.session) == (name, name)
                match random.randrange(4):
                    case 0:
                        assert dispatcher.complete(lease).engine_id == name
                        completed.append(lease.job.id)
                    case 1:
                        dispatcher.give_back(lease)
                    case 2:
                        dispatcher.fail(lease, JobError(failure_class="engine", message=note))
                    case _:
                        assert dispatcher.progress(lease, Progress(fraction=0.5)).job_id == lease.job.id
            other = random.choice(mine)
            try:
                assert dispatcher.update(other.id, Edit(priority=turn)).spec.priority == turn
                assert dispatcher.cancel(random.choice(mine).id).id in accepted
            except CommandRejectedError:
                pass

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    stats = dispatcher.stats()
    assert stats.accepted == 16 * 12
    assert stats.identity_holds
    jobs = {job.id: job for job in stored(storage)}
    assert {job.id: job.spec.note for job in jobs.values()} == accepted
    assert {job.id for job in jobs.values() if job.state == "completed"} == set(completed)
    assert len(completed) == len(set(completed))


def test_commands_that_arrive_together_share_a_batch(group: Dispatcher, reports: Reports) -> None:
    """A refused command costs the others nothing, and each hears its own refusal."""
    start(group)
    job = group.submit(spec())
    lease = claim(group)
    answers = together(group, reports, [
        lambda: group.submit(spec(note="mine")),
        lambda: group.cancel("job-none"),
        lambda: group.submit(spec(note="yours")),
        lambda: group.delete(job.id),
        lambda: group.progress(lease, Progress(fraction=0.25)),
        lambda: group.submit(spec(requirements=("gpu == 1",))),
    ])  # fmt: skip
    assert [getattr(getattr(each, "spec", None), "note", type(each).__name__) for each in answers] == [
        "mine", "UnknownJobError", "yours", "WrongStateError", "LeaseStatus", "InvalidCommandError",
    ]  # fmt: skip
    assert reports.batches[-1].refused == 3


def test_several_callers_are_waited_for(
    group: Dispatcher, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where several shared a batch, those who come a moment later share the next: one commit for all of them."""
    start(group)
    together(group, reports, [lambda: group.submit(spec()), lambda: group.submit(spec())])
    monkeypatch.setattr(committer, "QUIET_S", 2.0)
    with ThreadPoolExecutor(4) as clients:
        jobs = {each.id for each in clients.map(lambda _: group.submit(spec()), range(4))}
    assert len(jobs) == 4
    assert reports.batches[-1].commands == 4


def test_a_lone_caller_waits_for_nobody(group: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long several would be waited for."""
    monkeypatch.setattr(committer, "QUIET_S", 3_600.0)
    start(group)
    assert len({group.submit(spec()).id for _ in range(3)}) == 3


def test_a_batch_reports_before_it_submits_and_submits_before_it_claims(
    group: Dispatcher, reports: Reports
) -> None:
    """In one batch a claim gets the slot that a completion frees and the job that a submit brings."""
    start(group, slots=1)
    first = group.submit(spec())
    lease = claim(group)
    group.cancel(first.id)
    answers = together(group, reports, [
        lambda: claimed(group),
        lambda: group.submit(spec(note="new", priority=90)).spec.note,
        lambda: group.complete(lease).outcome,
    ])  # fmt: skip
    assert answers[1:] == ["new", "completed"]
    assert isinstance(answers[0], list)
    assert len(answers[0]) == 1
    assert group.job(answers[0][0]).spec.note == "new"


class Choosy(FlowPolicy):
    """Raises for one job: a bug in somebody's policy."""

    def place(self, job: Job, wanted: SchedulingClass, prospects: Prospects) -> Ready:
        if job.spec.note == "poison":
            raise ZeroDivisionError("a bug in a policy")
        return super().place(job, wanted, prospects)


def test_a_bug_fails_its_caller_alone(make_dispatcher: MakeDispatcher, reports: Reports) -> None:
    """Whoever shares the batch with a command that breaks somebody's code is served all the same."""
    dispatcher = make_dispatcher(group_commit=True, observers=[reports], policy=Choosy())
    reports.stop()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(dispatcher.submit, spec())
        assert reports.reached.wait(20)
        futures = [pool.submit(dispatcher.submit, spec(note=note)) for note in ("a", "poison", "b")]
        _until(lambda: dispatcher._committer._queue.qsize() >= 3)  # type: ignore[attr-defined]  # the group's queue
        reports.go_on.set()
        assert first.result(20).version == 1
        assert [futures[place].result(20).spec.note for place in (0, 2)] == ["a", "b"]
        with pytest.raises(ZeroDivisionError):
            futures[1].result(20)
    assert dispatcher.submit(spec()).version == 1
    assert dispatcher.stats().accepted == 4


def test_a_bug_in_direct_mode_leaves_no_trace(make_dispatcher: MakeDispatcher) -> None:
    """The caller gets it; the next command works."""
    dispatcher = make_dispatcher(policy=Choosy())
    with pytest.raises(ZeroDivisionError):
        dispatcher.submit_many([spec(), spec(note="poison")])
    assert dispatcher.stats().accepted == 0
    start(dispatcher)
    job = dispatcher.submit(spec())
    assert claimed(dispatcher) == [job.id]


@pytest.mark.parametrize("fault", CommitFault)
@pytest.mark.parametrize("grouped", [True, False], ids=["group", "direct"])
def test_a_storage_fault_leaves_the_outcome_unknown(
    make_dispatcher: MakeDispatcher, storage: Storage, fault: CommitFault, grouped: bool
) -> None:
    """The caller hears that it does not know; a repeat with its key has one effect; the dispatcher goes on."""
    door = FaultyStorage(storage)
    dispatcher = make_dispatcher(door, group_commit=grouped)
    start(dispatcher)
    keyed = dispatcher.acting(Context(receipt_key="once"))
    door.fault = fault
    with pytest.raises(StorageUnavailableError):
        keyed.submit(spec(note="mine"))
    assert len(stored(storage)) == (fault is CommitFault.AFTER)
    job = keyed.submit(spec(note="mine"))
    assert [each.id for each in stored(storage)] == [job.id]
    named = dispatcher.acting(Context(receipt_key="claim"))
    door.fault = fault
    with pytest.raises(StorageUnavailableError):
        named.claim("e1", session="s1")
    (lease,) = named.claim("e1", session="s1")
    door.fault = fault
    with pytest.raises(StorageUnavailableError):
        dispatcher.complete(lease)
    assert dispatcher.complete(lease).outcome == "completed"
    assert [row.event for row in dispatcher.history(job.id)] == [
        "job-submitted",
        "job-granted",
        "job-completed",
    ]


def test_everybody_in_a_lost_batch_hears_of_it(
    storage: Storage, make_dispatcher: MakeDispatcher, reports: Reports
) -> None:
    """One fault, one batch: all of its callers get the same honest answer, and none is left waiting."""
    door = FaultyStorage(storage)
    dispatcher = make_dispatcher(door, group_commit=True, observers=[reports])
    reports.stop()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(dispatcher.submit, spec())
        assert reports.reached.wait(20)
        futures = [pool.submit(dispatcher.submit, spec()) for _ in range(4)]
        _until(lambda: dispatcher._committer._queue.qsize() >= 4)  # type: ignore[attr-defined]  # the group's queue
        door.fault = CommitFault.BEFORE
        reports.go_on.set()
        first.result(20)
        assert [type(future.exception(20)) for future in futures] == [StorageUnavailableError] * 4
    assert len(stored(storage)) == 1


def test_the_queue_is_bounded(make_dispatcher: MakeDispatcher, reports: Reports) -> None:
    """More than the published number of waiting commands are refused at once, with a time to come again."""
    dispatcher = make_dispatcher(
        group_commit=True, observers=[reports], settings=Settings(queue_commands_max=2)
    )
    reports.stop()
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(dispatcher.submit, spec())]
        assert reports.reached.wait(20)
        for waiting in (1, 2):
            futures.append(pool.submit(dispatcher.submit, spec()))
            _until(lambda waiting=waiting: dispatcher._committer._queue.qsize() == waiting)  # type: ignore[attr-defined, misc]  # the group's queue
        with pytest.raises(LimitExceededError) as refusal:
            dispatcher.submit(spec())
        assert refusal.value.retry_after_s > 0
        reports.go_on.set()
        assert [future.result(20).version for future in futures] == [1, 1, 1]
    assert dispatcher.submit(spec()).version == 1


def test_close_finishes_what_was_accepted(group: Dispatcher, reports: Reports, storage: Storage) -> None:
    """Commands in the queue are written and answered; later ones are refused."""
    reports.stop()
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(group.submit, spec())]
        assert reports.reached.wait(20)
        futures += [pool.submit(group.submit, spec()) for _ in range(5)]
        _until(lambda: group._committer._queue.qsize() >= 5)  # type: ignore[attr-defined]  # the group's queue
        closing = pool.submit(group.close)
        _until(lambda: group._committer._gate.closed)  # type: ignore[attr-defined]  # the group's gate
        with pytest.raises(ClosedError):
            group.submit(spec())
        reports.go_on.set()
        closing.result(20)
        ids = {future.result(20).id for future in futures}
    assert {job.id for job in stored(storage)} == ids
    assert not [thread for thread in threading.enumerate() if thread.name == "dispatch-writer"]


def test_no_caller_is_left_behind_by_close() -> None:
    """Whatever the moment: a submit that races with close is answered or refused, never forgotten."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(40):
            dispatcher = Dispatcher(create_storage("memory:"), group_commit=True)
            outcomes: list[str] = []

            def submit(dispatcher: Dispatcher = dispatcher, outcomes: list[str] = outcomes) -> None:
                try:
                    while True:
                        outcomes.append(dispatcher.submit(spec()).id)
                except ClosedError:
                    outcomes.append("closed")

            threads = [threading.Thread(target=submit, daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            dispatcher.close()
            for thread in threads:
                thread.join(10)
                assert not thread.is_alive(), "a caller waits for ever"
            assert outcomes.count("closed") == 4
            assert dispatcher.stats().accepted == len(outcomes) - 4
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("grouped", [True, False], ids=["group", "direct"])
def test_a_forked_child_is_told(grouped: bool) -> None:
    """A dispatcher does not survive fork: the child hears so at once, even if a lock was held at that moment."""
    dispatcher = Dispatcher(create_storage("memory:"), group_commit=grouped)
    held = threading.Event()
    released = threading.Event()

    def hold() -> None:
        with dispatcher._committer._door if grouped else dispatcher._committer._lock:  # type: ignore[attr-defined]  # who holds it lets nobody decide
            held.set()
            released.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            dispatcher.submit(spec())
        except InvariantError:
            os._exit(0)
        except BaseException:
            os._exit(1)
        os._exit(2)
    released.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert dispatcher.submit(spec()).version == 1
    dispatcher.close()


def test_an_observer_that_fails_costs_nothing(make_dispatcher: MakeDispatcher) -> None:
    """The batch is committed all the same; the failure is logged."""

    class Broken:
        def committed(self, report: BatchReport) -> None:
            raise RuntimeError("no metrics today")

    dispatcher = make_dispatcher(group_commit=True, observers=[Broken()])
    assert dispatcher.submit(spec()).version == 1
    assert dispatcher.stats().accepted == 1


def test_refusals_are_the_same_in_both_modes(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """A verb means the same with and without a writer thread."""
    outcomes = []
    for grouped in (False, True):
        dispatcher = make_dispatcher(create_storage("memory:", clock=clock), group_commit=grouped)
        start(dispatcher)
        dispatcher.submit(spec())
        lease = claim(dispatcher)
        dispatcher.complete(lease, {"n": 1})
        seen: list[object] = [dispatcher.complete(lease, {"n": 2}).outcome, claimed(dispatcher)]
        for error, act in (
            (LeaseLostError, lambda d, lease: d.give_back(lease)),
            (UnknownJobError, lambda d, lease: d.cancel("x")),
            (CommandRejectedError, lambda d, lease: d.hold(lease.job.id)),
        ):
            with pytest.raises(error) as refusal:
                act(dispatcher, lease)  # type: ignore[no-untyped-call]  # lambdas of a table
            seen.append(refusal.value.code)
        seen.append(dispatcher.tick().acted)
        outcomes.append(seen)
    assert outcomes[0] == outcomes[1]
