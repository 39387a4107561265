"""Retention: ended jobs go when their time is over, all of them that is not accounting; and never come back."""

from __future__ import annotations

import attrs
import pytest

from dispatch_core import (
    Dispatcher,
    InvalidCommandError,
    JobError,
    LeaseLostError,
    ManualClock,
    Retention,
    Settings,
    Storage,
    UnknownJobError,
)
from dispatch_core.ports.storage import Change, ChangeSet
from dispatch_core.testing.checkers import check_store
from dispatch_core.testing.faults import FaultyStorage
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.records import RecordType
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, spec, start, stored

DAY_S = 86_400.0
BATCH_US = 1_000
"""The jobs of one submit count as made one microsecond after the other; so long, and all were made."""
HOUR_S = 3_600.0


def ended(dispatcher: Dispatcher) -> dict[str, str]:
    """A job of every kind of end, and one that has none; their ids."""
    start(dispatcher)
    done, failed, cancelled, deleted, waiting = dispatcher.submit_many([spec() for _ in range(5)])
    for each in (cancelled, deleted, waiting):
        dispatcher.hold(each.id)
    for lease in dispatcher.claim("e1", session="s1", limit=2):
        if lease.job.id == done.id:
            dispatcher.complete(lease)
        else:
            dispatcher.fail(lease, JobError(failure_class="input", message="bad", retryable=False))
    dispatcher.cancel(cancelled.id)
    dispatcher.delete(deleted.id)
    made = {"completed": done, "failed_permanently": failed, "cancelled": cancelled, "deleted": deleted}
    return {name: job.id for name, job in {**made, "waiting": waiting}.items()}


def patient(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """The hour after a start in which nothing is purged is over."""
    dispatcher.tick()
    clock.advance(HOUR_S)
    dispatcher.tick()


@pytest.mark.checklist(80)
def test_by_default_only_the_deleted_go_after_thirty_days(
    dispatcher: Dispatcher, storage: Storage, clock: ManualClock
) -> None:
    """Not a moment earlier; until then they can be restored, and a restored one stays."""
    jobs = ended(dispatcher)
    (other,) = dispatcher.submit_many([spec()])
    dispatcher.delete(other.id)
    patient(dispatcher, clock)
    clock.advance(30 * DAY_S - HOUR_S - 1)
    assert dispatcher.tick().purged == 0
    assert dispatcher.restore(other.id).deleted_us is None
    clock.advance(2)
    assert dispatcher.tick().purged == 1
    assert {job.id for job in stored(storage)} == {*jobs.values(), other.id} - {jobs["deleted"]}
    clock.advance(365 * DAY_S)
    assert dispatcher.tick().purged == 0


@pytest.mark.checklist(80)
@pytest.mark.parametrize(
    ("setting", "state"),
    [("retain_completed_s", "completed"), ("retain_failed_s", "failed_permanently"), ("retain_cancelled_s", "cancelled")],
)  # fmt: skip
def test_each_state_has_its_own_time(
    make_dispatcher: MakeDispatcher, storage: Storage, clock: ManualClock, setting: str, state: str
) -> None:
    """Counted from the last change of a job; what has not ended never goes."""
    terms = attrs.evolve(Settings(retain_deleted_s=None), **{setting: DAY_S})  # type: ignore[arg-type]  # a span
    dispatcher = make_dispatcher(settings=terms)
    jobs = ended(dispatcher)
    patient(dispatcher, clock)
    clock.advance(DAY_S - HOUR_S)
    clock.advance_us(BATCH_US)
    assert dispatcher.tick().purged == 1
    assert {job.id for job in stored(storage)} == set(jobs.values()) - {jobs[state]}


@pytest.mark.checklist(80)
def test_what_is_left_is_one_row_and_the_count(dispatcher: Dispatcher, storage: Storage) -> None:
    """Job, attempts and history are gone; a row says who was there; accepted is still all that ever was."""
    jobs = ended(dispatcher)
    key = jobs["completed"]
    before = dispatcher.stats()
    report = dispatcher.acting(Context(actor="key:boss")).purge(Retention(completed_s=0))
    assert (report.counts, report.total, report.more) == ({"completed": 1}, 1, False)
    with storage.read() as snapshot:
        assert snapshot.load([(RecordType.JOB, key), (RecordType.ATTEMPT, f"{key}/1")]) == {}
        (row,) = snapshot.history(of=(RecordType.JOB, key))
        everywhere = [each for each in snapshot.history(limit=1_000) if each.ref[1] == key]
    assert everywhere == [row]
    assert (row.event, row.actor, row.version, row.data["state"]) == (
        "job-purged",
        "key:boss",
        4,
        "completed",
    )
    after = dispatcher.stats()
    assert after.identity_holds
    assert (after.accepted, after.purged) == (before.accepted, 1)
    assert after.jobs == {**before.jobs, "completed": 0}
    check_store(storage, accepted=set(jobs.values()))


@pytest.mark.checklist(80)
def test_a_purged_job_never_comes_back(dispatcher: Dispatcher, storage: Storage) -> None:
    """Not by a verb, not by a late report, not by a repeat of the command that submitted it."""
    start(dispatcher)
    keyed = dispatcher.acting(Context(receipt_key="key-1"))
    job = keyed.submit(spec())
    lease = claim(dispatcher)
    dispatcher.complete(lease)
    assert dispatcher.purge(Retention(completed_s=0)).total == 1
    for verb in (
        dispatcher.restore,
        dispatcher.requeue,
        dispatcher.delete,
        dispatcher.job,
        dispatcher.history,
    ):
        with pytest.raises(UnknownJobError):
            verb(job.id)
    for report in (dispatcher.complete, dispatcher.give_back, dispatcher.renew):
        with pytest.raises((UnknownJobError, LeaseLostError)):
            report(lease)
    assert keyed.submit(spec()) == job  # the first answer, as remembered; no second job
    assert stored(storage) == []
    check_store(storage, accepted={job.id})


def test_receipts_of_purged_jobs_go_when_their_time_is_over(
    make_dispatcher: MakeDispatcher, storage: Storage, clock: ManualClock
) -> None:
    """A receipt lasts as long as its job; then its own time is enough."""
    dispatcher = make_dispatcher(settings=Settings(receipt_ttl_s=60))
    dispatcher.acting(Context(receipt_key="key-1")).submit(spec(hold=True))
    clock.advance(61)
    dispatcher.tick()
    (job,) = stored(storage)
    dispatcher.delete(job.id)
    dispatcher.purge(Retention(deleted_s=0))
    clock.advance(61)
    assert dispatcher.tick().receipts == 1
    with storage.read() as snapshot:
        assert snapshot.due(RecordType.RECEIPT, 2**62, 10) == []


def test_a_pass_purges_a_bounded_batch(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """And says if there is more."""
    settings = Settings(retain_cancelled_s=0.0, tick_rows_max=10)
    dispatcher = make_dispatcher(settings=settings)
    patient(dispatcher, clock)
    for job in dispatcher.submit_many([spec() for _ in range(25)]):
        dispatcher.cancel(job.id)
    clock.advance_us(BATCH_US)
    reports = [dispatcher.tick() for _ in range(4)]
    assert [(each.purged, each.more) for each in reports] == [(10, True), (10, True), (5, False), (0, False)]


def test_with_a_receipt_key_all_that_may_go_goes(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """The key is the request's, not each job's: the first job does not use it up, and a repeat does no harm."""
    for job in dispatcher.submit_many([spec() for _ in range(3)]):
        dispatcher.cancel(job.id)
    clock.advance_us(BATCH_US)
    keyed = dispatcher.acting(Context(receipt_key="once"))
    assert [keyed.purge(Retention.older_than(0)).total for _ in range(2)] == [3, 0]


@pytest.mark.parametrize("happened", ["start", "jump"])
def test_a_clock_that_may_be_wrong_purges_nothing(
    make_dispatcher: MakeDispatcher, clock: ManualClock, happened: str
) -> None:
    """For an hour after a start, and after a jump: what goes by a wrong date does not come back."""
    dispatcher = make_dispatcher(settings=Settings(retain_cancelled_s=DAY_S))
    if happened == "jump":
        patient(dispatcher, clock)
    dispatcher.cancel(dispatcher.submit(spec()).id)
    clock.jump(366 * DAY_S)
    assert dispatcher.tick().purged == 0
    clock.advance(HOUR_S - 1)
    assert dispatcher.tick().purged == 0
    clock.jump(-366 * DAY_S)
    assert [dispatcher.tick().purged for _ in range(3)] == [0, 0, 0]


def test_a_dry_run_counts_and_changes_nothing(
    dispatcher: Dispatcher, storage: Storage, clock: ManualClock
) -> None:
    """By ending; the soft-deleted apart."""
    ended(dispatcher)
    clock.advance_us(BATCH_US)
    before = stored(storage)
    report = dispatcher.purge(Retention.older_than(0), dry_run=True)
    assert report.counts == {"completed": 1, "failed_permanently": 1, "cancelled": 1, "deleted": 1}
    assert (report.dry_run, report.total, report.more) == (True, 4, False)
    assert stored(storage) == before
    assert dispatcher.purge(dry_run=True).total == 0
    chosen = Retention.older_than(0, ["cancelled"])
    assert dispatcher.purge(chosen, dry_run=True).counts == {"cancelled": 1}


def test_an_ending_there_is_not_is_refused(dispatcher: Dispatcher) -> None:
    """And so is a span below zero."""
    with pytest.raises(InvalidCommandError, match="pending"):
        Retention.older_than(0, ["pending"])
    with pytest.raises(InvalidCommandError, match="completed_s"):
        dispatcher.purge(Retention(completed_s=-1))


def test_a_job_touched_since_the_look_stays(dispatcher: Dispatcher, storage: Storage) -> None:
    """Somebody restored it between the look and the purge, even in the same microsecond."""
    door = FaultyStorage(storage)
    other = Dispatcher(door)
    job = dispatcher.submit(spec())
    dispatcher.delete(job.id)
    if not storage.traits.shared:
        return

    def meanwhile() -> None:
        dispatcher.restore(job.id)

    door.meanwhile = meanwhile
    assert other.purge(Retention(deleted_s=0)).total == 0
    other.close()
    assert dispatcher.job(job.id).deleted_us is None


def test_a_store_that_lost_a_job_does_not_pass(dispatcher: Dispatcher, storage: Storage) -> None:
    """The accounting knows a purged job from one that is simply gone."""
    job = dispatcher.submit(spec())
    with storage.begin() as transaction:
        transaction.save(ChangeSet(changes=[Change((RecordType.JOB, job.id), job, None)]))
    with pytest.raises(Exception, match="counters say"):
        check_store(storage)
    with storage.begin() as transaction:
        transaction.save(ChangeSet(changes=[Change((RecordType.JOB, job.id), None, job)]))
