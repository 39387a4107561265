"""Submitting and editing: all or nothing, in order, under any id."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch_core import (
    UNSET,
    Dispatcher,
    Edit,
    InvalidCommandError,
    JobSize,
    JobSpec,
    JobState,
    LadderStep,
    LimitExceededError,
    LimitUse,
    ManualClock,
    Query,
    Settings,
    Storage,
    Timeouts,
    VersionMismatchError,
    WrongStateError,
)
from dispatch_core.vocabulary.context import Context
from tests.core.conftest import MakeDispatcher
from tests.core.house import PARAMETERS, claim, claimed, names, spec, start, stored

S = JobState


def problems(refusal: pytest.ExceptionInfo[InvalidCommandError]) -> list[str]:
    return [problem.path for problem in refusal.value.problems]


def test_one_bad_spec_refuses_them_all(dispatcher: Dispatcher, storage: Storage) -> None:
    """Nothing is stored, and the bad ones are named by their index."""
    good = spec()
    with pytest.raises(InvalidCommandError) as refusal:
        dispatcher.submit_many([good, spec(priority=999), good, spec(note="x" * 1_001)])
    assert problems(refusal) == ["/specs/1/priority", "/specs/3/note"]
    with pytest.raises(InvalidCommandError) as refusal:
        dispatcher.submit_many([good, spec(requirements=("nonsense",))])
    assert problems(refusal) == ["/1/requirements/0"]
    assert stored(storage) == []
    assert dispatcher.stats().accepted == 0


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [
        ({"kind": "bake"}, "/kind"),
        ({"parameters": {}}, "/parameters/source"),
        ({"parameters": {**PARAMETERS, "crf": 99}}, "/parameters/crf"),
        ({"parameters": {**PARAMETERS, "sauce": 1}}, "/parameters/sauce"),
        ({"requirements": ("encoder >= 1",)}, "/requirements/0"),
        ({"parameters": {**PARAMETERS, "codec": "a b"}}, None),
    ],
)
def test_what_the_kind_does_not_know_is_refused(
    dispatcher: Dispatcher, bad: dict[str, Any], pointer: str | None
) -> None:
    """Kind, parameters and requirements are checked when the job comes in, not when an engine fails at it."""
    if pointer is None:
        dispatcher.submit(spec(**bad))
        return
    with pytest.raises(InvalidCommandError) as refusal:
        dispatcher.submit(spec(**bad))
    assert pointer in problems(refusal)


def test_a_thousand_jobs_and_not_one_more(dispatcher: Dispatcher) -> None:
    """The published size of a bulk submit."""
    assert len(dispatcher.submit_many([spec()] * 1_000)) == 1_000
    with pytest.raises(InvalidCommandError):
        dispatcher.submit_many([spec()] * 1_001)
    with pytest.raises(InvalidCommandError):
        dispatcher.submit_many([])


def test_the_order_of_a_batch_survives_random_ids(dispatcher: Dispatcher) -> None:
    """Jobs that came together are granted in the order they came in, microsecond by microsecond."""
    jobs = dispatcher.submit_many([spec() for _ in range(50)])
    assert [job.created_us - jobs[0].created_us for job in jobs] == list(range(50))
    assert [job.id for job in jobs] != sorted(job.id for job in jobs)
    start(dispatcher, slots=100)
    assert claimed(dispatcher, limit=100) == [job.id for job in jobs]


class RepeatingIds:
    """Every id twice."""

    def __init__(self) -> None:
        self.count = 0

    def new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}-{self.count // 2}"


@pytest.mark.checklist(14)
def test_an_id_that_is_taken_is_not_given_again(make_dispatcher: MakeDispatcher, storage: Storage) -> None:
    """Ids that collide, in one batch or with the store, are replaced; no job is lost and nobody sees it."""
    ids = {job.id for job in make_dispatcher(ids=RepeatingIds()).submit_many([spec() for _ in range(5)])}
    assert len(ids) == 5
    other = make_dispatcher(ids=RepeatingIds())
    for _ in range(2):
        ids |= {job.id for job in other.submit_many([spec() for _ in range(2)])}
    assert len(ids) == 9
    assert {job.id for job in stored(storage)} == ids
    assert other.stats().accepted == 9


@pytest.mark.checklist(25)
def test_an_edit_names_what_it_changes(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """UNSET stays, None clears, and an edit that changes nothing is no event."""
    later = clock.now_us() + 1_000_000
    job = dispatcher.submit(spec(not_before_us=later, note="mine", priority=3))
    assert job.state is S.DELAYED
    same = dispatcher.update(job.id, Edit(priority=3, note=UNSET))
    assert same == job
    edited = dispatcher.update(job.id, Edit(note="yours"))
    assert (edited.spec.not_before_us, edited.spec.priority, edited.spec.note) == (later, 3, "yours")
    cleared = dispatcher.update(job.id, Edit(not_before_us=None))
    assert (cleared.state, cleared.spec.not_before_us, cleared.spec.note) == (S.PENDING, None, "yours")
    assert cleared.version == 3
    assert names(dispatcher.history(job.id)) == ["job-submitted", "job-edited", "job-edited"]


@pytest.mark.checklist(25)
def test_an_edit_may_insist_on_a_version(dispatcher: Dispatcher) -> None:
    """If-Match: only the version the caller saw."""
    job = dispatcher.submit(spec())
    dispatcher.update(job.id, Edit(priority=1), if_version=1)
    with pytest.raises(VersionMismatchError):
        dispatcher.update(job.id, Edit(priority=2), if_version=1)
    assert dispatcher.job(job.id).spec.priority == 1


def test_an_edit_of_the_work_is_checked_like_a_submit(dispatcher: Dispatcher) -> None:
    """Parameters, requirements and size; requirements are kept in canonical form."""
    job = dispatcher.submit(spec())
    for edit in (Edit(parameters={"source": "x"}), Edit(requirements=("gpu == 1",))):
        with pytest.raises(InvalidCommandError):
            dispatcher.update(job.id, edit)
    edited = dispatcher.update(
        job.id, Edit(requirements=("ffmpeg>=6.10", "cpus >= 4.0"), size=JobSize(size_bytes=5))
    )
    assert edited.spec.requirements == ("cpus >= 4", "ffmpeg >= 6.10")
    assert edited.spec.parameters == PARAMETERS


@pytest.mark.checklist(17)
def test_a_change_of_priority_reorders(dispatcher: Dispatcher) -> None:
    """The edited job moves in the ready order at once, both ways."""
    jobs = [
        job.id
        for job in dispatcher.submit_many([spec(size=JobSize(duration_us=60_000_000)) for _ in range(40)])
    ]
    start(dispatcher, slots=50)
    assert claimed(dispatcher) == jobs[:1]
    dispatcher.update(jobs[30], Edit(priority=5))
    dispatcher.update(jobs[1], Edit(priority=-5))
    assert claimed(dispatcher, limit=2) == [jobs[30], jobs[2]]
    dispatcher.update(jobs[1], Edit(priority=6))
    assert claimed(dispatcher) == [jobs[1]]


def test_not_before_is_waited_for(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Delayed until the very microsecond, by tick; setting it ahead takes a pending job out of the queue."""
    start(dispatcher)
    at = clock.now_us() + 5_000_000
    early, late = dispatcher.submit_many([spec(), spec(not_before_us=at)])
    dispatcher.update(early.id, Edit(not_before_us=at + 1))
    assert claimed(dispatcher, limit=2) == []
    clock.advance_us(4_999_999)
    assert dispatcher.tick().timers == 0
    clock.advance_us(1)
    assert dispatcher.tick().timers == 1
    assert claimed(dispatcher, limit=2) == [late.id]
    clock.advance_us(1)
    dispatcher.tick()
    assert claimed(dispatcher, limit=2) == [early.id]


def test_the_queue_ttl_ends_a_job_that_nobody_takes(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Failed for good with its reason, hold or not; a grant in time ends the clock."""
    limits = Timeouts(queue_s=10)
    waits, held, taken = dispatcher.submit_many([spec(timeouts=limits, priority=-1), spec(timeouts=limits, hold=True),
                                                 spec(timeouts=limits, priority=9)])  # fmt: skip
    start(dispatcher)
    assert claimed(dispatcher) == [taken.id]
    clock.advance_us(9_999_999)
    assert dispatcher.tick().acted == 0
    clock.advance_us(3)
    assert dispatcher.tick().timers == 2
    assert [dispatcher.job(each.id).state for each in (waits, held, taken)] == [
        S.FAILED_PERMANENTLY, S.FAILED_PERMANENTLY, S.ASSIGNED,
    ]  # fmt: skip
    error = dispatcher.job(waits.id).error
    assert error is not None
    assert (error.failure_class, error.message) == ("policy", "not granted within 10 s")


@pytest.mark.checklist(82)
def test_hold_release_and_pin_move_between_lanes(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Held: no lane. Pinned: its engine's lane, until the pin ends. Else the open one."""
    start(dispatcher, "e1")
    start(dispatcher, "e2")
    job = dispatcher.submit(spec(hold=True))
    assert job.ready is None
    assert (job.held, claimed(dispatcher)) == ("submitted on hold", [])
    pinned = dispatcher.assign(job.id, "e2", until_us=clock.now_us() + 1_000_000)
    assert pinned.ready is None
    released = dispatcher.release(job.id)
    assert released.ready is not None
    assert (released.ready.lane, claimed(dispatcher, "e1")) == ("engine:e2", [])
    clock.advance(1)
    dispatcher.tick()
    assert claimed(dispatcher, "e1") == [job.id]
    assert names(dispatcher.history(job.id)) == [
        "job-submitted",
        "job-pinned",
        "hold-released",
        "pin-ended",
        "job-granted",
    ]
    dispatcher.hold(job.id, reason="after this run")
    assert dispatcher.job(job.id).state is S.ASSIGNED


def test_repeated_wishes_change_nothing(dispatcher: Dispatcher) -> None:
    """Holding what is held, releasing what is free, pinning where it is pinned, unpinning what is not."""
    job = dispatcher.submit(spec())
    dispatcher.hold(job.id, reason="r")
    assert dispatcher.hold(job.id, reason="r") == dispatcher.job(job.id)
    dispatcher.assign(job.id, "e1")
    assert dispatcher.assign(job.id, "e1").version == 3
    dispatcher.release(job.id)
    dispatcher.release(job.id)
    dispatcher.assign(job.id, None)
    assert dispatcher.assign(job.id, None).version == 5


@pytest.mark.checklist(80)
@pytest.mark.checklist(18)
def test_delete_restore_and_requeue(dispatcher: Dispatcher) -> None:
    """A waiting job is cancelled first; restore never queues; a new generation goes on counting attempts."""
    start(dispatcher)
    job = dispatcher.submit(spec())
    lease = claim(dispatcher)
    with pytest.raises(WrongStateError):
        dispatcher.delete(job.id)
    dispatcher.give_back(lease)
    assert dispatcher.delete(job.id).state is S.CANCELLED
    assert dispatcher.jobs(Query(sort="created_us")).records == []
    restored = dispatcher.restore(job.id)
    assert (restored.state, restored.deleted_us) == (S.CANCELLED, None)
    again = dispatcher.requeue(job.id)
    assert (again.state, again.generation, again.attempts_used) == (S.PENDING, 2, 0)
    assert claim(dispatcher).attempt == 2


def test_classes_are_limited(make_dispatcher: MakeDispatcher) -> None:
    """More different signatures than published are refused at submit; known ones are still welcome."""
    dispatcher = make_dispatcher(settings=Settings(classes_max=3))
    for number in range(3):
        dispatcher.submit(spec(requirements=(f"cpus >= {number}",)))
    with pytest.raises(LimitExceededError, match="3 different requirement signatures") as refusal:
        dispatcher.submit(spec(requirements=("cpus >= 7",)))
    assert refusal.value.retry_after_s > 0
    dispatcher.submit(spec(requirements=("cpus >= 1",)))
    start(dispatcher, facts={"codec": ("h264",), "cpus": 0})
    claim(dispatcher)
    dispatcher.submit(spec(requirements=("cpus >= 7",)))


def test_an_edit_is_no_way_around_the_limit_of_classes(make_dispatcher: MakeDispatcher) -> None:
    """A job may be edited into a class that waits, or within those it asked for; not into one too many."""
    dispatcher = make_dispatcher(settings=Settings(classes_max=3))
    jobs = [dispatcher.submit(spec(requirements=(f"cpus >= {number}",))).id for number in range(3)]
    ladder = (LadderStep(after_s=60, requirements=("cpus >= 8",)),)
    for edit in (
        Edit(requirements=("cpus >= 7",)),
        Edit(ladder=ladder),
        Edit(limits=(LimitUse(key="uplink"),)),
        Edit(merge={"parameters": {"height": 240}}),
    ):
        with pytest.raises(LimitExceededError, match="3 different requirement signatures"):
            dispatcher.update(jobs[0], edit)
    assert dispatcher.update(jobs[0], Edit(size=JobSize(frames=9))).version == 2
    assert dispatcher.update(jobs[0], Edit(requirements=("cpus >= 1",))).version == 3
    dispatcher.update(jobs[1], Edit(requirements=("cpus >= 7",)))
    dispatcher.cancel(jobs[2])
    with pytest.raises(WrongStateError):
        dispatcher.update(jobs[2], Edit(requirements=("cpus >= 8",)))


def test_one_tenants_classes_do_not_limit_another(make_dispatcher: MakeDispatcher) -> None:
    """The limit is per tenant, so nobody is refused for what somebody else submitted."""
    dispatcher = make_dispatcher(settings=Settings(classes_max=2))
    for number in range(2):
        dispatcher.submit(spec(requirements=(f"cpus >= {number}",)))
    dispatcher.acting(Context(tenant="other")).submit(spec())


def test_a_large_job_is_a_class_of_its_own(make_dispatcher: MakeDispatcher) -> None:
    """The size from which a job counts as large is a setting."""
    dispatcher = make_dispatcher(settings=Settings(large_job_bytes=100))
    start(dispatcher, facts={"codec": ("h264",)})
    small, large = dispatcher.submit_many(
        [spec(size=JobSize(size_bytes=99)), spec(size=JobSize(size_bytes=100))]
    )
    assert small.ready is not None
    assert large.ready is not None
    assert small.ready.class_id != large.ready.class_id
    assert claimed(dispatcher, limit=2) == [small.id]


def test_what_was_asked_is_what_is_kept(dispatcher: Dispatcher) -> None:
    """A spec with every field set comes back as it was sent."""
    full = JobSpec(
        parameters={**PARAMETERS, "codec": "av1", "crf": 30}, priority=-7, note="Zoë \u202e 🎞️", size=JobSize(frames=9),
        requirements=("prefer tag has fast",), timeouts=Timeouts(run_s=9), hold=True,
    )  # fmt: skip
    assert dispatcher.job(dispatcher.submit(full).id).spec == full
