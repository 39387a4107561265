"""Laws of every simulation, whatever the fleet, the workload, the policy and the luck."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core import Clock, FifoPolicy, Policy, Storage, StrictPolicy
from dispatch_core.simulation import (
    EngineType,
    FleetPlan,
    Outcome,
    RunOutcome,
    Work,
    Workload,
    html_report,
    simulate,
)
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.checkers import check_store

CLASSES = ("a", "b", "c")
spans = st.integers(1, 60).map(float)
speeds = st.dictionaries(st.sampled_from(CLASSES), st.sampled_from([0.5, 1.0, 3.0]), min_size=1)
policies: st.SearchStrategy[Policy | None] = st.sampled_from([None, FifoPolicy(), StrictPolicy()])


@st.composite
def fleets(draw: st.DrawFn) -> FleetPlan:
    """Up to three types, which come and go, crash and fail."""
    types = []
    for number in range(draw(st.integers(1, 3))):
        joins_s = draw(st.sampled_from([0.0, 0.0, 30.0]))
        kind = EngineType(
            name=f"t{number}",
            count=draw(st.integers(1, 3)),
            slots=draw(st.integers(1, 2)),
            speeds=draw(speeds),
            reported=draw(st.none() | speeds),
            crash_every_s=draw(st.none() | st.sampled_from([20.0, 200.0])),
            down_s=draw(st.sampled_from([(0.0, 1.0), (10.0, 400.0)])),
            straggler_rate=draw(st.sampled_from([0.0, 0.3])),
            noise_sigma=draw(st.sampled_from([0.0, 0.5])),
            fail_rate=draw(st.sampled_from([0.0, 0.0, 0.4])),
            joins_at_s=joins_s,
            leaves_at_s=draw(st.none() | st.just(joins_s + 90.0)),
        )
        types.append(kind)
    return FleetPlan(tuple(types))


works = st.builds(
    Work,
    at_s=st.sampled_from([0.0, 0.0, 1.5, 40.0, 100.0]),
    task_class=st.sampled_from(CLASSES),
    units=spans,
    work=st.none() | spans,
    priority=st.sampled_from([-1, 0, 3]),
    account=st.sampled_from(["", "x"]),
    deadline_s=st.none() | spans,
)
loads = st.lists(works, max_size=12).map(lambda each: Workload(tuple(each)))


@settings(max_examples=40, deadline=None)
@given(fleets(), loads, policies, st.integers(0, 9))
def test_whatever_happens(fleet: FleetPlan, load: Workload, policy: Policy | None, seed: int) -> None:
    """The store keeps its laws; works end once and only on engines that can; slots and lives are respected; it repeats."""
    stores: list[MemoryStorage] = []

    def kept(clock: Clock) -> Storage:
        stores.append(MemoryStorage(clock, shared=False))
        return stores[-1]

    outcome = simulate(fleet, load, policy=policy, seed=seed, storage=kept, until_s=5_000)
    check_store(stores[0])
    check_works(outcome)
    check_slots(outcome)
    check_engines(outcome, fleet)
    assert html_report([outcome]).endswith("</html>\n")
    assert outcome == simulate(fleet, load, policy=policy, seed=seed, until_s=5_000)


def check_works(outcome: Outcome) -> None:
    runs = defaultdict(list)
    for run in outcome.runs:
        runs[run.index].append(run)
    for work in outcome.works:
        mine = runs[work.index]
        assert [run.attempt for run in mine] == list(range(1, len(mine) + 1))
        assert work.attempts == len(mine)
        assert all(one.until_s <= other.from_s for one, other in pairwise(mine))
        assert all(run.from_s >= work.work.at_s - 1e-6 for run in mine)
        endings = [run.ending for run in mine]
        assert endings.count("completed") == (work.state == "completed")
        if work.state == "completed":
            assert endings[-1] == "completed"
            assert work.finished_s == mine[-1].until_s
            assert work.engine == mine[-1].engine


def check_slots(outcome: Outcome) -> None:
    by_slot: dict[tuple[str, int], list[RunOutcome]] = defaultdict(list)
    for run in sorted(outcome.runs, key=lambda each: (each.from_s, each.until_s)):
        by_slot[run.engine, run.slot].append(run)
    for mine in by_slot.values():
        assert all(one.until_s <= other.from_s for one, other in pairwise(mine))


def check_engines(outcome: Outcome, fleet: FleetPlan) -> None:
    types = dict(fleet.engines())
    for run in outcome.runs:
        kind, work = types[run.engine], outcome.works[run.index].work
        assert work.task_class in kind.speeds
        assert run.slot < kind.slots
        assert kind.joins_at_s <= run.from_s
        assert kind.leaves_at_s is None or run.from_s <= kind.leaves_at_s
    for engine in outcome.engines:
        assert -1e-6 <= engine.busy_s <= engine.alive_s * engine.slots + 1e-6
