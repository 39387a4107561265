"""Alembic's entry: migrate over the connection it was given."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from dispatch_core.storage.sql.schema import metadata


def run(connection: Connection) -> None:
    """Run the migrations asked for."""
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def write_sql() -> None:
    """Write the migrations as SQL instead of running them."""
    context.configure(dialect_name="sqlite", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    write_sql()
else:
    run(context.config.attributes["connection"])
