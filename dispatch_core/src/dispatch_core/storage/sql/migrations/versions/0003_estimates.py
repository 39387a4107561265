"""How long each attempt should have taken, and the weight of ready jobs in their index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

READY = "lane IS NOT NULL"


def upgrade() -> None:
    """Add them. Attempts granted before have no estimate."""
    op.add_column("attempts", sa.Column("estimate_us", sa.BigInteger()))
    op.drop_index("ready", "jobs")
    columns = ["lane", "class_id", "band", "order_key", "id", "est_us", "weight"]
    where = sa.text(READY)
    op.create_index("ready", "jobs", columns, sqlite_where=where, postgresql_where=where)
