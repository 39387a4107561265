"""Types and their bounds in words, for the tables of the reference."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs

from dispatch_core.vocabulary.bounds import INT_MAX, AnyText, Bound, Grammar, Json, Length
from dispatch_core.vocabulary.commands import Unset
from dispatch_core.vocabulary.facts import FactValue

PLAIN: Mapping[type, str] = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def hints(kind: type) -> dict[str, Any]:
    """The annotations of a class's fields, bounds included."""
    return get_type_hints(kind, include_extras=True)


def words(annotation: Any, links: Mapping[str, str]) -> str:
    """An annotation in words; ``links`` says where the classes it names are described."""
    if annotation == FactValue:
        return "text, number, true or false, or list of text"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1:], links)
    if origin in (Union, types.UnionType):
        told = [words(each, links) for each in arguments if each not in (type(None), Unset)]
        return " or ".join(told) + ("; or null" if type(None) in arguments else "")
    if origin is tuple:
        return f"list of {words(arguments[0], links)}"
    if origin is not None and issubclass(origin, Mapping):
        return "object" if arguments[1] is object else f"object of {words(arguments[1], links)}"
    return _plain(annotation, links)


def _plain(kind: type, links: Mapping[str, str]) -> str:
    if issubclass(kind, Enum):
        return "one of " + ", ".join(f"`{member.value}`" for member in kind)
    if attrs.has(kind):
        return f"[{kind.__name__}]({links[kind.__name__]})" if kind.__name__ in links else kind.__name__
    return PLAIN[kind]


def _bounded(inner: Any, notes: Collection[object], links: Mapping[str, str]) -> str:
    if AnyText() in notes:
        return "text; cleaned and cut, never refused"
    length = next((note for note in notes if isinstance(note, Length)), None)
    if length is not None and get_origin(inner) is tuple:
        return f"list of {_range(length.ge, length.le)}: {words(get_args(inner)[0], links)}"
    limits = [_limit(note, inner) for note in notes]
    return ", ".join([words(inner, links), *(told for told in limits if told)])


def _limit(note: object, inner: Any) -> str:
    match note:
        case Bound():
            return (
                f"from {number(note.ge)} up"
                if note.le == INT_MAX
                else f"from {number(note.ge)} to {number(note.le)}"
            )
        case Length():
            return f"{_range(note.ge, note.le)} {'characters' if inner is str else 'entries'}"
        case Grammar():
            return note.words
        case Json():
            return f"at most {note.depth} deep and {number(note.nodes)} values large"
        case _:
            return ""


def _range(ge: float, le: float) -> str:
    return f"at most {number(le)}" if ge == 0 else f"{number(ge)} to {number(le)}"


def number(value: float) -> str:
    """A number as people write it."""
    if value == INT_MAX:
        return "2^63 − 1"
    if value != int(value):
        return f"{value:g}"
    return f"{int(value):,}".replace("-", "−")


def default(field: Any) -> str:
    """The default of an attrs field as JSON writes it; ``required`` if there is none."""
    value = field.default
    if value is attrs.NOTHING:
        return "required"
    if hasattr(value, "factory"):
        return "`{}`" if value.factory is dict else "defaults"
    match value:
        case Unset():
            return "unchanged"
        case None:
            return "null"
        case bool():
            return f"`{str(value).lower()}`"
        case int() | float():
            return f"`{value:g}`" if abs(value) < 1e5 else f"`{int(value)}`"
        case str():
            return f'`"{value}"`'
        case tuple():
            return f"`[{', '.join(repr(each) for each in value)}]`".replace("'", '"')
        case _:
            return "defaults"
