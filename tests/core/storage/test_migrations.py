"""The migrations and the tables say the same; a store at the newest revision needs no Alembic."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import StaticPool, create_engine

from dispatch_core.storage import create_storage
from dispatch_core.storage.sql import migrating, schema, sqlite_file
from dispatch_core.vocabulary.errors import SchemaMismatchError


def definitions(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: " ".join(sql.split()) for name, sql in rows}


def migrated() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrating.upgrade(connection)
    return connection


def test_migrating_and_creating_give_the_same_tables() -> None:
    with closing(migrated()) as one, closing(sqlite3.connect(":memory:", isolation_level=None)) as other:
        sqlite_file.create_schema(other)
        assert definitions(one) == definitions(other)
        assert sqlite_file.revision_of(one) == sqlite_file.revision_of(other) == schema.HEAD


def test_alembic_sees_no_difference() -> None:
    with closing(migrated()) as connection:
        engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        with engine.connect() as wrapped:
            context = MigrationContext.configure(wrapped)
            assert compare_metadata(context, schema.metadata) == []


def test_the_newest_migration_is_the_one_the_program_names() -> None:
    script = ScriptDirectory.from_config(migrating.configuration())
    assert script.get_heads() == [schema.HEAD]


def test_a_store_that_is_up_to_date_needs_no_alembic(tmp_path: Path) -> None:
    program = (
        "import sys; from dispatch_core.storage import create_storage; "
        f"create_storage({str(tmp_path / 'jobs.db')!r}).close(); print('alembic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_an_older_schema_is_migrated_only_when_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    create_storage(path).close()
    monkeypatch.setattr(schema, "HEAD", "0002")
    with pytest.raises(SchemaMismatchError, match="0001"):
        create_storage(path, migrate=False)
    create_storage(path).close()
