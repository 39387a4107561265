"""Hypothesis strategies for jobs, engines, fleets, workloads and faults. Public, and versioned like every other name.

Every strategy draws what the core accepts. Arguments narrow it: ``kind`` to jobs and engines of a kind of your own,
``facts`` to the values that engines have and requirements name, ``parameters`` to what jobs are about. Given the same
``kind`` and ``facts``, ``capable`` is an engine that can run all that ``job_specs`` draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from dispatch_core.simulation.fleet import EngineType, FleetPlan
from dispatch_core.simulation.workload import Work, Workload
from dispatch_core.testing.faults import CommitFault, Mishap
from dispatch_core.testing.shapes import Strategies, parameters_of
from dispatch_core.vocabulary.attempts import Progress
from dispatch_core.vocabulary.clock import SECOND_US, ManualClock
from dispatch_core.vocabulary.engines import Benchmark, Profile
from dispatch_core.vocabulary.facts import FactType, FactValue, version_key
from dispatch_core.vocabulary.jobs import (
    JOB_MODES,
    Deadline,
    JobError,
    JobSize,
    JobSpec,
    LadderStep,
    LimitUse,
    Retry,
    Timeouts,
)
from dispatch_core.vocabulary.kinds import TRANSCODE, JobKind
from dispatch_core.vocabulary.limits import LimitScope, LimitSpec

Values = Mapping[str, Sequence[str | int | float | bool]]
"""The values each fact may have; of a set, the texts that may be in it."""

CODECS = ("h264", "hevc", "av1", "vp9")
FFMPEG = ("5.1", "6.1.1", "7.0", "9.0.2")
REQUIREMENTS = ("ffmpeg >= 6", "ffmpeg < 9", "streaming == true", "tag has fast", "prefer tag has fast")
ACCOUNTS = ("films", "news")
CAMPAIGNS = ("spring", "archive")
LIMIT_KEYS = ("licence", "io:read")
TASK_CLASSES = ("easy", "hard")
_TRANSCODE_VALUES: Values = {
    "codec": CODECS, "ffmpeg": FFMPEG, "streaming": (False, True), "tag": ("fast", "new"),
}  # fmt: skip
_USUAL: Mapping[FactType, Sequence[str | int | float | bool]] = {
    FactType.TEXT: ("one", "two"),
    FactType.NUMBER: (1, 4, 16),
    FactType.BOOL: (False, True),
    FactType.VERSION: ("1.0", "2.3.1", "10.0"),
    FactType.SET: ("red", "green", "blue"),
}


# ----- jobs


def job_specs(
    *,
    kind: JobKind = TRANSCODE,
    parameters: Strategies | None = None,
    facts: Values | None = None,
    accounts: Sequence[str] = ACCOUNTS,
    modes: Sequence[str] = JOB_MODES,
    limit_keys: Sequence[str] = LIMIT_KEYS,
    ladders: bool = True,
    deadlines: bool = True,
    limits: bool = True,
    holds: bool = True,
) -> SearchStrategy[JobSpec]:
    """Jobs of a kind: of all priorities and sizes, with an account, a campaign, a mode of their own, a deadline, a ladder
    and limits, or without.

    ``parameters`` gives strategies for fields of the kind's shape (needed where there is no shape); the others are
    derived from it. Requirements are about ``facts``; ``limit_keys`` are the limits that jobs use units of. ``limits``
    are those of queue, run and progress; ``holds`` are jobs that wait for a release.
    """
    span = st.none() | st.sampled_from((5.0, 40.0, 200.0))
    terms = requirements(kind=kind, facts=facts)
    return st.builds(
        JobSpec,
        kind=st.just(kind.name),
        parameters=_parameters(kind, parameters),
        priority=st.integers(-6, 10) | st.integers(-100, 100),
        size=job_sizes(),
        requirements=terms,
        ladder=_ladders(kind, terms) if ladders else st.just(()),
        limits=limit_uses(limit_keys),
        account=_perhaps(accounts),
        campaign=_perhaps(CAMPAIGNS),
        mode=_perhaps(modes),
        retry=st.builds(Retry, max_attempts=st.integers(1, 4)),
        timeouts=st.builds(Timeouts, queue_s=span, run_s=span, no_progress_s=span)
        if limits
        else st.just(Timeouts()),
        deadline=st.none() | job_deadlines() if deadlines else st.none(),
        hold=st.booleans() if holds else st.just(False),
    )


def _perhaps(names: Sequence[str]) -> SearchStrategy[str | None]:
    return st.none() | st.sampled_from(names) if names else st.none()


def _parameters(kind: JobKind, fields: Strategies | None) -> SearchStrategy[dict[str, object]]:
    if kind is TRANSCODE and fields is None:
        return st.fixed_dictionaries(
            {"source": st.just("in.mp4"), "target": st.just("out.mp4"), "codec": st.sampled_from(CODECS)}
        )
    return parameters_of(kind, fields)


def requirements(
    *, kind: JobKind = TRANSCODE, facts: Values | None = None
) -> SearchStrategy[tuple[str, ...]]:
    """Up to two terms, required or preferred; the engine ``capable`` of equal arguments meets them all."""
    if kind is TRANSCODE and facts is None:
        terms = list(REQUIREMENTS)
    else:
        terms = [term for name, each in (facts or {}).items() for term in _terms(kind, name, each)]
    some = st.lists(st.sampled_from(terms), max_size=2, unique=True) if terms else st.just([])
    return some.map(tuple)


def _terms(kind: JobKind, fact: str, values: Sequence[str | int | float | bool]) -> list[str]:
    sort = kind.catalogue[fact]
    if sort is FactType.SET:
        found = [f"{fact} has {each}" for each in values]
    elif sort in (FactType.NUMBER, FactType.VERSION):
        found = [f"{fact} >= {each}" for each in values]
    else:
        found = [f"{fact} == {str(_best(sort, values)).lower() if sort is FactType.BOOL else values[-1]}"]
    return [*found, f"prefer {found[-1]}"]


def _best(sort: FactType, values: Sequence[str | int | float | bool]) -> FactValue:
    """The value that meets every term that ``requirements`` draws of such a fact."""
    match sort:
        case FactType.SET:
            return tuple(str(each) for each in values)
        case FactType.VERSION:
            return max((str(each) for each in values), key=version_key)
        case FactType.TEXT:
            return values[-1]
        case _:
            return max(values)


def ladders(
    *, kind: JobKind = TRANSCODE, facts: Values | None = None
) -> SearchStrategy[tuple[LadderStep, ...]]:
    """No ladder, or one of up to three steps to other terms; for transcodes also to another codec, or to both."""
    return _ladders(kind, requirements(kind=kind, facts=facts))


def _ladders(kind: JobKind, terms: SearchStrategy[tuple[str, ...]]) -> SearchStrategy[tuple[LadderStep, ...]]:
    codec = st.fixed_dictionaries({"codec": st.sampled_from(CODECS)})
    loose = st.builds(
        LadderStep,
        after_s=st.just(1.0),
        requirements=st.just(()) | terms.map(lambda each: each[:1]),
        parameters=st.none() | codec if kind is TRANSCODE else st.none(),
    )
    spans = st.sampled_from((1.0, 7.0, 60.0))
    steps = st.lists(st.tuples(spans, loose), max_size=3)
    return st.just(()) | steps.map(_one_after_the_other)


def _one_after_the_other(steps: Sequence[tuple[float, LadderStep]]) -> tuple[LadderStep, ...]:
    ends = accumulate(span for span, _ in steps)
    return tuple(attrs.evolve(step, after_s=end) for end, (_, step) in zip(ends, steps, strict=True))


def limit_uses(keys: Sequence[str] = LIMIT_KEYS) -> SearchStrategy[tuple[LimitUse, ...]]:
    """Mostly nothing; else one or two units of one or two of these limits."""
    if not keys:
        return st.just(())
    use = st.builds(LimitUse, key=st.sampled_from(keys), units=st.integers(1, 2))
    uses = st.lists(use, min_size=1, max_size=2, unique_by=lambda each: each.key)
    return st.just(()) | uses.map(tuple)


def limit_specs() -> SearchStrategy[LimitSpec]:
    """Limits of a few units at a time, of a few starts per second, or both; of the fleet or of each engine."""
    spec = st.builds(
        LimitSpec,
        capacity=st.none() | st.integers(0, 3),
        rate_per_s=st.none() | st.sampled_from((0.01, 0.5)),
        burst=st.integers(1, 3),
        per=st.sampled_from(LimitScope),
    )
    return spec.filter(lambda each: (each.capacity, each.rate_per_s) != (None, None))


def job_sizes() -> SearchStrategy[JobSize]:
    """Sizes from nothing known to everything known, up to a long film in 4K."""
    return st.builds(
        JobSize,
        size_bytes=st.none() | st.integers(0, 50_000_000_000),
        duration_us=st.none() | st.integers(0, 4 * 3_600_000_000),
        height=st.none() | st.sampled_from((144, 360, 720, 1_080, 2_160)),
    )


def job_deadlines(*, within_s: float = 7_200.0) -> SearchStrategy[Deadline]:
    """Deadlines, soft and hard, up to so many seconds around the first instant of a ``ManualClock``."""
    start_us, span_us = ManualClock().now_us(), round(within_s * SECOND_US)
    return st.builds(Deadline, at_us=st.integers(start_us - span_us, start_us + span_us), hard=st.booleans())


# ----- engines


def profiles(
    *,
    kind: JobKind = TRANSCODE,
    facts: Values | None = None,
    task_classes: Sequence[str] | None = None,
    slots_max: int = 3,
) -> SearchStrategy[Profile]:
    """Engines for a kind, fast or slow, with some of the values of each fact, and measured speeds or none.

    Facts are those of the kind with values of every type, or what ``facts`` says; facts that all kinds have (such
    as ``memory_gb``) only if ``facts`` names them, and an engine may not tell them. ``task_classes`` are the
    classes its benchmarks are about.
    """
    values = values_of_facts(kind, facts)
    drawn = {name: _drawn(kind, name, each) for name, each in values.items()}
    told = {name: each for name, each in drawn.items() if name in kind.facts}
    spare = {name: each for name, each in drawn.items() if name not in kind.facts}
    usual = [f"{codec}/1080p/encode" for codec in CODECS] if kind is TRANSCODE else ["any"]
    cell = st.builds(
        Benchmark, task_class=st.sampled_from(task_classes or usual), units_per_s=st.floats(0.1, 50)
    )
    return st.builds(
        Profile,
        kinds=st.just((kind.name,)),
        slots=st.integers(1, slots_max),
        facts=st.fixed_dictionaries(told, optional=spare),
        benchmarks=st.lists(cell, max_size=3, unique_by=lambda each: each.task_class).map(tuple),
        size_bytes_max=st.none() | st.integers(1_000_000, 10_000_000_000),
    )


def values_of_facts(kind: JobKind, facts: Values | None = None) -> Values:
    """The values that engines of a kind draw their facts from: ``facts``, else usual ones of each fact's type."""
    if kind is TRANSCODE and facts is None:
        return _TRANSCODE_VALUES
    return {**{name: _USUAL[sort] for name, sort in kind.facts.items()}, **(facts or {})}


def _drawn(kind: JobKind, fact: str, values: Sequence[str | int | float | bool]) -> SearchStrategy[FactValue]:
    if kind.catalogue[fact] is not FactType.SET:
        return st.sampled_from(values)
    texts = st.sampled_from([str(each) for each in values])
    some = st.lists(texts, min_size=int(fact in kind.facts), unique=True)
    return some.map(lambda drawn: tuple(sorted(drawn)))


def capable(*, kind: JobKind = TRANSCODE, facts: Values | None = None, slots: int = 50) -> Profile:
    """The profile (not a strategy) of an engine that meets all ``requirements``, with the best value of each fact."""
    values = values_of_facts(kind, facts)
    best = {name: _best(kind.catalogue[name], each) for name, each in values.items()}
    if kind is TRANSCODE and facts is None:
        best["ffmpeg"] = "8.0"  # old enough for `ffmpeg < 9`
    return Profile(kinds=(kind.name,), slots=slots, facts=best)


# ----- whole fleets, for the simulator


def engine_types(
    *, name: str = "engine", task_classes: Sequence[str] = TASK_CLASSES, faults: bool = True
) -> SearchStrategy[EngineType]:
    """Up to three equal engines for some of the task classes; with ``faults`` they crash, straggle and fail."""
    rate = st.sampled_from((0.0, 0.1, 0.5)) if faults else st.just(0.0)
    return st.builds(
        EngineType,
        name=st.just(name),
        speeds=st.dictionaries(st.sampled_from(task_classes), st.floats(0.1, 20), min_size=1),
        count=st.integers(1, 3),
        slots=st.integers(1, 3),
        crash_every_s=st.none() | st.sampled_from((200.0, 2_000.0)) if faults else st.none(),
        down_s=st.sampled_from(((1.0, 20.0), (60.0, 600.0))),
        straggler_rate=rate,
        noise_sigma=st.sampled_from((0.0, 0.3)) if faults else st.just(0.0),
        fail_rate=rate,
        joins_at_s=st.sampled_from((0.0, 30.0)),
    )


def fleet_plans(
    *, task_classes: Sequence[str] = TASK_CLASSES, types_max: int = 3, faults: bool = True
) -> SearchStrategy[FleetPlan]:
    """Fleets for ``simulate``. The first engine is sound and runs every class, so that every work can end."""
    sound = st.fixed_dictionaries({each: st.floats(0.5, 20) for each in task_classes}).map(
        lambda speeds: EngineType(name="sound", speeds=speeds)
    )
    others = [
        engine_types(name=f"type-{number}", task_classes=task_classes, faults=faults)
        for number in range(1, types_max)
    ]
    several = st.integers(0, len(others)).flatmap(lambda count: st.tuples(sound, *others[:count]))
    return several.map(FleetPlan)


def workloads(
    *,
    task_classes: Sequence[str] = TASK_CLASSES,
    works_max: int = 12,
    within_s: float = 600.0,
    accounts: Sequence[str] = ACCOUNTS,
    modes: Sequence[str] = JOB_MODES,
    deadlines: bool = True,
) -> SearchStrategy[Workload]:
    """Works for ``simulate``: within so many seconds, of equal or different instants, with lengths known or not."""
    units = st.floats(0.5, 600)
    work = st.builds(
        Work,
        st.integers(0, round(within_s)).map(float),
        st.sampled_from(task_classes),
        units,
        work=st.none() | units,
        priority=st.integers(-10, 10),
        account=st.sampled_from(("", *accounts)),
        campaign=st.sampled_from(("", *CAMPAIGNS)),
        mode=st.sampled_from(("", *modes)),
        deadline_s=st.none() | st.sampled_from((10.0, 300.0)) if deadlines else st.none(),
    )
    return st.lists(work, max_size=works_max).map(lambda works: Workload(tuple(works)))


# ----- what goes wrong


def job_errors() -> SearchStrategy[JobError]:
    """Failures of every class, some that no retry can mend, with text no store must choke on."""
    return st.builds(
        JobError,
        failure_class=st.sampled_from(
            ("input", "engine", "resource", "timeout", "lost", "policy", "strange")
        ),
        message=st.text(max_size=20),
        retryable=st.booleans(),
    )


def commit_faults() -> SearchStrategy[CommitFault]:
    """Where a commit fails: before or after it took effect."""
    return st.sampled_from(CommitFault)


def mishaps(
    *, engines_max: int = 4, mishaps_max: int = 4, within_s: float = 600.0
) -> SearchStrategy[list[Mishap]]:
    """What befalls the engines of a ``Fleet`` within so many seconds, in the order of time."""
    one = st.builds(
        Mishap,
        after_s=st.integers(0, round(within_s)).map(float),
        engine=st.integers(0, engines_max - 1),
        down_s=st.sampled_from((1.0, 45.0, 400.0)),
    )
    return st.lists(one, max_size=mishaps_max).map(lambda some: sorted(some, key=lambda each: each.after_s))


def progresses() -> SearchStrategy[Progress]:
    """Progress reports."""
    return st.builds(Progress, fraction=st.floats(0, 1), speed=st.none() | st.floats(0, 100))
