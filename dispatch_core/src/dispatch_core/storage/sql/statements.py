"""The static SQL: compiled once from SQLAlchemy's constructs, executed with positional values.

Ids go in as one JSON array, never as an expanding IN, so that one text serves every batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from attrs import frozen
from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import Select

from dispatch_core.kernel.scheduling.levels import LENGTHS, WEIGHT_UNITS
from dispatch_core.ports.storage import Tally
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.forms import Form
from dispatch_core.vocabulary.records import RecordType

DIALECT = sqlite_dialect(paramstyle="qmark")


@frozen
class Statement:
    """SQL text, the names of its values in order, and those values that are always the same."""

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    def bind(self, **values: object) -> tuple[Any, ...]:
        """The values in the order of the text."""
        return tuple(values[name] if name in values else self.constants[name] for name in self.names)


def compiled(clause: ClauseElement) -> Statement:
    """The text of a construct."""
    result = clause.compile(dialect=DIALECT)
    assert isinstance(result, SQLCompiler)
    names = tuple(result.positiontup or ())
    return Statement(str(result), names, {name: result.params[name] for name in names})


@cache
def schema_texts() -> tuple[str, ...]:
    """The statements that make all tables and indexes, in order."""
    return tuple(str(each.compile(dialect=DIALECT)) for each in schema.definitions())


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether a column has one of the values of a JSON array bound to ``name``."""
    each = func.json_each(bindparam(name)).table_valued("value")
    return column.in_(select(each.c.value))


# ----- one set for each type of record


@frozen(kw_only=True)
class FormStatements:
    """Everything static about one type. Values of writes: those of ``Form.values``, then key and version."""

    load: Statement
    due: Statement
    versions: Statement
    insert: str
    update: str
    update_lean: str
    delete: str


def form_statements(form: Form) -> FormStatements:
    """The statements of one type."""
    return FormStatements(
        load=compiled(_named(form, *form.columns)),
        versions=compiled(_named(form, *form.key_columns, "version")),
        due=compiled(_due(form)),
        insert=_insert(form),
        update=_update(form, len(form.columns) - form.fixed),
        update_lean=_update(form, len(form.columns) - form.fixed - form.seldom),
        delete=compiled(delete(form.table).where(_as_read(form))).text,
    )


def _named(form: Form, *columns: str) -> Select[Any]:
    chosen = select(*(form.table.c[name] for name in columns))
    if form.key_width == 1:
        return chosen.where(among(form.table.c[form.key_columns[0]], "keys"))
    each = func.json_each(bindparam("keys")).table_valued("value")
    parts = [
        form.table.c[name] == func.json_extract(each.c.value, literal_column(f"'$[{place}]'"))
        for place, name in enumerate(form.key_columns)
    ]
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


def _insert(form: Form) -> str:
    statement = compiled(insert(form.table).on_conflict_do_nothing())
    assert statement.names == form.columns
    return statement.text


def _update(form: Form, width: int) -> str:
    columns = form.columns[form.key_width : width]
    new: list[tuple[Any, Any]] = [(form.table.c[name], bindparam(f"new_{name}")) for name in columns]
    statement = compiled(update(form.table).where(_as_read(form)).ordered_values(*new))
    expected = [*(f"new_{name}" for name in columns), *(f"old_{name}" for name in form.key_columns)]
    assert statement.names == (*expected, "old_version")
    return statement.text


def _as_read(form: Form) -> ColumnElement[bool]:
    names = (*form.key_columns, "version")
    return and_(*(form.table.c[name] == bindparam(f"old_{name}") for name in names))


# ----- the rest


def history_insert() -> str:
    """One history row."""
    return compiled(insert(schema.history)).text


def history_delete() -> str:
    """All history rows of one record: type, key."""
    columns = schema.history.c
    return compiled(
        delete(schema.history).where(columns.type == bindparam("type"), columns.key == bindparam("key"))
    ).text


def counter_add() -> str:
    """Add to a counter: server, tenant, name, increment."""
    fresh = insert(schema.counters)
    added = {"value": schema.counters.c.value + fresh.excluded.value}
    return compiled(fresh.on_conflict_do_update(index_elements=["server", "tenant", "name"], set_=added)).text


@cache
def history_select(*, of: bool) -> Statement:
    """History rows behind (tx, n), of one record or of all."""
    columns = schema.history.c
    place = [columns.tx, columns.n]
    behind = tuple_(*place) > tuple_(bindparam("tx"), bindparam("n"))
    one = [columns.type == bindparam("type"), columns.key == bindparam("key")] if of else []
    shown = [column for column in columns if column is not columns.crc]
    return compiled(select(*shown).where(behind, *one).order_by(*place).limit(bindparam("limit")))


@cache
def settled() -> Statement:
    """Ended jobs (last change, id) that ended in one way and are unchanged since, in that order."""
    columns = schema.jobs.c
    place = (columns.updated_us, columns.id)
    behind = tuple_(*place) > tuple_(bindparam("since_us"), bindparam("behind"))
    alike = (columns.deleted == bindparam("deleted"), columns.state == bindparam("state"))
    old = columns.updated_us <= bindparam("before_us")
    return compiled(
        select(*place).where(schema.ENDED, *alike, behind, old).order_by(*place).limit(bindparam("limit"))
    )


def open_attempts(form: Form) -> Statement:
    """The attempts of the engines named that have not ended."""
    columns = schema.attempts.c
    return compiled(
        select(*(form.table.c[name] for name in form.columns))
        .where(columns.ended_us.is_(None), among(columns.engine_id, "engines"))
        .order_by(columns.job_id, columns.number)
    )


@cache
def tally(what: Tally) -> Statement:
    """Counts and sums as (key, key, …, count, total)."""
    jobs, counters = schema.jobs.c, schema.counters.c
    match what:
        case Tally.STATES:
            chosen = select(jobs.tenant, jobs.state, func.count(), literal_column("0"))
            return compiled(chosen.group_by(jobs.tenant, jobs.state))
        case Tally.COUNTERS:
            chosen = select(counters.tenant, counters.name, func.sum(counters.value), literal_column("0"))
            return compiled(chosen.group_by(counters.tenant, counters.name))
        case Tally.BACKLOG:
            ready = jobs.lane.isnot(None)
            chosen = select(jobs.lane, jobs.class_id, func.count(), func.sum(jobs.est_us))
            return compiled(chosen.where(ready).group_by(jobs.lane, jobs.class_id))
        case Tally.URGENCY:
            octave = _octave(jobs.est_us, 0, len(LENGTHS))
            whole = cast(jobs.weight * literal_column(str(WEIGHT_UNITS)), Integer)
            units = case((whole < literal_column("1"), literal_column("1")), else_=whole)
            keys = (jobs.lane, cast(units, String), cast(octave, String))
            chosen = select(*keys, func.count(), func.sum(jobs.est_us)).where(jobs.lane.isnot(None))
            return compiled(chosen.group_by(*(literal_column(str(place)) for place in (1, 2, 3))))
        case Tally.CAMPAIGN:
            mine = (jobs.tenant == bindparam("tenant"), jobs.campaign == bindparam("campaign"))
            shown = jobs.deleted == literal_column("'no'")
            total = func.coalesce(func.sum(jobs.est_us), literal_column("0"))
            # By the column itself the index of states would be taken for the better one.
            state = jobs.state.concat(literal_column("''"))
            chosen = select(state, func.count(), total).where(*mine, shown)
            return compiled(chosen.group_by(literal_column("1")))


def _octave(length: ColumnElement[int], first: int, end: int) -> ColumnElement[int]:
    """How many of ``LENGTHS[first:end]`` are at or below the length, by halving, plus ``first``."""
    if first == end:
        return literal_column(str(first))
    middle = (first + end) // 2
    return case(
        (length < literal_column(str(LENGTHS[middle])), _octave(length, first, middle)),
        else_=_octave(length, middle + 1, end),
    )
