"""The job granted is the best of all pending ones, whatever heads, memory and batches are between."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dispatch_core import (
    Benchmark,
    Context,
    Dispatcher,
    Edit,
    Job,
    JobSize,
    JobSpec,
    Lease,
    ManualClock,
    Policy,
    Profile,
    SeededIds,
    StrictPolicy,
)
from dispatch_core.shell.batch import Entry, commit
from dispatch_core.storage import create_storage
from dispatch_core.testing import strategies as some
from dispatch_core.testing.checkers import check_grant, check_store
from dispatch_core.vocabulary.commands import Cancel, Claim, Command, Complete, Submit
from tests.core.conftest import MakeDispatcher
from tests.core.house import PARAMETERS, claimed, spec, start, stored
from tests.core.scheduling.judge import Judge, Unrouted

QUICK = settings(
    max_examples=10,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
STORES = pytest.mark.parametrize("url", ["memory:", "sqlite://"], ids=["memory", "sqlite"])


class Scene:
    """A backlog of a few deep buckets, three engines, and random hands at work."""

    def __init__(self, url: str, seed: int, profiles: list[Profile], policy: Policy) -> None:
        self.random = Random(seed)
        self.clock = ManualClock()
        self.storage = create_storage(url, clock=self.clock)
        self.dispatcher = Dispatcher(self.storage, ids=SeededIds(seed), policy=policy)
        self.judge = Judge(self.storage, policy)
        self.profiles = {f"e{n}": profile for n, profile in enumerate(profiles)}
        for engine_id, profile in self.profiles.items():
            self.dispatcher.register(engine_id, profile, session="s")
        self.leases: list[Lease] = []
        self.learned = False

    def specs(self, most: int) -> list[JobSpec]:
        """A run of jobs of one class that differ in what is not the class's: priority, length, size."""
        codec = self.random.choice(some.CODECS)
        needs = self.random.choice([(), ("ffmpeg >= 6",), ("prefer tag has fast",)])
        return [
            spec(
                parameters={"source": "a", "target": "b", "codec": codec},
                requirements=needs,
                priority=self.random.randint(-3, 6),
                size=JobSize(
                    duration_us=self.random.randint(0, 600) * 1_000_000,
                    size_bytes=self.random.choice([None, 1_000, 20_000_000_000]),
                ),
            )
            for _ in range(self.random.randint(1, most))
        ]

    def submit(self) -> None:
        self.dispatcher.submit_many(self.specs(4))

    def claim(self) -> None:
        engine_id, limit = self.random.choice(sorted(self.profiles)), self.random.randint(1, 5)
        free = self.profiles[engine_id].slots - len(self.dispatcher.engine(engine_id).attempts)
        jobs = stored(self.storage)
        best = self.judge.choices(engine_id, jobs, min(limit, free))
        if best and not self.learned and not any(each.benchmarks for each in self.profiles.values()):
            assert best[0] == self.judge.least(engine_id, jobs)
        leases = self.dispatcher.claim(engine_id, session="s", limit=limit)
        assert [lease.job.id for lease in leases] == best
        for lease in leases:
            check_grant(lease, self.profiles[engine_id])
        self.leases += leases

    def meddle(self) -> None:
        """Somebody edits, cancels, holds, pins, releases or unpins a random job."""
        waiting = [job for job in stored(self.storage) if job.state == "pending"]
        if not waiting:
            return
        job, act = self.random.choice(waiting), self.random.randrange(7)
        match act:
            case 0 | 1:
                self.dispatcher.update(job.id, Edit(priority=self.random.randint(-5, 8)))
            case 2:
                self.dispatcher.cancel(job.id)
            case 3:
                self.dispatcher.hold(job.id)
            case 4:
                self.dispatcher.release(job.id)
            case _:
                engine_id = self.random.choice([None, *self.profiles])
                self.dispatcher.assign(job.id, engine_id)

    def finish(self) -> None:
        """An engine reports a lease: complete, or give it back into the queue."""
        if not self.leases:
            return
        lease = self.leases.pop(self.random.randrange(len(self.leases)))
        if self.random.random() < 0.7:
            self.dispatcher.complete(lease)
            self.learned = True
        else:
            self.dispatcher.give_back(lease)

    def play(self, steps: int) -> None:
        for _ in range(8):
            self.dispatcher.submit_many(self.specs(60))
        for _ in range(steps):
            self.clock.advance_us(self.random.randrange(3_000_000))
            acts: list[Callable[[], object]] = [self.claim, self.meddle, self.finish, self.submit]
            self.random.choices(acts, [8, 4, 4, 1])[0]()
        check_store(self.storage)


@pytest.mark.checklist(12)
@STORES
@QUICK
@given(seed=st.integers(0, 2**32), profiles=st.lists(some.profiles(), min_size=3, max_size=3))
def test_a_claim_gets_the_best_of_all_pending_jobs(url: str, seed: int, profiles: list[Profile]) -> None:
    """Of every class its first admissible job, and of these the best; claim after claim, among buckets deeper than any window, while jobs are edited, pinned, held and returned."""
    Scene(url, seed, profiles, Unrouted()).play(50)


@QUICK
@given(seed=st.integers(0, 2**32), profiles=st.lists(some.profiles(), min_size=3, max_size=3))
def test_a_claim_under_strict_priorities_gets_the_best(seed: int, profiles: list[Profile]) -> None:
    """The same where bands are compared before anything else."""
    Scene("memory:", seed, profiles, StrictPolicy()).play(50)


@STORES
@QUICK
@given(seed=st.integers(0, 2**32), profiles=st.lists(some.profiles(), min_size=3, max_size=3))
def test_claims_in_a_batch_see_what_the_batch_decided(url: str, seed: int, profiles: list[Profile]) -> None:
    """Reports, cancels, submits and claims in one transaction: each claim gets the best of what is left then."""
    scene = Scene(url, seed, profiles, Unrouted())
    scene.dispatcher.submit_many(scene.specs(60))
    for _ in range(6):
        _one_batch(scene)
    check_store(scene.storage)


def _one_batch(scene: Scene) -> None:
    random, context = scene.random, Context()
    before = [job for job in stored(scene.storage) if job.state == "pending"]
    cancelled = {job.id for job in random.sample(before, min(3, len(before)))}
    done = [scene.leases.pop() for _ in range(min(2, len(scene.leases)))]
    commands: list[Command] = [
        Submit(specs=tuple(scene.specs(40))),
        *(Cancel(job_id=each) for each in cancelled),
    ]
    commands += [
        Complete(job_id=each.job.id, token=each.token, engine_id=each.engine_id, result={}) for each in done
    ]
    commands += [
        Claim(engine_id=random.choice(sorted(scene.profiles)), session="s", limit=3) for _ in range(4)
    ]
    random.shuffle(commands)
    free = {
        name: profile.slots
        - len(scene.dispatcher.engine(name).attempts)
        + sum(each.engine_id == name for each in done)
        for name, profile in scene.profiles.items()
    }
    entries = [Entry(command, context) for command in commands]
    commit(scene.dispatcher._house, entries)
    left: list[Job] = [job for job in before if job.id not in cancelled]
    left += [job for entry in entries if isinstance(entry.command, Submit) for job in entry.answer()]
    for entry in entries:
        if isinstance(entry.command, Claim):
            engine_id = entry.command.engine_id
            best = scene.judge.choices(engine_id, left, min(3, free[engine_id]))
            assert [lease.job.id for lease in entry.answer()] == best
            free[engine_id] -= len(best)
            left = [job for job in left if job.id not in best]
            scene.leases += entry.answer()


@pytest.mark.parametrize("small_at", [10, 40, 90, 200, 700])
def test_a_job_is_found_behind_any_number_that_do_not_fit(dispatcher: Dispatcher, small_at: int) -> None:
    """Jobs too large for an engine are paged past: they must not hide the one it could run."""
    start(dispatcher, size_bytes_max=1_000)
    large = spec(size=JobSize(size_bytes=1_001, duration_us=60_000_000))
    dispatcher.submit_many([large] * small_at)
    small = dispatcher.submit(spec(size=JobSize(size_bytes=1_000, duration_us=60_000_000)))
    behind = dispatcher.submit_many([large] * 50)
    assert dispatcher.explain(small.id, "e1").engines[0].reasons == ()
    assert dispatcher.explain(small.id).verdict == "next"
    assert dispatcher.explain(behind[0].id).verdict == "never"
    for _ in range(20):  # a published number of rows a claim, with a memory of how far it came
        if claimed(dispatcher):
            break
    assert dispatcher.job(small.id).engine_id == "e1"


@pytest.mark.checklist(12)
def test_an_engine_gets_what_it_is_good_at_and_says_why(dispatcher: Dispatcher) -> None:
    """A job that came first is left to the engine that is ten times faster at it; the history of the grant has
    the estimate, the jobs that came next with how much later they count, and why others were refused.
    """
    start(dispatcher, "slow", benchmarks=(Benchmark(task_class="hevc/1080p/encode", units_per_s=1),))
    start(dispatcher, "fast", benchmarks=(Benchmark(task_class="hevc/1080p/encode", units_per_s=10),))
    minute = JobSize(duration_us=60_000_000)
    hevc, other = dispatcher.submit_many(
        [spec(parameters={**PARAMETERS, "codec": "hevc"}, size=minute), spec(size=minute)]
    )
    dispatcher.submit(spec(requirements=("tag has moon",)))
    assert claimed(dispatcher, "slow") == [other.id]
    why: Any = dispatcher.history(other.id)[-1].data["explanation"]
    assert why["estimate_s"] == 30.0
    assert [(job_id, later_us > 0) for job_id, later_us in why["runners_up"]] == [(hevc.id, True)]
    assert why["refused"] == {"not-capable": 1}
    assert claimed(dispatcher, "fast") == [hevc.id]
    why = dispatcher.history(hevc.id)[-1].data["explanation"]
    assert why["estimate_s"] == 6.0


def test_slots_bound_what_an_engine_holds(dispatcher: Dispatcher) -> None:
    """However much it asks for, and again after each end."""
    start(dispatcher, slots=3)
    dispatcher.submit_many([spec()] * 10)
    leases = dispatcher.claim("e1", session="s1", limit=100)
    assert len(leases) == 3
    assert claimed(dispatcher, limit=100) == []
    dispatcher.complete(leases[0])
    assert len(claimed(dispatcher, limit=100)) == 1


def test_nothing_is_granted_twice(make_dispatcher: MakeDispatcher) -> None:
    """The whole backlog is handed out once, in order, by many claims of many engines."""
    dispatcher = make_dispatcher()
    for number in range(3):
        start(dispatcher, f"e{number}", slots=100)
    ids = [job.id for job in dispatcher.submit_many([spec() for _ in range(150)])]
    granted = [
        job_id for turn in range(60) for job_id in claimed(dispatcher, f"e{turn % 3}", limit=turn % 4 + 1)
    ]
    assert granted == ids
