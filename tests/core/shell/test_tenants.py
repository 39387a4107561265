"""Tenants: what is another's is not there, in every verb, list, count and event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from dispatch_core import (
    Context,
    Dispatcher,
    Edit,
    HeldLease,
    InvalidCommandError,
    JobError,
    Lease,
    Profile,
    Progress,
    Query,
    UnknownEngineError,
    UnknownJobError,
)
from tests.core.house import FACTS, claim, claimed, spec, start

VERBS: dict[str, Callable[[Dispatcher, Lease], Any]] = {
    "job": lambda d, lease: d.job(lease.job.id),
    "update": lambda d, lease: d.update(lease.job.id, Edit(priority=1)),
    "cancel": lambda d, lease: d.cancel(lease.job.id),
    "hold": lambda d, lease: d.hold(lease.job.id),
    "release": lambda d, lease: d.release(lease.job.id),
    "requeue": lambda d, lease: d.requeue(lease.job.id),
    "assign": lambda d, lease: d.assign(lease.job.id, "e1"),
    "delete": lambda d, lease: d.delete(lease.job.id),
    "restore": lambda d, lease: d.restore(lease.job.id),
    "renew": lambda d, lease: d.renew(lease),
    "progress": lambda d, lease: d.progress(lease, Progress(fraction=0.5)),
    "complete": lambda d, lease: d.complete(lease),
    "fail": lambda d, lease: d.fail(lease, JobError(failure_class="engine", message="x")),
    "give-back": lambda d, lease: d.give_back(lease),
    "attempts": lambda d, lease: d.attempts(lease.job.id),
    "history": lambda d, lease: d.history(lease.job.id),
    "explain": lambda d, lease: d.explain(lease.job.id),
}
ENGINE_VERBS: dict[str, Callable[[Dispatcher], Any]] = {
    "engine": lambda d: d.engine("e1"),
    "heartbeat": lambda d: d.heartbeat("e1", session="s1"),
    "claim": lambda d: d.claim("e1", session="s1"),
    "cordon": lambda d: d.cordon("e1"),
    "deregister": lambda d: d.deregister("e1"),
    "preview": lambda d: d.preview("e1"),
}


@pytest.fixture
def other(dispatcher: Dispatcher) -> Dispatcher:
    """The same dispatcher in another tenant's name."""
    return dispatcher.acting(Context(tenant="other", actor="mallory"))


@pytest.mark.parametrize("verb", VERBS)
def test_a_foreign_job_is_an_unknown_job(dispatcher: Dispatcher, other: Dispatcher, verb: str) -> None:
    """The refusal is word for word that of an id that does not exist, and nothing changes."""
    start(dispatcher)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    rows = len(dispatcher.events())
    with pytest.raises(UnknownJobError) as foreign:
        VERBS[verb](other, lease)
    missing = evolve(lease, job=evolve(lease.job, id="job-missing"))
    with pytest.raises(UnknownJobError) as unknown:
        VERBS[verb](other, missing)
    assert str(foreign.value).replace(lease.job.id, "job-missing") == str(unknown.value)
    assert len(dispatcher.events()) == rows


@pytest.mark.parametrize("verb", ENGINE_VERBS)
def test_a_foreign_engine_is_an_unknown_engine(dispatcher: Dispatcher, other: Dispatcher, verb: str) -> None:
    """Nobody learns of another's engines, nor may take one's name."""
    start(dispatcher)
    with pytest.raises(UnknownEngineError):
        ENGINE_VERBS[verb](other)
    with pytest.raises(InvalidCommandError, match="is not available"):
        other.register("e1", Profile(), session="s1")
    assert dispatcher.engine("e1").engine.version == 1


def test_engines_serve_their_own_tenant(dispatcher: Dispatcher, other: Dispatcher) -> None:
    """A claim gets the tenant's jobs; another's are never offered, nor named as what comes first."""
    start(dispatcher)
    other.register("e2", Profile(facts=FACTS, slots=4), session="s2")
    theirs = other.submit(spec(priority=100))
    mine = dispatcher.submit(spec())
    assert dispatcher.explain(mine.id).verdict == "next"
    assert [answer.engine_id for answer in dispatcher.explain(mine.id).engines] == ["e1"]
    assert claimed(dispatcher, limit=4) == [mine.id]
    assert claimed(other, "e2", session="s2", limit=4) == [theirs.id]


def test_a_foreign_lease_in_a_heartbeat_is_lost(dispatcher: Dispatcher, other: Dispatcher) -> None:
    """As any token that is not one's own."""
    start(dispatcher)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    other.register("e2", Profile(), session="s2")
    answer = other.heartbeat("e2", session="s2", leases=[HeldLease(lease.job.id, lease.token)])
    assert answer.leases[0].lost


def test_lists_and_counts_are_the_tenants_own(dispatcher: Dispatcher, other: Dispatcher) -> None:
    """Jobs, engines, statistics; a query for another tenant's finds nothing."""
    start(dispatcher)
    mine = dispatcher.submit_many([spec(), spec()])
    theirs = other.submit(spec())
    assert {job.key for job in dispatcher.jobs(Query(sort="created_us")).records} == {job.id for job in mine}
    assert other.jobs(Query(sort="created_us", where={"tenant": ("default",)})).records == []
    both = other.jobs(Query(sort="created_us", where={"tenant": ("default", "other")}))
    assert [job.key for job in both.records] == [theirs.id]
    assert other.engines() == []
    assert (other.stats().accepted, dispatcher.stats().accepted) == (1, 2)
    assert other.stats().engines["live"] == 0
    assert other.stats().identity_holds


def test_events_behind_a_crowd_of_others_are_found(dispatcher: Dispatcher, other: Dispatcher) -> None:
    """A reader is not stopped by however many events of other tenants stand before its own."""
    dispatcher.submit_many([spec() for _ in range(30)])
    theirs = other.submit(spec())
    dispatcher.submit_many([spec() for _ in range(30)])
    (row,) = other.events(limit=5)
    assert row.ref[1] == theirs.id
    assert other.events((row.tx, row.n), limit=5) == []
    assert len(dispatcher.events(limit=7)) == 7
    everything = dispatcher.events(limit=1_000)
    assert len(everything) == 60
    assert dispatcher.events((everything[29].tx, everything[29].n), limit=5) == everything[30:35]
