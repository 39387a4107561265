"""Parameters of any job kind as a strategy: derived from the kind's shape and the bounds in its types."""

from __future__ import annotations

import types
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from dispatch_core.kernel.scheduling.classes import parse_requirements
from dispatch_core.shell.parse import parse
from dispatch_core.vocabulary.bounds import INT_MAX, Bound, Grammar, Length
from dispatch_core.vocabulary.errors import InvalidCommandError
from dispatch_core.vocabulary.kinds import JobKind

Strategies = Mapping[str, SearchStrategy[Any]]
ITEMS_MAX = 3
CHARACTERS_MAX = 20
_TEXT = st.characters(exclude_categories=("Cs", "Cc"))
_SCALARS: SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-1_000, 1_000) | st.text(_TEXT, max_size=5)
)


def parameters_of(kind: JobKind, fields: Strategies | None = None) -> SearchStrategy[dict[str, Any]]:
    """Parameters that a kind accepts; ``fields`` replaces (or adds) the strategies of some of them.

    A kind without a shape gets only what ``fields`` names. What the kind's own functions refuse is not drawn.
    """
    return _object(kind.shape, fields or {}).filter(lambda drawn: _suits(kind, drawn))


def _suits(kind: JobKind, parameters: Mapping[str, Any]) -> bool:
    try:
        if kind.shape is not None:
            parse(kind.shape, parameters, "/parameters")
        parse_requirements(kind.needs(parameters), kind.catalogue)
    except InvalidCommandError:
        return False
    return True


def _object(shape: type | None, fields: Strategies) -> SearchStrategy[dict[str, Any]]:
    if shape is None:
        return st.fixed_dictionaries(dict(fields))
    hints = get_type_hints(shape, include_extras=True)
    needed: dict[str, SearchStrategy[Any]] = {}
    spare: dict[str, SearchStrategy[Any]] = {}
    for field in attrs.fields(shape):
        held = needed if field.default is attrs.NOTHING else spare
        held[field.name] = fields[field.name] if field.name in fields else values_of(hints[field.name])
    return st.fixed_dictionaries(needed, optional=spare)


def values_of(annotation: Any) -> SearchStrategy[Any]:
    """JSON values that an annotation of a shape admits, within its bounds. Raises TypeError if it is of no known form."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(each) for each in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return _items(arguments[0], Length(0, ITEMS_MAX))
    if origin is not None and issubclass(origin, Mapping):
        return _entries(arguments[1], Length(0, ITEMS_MAX))
    if attrs.has(annotation):
        return _object(annotation, {})
    return _plain(annotation)


def _plain(kind: Any) -> SearchStrategy[Any]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([member.value for member in kind])
    known: Mapping[Any, SearchStrategy[Any]] = {
        type(None): st.none(),
        bool: st.booleans(),
        int: _numbers(int, Bound(-1_000, 1_000)),
        float: _numbers(float, Bound(-1_000, 1_000)),
        str: _texts(Length(0, CHARACTERS_MAX)),
        object: _SCALARS,
    }
    if kind not in known:
        raise TypeError(f"no strategy for {kind!r}: give one for the field that has it")
    return known[kind]


def _bounded(inner: Any, notes: tuple[Any, ...]) -> SearchStrategy[Any]:
    of = {type(note): note for note in notes}
    if Grammar in of:
        whole = st.from_regex(of[Grammar].pattern, fullmatch=True)
        return whole.filter(
            lambda text: not any(note.check(text) for note in notes if hasattr(note, "check"))
        )
    if Bound in of and inner in (int, float):
        return _numbers(inner, of[Bound])
    if Length not in of:
        return values_of(inner)
    origin, arguments = get_origin(inner), get_args(inner)
    if inner is str:
        return _texts(of[Length])
    return _items(arguments[0], of[Length]) if origin is tuple else _entries(arguments[1], of[Length])


def _numbers(kind: type, bound: Bound) -> SearchStrategy[Any]:
    if kind is int:
        return st.integers(max(int(bound.ge), -INT_MAX), min(int(bound.le), INT_MAX))
    return st.floats(bound.ge, bound.le)


def _texts(length: Length) -> SearchStrategy[str]:
    return st.text(_TEXT, min_size=length.ge, max_size=max(length.ge, min(length.le, CHARACTERS_MAX)))


def _items(item: Any, length: Length) -> SearchStrategy[Any]:
    return st.lists(values_of(item), min_size=length.ge, max_size=max(length.ge, min(length.le, ITEMS_MAX)))


def _entries(item: Any, length: Length) -> SearchStrategy[Any]:
    keys = _texts(Length(1, CHARACTERS_MAX))
    most = max(length.ge, min(length.le, ITEMS_MAX))
    return st.dictionaries(keys, values_of(item), min_size=length.ge, max_size=most)
