"""Requirement terms: parsed with hints, compared by type, equal when they mean the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_core.vocabulary.facts import COMMON_FACTS, FactType, FactValue, parse_term, version_key

CATALOGUE = {**COMMON_FACTS, "ffmpeg": FactType.VERSION, "encoder": FactType.SET}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "is not of the form"),
        ("encoder", "for example 'encoder has libx265'"),
        ("Encoder has x", "is not of the form"),
        ("__import__('os')", "is not of the form"),
        ("encoder hasnot x", "is not of the form"),
        ("encodr has libx265", "did you mean 'encoder'?"),
        ("zzz == 1", "known facts: arch, cpus"),
        ("encoder >= 6", "is compared by has lacks"),
        ("ffmpeg has 6", "is compared by >= <= == != > <"),
        ("cpus >= many", "is compared with a number"),
        ("cpus >= nan", "is compared with a number"),
        ("cpus >= 1e999", "is compared with a number"),
        ("streaming == yes", "is compared with true or false"),
        ("ffmpeg >= newest", "with a version such as 6.1"),
    ],
)
def test_a_bad_term_is_refused_with_a_hint(text: str, hint: str) -> None:
    """Whoever misspells a term reads what to write instead."""
    with pytest.raises(ValueError, match=hint.replace("?", r"\?").replace("(", r"\(")):
        parse_term(text, CATALOGUE)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("os == linux", "linux", True),
        ("os != linux", "linux", False),
        ("os != linux", "darwin", True),
        ("cpus >= 4", 4, True),
        ("cpus > 4", 4, False),
        ("cpus <= 4", 4.0, True),
        ("cpus < 4", 3.9, True),
        ("cpus == 4", 4.0, True),
        ("cpus >= 4", "8", False),
        ("cpus >= 1", True, False),
        ("streaming == true", True, True),
        ("streaming == TRUE", True, True),
        ("streaming != true", False, True),
        ("streaming == true", 1, False),
        ("encoder has libx265", ("libx264", "libx265"), True),
        ("encoder has libx26", ("libx264", "libx265"), False),
        ("encoder lacks libx265", ("libx264",), True),
        ("encoder has libx265", "libx265", False),
        ("ffmpeg >= 6.1", "6.1.1", True),
        ("ffmpeg >= 6.1", "6.0.1", False),
        ("ffmpeg >= 6.9", "6.10", True),
        ("ffmpeg == 6.1", "6.1.0", True),
        ("ffmpeg == 6.1", "n6.1-static", True),
        ("ffmpeg < 7", "6.99.99-ubuntu", True),
        ("ffmpeg > 6", "6.0.0", False),
        ("ffmpeg >= 6", "nightly", False),
        ("ffmpeg >= 6", None, False),
        ("ffmpeg != 6", None, False),
        ("encoder lacks libx265", None, False),
    ],
)
def test_a_term_holds_or_not(text: str, value: FactValue | None, holds: bool) -> None:
    """Facts are compared by their type; a fact an engine does not state, or states wrongly, meets nothing."""
    assert parse_term(text, CATALOGUE).holds(value) is holds


@pytest.mark.parametrize(
    ("text", "key"),
    [("6.1.1", (6, 1, 1)), ("6.0", (6,)), ("n7.0.2-dev", (7, 0, 2)), ("10.0.0rc1", (10,)), ("git", ()), ("0.0", ())],
)  # fmt: skip
def test_a_version_is_its_leading_numbers(text: str, key: tuple[int, ...]) -> None:
    """Suffixes and trailing zeros do not count."""
    assert version_key(text) == key


@given(
    one=st.lists(st.integers(0, 99), min_size=1, max_size=4),
    other=st.lists(st.integers(0, 99), min_size=1, max_size=4),
)
def test_versions_compare_like_tuples_of_numbers(one: list[int], other: list[int]) -> None:
    """Exactly one of <, == and > holds, and it is the one of the numbers padded with zeros."""
    mine, wanted = (".".join(map(str, each)) for each in (one, other))
    width = max(len(one), len(other))
    padded = [each + [0] * (width - len(each)) for each in (one, other)]
    verdicts = {op: parse_term(f"ffmpeg {op} {wanted}", CATALOGUE).holds(mine) for op in ("<", "==", ">")}
    assert verdicts == {"<": padded[0] < padded[1], "==": padded[0] == padded[1], ">": padded[0] > padded[1]}


@given(
    number=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
    has=st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_number_keeps_its_value_in_canonical_form(number: float, has: float) -> None:
    """The canonical text of a number term compares like the number that was written."""
    term = parse_term(f"cpus >= {number!r}", CATALOGUE)
    assert term.holds(has) is (has >= number)
    assert parse_term(term.text, CATALOGUE) == term


@pytest.mark.parametrize(
    "texts",
    [
        ("cpus >= 4", "cpus>=4", "  cpus  >=  4.0 ", "cpus >= 4e0"),
        ("prefer streaming == True", "  prefer  streaming==true"),
        ("encoder has libx265", "encoder  has  libx265 "),
    ],
)  # fmt: skip
def test_equal_terms_have_equal_text(texts: tuple[str, ...]) -> None:
    """Spaces and spellings of a number do not make another term (nor another class)."""
    terms = {parse_term(text, CATALOGUE) for text in texts}
    assert len({term.text for term in terms}) == len(terms) == 1


def test_a_preferred_term_says_so() -> None:
    """``prefer`` is part of the term and of its canonical text."""
    term = parse_term("prefer encoder has libx265", CATALOGUE)
    assert term.preferred
    assert term.text == "prefer encoder has libx265"
    assert not parse_term("encoder has prefer", CATALOGUE).preferred


@given(st.text(max_size=60))
def test_any_text_is_a_term_or_a_value_error(text: str) -> None:
    """No text raises anything but the refusal, and what is accepted parses back to itself."""
    try:
        term = parse_term(text, CATALOGUE)
    except ValueError:
        return
    assert parse_term(term.text, CATALOGUE) == term
