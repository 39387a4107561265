"""JSON Schema (2020-12) of attrs classes: the bounds stand in their types, so the schema has the same ones."""

from __future__ import annotations

import inspect
import types
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import field, frozen

from dispatch_core import AnyText, Bound, Grammar, Json, Length, Unset

Schema = dict[str, Any]
INT64 = {"minimum": -(2**63), "maximum": 2**63 - 1}
_PLAIN: Mapping[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int64"},
    float: {"type": "number"},
    str: {"type": "string"},
    type(None): {"type": "null"},
    object: {},
}


@frozen(eq=False)  # by identity: typing keeps one of two equal annotations
class Keywords:
    """Further keywords of the schema of an ``Annotated`` type."""

    schema: Schema


Instant = Annotated[str, Keywords({"format": "date-time"})]
"""RFC 3339 text."""


@frozen(kw_only=True)
class Components:
    """The schemas met so far, by the names of their classes.

    ``closed`` forbids other fields (of what comes in); of the classes in ``sliced`` callers may ask for some
    fields only. ``edge`` says which properties, schemas or types, stand at the edge for a field that is stored
    otherwise, ``words`` describes fields; both are by class name and field.
    """

    closed: bool
    sliced: Collection[str] = ()
    edge: Mapping[tuple[str, str], Mapping[str, Any]] = field(factory=dict)
    words: Mapping[tuple[str, str], str] = field(factory=dict)
    found: dict[str, Schema] = field(factory=dict)

    def of(self, annotation: Any) -> Schema:
        """The schema of an annotation; that of a class is a reference, and the class is added."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return _limited(self.of(arguments[0]), arguments[1:])
        if origin in (Union, types.UnionType):
            return _either([self.of(each) for each in arguments if each is not Unset])
        if origin is tuple:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is not None and issubclass(origin, Mapping):
            values = self.of(arguments[1])
            return {"type": "object", **({"additionalProperties": values} if values else {})}
        if attrs.has(annotation):
            return self._reference(annotation)
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return {"type": "string", "enum": [member.value for member in annotation]}
        return dict(_PLAIN[annotation]) | (INT64 if annotation is int and self.closed else {})

    def _reference(self, kind: type) -> Schema:
        name = kind.__name__
        if name not in self.found:
            self.found[name] = {}  # so that a class may refer to itself
            self.found[name] = self._object(kind)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, kind: type) -> Schema:
        hints = get_type_hints(kind, include_extras=True)
        properties: Schema = {}
        required: list[str] = []
        for each in attrs.fields(kind):
            own = self._at_the_edge(kind, each.name)
            properties |= self._property(kind, each, hints[each.name]) if own is None else own
            required += [each.name] if each.default is attrs.NOTHING and each.name in properties else []
        return {
            "type": "object",
            **_described(first_paragraph(kind)),
            "properties": properties,
            **({"required": required} if required and kind.__name__ not in self.sliced else {}),
            **({"additionalProperties": False} if self.closed else {}),
        }

    def _property(self, kind: type, each: Any, hint: Any) -> Schema:
        return {
            each.name: self.of(hint) | _default(each) | _described(self.words.get((kind.__name__, each.name)))
        }

    def _at_the_edge(self, kind: type, name: str) -> Schema | None:
        """What stands there for a field of a class, or of one it inherits from."""
        for each in kind.__mro__:
            if (each.__name__, name) in self.edge:
                known = self.edge[each.__name__, name]
                return {word: it if isinstance(it, dict) else self.of(it) for word, it in known.items()}
        return None


def first_paragraph(thing: object) -> str:
    """What a docstring says first, in the signs of Markdown."""
    return " ".join(inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].split()).replace("``", "`")


_NULL: Schema = {"type": "null"}


def patch_of(schema: Schema) -> Schema:
    """The merge patch of an object: nothing must be given, and null is the default of what has one."""
    must = schema.get("required", ())
    properties = {
        name: each
        if name in must
        else _either([{word: each[word] for word in each if word != "default"}, _NULL])
        for name, each in schema["properties"].items()
    }
    return {**{word: each for word, each in schema.items() if word != "required"}, "properties": properties}


def _described(words: str | None) -> Schema:
    return {"description": words} if words else {}


def _either(options: Collection[Schema]) -> Schema:
    """One of several; what is one type or null is written as one schema."""
    flat = [inner for each in options for inner in _alternatives(each)]
    distinct = [each for index, each in enumerate(flat) if each not in flat[:index]]
    others = [each for each in distinct if each != _NULL]
    if len(others) == len(distinct) == 1:
        return others[0]
    if len(others) == 1 and "type" in others[0]:
        enum = {"enum": [*others[0]["enum"], None]} if "enum" in others[0] else {}
        return {**others[0], "type": [others[0]["type"], "null"], **enum}
    return {"anyOf": distinct}


def _alternatives(schema: Schema) -> list[Schema]:
    match schema:
        case {"anyOf": list(options)}:
            return options
        case {"type": [str(name), "null"]} if "enum" not in schema:
            return [{**schema, "type": name}, _NULL]
        case _:
            return [schema]


def _limited(schema: Schema, notes: Collection[object]) -> Schema:
    limits = [keyword for note in notes for keyword in _keywords(note, schema)]
    return {**schema, **dict(limits)}


def _keywords(note: object, schema: Schema) -> Iterator[tuple[str, Any]]:
    match note:
        case Bound():
            yield from (("minimum", note.ge), ("maximum", note.le))
        case Length():
            size = {"string": "Length", "array": "Items", "object": "Properties"}[schema["type"]]
            yield from ((f"min{size}", note.ge), (f"max{size}", note.le))
        case Grammar():
            yield from (("pattern", f"^{note.pattern}$"), ("description", note.words))
        case AnyText():
            yield "description", "cleaned and cut, never refused"
        case Json():
            yield "description", f"any JSON, at most {note.depth} deep and {note.nodes:,} values large"
        case Keywords():
            yield from note.schema.items()
        case _:
            pass


def _default(each: Any) -> Schema:
    value = each.default
    if value is attrs.NOTHING:  # which is an enum member itself
        return {}
    if isinstance(value, Enum):
        return {"default": value.value}
    if isinstance(value, tuple):
        return {"default": list(value)}
    if isinstance(value, str | int | float | bool):
        return {"default": value}
    return {"default": {}} if getattr(value, "factory", None) is dict else {}
