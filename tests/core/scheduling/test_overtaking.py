"""How far a job is overtaken, whatever its own mode and the server's: a law in seconds, not a statistic."""

from __future__ import annotations

import pytest
from attrs import define, field, frozen
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dispatch_core import (
    JOB_MODES,
    Benchmark,
    Dispatcher,
    Job,
    JobKind,
    JobSpec,
    Lease,
    ManualClock,
    Profile,
    SeededIds,
)
from dispatch_core import Settings as Dials
from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.jobs import OPEN_LANE, group_lane

CLASSES = ("a", "b")
ROUNDING_US = 2
WORK = JobKind(
    name="work",
    units=lambda parameters, _size: float(str(parameters["length"])),
    task_class=lambda parameters, _size: str(parameters["class"]),
    needs=lambda parameters: (f"tag has {parameters['class']}",),
)
SPEEDS = st.fixed_dictionaries({name: st.sampled_from([1.0, 0.2, 4.0, None]) for name in CLASSES})
ENGINES = st.lists(st.tuples(SPEEDS, st.integers(1, 2)), min_size=1, max_size=3)
DIALS = st.builds(
    Dials,
    priority_cap_s=st.sampled_from([0.0, 30.0, 200.0]),
    priority_step_s=st.sampled_from([0.0, 15.0]),
    priority_kappa=st.sampled_from([1.0, 100.0]),
    account_push_s=st.sampled_from([0.0, 60.0]),
    lease_ttl_s=st.just(86_400.0),
    mode=st.sampled_from(["flow", "flow", "makespan", "fifo"]),
)
ARRIVALS = st.lists(
    st.builds(
        lambda gap_s, took_s, priority, names, work: _Arrival(gap_s, took_s, priority, *names, *work),
        st.sampled_from([0.0, 1.0, 5.0, 40.0]),
        st.sampled_from([2.0, 20.0]),
        st.sampled_from([-6, -1, 0, 2, 8, 50]),
        st.tuples(st.sampled_from([None, "one", "other"]), st.sampled_from([None, None, *JOB_MODES])),
        st.tuples(st.sampled_from(CLASSES), st.sampled_from([0.1, 1.0, 10.0, 500.0])),
    ),
    min_size=10,
    max_size=40,
)
Speeds = dict[str, float | None]


@frozen
class _Arrival:
    """A job that is submitted after a gap; it will take so long, whatever is expected."""

    gap_s: float
    took_s: float
    priority: int
    account: str | None
    mode: str | None
    task_class: str
    length: float

    @property
    def spec(self) -> JobSpec:
        """What is asked for."""
        parameters = {"class": self.task_class, "length": self.length, "took_s": self.took_s}
        return JobSpec(
            kind="work", parameters=parameters, priority=self.priority, account=self.account, mode=self.mode
        )


@define
class _Fleet:
    """A dispatcher on a clock of its own, engines whose speeds never change, and what they run."""

    dials: Dials
    engines: list[tuple[Speeds, int]]
    clock: ManualClock = field(factory=ManualClock)
    pending: dict[str, Job] = field(factory=dict)
    running: list[Lease] = field(factory=list)
    overtakings: int = 0
    dispatcher: Dispatcher = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.dispatcher = Dispatcher(
            MemoryStorage(self.clock), kinds=[WORK], settings=self.dials, ids=SeededIds(1)
        )
        for number, (speeds, slots) in enumerate(self.engines):
            able = {name: speed for name, speed in speeds.items() if speed is not None}
            cells = tuple(Benchmark(task_class=name, units_per_s=speed) for name, speed in able.items())
            profile = Profile(kinds=("work",), slots=slots, facts={"tag": tuple(able)}, benchmarks=cells)
            self.dispatcher.register(f"e{number}", profile, session="s")

    def arrive(self, arrival: _Arrival) -> None:
        """Time passes, engines work, and a job comes."""
        self.clock.advance(arrival.gap_s)
        self.work()
        job = self.dispatcher.submit(arrival.spec)
        self.pending[job.id] = job

    def work(self) -> None:
        """Every engine ends what is done, and claims until it gets nothing."""
        now = self.clock.now_us()
        for lease in [each for each in self.running if ends_us(each) <= now]:
            self.running.remove(lease)  # nothing is learned from what is cancelled
            self.dispatcher.cancel(lease.job.id)
            self.dispatcher.give_back(lease)
        for number in range(len(self.engines)):
            while self.claim(number):
                pass

    def claim(self, number: int) -> bool:
        """An engine asks; nobody who waits for it may be overtaken by a job submitted too long after."""
        waiting = [job for job in self.pending.values() if self.waits_for(job, number)]
        leases = self.dispatcher.claim(f"e{number}", session="s")
        for lease in leases:
            self.running.append(lease)
            del self.pending[lease.job.id]
            for job in waiting:
                ahead_us = lease.job.created_us - job.created_us
                assert ahead_us <= self.bound_us(job, number) + ROUNDING_US, (job, lease.job)
                self.overtakings += ahead_us > 0
        return bool(leases)

    def waits_for(self, job: Job, number: int) -> bool:
        """Whether an engine may run a job that waits in its lane, or in everybody's."""
        assert job.ready is not None
        in_lane = job.ready.lane in (OPEN_LANE, group_lane(f"e{number}"))
        return in_lane and self.speed(job, number) is not None

    def speed(self, job: Job, number: int) -> float | None:
        """Units per second."""
        return self.engines[number][0][str(job.spec.parameters["class"])]

    def bound_us(self, job: Job, number: int) -> int:
        """The law: one cap on the engine that is best for the job, two on others; beside pushes and steps."""
        best = max(self.speed(job, other) or 0.0 for other in range(len(self.engines)))
        dials, is_best = self.dials, self.speed(job, number) == best
        caps, steps = (1, 12) if is_best else (2, 20)
        seconds = caps * dials.priority_cap_s + dials.account_push_s + steps * dials.priority_step_s
        return to_us(seconds)


def ends_us(lease: Lease) -> int:
    """When a run is over."""
    return lease.granted_us + to_us(float(str(lease.job.spec.parameters["took_s"])))


@settings(max_examples=60)
@given(dials=DIALS, engines=ENGINES, arrivals=ARRIVALS)
def test_nobody_is_overtaken_by_more_than_the_cap(
    dials: Dials, engines: list[tuple[Speeds, int]], arrivals: list[_Arrival]
) -> None:
    """However short, long, urgent or in order: an engine takes no job that was submitted so much later than one in its lane.

    By more than the cap, the pushes of accounts and twelve steps; where an engine is slow for the job, by more than
    two caps, the pushes and twenty steps.
    """
    fleet = _Fleet(dials, engines)
    with fleet.dispatcher:
        for arrival in arrivals:
            fleet.arrive(arrival)
        for _ in range(len(arrivals)):
            fleet.clock.advance(2.0)
            fleet.work()
    event(f"overtakings: {min(fleet.overtakings, 3)}")


def a_job(name: str, length: float, priority: int = 0) -> JobSpec:
    """Work of a class."""
    return JobSpec(
        kind="work", parameters={"class": name, "length": length, "took_s": 1.0}, priority=priority
    )


@pytest.mark.parametrize(("urgent", "caps"), [(False, (0, 1)), (True, (1, 2))])
def test_what_waits_for_a_slow_engine_is_served_within_the_law(urgent: bool, caps: tuple[int, int]) -> None:
    """A job that only a slow engine will soon take, against short ones that arrive every second and suit that engine.

    It waits for one cap; behind a more urgent one of its class that came later, for up to two.
    """
    dials = Dials(priority_cap_s=100.0, lease_ttl_s=86_400.0)
    fleet = _Fleet(dials, [({"a": 4.0, "b": None}, 1), ({"a": 0.2, "b": 1.0}, 1)])
    with fleet.dispatcher as dispatcher:
        dispatcher.submit(a_job("a", 10_000))
        assert dispatcher.claim("e0", session="s"), "the fast engine is busy for long"
        job = dispatcher.submit(a_job("a", 10))
        for waited_s in range(1, 400):
            fleet.clock.advance(1.0)
            if urgent and waited_s == 80:
                dispatcher.submit(a_job("a", 10, priority=8))
            dispatcher.submit(a_job("b", 0.1))
            (lease,) = dispatcher.claim("e1", session="s")
            if lease.job.id == job.id:
                break
            dispatcher.complete(lease)
    assert caps[0] * 100 < waited_s <= caps[1] * 100 + 1
