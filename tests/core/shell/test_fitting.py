"""What fits an engine and what does not: large jobs, ffmpeg's versions and features, measured task classes."""

from __future__ import annotations

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

from dispatch_core import (
    TRANSCODE,
    Benchmark,
    Context,
    Dispatcher,
    Engine,
    InvalidCommandError,
    Job,
    JobKind,
    JobSize,
    JobVerdict,
    ManualClock,
    Profile,
    Settings,
    UnknownEngineError,
)
from dispatch_core.vocabulary.clock import SECOND_US
from tests.core.conftest import MakeDispatcher
from tests.core.house import FACTS, claim, claimed, spec, start

LARGE = 5_000_000_000


@pytest.mark.checklist(57)
@pytest.mark.checklist(95)
def test_a_large_job_waits_for_an_engine_that_streams(make_dispatcher: MakeDispatcher) -> None:
    """From the size that is set on, and not one byte below; until then it is said what is missing."""
    dispatcher = make_dispatcher(settings=Settings(large_job_bytes=LARGE))
    start(dispatcher, "copies", facts={**FACTS, "streaming": False})
    start(dispatcher, "silent", facts={name: fact for name, fact in FACTS.items() if name != "streaming"})
    large = dispatcher.submit(spec(size=JobSize(size_bytes=LARGE)))
    small = dispatcher.submit(spec(size=JobSize(size_bytes=LARGE - 1)))
    assert claimed(dispatcher, "copies", limit=2) == [small.id]
    assert claimed(dispatcher, "silent", limit=2) == []
    told = dispatcher.explain(large.id)
    assert (told.verdict, told.unblock) == (JobVerdict.NEVER, "an engine that streams")
    assert told.position is None
    start(dispatcher, "streams")
    assert claimed(dispatcher, "streams", limit=2) == [large.id]


@pytest.mark.checklist(95)
def test_a_pin_gives_a_large_job_to_no_engine_that_cannot(make_dispatcher: MakeDispatcher) -> None:
    """An operator's wish goes around no rule."""
    dispatcher = make_dispatcher(settings=Settings(large_job_bytes=LARGE))
    start(dispatcher, "copies", facts={**FACTS, "streaming": False})
    large = dispatcher.submit(spec(size=JobSize(size_bytes=LARGE)))
    dispatcher.assign(large.id, "copies")
    assert claimed(dispatcher, "copies") == []


@pytest.mark.checklist(39)
@pytest.mark.parametrize(
    ("needs", "fits"),
    [
        ("ffmpeg >= 6.1", True),
        ("ffmpeg >= 7.1", False),
        ("ffmpeg < 8", True),
        ("encoder has libsvtav1", True),
        ("encoder has av1_nvenc", False),
        ("hwaccel lacks cuda", True),
        ("hwaccel has cuda", False),
    ],
)
def test_versions_and_features_of_ffmpeg_are_constraints(
    dispatcher: Dispatcher, needs: str, fits: bool
) -> None:
    """What the engine probed is held against what the job needs; a misfit says what would do."""
    probed = {**FACTS, "ffmpeg": "7.0.2-static", "encoder": ("libx264", "libsvtav1"), "hwaccel": ("vaapi",)}
    start(dispatcher, facts=probed)
    job = dispatcher.submit(spec(requirements=(needs,)))
    told = dispatcher.explain(job.id)
    assert told.verdict is (JobVerdict.NEXT if fits else JobVerdict.NEVER)
    assert told.unblock == ("" if fits else f"an engine with {needs}")
    assert claimed(dispatcher) == ([job.id] if fits else [])


@pytest.mark.checklist(84)
@pytest.mark.checklist(85)
def test_a_measured_task_class_is_what_runtimes_are_estimated_by(dispatcher: Dispatcher) -> None:
    """Codec, resolution and task; media seconds per second. Other classes are estimated without it."""
    start(dispatcher)
    cell = Benchmark(task_class="hevc/1080p/encode", units_per_s=4.0, tool="ffmpeg 7.0")
    dispatcher.report_benchmark("e1", [cell])
    assert dispatcher.engine("e1").engine.profile.benchmarks == (cell,)
    minute = JobSize(duration_us=60 * SECOND_US, height=1_080)
    parameters: dict[str, object] = {"source": "a", "target": "b"}
    estimates = [
        dispatcher.explain(dispatcher.submit(spec(parameters=each, size=minute)).id).engines[0].estimate_s
        for each in (
            {**parameters, "codec": "hevc"},
            {**parameters, "codec": "hevc", "height": 720},
            parameters,
        )
    ]
    assert estimates == [15.0, 30.0, 30.0]


@pytest.mark.checklist(84)
@pytest.mark.parametrize(
    ("cell", "pointer"),
    [
        (Benchmark(task_class="", units_per_s=1.0), "/benchmarks/0/task_class"),
        (Benchmark(task_class="a/b/c", units_per_s=0.0), "/benchmarks/0/units_per_s"),
        (Benchmark(task_class="a/b/c", units_per_s=float("nan")), "/benchmarks/0/units_per_s"),
    ],
    ids=["nameless", "still", "nan"],
)
def test_a_bad_measurement_is_pointed_at(dispatcher: Dispatcher, cell: Benchmark, pointer: str) -> None:
    """A speed is above zero and finite, and belongs to something."""
    start(dispatcher)
    with pytest.raises(InvalidCommandError) as refusal:
        dispatcher.report_benchmark("e1", [cell])
    assert [problem.path for problem in refusal.value.problems] == [pointer]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(Job, marks=pytest.mark.checklist(9)),
        pytest.param(Engine, marks=pytest.mark.checklist(10)),
    ],
)
def test_jobs_and_engines_are_frozen_slotted_values(dispatcher: Dispatcher, kind: type) -> None:
    """Nobody changes one in place, or hangs something on it; equal content is equal."""
    start(dispatcher)
    record = dispatcher.submit(spec()) if kind is Job else dispatcher.engine("e1").engine
    assert attrs.evolve(record) == record
    assert attrs.evolve(record, version=9) != record
    with pytest.raises(FrozenInstanceError):
        record.version = 9  # type: ignore[misc]  # that is the point
    assert not hasattr(record, "__dict__")


@pytest.mark.checklist(42)
def test_what_an_engine_was_seen_to_do_is_told_by_task_class(
    dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """From grant to report, in media seconds per second; only what was completed counts, and only here."""
    start(dispatcher), start(dispatcher, "idle")
    assert dispatcher.performance("e1") == []
    for seconds in (10.0, 20.0, 40.0, None):
        dispatcher.submit(spec(size=JobSize(duration_us=40 * SECOND_US, height=720)))
        lease = claim(dispatcher)
        clock.advance(seconds or 1)
        (dispatcher.complete if seconds else dispatcher.give_back)(lease)
    (cell,) = dispatcher.performance("e1")
    assert (cell.task_class, cell.count) == ("h264/720p/encode", 3)
    assert (cell.units_per_s_p50, cell.units_per_s_p90) == (2.0, 4.0)
    assert cell.estimate_off_p50 is not None
    assert 1.0 <= cell.estimate_off_p50 <= 2.0
    assert dispatcher.performance("idle") == []
    with pytest.raises(UnknownEngineError):
        dispatcher.performance("nobody")


def test_estimates_come_from_benchmarks_and_are_learned(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """An engine without either has none; a benchmark alone has no samples; runs move it towards what they took."""
    start(dispatcher), start(dispatcher, "idle")
    assert dispatcher.estimates() == []
    dispatcher.report_benchmark("e1", [Benchmark(task_class="h264/720p/encode", units_per_s=2.0)])
    (told,) = dispatcher.estimates("e1")
    assert (told.engine_id, told.task_class, told.benchmarked) == ("e1", "h264/720p/encode", True)
    assert (told.s_per_unit_p50, told.samples) == (0.5, 0.0)
    for _ in range(4):
        dispatcher.submit(spec(size=JobSize(duration_us=10 * SECOND_US, height=720)))
        lease = claim(dispatcher)
        clock.advance(10.0)
        dispatcher.complete(lease)
    (learned,) = dispatcher.estimates()
    assert 0.5 < learned.s_per_unit_p50 < 1.0 < learned.s_per_unit_p90
    assert 3.0 < learned.samples <= 4.0
    assert dispatcher.acting(Context(tenant="other")).estimates() == []
    assert [dispatcher.estimates("idle"), dispatcher.estimates("e1")] == [[], [learned]]
    with pytest.raises(UnknownEngineError):
        dispatcher.estimates("nobody")


@pytest.mark.checklist(85)
@pytest.mark.parametrize(
    "name",
    [
        "h264",
        "h264/1080p",
        "h264/1080/encode",
        "h264/1080p/encde",
        "/1080p/encode",
        "h 264/1080p/encode",
        "a/b/c/d",
    ],
)
def test_a_malformed_task_class_is_refused_where_it_stands(dispatcher: Dispatcher, name: str) -> None:
    """It would never be looked up: said at once, with the form that is meant, and nothing changes."""
    good = Benchmark(task_class="h264/1080p/encode", units_per_s=2.0)
    bad = Benchmark(task_class=name, units_per_s=1.0)
    engine = dispatcher.register("e1", Profile(facts=FACTS), session="s1")
    with pytest.raises(InvalidCommandError, match="such as h264/1080p/encode") as refused:
        dispatcher.report_benchmark("e1", [good, bad])
    assert [each.path for each in refused.value.problems] == ["/benchmarks/1/task_class"]
    with pytest.raises(InvalidCommandError) as refused:
        dispatcher.register("e1", Profile(benchmarks=(bad,)), session="s1")
    assert [each.path for each in refused.value.problems] == ["/profile/benchmarks/0/task_class"]
    assert dispatcher.engine("e1").engine == engine


@pytest.mark.checklist(85)
def test_other_kinds_name_their_task_classes_as_they_like(make_dispatcher: MakeDispatcher) -> None:
    """The grammar is the kind's own; an engine of several kinds may measure for any of them."""
    dispatcher = make_dispatcher(kinds=(TRANSCODE, JobKind(name="render")))
    free = Benchmark(task_class="render/cycles at noon", units_per_s=1.0)
    for kinds in (("render",), ("transcode", "render"), ("unheard-of",)):
        engine = dispatcher.register("-".join(kinds), Profile(kinds=kinds, benchmarks=(free,)), session="s")
        assert engine.profile.benchmarks == (free,)
