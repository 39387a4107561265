"""Every reason is true, and with all of them removed the job is granted."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import attrs
import pytest

from dispatch_core import (
    JOB_MODES,
    Benchmark,
    Dispatcher,
    EngineAnswer,
    FifoPolicy,
    FlowPolicy,
    Job,
    JobSize,
    JobSpec,
    JobVerdict,
    Lease,
    MakespanPolicy,
    ManualClock,
    ModesPolicy,
    Policy,
    PoolSpec,
    Profile,
    SeededIds,
    Settings,
    StrictPolicy,
)
from dispatch_core.storage import create_storage
from tests.core.house import stored

POLICIES: tuple[Callable[[], Policy], ...] = (
    FlowPolicy,
    MakespanPolicy,
    FifoPolicy,
    StrictPolicy,
    ModesPolicy,
)
CODECS = ("h264", "hevc", "av1")
TERMS = ("ffmpeg >= 6", "tag has fast", "memory_gb >= 8", "disk_free_gb >= 2", "prefer tag has fast")
RANK = {"outranked", "waits-for-better"}


class Town:
    """A small fleet in a random state, made and mended through the dispatcher alone."""

    def __init__(self, seed: int) -> None:
        self.random, self.clock = Random(seed), ManualClock()
        self.storage = create_storage("memory:", clock=self.clock)
        self.dispatcher = Dispatcher(
            self.storage,
            ids=SeededIds(seed),
            policy=self.random.choice(POLICIES)(),
            settings=Settings(large_job_bytes=6_000_000_000),
        )
        self.dispatcher.tick()
        self.clock.advance(60)
        self.dispatcher.tick()
        self.leases: list[Lease] = []
        self.calm = self.random.random() < 0.7
        self.dispatcher.pools.create("nas", PoolSpec(capacity_bytes=self.some(10**9, 10**12)))
        self.engines = [f"e{number}" for number in range(self.random.randint(1, 4))]
        for name in self.engines:
            self.dispatcher.register(name, self.profile(), session="s")
            free = 10**11 if self.calm else self.some(10**9, 10**11)
            self.dispatcher.heartbeat(name, session="s", disk_free_bytes=free)
            self.dispatcher.claim(name, session="s")  # others leave work only to those who ask

    def some(self, *values: Any) -> Any:
        """One of them."""
        return self.random.choice(values)

    def profile(self) -> Profile:
        """Slow or fast, able of some things."""
        facts: dict[str, Any] = {
            "codec": CODECS
            if self.calm
            else tuple(sorted(self.random.sample(CODECS, self.random.randint(1, 3)))),
            "ffmpeg": self.some("5.1", "7.0"),
            "streaming": self.some(True, True, False),
            "memory_gb": self.some(4.0, 16.0),
        }
        if self.some(True, False):
            facts["tag"] = ("fast",)
        if self.some(True, True, False):
            facts["pool"] = ("nas",)
        speed = self.some(0.5, 1.0, 8.0, 30.0)
        cells = [Benchmark(task_class=f"{codec}/1080p/encode", units_per_s=speed) for codec in CODECS]
        most = self.some(None, None, 3_000_000_000)
        return Profile(
            slots=self.random.randint(1, 2), facts=facts, benchmarks=tuple(cells), size_bytes_max=most
        )

    def spec(self) -> JobSpec:
        """A film of some length, with some wishes."""
        size = JobSize(
            size_bytes=self.some(None, 10**8, 2 * 10**9, 7 * 10**9),
            duration_us=self.random.randint(1, 3_000) * 10**6,
            height=1_080,
        )
        codec = self.random.choice(CODECS)
        return JobSpec(
            parameters={"source": "a", "target": "b", "codec": codec},
            size=size,
            priority=self.random.randint(-2, 3),
            requirements=tuple(self.random.sample(TERMS, self.some(0, 0, 1, 2))),
            pool=self.some(None, None, "nas"),
            hold=self.some(True, *[False] * 7),
            mode=self.some(None, None, *JOB_MODES),
        )

    def live(self) -> None:
        """Let things happen."""
        for _ in range(self.random.randint(1, 14)):
            name = self.random.choice(self.engines)
            match self.random.randrange(5 if self.calm else 8):
                case 0 | 1 | 2:
                    self.dispatcher.submit_many([self.spec() for _ in range(self.random.randint(1, 4))])
                    self.clock.advance(self.random.choice((0, 1, 2)) if self.calm else 0)
                case 3 | 4:
                    self.leases += self.dispatcher.claim(name, session="s", limit=self.random.randint(1, 2))
                case 5:
                    self.some(self.dispatcher.cordon, self.dispatcher.drain)(name)
                case 6:
                    self.plan_window(name)
                case _:
                    self.clock.advance(self.random.choice((1, 5, 20, 60)))
                    self.dispatcher.tick()
        waiting = [job for job in stored(self.storage) if job.claimable]
        for job in self.random.sample(waiting, len(waiting) // 4):
            self.dispatcher.assign(job.id, self.random.choice(self.engines))

    def plan_window(self, name: str) -> None:
        """Maintenance now or soon, for one engine or for all."""
        begins = self.clock.now_us() + self.some(0, 100, 1_000) * 10**6
        whom = self.some(name, None)
        self.dispatcher.windows.plan(whom, from_us=begins, until_us=begins + 500 * 10**6)

    # ----- what removes a reason, by its code

    def mend(self, job: Job, engine_id: str, code: str) -> None:
        """Do what removes one reason."""
        match code:
            case "not-capable" | "software-version" | "not-streaming" | "too-large" | "pool-unreachable":
                self.rebuild(engine_id)
            case "disk-full":
                self.dispatcher.heartbeat(engine_id, session="s", disk_free_bytes=10**12)
            case "pool-full":
                self.enlarge()
            case "maintenance":
                self.dispatcher.resume(engine_id)
            case "offline":
                self.dispatcher.heartbeat(engine_id, session="s")
            case "maintenance-window":
                for window in self.dispatcher.windows.list():
                    self.dispatcher.windows.end(window.id)
            case "pinned":
                self.dispatcher.assign(job.id, None)
            case "waits-for-better":
                self.dispatcher.assign(job.id, engine_id)
            case "busy":
                self.free(engine_id)
            case "outranked":
                self.cancel_others(job)
            case _:
                pytest.fail(f"nobody knows how to remove {code}")

    def rebuild(self, engine_id: str) -> None:
        """The engine becomes able of everything; it keeps its slots and its speeds."""
        before = self.dispatcher.engine(engine_id).engine.profile
        facts: dict[str, Any] = {
            "codec": CODECS, "ffmpeg": "7.0", "streaming": True, "memory_gb": 16.0, "tag": ("fast",), "pool": ("nas",)
        }  # fmt: skip
        able = attrs.evolve(before, facts=facts, size_bytes_max=None)
        self.dispatcher.register(engine_id, able, session="s")
        self.dispatcher.heartbeat(engine_id, session="s", disk_free_bytes=10**12)

    def enlarge(self) -> None:
        """The pool becomes larger than all jobs."""
        self.dispatcher.pools.edit("nas", {"capacity_bytes": 10**15})

    def free(self, engine_id: str) -> None:
        """The engine gives back what it runs, and nobody wants that any more."""
        for lease in self.leases:
            job = self.dispatcher.job(lease.job.id)
            if lease.engine_id == engine_id and (job.state, job.live_attempt) == ("assigned", lease.attempt):
                self.dispatcher.give_back(lease)
                self.dispatcher.cancel(lease.job.id)

    def cancel_others(self, job: Job) -> None:
        """Everything else that waits goes."""
        for other in stored(self.storage):
            if other.claimable and other.id != job.id:
                self.dispatcher.cancel(other.id)

    # ----- what is asked

    def codes(self, job_id: str, engine_id: str) -> set[str]:
        """What keeps a job from an engine."""
        (answer,) = self.dispatcher.explain(job_id, engine_id).engines
        return {reason.code for reason in answer.reasons}

    def check_truth(self, job: Job) -> None:
        """Every answer against the records, and against what a claim would see."""
        explanation = self.dispatcher.explain(job.id)
        assert [answer.engine_id for answer in explanation.engines] == self.engines
        for answer in explanation.engines:
            chosen = self.dispatcher.preview(answer.engine_id).chosen
            assert (chosen is not None and chosen.job_id == job.id) is (not answer.reasons), answer
            self.check_answer(job, answer)
        free = [answer.engine_id for answer in explanation.engines if not answer.reasons]
        assert (explanation.verdict is JobVerdict.NEXT) is bool(free)
        if explanation.start is not None:
            start = explanation.start
            assert explanation.at_us <= start.p10_us <= start.p50_us <= start.p90_us

    def check_answer(self, job: Job, answer: EngineAnswer) -> None:
        """Each code of one engine, both ways where the record alone tells."""
        found = {reason.code for reason in answer.reasons}
        status = self.dispatcher.engine(answer.engine_id)
        profile, pulse = status.engine.profile, status.pulse
        size, room = job.spec.size.size_bytes or 0, self.dispatcher.pools.get("nas")
        free = pulse.disk_free_bytes if pulse is not None else None
        assert ("maintenance" in found) is (status.engine.wanted.state != "active")
        assert ("offline" in found) is (status.engine.seen != "live")
        assert ("busy" in found) is (len(status.attempts) >= profile.slots)
        assert ("pinned" in found) is (job.pin is not None and job.pin.engine_id != answer.engine_id)
        assert ("too-large" in found) is (size > (profile.size_bytes_max or 2**63))
        assert ("disk-full" in found) is (free is not None and size > free)
        assert ("not-streaming" in found) is (size >= 6 * 10**9 and profile.facts["streaming"] is False)
        assert ("pool-unreachable" in found) is (job.spec.pool is not None and "pool" not in profile.facts)
        assert ("pool-full" in found) is (job.spec.pool is not None and (size or 1) > room.free_bytes)
        old = "ffmpeg >= 6" in job.spec.requirements and profile.facts["ffmpeg"] == "5.1"
        assert ("software-version" in found) is old
        if any(window.open_at(self.clock.now_us()) for window in status.windows):
            assert "maintenance-window" in found
        for reason in answer.reasons:
            if reason.code == "outranked":
                first = self.dispatcher.job(reason.message.split()[0])
                assert first.claimable
                assert first.id != job.id

    def check_removal(self, job: Job, engine_id: str) -> None:
        """Do what each reason asks for: nothing but rank may come up instead, and in the end it is granted.

        Rank is told of engines that could take the job; and who is removed changes where others are left to.
        """
        if job.held is not None:
            self.dispatcher.release(job.id)
        found = self.codes(job.id, engine_id)
        only_busy = found == {"busy"}
        for _ in range(4):
            for code in sorted(found):
                self.mend(job, engine_id, code)
            before, found = found, self.codes(job.id, engine_id)
            assert found <= RANK, (before, found)
            assert not (only_busy and found), (before, found)
            if not found:
                break
        granted = self.dispatcher.claim(engine_id, session="s")
        assert [lease.job.id for lease in granted] == [job.id]


def play(seed: int) -> int:
    """One town, some of its jobs, one of them made grantable; how many answers were looked at."""
    town = Town(seed)
    town.live()
    waiting = [job for job in stored(town.storage) if job.state == "pending"]
    asked = town.random.sample(waiting, min(len(waiting), 3))
    for job in asked:
        if job.claimable:
            town.check_truth(job)
    for name in town.engines:
        chosen, seen = town.dispatcher.preview(name).chosen, town.dispatcher.engine(name).engine.seen
        leases = town.dispatcher.claim(name, session="s") if town.random.random() < 0.5 else None
        if leases is not None:
            town.leases += leases
            expected = [] if chosen is None else [chosen.job_id]
            if seen == "live":  # else asking for work brings it back
                assert [lease.job.id for lease in leases] == expected
    left = [job for job in map(town.dispatcher.job, (each.id for each in asked)) if job.state == "pending"]
    if left:
        town.check_removal(left[0], town.random.choice(town.engines))
    town.dispatcher.close()
    return len(asked) * len(town.engines)


def test_every_reason_is_true_and_without_them_it_is_granted() -> None:
    """In small fleets of all kinds, with pins, holds, windows, pools, full disks and silent engines."""
    assert sum(play(seed) for seed in range(30)) > 30


@pytest.mark.soak
def test_every_reason_is_true_in_thousands_of_fleets() -> None:
    """The same, 6,000 times."""
    assert sum(play(seed) for seed in range(6_000)) > 6_000
