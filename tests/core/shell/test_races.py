"""Servers that share a store: who is slower decides again, and remembers nothing of what was not written."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core import (
    BatchReport,
    Dispatcher,
    JobSpec,
    LimitSpec,
    LimitUse,
    ManualClock,
    Profile,
    SeededIds,
    SessionReplacedError,
    Settings,
)
from dispatch_core.ports.storage import EVERYWHERE, ChangeSet
from dispatch_core.shell.batch import Entry, decide
from dispatch_core.shell.house import House
from dispatch_core.shell.workspace import Workspace
from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_core.storage.sql.listening import heard
from dispatch_core.vocabulary.commands import Cancel, Claim, Complete, Submit
from dispatch_core.vocabulary.context import Context
from tests.core.conftest import MakeDispatcher
from tests.core.house import claim, spec, start

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


@pytest.mark.parametrize("store", ["memory", "postgresql"])
def test_a_job_lost_to_another_server_counts_where_it_runs(
    store: str, request: pytest.FixtureRequest
) -> None:
    """A limit of two is one of two also for the server whose memory had offered it what another had taken."""
    url = "memory:" if store == "memory" else request.getfixturevalue("postgres_url")
    one = create_storage(url)
    two = one if store == "memory" else create_storage(url, server_id="two")
    with Dispatcher(one) as here, Dispatcher(two) as there:
        here.limits.set("licence", LimitSpec(capacity=2))
        for name in ("e0", "e1", "e2"):
            start(here, name, slots=8)
        here.submit_many([spec(limits=(LimitUse(key="licence", units=1),))] * 6)
        here.submit(spec())
        there.complete(claim(there, "e0"), {})  # fills its memory
        assert len(here.claim("e1", session="s1")) == 1
        there.claim("e2", session="s1", limit=8)
        assert here.limits.get("licence").in_use <= 2
    one.close()
    two.close()


@pytest.mark.parametrize(
    "payload",
    [
        '["x",[[1,2]]]',
        '["x",[[null,null]]]',
        '["x",[["open","c"],[1,2]]]',
        "rubbish",
        '["x",[["\\ud800","c"]]]',
        '["x",[["open","a\\u0000b"]]]',
        "[" * 3_000,
        '["x",[["open","c","d"]]]',
        '{"a": 1}',
        "null",
    ],
)
def test_whatever_is_said_on_the_channel_is_a_hint(payload: str) -> None:
    """Anybody who may connect may notify: what is no bucket of ours means that there may be work anywhere."""
    assert heard(payload, "me") == {EVERYWHERE}


def test_a_notice_that_cannot_be_read_does_not_end_the_writer(postgres_url: str) -> None:
    """It goes on to serve."""
    storage = create_storage(postgres_url)
    with closing(storage), Dispatcher(storage, group_commit=True) as dispatcher:
        start(dispatcher)
        dispatcher.claim("e1", session="s1")
        dispatcher._committer._parked.heard.put(frozenset({(1, None)}))  # type: ignore[attr-defined]  # nonsense
        dispatcher.submit(spec())
        assert dispatcher.claim("e1", session="s1")


def test_a_new_session_ends_what_another_server_grants_the_old_one_meanwhile(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both lock the engine: the claim of the old process waits, and is refused."""
    stores = [create_storage(postgres_url, server_id=name) for name in ("one", "two")]
    with (
        closing(stores[0]),
        closing(stores[1]),
        Dispatcher(stores[0]) as here,
        Dispatcher(stores[1]) as there,
    ):
        start(here, session="old")
        assert here.claim("e1", session="old") == []
        job = here.submit(spec())
        real = Workspace.change_set
        claiming: list[Future[Any]] = []

        def between(self: Workspace) -> ChangeSet:
            if not claiming:
                claiming.append(pool.submit(here.claim, "e1", session="old"))
                wait(claiming, timeout=0.5)
            return real(self)

        with ThreadPoolExecutor(1) as pool:
            monkeypatch.setattr(Workspace, "change_set", between)
            start(there, session="new")
            with pytest.raises(SessionReplacedError):
                claiming[0].result(20)
        assert there.attempts(job.id) == []


def test_a_fresh_job_is_left_to_the_server_of_its_engine_for_a_second() -> None:
    """That one has been told and its engine is there; after a second whoever is idle may have the job."""
    clock = ManualClock()
    storage = MemoryStorage(clock)
    other = Dispatcher(storage)
    for name in ("a", "b"):
        other.register(name, PROFILE, session="s")
    assert other.claim("a", session="s") == []  # its pulse says that it asks, though not here
    here = Dispatcher(storage, ids=SeededIds(2))
    assert here.claim("b", session="s") == []
    [job] = here.submit_many([SPEC])
    assert job.ready is not None
    assert job.ready.lane == "group:a"
    assert here.claim("b", session="s") == []
    clock.advance(1.1)
    assert [lease.job.id for lease in here.claim("b", session="s")] == [job.id]
    here.close()
    other.close()
