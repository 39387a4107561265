"""What the library refuses, and how: one verdict on every store, all problems at once, never a traceback of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import evolve

from dispatch_core import (
    ClosedError,
    Context,
    Dispatcher,
    Edit,
    FieldProblem,
    HeldLease,
    InvalidCommandError,
    JobSize,
    Profile,
    Query,
    Settings,
    Storage,
    UnknownEngineError,
    UnknownJobError,
)
from dispatch_core.storage import create_storage
from tests.core.house import spec, start

BAD: Mapping[str, tuple[Callable[[Dispatcher], Any], list[str]]] = {
    "cancel": (lambda d: d.cancel("", reason="x" * 1_001), ["/job_id", "/reason"]),
    "update": (lambda d: d.update("j", Edit(priority=101, note="\x00"), if_version=0), ["/edit/priority", "/edit/note", "/if_version"]),
    "assign": (lambda d: d.assign("j", "", until_us=-1), ["/engine_id", "/until_us"]),
    "hold": (lambda d: d.hold("\ud800", reason="\ud800"), ["/job_id", "/reason"]),
    "register": (lambda d: d.register("", Profile(slots=0), session=""), ["/engine_id", "/session", "/profile/slots"]),
    "claim": (lambda d: d.claim("e", session="s", limit=101, wait_s=-1), ["/limit", "/wait_s"]),
    "heartbeat": (
        lambda d: d.heartbeat("e", session="s", leases=[HeldLease("", "t")], load=float("nan"), disk_free_bytes=-1),
        ["/leases/0/job_id", "/disk_free_bytes", "/load"],
    ),
    "benchmark": (lambda d: d.report_benchmark("e", []), ["/benchmarks"]),
    "submit": (lambda d: d.submit(spec(size=JobSize(size_bytes=-1, width=0))), ["/specs/0/size/size_bytes", "/specs/0/size/width"]),
    "type": (lambda d: d.cancel(5), ["/job_id"]),  # type: ignore[arg-type]  # the mistake
    "limit of jobs": (lambda d: d.jobs(Query(sort="created_us", limit=0)), ["/limit"]),
    "sort of jobs": (lambda d: d.jobs(Query(sort="colour")), ["/sort"]),
    "where of jobs": (lambda d: d.jobs(Query(sort="created_us", where={"colour": ("red",)})), ["/where/colour"]),
    "since of jobs": (lambda d: d.jobs(Query(sort="created_us", since={"colour": 1})), ["/since/colour"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_field_by_field(dispatcher: Dispatcher, storage: Storage, name: str) -> None:
    """Every wrong field by its pointer, before any transaction."""
    act, pointers = BAD[name]
    with pytest.raises(InvalidCommandError) as refusal:
        act(dispatcher)
    assert {problem.path for problem in refusal.value.problems} == set(pointers)
    with storage.read() as snapshot:
        assert list(snapshot.history(limit=1)) == []


ODD = ("\x00", "\ud800", "a" * 10_000, "\U0010ffff", "'; DROP TABLE jobs; --", "", " ", "%", "job-1\n")


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_names_are_unknown_or_invalid(dispatcher: Dispatcher, text: str) -> None:
    """A name that cannot exist is refused in one of two ways, and never breaks anything."""
    for act in (
        dispatcher.job,
        dispatcher.history,
        dispatcher.explain,
        dispatcher.cancel,
        dispatcher.restore,
    ):
        with pytest.raises((UnknownJobError, InvalidCommandError)):
            act(text)
    for look in (dispatcher.engine, dispatcher.preview, dispatcher.deregister):
        with pytest.raises((UnknownEngineError, InvalidCommandError)):
            look(text)


@pytest.mark.parametrize("field", ["actor", "tenant", "request_id", "receipt_key"])
@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 1_001], ids=["nul", "surrogate", "long"])
def test_the_company_of_a_command_is_checked_too(dispatcher: Dispatcher, field: str, text: str) -> None:
    """Who acts, for whom and under which key must be storable everywhere."""
    context = evolve(Context(), **{field: text})  # type: ignore[arg-type]  # it is a field of text
    with pytest.raises(InvalidCommandError) as refusal:
        dispatcher.acting(context).submit(spec())
    assert [problem.path for problem in refusal.value.problems] == [f"/context/{field}"]
    assert dispatcher.stats().accepted == 0


def test_closed_is_closed(dispatcher: Dispatcher) -> None:
    """After close every command is refused; questions are still answered; closing twice is harmless."""
    job = dispatcher.submit(spec())
    dispatcher.close()
    dispatcher.close()
    for act in (
        lambda: dispatcher.submit(spec()),
        lambda: dispatcher.cancel(job.id),
        lambda: start(dispatcher),
    ):
        with pytest.raises(ClosedError):
            act()
    assert dispatcher.job(job.id) == job


def test_a_with_block_closes() -> None:
    """The block's end is the dispatcher's; the store stays the caller's."""
    storage = create_storage("memory:")
    with Dispatcher(storage) as dispatcher:
        job = dispatcher.submit(spec())
    with pytest.raises(ClosedError):
        dispatcher.submit(spec())
    assert Dispatcher(storage).job(job.id) == job


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"lease_ttl_s": 0}, "/lease_ttl_s"),
        ({"cancel_grace_s": 9.9, "heartbeat_s": 5.0}, "/cancel_grace_s"),
        ({"silent_after_s": 5.0, "heartbeat_s": 5.0}, "/silent_after_s"),
        ({"attempts_cap": 101}, "/attempts_cap"),
        ({"tick_rows_max": True}, "/tick_rows_max"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, Any], pointer: str) -> None:
    """A house with limits that cannot hold is not opened."""
    with pytest.raises(InvalidCommandError) as refusal:
        Settings(**settings)
    assert [problem.path for problem in refusal.value.problems] == [pointer]


def test_a_problem_reads_like_a_sentence() -> None:
    """Pointer, then words; the whole value is called by a slash."""
    assert str(FieldProblem("/a/b", "must be 1")) == "/a/b: must be 1"
    assert str(InvalidCommandError([FieldProblem("", "x"), FieldProblem("/y", "z")])) == "/: x; /y: z"
