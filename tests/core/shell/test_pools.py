"""Storage pools: what jobs name, who reaches them, and that no more is promised than there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dispatch_core import (
    Context,
    Dispatcher,
    Edit,
    InvalidCommandError,
    Job,
    JobSize,
    JobVerdict,
    ManualClock,
    PoolSpec,
    SeededIds,
    Storage,
    UnknownPoolError,
    VersionMismatchError,
    WrongStateError,
)
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.checkers import check_store
from dispatch_core.vocabulary.commands import Claim, Submit
from dispatch_core.vocabulary.pools import CreatePool
from tests.core.house import FACTS, claim, claimed, names, spec, start

REACHING = {**FACTS, "pool": ("nas",)}


def pooled(dispatcher: Dispatcher, size_bytes: int | None = 60, **fields: Any) -> Job:
    """A job that writes to the pool."""
    return dispatcher.submit(spec(pool="nas", size=JobSize(size_bytes=size_bytes), **fields))


@pytest.fixture
def nas(dispatcher: Dispatcher) -> Dispatcher:
    """A dispatcher with a pool of a hundred bytes and an engine that reaches it."""
    dispatcher.pools.create("nas", PoolSpec(capacity_bytes=100))
    start(dispatcher, facts=REACHING)
    return dispatcher


@pytest.mark.checklist(29)
def test_a_pool_is_made_edited_reported_and_forgotten(dispatcher: Dispatcher, storage: Storage) -> None:
    """Each a version and a fact of history; a repeat that changes nothing is neither."""
    pools = dispatcher.pools
    made = pools.create("nas", PoolSpec(url="nfs://nas/media", capacity_bytes=100, reserve_bytes=10))
    assert (made.version, pools.get("nas").free_bytes) == (1, 90)
    with pytest.raises(WrongStateError):
        pools.create("nas", PoolSpec(capacity_bytes=1))
    edited = pools.edit("nas", {"reserve_bytes": None, "note": "new disks"}, if_version=1)
    assert (edited.spec.reserve_bytes, edited.spec.url, edited.version) == (0, "nfs://nas/media", 2)
    assert pools.edit("nas", {"note": "new disks"}) == edited
    with pytest.raises(VersionMismatchError):
        pools.edit("nas", {"note": ""}, if_version=1)
    assert pools.report("nas", used_bytes=30).spec.capacity_bytes == 100
    assert pools.report("nas", used_bytes=30).version == 3
    pools.report("nas", used_bytes=120, capacity_bytes=110)
    assert [room.free_bytes for room in pools.list()] == [-10], "fuller than it should be is said as it is"
    pools.delete("nas")
    for gone in (pools.get, pools.delete):
        with pytest.raises(UnknownPoolError):
            gone("nas")
    rows = [row.event for row in dispatcher.events()]
    assert rows == ["pool-created", "pool-edited", "pool-reported", "pool-reported", "pool-deleted"]


@pytest.mark.parametrize(
    ("merge", "pointer"),
    [
        ({"capacity_bytes": -1}, "/capacity_bytes"),
        ({"capacity_bytes": None}, "/capacity_bytes"),
        ({"used_bytes": True}, "/used_bytes"),
        ({"url": "\x00"}, "/url"),
        ({"colour": 1}, "/colour"),
    ],
)
def test_a_bad_edit_is_pointed_at(nas: Dispatcher, merge: dict[str, object], pointer: str) -> None:
    """By the field, whatever is wrong with it; nothing changes."""
    with pytest.raises(InvalidCommandError) as refusal:
        nas.pools.edit("nas", merge)
    assert pointer in [problem.path.removeprefix("/merge") or pointer for problem in refusal.value.problems]
    assert nas.pools.get("nas").pool.version == 1


def test_pools_are_a_tenants_own(nas: Dispatcher) -> None:
    """Another tenant has its own of the same name, and knows nothing of this one."""
    other = nas.acting(Context(tenant="other"))
    assert other.pools.list() == []
    with pytest.raises(UnknownPoolError):
        other.pools.edit("nas", {"note": "mine"})
    other.pools.create("nas", PoolSpec(capacity_bytes=7))
    assert [room.pool.spec.capacity_bytes for room in nas.pools.list()] == [100]


def test_a_job_names_a_pool_that_exists(nas: Dispatcher) -> None:
    """At submit and when it is edited; the pool is part of the class."""
    acts: list[Callable[[], Job]] = [
        lambda: nas.submit(spec(pool="tape")),
        lambda: nas.update(pooled(nas).id, Edit(pool="tape")),
    ]
    for act in acts:
        with pytest.raises(InvalidCommandError) as refusal:
            act()
        assert [problem.path for problem in refusal.value.problems] == ["/pool"]
    job = pooled(nas)
    free = nas.update(job.id, Edit(pool=None))
    assert free.spec.pool is None
    assert job.ready is not None
    assert free.ready is not None
    assert free.ready.class_id != job.ready.class_id


@pytest.mark.checklist(29)
def test_only_engines_that_reach_the_pool_are_given_its_jobs(nas: Dispatcher) -> None:
    """By their fact ``pool``; whoever asks hears why."""
    start(nas, "far")
    job = pooled(nas)
    assert claimed(nas, "far") == []
    (answer,) = nas.explain(job.id, "far").engines
    assert [reason.code for reason in answer.reasons] == ["pool-unreachable"]
    assert answer.reasons[0].mend == "an engine with pool has nas"
    assert claimed(nas) == [job.id]


@pytest.mark.checklist(83)
def test_running_jobs_reserve_their_bytes(nas: Dispatcher, clock: ManualClock) -> None:
    """What runs counts until it ends, however it ends; what does not fit waits and says what is missing."""
    first = pooled(nas)
    clock.advance(1)
    second = pooled(nas)
    clock.advance(1)
    small = pooled(nas, 40, priority=-4)
    lease = claim(nas)
    assert lease.job.id == first.id
    assert nas.pools.get("nas").reserved_bytes == 60
    explained = nas.explain(second.id)
    assert (explained.verdict, explained.unblock) == (JobVerdict.LIMITED, "20 more free bytes in pool nas")
    assert claimed(nas, limit=3) == [small.id], "a smaller one behind it is not kept waiting"
    assert nas.pools.get("nas").free_bytes == 0
    nas.give_back(lease)
    assert claimed(nas, limit=3) == [first.id]


@pytest.mark.checklist(83)
def test_reports_and_reserve_count_too(nas: Dispatcher) -> None:
    """Free is capacity less what is used, kept free and reserved; a job of unknown size needs some room."""
    job, unknown = pooled(nas, 50), pooled(nas, None)
    nas.pools.edit("nas", {"reserve_bytes": 20})
    nas.pools.report("nas", used_bytes=80)
    assert claimed(nas, limit=2) == []
    assert nas.preview("e1").refused == {"pool-full": 2}
    nas.pools.report("nas", used_bytes=79)
    assert claimed(nas, limit=2) == [unknown.id]
    nas.pools.report("nas", used_bytes=30)
    assert claimed(nas) == [job.id]


@pytest.mark.checklist(83)
@pytest.mark.parametrize("limits", [(1, 1, 1, 1), (4,), (2, 2)])
def test_claims_of_one_batch_count_each_other(nas: Dispatcher, limits: tuple[int, ...]) -> None:
    """However many ask at once, one by one or for several: three times thirty bytes fit, a fourth does not."""
    for _ in range(4):
        pooled(nas, 30)
    entries = [Entry(Claim(engine_id="e1", session="s1", limit=limit), Context()) for limit in limits]
    commit(nas._house, entries)
    assert sum(len(entry.answer()) for entry in entries) == 3
    assert nas.pools.get("nas").reserved_bytes == 90


@pytest.mark.checklist(83)
def test_two_servers_of_one_store_promise_no_byte_twice(clock: ManualClock) -> None:
    """Both look at the same free bytes; who commits second decides again and finds them taken."""
    storage = MemoryStorage(clock)
    one, two = (Dispatcher(storage, ids=SeededIds(number)) for number in (1, 2))
    one.pools.create("nas", PoolSpec(capacity_bytes=100))
    for name in ("e1", "e2"):
        start(one, name, facts=REACHING)
    pooled(one), pooled(one)
    inner = storage._tables.commit
    granted: list[str] = []

    def overtaken(*arguments: Any) -> None:
        if not granted:
            granted.append("")
            granted.extend(claimed(two, "e2"))
        inner(*arguments)

    storage._tables.commit = overtaken  # type: ignore[assignment, method-assign]  # the other server comes in between
    mine = claimed(one, "e1")
    assert len(granted) == 2
    assert mine == []
    assert one.pools.get("nas").reserved_bytes == 60
    check_store(storage)


def test_a_job_whose_pool_is_gone_waits_and_says_so(nas: Dispatcher) -> None:
    """What runs goes on; what waits names the mend, and an edit is one."""
    running = pooled(nas, 10)
    lease = claim(nas)
    waiting = pooled(nas, 10)
    nas.pools.delete("nas")
    assert claimed(nas) == []
    explained = nas.explain(waiting.id)
    assert (explained.verdict, "edit the job's pool" in explained.unblock) == (JobVerdict.LIMITED, True)
    nas.complete(lease)
    assert nas.job(running.id).state == "completed"
    nas.update(waiting.id, Edit(pool=None))
    assert claimed(nas) == [waiting.id]
    assert "job-edited" in names(nas.history(waiting.id))


def test_a_pool_is_made_and_used_in_one_batch(dispatcher: Dispatcher) -> None:
    """What the batch has decided counts before it is stored."""
    start(dispatcher, facts=REACHING)
    job = spec(pool="nas", size=JobSize(size_bytes=60))
    entries = [
        Entry(Claim(engine_id="e1", session="s1", limit=3), Context()),
        Entry(Submit(specs=(job, job)), Context()),
        Entry(CreatePool(pool_id="nas", spec=PoolSpec(capacity_bytes=100)), Context()),
    ]
    commit(dispatcher._house, entries)
    assert len(entries[0].answer()) == 1
