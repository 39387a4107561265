"""Pages: a ``Query`` as SQL. One text for each shape of query; the values go in as parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)

from dispatch_core.ports.storage import Query
from dispatch_core.shell.wire import dumps
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.constructs import OneOf
from dispatch_core.storage.sql.forms import Form
from dispatch_core.storage.sql.statements import Statement, Words, compiled
from dispatch_core.vocabulary.bounds import INT_MAX, text_problem

NULLABLE = frozenset({"engine_id", "account", "campaign"})
_LAST = "\U0010ffff" * 8
"""Behind a prefix, this sorts after whatever a key goes on with."""
SHAPES_MAX = 500


@frozen
class Shape:
    """What of a query is text and not value."""

    one: tuple[str, ...]
    several: tuple[str, ...]
    since: tuple[str, ...]
    until: tuple[str, ...]
    prefix: bool
    sort: str
    descending: bool
    after: bool


def shape_of(query: Query) -> Shape:
    """The shape of a query. A field that must have one value is compared, so that indexes serve it."""
    return Shape(
        one=tuple(sorted(name for name, values in query.where.items() if len(values) == 1)),
        several=tuple(sorted(name for name, values in query.where.items() if len(values) != 1)),
        since=tuple(sorted(query.since)),
        until=tuple(sorted(query.until)),
        prefix=bool(query.prefix),
        sort=query.sort,
        descending=query.descending,
        after=query.after is not None,
    )


class Pages:
    """Statements for queries over one type of record, compiled when first met."""

    def __init__(self, form: Form, words: Words) -> None:
        self._form = form
        self._words = words
        self._known: dict[Shape, Statement] = {}

    def statement(self, query: Query) -> tuple[Statement, Mapping[str, object]]:
        """The statement for a query, and its values. Raises KeyError for a field that cannot be asked for."""
        shape = shape_of(query)
        statement = self._known.get(shape)
        if statement is None:
            statement = self._compile(shape)
            if len(self._known) < SHAPES_MAX:
                self._known[shape] = statement
        return statement, dict(self._values(query))

    def _compile(self, shape: Shape) -> Statement:
        form = self._form
        place = (self._sorted_by(shape.sort), form.key_text)
        conditions = [*self._conditions(shape)]
        if shape.after:
            last = tuple_(bindparam("after_value"), bindparam("after_key"))
            conditions.append(tuple_(*place) < last if shape.descending else tuple_(*place) > last)
        order = [each.desc() if shape.descending else each for each in place]
        columns = [*(form.table.c[name] for name in form.columns), place[0].label("place")]
        return compiled(
            select(*columns).where(*conditions).order_by(*order).limit(bindparam("limit")),
            self._words.dialect,
        )

    def _conditions(self, shape: Shape) -> Iterator[ColumnElement[bool]]:
        fields = self._form.fields
        if self._form.table is schema.records:
            yield schema.records.c.type == bindparam("type", self._form.record_type.value)
        if shape.prefix:
            yield self._form.key_text >= bindparam("prefix")
            yield self._form.key_text <= bindparam("prefix_end")
        served = _served_by_its_index(shape)
        for name in shape.one:
            field = fields[name] if served is None or name in served else _unindexed(fields[name])
            yield field == bindparam(f"is_{name}")
        yield from (_one_of(fields[name], f"in_{name}") for name in shape.several)
        yield from (fields[name] >= bindparam(f"since_{name}") for name in shape.since)
        yield from (fields[name] <= bindparam(f"until_{name}") for name in shape.until)

    def _sorted_by(self, name: str) -> ColumnElement[Any]:
        column = self._form.fields[name]
        return func.coalesce(column, "") if name in NULLABLE else column

    def _values(self, query: Query) -> Iterator[tuple[str, object]]:
        for name, values in query.where.items():
            if len(values) == 1:
                yield f"is_{name}", self._value(name, values[0])
            else:
                fitting = [self._value(name, value) for value in values]
                yield f"in_{name}", dumps([value for value in fitting if value is not None])
        yield from ((f"since_{name}", _clamped(bound)) for name, bound in query.since.items())
        yield from ((f"until_{name}", _clamped(bound - 1)) for name, bound in query.until.items())
        if query.prefix:
            yield "prefix", _clean(query.prefix)
            yield "prefix_end", _clean(query.prefix) + _LAST
        if query.after is not None:
            value, key = query.after
            yield "after_value", _clamped(value) if isinstance(value, int) else _clean(value)
            yield "after_key", _clean(key)
        yield "limit", query.limit + 1

    def _value(self, name: str, text: str) -> str | None:
        """A text to compare with; None, which equals nothing, if no record can have it."""
        numeric = isinstance(self._form.fields[name].type, BigInteger)
        return None if numeric or text_problem(text) else text


def _one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    # A number is never one of these texts: see ``_value``.
    text = cast(column, String) if isinstance(column.type, BigInteger) else column
    return OneOf(text, bindparam(name, type_=String))


def _served_by_its_index(shape: Shape) -> tuple[str, ...] | None:
    """The fields an index should be chosen by where one is much better than others; None: the planner knows best."""
    if shape.prefix:
        return ()
    return ("tenant", "campaign") if "campaign" in shape.one else None


def _unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same value as an expression, so that no planner takes its index for better than another's."""
    return column if isinstance(column.type, BigInteger) else column.concat(literal_column("''"))


def _clamped(value: int) -> int:
    # A bound beyond 64 bits is beyond every stored value; the driver would refuse it.
    return max(-INT_MAX - 1, min(value, INT_MAX))


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
