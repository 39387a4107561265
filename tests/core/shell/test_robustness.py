"""Trouble next door: broken stores, failing observers, full engines, lost races, odd kinds and rules."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dispatch_core import (
    BatchReport,
    Benchmark,
    Dispatcher,
    Edit,
    EngineView,
    InvalidCommandError,
    Job,
    JobError,
    JobKind,
    JobSize,
    JobSpec,
    JobState,
    Lease,
    ManualClock,
    Profile,
    Reason,
    Retry,
    SchedulingClass,
    Settings,
    StorageUnavailableError,
    Timeouts,
)
from dispatch_core.forms import edit_from_form
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_core.testing.faults import CommitFault, FaultyStorage
from dispatch_core.vocabulary.commands import Claim
from dispatch_core.vocabulary.context import LOCAL, Context
from tests.core.house import claim, spec, start

RESIZE = JobKind(name="resize")


def resize(**fields: Any) -> JobSpec:
    """A job of a kind without a shape."""
    return JobSpec(**{"kind": "resize", **fields})


def small(**fields: Any) -> Profile:
    """An engine for them."""
    return Profile(**{"kinds": ("resize",), **fields})


def in_thread(call: Callable[[], object]) -> threading.Thread:
    """Run it beside the test."""
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_the_queue_ttl_follows_an_edit(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Longer, it ends later, counted from the start; taken away, it never ends."""
    job = dispatcher.submit(spec(timeouts=Timeouts(queue_s=60)))
    clock.advance(10)
    longer = dispatcher.update(job.id, Edit(timeouts=Timeouts(queue_s=3_600)))
    assert longer.ttl_at_us == job.created_us + 3_600_000_000
    assert dispatcher.update(job.id, Edit(timeouts=Timeouts())).ttl_at_us is None
    clock.advance(10_000)
    dispatcher.tick()
    assert dispatcher.job(job.id).state is JobState.PENDING


def test_a_give_back_that_counts_as_a_failure_repeats_as_a_give_back() -> None:
    """The repeat gets the first answer, although the attempt failed."""
    with Dispatcher(MemoryStorage(ManualClock()), settings=Settings(give_backs_max=0)) as dispatcher:
        start(dispatcher)
        dispatcher.submit(spec())
        lease = claim(dispatcher)
        assert dispatcher.give_back(lease) == dispatcher.give_back(lease)


def test_a_jump_of_the_clock_is_no_run_time(clock: ManualClock) -> None:
    """A day forward, an attempt that ran 90 s of 10 h goes on; a year back, its limits still come."""
    with Dispatcher(MemoryStorage(clock)) as dispatcher:
        start(dispatcher)
        dispatcher.submit(spec(timeouts=Timeouts(run_s=36_000, no_progress_s=100)))
        lease = claim(dispatcher)
        dispatcher.tick()
        clock.jump(86_400)
        dispatcher.tick()
        clock.advance(31)
        dispatcher.renew(lease)
        dispatcher.tick()
        assert dispatcher.job(lease.job.id).state is JobState.ASSIGNED
        clock.jump(-365 * 86_400)
        for _ in range(20):
            clock.advance(10)
            dispatcher.tick()
            if dispatcher.job(lease.job.id).state is JobState.ASSIGNED:
                dispatcher.renew(lease)
        assert dispatcher.job(lease.job.id).state is not JobState.ASSIGNED


def test_an_old_back_off_is_stamped_anew_even_if_the_first_try_fails(clock: ManualClock) -> None:
    """A storage fault during the pass over strays does not lose the pass."""
    door = FaultyStorage(MemoryStorage(clock))
    with Dispatcher(door) as dispatcher:
        start(dispatcher)
        dispatcher.submit(spec())
        dispatcher.fail(claim(dispatcher), JobError(failure_class="engine", message="x"))
        dispatcher.tick()
        clock.jump(-365 * 86_400)
        door.fault = CommitFault.BEFORE
        with pytest.raises(StorageUnavailableError):
            dispatcher.tick()
        for _ in range(70):
            clock.advance(10)
            dispatcher.tick()
        assert claim(dispatcher).attempt == 2


def test_what_was_committed_is_not_decided_again() -> None:
    """Memory or an observer may fail after the commit; nobody's command takes effect twice."""

    class Exits:
        def committed(self, report: BatchReport) -> None:
            raise SystemExit

    dispatcher = Dispatcher(MemoryStorage(), kinds=[RESIZE], group_commit=True, observers=[Exits()])
    with dispatcher:
        remember = dispatcher._house.heads.remember
        dispatcher._house.heads.remember = lambda _changes: 1 / 0  # type: ignore[method-assign, assignment]  # a fault in memory
        threads = [in_thread(lambda: dispatcher.submit(resize())) for _ in range(8)]
        for thread in threads:
            thread.join()
        dispatcher._house.heads.remember = remember  # type: ignore[method-assign]  # whole again
        assert dispatcher.stats().accepted == 8


def test_tick_opens_a_broken_store_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed commit and a failed reopen, no client's write is needed to recover."""
    storage = create_storage(tmp_path / "jobs.db")
    with Dispatcher(storage, kinds=[RESIZE]) as dispatcher:
        dispatcher.submit(resize())
        with monkeypatch.context() as patch:
            patch.setattr("dispatch_core.storage.sql.sqlite.open_file", _disk_away)
            patch.setattr(storage._database.writer, "_broken", True)  # type: ignore[attr-defined]  # as after a failed commit
            with pytest.raises(StorageUnavailableError):
                dispatcher.submit(resize())
            with pytest.raises(StorageUnavailableError):
                dispatcher.check_storage()
        with pytest.raises(StorageUnavailableError):
            dispatcher.tick()
        dispatcher.tick()
        dispatcher.check_storage()
        assert dispatcher.stats().accepted == 1
    storage.close()


def _disk_away(*_arguments: object, **_options: object) -> None:
    raise StorageUnavailableError("the disk is away")


def test_a_waiting_claim_is_no_sign_of_life(clock: ManualClock) -> None:
    """An engine that died while its claim was parked goes silent all the same."""
    with Dispatcher(MemoryStorage(clock), kinds=[RESIZE], group_commit=True) as dispatcher:
        dispatcher.register("e", small(), session="s")
        clock.advance(31)
        dispatcher.heartbeat("e", session="s")
        waiting = in_thread(lambda: dispatcher.claim("e", session="s", wait_s=5))
        while not dispatcher._committer._parked:  # type: ignore[attr-defined]  # the group committer's
            time.sleep(0.01)
        for _ in range(3):
            clock.advance(16)
            dispatcher.tick()
        assert dispatcher.engine("e").engine.seen == "silent"
        dispatcher.stop_waiting()
        waiting.join()


def test_a_full_engine_passes_the_wake_on() -> None:
    """The fastest waiting engine has no slot free; the idle one gets the job, not the poll floor."""
    settings = Settings(poll_floor_s=60)
    with Dispatcher(MemoryStorage(), kinds=[RESIZE], group_commit=True, settings=settings) as dispatcher:
        fast = small(benchmarks=(Benchmark(task_class="any", units_per_s=1.5),))
        dispatcher.register("fast", fast, session="s")
        dispatcher.register("slow", small(), session="s")
        dispatcher.submit(resize())
        claim(dispatcher, "fast", session="s")
        got: dict[str, Sequence[Lease]] = {}

        def wait(name: str) -> None:
            got[name] = dispatcher.claim(name, session="s", wait_s=20)

        threads = [in_thread(lambda name=name: wait(name)) for name in ("fast", "slow")]  # type: ignore[misc]  # bound now
        while len(dispatcher._committer._parked) < 2:  # type: ignore[attr-defined]  # the group committer's
            time.sleep(0.01)
        dispatcher.submit(resize())
        threads[1].join(15)
        dispatcher.stop_waiting()
        threads[0].join()
        assert len(got["slow"]) == 1


def test_a_window_stays_small_and_a_reader_goes_on_where_it_stopped() -> None:
    """An engine that fits none of the first thousand finds the one behind them, a bounded part per claim."""
    with Dispatcher(create_storage("sqlite://"), kinds=[RESIZE]) as dispatcher:
        dispatcher.submit_many([resize(size=JobSize(size_bytes=1_000))] * 500)
        fits = dispatcher.submit(resize(size=JobSize(size_bytes=1)))
        dispatcher.register("tiny", small(size_bytes_max=10), session="s")
        claims = [dispatcher.claim("tiny", session="s") for _ in range(10)]
        windows = dispatcher._house.heads._windows or {}
        assert all(window is None or len(window.ranks) <= 32 for window in windows.values())
        assert [lease.job.id for leases in claims for lease in leases] == [fits.id]


@pytest.mark.checklist(1)
def test_two_servers_do_not_overfill_an_engine(clock: ManualClock) -> None:
    """Both read one free slot; the second to commit decides again."""
    storage = MemoryStorage(clock)
    door = FaultyStorage(storage)
    one, two = Dispatcher(door), Dispatcher(storage)
    one.submit_many([spec(), spec()])
    start(one, slots=1)
    won: list[Lease] = []
    door.meanwhile = lambda: won.extend(two.claim("e1", session="s1"))
    won += one.claim("e1", session="s1")
    assert len(won) == len(one.engine("e1").attempts) == 1


def test_a_replaced_session_gets_nothing_even_in_a_race(clock: ManualClock) -> None:
    """Another server registers the engine's next start between read and write."""
    storage = MemoryStorage(clock)
    door = FaultyStorage(storage)
    one, two = Dispatcher(door), Dispatcher(storage)
    one.submit(spec())
    start(one, session="s1")

    def restart() -> None:
        start(two, session="s2")

    door.meanwhile = restart
    entry = Entry(Claim(engine_id="e1", session="s1"), LOCAL)
    commit(one._house, [entry])
    assert entry.result is None
    assert entry.error is not None


class AnyJob:
    """A rule that never objects."""

    name = "any-job"

    def admits(self, wanted: SchedulingClass, engine: Any) -> Sequence[Reason]:
        """Everything."""
        return ()

    def fits(self, job: Job, wanted: SchedulingClass, view: EngineView) -> Sequence[Reason]:
        """Everything."""
        return ()

    def penalty_us(self, wanted: SchedulingClass, engine: Any) -> int:
        """Nothing."""
        return 0


def test_rules_of_ones_own_do_not_switch_the_house_rules_off() -> None:
    """Tenants stay apart and a draining engine gets nothing, whatever list of rules is passed."""
    with Dispatcher(MemoryStorage(), kinds=[RESIZE], rules=[AnyJob()]) as dispatcher:
        dispatcher.acting(Context(tenant="other")).submit(resize())
        dispatcher.register("e", small(), session="s")
        assert dispatcher.claim("e", session="s") == []
        dispatcher.submit(resize())
        dispatcher.drain("e")
        assert dispatcher.claim("e", session="s") == []


def test_a_kinds_own_error_is_the_submitters_field() -> None:
    """What a kind's functions raise about parameters is refused as input, not met as a traceback."""
    kind = JobKind(name="resize", units=lambda parameters, _size: len(parameters["images"]))  # type: ignore[arg-type]  # JSON of unknown shape
    with (
        Dispatcher(MemoryStorage(), kinds=[kind]) as dispatcher,
        pytest.raises(InvalidCommandError, match="/parameters: does not suit the kind 'resize'"),
    ):
        dispatcher.submit(resize())


@pytest.mark.parametrize("units", [float("inf"), float("nan")])
def test_work_that_is_no_number_of_units_is_refused(units: float) -> None:
    """A kind that cannot tell how much work a job is would spoil every reckoning it came into."""
    kind = JobKind(name="resize", units=lambda _parameters, _size: units)
    with (
        Dispatcher(MemoryStorage(), kinds=[kind]) as dispatcher,
        pytest.raises(InvalidCommandError, match="units of work"),
    ):
        dispatcher.submit(resize())


def test_a_stored_job_is_nobody_elses(dispatcher: Dispatcher) -> None:
    """Changing what was passed in changes nothing that was accepted."""
    parameters = {"source": "a", "target": "b"}
    job = dispatcher.submit(JobSpec(parameters=parameters))
    parameters["source"] = "changed"
    assert dispatcher.job(job.id).spec.parameters["source"] == "a"


def test_an_edit_is_a_merge_patch() -> None:
    """RFC 7396: what a nested object does not name stays, null removes."""
    with Dispatcher(MemoryStorage(), kinds=[RESIZE]) as dispatcher:
        job = dispatcher.submit(resize(parameters={"a": {"x": 1, "y": 2}, "n": None}, retry=Retry(factor=3)))
        patch = {"parameters": {"a": {"x": 5}, "b": {"z": None}}, "retry": {"max_attempts": 9}}
        after = dispatcher.update(job.id, edit_from_form(patch)).spec
        assert after.parameters == {"a": {"x": 5, "y": 2}, "n": None, "b": {}}
        assert after.retry == Retry(max_attempts=9, factor=3)


def test_specs_are_stored_whole(dispatcher: Dispatcher) -> None:
    """A later version's other defaults must not change what was asked for."""
    job = dispatcher.submit(spec())
    told = dispatcher.history(job.id)[0].data["spec"]
    assert isinstance(told, dict)
    assert told["retry"]["max_attempts"] == Retry().max_attempts
