"""The first tables: jobs, attempts, engines, pulses, receipts, other records, history, counters, meta."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BUSY = {"fillfactor": 80, "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_threshold": 1000,
        "autovacuum_analyze_scale_factor": 0.05, "autovacuum_vacuum_cost_delay": 1}  # fmt: skip


def upgrade() -> None:
    """Make all tables."""
    _jobs()
    _attempts()
    for name in ("engines", "pulses", "receipts"):
        _plain(name, "id")
    _plain("records", "type", "id")
    _due_index("receipts_due", "receipts", "due_us")
    _due_index("records_due", "records", "type", "due_us")
    _history()
    op.create_table(
        "counters",
        sa.Column("server", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("server", "tenant", "name", name="pk_counters"),
        postgresql_with=BUSY,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meta",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("lane", TEXT),
        sa.Column("class_id", TEXT),
        sa.Column("band", sa.BigInteger()),
        sa.Column("order_key", sa.BigInteger()),
        sa.Column("est_us", sa.BigInteger()),
        sa.Column("weight", sa.Double()),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("engine_id", TEXT),
        sa.Column("deleted", TEXT, nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger()),
        sa.Column("data", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("spec", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        postgresql_with=BUSY,
    )
    op.create_index("jobs_by_age", "jobs", ["tenant", "created_us", "id"])
    op.create_index("jobs_by_state", "jobs", ["tenant", "state", "created_us", "id"])
    place = ("lane", "class_id", "band", "order_key", "id", "est_us")
    _partial_index("ready", "jobs", "lane IS NOT NULL", *place)
    _partial_index("jobs_by_engine", "jobs", "engine_id IS NOT NULL", "engine_id")
    _due_index("jobs_due", "jobs", "due_us")


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("deadline_us", sa.BigInteger(), nullable=False),
        sa.Column("progress_at_us", sa.BigInteger(), nullable=False),
        sa.Column("progress", TEXT),
        sa.Column("due_us", sa.BigInteger()),
        sa.Column("run_until_us", sa.BigInteger()),
        sa.Column("stall_us", sa.BigInteger()),
        sa.Column("ended_us", sa.BigInteger()),
        sa.Column("outcome", TEXT),
        sa.Column("reported", TEXT),
        sa.Column("error", TEXT),
        sa.Column("usage", TEXT),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("incarnation", TEXT, nullable=False),
        sa.Column("engine_id", TEXT, nullable=False),
        sa.Column("session", TEXT, nullable=False),
        sa.Column("granted_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_attempts"),
        postgresql_with=BUSY,
        sqlite_with_rowid=False,
    )
    op.create_index("attempts_by_engine", "attempts", ["engine_id", "granted_us"])
    _partial_index("attempts_open", "attempts", "ended_us IS NULL", "engine_id")


def _plain(name: str, *key: str) -> None:
    op.create_table(
        name,
        *(sa.Column(column, TEXT, nullable=False) for column in key),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger()),
        sa.Column("fields", TEXT, nullable=False),
        sa.Column("data", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"),
        postgresql_with=BUSY,
        sqlite_with_rowid=False,
    )


def _history() -> None:
    op.create_table(
        "history",
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("tenant", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("data", TEXT, nullable=False),
        sa.Column("request_id", TEXT),
        sa.PrimaryKeyConstraint("tx", "n", name="pk_history"),
        sqlite_with_rowid=False,
    )
    op.create_index("history_of", "history", ["type", "key", "tx", "n"])


def _due_index(name: str, table: str, *columns: str) -> None:
    _partial_index(name, table, "due_us IS NOT NULL", *columns)


def _partial_index(name: str, table: str, condition: str, *columns: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, list(columns), sqlite_where=where, postgresql_where=where)
