"""Migrations, through Alembic. Imported only when a store is not at the newest revision (0.3 s)."""

from __future__ import annotations

import sqlite3
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, StaticPool, create_engine


def configuration() -> Config:
    """Where the migrations are."""
    config = Config()
    config.set_main_option("script_location", "dispatch_core:storage/sql/migrations")
    config.set_main_option("path_separator", "os")
    return config


def is_known(revision: str) -> bool:
    """Whether this program has the migration of that name."""
    try:
        return ScriptDirectory.from_config(configuration()).get_revision(revision) is not None
    except CommandError:
        return False


def upgrade(connection: sqlite3.Connection, revision: str = "head") -> None:
    """Bring an SQLite store to the newest revision (or to an older one), in one transaction."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as wrapped:
        wrapped.exec_driver_sql("BEGIN IMMEDIATE")
        upgrade_over(wrapped, revision)
        wrapped.commit()


def upgrade_postgresql(connection: Any) -> None:
    """Bring a PostgreSQL store to the newest revision, in one transaction of a psycopg connection."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    with engine.begin() as wrapped:
        upgrade_over(wrapped)


def upgrade_over(connection: Connection, revision: str = "head") -> None:
    """Bring the store behind a SQLAlchemy connection to the newest revision (or to an older one)."""
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
