"""The heads in memory: whatever batches do, the fronts are what brute force finds in the store."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core import Dispatcher, Job, JobState, ManualClock, SeededIds
from dispatch_core.ports.storage import Bucket, Storage
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.shell.heads import WINDOW
from dispatch_core.shell.workspace import Workspace
from dispatch_core.storage import MemoryStorage
from dispatch_core.vocabulary.commands import Assign, Cancel, Claim, Hold, Release, Submit
from dispatch_core.vocabulary.context import LOCAL
from dispatch_core.vocabulary.jobs import OrderKey, rank_of
from tests.core.house import spec, start, stored

ENGINES = ("e1", "e2")
STEPS = st.tuples(
    st.sampled_from(
        ("submit", "many", "claim", "take", "cancel", "hold", "release", "pin", "unpin", "forget")
    ),
    st.integers(0, 39),
)
BEHIND = 60
"""How many jobs behind a bucket's first one are looked at: fewer than a reader reads at a time."""
READERS = (f"reader {number}" for number in count())
BATCHES = st.lists(
    st.tuples(st.integers(0, 3), st.lists(STEPS, min_size=1, max_size=5)), min_size=1, max_size=12
)


def fronts_of(dispatcher: Dispatcher, engine_id: str) -> list[tuple[OrderKey, Bucket, str, list[str]]]:
    """What a claim of an engine would look at, bucket by bucket."""
    own = f"engine:{engine_id}"
    with dispatcher.storage.begin() as transaction:
        workspace = Workspace(transaction, dispatcher._house)
        fronts = workspace.fronts(lambda lane: lane == own or not lane.startswith("engine:"), next(READERS))
        return [
            (rank, bucket, job.id, [each.id for each in rest()][:BEHIND])
            for rank, bucket, job, rest in fronts
        ]


def by_force(storage: Storage, engine_id: str) -> list[tuple[OrderKey, Bucket, str, list[str]]]:
    """The same from every job of the store."""
    found: dict[Bucket, list[Job]] = {}
    for job in sorted((job for job in stored(storage) if job.ready is not None), key=rank_of):
        assert job.ready is not None
        if not job.ready.lane.startswith("engine:") or job.ready.lane == f"engine:{engine_id}":
            found.setdefault(job.ready.bucket, []).append(job)
    ranked = sorted((rank_of(jobs[0]), bucket, jobs) for bucket, jobs in found.items())
    return [
        (rank, bucket, jobs[0].id, [job.id for job in jobs[1 : 1 + BEHIND]]) for rank, bucket, jobs in ranked
    ]


class Play:
    """Two servers on one store; batches of random commands, on either of them."""

    def __init__(self, *, shared: bool) -> None:
        self.storage = MemoryStorage(ManualClock(), shared=shared)
        servers = range(2 if shared else 1)
        self.servers = [Dispatcher(self.storage, ids=SeededIds(each)) for each in servers]
        for name in ENGINES:
            start(self.servers[0], name, slots=200)
        self.shared = shared

    def command(self, what: str, number: int) -> Any:
        jobs = sorted(stored(self.storage), key=lambda job: job.created_us)
        waiting = [job for job in jobs if job.state is JobState.PENDING] or jobs
        if what == "submit":
            terms = (f"ffmpeg >= {number % 3}",) if number % 2 else ()
            return Submit(specs=(spec(priority=number % 9 - 4, requirements=terms),))
        if what == "many" or not waiting:
            return Submit(specs=(spec(priority=number % 2),) * (WINDOW + number))
        if what in ("claim", "take"):
            limit = 1 if what == "claim" else WINDOW + number
            return Claim(engine_id=ENGINES[number % 2], session="s1", limit=limit)
        job_id = waiting[number % len(waiting)].id
        if what == "pin":
            return Assign(job_id=job_id, engine_id=ENGINES[number % 2])
        if what == "unpin":
            return Assign(job_id=job_id, engine_id=None)
        return {"cancel": Cancel, "hold": Hold, "release": Release}[what](job_id=job_id)

    def batch(self, server: int, steps: list[tuple[str, int]]) -> None:
        dispatcher = self.servers[server % len(self.servers)]
        for what, _ in steps:
            if what == "forget":
                dispatcher._house.look_again()
        commands = [self.command(*step) for step in steps if step[0] != "forget"]
        if commands:
            commit(dispatcher._house, [Entry(command, LOCAL) for command in commands])

    def check(self) -> None:
        for dispatcher in self.servers:
            if self.shared:
                dispatcher._house.look_again()
            for name in ENGINES:
                assert fronts_of(dispatcher, name) == by_force(self.storage, name)


@settings(max_examples=12, deadline=None)
@given(batches=BATCHES)
def test_memory_offers_what_the_store_has(batches: list[tuple[int, list[tuple[str, int]]]]) -> None:
    """One server: after every batch, first jobs, their order, and all behind them."""
    play = Play(shared=False)
    for server, steps in batches:
        play.batch(server, steps)
        play.check()


@settings(max_examples=8, deadline=None)
@given(batches=BATCHES)
def test_two_servers_find_everything_when_they_look_again(
    batches: list[tuple[int, list[tuple[str, int]]]],
) -> None:
    """However far memory was behind while it decided, nothing is lost, nothing breaks."""
    play = Play(shared=True)
    for server, steps in batches:
        play.batch(server, steps)
    play.check()
