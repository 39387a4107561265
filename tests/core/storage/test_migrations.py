"""The migrations and the tables say the same; a store at the newest revision needs no Alembic."""

import os
import signal
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

from dispatch_core.storage import create_storage, migrate_store, restore_store, verify_store
from dispatch_core.storage.sql import migrating, schema, sqlite_file
from dispatch_core.vocabulary.errors import SchemaMismatchError
from tests.core.storage.filled import Rows, filled, in_child, rows_in


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


# ----- a store of the first version


def a_store_of_0001(path: Path) -> Rows:
    """A file as version 0001 left it, with a past; its content."""
    newest = path.with_name("newest.db")
    filled(newest)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        migrating.upgrade(connection, "0001")
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        connection.execute("ATTACH ? AS newest", (str(newest),))
        for (name,) in connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table'"
        ).fetchall():
            if name != "alembic_version":
                columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({name})"))
                connection.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM newest.{name}")
        connection.execute("DELETE FROM meta WHERE name = 'incarnation_crc'")
        connection.execute("UPDATE history SET data = json_remove(data, '$.estimate_us')")
        for table in ("engines", "pulses", "receipts"):
            connection.execute(f"UPDATE {table} SET fields = json_remove(fields, '$.crc')")
    newest.unlink()
    return rows_in(path)


KEPT = {"history": 11, "attempts": 20, "jobs": 19}
"""How many columns the tables had that have been widened since."""


def without_checksums(rows: Rows) -> Rows:
    return {
        name: [row[: KEPT.get(name)] for row in each]
        for name, each in rows.items()
        if name != "alembic_version"
    }


def test_an_older_schema_is_migrated_only_when_allowed(tmp_path: Path) -> None:
    """The refusal names the command; then every row is what it was, and a copy of the file lies beside it."""
    path = tmp_path / "jobs.db"
    before = a_store_of_0001(path)
    with pytest.raises(SchemaMismatchError, match=r"0001.*dispatch db migrate --database"):
        create_storage(path, migrate=False)
    assert rows_in(path) == before
    create_storage(path).close()
    assert without_checksums(rows_in(path)) == without_checksums(before)
    assert rows_in(tmp_path / "jobs.db.schema-0001") == before
    assert verify_store(path).ok


def test_a_store_is_migrated_by_request(tmp_path: Path) -> None:
    """``migrate_store`` says from where to where and where the copy is; a second time there is nothing to do."""
    path = tmp_path / "jobs.db"
    a_store_of_0001(path)
    done = migrate_store(path)
    assert (done.before, done.after, done.copy) == ("0001", schema.HEAD, tmp_path / "jobs.db.schema-0001")
    assert (migrate_store(path).before, migrate_store(path).copy) == (schema.HEAD, None)


def test_a_backup_of_an_older_schema_can_be_restored(tmp_path: Path) -> None:
    """It is migrated on the way, and checked again afterwards."""
    before = a_store_of_0001(tmp_path / "old.db")
    verdict = verify_store(tmp_path / "old.db")
    assert (verdict.ok, verdict.read, verdict.revision) == (True, False, "0001")
    done = restore_store(tmp_path / "jobs.db", tmp_path / "old.db")
    assert (done.migrated_from, done.verdict.read) == ("0001", True)
    found = without_checksums(rows_in(tmp_path / "jobs.db"))
    assert {**found, "meta": []} == {**without_checksums(before), "meta": []}


@pytest.mark.parametrize("statement", ["ALTER TABLE", "CREATE INDEX", "UPDATE alembic_version"])
def test_a_migration_that_is_killed_begins_again(tmp_path: Path, statement: str) -> None:
    """SIGKILL at any of its statements leaves the old schema whole; the next start migrates."""
    path = tmp_path / "jobs.db"
    before = a_store_of_0001(path)

    def killed(text: str) -> None:
        if text.startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)

    def migrate() -> None:
        with closing(sqlite_file.connect(path, "rw", sqlite_file.WRITER_PRAGMAS)) as connection:
            connection.set_trace_callback(killed)
            migrating.upgrade(connection)

    assert in_child(migrate) == -signal.SIGKILL
    assert rows_in(path) == before
    create_storage(path).close()
    assert without_checksums(rows_in(path)) == without_checksums(before)
    assert verify_store(path).ok
