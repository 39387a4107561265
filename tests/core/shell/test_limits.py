"""Limits by key: never more at a time than there are, never more starts than tokens, and why a job waits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core import (
    Context,
    Dispatcher,
    Edit,
    InvalidCommandError,
    Job,
    JobError,
    JobSize,
    JobSpec,
    JobVerdict,
    LimitExceededError,
    LimitScope,
    LimitSpec,
    LimitUse,
    ManualClock,
    SeededIds,
    Storage,
    UnknownLimitError,
)
from dispatch_core.kernel.limits import spent, tokens_at
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.checkers import check_store
from dispatch_core.testing.samples import a_ledger, a_limit
from dispatch_core.vocabulary.commands import Claim
from dispatch_core.vocabulary.limits import LIMITS_MAX, TOKEN, SetLimit
from dispatch_core.vocabulary.records import RecordType, Ref
from tests.core.house import claim, claimed, names, spec, start


def wants(key: str = "licence", units: int = 1, **fields: Any) -> JobSpec:
    """A job that takes some of a limit."""
    return spec(limits=(LimitUse(key=key, units=units),), **fields)


def using(dispatcher: Dispatcher, key: str = "licence", units: int = 1, **fields: Any) -> Job:
    """It is submitted."""
    return dispatcher.submit(wants(key, units, **fields))


@pytest.fixture
def licensed(dispatcher: Dispatcher) -> Dispatcher:
    """A dispatcher with two licences and an engine of four slots."""
    dispatcher.limits.set("licence", LimitSpec(capacity=2))
    start(dispatcher)
    return dispatcher


def test_a_limit_is_set_seen_and_removed(dispatcher: Dispatcher) -> None:
    """Each a version and a fact of history; a repeat that changes nothing is neither; tenants have their own."""
    limits = dispatcher.limits
    made = limits.set("licence", LimitSpec(capacity=2))
    assert limits.set("licence", LimitSpec(capacity=2)) == made
    limits.set("licence", LimitSpec(capacity=3, note="one more"))
    limits.set("a:b@c", LimitSpec(rate_per_s=0.5, burst=4))
    assert [(room.limit.name, room.limit.version) for room in limits.list()] == [("a:b@c", 1), ("licence", 2)]
    assert limits.get("a:b@c").tokens == 4 * TOKEN
    other = dispatcher.acting(Context(tenant="other"))
    assert other.limits.list() == []
    limits.remove("licence")
    for gone in (limits.get, limits.remove, other.limits.get):
        with pytest.raises(UnknownLimitError):
            gone("licence")
    assert names(dispatcher.events()) == ["limit-set", "limit-set", "limit-set", "limit-deleted"]


@pytest.mark.parametrize(
    ("key", "said", "pointer"),
    [
        ("x", LimitSpec(), "/capacity"),
        ("x", LimitSpec(queued_max=1), "/queued_max"),
        ("tenant", LimitSpec(capacity=1), "/capacity"),
        ("account:a", LimitSpec(queued_max=1, per=LimitScope.ENGINE), "/per"),
        ("x", LimitSpec(capacity=-1), "/spec/capacity"),
        ("x", LimitSpec(rate_per_s=0.0), "/spec/rate_per_s"),
        ("a/b", LimitSpec(capacity=1), "/key"),
        ("", LimitSpec(capacity=1), "/key"),
    ],
)
def test_a_limit_that_limits_nothing_is_refused(
    dispatcher: Dispatcher, key: str, said: LimitSpec, pointer: str
) -> None:
    """And so is one out of bounds; whatever is wrong is pointed at."""
    with pytest.raises(InvalidCommandError) as refusal:
        dispatcher.limits.set(key, said)
    assert pointer in [problem.path for problem in refusal.value.problems]
    assert dispatcher.limits.list() == []


def test_one_batch_makes_no_more_limits_than_a_tenant_may_have(dispatcher: Dispatcher) -> None:
    """Those made before in the same batch count, too: one beyond would neither be listed nor hold."""
    said = LimitSpec(capacity=1)
    commands = [SetLimit(key=f"k{n}", spec=said) for n in range(LIMITS_MAX + 2)]
    entries = [Entry(command, Context()) for command in commands]
    commit(dispatcher._house, entries)
    refused = [isinstance(each.error, LimitExceededError) for each in entries]
    assert refused == [False] * LIMITS_MAX + [True] * 2


def test_no_more_run_than_there_are(licensed: Dispatcher, clock: ManualClock) -> None:
    """What runs counts until it ends, however it ends; what waits names the limit, its use and the mend."""
    *jobs, free = licensed.submit_many([wants(), wants(), wants(), spec()])
    leases = licensed.claim("e1", session="s1", limit=4)
    assert sorted(lease.job.id for lease in leases) == sorted([jobs[0].id, jobs[1].id, free.id])
    assert licensed.limits.get("licence").in_use == 2
    explained = licensed.explain(jobs[2].id)
    assert explained.verdict is JobVerdict.LIMITED
    assert explained.summary == "it needs 1 of limit licence; 2 of 2 are in use"
    assert explained.unblock == "1 of limit licence set free, or its capacity raised to 3"
    assert [reason.code for reason in explained.engines[0].reasons] == ["limited"]
    licensed.give_back(next(lease for lease in leases if lease.job.id == jobs[1].id))
    assert claimed(licensed, limit=4) == [jobs[1].id]
    clock.advance(40)
    licensed.tick()
    assert licensed.limits.get("licence").in_use == 0, "leases that expired take nothing"


def test_the_mends_of_an_explanation_mend(licensed: Dispatcher) -> None:
    """With the capacity it names, the job starts; a job that takes more than there ever is hears only of that."""
    large = using(licensed, units=5)
    explained = licensed.explain(large.id)
    assert explained.unblock == "its capacity raised to 5"
    assert claimed(licensed) == []
    licensed.limits.set("licence", LimitSpec(capacity=5))
    assert claimed(licensed) == [large.id]


def test_a_key_nobody_limits_costs_nothing(licensed: Dispatcher) -> None:
    """Whatever a job names; and a limit that is removed limits no longer."""
    jobs = licensed.submit_many([wants("other", 1_000), wants(units=2), wants()])
    assert claimed(licensed, limit=4) == [jobs[0].id, jobs[1].id]
    licensed.limits.remove("licence")
    assert claimed(licensed) == [jobs[2].id]


def test_units_weigh(licensed: Dispatcher) -> None:
    """A job of one unit behind one of two that does not fit is not kept waiting."""
    licensed.limits.set("licence", LimitSpec(capacity=3))
    first, second, small = licensed.submit_many([wants(units=2), wants(units=2), wants(priority=-4)])
    assert claimed(licensed, limit=4) == [first.id, small.id]
    assert licensed.preview("e1").refused == {"limited": 1}
    licensed.limits.set("licence", LimitSpec(capacity=5))
    assert claimed(licensed) == [second.id]


def test_a_limit_per_engine_follows_from_the_match(licensed: Dispatcher) -> None:
    """Each engine has the whole of it: a third job waits for this engine, and another engine takes it."""
    licensed.limits.set("nvenc", LimitSpec(capacity=2, per=LimitScope.ENGINE))
    start(licensed, "e2")
    jobs = [using(licensed, "nvenc").id for _ in range(5)]
    granted = [*claimed(licensed, "e1", limit=4), *claimed(licensed, "e2", limit=4)]
    assert len(granted) == licensed.limits.get("nvenc").in_use == 4
    (left,) = set(jobs) - set(granted)
    explained = licensed.explain(left)
    assert explained.verdict is JobVerdict.LIMITED
    assert explained.summary == "it needs 1 of limit nvenc; 2 of 2 are in use on this engine"


def test_an_account_is_limited_by_its_own_key(licensed: Dispatcher) -> None:
    """Every job of an account uses ``account:NAME``, whether it names it or not; others do not wait for it."""
    licensed.limits.set("account:studio", LimitSpec(capacity=1))
    studio = spec(account="studio")
    specs = [studio, studio, wants("account:studio", account="studio"), spec(account="lab")]
    *mine, named, other = licensed.submit_many(specs)
    assert sorted(claimed(licensed, limit=4)) == sorted([mine[0].id, other.id])
    assert licensed.explain(mine[1].id).verdict is JobVerdict.LIMITED
    assert licensed.explain(named.id).verdict is JobVerdict.LIMITED


def test_a_job_names_a_key_once(dispatcher: Dispatcher) -> None:
    """Eight keys at most; their order does not matter; an edit states them anew."""
    uses = (LimitUse(key="b"), LimitUse(key="a", units=2))
    job = dispatcher.submit(spec(limits=uses))
    assert [use.key for use in job.spec.limits] == ["a", "b"]
    same = dispatcher.submit(spec(limits=uses[::-1]))
    assert job.ready is not None
    assert same.ready is not None
    assert job.ready.class_id == same.ready.class_id
    edited = dispatcher.update(job.id, Edit(limits=(LimitUse(key="a"),)))
    assert edited.ready is not None
    assert (edited.spec.limits, edited.ready.class_id == same.ready.class_id) == ((LimitUse(key="a"),), False)
    for bad in (
        (uses[0], uses[0]),
        tuple(LimitUse(key=f"k{n}") for n in range(9)),
        (LimitUse(key="a", units=0),),
    ):
        with pytest.raises(InvalidCommandError):
            dispatcher.submit(spec(limits=bad))
        with pytest.raises(InvalidCommandError):
            dispatcher.update(job.id, Edit(limits=bad))


@pytest.mark.parametrize("limits", [(1, 1, 1, 1), (4,), (2, 2)])
def test_claims_of_one_batch_count_each_other(licensed: Dispatcher, limits: tuple[int, ...]) -> None:
    """However many ask at once, one by one or for several."""
    for _ in range(4):
        using(licensed)
    entries = [Entry(Claim(engine_id="e1", session="s1", limit=limit), Context()) for limit in limits]
    commit(licensed._house, entries)
    assert sum(len(entry.answer()) for entry in entries) == 2


@pytest.mark.parametrize("said", [LimitSpec(capacity=1), LimitSpec(rate_per_s=0.001)])
def test_two_servers_of_one_store_overfill_no_limit(clock: ManualClock, said: LimitSpec) -> None:
    """Both look at the same room; who commits second decides again and finds it taken."""
    storage = MemoryStorage(clock)
    one, two = (Dispatcher(storage, ids=SeededIds(number)) for number in (1, 2))
    one.limits.set("licence", said)
    for name in ("e1", "e2"):
        start(one, name)
    using(one), using(one)
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
    assert one.limits.get("licence").in_use == 1
    check_store(storage)


def test_a_claim_locks_the_limits_that_are_used_alone(clock: ManualClock) -> None:
    """However many others the tenant has; one that only a job far behind uses, too."""
    storage = MemoryStorage(clock)
    dispatcher = Dispatcher(storage, ids=SeededIds())
    start(dispatcher)
    for number in range(20):
        dispatcher.limits.set(f"other-{number}", LimitSpec(capacity=1))
    dispatcher.limits.set("licence", LimitSpec(capacity=1))
    using(dispatcher)
    locked: list[Ref] = []
    inner = storage._tables.lock

    def told(refs: Collection[Ref]) -> Any:
        locked.extend(refs)
        return inner(refs)

    storage._tables.lock = told  # type: ignore[method-assign]  # what is locked
    assert len(claimed(dispatcher)) == 1
    assert [key for kind, key in locked if kind is RecordType.LIMIT] == ["default/licence"]


def test_limits_met_far_behind_are_overfilled_by_no_two_servers(clock: ManualClock) -> None:
    """A job behind those known uses another limit: what runs is counted again when that is locked."""
    storage = MemoryStorage(clock)
    one, two = (Dispatcher(storage, ids=SeededIds(number)) for number in (1, 2))
    for name in ("a", "b"):
        one.limits.set(f"account:{name}", LimitSpec(capacity=1))
    start(one, "e1", size_bytes_max=10), start(one, "e2")
    large, small = (
        spec(account="b", size=JobSize(size_bytes=size)) for size in (100, 1)
    )  # e1 takes the small one
    one.submit_many([spec(account="a")] * 40 + [large, small])
    assert len(claimed(one, "e1")) == 1
    inner = storage._tables.lock
    granted: list[str] = []

    def overtaken(refs: Collection[Ref]) -> Any:
        if not granted and (RecordType.LIMIT, "default/account:b") in refs:
            granted.append("")
            granted.extend(claimed(two, "e2"))
        return inner(refs)

    storage._tables.lock = overtaken  # type: ignore[method-assign]  # the other server comes in between
    mine = claimed(one, "e1")
    assert len(granted) == 2
    assert mine == []
    assert one.limits.get("account:b").in_use == 1
    check_store(storage)


def test_starts_per_second_are_limited(licensed: Dispatcher, clock: ManualClock, storage: Storage) -> None:
    """A burst at once, then one per token; what waits hears how long; giving back restores no token."""
    licensed.limits.set("api", LimitSpec(rate_per_s=0.5, burst=2))
    for _ in range(4):
        using(licensed, "api")
    leases = licensed.claim("e1", session="s1", limit=4)
    assert len(leases) == 2
    waiting = licensed.claim("e1", session="s1")
    assert waiting == []
    licensed.give_back(leases[0])
    assert claimed(licensed) == []
    clock.advance(1)
    explained = licensed.explain(leases[0].job.id)
    assert (explained.verdict, explained.unblock) == (JobVerdict.LIMITED, "wait 1 s")
    assert "0.5 of its 2 tokens are left" in explained.summary
    assert licensed.limits.get("api").tokens == TOKEN // 2
    clock.advance(1)
    assert len(claimed(licensed, limit=4)) == 1
    clock.advance(3_600)
    assert licensed.limits.get("api").tokens == 2 * TOKEN
    licensed.limits.remove("api")
    licensed.limits.set("api", LimitSpec(rate_per_s=0.5, burst=3))
    assert licensed.limits.get("api").tokens == 3 * TOKEN, "its bucket went with it"


def test_a_rate_per_engine_fills_a_bucket_each(licensed: Dispatcher) -> None:
    """What one engine starts takes nothing from another's."""
    licensed.limits.set("api", LimitSpec(rate_per_s=0.001, per=LimitScope.ENGINE))
    start(licensed, "e2")
    for _ in range(3):
        using(licensed, "api")
    assert [len(claimed(licensed, each, limit=4)) for each in ("e1", "e2", "e1")] == [1, 1, 0]


@given(
    rate=st.floats(1e-6, 1e6),
    burst=st.integers(1, 1_000),
    steps=st.lists(st.tuples(st.integers(-(10**9), 10**12), st.integers(1, 1_000)), max_size=30),
)
def test_a_bucket_is_never_below_nothing_nor_above_its_burst(
    rate: float, burst: int, steps: list[tuple[int, int]]
) -> None:
    """However the clock moves; and over the time that truly passed it gives no more than its rate and one burst."""
    limit = a_limit(spec=LimitSpec(rate_per_s=rate, burst=burst))
    now, forward, taken, ledger = 0, 0, 0, None
    for span, units in steps:
        now, forward = now + span, forward + max(span, 0)
        tokens = tokens_at(limit.spec, ledger, now)
        assert 0 <= tokens <= burst * TOKEN
        if tokens >= units * TOKEN:
            ledger, taken = spent(limit, ledger, "key", units, now), taken + units
    assert taken <= burst + rate * forward / 1e6 + 1e-6


def test_a_clock_set_back_is_not_waited_for() -> None:
    """The bucket gains nothing for the time that is to come again, and goes on from what it had."""
    said = LimitSpec(rate_per_s=1.0, burst=5)
    ledger = a_ledger(tokens=2 * TOKEN, refilled_us=10**12)
    assert tokens_at(said, ledger, 0) == 2 * TOKEN
    after = spent(a_limit(spec=said), ledger, "key", 1, 0)
    assert tokens_at(said, after, 1_000_000) == 2 * TOKEN


def test_so_many_of_a_tenant_may_wait(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Whatever they wait for; what runs or has ended does not count, and a batch is accepted whole or not at all."""
    dispatcher.limits.set("tenant", LimitSpec(queued_max=3))
    start(dispatcher)
    jobs = dispatcher.submit_many([spec(), spec(hold=True), spec(not_before_us=clock.now_us() + 10**9)])
    for specs in ([spec()], [spec(), spec()]):
        with pytest.raises(
            LimitExceededError, match="3 jobs wait already, and limit tenant lets 3 wait"
        ) as refusal:
            dispatcher.submit_many(specs)
        assert refusal.value.retry_after_s > 0
    assert dispatcher.acting(Context(tenant="other")).submit(spec()).id
    assert claimed(dispatcher) == [jobs[0].id]
    with pytest.raises(LimitExceededError):
        dispatcher.submit_many([spec(), spec()])
    dispatcher.submit(spec())
    dispatcher.cancel(jobs[1].id)
    dispatcher.submit(spec())
    dispatcher.limits.set("tenant", LimitSpec(queued_max=0))
    with pytest.raises(LimitExceededError):
        dispatcher.submit(spec())
    dispatcher.limits.remove("tenant")
    dispatcher.submit(spec())


def test_so_many_of_an_account_may_wait(dispatcher: Dispatcher) -> None:
    """Counted by account, also after an edit of it; others are not kept out."""
    dispatcher.limits.set("account:studio", LimitSpec(queued_max=2))
    studio = spec(account="studio")
    first, _ = dispatcher.submit_many([studio, studio])
    with pytest.raises(LimitExceededError, match="account:studio"):
        dispatcher.submit_many([spec(), studio])
    dispatcher.submit_many([spec(), spec(account="lab")])
    dispatcher.update(first.id, Edit(account="lab"))
    dispatcher.submit(studio)
    start(dispatcher)
    lease = claim(dispatcher, limit=4)
    dispatcher.fail(lease, JobError(failure_class="engine", message="no"))
    assert dispatcher.stats().identity_holds


def test_two_servers_accept_no_more_than_may_wait(clock: ManualClock) -> None:
    """Both count the same; who commits second counts again."""
    storage = MemoryStorage(clock)
    one, two = (Dispatcher(storage, ids=SeededIds(number)) for number in (1, 2))
    one.limits.set("tenant", LimitSpec(queued_max=1))
    inner = storage._tables.commit
    accepted: list[Job] = []

    def overtaken(*arguments: Any) -> None:
        if not accepted:
            storage._tables.commit = inner  # type: ignore[method-assign]  # once
            accepted.append(two.submit(spec()))
        inner(*arguments)

    storage._tables.commit = overtaken  # type: ignore[assignment, method-assign]  # the other server comes in between
    with pytest.raises(LimitExceededError):
        one.submit(spec())
    assert len(accepted) == 1
    check_store(storage)
