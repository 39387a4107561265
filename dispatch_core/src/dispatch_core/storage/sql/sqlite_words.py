"""SQL as SQLite says it: every row of values is one execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, update
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.selectable import Select

from dispatch_core.storage.sql import heads as ready_order
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.forms import Form
from dispatch_core.storage.sql.statements import Words, compiled


class SqliteWords(Words):
    """See ``Words``."""

    dialect: Dialect = sqlite_dialect(paramstyle="qmark")
    buckets: str = ready_order.BUCKETS
    heads: str = ready_order.HEADS

    def insert(self, form: Form) -> str:
        statement = compiled(insert(form.table).on_conflict_do_nothing(), self.dialect)
        assert statement.names == form.columns
        return statement.text

    def update(self, form: Form, width: int) -> str:
        columns = form.columns[form.key_width : width]
        new: list[tuple[Any, Any]] = [(form.table.c[name], bindparam(f"new_{name}")) for name in columns]
        statement = compiled(update(form.table).where(_as_read(form)).ordered_values(*new), self.dialect)
        expected = [*(f"new_{name}" for name in columns), *(f"old_{name}" for name in form.key_columns)]
        assert statement.names == (*expected, "old_version")
        return statement.text

    def delete(self, form: Form) -> str:
        return compiled(delete(form.table).where(_as_read(form)), self.dialect).text

    def locking(self, chosen: Select[Any], table: Table, *, wait: bool) -> Select[Any]:
        """As it is: who writes has the whole file."""
        return chosen

    def history_seen(self) -> Sequence[ColumnElement[bool]]:
        """All: commits come one after the other."""
        return ()

    def history_insert(self) -> str:
        return compiled(insert(schema.history), self.dialect).text

    def history_delete(self) -> str:
        columns = schema.history.c
        one = (columns.type == bindparam("type"), columns.key == bindparam("key"))
        return compiled(delete(schema.history).where(*one), self.dialect).text

    def counter_add(self) -> str:
        fresh = insert(schema.counters)
        added = {"value": schema.counters.c.value + fresh.excluded.value}
        key = ["server", "tenant", "name"]
        return compiled(fresh.on_conflict_do_update(index_elements=key, set_=added), self.dialect).text


def _as_read(form: Form) -> ColumnElement[bool]:
    names = (*form.key_columns, "version")
    return and_(*(form.table.c[name] == bindparam(f"old_{name}") for name in names))


SQLITE = SqliteWords()
