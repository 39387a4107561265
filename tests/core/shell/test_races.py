"""Servers that share a store: who is slower decides again, and remembers nothing of what was not written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core import BatchReport, Dispatcher, JobSpec, ManualClock, Profile, Settings
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


def test_a_submit_on_one_server_wakes_a_claim_that_waits_on_another(postgres_url: str) -> None:
    """By a notice of the database: the poll floor would come too late."""
    settings = Settings(poll_floor_s=60)
    stores = [create_storage(postgres_url, server_id=name) for name in ("one", "other")]
    one, other = (Dispatcher(store, group_commit=True, settings=settings) for store in stores)
    with closing(stores[0]), closing(stores[1]), one, other, ThreadPoolExecutor(1) as pool:
        for name in ("a", "b"):
            other.register(name, PROFILE, session="s")
        waiting = pool.submit(other.claim, "a", session="s", wait_s=20)
        while not len(other._committer._parked):  # type: ignore[attr-defined]  # the writer's parking
            pass
        job = one.submit(SPEC)
        assert [lease.job.id for lease in waiting.result(30)] == [job.id]


def test_queues_of_engines_that_ask_another_server_are_left_to_it(postgres_url: str) -> None:
    """Each server serves the lanes of its own engines first, so that two do not reach for the same jobs."""
    stores = [create_storage(postgres_url, server_id=name) for name in ("one", "other")]
    counts = [Lost(), Lost()]
    one, other = (Dispatcher(store, observers=(count,)) for store, count in zip(stores, counts, strict=True))
    with closing(stores[0]), closing(stores[1]), one, other:
        homes = {"a": one, "b": one, "c": other, "d": other}
        for name in homes:
            one.register(name, PROFILE, session="s")
        for name, server in homes.items():
            server.claim(name, session="s")  # now both may know who asks where
        fresh = [Dispatcher(store, observers=(count,)) for store, count in zip(stores, counts, strict=True)]
        homes = {"a": fresh[0], "b": fresh[0], "c": fresh[1], "d": fresh[1]}
        fresh[0].submit_many([SPEC] * 60)
        granted = []
        for _ in range(10):
            for name, server in homes.items():
                granted += [
                    (name, lease.job.ready, lease.job.id) for lease in server.claim(name, session="s")
                ]
        assert len(granted) == len({job_id for _, _, job_id in granted}) == 40
        for each in fresh:
            each.close()
    assert [count.lost for count in counts] == [0, 0]


class Lost:
    """Observer: what a server lost to another."""

    def __init__(self) -> None:
        self.lost = 0

    def committed(self, report: BatchReport) -> None:
        self.lost += report.lost
