"""The campaign of each job, and the jobs of a campaign in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TOGETHER = "campaign IS NOT NULL"


def upgrade() -> None:
    """Add them. Jobs submitted before belong to none."""
    op.add_column("jobs", sa.Column("campaign", TEXT))
    columns = ["tenant", "campaign", "created_us", "id", "state", "deleted", "est_us"]
    where = sa.text(TOGETHER)
    op.create_index("jobs_by_campaign", "jobs", columns, sqlite_where=where, postgresql_where=where)
