"""Jobs of modes of their own: placed as their mode says, among others, on the one scale of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core import (
    JOB_MODES,
    Benchmark,
    Dispatcher,
    Edit,
    FlowPolicy,
    InvalidCommandError,
    Job,
    JobKind,
    JobSpec,
    ManualClock,
    ModesPolicy,
    Profile,
    Prospects,
    Ready,
    Route,
    SeededIds,
    Settings,
)
from dispatch_core.kernel.scheduling.classes import Classifier
from dispatch_core.kernel.scheduling.modes import MODES, policy_of
from dispatch_core.kernel.scheduling.policy import Estimate
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.samples import a_job
from dispatch_core.vocabulary.commands import Submit, Update
from dispatch_core.vocabulary.jobs import Deadline
from tests.core.conftest import MakeDispatcher
from tests.core.house import claimed, names, start

NOW = 10**15
BACKUP = JobKind(name="backup", units=lambda parameters, _size: float(str(parameters["minutes"])) * 60)
CLASSIFIER = Classifier({"backup": BACKUP}, None)
FLOW = FlowPolicy(cap_s=600.0)
CAP_US = 600_000_000
LENGTHS = st.integers(0, 20 * CAP_US)
ROUTES = st.lists(
    st.builds(
        Route,
        group=st.sampled_from(["a", "b"]),
        here_us=LENGTHS,
        wait_us=LENGTHS,
        free_us=LENGTHS,
        backlog_us=LENGTHS,
        behind=st.floats(0, 100),
    ),
    max_size=3,
)


def a_backup(mode: str | None = None, **fields: object) -> JobSpec:
    """A backup of two minutes."""
    return JobSpec(**{"kind": "backup", "parameters": {"minutes": 2}, "mode": mode, **fields})  # type: ignore[arg-type]


def placed(policy: ModesPolicy, spec: JobSpec, prospects: Prospects) -> Job:
    """A job in its place."""
    job = a_job(spec=spec, created_us=NOW)
    return attrs.evolve(job, ready=policy.place(job, CLASSIFIER.of(job), prospects))


def place(policy: ModesPolicy, spec: JobSpec, best_us: int) -> Ready:
    """The place of a job of some length where it has no route."""
    ready = placed(policy, spec, Prospects(best_us=best_us)).ready
    assert ready is not None
    return ready


@given(
    server=st.sampled_from(MODES), own=st.none() | st.sampled_from(JOB_MODES), priority=st.integers(-100, 100),
    best=LENGTHS, routes=ROUTES, push=LENGTHS, here=LENGTHS, hard=st.booleans(),
)  # fmt: skip
def test_a_job_is_as_the_policy_of_its_mode_alone_would_have_it(
    server: str,
    own: str | None,
    priority: int,
    best: int,
    routes: list[Route],
    push: int,
    here: int,
    hard: bool,
) -> None:
    """Place, lateness and what is left to others, bands apart; without a mode of its own those of the server's."""
    due = Deadline(at_us=NOW + best, hard=True) if hard else None
    spec = a_backup(own, priority=priority, deadline=due)
    prospects = Prospects(best_us=best, routes=routes, push_us=push)
    modes, plain = ModesPolicy(mode=server, flow=FLOW), policy_of(own or server, FLOW)
    job = placed(modes, spec, prospects)
    assert job.ready is not None
    expected = plain.place(job, CLASSIFIER.of(job), prospects)
    assert job.ready == (expected if own is None else attrs.evolve(expected, band=job.ready.band))
    estimate = Estimate(max(here, best), best)
    assert modes.lateness(job, estimate) == plain.lateness(job, estimate)
    assert [modes.leaves(job, here, each) for each in routes] == [
        plain.leaves(job, here, each) for each in routes
    ]
    assert modes.own_mode(job) == (None if own == server else own)


@pytest.mark.parametrize("server", MODES)
@given(own=st.sampled_from(JOB_MODES), priority=st.integers(-100, 100), best=LENGTHS, here=LENGTHS)
def test_keys_of_all_modes_are_within_one_cap(
    server: str, own: str, priority: int, best: int, here: int
) -> None:
    """A job counts as late between its submission and one cap later, on an engine that is slow for it two caps.

    The band is the priority under strict bands, and else none.
    """
    policy = ModesPolicy(mode=server, flow=FLOW)
    job = placed(policy, a_backup(own, priority=priority), Prospects(best_us=best))
    assert job.ready is not None
    assert job.ready.band == (-priority if server == "strict-bands" else 0)
    assert NOW <= job.ready.order_key <= NOW + CAP_US
    assert policy.lateness(job, Estimate(best, best)) == job.ready.order_key
    assert job.ready.order_key <= policy.lateness(job, Estimate(max(here, best), best)) <= NOW + 2 * CAP_US


@given(short=LENGTHS, more=st.integers(1, CAP_US), priority=st.integers(-4, 8))
def test_each_mode_has_its_own_order_of_lengths(short: int, more: int, priority: int) -> None:
    """Of two jobs of one instant flow has the shorter first, makespan the longer (up to the cap), fifo neither."""
    long = short + more

    def keys(mode: str) -> list[int]:
        return [
            place(ModesPolicy(flow=FLOW), a_backup(mode, priority=priority), best).order_key
            for best in (short, long)
        ]

    assert keys("flow")[0] <= keys("flow")[1]
    assert keys("makespan")[0] > keys("makespan")[1] or short >= CAP_US
    assert keys("fifo") == [NOW, NOW]


def test_a_mode_is_routed_as_its_policy_routes() -> None:
    """Flow where it costs least, makespan where it ends first, fifo nowhere; the band takes no route away."""
    quick = Route(group="quick", here_us=10, wait_us=0, free_us=900, backlog_us=900, behind=0.0)
    empty = Route(group="empty", here_us=100, wait_us=100, free_us=0, backlog_us=0, behind=0.0)
    for server in MODES:
        lanes = [
            place_of.lane
            for own in JOB_MODES
            if (place_of := placed(
                ModesPolicy(mode=server, flow=FLOW), a_backup(own), Prospects(best_us=10, routes=iter((quick, empty)))
            ).ready) is not None
        ]  # fmt: skip
        assert lanes == ["group:quick", "group:empty", "open"]


# ----- through the dispatcher


def granted(dispatcher: Dispatcher, known: Mapping[str, str]) -> list[str]:
    """The names of what one engine is given, in that order."""
    start(dispatcher, kinds=("backup",), slots=9)
    return [known[each] for each in claimed(dispatcher, limit=len(known))]


def by_note(dispatcher: Dispatcher, specs: Sequence[tuple[str, JobSpec]]) -> dict[str, str]:
    """The names of submitted jobs by id."""
    jobs = dispatcher.submit_many([attrs.evolve(spec, note=name) for name, spec in specs])
    return {job.id: job.spec.note for job in jobs}


def test_modes_mix_in_one_queue(make_dispatcher: MakeDispatcher) -> None:
    """Fifo counts as late at once, flow after its length, makespan the later the shorter it is."""
    dispatcher = make_dispatcher(kinds=[BACKUP])
    known = by_note(
        dispatcher,
        [
            ("short batch", a_backup("makespan")),
            ("long batch", a_backup("makespan", parameters={"minutes": 240})),
            ("everyday", a_backup()),
            ("in order", a_backup("fifo", parameters={"minutes": 600})),
        ],
    )
    assert granted(dispatcher, known) == [
        "in order", "long batch", "everyday", "short batch"
    ]  # fmt: skip


def test_under_strict_bands_priority_goes_before_mode(make_dispatcher: MakeDispatcher) -> None:
    """Nobody leaves the band of his priority; within it a makespan job has its own key."""
    dispatcher = make_dispatcher(kinds=[BACKUP], settings=Settings(mode="strict-bands"))
    known = by_note(
        dispatcher,
        [
            ("low, in order", a_backup("fifo")),
            ("high, batch", a_backup("makespan", priority=5)),
            ("high", a_backup(priority=5)),
            ("highest", a_backup("flow", priority=6)),
        ],
    )
    assert granted(dispatcher, known) == [
        "highest", "high", "high, batch", "low, in order"
    ]  # fmt: skip


def test_bands_are_no_mode_of_a_job(make_dispatcher: MakeDispatcher) -> None:
    """The refusal names the field, says why, and what to do instead."""
    dispatcher = make_dispatcher(kinds=[BACKUP])
    job = dispatcher.submit(a_backup())
    for command in (
        Submit(specs=(a_backup("strict-bands"),)),
        Update(job_id=job.id, edit=Edit(mode="strict-bands")),
    ):
        with pytest.raises(InvalidCommandError) as refusal:
            dispatcher.execute(command)
        (problem,) = refusal.value.problems
        assert problem.path.endswith("/mode")
        assert "flow or makespan or fifo" in problem.message
        assert "of the whole queue: dispatch serve --mode strict-bands" in problem.message


def test_rekeying_keeps_a_jobs_own_mode(make_dispatcher: MakeDispatcher) -> None:
    """A change of the server's mode moves the jobs without one, and no other."""
    before = make_dispatcher(kinds=[BACKUP])
    own, follows = before.submit(a_backup("fifo")), before.submit(a_backup())
    after = make_dispatcher(kinds=[BACKUP], settings=Settings(mode="makespan"))
    assert after.rekey().moved == 1
    assert after.job(own.id).ready == own.ready
    assert after.job(follows.id).ready != follows.ready


def test_a_mode_is_edited_while_a_job_waits(make_dispatcher: MakeDispatcher) -> None:
    """A fact of its history; the job is placed anew at once, and null gives it back to the server."""
    dispatcher = make_dispatcher(kinds=[BACKUP])
    job = dispatcher.submit(a_backup())
    edited = dispatcher.update(job.id, Edit(mode="fifo"))
    assert (edited.spec.mode, edited.version) == ("fifo", 2)
    assert edited.ready is not None
    assert edited.ready.order_key == job.created_us
    assert names(dispatcher.history(job.id)) == ["job-submitted", "job-edited"]
    back = dispatcher.update(job.id, Edit(mode=None))
    assert (back.spec, back.ready) == (job.spec, job.ready)


def test_explain_tells_a_mode_that_is_not_the_servers(make_dispatcher: MakeDispatcher) -> None:
    """Silent about a mode that changes nothing, and where a policy of one's own decides."""
    told = {}
    for name, dispatcher in (
        ("modes", make_dispatcher(kinds=[BACKUP])),
        ("own policy", make_dispatcher(kinds=[BACKUP], policy=FlowPolicy())),
    ):
        jobs = dispatcher.submit_many([a_backup(mode) for mode in (None, "flow", "fifo")])
        told[name] = [dispatcher.explain(job.id).mode for job in jobs]
    assert told == {"modes": [None, None, "fifo"], "own policy": [None, None, None]}


def test_a_policy_of_ones_own_knows_no_modes(make_dispatcher: MakeDispatcher) -> None:
    """It is used as it is given: what it does with a job's mode is its own affair."""
    dispatcher = make_dispatcher(kinds=[BACKUP], policy=FlowPolicy())
    one, other = dispatcher.submit_many([a_backup("fifo"), a_backup()])
    assert one.ready is not None
    assert other.ready is not None
    assert other.ready.order_key - one.ready.order_key == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from([None, "flow", "makespan", "fifo", "fifo"]),
        st.sampled_from([0.1, 5.0, 300.0]),
        st.integers(-4, 8),
        st.sampled_from([0.001, 1.0, 30.0]),
        st.booleans(),
    ),
    min_size=4,
    max_size=25,
)


@settings(max_examples=60)
@given(
    steps=STEPS,
    server=st.sampled_from(["flow", "makespan", "fifo"]),
    speeds=st.lists(st.floats(0.1, 8), min_size=1, max_size=3),
)
def test_a_fifo_campaign_starts_in_the_order_of_submission(
    steps: list[tuple[str | None, float, int, float, bool]], server: str, speeds: list[float]
) -> None:
    """Among its own, whatever their lengths and priorities, and whatever other modes are in the queue."""
    clock = ManualClock()
    storage, dials = MemoryStorage(clock), Settings(mode=server, lease_ttl_s=86_400.0)
    started: list[str] = []
    with Dispatcher(storage, kinds=[BACKUP], settings=dials, ids=SeededIds(1)) as dispatcher:
        for number, speed in enumerate(speeds):
            cells = (Benchmark(task_class="any", units_per_s=speed),)
            dispatcher.register(f"e{number}", Profile(kinds=("backup",), benchmarks=cells), session="s")
        submitted: list[str] = []

        def serve() -> None:
            for number in range(len(speeds)):
                for lease in dispatcher.claim(f"e{number}", session="s"):
                    dispatcher.complete(lease)
                    if lease.job.spec.mode == "fifo":
                        started.append(lease.job.id)

        for mode, minutes, priority, gap_s, claims in steps:
            campaign = "series" if mode == "fifo" else None
            parameters = {"minutes": minutes}
            spec = a_backup(mode, parameters=parameters, priority=priority, campaign=campaign)
            job = dispatcher.submit(spec)
            submitted += [job.id] if mode == "fifo" else []
            clock.advance(gap_s)
            if claims:
                serve()
        for _ in range(3 * len(steps)):
            clock.advance(5.0)
            serve()
    assert started == submitted
