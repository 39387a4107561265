"""Denied attempts: written down by tick, few rows however many there are, for those who may read them only."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dispatch_core import (
    Context,
    Dispatcher,
    ForbiddenError,
    ManualClock,
    Recorded,
    Scope,
    StorageError,
    UnknownEngineError,
    UnknownJobError,
)
from dispatch_core.shell.denials import DENIED_MAX, WRITE_EVERY_S
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.faults import CommitFault, FaultyStorage
from dispatch_core.vocabulary.denials import DAY_US, DENIALS_KEPT_US, ROWS_A_DAY
from tests.core.conftest import MakeDispatcher
from tests.core.house import spec, start

OPERATOR = Context(actor="key:ops", scopes=(Scope.ADMIN, Scope.OPERATOR))
MALLORY = Context(tenant="other", actor="key:mallory", address="192.0.2.7", scopes=(Scope.SUBMITTER,))


def denials(dispatcher: Dispatcher, reader: Context = OPERATOR) -> Sequence[Recorded]:
    """What a reader may see of the denied attempts, after a tick."""
    dispatcher.tick()
    return [row for row in dispatcher.acting(reader).events(limit=1_000) if row.event == "access-denied"]


def test_a_missing_scope_is_written_down_once_for_many_attempts(
    dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """Who, what, why, from where and how often; the tenant's admin reads it, the operator does not."""
    mallory = dispatcher.acting(MALLORY)
    for _ in range(3):
        with pytest.raises(ForbiddenError):
            mallory.cordon("e1")
    admin = Context(tenant="other", scopes=(Scope.ADMIN,))
    (row,) = denials(dispatcher, admin)
    assert row.actor == "key:mallory"
    assert row.data == {
        "action": "SetWanted", "reason": "forbidden", "address": "192.0.2.7", "count": 3,
    }  # fmt: skip
    assert denials(dispatcher) == []
    with pytest.raises(ForbiddenError):
        denials(dispatcher, MALLORY)


def test_a_foreign_id_is_told_to_operators_only(dispatcher: Dispatcher) -> None:
    """The tenant that asked must not learn from its own trail that the id exists; a missing one leaves none."""
    job = dispatcher.submit(spec())
    start(dispatcher)
    mallory = dispatcher.acting(MALLORY)
    for verb in (mallory.job, mallory.cancel, mallory.attempts):
        for job_id in (job.id, "job-missing"):
            with pytest.raises(UnknownJobError):
                verb(job_id)
    admin = Context(tenant="other", actor="boss", scopes=(Scope.ADMIN,))
    with pytest.raises(UnknownEngineError):
        dispatcher.acting(admin).cordon("e1")
    assert denials(dispatcher, admin) == []
    assert denials(dispatcher, Context(scopes=(Scope.ADMIN,))) == []
    found = {(row.actor, row.data["action"], row.data["reason"]) for row in denials(dispatcher)}
    assert found == {
        ("key:mallory", "job", "foreign-id"), ("key:mallory", "Cancel", "foreign-id"),
        ("key:mallory", "attempts", "foreign-id"), ("boss", "SetWanted", "foreign-id"),
    }  # fmt: skip


def test_a_flood_writes_few_rows_and_loses_no_count(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """What does not fit is counted together; nothing is written more often than the period says."""
    for number in range(DENIED_MAX + 50):
        dispatcher.denials.note(Context(actor="-", address=f"host-{number}"), "GET /jobs", "unauthorized")
    rows = denials(dispatcher)
    assert len(rows) == DENIED_MAX + 1
    assert (rows[-1].data["reason"], rows[-1].data["count"]) == ("more", 50)
    dispatcher.denials.note(Context(actor="-"), "GET /jobs", "unauthorized")
    assert len(denials(dispatcher)) == len(rows)
    clock.advance(WRITE_EVERY_S)
    assert len(denials(dispatcher)) == len(rows) + 1


def test_a_day_has_a_bounded_number_of_rows(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Beyond it a day's attempts are still counted, one row a period."""
    periods = ROWS_A_DAY // DENIED_MAX + 2
    for period in range(periods):
        for number in range(DENIED_MAX):
            dispatcher.denials.note(Context(actor=f"{period}-{number}"), "GET /jobs", "unauthorized")
        dispatcher.tick()
        clock.advance(WRITE_EVERY_S)
    rows = list(dispatcher.acting(OPERATOR).export_events())
    assert ROWS_A_DAY <= len(rows) <= ROWS_A_DAY + 2
    assert sum(int(str(row.data["count"])) for row in rows) == periods * DENIED_MAX


def test_the_trail_of_a_day_goes_when_its_time_is_over(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Bounded in time, too; and not right after a start or a jump of the clock."""
    dispatcher.denials.note(Context(actor="-"), "GET /jobs", "unauthorized")
    assert len(denials(dispatcher)) == 1
    clock.jump((DENIALS_KEPT_US + 2 * DAY_US) / 1_000_000)
    assert len(denials(dispatcher)) == 1
    clock.advance(3_601)
    assert denials(dispatcher) == []


def test_what_a_failing_store_did_not_take_is_counted_at_the_next_tick(clock: ManualClock) -> None:
    """The count survives; what was told apart may not."""
    store = FaultyStorage(MemoryStorage(clock))
    with Dispatcher(store) as dispatcher:
        dispatcher.denials.note(Context(actor="-"), "GET /jobs", "unauthorized")
        store.fault = CommitFault.BEFORE
        with pytest.raises(StorageError):
            dispatcher.tick()
        clock.advance(WRITE_EVERY_S)
        (row,) = denials(dispatcher)
    assert (row.data["reason"], row.data["count"]) == ("more", 1)


def test_closing_writes_down_what_is_left(make_dispatcher: MakeDispatcher) -> None:
    """A stop within the period loses nothing; whoever opens the store next can read it."""
    dispatcher = make_dispatcher()
    for action in ("GET /jobs", "GET /keys"):
        dispatcher.denials.note(Context(actor="-"), action, "unauthorized")
        dispatcher.tick()
    dispatcher.close()
    dispatcher.close()
    found = [row.data["action"] for row in denials(make_dispatcher())]
    assert found == ["GET /jobs", "GET /keys"]
