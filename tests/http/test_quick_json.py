"""The quick reader and the strict one are of one mind wherever the quick one gives an answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatch_http.body import _problems, loads
from dispatch_http.problems import Refusal
from dispatch_http.quick_json import quick

DEPTH = 5
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**66), 2**66)
    | st.floats()
    | st.text()
    | st.sampled_from([":", "a:b", "", "\\", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
TEXTS = (
    VALUES.map(json.dumps)
    | VALUES.map(lambda value: json.dumps(value, ensure_ascii=False))
    | st.text(alphabet='{}[]",:ab\\ 01e.-NI\n', max_size=30)
)


@given(text=TEXTS)
@example(text='{"a":1,"a":2}')
@example(text='{"a:":1,"a:":2}')
@example(text='{"a":":","a":"::"}')
@example(text='{"a":{"b":1,"b":1}}')
@example(text='{"a\\u003a":1,"a:":2}')
@example(text="[[[[[[]]]]]]")
@example(text="[[[[[1]]]]]")
@example(text="9223372036854775808")
@example(text="-9223372036854775809")
@example(text="1e400")
@example(text="1" + "0" * 400)
@example(text="NaN")
@example(text="\ufeff{}")
@example(text='"\x7f"')
@example(text="-0")
@example(text='{"}":{"}":{"}":{"}":{"}":{"}":1,"{":0},"{":0},"{":0},"{":0},"{":0},"{":0}')
@example(text="999999999999999999")
@example(text="9999999999999999999")
@example(text="1E5")
@example(text='{"a":"1e5","b":"[[[[[["}')
def test_what_the_quick_reader_takes_the_strict_one_takes(text: str) -> None:
    """The same data of the same types, and the strict one has nothing to say of it."""
    raw = text.encode("utf-8", "surrogatepass")
    found = quick(raw, DEPTH)
    if found is None:
        return
    strict = loads(raw)
    assert repr(found.data) == repr(strict)
    assert list(_problems(strict, DEPTH, clean=True)) == []


@pytest.mark.parametrize(
    "text", ['{"parameters":{"source":"file:///a","n":[1,2.5,null,true]}}', "[]", '"é"', "{}"]
)
def test_an_ordinary_body_is_read_quickly(text: str) -> None:
    """Else the quick reader would be for nothing."""
    assert quick(text.encode(), 32) is not None


def test_a_name_twice_is_left_to_the_strict_reader() -> None:
    """Which refuses it."""
    text = b'{"a":1,"a":1}'
    assert quick(text, 32) is None
    with pytest.raises(Refusal):
        loads(text)
