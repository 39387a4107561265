"""Idempotency: the same key and command get the same answer, whatever happened since."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dispatch_core import (
    Context,
    Dispatcher,
    Edit,
    InvalidCommandError,
    JobError,
    JobState,
    KeyReusedError,
    LeaseLostError,
    ManualClock,
    Profile,
    Progress,
    Settings,
    Storage,
    UnknownJobError,
    WrongStateError,
)
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.vocabulary.commands import Claim, Submit
from dispatch_core.vocabulary.records import RecordType, receipt_id
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, claimed, spec, start, stored

KEY = Context(actor="a", receipt_key="k-1")


def keyed(dispatcher: Dispatcher, key: str = "k-1", tenant: str = "default") -> Dispatcher:
    return dispatcher.acting(Context(receipt_key=key, tenant=tenant))


def test_a_submit_is_accepted_once(dispatcher: Dispatcher, storage: Storage) -> None:
    """A repeat gets the first answer, though the job has moved on since."""
    first = keyed(dispatcher).submit_many([spec(), spec(priority=3)])
    start(dispatcher)
    claim(dispatcher)
    assert keyed(dispatcher).submit_many([spec(), spec(priority=3)]) == first
    assert len(stored(storage)) == 2


def test_a_claim_is_granted_once(dispatcher: Dispatcher) -> None:
    """An engine whose answer was lost gets the same leases; how long it would wait is not part of the question."""
    start(dispatcher)
    dispatcher.submit_many([spec(), spec()])
    first = keyed(dispatcher).claim("e1", session="s1")
    assert keyed(dispatcher).claim("e1", session="s1", wait_s=5) == first
    assert len(dispatcher.engine("e1").attempts) == 1


def test_a_claim_that_found_nothing_is_not_remembered(dispatcher: Dispatcher) -> None:
    """The same key may ask again, and then gets work."""
    start(dispatcher)
    assert keyed(dispatcher).claim("e1", session="s1") == []
    job = dispatcher.submit(spec())
    assert [lease.job.id for lease in keyed(dispatcher).claim("e1", session="s1")] == [job.id]


REPORTS: list[Callable[[Dispatcher, object], object]] = [
    lambda d, lease: d.complete(lease, {"ok": 1}, usage={"cpu_s": 3}),  # type: ignore[arg-type]  # a lease
    lambda d, lease: d.fail(lease, JobError(failure_class="engine", message="lone \ud800 and \x00")),  # type: ignore[arg-type]  # a lease
    lambda d, lease: d.give_back(lease, reason="rain"),  # type: ignore[arg-type]  # a lease
    lambda d, lease: d.progress(lease, Progress(fraction=0.5, speed=2)),  # type: ignore[arg-type]  # a lease
    lambda d, lease: d.renew(lease),  # type: ignore[arg-type]  # a lease
    lambda d, lease: d.heartbeat("e1", session="s1", disk_free_bytes=5),
    lambda d, lease: d.cordon("e1", reason="r"),
    lambda d, lease: d.cancel(lease.job.id),  # type: ignore[attr-defined]  # a lease
]


@pytest.mark.parametrize("verb", range(len(REPORTS)))
def test_every_verb_is_answered_the_same(dispatcher: Dispatcher, clock: ManualClock, verb: int) -> None:
    """Reports, signs of life and wishes: the first answer, word for word, an hour later."""
    start(dispatcher)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    first = REPORTS[verb](keyed(dispatcher), lease)
    rows = len(dispatcher.events())
    clock.advance(3_600)
    assert REPORTS[verb](keyed(dispatcher), lease) == first
    assert len(dispatcher.events()) == rows


def test_another_body_under_the_same_key_is_refused(dispatcher: Dispatcher) -> None:
    """Another spec, another verb: the key belongs to the first command, and nothing happens."""
    job = keyed(dispatcher).submit(spec())
    for act in (
        lambda: keyed(dispatcher).submit(spec(priority=1)),
        lambda: keyed(dispatcher).submit_many([spec(), spec()]),
        lambda: keyed(dispatcher).cancel(job.id),
    ):
        with pytest.raises(KeyReusedError, match="k-1"):
            act()
    assert dispatcher.job(job.id).version == 1
    assert dispatcher.stats().accepted == 1


def test_a_key_is_its_tenants_own(dispatcher: Dispatcher) -> None:
    """The same key of another tenant is another key, however the two are spelled."""
    mine = keyed(dispatcher, "b:c", "a").submit(spec())
    theirs = keyed(dispatcher, "c", "a:b").submit(spec())
    assert mine.id != theirs.id
    assert (mine.tenant, theirs.tenant) == ("a", "a:b")


def test_a_refusal_is_not_remembered(dispatcher: Dispatcher) -> None:
    """The same key may try again when the state allows it."""
    start(dispatcher)
    job = dispatcher.submit(spec())
    lease = claim(dispatcher)
    with pytest.raises(WrongStateError):
        keyed(dispatcher).delete(job.id)
    dispatcher.complete(lease)
    assert keyed(dispatcher).delete(job.id).deleted_us is not None
    with pytest.raises(LeaseLostError):
        keyed(dispatcher, "k-2").give_back(lease)
    with pytest.raises(UnknownJobError):
        keyed(dispatcher, "k-3").cancel("job-none")
    assert keyed(dispatcher, "k-3").submit(spec()).version == 1


def test_two_commands_of_one_key_in_one_batch_are_one(dispatcher: Dispatcher, storage: Storage) -> None:
    """A client that repeated too early gets its answer twice and one effect; another body is refused beside it."""
    entries = [
        Entry(Submit(specs=(spec(),)), KEY),
        Entry(Submit(specs=(spec(),)), KEY),
        Entry(Submit(specs=(spec(note="x"),)), KEY),
    ]
    commit(dispatcher._house, entries)
    assert entries[0].answer() == entries[1].answer()
    with pytest.raises(KeyReusedError):
        entries[2].answer()
    assert len(stored(storage)) == 1
    start(dispatcher)
    dispatcher.submit(spec())
    key = Context(receipt_key="k-2")
    claims = [Entry(Claim(engine_id="e1", session="s1"), key) for _ in range(2)]
    commit(dispatcher._house, claims)
    assert claims[0].answer() == claims[1].answer()
    assert len(dispatcher.engine("e1").attempts) == 1


def test_a_receipt_lives_as_long_as_its_job(make_dispatcher: MakeDispatcher, clock: ManualClock) -> None:
    """Past its own time it stays while the job's record is there, so that no repeat makes a second job."""
    dispatcher = make_dispatcher(settings=Settings(receipt_ttl_s=60))
    job = keyed(dispatcher).submit(spec())
    keyed(dispatcher, "k-2").register("e1", Profile(), session="s1")
    for _ in range(3):
        clock.advance(61)
        dispatcher.tick()
        assert keyed(dispatcher).submit(spec()).id == job.id
    with dispatcher.storage.read() as snapshot:
        refs = [(RecordType.RECEIPT, receipt_id("default", key)) for key in ("k-1", "k-2")]
        assert list(snapshot.load(refs)) == refs[:1], "that of an engine's command is gone after its time"


def test_a_receipt_is_pruned_at_its_time_and_not_before(
    make_dispatcher: MakeDispatcher, clock: ManualClock
) -> None:
    """Sixty seconds to the microsecond."""
    dispatcher = make_dispatcher(settings=Settings(receipt_ttl_s=60))
    start(dispatcher)
    keyed(dispatcher).cordon("e1")
    clock.advance_us(59_999_999)
    assert dispatcher.tick().receipts == 0
    clock.advance_us(1)
    assert dispatcher.tick().receipts == 1
    with pytest.raises(InvalidCommandError):
        keyed(dispatcher).update("", Edit())
    assert keyed(dispatcher).resume("e1").wanted.state == "active"


def test_a_restarted_server_remembers(make_dispatcher: MakeDispatcher) -> None:
    """Receipts are the store's, not the process's."""
    first = keyed(make_dispatcher()).submit(spec())
    assert keyed(make_dispatcher()).submit(spec()) == first
    assert first.state is JobState.PENDING
    start(make_dispatcher())
    assert claimed(make_dispatcher()) == [first.id]
