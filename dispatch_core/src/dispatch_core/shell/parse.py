"""JSON data to values, every problem at once, each with its JSON pointer. Bounds are those of the types."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs import ClassValidationError, Converter, IterableValidationError
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn

from dispatch_core.vocabulary.bounds import expected, problems_as, problems_of, step
from dispatch_core.vocabulary.commands import Unset
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.facts import FactValue

T = TypeVar("T")


class _WrongError(ValueError):
    """One value that cannot be what its field needs; ``problems`` point from there."""

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__()
        self.problems = problems


def _wrong(message: str) -> _WrongError:
    return _WrongError(FieldProblem("", message))


def _plain(kind: type) -> Any:
    def hook(value: object, target: type) -> object:
        if target is not kind and issubclass(target, Enum):  # cattrs takes a StrEnum for a str
            return _enum(value, target)
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if kind is str and isinstance(value, str):
            return value  # a frontend's own forms may hold any text: the fields it ends in have their bounds
        if found := problems_as(kind, value):
            raise _WrongError(*found)
        return float(value) if kind is float and isinstance(value, int) else value

    return hook


def _enum(value: object, kind: type[Enum]) -> Enum:
    try:
        return kind(value)
    except ValueError:
        raise _wrong(f"must be {expected(kind)}") from None


def _object(value: object, _: object) -> object:
    if not isinstance(value, Mapping):
        raise _wrong("must be an object")
    return value


def _facts(value: object, kind: Any) -> object:
    if not isinstance(value, Mapping):
        raise _wrong("must be an object")
    facts = {name: tuple(each) if isinstance(each, list) else each for name, each in value.items()}
    if found := problems_as(kind, facts):
        raise _WrongError(*found)
    return facts


def _annotated(kind: Any, converter: Converter) -> Any:
    inner = get_args(kind)[0]
    nullable, structured = type(None) in get_args(inner), converter.get_structure_hook(inner)

    def hook(value: object, _: object) -> object:
        if value is None and nullable:
            return None
        built = structured(value, inner)
        if found := problems_as(kind, built):
            raise _WrongError(*found)
        return built

    return hook


def _optional(kind: Any, converter: Converter) -> Any:
    """``X | None`` and ``X | Unset``: None where allowed, else what X says (its words, not the union's)."""
    options = get_args(kind)
    nullable = type(None) in options
    wanted = next(option for option in options if option not in (type(None), Unset))
    structured = converter.get_structure_hook(wanted)

    def hook(value: object, _: object) -> object:
        return None if value is None and nullable else structured(value, wanted)

    return hook


def _items(kind: Any, converter: Converter) -> Any:
    items: Any = list[get_args(kind)[0]]  # type: ignore[misc]  # a type made at run time
    structured = converter.get_structure_hook(items)

    def hook(value: object, _: object) -> tuple[object, ...]:
        if not isinstance(value, (list, tuple)):
            raise _wrong("must be a list")
        return tuple(structured(list(value), items))

    return hook


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_annotated(kind: Any) -> bool:
    return get_origin(kind) is Annotated


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) is Mapping


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _class(kind: Any, converter: Converter) -> Any:
    built = make_dict_structure_fn(
        kind,
        converter,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=converter.detailed_validation,
    )

    def hook(value: object, _: object) -> object:
        if not isinstance(value, Mapping):
            raise _wrong("must be an object")
        return built(value, kind)

    return hook


def _mapping(kind: Any, converter: Converter) -> Any:
    """Of a shape of an embedder's own: an object whose names and values fit."""
    inner: Any = converter.gen_structure_mapping(kind)

    def hook(value: object, _: object) -> object:
        return inner(_object(value, kind), kind)

    return hook


def _converter(*, telling: bool) -> Converter:
    """What makes values of JSON data; only a ``telling`` one says everything that is wrong, and where."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=telling)
    for kind in (int, float, str, bool):
        converter.register_structure_hook(kind, _plain(kind))
    # These are asked when a class is met first, not for each value; of two that fit, the later one counts.
    converter.register_structure_hook_factory(attrs.has, _class)
    converter.register_structure_hook_factory(_is_tuple, _items)
    converter.register_structure_hook_factory(_is_mapping, _mapping)
    converter.register_structure_hook_func(lambda kind: kind == Mapping[str, object], _object)
    converter.register_structure_hook_factory(_is_choice, _optional)
    converter.register_structure_hook_func(lambda kind: kind == Mapping[str, FactValue], _facts)
    converter.register_structure_hook_factory(_is_annotated, _annotated)
    converter.register_structure_hook_func(_is_enum, _enum)
    return converter


_QUICK, _TELLING = _converter(telling=False), _converter(telling=True)


def parse(kind: type[T], data: object, path: str = "") -> T:
    """A value of an attrs class from JSON data. Raises InvalidCommandError naming every field.

    Both converters have the same hooks, so they accept the same; data that is fine, as most is, is read by the quick one.
    """
    try:
        return _QUICK.structure(data, kind)
    except Exception:  # noqa: BLE001, S110  # whatever it was, it is met and told once more
        pass
    try:
        return _TELLING.structure(data, kind)
    except Exception as error:  # noqa: BLE001  # cattrs groups them; what is not ours is raised again
        raise InvalidCommandError(list(_problems(error, path, kind))) from None


def check_shape(kind: type, data: Mapping[str, object], path: str = "") -> None:
    """Raises what ``parse`` would. What fits as it stands is not parsed: that takes three times as long."""
    if not _fits(kind, data):
        parse(kind, data, path)


def _fits(kind: type, data: Mapping[str, object]) -> bool:
    names = _plain_fields(kind)
    if names is None or not names.issuperset(data):
        return False
    try:
        return not problems_of(kind(**data))
    except TypeError:  # a field is missing
        return False


@cache
def _plain_fields(kind: type) -> frozenset[str] | None:
    """The names of the fields of a class that keeps scalars as they are given; None if there is more to it."""
    if not attrs.has(kind) or hasattr(kind, "__attrs_post_init__"):
        return None
    hints = get_type_hints(kind)
    fields = attrs.fields(kind)
    for each in fields:
        made = each.converter or each.validator or not each.init or each.alias != each.name
        if made or not _is_scalar(hints.get(each.name)):
            return None
    return frozenset(each.name for each in fields)


def _is_scalar(kind: Any) -> bool:
    """Whether ``parse`` and a check take the very same: a scalar, or one that may be left out."""
    options = get_args(kind) if _is_choice(kind) else (kind,)
    wanted = [each for each in options if each is not types.NoneType]
    return len(wanted) == 1 and wanted[0] in (str, int, float, bool)


def _problems(error: BaseException, path: str, kind: type) -> Iterator[FieldProblem]:
    match error:
        case ClassValidationError():
            for inner, note in error.group_exceptions()[0]:
                yield from _problems(inner, f"{path}/{note.name}", kind)
            for inner in error.group_exceptions()[1]:
                yield from _problems(inner, path, error.cl)
        case IterableValidationError():
            for inner, place in error.group_exceptions()[0]:
                yield from _problems(inner, f"{path}/{place.index}", kind)
        case ForbiddenExtraKeysError():
            for name in sorted(error.extra_fields, key=str):
                yield FieldProblem(f"{path}/{step(str(name))}", _unknown(str(name), error.cl))
        case KeyError():
            yield FieldProblem(path, "is required")
        case _WrongError():
            yield from (FieldProblem(path + each.path, each.message) for each in error.problems)
        case _:
            raise error


def _unknown(name: str, kind: type) -> str:
    known = [field.name for field in attrs.fields(kind)]
    close = difflib.get_close_matches(name, known, n=1)
    return "is not a known field" + (f"; did you mean {close[0]!r}?" if close else "")
