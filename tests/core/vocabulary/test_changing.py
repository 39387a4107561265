"""The short way to change a value gives what the long way gives."""

from __future__ import annotations

import attrs
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core.testing.strategies import job_specs
from dispatch_core.vocabulary.changing import changed
from dispatch_core.vocabulary.jobs import Job, JobSpec, JobState

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "version": st.integers(1, 9),
        "state": st.sampled_from(JobState),
        "engine_id": st.none() | st.text(max_size=3),
        "updated_us": st.integers(0, 9),
        "result": st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    },
)


def a_job(spec: JobSpec) -> Job:
    return Job(
        id="job-1", tenant="t", version=1, spec=spec, state=JobState.PENDING, created_us=1, updated_us=1
    )


@given(job_specs(), CHANGES)
def test_a_changed_value_is_what_evolve_makes_of_it(spec: JobSpec, changes: dict[str, object]) -> None:
    """The same fields, the same class, and the former value stays as it was."""
    job = a_job(spec)
    after = changed(job, **changes)
    assert after == attrs.evolve(job, **changes)  # type: ignore[arg-type]  # fields of Job
    assert type(after) is Job
    assert job == a_job(spec)
    assert after.spec is changes.get("spec", spec)


def test_a_name_that_is_no_field_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Job has no field 'colour'"):
        changed(a_job(JobSpec()), colour="red")


@frozen
class Checked:
    one: int = field(default=1, converter=int)
    two: int = 2


def test_a_class_that_converts_its_fields_is_refused() -> None:
    """Its values would escape the conversion."""
    with pytest.raises(TypeError, match=r"use attrs\.evolve"):
        changed(Checked(), one="2")
