"""Erasures on record, and no way to empty the ledger's heads and keys at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import is_sqlite, refuse_changes

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "erasure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('person', 'account', 'researcher')", name="kind_known"),
        sa.CheckConstraint("length(reason) > 0", name="for_a_reason"),
        sa.PrimaryKeyConstraint("id"),
    )
    refuse_changes("erasure")
    if not is_sqlite():
        # A trigger for each row does not see TRUNCATE.
        for table in ("ledger_head", "ledger_live_fact"):
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            )
