"""SQL as PostgreSQL says it: all rows of values go in as one array a column, so a write is one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, literal_column
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.selectable import Select

from dispatch_core.storage.sql import heads as ready_order
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.forms import Form
from dispatch_core.storage.sql.statements import Words

_ARRAYS = {"TEXT": "text[]", "BIGINT": "bigint[]", "INTEGER": "int[]", "DOUBLE": "float8[]"}


class PostgresqlWords(Words):
    """See ``Words``. Rows are written in the order given, so whoever sorts them by key locks in that order."""

    dialect: Dialect = psycopg_dialect(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it
    buckets: str = ready_order.BUCKETS
    heads: str = ready_order.POSTGRESQL_HEADS

    def insert(self, form: Form) -> str:
        return f"{_insert(form.table)} ON CONFLICT DO NOTHING"

    def update(self, form: Form, width: int) -> str:
        name = form.table.name
        new = [form.table.c[each] for each in form.columns[form.key_width : width]]
        sets = ", ".join(f"{column.name} = given.new_{column.name}" for column in new)
        given = _given([("new", new), ("old", _as_read(form))])
        return f"UPDATE {name} SET {sets} FROM {given} WHERE {_same(form)}"  # noqa: S608  # the schema's names

    def delete(self, form: Form) -> str:
        given = _given([("old", _as_read(form))])
        return f"DELETE FROM {form.table.name} USING {given} WHERE {_same(form)}"  # noqa: S608  # the schema's names

    def locking(self, chosen: Select[Any], table: Table, *, wait: bool) -> Select[Any]:
        return chosen.with_for_update(key_share=True, skip_locked=not wait, of=table)

    def history_seen(self) -> Sequence[ColumnElement[bool]]:
        """Those of transactions below the oldest that still runs: by a sequence alone, a reader missed 1 row in 5."""
        oldest = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        base = "(SELECT value::bigint FROM meta WHERE name = 'tx_base')"
        return (schema.history.c.tx < literal_column(f"{oldest} + {base}"),)

    def history_insert(self) -> str:
        return _insert(schema.history)

    def history_delete(self) -> str:
        columns = schema.history.c
        given = _given([("old", [columns.type, columns.key])])
        same = "history.type = given.old_type AND history.key = given.old_key"
        return f"DELETE FROM history USING {given} WHERE {same}"  # noqa: S608  # the schema's names

    def counter_add(self) -> str:
        key = ", ".join(column.name for column in schema.counters.primary_key)
        return f"{_insert(schema.counters)} ON CONFLICT ({key}) DO UPDATE SET value = counters.value + excluded.value"


def _as_read(form: Form) -> list[Column[Any]]:
    return [form.table.c[name] for name in (*form.key_columns, "version")]


def _same(form: Form) -> str:
    return " AND ".join(f"{form.table.name}.{each.name} = given.old_{each.name}" for each in _as_read(form))


def _insert(table: Table) -> str:
    names = ", ".join(column.name for column in table.columns)
    return f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({_arrays(list(table.columns))})"  # noqa: S608  # the schema's names


def _given(parts: Sequence[tuple[str, Sequence[Column[Any]]]]) -> str:
    columns = [column for _, each in parts for column in each]
    names = ", ".join(f"{part}_{column.name}" for part, each in parts for column in each)
    return f"unnest({_arrays(columns)}) AS given({names})"


def _arrays(columns: Sequence[Column[Any]]) -> str:
    # In binary form: an array as text is escaped character by character, which took ten times as long.
    return ", ".join(f"%b::{_ARRAYS[str(column.type.compile())]}" for column in columns)


POSTGRESQL = PostgresqlWords()
