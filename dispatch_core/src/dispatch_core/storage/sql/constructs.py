"""What SQLite and PostgreSQL say in different words, as constructs that know both."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.type_api import TypeEngine

# Compiled once for each store and never cached by SQLAlchemy: inherit_cache says that nothing but their parts matters.


class ListRows(FunctionElement[Any]):
    """The elements of a JSON array of arrays, one a row, as ``value``."""

    name = "list_rows"
    inherit_cache = True


class Field(ColumnElement[Any]):
    """A member of a JSON object that is kept as text: an integer if ``numeric``, else a text."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], name: str, *, numeric: bool) -> None:
        self.column = column
        self.name_of = name
        self.type: TypeEngine[Any] = BigInteger() if numeric else Text()


class Place(ColumnElement[Any]):
    """An element of a JSON array, by its place."""

    inherit_cache = False

    def __init__(self, value: ColumnElement[Any], place: int, type_: TypeEngine[Any]) -> None:
        self.value = value
        self.place = place
        self.type = type_


class Whole(ColumnElement[Any]):
    """A number without its fraction, as an integer."""

    inherit_cache = False

    def __init__(self, number: ColumnElement[Any]) -> None:
        self.number = number
        self.type = BigInteger()


class OneOf(ColumnElement[bool]):
    """Whether a column has one of the texts of a JSON array."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], values: BindParameter[Any]) -> None:
        self.column = column
        self.values = values


def _sqlite(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    def text(part: ClauseElement) -> str:
        return str(compiler.process(part, **options))

    match element:
        case ListRows():
            return f"json_each({text(element.clauses)})"
        case Field():
            return f"json_extract({text(element.column)}, '$.{element.name_of}')"
        case Place():
            return f"json_extract({text(element.value)}, '$[{element.place}]')"
        case Whole():
            return f"CAST({text(element.number)} AS INTEGER)"
        case OneOf():
            return f"{text(element.column)} IN (SELECT value FROM json_each({text(element.values)}))"  # noqa: S608  # compiled parts
        case _:
            raise NotImplementedError(element)


def _postgresql(element: Any, compiler: SQLCompiler, **options: Any) -> str:
    def text(part: ClauseElement) -> str:
        return str(compiler.process(part, **options))

    match element:
        case ListRows():
            return f"json_array_elements(({text(element.clauses)})::json)"
        case Field():
            return _typed(f"({text(element.column)})::json ->> '{element.name_of}'", element.type)
        case Place():
            return _typed(f"{text(element.value)} ->> {element.place}", element.type)
        case Whole():
            return f"trunc({text(element.number)})::bigint"
        case OneOf():
            # Not IN (SELECT …): an array is looked up in an index whatever the planner believes of the table's size.
            listed = f"SELECT json_array_elements_text(({text(element.values)})::json)"
            return f"{text(element.column)} = ANY (ARRAY({listed}))"
        case _:
            raise NotImplementedError(element)


def _typed(text: str, type_: TypeEngine[Any]) -> str:
    return f"({text})::bigint" if isinstance(type_, BigInteger) else f'({text}) COLLATE "C"'


for _each in (ListRows, Field, Place, Whole, OneOf):
    compiles(_each)(_sqlite)
    compiles(_each, "postgresql")(_postgresql)
