"""The one place of limits on input: bounds written in the types, and the check that walks them.

Library, HTTP and CLI all come through ``problems_of``, so that they give one verdict.
"""

from __future__ import annotations

import math
import types
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import frozen

from dispatch_core.vocabulary.errors import FieldProblem

type_name = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
INT_MAX = 2**63 - 1


@frozen
class Bound:
    """Inclusive limits of a number."""

    ge: float
    le: float

    def check(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        if isinstance(value, (int, float)) and not self.ge <= value <= self.le:
            return f"must be from {self.ge!r} to {self.le!r}"
        return None


@frozen
class Length:
    """Inclusive limits of a text's characters or a collection's items."""

    ge: int
    le: int

    def check(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        if isinstance(value, Collection) and not self.ge <= len(value) <= self.le:
            return (
                f"must have from {self.ge} to {self.le} {'characters' if isinstance(value, str) else 'items'}"
            )
        return None


@frozen
class Json:
    """A JSON value: finite numbers, clean text, at most ``depth`` deep and ``nodes`` large."""

    depth: int = 16
    nodes: int = 10_000

    def check(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        left = [self.nodes]
        return _json_problem(value, self.depth, left)


def _json_problem(value: object, depth: int, left: list[int]) -> str | None:
    left[0] -= 1
    if left[0] < 0:
        return "is too large"
    if depth < 0:
        return "is nested too deep"
    match value:
        case None | bool():
            return None
        case int():
            return None if -INT_MAX - 1 <= value <= INT_MAX else "has a number outside ±2^63"
        case float():
            return None if math.isfinite(value) else "has a number that is not finite"
        case str():
            return text_problem(value)
        case Mapping():
            inner = [*value.keys(), *value.values()]
            if not all(isinstance(key, str) for key in value):
                return "has a key that is not text"
        case list() | tuple():
            inner = list(value)
        case _:
            return f"has a {type(value).__name__}, which is not JSON"
    return next((found for each in inner if (found := _json_problem(each, depth - 1, left))), None)


def text_problem(value: str) -> str | None:
    """What makes a text unfit for one of our stores (NUL, lone surrogates), or None."""
    if "\x00" in value:
        return "must not contain the NUL character"
    if any("\ud800" <= char <= "\udfff" for char in value):
        return "must not contain a lone surrogate"
    return None


def sanitised(text: str, limit: int) -> str:
    """Text from an engine's error report made storable: never refused, only cleaned and cut."""
    clean = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


@cache
def hints(cls: type) -> dict[str, Any]:
    """The resolved annotations of an attrs class, Annotated kept."""
    return get_type_hints(cls, include_extras=True)


def problems_of(value: Any, path: str = "") -> Iterator[FieldProblem]:
    """Every field of an attrs instance that breaks its annotation or its bound."""
    kind: Any = type(value)
    for field in attrs.fields(kind):
        yield from _walk(hints(kind)[field.name], getattr(value, field.name), f"{path}/{field.name}")


def _walk(kind: Any, value: object, path: str) -> Iterator[FieldProblem]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        before = list(_walk(arguments[0], value, path))
        yield from before
        checks = [] if before or value is None else [note for note in arguments[1:] if hasattr(note, "check")]
        yield from (FieldProblem(path, found) for note in checks if (found := note.check(value)))
    elif origin in (Union, types.UnionType):
        yield from _walk_union(arguments, value, path)
    elif origin is tuple:
        yield from _walk_items(origin, arguments[0], value, path)
    elif origin is not None and issubclass(origin, Mapping):
        yield from _walk_mapping(arguments[1], value, path)
    elif isinstance(kind, type):
        yield from _walk_plain(kind, value, path)


def _walk_union(arguments: tuple[Any, ...], value: object, path: str) -> Iterator[FieldProblem]:
    attempts = [list(_walk(option, value, path)) for option in arguments]
    if all(attempts):
        yield from next(
            (found for found in attempts if any(each.path != path for each in found)), attempts[0]
        )


def _walk_items(origin: Any, item: Any, value: Any, path: str) -> Iterator[FieldProblem]:
    if not isinstance(value, origin):
        yield FieldProblem(path, "must be a list")
        return
    for index, each in enumerate(value):
        yield from _walk(item, each, f"{path}/{index}")


def _walk_mapping(item: Any, value: object, path: str) -> Iterator[FieldProblem]:
    if not isinstance(value, Mapping):
        yield FieldProblem(path, "must be an object")
        return
    for key, each in value.items():
        if not isinstance(key, str) or text_problem(key):
            yield FieldProblem(path, "has a key that is not clean text")
        yield from _walk(item, each, f"{path}/{key}")


def _walk_plain(kind: type, value: object, path: str) -> Iterator[FieldProblem]:
    if kind is object:
        return
    if attrs.has(kind) and isinstance(value, kind):
        yield from problems_of(value, path)
    elif kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            yield FieldProblem(path, "must be finite")
    elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        yield FieldProblem(path, f"must be {expected(kind)}")
    elif kind is int and not -INT_MAX - 1 <= value <= INT_MAX:  # type: ignore[operator]  # kind is int
        yield FieldProblem(path, "must fit in 64 bits")
    elif kind is str and (found := text_problem(value)):  # type: ignore[arg-type]  # kind is str
        yield FieldProblem(path, found)


def expected(kind: type) -> str:
    """What a field of this type must be, in words."""
    if issubclass(kind, Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    return type_name.get(kind, "nothing" if kind is type(None) else f"a {kind.__name__}")
