"""Hypothesis strategies for jobs, engines and fleets. Public and versioned like every other name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from dispatch_core.vocabulary.attempts import Progress
from dispatch_core.vocabulary.engines import Benchmark, Profile
from dispatch_core.vocabulary.jobs import JobError, JobSize, JobSpec, LadderStep, LimitUse, Retry, Timeouts
from dispatch_core.vocabulary.limits import LimitScope, LimitSpec

CODECS = ("h264", "hevc", "av1", "vp9")
FFMPEG = ("5.1", "6.1.1", "7.0", "9.0.2")
LIMIT_KEYS = ("licence", "io:read")
REQUIREMENTS = ("ffmpeg >= 6", "ffmpeg < 9", "streaming == true", "tag has fast", "prefer tag has fast")


def job_sizes() -> SearchStrategy[JobSize]:
    """Sizes from nothing known to everything known, up to a long film in 4K."""
    return st.builds(
        JobSize,
        size_bytes=st.none() | st.integers(0, 50_000_000_000),
        duration_us=st.none() | st.integers(0, 4 * 3_600_000_000),
        height=st.none() | st.sampled_from((144, 360, 720, 1_080, 2_160)),
    )


def ladders() -> SearchStrategy[tuple[LadderStep, ...]]:
    """No ladder, or one of up to three steps, each of them to another codec, to fewer terms, or to both."""
    loose = st.builds(
        LadderStep,
        after_s=st.just(1.0),
        requirements=st.just(()) | st.tuples(st.sampled_from(REQUIREMENTS)),
        parameters=st.none() | st.fixed_dictionaries({"codec": st.sampled_from(CODECS)}),
    )
    spans = st.sampled_from((1.0, 7.0, 60.0))
    steps = st.lists(st.tuples(spans, loose), max_size=3)
    return st.just(()) | steps.map(_one_after_the_other)


def _one_after_the_other(steps: Sequence[tuple[float, LadderStep]]) -> tuple[LadderStep, ...]:
    ends = accumulate(span for span, _ in steps)
    return tuple(attrs.evolve(step, after_s=end) for end, (_, step) in zip(ends, steps, strict=True))


def limit_uses() -> SearchStrategy[tuple[LimitUse, ...]]:
    """Mostly nothing; else one or two units of one or both keys of ``LIMIT_KEYS``."""
    use = st.builds(LimitUse, key=st.sampled_from(LIMIT_KEYS), units=st.integers(1, 2))
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


def job_specs(*, limits: bool = True, holds: bool = True) -> SearchStrategy[JobSpec]:
    """Transcodes of all codecs, priorities and sizes; with ``limits`` also queue, run and progress limits."""
    parameters = st.fixed_dictionaries(
        {"source": st.just("in.mp4"), "target": st.just("out.mp4"), "codec": st.sampled_from(CODECS)}
    )
    span = st.none() | st.sampled_from((5.0, 40.0, 200.0))
    return st.builds(
        JobSpec,
        parameters=parameters,
        priority=st.integers(-6, 10) | st.integers(-100, 100),
        size=job_sizes(),
        requirements=st.lists(st.sampled_from(REQUIREMENTS), max_size=2, unique=True).map(tuple),
        ladder=ladders(),
        limits=limit_uses(),
        retry=st.builds(Retry, max_attempts=st.integers(1, 4)),
        timeouts=st.builds(Timeouts, queue_s=span, run_s=span, no_progress_s=span)
        if limits
        else st.just(Timeouts()),
        hold=st.booleans() if holds else st.just(False),
    )


def profiles() -> SearchStrategy[Profile]:
    """Engines that encode some codecs with some ffmpeg, fast or slow, with one to three slots."""
    facts = st.fixed_dictionaries(
        {
            "codec": st.lists(st.sampled_from(CODECS), min_size=1, unique=True).map(
                lambda some: tuple(sorted(some))
            ),
            "ffmpeg": st.sampled_from(FFMPEG),
            "streaming": st.booleans(),
        },
        optional={"tag": st.sampled_from((("fast",), ("fast", "new"), ()))},
    )
    cell = st.builds(
        Benchmark,
        task_class=st.builds("{}/1080p/encode".format, st.sampled_from(CODECS)),
        units_per_s=st.floats(0.1, 50),
    )
    return st.builds(
        Profile,
        slots=st.integers(1, 3),
        facts=facts,
        benchmarks=st.lists(cell, max_size=3, unique_by=lambda each: each.task_class).map(tuple),
        size_bytes_max=st.none() | st.integers(1_000_000, 10_000_000_000),
    )


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


def progresses() -> SearchStrategy[Progress]:
    """Progress reports."""
    return st.builds(Progress, fraction=st.floats(0, 1), speed=st.none() | st.floats(0, 100))
