"""Exact JSON forms of records, events and answers, as stores keep them. Edge forms live in ``forms``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from cattrs.fns import identity
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.preconf.json import JsonConverter, make_converter

from dispatch_core.vocabulary.events import Event, name_of
from dispatch_core.vocabulary.facts import FactValue
from dispatch_core.vocabulary.jobs import JobSpec, Retry, Timeouts

T = TypeVar("T")


def _is_json(kind: object) -> bool:
    return kind == Mapping[str, object]


def _bare(kind: Any) -> Any:
    """A type without what ``Annotated`` says of it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _is_plain_or_none(kind: Any) -> bool:
    """Whether every value of an optional type is JSON as it stands."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    return bool(options) and all(_bare(each) in (NoneType, str, int, float, bool) for each in options)


def _is_texts(kind: Any) -> bool:
    return get_origin(kind) is tuple and _bare(get_args(kind)[0]) is str


def _converter() -> JsonConverter:
    converter = make_converter(omit_if_default=True, detailed_validation=False, prefer_attrib_converters=True)
    # What cattrs would do, without a call for each optional field, and for each text of a list.
    converter.register_unstructure_hook_func(_is_plain_or_none, identity)
    converter.register_unstructure_hook_func(_is_texts, list)
    converter.register_structure_hook_func(
        lambda kind: kind == FactValue, lambda value, _: tuple(value) if isinstance(value, list) else value
    )
    converter.register_unstructure_hook_func(
        lambda kind: kind == FactValue, lambda value: list(value) if isinstance(value, tuple) else value
    )
    # What was asked for is stored whole: a later version's other defaults must not change stored jobs.
    for asked in (Retry, Timeouts, JobSpec):
        converter.register_unstructure_hook(
            asked, make_dict_unstructure_fn(asked, converter, _cattrs_omit_if_default=False)
        )
    # JSON inside a record (parameters, results) is kept as it is: it was checked when it came in.
    converter.register_structure_hook_func(_is_json, lambda value, _: value)
    converter.register_unstructure_hook_func(_is_json, lambda value: value)
    return converter


_CONVERTER = _converter()
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
# What the encoder makes anew for every text: a third of the time that a small record takes. Only CPython has it.
_make: Any = getattr(json.encoder, "c_make_encoder", None)
_CHUNKS = _make and _make(
    None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", False, False, False
)
_EVENTS: Mapping[str, type] = {name_of(cls): cls for cls in Event.__args__}


def to_plain(value: object) -> Any:
    """Plain JSON data of a record, an answer or any attrs value; defaults are left out."""
    return _CONVERTER.unstructure(value)


def plain_without(cls: type[Any], *names: str) -> Callable[[Any], dict[str, Any]]:
    """What makes the plain form of a class without some fields: for stores that keep those in columns of their own."""
    left_out = {name: override(omit=True) for name in names}
    made: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
        cls,
        _CONVERTER,
        _cattrs_omit_if_default=True,
        **left_out,  # type: ignore[arg-type]  # names of fields
    )
    return made


def from_plain(cls: type[T], data: object) -> T:
    """The value back from its plain form."""
    return _CONVERTER.structure(data, cls)


def dumps(value: object) -> str:
    """Compact JSON text. Raises ValueError for a number that is not finite, TypeError for what is not JSON."""
    return "".join(_CHUNKS(value, 0)) if _CHUNKS else _ENCODER.encode(value)


def loads(text: str) -> Any:
    """Plain data of JSON text."""
    return json.loads(text)


def event_to_plain(event: Event) -> dict[str, Any]:
    """What a history row keeps of an event, its name apart."""
    plain: dict[str, Any] = _CONVERTER.unstructure(event)
    return plain


def event_from_plain(name: str, data: Mapping[str, object]) -> Event:
    """The event back from its history row. Raises KeyError for a name this version does not know."""
    event: Event = _CONVERTER.structure(data, _EVENTS[name])
    return event
