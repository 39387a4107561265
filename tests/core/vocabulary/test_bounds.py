"""Limits on input: values and JSON data get one verdict, and what is wrong is named by its pointer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch_core import Edit, InvalidCommandError, JobError, JobSpec, Profile, Progress, TranscodeParameters
from dispatch_core.shell.parse import parse
from dispatch_core.shell.wire import to_plain
from dispatch_core.testing import strategies as some
from dispatch_core.vocabulary.bounds import INT_MAX, Json, problems_of, sanitised, text_problem
from dispatch_core.vocabulary.commands import UNSET, Cancel, Claim, HeldLease, Submit, Unset
from dispatch_core.vocabulary.jobs import Retry, Timeouts

KINDS: list[type] = [JobSpec, Edit, Profile, JobError, Progress, TranscodeParameters, HeldLease]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-200, 200)
    | st.sampled_from([2**62, 2**63, -(2**63) - 1, 10**30, 10**400, float("nan"), float("inf"), -0.5, 1e300])
    | st.sampled_from(["", "x", "transcode", "a" * 300, "nul\x00", "lone \ud800", "cpus >= 4", "é"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b", "/", "\x00", "max_attempts", "run_s", "size_bytes"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def data_for(kind: type) -> st.SearchStrategy[Any]:
    """JSON data that has mostly the fields of a kind, with values of any sort."""
    fields = st.sampled_from([field.name for field in attrs.fields(kind)])
    return st.dictionaries(fields | st.sampled_from(["unknown", ""]), JSON, max_size=5)


def verdict(kind: type, data: object) -> list[str] | None:
    """The pointers ``parse`` names; None if it accepts."""
    try:
        value: Any = parse(kind, data)
    except InvalidCommandError as refusal:
        pointers = [problem.path for problem in refusal.problems if problem.message]
    else:
        assert list(problems_of(value)) == []
        return None
    assert pointers
    return pointers


@settings(max_examples=100)
@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), data_for(kind))))
def test_what_parse_accepts_the_bounds_accept(case: tuple[type, dict[str, Any]]) -> None:
    """Any JSON data is accepted, and then fits every bound, or is refused by pointers into it; nothing else."""
    kind, data = case
    for pointer in verdict(kind, data) or ():
        first = pointer.split("/")[1]
        assert first in data or first in {field.name for field in attrs.fields(kind)}


@given(JSON)
def test_data_that_is_no_object_is_refused(data: object) -> None:
    """Whatever stands where an object is expected."""
    for kind in KINDS:
        pointers = verdict(kind, data)
        assert isinstance(data, dict) or pointers == [""]


@given(some.job_specs() | some.profiles())
def test_a_fit_value_survives_the_way_through_json(value: Any) -> None:
    """What fits the bounds parses back from its plain form to an equal value."""
    assert list(problems_of(value)) == []
    assert parse(type(value), to_plain(value)) == value


BAD: list[tuple[Any, str, str]] = [
    (JobSpec(priority=101), "/priority", "from -100 to 100"),
    (JobSpec(priority=-101), "/priority", "from -100 to 100"),
    (JobSpec(priority=True), "/priority", "a whole number"),
    (JobSpec(priority="high"), "/priority", "a whole number"),  # type: ignore[arg-type]  # the mistake
    (JobSpec(priority=10**400), "/priority", ""),
    (JobSpec(kind=""), "/kind", "from 1 to 255 characters"),
    (JobSpec(kind="x" * 256), "/kind", "from 1 to 255 characters"),
    (JobSpec(note="a\x00b"), "/note", "NUL"),
    (JobSpec(note="\udcff"), "/note", "surrogate"),
    (JobSpec(hold=1), "/hold", "true or false"),  # type: ignore[arg-type]  # the mistake
    (JobSpec(parameters={"x": float("nan")}), "/parameters", "not finite"),
    (JobSpec(parameters={"x": [2**63]}), "/parameters", "2^63"),
    (JobSpec(parameters={"x": "\x00"}), "/parameters", "NUL"),
    (JobSpec(parameters={"x": object()}), "/parameters", "not JSON"),
    (JobSpec(parameters={5: "x"}), "/parameters", "key"),  # type: ignore[dict-item]  # the mistake
    (JobSpec(requirements=("ok",) * 33), "/requirements", "from 0 to 32 items"),
    (JobSpec(requirements=("ok", "")), "/requirements/1", "from 1 to 300"),
    (JobSpec(retry=Retry(max_attempts=0)), "/retry/max_attempts", "from 1 to 100"),
    (JobSpec(retry=Retry(factor=float("inf"))), "/retry/factor", "finite"),
    (JobSpec(timeouts=Timeouts(run_s=0.5)), "/timeouts/run_s", "from 1"),
    (JobSpec(not_before_us=-1), "/not_before_us", "from 0"),
    (Profile(slots=0), "/slots", "from 1"),
    (Profile(kinds=()), "/kinds", "from 1 to 32 items"),
    (Profile(facts={"cpus": float("nan")}), "/facts/cpus", ""),
    (Profile(facts={"cpus": 10**400}), "/facts/cpus", ""),
    (Profile(facts={"cpus": 10**30}), "/facts/cpus", ""),
    (Profile(facts={"tag": ("ok", "\x00")}), "/facts/tag/1", "NUL"),
    (Profile(facts={"\x00": 1}), "/facts", "key"),
    (Profile(facts={"x": None}), "/facts/x", ""),  # type: ignore[dict-item]  # the mistake
    (Progress(fraction=1.5), "/fraction", "from 0 to 1"),
    (Progress(fraction=0.5, speed=-1), "/speed", "from 0"),
    (TranscodeParameters(source="", target="t"), "/source", "from 1 to 2048"),
    (TranscodeParameters(source="s", target="t", crf=64), "/crf", "from 0 to 63"),
]


@pytest.mark.parametrize(
    ("value", "pointer", "words"), BAD, ids=lambda each: each if isinstance(each, str) else ""
)
def test_a_bad_field_is_named_by_its_pointer(value: Any, pointer: str, words: str) -> None:
    """One bad field, one problem, whether it comes as a value or as JSON data."""
    (problem,) = problems_of(value)
    assert problem.path == pointer
    assert words in problem.message
    plain = attrs.asdict(value, filter=lambda field, each: each != field.default)
    with pytest.raises(InvalidCommandError) as refusal:
        parse(type(value), plain)
    assert [each.path for each in refusal.value.problems] == [pointer]


@given(spec=some.job_specs(), changes=st.dictionaries(
    st.sampled_from(["priority", "note", "retry", "not_before_us", "size"]), st.sampled_from([None, -(10**9), "\x00", ()]),
    min_size=1))  # fmt: skip
def test_every_broken_field_of_a_value_is_named(spec: JobSpec, changes: Mapping[str, Any]) -> None:
    """Break some fields of a fit value: exactly those (and not_before if it may be None) are named, at once."""
    broken = attrs.evolve(spec, **changes)
    expected = {name for name, value in changes.items() if (name, value) != ("not_before_us", None)}
    expected -= {name for name, value in changes.items() if (name, value) == ("note", "ok")}
    assert {problem.path.split("/")[1] for problem in problems_of(broken)} == expected


def test_commands_name_the_place_in_a_list() -> None:
    """In a bulk submit the pointer has the job's index."""
    submit = Submit(specs=(JobSpec(), JobSpec(priority=500, retry=Retry(max_attempts=0))))
    assert [problem.path for problem in problems_of(submit)] == [
        "/specs/1/priority",
        "/specs/1/retry/max_attempts",
    ]
    assert [problem.path for problem in problems_of(Cancel(job_id="", reason="x" * 1_001))] == [
        "/job_id",
        "/reason",
    ]
    assert [problem.path for problem in problems_of(Claim(engine_id="e", session="s", limit=0, wait_s=301))] == [
        "/limit", "/wait_s",
    ]  # fmt: skip


@pytest.mark.checklist(63)
def test_an_edit_tells_unset_from_none() -> None:
    """A field an edit does not name stays; None is a value only where None is meant."""
    assert parse(Edit, {}) == Edit()
    assert isinstance(parse(Edit, {}).not_before_us, Unset)
    assert parse(Edit, {"not_before_us": None}).not_before_us is None
    assert verdict(Edit, {"priority": None}) == ["/priority"]
    assert parse(Edit, {"priority": 3}).priority == 3
    assert repr(UNSET) == "UNSET"


def test_unknown_fields_get_a_hint() -> None:
    """A misspelt field is refused, not ignored, and the nearest name is offered."""
    with pytest.raises(
        InvalidCommandError, match="/prioritty: is not a known field; did you mean 'priority'"
    ):
        parse(JobSpec, {"prioritty": 3})


def test_all_problems_are_told_at_once() -> None:
    """Nobody mends one field only to hear of the next."""
    data = {
        "priority": 1_000,
        "retry": {"max_attempts": 0, "facto": 1},
        "requirements": ["", 5],
        "hold": "yes",
    }
    assert set(verdict(JobSpec, data) or ()) == {
        "/priority", "/retry/max_attempts", "/retry/facto", "/requirements/0", "/requirements/1", "/hold",
    }  # fmt: skip


def test_json_values_have_a_depth_and_a_size() -> None:
    """A value may be 16 deep and have 10,000 nodes, not one more."""
    deep: object = 1
    for _ in range(16):
        deep = [deep]
    assert Json().check(deep) is None
    assert Json().check([deep]) == "is nested too deep"
    assert Json().check([0] * 9_999) is None
    assert Json().check([0] * 10_000) == "is too large"
    assert Json().check({"a": INT_MAX}) is None


@given(st.text(st.characters(exclude_categories=()) | st.just("\x00"), max_size=50), st.integers(1, 40))
def test_error_text_is_cleaned_and_cut_never_refused(text: str, limit: int) -> None:
    """Whatever an engine says of its failure becomes text every store can hold, at most ``limit`` long."""
    clean = sanitised(text, limit)
    assert len(clean) <= limit
    assert text_problem(clean) is None
    assert text_problem(text) or len(text) > limit or clean == text
