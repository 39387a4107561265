"""The simulator: the real decisions, repeatable to the byte, and nothing lost whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import attrs
import pytest

from dispatch_core import Clock, FifoPolicy, InvalidCommandError, Settings, Storage, StrictPolicy
from dispatch_core.simulation import SETTINGS, EngineType, FleetPlan, Outcome, Work, Workload, simulate
from dispatch_core.storage import MemoryStorage, create_storage
from dispatch_core.testing.checkers import check_store
from tests.simulation.fleets import CLASSES, busy, calm, stormy


def load(*works: Work) -> Workload:
    return Workload(works)


def starts(outcome: Outcome) -> list[float | None]:
    return [work.started_s for work in outcome.works]


def order(outcome: Outcome) -> list[int]:
    """The works by the start of their first run."""
    return [run.index for run in outcome.runs if run.attempt == 1]


# ----- repeatable


def test_a_seed_gives_one_outcome_whatever_the_hash_seed() -> None:
    """Two processes with other hash seeds print one digest, and it is this process's, too."""
    found = {simulate(stormy(), busy(40), seed=5).digest()}
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "tests.simulation.fleets"]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.add(run.stdout.strip())
    assert len(found) == 1


def test_another_seed_gives_another_outcome() -> None:
    """The seed decides what goes wrong."""
    assert simulate(stormy(), busy(40), seed=5).digest() != simulate(stormy(), busy(40), seed=6).digest()


@pytest.mark.parametrize("policy", [None, FifoPolicy()])
def test_memory_and_sqlite_give_one_outcome(policy: FifoPolicy | None) -> None:
    """The store changes nothing."""
    stores: list[Storage] = []

    def on_sqlite(clock: Clock) -> Storage:
        stores.append(create_storage("sqlite://", clock=clock))
        return stores[-1]

    on_disk = simulate(stormy(), busy(50), policy=policy, seed=3, storage=on_sqlite)
    in_memory = simulate(stormy(), busy(50), policy=policy, seed=3)
    assert check_store(stores[0]) == 50
    stores[0].close()
    assert on_disk.works == in_memory.works
    assert on_disk.digest() == in_memory.digest()


# ----- nothing lost


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_work_ends_exactly_once_whatever_goes_wrong(seed: int) -> None:
    """Crashes, stragglers and failures: each work is completed by one run, and the store keeps every law."""
    stores: list[MemoryStorage] = []

    def kept(clock: Clock) -> Storage:
        stores.append(MemoryStorage(clock, shared=False))
        return stores[-1]

    outcome = simulate(stormy(), busy(seed=seed), seed=seed, storage=kept)
    assert {work.state for work in outcome.works} == {"completed"}
    done = Counter(run.index for run in outcome.runs if run.ending == "completed")
    assert done == Counter(range(80))
    assert {"crashed", "failed"} <= {run.ending for run in outcome.runs}
    assert check_store(stores[0]) == 80


def test_no_slot_runs_two_jobs_at_a_time() -> None:
    """What one run leaves of a slot, another may begin with, and no sooner; and no engine works while it is away."""
    outcome = simulate(stormy(), busy(), seed=1)
    free_from: dict[tuple[str, int], float] = {}
    for run in outcome.runs:
        assert run.from_s >= free_from.get((run.engine, run.slot), 0.0)
        free_from[run.engine, run.slot] = run.until_s
    for engine in outcome.engines:
        assert 0 <= engine.busy_s <= engine.alive_s * engine.slots + 1e-6
        assert all(run.slot < engine.slots for run in outcome.runs if run.engine == engine.name)


def test_a_crash_is_seen_when_the_lease_ends() -> None:
    """Thirty seconds after the engine was last heard its job is granted again, to an engine that is there."""
    fleet = FleetPlan(
        (
            EngineType(name="weak", speeds={"h264": 2.0}, crash_every_s=50.0, down_s=(5_000.0, 5_000.0)),
            EngineType(name="spare", speeds={"h264": 1.0}, joins_at_s=50.0),
        )
    )
    outcome = simulate(fleet, load(Work(40, "h264", 5_000)), seed=4)
    crashed, again, *_ = outcome.runs
    assert (crashed.engine, crashed.ending, again.engine) == ("weak-1", "crashed", "spare-1")
    assert again.from_s == pytest.approx(crashed.until_s + 30, abs=1)


def test_an_engine_that_comes_back_gives_its_jobs_up_at_once() -> None:
    """Its new session ends what the old one left running, before the lease does."""
    fleet = calm(crash_every_s=200.0, down_s=(2.0, 2.0))
    outcome = simulate(fleet, load(Work(0, "h264", 400)), seed=11)
    crashed = next(number for number, run in enumerate(outcome.runs) if run.ending == "crashed")
    assert outcome.runs[crashed + 1].from_s == pytest.approx(outcome.runs[crashed].until_s + 2, abs=0.001)


# ----- as a fleet behaves


def test_an_idle_engine_gets_work_the_moment_it_arrives() -> None:
    """Claims wait at the server: no poll stands between a submit and its start."""
    works = [Work(10.0 * number + 0.3, "h264", 5) for number in range(10)]
    outcome = simulate(calm(), load(*works))
    assert starts(outcome) == [work.at_s for work in works]
    assert [work.finished_s for work in outcome.works] == [pytest.approx(work.at_s + 5) for work in works]


def test_the_fastest_of_those_that_wait_is_served() -> None:
    """A job that comes while all are idle goes where it is done soonest."""
    types = [EngineType(name=f"x{speed}", speeds={"h264": float(speed)}) for speed in (2, 5, 3)]
    outcome = simulate(FleetPlan(tuple(types)), load(Work(1, "h264", 10)))
    assert outcome.works[0].engine == "x5-1"
    assert outcome.works[0].est_s == outcome.works[0].ran_s == outcome.works[0].best_s == 2.0


def test_first_come_first_served_is_just_that() -> None:
    """Under fifo the one engine starts the works in the order of their submission, whatever their priority."""
    works = [Work(number / 10, "h264", 30 - number, priority=number % 4) for number in range(12)]
    assert order(simulate(calm(), load(*works), policy=FifoPolicy())) == list(range(12))


def test_strict_bands_serve_the_highest_priority_first() -> None:
    """The first work runs at once; of the others, all present by then, priority decides, then age."""
    works = [Work(0, "h264", 100)] + [Work(1, "h264", 5, priority=number % 3) for number in range(9)]
    assert order(simulate(calm(), load(*works), policy=StrictPolicy())) == [0, 3, 6, 9, 2, 5, 8, 1, 4, 7]


@pytest.mark.parametrize(
    ("mode", "first"), [("", [2, 3, 1]), ("flow", [2, 3, 1]), ("makespan", [1, 3, 2]), ("fifo", [1, 2, 3])]
)
def test_works_of_one_mode_come_in_its_order(mode: str, first: list[int]) -> None:
    """Whatever the server's mode is; without a mode they come in that one's."""
    works = [Work(0, "h264", 50), *(Work(1, "h264", units, mode=mode) for units in (30, 1, 8))]
    server = attrs.evolve(SETTINGS, mode="fifo" if mode else "flow")
    assert order(simulate(calm(), load(*works), settings=server)) == [0, *first]


def test_the_default_policy_serves_short_works_first() -> None:
    """What weighs least on everybody's waiting goes first."""
    works = [Work(0, "h264", 50), Work(1, "h264", 40), Work(1, "h264", 10), Work(1, "h264", 20)]
    assert order(simulate(calm(), load(*works))) == [0, 2, 3, 1]


def test_a_hard_deadline_moves_a_work_forward() -> None:
    """A soft one is only counted."""
    works = [Work(0, "h264", 50)] + [Work(1, "h264", 20), Work(1, "h264", 40, deadline_s=95)]
    hard = [*works[:2], Work(1, "h264", 40, deadline_s=95, hard=True)]
    soft_out, hard_out = simulate(calm(), load(*works)), simulate(calm(), load(*hard))
    assert (order(soft_out), soft_out.deadline_hits()) == ([0, 1, 2], 0.0)
    assert (order(hard_out), hard_out.deadline_hits()) == ([0, 2, 1], 1.0)


def test_an_engine_works_between_its_joining_and_its_leaving() -> None:
    """It takes nothing before, finishes what it has, and takes nothing after."""
    fleet = calm(joins_at_s=10.0, leaves_at_s=25.0)
    outcome = simulate(fleet, load(Work(0, "h264", 10), Work(0, "h264", 10), Work(0, "h264", 10)))
    assert [(run.from_s, run.until_s) for run in outcome.runs] == [(10.0, 20.0), (20.0, 30.0)]
    assert outcome.engines[0].alive_s == 20.0
    assert [work.state for work in outcome.works] == ["completed", "completed", "open"]


def test_a_work_for_no_engine_stays_open_and_ends_nothing_else() -> None:
    """Neither a class nobody knows nor a requirement nobody meets keeps a simulation from ending."""
    works = [Work(0, "vp9", 1), Work(0, "h264", 1, requirements=("memory_gb >= 64",)), Work(0, "h264", 1)]
    outcome = simulate(calm(crash_every_s=100.0), load(*works))
    assert [work.state for work in outcome.works] == ["open", "open", "completed"]


def test_time_may_be_limited() -> None:
    """What still runs at the end is open, and its engine was busy until then."""
    outcome = simulate(calm(), load(Work(0, "h264", 100)), until_s=30)
    assert (outcome.until_s, outcome.works[0].state, outcome.runs[0].ending) == (30.0, "open", "running")
    assert outcome.engines[0].busy_s == 30.0


def test_short_leases_are_renewed_while_the_engine_lives() -> None:
    """A run of an hour keeps a lease of a minute, even though ticks look at it meanwhile."""
    settings = Settings(lease_ttl_s=60.0)
    outcome = simulate(calm(2, fail_rate=0.5), load(*[Work(0, "h264", 3_600)] * 4), settings=settings, seed=2)
    assert {work.state for work in outcome.works} == {"completed"}
    assert {run.ending for run in outcome.runs} == {"completed", "failed"}


def test_luck_does_not_depend_on_the_policy() -> None:
    """The same attempt of the same work takes the same time on the same type, whoever decides."""
    fleet = calm(noise_sigma=0.5)
    works = [Work(0, "h264", 10, priority=number) for number in range(5)]
    spans = [
        {run.index: round(run.until_s - run.from_s, 5) for run in simulate(fleet, load(*works), policy=each).runs}
        for each in (FifoPolicy(), StrictPolicy())
    ]  # fmt: skip
    assert spans[0] == spans[1]
    assert len(set(spans[0].values())) == 5


def test_progress_is_told() -> None:
    """How many works have ended, up to all of them."""
    told: list[tuple[int, int]] = []
    simulate(calm(), load(*[Work(0, "h264", 1)] * 3), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


# ----- what is refused


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: EngineType(name="a b", speeds={}),
        lambda: EngineType(name="a", speeds={"x": 0.0}),
        lambda: EngineType(name="a", speeds={}, down_s=(5.0, 1.0)),
        lambda: EngineType(name="a", speeds={}, joins_at_s=5.0, leaves_at_s=5.0),
        lambda: FleetPlan((EngineType(name="a", speeds={}), EngineType(name="a", speeds={}))),
        lambda: load(Work(-1, "x", 1)),
        lambda: load(Work(0, " x", 1)),
        lambda: load(Work(0, "x", 0)),
        lambda: simulate(calm(), load(Work(0, CLASSES[0], 1, requirements=("nonsense",)))),
    ],
)  # fmt: skip
def test_unfit_values_are_refused(wrong: Callable[[], object]) -> None:
    """With the errors that everything else uses, before anything runs."""
    with pytest.raises(InvalidCommandError):
        wrong()


def test_a_bad_requirement_is_told_before_anything_runs() -> None:
    """With the place of its work, though the work would come only tomorrow."""
    works = (Work(0, "h264", 1), Work(86_400, "h264", 1, requirements=("tag has a", "nonsense")))
    with pytest.raises(InvalidCommandError) as refused:
        simulate(calm(), Workload(works))
    assert [each.path for each in refused.value.problems] == ["/works/1/requirements/1"]
