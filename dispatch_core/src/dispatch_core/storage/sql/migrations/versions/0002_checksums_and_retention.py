"""A checksum on every history row, and the order in which ended jobs may be purged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ENDED = "state IN ('cancelled', 'completed', 'failed_permanently')"


def upgrade() -> None:
    """Add them. Rows written before have no checksum, and are checked in every other way."""
    op.add_column("history", sa.Column("crc", sa.BigInteger()))
    where = sa.text(ENDED)
    columns = ["deleted", "state", "updated_us", "id"]
    op.create_index("jobs_ended", "jobs", columns, sqlite_where=where, postgresql_where=where)
