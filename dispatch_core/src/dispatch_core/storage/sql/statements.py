"""The static SQL: compiled once for a database from SQLAlchemy's constructs, executed with positional values.

Ids go in as one JSON array, never as an expanding IN, so that one text serves every batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    Table,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import Select

from dispatch_core.kernel.scheduling.levels import LENGTHS, WEIGHT_UNITS
from dispatch_core.ports.storage import Tally
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.constructs import ListRows, OneOf, Place, Whole
from dispatch_core.storage.sql.forms import Form
from dispatch_core.vocabulary.records import RecordType


@frozen
class Statement:
    """SQL text, the names of its values in order, and those values that are always the same."""

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    def bind(self, **values: object) -> tuple[Any, ...]:
        """The values in the order of the text."""
        return tuple(values[name] if name in values else self.constants[name] for name in self.names)


def compiled(clause: ClauseElement, dialect: Dialect) -> Statement:
    """The text of a construct in the words of a database; its values go in by place."""
    result = clause.compile(dialect=dialect)
    assert isinstance(result, SQLCompiler)
    names = tuple(result.positiontup or ())
    return Statement(str(result), names, {name: result.params[name] for name in names})


@cache
def schema_texts(words: Words) -> tuple[str, ...]:
    """The statements that make all tables and indexes, in order."""
    return tuple(str(each.compile(dialect=words.dialect)) for each in schema.definitions())


class Words(ABC):
    """How a database is spoken to: what SQLAlchemy's constructs do not say the same way everywhere.

    Writes take values row by row as ``Form.values`` gives them; how they reach the database is the session's.
    """

    dialect: Dialect
    buckets: str
    heads: str

    @abstractmethod
    def insert(self, form: Form) -> str:
        """Add rows; those whose key is there are left out and not counted."""

    @abstractmethod
    def update(self, form: Form, width: int) -> str:
        """Write the columns between the key and ``width``: their values, then the key, then the version as read."""

    @abstractmethod
    def delete(self, form: Form) -> str:
        """Remove rows: the key, then the version as read."""

    @abstractmethod
    def locking(self, chosen: Select[Any], table: Table, *, wait: bool) -> Select[Any]:
        """The same rows, locked; those that others have locked are waited for, or left out."""

    @abstractmethod
    def history_seen(self) -> Sequence[ColumnElement[bool]]:
        """Which history rows may be told: no row that comes before them may be committed later."""

    @abstractmethod
    def history_insert(self) -> str:
        """Add history rows."""

    @abstractmethod
    def history_delete(self) -> str:
        """Remove all history rows of a record: type, key."""

    @abstractmethod
    def counter_add(self) -> str:
        """Add to a counter: server, tenant, name, increment."""


# ----- one set for each type of record


@frozen(kw_only=True)
class FormStatements:
    """Everything static about one type. Values of writes: those of ``Form.values``, then key and version."""

    load: Statement
    lock: Statement
    take: Statement
    due: Statement
    versions: Statement
    insert: str
    update: str
    update_lean: str
    delete: str


def form_statements(form: Form, words: Words) -> FormStatements:
    """The statements of one type."""
    dialect = words.dialect
    return FormStatements(
        load=compiled(_named(form, *form.columns), dialect),
        lock=compiled(words.locking(_in_order(form), form.table, wait=True), dialect),
        take=compiled(words.locking(_in_order(form), form.table, wait=False), dialect),
        versions=compiled(_named(form, *form.key_columns, "version"), dialect),
        due=compiled(_due(form), dialect),
        insert=words.insert(form),
        update=words.update(form, len(form.columns) - form.fixed),
        update_lean=words.update(form, len(form.columns) - form.fixed - form.seldom),
        delete=words.delete(form),
    )


def _in_order(form: Form) -> Select[Any]:
    """By key, so that two who lock the same rows do not wait for each other."""
    return _named(form, *form.columns).order_by(*_key(form))


def _key(form: Form) -> list[ColumnElement[Any]]:
    return [form.table.c[name] for name in form.key_columns]


def _named(form: Form, *columns: str) -> Select[Any]:
    chosen = select(*(form.table.c[name] for name in columns))
    if form.key_width == 1:
        return chosen.where(OneOf(form.table.c[form.key_columns[0]], bindparam("keys", type_=String)))
    each = ListRows(bindparam("keys", type_=String)).table_valued("value")
    parts = [column == Place(each.c.value, place, column.type) for place, column in enumerate(_key(form))]
    return chosen.select_from(each.join(form.table, and_(*parts)))


def _due(form: Form) -> Select[Any]:
    table = form.table
    conditions = [table.c.due_us <= bindparam("before_us"), table.c.due_us >= bindparam("since_us")]
    if form.record_type is RecordType.ATTEMPT:
        conditions.append(schema.attempts.c.ended_us.is_(None))
    if table is schema.records:
        conditions.append(schema.records.c.type == bindparam("type", form.record_type.value))
    return (
        select(*(table.c[name] for name in form.key_columns))
        .where(*conditions)
        .order_by(table.c.due_us, form.key_text)
        .limit(bindparam("limit"))
    )


# ----- the rest


@cache
def history_select(words: Words, *, of: bool) -> Statement:
    """History rows behind (tx, n), of one record or of all."""
    columns = schema.history.c
    place = [columns.tx, columns.n]
    behind = tuple_(*place) > tuple_(bindparam("tx"), bindparam("n"))
    one = [columns.type == bindparam("type"), columns.key == bindparam("key")] if of else words.history_seen()
    shown = [column for column in columns if column is not columns.crc]
    return compiled(
        select(*shown).where(behind, *one).order_by(*place).limit(bindparam("limit")), words.dialect
    )


@cache
def settled(words: Words) -> Statement:
    """Ended jobs (last change, id) that ended in one way and are unchanged since, in that order."""
    columns = schema.jobs.c
    place = (columns.updated_us, columns.id)
    behind = tuple_(*place) > tuple_(bindparam("since_us"), bindparam("behind"))
    alike = (columns.deleted == bindparam("deleted"), columns.state == bindparam("state"))
    old = columns.updated_us <= bindparam("before_us")
    return compiled(
        select(*place).where(schema.ENDED, *alike, behind, old).order_by(*place).limit(bindparam("limit")),
        words.dialect,
    )


def open_attempts(form: Form, words: Words) -> Statement:
    """The attempts of the engines named that have not ended."""
    columns = schema.attempts.c
    return compiled(
        select(*(form.table.c[name] for name in form.columns))
        .where(columns.ended_us.is_(None), OneOf(columns.engine_id, bindparam("engines", type_=String)))
        .order_by(columns.job_id, columns.number),
        words.dialect,
    )


@cache
def tally(what: Tally, words: Words) -> Statement:
    """Counts and sums as (key, key, …, count, total)."""
    return compiled(_tally(what), words.dialect)


def _tally(what: Tally) -> Select[Any]:
    jobs, counters = schema.jobs.c, schema.counters.c
    match what:
        case Tally.STATES:
            chosen = select(jobs.tenant, jobs.state, func.count(), literal_column("0"))
            return chosen.group_by(jobs.tenant, jobs.state)
        case Tally.COUNTERS:
            chosen = select(counters.tenant, counters.name, _sum(counters.value), literal_column("0"))
            return chosen.group_by(counters.tenant, counters.name)
        case Tally.BACKLOG:
            ready = jobs.lane.isnot(None)
            chosen = select(jobs.lane, jobs.class_id, func.count(), _sum(jobs.est_us))
            return chosen.where(ready).group_by(jobs.lane, jobs.class_id)
        case Tally.URGENCY:
            octave = _octave(jobs.est_us, 0, len(LENGTHS))
            whole = Whole(jobs.weight * literal_column(str(WEIGHT_UNITS)))
            units = case((whole < literal_column("1"), literal_column("1")), else_=whole)
            keys = (jobs.lane, cast(units, String), cast(octave, String))
            chosen = select(*keys, func.count(), _sum(jobs.est_us)).where(jobs.lane.isnot(None))
            return chosen.group_by(*(literal_column(str(place)) for place in (1, 2, 3)))
        case Tally.CAMPAIGN:
            mine = (jobs.tenant == bindparam("tenant"), jobs.campaign == bindparam("campaign"))
            shown = jobs.deleted == literal_column("'no'")
            total = func.coalesce(_sum(jobs.est_us), literal_column("0"))
            # By the column itself the index of states would be taken for the better one.
            state = jobs.state.concat(literal_column("''"))
            counted: list[ColumnElement[Any]] = [state, func.count(), total]
            return select(*counted).where(*mine, shown).group_by(literal_column("1"))


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    """A sum that is an integer everywhere: PostgreSQL's own is a decimal number."""
    return cast(func.sum(column), BigInteger)


def _octave(length: ColumnElement[int], first: int, end: int) -> ColumnElement[int]:
    """How many of ``LENGTHS[first:end]`` are at or below the length, by halving, plus ``first``."""
    if first == end:
        return literal_column(str(first))
    middle = (first + end) // 2
    return case(
        (length < literal_column(str(LENGTHS[middle])), _octave(length, first, middle)),
        else_=_octave(length, middle + 1, end),
    )
