"""The one place of limits on input: bounds written in the types, and the check that walks them.

Library, HTTP and CLI all come through ``problems_of``, so that they give one verdict.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import field, frozen

from dispatch_core.vocabulary.errors import FieldProblem

_NOTHING = object()
type_name = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
INT_MAX = 2**63 - 1


def within_64_bits(value: int) -> int:
    """The nearest whole number that every reader of our JSON takes.

    >>> within_64_bits(7), within_64_bits(-(10**30)) == -INT_MAX - 1
    (7, True)
    """
    return max(-INT_MAX - 1, min(value, INT_MAX))


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
        # The usual ones are told sooner than a collection.
        if isinstance(value, (str, tuple, Collection)) and not self.ge <= len(value) <= self.le:
            return (
                f"must have from {self.ge} to {self.le} {'characters' if isinstance(value, str) else 'items'}"
            )
        return None


@frozen
class Grammar:
    """The form of a name, and that form in words."""

    pattern: str
    words: str
    _form: re.Pattern[str] = field(init=False, eq=False, repr=False)

    @_form.default
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def check(self, value: object) -> str | None:
        """What is wrong with ``value``, or None."""
        fits = isinstance(value, str) and self._form.fullmatch(value)
        return None if fits else f"must be {self.words}"


NAME = Grammar(r"[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits, dots, dashes and underscores")


@frozen
class AnyText:
    """Marks text that is cleaned later instead of being refused: what engines say of their failures."""


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
        case dict() | Mapping():  # whether it is a dict is found out sooner
            inner = [*value.keys(), *value.values()]
            if not all(isinstance(key, str) for key in value):
                return "has a key that is not text"
        case list() | tuple():
            inner = list(value)
        case _:
            return f"has a {type(value).__name__}, which is not JSON"
    for each in inner:
        if found := _json_problem(each, depth - 1, left):
            return found
    return None


def plain_json(value: object) -> object:
    """A copy of checked JSON made of dicts, lists and scalars: equal in every store, and nobody else's."""
    if value is None or isinstance(
        value, (str, int, float)
    ):  # most are; whether it is a mapping takes longer to tell
        return value
    if isinstance(value, Mapping):
        return {str(key): plain_json(each) for key, each in value.items()}
    return [plain_json(each) for each in value] if isinstance(value, (list, tuple)) else value


def text_problem(value: str) -> str | None:
    """What makes a text unfit for one of our stores (NUL, lone surrogates), or None."""
    if "\x00" in value:
        return "must not contain the NUL character"
    if value.isascii():
        return None
    if any("\ud800" <= char <= "\udfff" for char in value):
        return "must not contain a lone surrogate"
    return None


def sanitised(text: str, limit: int) -> str:
    """Text from an engine's error report made storable: never refused, only cleaned and cut."""
    clean = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def step(name: str) -> str:
    """A name as one step of a JSON pointer (RFC 6901).

    >>> step("a/b~c")
    'a~1b~0c'
    """
    return name.replace("~", "~0").replace("/", "~1")


Check = Callable[[Any, str], Sequence[FieldProblem]]
"""Says what is wrong with a value that stands at a path; an empty sequence means nothing."""
FINE: Sequence[FieldProblem] = ()


def problems_of(value: Any) -> Sequence[FieldProblem]:
    """Every field of an attrs instance that breaks its annotation or its bound."""
    kind: Any = type(value)
    return _check_of(kind)(value, "")


def problems_as(kind: Any, value: Any) -> Sequence[FieldProblem]:
    """What keeps a value from being what an annotation says; pointers start at the value."""
    return _check_of(kind)(value, "")


@cache
def _check_of(kind: Any) -> Check:
    """The check of an annotation, built once: it stands on every command's way."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        if AnyText() in arguments[1:]:
            return _any_text
        return _annotated(_check_of(arguments[0]), [note for note in arguments[1:] if hasattr(note, "check")])
    if origin in (Union, types.UnionType):
        others = [_check_of(option) for option in arguments if option is not type(None)]
        return _union(others, nullable=len(others) < len(arguments))
    if origin is tuple:
        return _items(_check_of(arguments[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_check_of(arguments[1]))
    return _instance(kind) if attrs.has(kind) else _plain(kind)


def _any_text(value: Any, path: str) -> Sequence[FieldProblem]:
    return FINE if isinstance(value, str) else [FieldProblem(path, f"must be {expected(str)}")]


def _annotated(inner: Check, notes: list[Any]) -> Check:
    bounds = [note.check for note in notes]

    def check(value: Any, path: str) -> Sequence[FieldProblem]:
        if (found := inner(value, path)) or value is None:
            return found
        for bound in bounds:
            if bound(value):
                return [FieldProblem(path, text) for each in bounds if (text := each(value))]
        return FINE

    return check


def _union(options: list[Check], *, nullable: bool) -> Check:
    only = options[0] if len(options) == 1 else None

    def check(value: Any, path: str) -> Sequence[FieldProblem]:
        if nullable and value is None:  # most optional fields are left out
            return FINE
        if only is not None:
            return only(value, path)
        found: list[Sequence[FieldProblem]] = []
        for option in options:
            problems = option(value, path)
            if not problems:
                return FINE
            found.append(problems)
        return next((each for each in found if any(problem.path != path for problem in each)), found[0])

    return check


def _items(item: Check) -> Check:
    def check(value: Any, path: str) -> Sequence[FieldProblem]:
        if not isinstance(value, tuple):
            return [FieldProblem(path, "must be a list")]
        if not value:
            return FINE
        return [found for index, each in enumerate(value) for found in item(each, f"{path}/{index}")]

    return check


def _mapping(item: Check) -> Check:
    def check(value: Any, path: str) -> Sequence[FieldProblem]:
        if not isinstance(value, Mapping):
            return [FieldProblem(path, "must be an object")]
        if any(not isinstance(key, str) or text_problem(key) for key in value):
            return [FieldProblem(path, "has a key that is not clean text")]
        return [found for key, each in value.items() for found in item(each, f"{path}/{step(key)}")]

    return check


def _instance(kind: Any) -> Check:
    hints = get_type_hints(kind, include_extras=True)
    checks = {field: _check_of(hints[field.name]) for field in attrs.fields(kind)}
    fields = [(f"/{field.name}", check, _fine(field, check)) for field, check in checks.items()]
    names = [field.name for field in checks]
    contents = (
        attrgetter(*names) if len(names) > 1 else lambda value: [getattr(value, name) for name in names]
    )

    def check(value: Any, path: str) -> Sequence[FieldProblem]:
        if not isinstance(value, kind):
            return [FieldProblem(path, f"must be {expected(kind)}")]
        found: list[FieldProblem] = []
        for each, (step, inner, fine) in zip(contents(value), fields, strict=True):
            if each is not fine and (wrong := inner(each, path + step)):
                found.extend(wrong)
        return found

    return check


def _fine(field: attrs.Attribute[Any], check: Check) -> object:
    """The default of a field if it is a value that needs no check each time; else what no field holds."""
    lasts = isinstance(field.default, (type(None), bool, int, float, str, tuple)) or _is_frozen(field.default)
    return field.default if lasts and not check(field.default, "") else _NOTHING


def _is_frozen(default: Any) -> bool:
    """Whether a default is an attrs value that nobody can change, nor what is in it."""
    setter: object = type(default).__setattr__
    if not attrs.has(type(default)) or setter is object.__setattr__:
        return False
    return all(isinstance(each, (type(None), bool, int, float, str)) for each in attrs.astuple(default))


def _plain(kind: type) -> Check:
    wrong = f"must be {expected(kind)}"
    flag = kind is bool
    accepted = (int, float) if kind is float else kind
    checks: Mapping[type, Callable[[Any], str | None]] = {
        int: _fits_64_bits,
        float: _finite,
        str: text_problem,
    }
    further = checks.get(kind)

    def check(value: Any, path: str) -> Sequence[FieldProblem]:
        if value.__class__ is kind and (further is None or not further(value)):
            return FINE
        if not isinstance(value, accepted) or (isinstance(value, bool) and not flag and kind is not object):
            return [FieldProblem(path, wrong)]
        if further is not None and (text := further(value)):
            return [FieldProblem(path, text)]
        return FINE

    return check


def _fits_64_bits(value: int) -> str | None:
    return None if -INT_MAX - 1 <= value <= INT_MAX else "must fit in 64 bits"


def _finite(value: float) -> str | None:
    if isinstance(value, int):  # a float field may be given one, of any length
        return _fits_64_bits(value)
    return None if math.isfinite(value) else "must be finite"


def expected(kind: type) -> str:
    """What a field of this type must be, in words."""
    if issubclass(kind, Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    return type_name.get(kind, "nothing" if kind is type(None) else f"a {kind.__name__}")
