"""Jobs are routed to where they cost least, left there while that pays, and never stranded."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from dispatch_core import (
    Benchmark,
    Deadline,
    Dispatcher,
    Job,
    JobSize,
    JobSpec,
    ManualClock,
    Profile,
    SeededIds,
    Settings,
)
from dispatch_core.kernel.scheduling.loads import ASKS_WITHIN_US
from dispatch_core.kernel.scheduling.rates import LENGTH_MAX_US
from dispatch_core.storage.memory import MemoryStorage
from dispatch_core.vocabulary.bounds import INT_MAX
from dispatch_core.vocabulary.clock import SECOND_US
from tests.core.conftest import MakeDispatcher


def profile(speed: float, slots: int = 1, **facts: float) -> Profile:
    """An engine that encodes H.264 at so many media seconds per second."""
    cell = Benchmark(task_class="h264/1080p/encode", units_per_s=speed)
    return Profile(slots=slots, facts={"codec": ("h264",), **facts}, benchmarks=(cell,))


def film(seconds: float, **fields: object) -> JobSpec:
    """A job of so many media seconds."""
    given: Mapping[str, object] = {"source": "a", "target": "b", "codec": "h264"}
    size = JobSize(duration_us=round(seconds * SECOND_US), height=1080)
    return JobSpec(parameters=given, size=size, **fields)  # type: ignore[arg-type]  # the fields of a spec


def claimed(dispatcher: Dispatcher, engine_id: str, limit: int = 1) -> list[str]:
    """The ids of the jobs an engine gets."""
    return [lease.job.id for lease in dispatcher.claim(engine_id, session="s", limit=limit)]


@pytest.fixture
def farm(make_dispatcher: MakeDispatcher) -> Dispatcher:
    """An engine of speed 10 and one of speed 1; both have asked for work and found none."""
    dispatcher = make_dispatcher()
    for name, speed in (("fast", 10.0), ("slow", 1.0)):
        dispatcher.register(name, profile(speed), session="s")
        assert claimed(dispatcher, name) == []
    return dispatcher


def lane(job: Job) -> str:
    """Where a job waits."""
    assert job.ready is not None
    return job.ready.lane


def test_a_job_goes_to_the_engine_that_ends_it_soonest(farm: Dispatcher) -> None:
    """It is routed to the fast engine; the slow one, idle too, leaves it there."""
    job = farm.submit(film(100))
    assert lane(job) == "group:fast"
    assert claimed(farm, "slow") == []
    assert claimed(farm, "fast") == [job.id]


def test_work_spills_to_a_slow_engine_when_it_pays(farm: Dispatcher) -> None:
    """With long work before it on the fast engine, a short job is routed to the slow one."""
    first = farm.submit(film(1_000))
    assert claimed(farm, "fast") == [first.id]
    short = farm.submit(film(20))
    assert lane(short) == "group:slow"
    assert claimed(farm, "slow") == [short.id]


def test_a_job_that_waits_is_stolen_when_that_ends_it_sooner(farm: Dispatcher, clock: ManualClock) -> None:
    """The fast engine takes longer than it should; the idle slow one takes over what waits for it."""
    first, second = farm.submit(film(100)), farm.submit(film(30))
    assert claimed(farm, "fast") == [second.id]
    assert lane(farm.job(first.id)) == "group:fast"
    assert claimed(farm, "slow") == []
    clock.advance(2_000)
    assert claimed(farm, "slow") == [first.id]


def test_nobody_leaves_work_to_an_engine_that_does_not_ask(farm: Dispatcher, clock: ManualClock) -> None:
    """An idle engine that has not asked for two minutes is not waited for."""
    job = farm.submit(film(100))
    assert claimed(farm, "slow") == []
    clock.advance(ASKS_WITHIN_US / SECOND_US + 1)
    assert claimed(farm, "slow") == [job.id]


def test_nobody_leaves_work_to_an_engine_that_is_gone(farm: Dispatcher) -> None:
    """A route is a wish: with its engine deregistered, anybody who may run the job takes it."""
    job = farm.submit(film(100))
    farm.deregister("fast")
    assert lane(farm.job(job.id)) == "group:fast"
    assert claimed(farm, "slow") == [job.id]


def test_nobody_leaves_work_to_an_engine_that_could_not_take_it(farm: Dispatcher) -> None:
    """Its disk is full, which its class does not know; once it has passed the job over, others take it."""
    farm.heartbeat("fast", session="s", disk_free_bytes=1)
    farm.heartbeat("slow", session="s", disk_free_bytes=10**12)
    job = farm.submit(film(100, requirements=("disk_free_gb >= 5",)))
    assert lane(job) == "group:fast"
    assert claimed(farm, "slow") == []
    assert claimed(farm, "fast") == []
    assert claimed(farm, "slow") == [job.id]


def test_nobody_leaves_work_to_an_engine_that_is_cordoned(farm: Dispatcher) -> None:
    """It gets nothing, so nothing is kept for it."""
    job = farm.submit(film(100))
    farm.cordon("fast", reason="disk swap")
    assert claimed(farm, "slow") == [job.id]


def run(dispatcher: Dispatcher, engine_id: str, clock: ManualClock, seconds: float) -> None:
    """Ten media seconds on an engine, in so much time."""
    job = dispatcher.submit(film(10, hold=True))
    dispatcher.assign(job.id, engine_id)
    dispatcher.release(job.id)
    (lease,) = dispatcher.claim(engine_id, session="s")
    assert lease.job.id == job.id
    clock.advance(seconds)
    dispatcher.complete(lease)


def test_speeds_are_learned_from_runs_and_read_again_at_a_start(
    storage_clock: tuple[MemoryStorage, ManualClock],
) -> None:
    """An engine that turns out to be slow, whatever its benchmark says, is given less; a new server knows, too."""
    storage, clock = storage_clock
    with Dispatcher(storage) as dispatcher:
        for name, speed in (("fast", 3.0), ("slow", 1.0)):
            dispatcher.register(name, profile(speed), session="s")
        before = dispatcher.submit(film(10))
        dispatcher.cancel(before.id)
        for _ in range(8):
            run(dispatcher, "slow", clock, 10)
            run(dispatcher, "fast", clock, 25)
        after = dispatcher.submit(film(10))
        dispatcher.cancel(after.id)
    with Dispatcher(storage) as dispatcher:
        again = dispatcher.submit(film(10))
    assert [lane(job) for job in (before, after, again)] == ["group:fast", "group:slow", "group:slow"]


@pytest.fixture
def storage_clock() -> tuple[MemoryStorage, ManualClock]:
    """A store in memory that outlives dispatchers, and its clock."""
    clock = ManualClock()
    return MemoryStorage(clock), clock


def test_an_account_that_floods_is_put_back(make_dispatcher: MakeDispatcher) -> None:
    """Jobs of an account that has queued much come behind those of one that has not; bounded by the push."""
    dispatcher = make_dispatcher(settings=Settings(account_push_s=600))
    dispatcher.register("one", profile(1.0), session="s")
    dispatcher.submit(film(60, account="quiet"))
    flood = dispatcher.submit_many([film(60, account="bulk") for _ in range(40)])
    late = dispatcher.submit(film(60, account="quiet"))
    keys = [job.ready.order_key - job.created_us for job in flood if job.ready]
    assert keys == sorted(keys)
    assert keys[-1] - keys[0] == 600 * SECOND_US
    assert late.ready is not None
    assert late.ready.order_key < flood[-1].ready.order_key  # type: ignore[union-attr]  # it waits
    order = claimed(dispatcher, "one")
    assert order[0] != flood[-1].id


def test_a_share_is_a_share(make_dispatcher: MakeDispatcher) -> None:
    """An account with twice the share is put back half as far by the same work."""
    settings = Settings(account_push_s=86_400, account_shares=("big=2",))
    dispatcher = make_dispatcher(settings=settings)
    dispatcher.register("one", profile(1.0), session="s")
    dispatcher.submit(film(60, account="other"))
    pushes = {}
    for name in ("big", "small"):
        jobs = dispatcher.submit_many([film(60, account=name) for _ in range(10)])
        keys = [job.ready.order_key - job.created_us for job in jobs if job.ready]
        pushes[name] = keys[-1] - keys[1]
    assert pushes["small"] > 1.5 * pushes["big"]


def test_a_hard_deadline_moves_a_job_forward(farm: Dispatcher, clock: ManualClock) -> None:
    """It must begin in time; a soft one leaves the order as it is."""
    soft, hard = (
        farm.submit(film(500, deadline=Deadline(at_us=clock.now_us() + 60 * SECOND_US, hard=hard)))
        for hard in (False, True)
    )
    assert soft.ready is not None
    assert hard.ready is not None
    assert hard.ready.order_key == clock.now_us() + 10 * SECOND_US
    assert soft.ready.order_key > hard.ready.order_key
    assert claimed(farm, "fast") == [hard.id]


@pytest.mark.parametrize("speed", [1e-9, 1.0])
def test_lengths_beyond_64_bits_are_reckoned_with(make_dispatcher: MakeDispatcher, speed: float) -> None:
    """No length that sizes and benchmarks allow is too much for a store, nor are the lengths of many together."""
    endless = film(0, priority=-4)
    endless = attrs.evolve(endless, size=attrs.evolve(endless.size, duration_us=INT_MAX))
    dispatcher = make_dispatcher()
    jobs = {dispatcher.submit(endless).id for _ in range(3)}
    dispatcher.register("snail", profile(speed), session="s")
    jobs |= {dispatcher.submit(endless).id for _ in range(3)}
    newcomer = make_dispatcher(ids=SeededIds(7))
    jobs.add(newcomer.submit(endless).id)
    (lease,) = newcomer.claim("snail", session="s")
    (attempt,) = newcomer.attempts(lease.job.id)
    assert attempt.estimate_us == LENGTH_MAX_US
    assert [each.engine_id for each in newcomer.explain(lease.job.id).engines] == ["snail"]
    newcomer.complete(lease)
    assert lease.job.id in jobs
    assert set(claimed(newcomer, "snail")) < jobs - {lease.job.id}
