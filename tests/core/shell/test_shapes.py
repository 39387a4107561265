"""What fits a kind's shape as it stands is not parsed: the verdict is that of the parser all the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core import InvalidCommandError
from dispatch_core.shell import parse
from dispatch_core.vocabulary.bounds import NAME, Bound, Length
from dispatch_core.vocabulary.kinds import TranscodeParameters

Name = Annotated[str, Length(1, 3), NAME]


@frozen(kw_only=True)
class Plain:
    text: Name
    number: Annotated[int, Bound(0, 9)] = 0
    share: float = 0.5
    flag: bool | None = None


@frozen(kw_only=True)
class Renamed:
    text: Name = field(alias="number")


@frozen(kw_only=True)
class Either:
    number: int | str = 0


@frozen(kw_only=True)
class Maps:
    number: Mapping[Name, int] = field(factory=dict)


@frozen(kw_only=True)
class Converts:
    number: int = field(default=0, converter=int)


VALUES = (
    st.none() | st.booleans() | st.integers(-1, 11) | st.sampled_from([0.5, 2.0, "a", "", "abcd", "-", "7"])
)
DATA = st.dictionaries(
    st.sampled_from(["text", "number", "share", "flag", "colour"]),
    VALUES | st.dictionaries(st.sampled_from(["a", "*!"]), st.integers(0, 1), max_size=2),
    max_size=4,
)


def verdict(check: Any, kind: type, data: Mapping[str, object]) -> object:
    try:
        check(kind, data, "/parameters")
    except InvalidCommandError as error:
        return error.problems
    return None


@pytest.mark.parametrize("kind", [Plain, Renamed, Either, Maps, Converts, TranscodeParameters])
@given(data=DATA)
def test_the_short_way_has_the_verdict_of_the_long_one(kind: type, data: dict[str, object]) -> None:
    assert verdict(parse.check_shape, kind, data) == verdict(parse.parse, kind, data)


def test_the_short_way_is_taken_for_what_is_plain_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the law above would prove nothing."""

    def never(*_: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(parse, "parse", never)
    parse.check_shape(TranscodeParameters, {"source": "a.mov", "target": "b.mp4", "crf": 20})
    for kind in (Renamed, Either, Maps, Converts):
        with pytest.raises(AssertionError, match="parsed"):
            parse.check_shape(kind, {})
