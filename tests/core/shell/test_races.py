"""Servers that share a store: who is slower decides again, and remembers nothing of what was not written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core import Dispatcher, JobSpec, ManualClock, Profile
from dispatch_core.shell.batch import Entry, decide
from dispatch_core.shell.house import House
from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_core.vocabulary.commands import Cancel, Claim, Complete, Submit
from dispatch_core.vocabulary.context import Context
from tests.core.conftest import MakeDispatcher

PROFILE = Profile(slots=100, facts={"codec": ("h264", "hevc"), "ffmpeg": "7.0"})
SPEC = JobSpec(parameters={"source": "in.mp4", "target": "out.mp4", "codec": "h264"})
ME = Context(actor="test")


def known(house: House) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an outlook says of what waits and what runs."""
    outlook = house.fleet._outlook
    assert outlook is not None
    queues = {
        name: (each.lengths, each.weights) for name, each in outlook._queues.items() if any(each.weights)
    }
    runs = {name: dict(each.runs) for name, each in outlook._standings.items()}
    return queues, runs


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["submit", "claim", "complete", "cancel"]), max_size=12))
def test_a_batch_that_is_not_written_leaves_no_trace_in_the_outlook(doings: list[str]) -> None:
    """Whatever it decided of jobs and engines is taken back, to the last microsecond."""
    storage = MemoryStorage(ManualClock())
    dispatcher = Dispatcher(storage)
    for name in ("a", "b"):
        dispatcher.register(name, PROFILE, session="s")
    jobs = dispatcher.submit_many([SPEC] * 6)
    leases = dispatcher.claim("a", session="s", limit=3)
    house = dispatcher._house
    before = known(house)
    running = iter(leases)
    commands: dict[str, Any] = {
        "submit": lambda: Submit(specs=(SPEC, SPEC)),
        "claim": lambda: Claim(engine_id="b", session="s", limit=2),
        "cancel": lambda: Cancel(job_id=jobs[-1].id),
    }
    entries = []
    for doing in doings:
        if doing == "complete":
            lease = next(running, None)
            if lease is not None:
                report = Complete(job_id=lease.job.id, engine_id="a", token=lease.token, result={})
                entries.append(Entry(report, ME))
        else:
            entries.append(Entry(commands[doing](), ME))
    with storage.begin() as transaction:
        decide(house, transaction, entries, lock=False)
        house.undo()
    assert known(house) == before
    with storage.read() as snapshot:
        fresh = house.fleet.fresh_outlook(snapshot)
    assert {name: dict(each.runs) for name, each in fresh._standings.items()} == before[1]
    dispatcher.close()


def test_who_is_slower_takes_the_next_jobs_in_the_same_call(make_dispatcher: MakeDispatcher) -> None:
    """Two servers with the same memory of the queue: the second gets as many jobs as it asked for, and others."""
    servers = [make_dispatcher(), make_dispatcher()]
    for name in ("a", "b"):
        servers[0].register(name, PROFILE, session="s")
    jobs = servers[0].submit_many([SPEC] * 40)
    assert len(servers[1].claim("b", session="s", limit=1)) == 1  # fills its memory
    first = servers[0].claim("a", session="s", limit=10)
    second = servers[1].claim("b", session="s", limit=10)
    assert len(first) == len(second) == 10
    granted = [lease.job.id for lease in (*first, *second)]
    assert len(set(granted)) == 20
    assert set(granted) <= {job.id for job in jobs}


@pytest.mark.parametrize("limit", [1, 100])
def test_all_jobs_of_a_claim_are_taken_with_one_statement(postgres_url: str, limit: int) -> None:
    """However many an engine asks for, and however many engines ask in the batch."""
    storage = create_storage(postgres_url)
    seen: list[str] = []
    with Dispatcher(storage) as dispatcher:
        dispatcher.register("a", PROFILE, session="s")
        dispatcher.submit_many([SPEC] * 200)
        dispatcher.claim("a", session="s")
        storage.watch(lambda text, _rows: seen.append(text))  # type: ignore[attr-defined]  # an SQL store
        assert len(dispatcher.claim("a", session="s", limit=min(limit, 99))) == min(limit, 99)
    storage.close()
    assert sum("SKIP LOCKED" in text for text in seen) == 1
    assert len(seen) <= 14  # heads are read 64 rows at a time
