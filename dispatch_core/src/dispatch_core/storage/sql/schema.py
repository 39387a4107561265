"""The tables. Columns hold what a query needs; the rest of a record is JSON text beside them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

HEAD = "0004"
"""The newest migration. A store at this revision is used as it is, without importing Alembic."""

APPLICATION_ID = 0x44535001
"""Marks an SQLite file as ours (bytes 68 to 71 of the file)."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by code point everywhere, as Python's does."""

# PostgreSQL: rows that change often keep room beside them, so that a change which touches no index stays in its
# page; and the dead are swept before they are many (the usual fifth of a table of a million is much).
BUSY = {"fillfactor": 80, "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_threshold": 1000,
        "autovacuum_analyze_scale_factor": 0.05, "autovacuum_vacuum_cost_delay": 1}  # fmt: skip

jobs = Table(
    "jobs",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("version", BigInteger, nullable=False),
    # The ready order: all null unless the job may be claimed now. A lane may be re-written without a version.
    Column("lane", TEXT),
    Column("class_id", TEXT),
    Column("band", BigInteger),
    Column("order_key", BigInteger),
    Column("est_us", BigInteger),
    Column("weight", Double),
    Column("state", TEXT, nullable=False),
    Column("engine_id", TEXT),
    Column("deleted", TEXT, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("due_us", BigInteger),
    Column("data", TEXT, nullable=False),
    # Written only when the spec changes.
    Column("kind", TEXT, nullable=False),
    Column("priority", BigInteger, nullable=False),
    Column("spec", TEXT, nullable=False),
    # Written once.
    Column("tenant", TEXT, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("campaign", TEXT),
    postgresql_with=BUSY,
)
_ready, _due = jobs.c.lane.isnot(None), jobs.c.due_us.isnot(None)
# est_us and weight order nothing: with them the backlog is summed from the index alone (0.14 s at 1 M jobs, not 12.7 s).
Index("ready", jobs.c.lane, jobs.c.class_id, jobs.c.band, jobs.c.order_key, jobs.c.id, jobs.c.est_us, jobs.c.weight,
      sqlite_where=_ready, postgresql_where=_ready)  # fmt: skip
Index("jobs_due", jobs.c.due_us, sqlite_where=_due, postgresql_where=_due)
Index("jobs_by_age", jobs.c.tenant, jobs.c.created_us, jobs.c.id)
Index("jobs_by_state", jobs.c.tenant, jobs.c.state, jobs.c.created_us, jobs.c.id)
_together = jobs.c.campaign.isnot(None)
# In the order of lists; what stands behind the id lets progress be counted from the index alone.
Index("jobs_by_campaign", jobs.c.tenant, jobs.c.campaign, jobs.c.created_us, jobs.c.id, jobs.c.state, jobs.c.deleted,
      jobs.c.est_us, sqlite_where=_together, postgresql_where=_together)  # fmt: skip
_assigned = jobs.c.engine_id.isnot(None)
Index("jobs_by_engine", jobs.c.engine_id, sqlite_where=_assigned, postgresql_where=_assigned)
# Who may be purged. SQLite uses a partial index only for queries that say its condition in the same words.
ENDED = text("state IN ('cancelled', 'completed', 'failed_permanently')")
Index("jobs_ended", jobs.c.deleted, jobs.c.state, jobs.c.updated_us, jobs.c.id,
      sqlite_where=ENDED, postgresql_where=ENDED)  # fmt: skip

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", TEXT, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    # Unindexed, so that a renewal is a cheap update in place; open attempts are at most the fleet's slots.
    Column("deadline_us", BigInteger, nullable=False),
    Column("progress_at_us", BigInteger, nullable=False),
    Column("progress", TEXT),
    Column("due_us", BigInteger),
    Column("run_until_us", BigInteger),
    Column("stall_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("outcome", TEXT),
    Column("reported", TEXT),
    Column("error", TEXT),
    Column("usage", TEXT),
    Column("tenant", TEXT, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("incarnation", TEXT, nullable=False),
    Column("engine_id", TEXT, nullable=False),
    Column("session", TEXT, nullable=False),
    Column("granted_us", BigInteger, nullable=False),
    Column("estimate_us", BigInteger),
    sqlite_with_rowid=False,
    postgresql_with=BUSY,
)
_open = attempts.c.ended_us.is_(None)
Index("attempts_open", attempts.c.engine_id, sqlite_where=_open, postgresql_where=_open)
Index("attempts_by_engine", attempts.c.engine_id, attempts.c.granted_us)


def _plain(name: str, *key: str) -> Table:
    """A table of records kept as JSON; ``fields`` holds what a query may ask for besides the tenant."""
    return Table(
        name,
        metadata,
        *(Column(column, TEXT, primary_key=True) for column in key),
        Column("version", BigInteger, nullable=False),
        Column("due_us", BigInteger),
        Column("fields", TEXT, nullable=False),
        Column("data", TEXT, nullable=False),
        Column("tenant", TEXT, nullable=False),
        sqlite_with_rowid=False,
        postgresql_with=BUSY,
    )


engines = _plain("engines", "id")
pulses = _plain("pulses", "id")
receipts = _plain("receipts", "id")
records = _plain("records", "type", "id")
_due = receipts.c.due_us.isnot(None)
Index("receipts_due", receipts.c.due_us, sqlite_where=_due, postgresql_where=_due)
_due = records.c.due_us.isnot(None)
Index("records_due", records.c.type, records.c.due_us, sqlite_where=_due, postgresql_where=_due)

history = Table(
    "history",
    metadata,
    Column("tx", BigInteger, primary_key=True, autoincrement=False),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("type", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("tenant", TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("event", TEXT, nullable=False),
    Column("data", TEXT, nullable=False),
    Column("request_id", TEXT),
    # Of all the others, so that a flipped bit in a row that is never written again is found; null before 0002.
    Column("crc", BigInteger),
    sqlite_with_rowid=False,
)
Index("history_of", history.c.type, history.c.key, history.c.tx, history.c.n)

counters = Table(
    "counters",
    metadata,
    Column("server", TEXT, primary_key=True),
    Column("tenant", TEXT, primary_key=True),
    Column("name", TEXT, primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    postgresql_with=BUSY,
)

meta = Table("meta", metadata, Column("name", TEXT, primary_key=True), Column("value", TEXT, nullable=False))


def definitions() -> Iterator[ExecutableDDLElement]:
    """The statements that make all tables and indexes, in order."""
    for table in metadata.sorted_tables:
        yield CreateTable(table)
        yield from (CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name)))
