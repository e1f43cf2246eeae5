"""From which day on a home's months are confirmed: a new home begins with it, one that has people already does not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import refuse_changes

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the table up, empty: who worked by the released rules goes on until the office sets a day."""
    op.create_table(
        "ledger_months_start",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name="one_start"),
        sa.PrimaryKeyConstraint("id"),
    )
    refuse_changes("ledger_months_start")
