"""The strategies draw what the core accepts, for its own kind and for any other."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any

import pytest
from attrs import field, frozen
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from dispatch_core import (
    TRANSCODE,
    Bound,
    Dispatcher,
    FactType,
    Grammar,
    JobKind,
    JobSpec,
    JobState,
    Length,
    ManualClock,
    Profile,
    Timeouts,
    TranscodeParameters,
)
from dispatch_core.shell.parse import parse
from dispatch_core.simulation import FleetPlan, Workload, simulate
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing import strategies as some
from dispatch_core.testing.faults import Mishap
from dispatch_core.testing.fleet import Fleet
from dispatch_core.testing.shapes import parameters_of, values_of


class Mode(StrEnum):
    """How a picture is cut."""

    FIT = "fit"
    CROP = "crop"


@frozen(kw_only=True)
class Corner:
    """A nested value."""

    x: Annotated[int, Bound(0, 9)]
    note: str = ""


@frozen(kw_only=True)
class Thumbnail:
    """One field of every form that shapes have."""

    name: Annotated[str, Length(1, 12), Grammar(r"[a-z]+", "small letters")]
    sizes: Annotated[tuple[Annotated[int, Bound(16, 4_096)], ...], Length(1, 4)]
    corner: Corner
    mode: Mode = Mode.FIT
    quality: Annotated[float, Bound(0, 1)] | None = None
    sharp: bool = False
    labels: Mapping[str, str] = field(factory=dict)
    extra: Mapping[str, object] = field(factory=dict)


THUMBNAIL = JobKind(
    name="thumbnail",
    shape=Thumbnail,
    facts={"engine_version": FactType.VERSION, "formats": FactType.SET, "gpu": FactType.BOOL},
    units=lambda parameters, _size: sum(parameters["sizes"]) / 1_000,  # type: ignore[call-overload]  # checked by the shape
    needs=lambda _parameters: ("formats has red",),
)
FACTS: some.Values = {"memory_gb": (2, 8), "os": ("linux", "macos"), "formats": ("red", "png")}
FEW = settings(max_examples=30)


@FEW
@given(parameters=parameters_of(THUMBNAIL))
def test_parameters_fit_the_shape_they_are_derived_from(parameters: dict[str, Any]) -> None:
    """Whatever is drawn, the core parses it."""
    assert isinstance(parse(Thumbnail, parameters), Thumbnail)


@FEW
@given(parameters=parameters_of(TRANSCODE, {"codec": st.sampled_from(("h264",))}))
def test_a_field_may_have_a_strategy_of_its_own(parameters: dict[str, Any]) -> None:
    """The others are derived, the grammar of locations included."""
    assert parse(TranscodeParameters, parameters).codec == "h264"


def test_a_field_of_no_known_form_asks_for_a_strategy() -> None:
    """It is named in the refusal."""
    with pytest.raises(TypeError, match="no strategy for <class 'complex'>"):
        values_of(complex)


@FEW
@given(
    specs=st.lists(some.job_specs(kind=THUMBNAIL, facts=FACTS), min_size=1, max_size=3),
    profile=some.profiles(kind=THUMBNAIL, facts=FACTS, task_classes=("any",)),
)
def test_the_capable_engine_runs_all_that_is_drawn(specs: list[JobSpec], profile: Profile) -> None:
    """The core accepts every spec and every profile, and no requirement is beyond the capable one."""
    with Dispatcher(MemoryStorage(ManualClock()), kinds=[THUMBNAIL]) as dispatcher:
        dispatcher.register("drawn", profile, session="s")
        dispatcher.register("capable", some.capable(kind=THUMBNAIL, facts=FACTS), session="s")
        for job in dispatcher.submit_many(specs):
            dispatcher.release(job.id)
            [answer] = dispatcher.explain(job.id, "capable").engines
            assert answer.admits


@pytest.mark.parametrize("kind", [TRANSCODE, THUMBNAIL], ids=lambda kind: kind.name)
def test_jobs_have_accounts_deadlines_and_ladders(kind: JobKind) -> None:
    """Every aspect of a spec is drawn."""
    once = settings(database=None, phases=[Phase.generate])
    for aspect in ("account", "deadline", "ladder", "hold", "requirements", "limits"):
        specs = some.job_specs(kind=kind, facts=FACTS if kind is THUMBNAIL else None)
        assert find(specs, attrgetter(aspect), settings=once).kind == kind.name


@FEW
@given(
    spec=some.job_specs(accounts=(), limit_keys=(), deadlines=False, ladders=False, limits=False, holds=False)
)
def test_every_aspect_can_be_left_out(spec: JobSpec) -> None:
    """Who wants plain jobs gets plain jobs."""
    assert (spec.account, spec.deadline, spec.ladder, spec.hold) == (None, None, (), False)
    assert (spec.timeouts, spec.limits) == (Timeouts(), ())


@settings(max_examples=15)
@given(fleet=some.fleet_plans(), workload=some.workloads(works_max=6), seed=st.integers(0, 9))
def test_every_drawn_workload_ends_on_every_drawn_fleet(
    fleet: FleetPlan, workload: Workload, seed: int
) -> None:
    """The sound engine of each fleet sees to that, whatever befalls the others."""
    outcome = simulate(fleet, workload, seed=seed)
    assert all(work.state in ("completed", "failed") for work in outcome.works)


@settings(max_examples=15)
@given(
    specs=st.lists(some.job_specs(kind=THUMBNAIL, holds=False), max_size=4),
    mishaps=some.mishaps(engines_max=2),
)
def test_every_drawn_job_ends_whatever_befalls_the_engines(
    specs: list[JobSpec], mishaps: list[Mishap]
) -> None:
    """Engines die and come back; what was accepted ends."""
    with Fleet(kinds=[THUMBNAIL]) as fleet:
        for name in ("one", "two"):
            fleet.engine(name, profile=some.capable(kind=THUMBNAIL, slots=1))
        jobs = [fleet.submit(spec) for spec in specs]
        fleet.plan(mishaps)
        assert fleet.drain() == []
        ended = {fleet.job(job).state for job in jobs}
        assert ended <= {JobState.COMPLETED, JobState.FAILED_PERMANENTLY}
