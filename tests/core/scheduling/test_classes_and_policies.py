"""Scheduling classes and policies: what is one class, and when a job counts as late."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core import (
    TRANSCODE,
    FifoPolicy,
    FlowPolicy,
    InvalidCommandError,
    JobSpec,
    Policy,
    Prospects,
    StrictPolicy,
)
from dispatch_core.kernel.scheduling.classes import Classifier, parse_requirements
from dispatch_core.kernel.scheduling.policy import Estimate, weight_of
from dispatch_core.testing import strategies as some
from dispatch_core.testing.samples import a_job
from dispatch_core.vocabulary.jobs import Job, JobSize, Pin
from tests.core.conftest import MakeDispatcher
from tests.core.house import PARAMETERS, claimed, spec, start

KINDS = {"transcode": TRANSCODE}
CAP_US = 6 * 3_600 * 1_000_000


def class_of(job_spec: JobSpec, tenant: str = "t") -> str:
    """A class id, from a classifier that remembers nothing."""
    return Classifier(KINDS, 1_000_000_000).of_spec(job_spec, tenant).id


@given(one=some.job_specs(), other=some.job_specs())
def test_one_signature_is_one_class(one: JobSpec, other: JobSpec) -> None:
    """Two jobs share a class if and only if no rule can tell them apart."""

    def signature(each: JobSpec) -> tuple[object, ...]:
        large = (each.size.size_bytes or 0) >= 1_000_000_000
        terms = frozenset({*each.requirements, f"codec has {each.parameters['codec']}"})
        return (terms, TRANSCODE.measure(each)[0], large, frozenset(each.limits))

    assert (class_of(one) == class_of(other)) is (signature(one) == signature(other))


@given(some.job_specs(), st.randoms(use_true_random=False))
def test_the_order_of_terms_does_not_matter(job_spec: JobSpec, random: Random) -> None:
    """Nor how often one is said, nor that of limits; priority, retries and exact size are not the class's at all."""
    texts = list(job_spec.requirements) * 2
    random.shuffle(texts)
    twin = JobSpec(
        parameters=job_spec.parameters,
        size=job_spec.size,
        requirements=tuple(texts),
        limits=job_spec.limits[::-1],
        note="another",
    )
    assert class_of(twin) == class_of(job_spec)
    assert class_of(twin, "t") != class_of(twin, "u")


def test_bad_requirements_are_all_named() -> None:
    """Each by its index."""
    with pytest.raises(InvalidCommandError) as refusal:
        parse_requirements(("cpus >= 1", "cpus has 1", "gpu == 1"), TRANSCODE.catalogue)
    assert [each.path for each in refusal.value.problems] == ["/requirements/1", "/requirements/2"]


def test_forgetting_classes_changes_nothing() -> None:
    """What a classifier remembers is derived: with more classes than it keeps, ids stay the same."""
    classifier = Classifier(KINDS, None)
    first = classifier.of_spec(spec(requirements=("cpus >= 1",)), "t")
    for number in range(10_050):
        classifier.of_spec(spec(), f"tenant-{number}")
    assert classifier.of_spec(spec(requirements=("cpus >= 1",)), "t") == first


def place(policy: Policy, priority: int, est_us: int, created_us: int = 10**15) -> tuple[int, int]:
    job = a_job(spec=spec(priority=priority), created_us=created_us)
    ready = policy.place(job, Classifier(KINDS, None).of(job), Prospects(best_us=est_us))
    return ready.band, ready.order_key


ONE = Prospects(best_us=1)
ESTIMATES = st.integers(0, 10**13)
PRIORITIES = st.integers(-100, 100)


@given(est=ESTIMATES, priority=PRIORITIES)
def test_a_job_counts_as_late_within_the_cap(est: int, priority: int) -> None:
    """The overtaking bound: created ≤ order_key ≤ created + cap, whatever its length and priority."""
    band, key = place(FlowPolicy(), priority, est)
    assert band == 0
    assert 10**15 <= key <= 10**15 + CAP_US
    assert place(FlowPolicy(cap_s=0), priority, est) == (0, 10**15)


@given(est=ESTIMATES, longer=ESTIMATES, priority=PRIORITIES, other=PRIORITIES)
def test_shorter_and_more_urgent_jobs_are_late_sooner(
    est: int, longer: int, priority: int, other: int
) -> None:
    """Of two jobs of the same instant the shorter one is never late later, nor the one of higher priority."""
    assert place(FlowPolicy(), priority, min(est, longer)) <= place(FlowPolicy(), priority, max(est, longer))
    assert place(FlowPolicy(), max(priority, other), est) <= place(FlowPolicy(), min(priority, other), est)


@given(est=ESTIMATES, here=ESTIMATES, best=ESTIMATES, priority=PRIORITIES)
def test_lateness_on_a_slow_engine_is_bounded(est: int, here: int, best: int, priority: int) -> None:
    """An engine slower than the best sees a job as late later, by at most the cap; the best sees the key itself."""
    policy = FlowPolicy()
    job = a_job(spec=spec(priority=priority))
    ready = policy.place(job, Classifier(KINDS, None).of(job), Prospects(best_us=est))
    job = a_job(spec=spec(priority=priority), ready=ready)
    late = policy.lateness(job, Estimate(max(here, best), min(here, best)))
    assert ready.order_key <= late <= ready.order_key + CAP_US
    assert policy.lateness(job, Estimate(best, best)) == ready.order_key


def test_the_weight_doubles_with_each_step_of_priority() -> None:
    """2^priority, from 1/16 to 256."""
    assert [weight_of(step) for step in (-100, -5, -4, -1, 0, 1, 8, 9, 100)] == [
        1 / 16,
        1 / 16,
        1 / 16,
        0.5,
        1,
        2,
        256,
        256,
        256,
    ]
    assert place(FlowPolicy(), 1, 1_000_000)[1] - 10**15 == 50_000_000
    assert place(FlowPolicy(), 0, 1_000_000)[1] - 10**15 == 100_000_000
    assert place(FlowPolicy(), -1, 1_000_000)[1] - 10**15 == 200_000_000


@given(est=ESTIMATES, priority=PRIORITIES)
def test_fifo_and_strict_order(est: int, priority: int) -> None:
    """Fifo: by submission alone. Strict: a band per priority, higher first, then by submission."""
    assert place(FifoPolicy(), priority, est) == (0, 10**15)
    assert place(StrictPolicy(), priority, est) == (-priority, 10**15)
    for policy in (FifoPolicy(), StrictPolicy()):
        job: Job = a_job(
            spec=spec(),
            ready=policy.place(a_job(spec=spec()), Classifier(KINDS, None).of(a_job(spec=spec())), ONE),
        )
        assert job.ready is not None
        assert policy.lateness(job, Estimate(9, 1)) == job.ready.order_key


def test_a_pinned_job_has_the_lane_of_its_engine() -> None:
    """Lanes say who may claim now; the class stays the same."""
    policy, classifier = FlowPolicy(), Classifier(KINDS, None)
    free, pinned = a_job(spec=spec()), a_job(spec=spec(), pin=Pin("e7"))
    places = [policy.place(job, classifier.of(job), ONE) for job in (free, pinned)]
    assert [each.lane for each in places] == ["open", "engine:e7"]
    assert places[0].class_id == places[1].class_id


@pytest.mark.checklist(12)
@pytest.mark.parametrize(
    ("policy", "order"),
    [(FifoPolicy(), [0, 1, 2, 3]), (StrictPolicy(), [3, 0, 2, 1]), (FlowPolicy(), [3, 1, 0, 2])],
    ids=["fifo", "strict", "flow"],
)
def test_policies_order_what_is_granted(
    make_dispatcher: MakeDispatcher, policy: Policy, order: list[int]
) -> None:
    """The same four jobs under three policies, granted through a real dispatcher."""
    dispatcher = make_dispatcher(policy=policy)
    start(dispatcher)
    minute = JobSize(duration_us=60_000_000)
    jobs = dispatcher.submit_many(
        [
            spec(size=JobSize(duration_us=120_000_000)),
            spec(
                size=JobSize(duration_us=10_000_000), priority=-1, parameters={**PARAMETERS, "codec": "hevc"}
            ),
            spec(size=JobSize(duration_us=300_000_000)),
            spec(size=minute, priority=5),
        ]
    )
    assert claimed(dispatcher, limit=4) == [jobs[index].id for index in order]
