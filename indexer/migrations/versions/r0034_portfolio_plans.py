"""Plans for all needs at once, kept as they were made, and the job that makes them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import refuse_changes

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "portfolio_plan",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=True),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("based_on", sa.Integer(), nullable=True),
        sa.Column("ranked_in", sa.Integer(), nullable=True),
        sa.Column("prospects", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("rests_on", sa.String(), nullable=False),
        sa.Column("generation", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["alliance_id"], ["alliance.id"]),
        sa.ForeignKeyConstraint(["based_on"], ["portfolio_plan.id"]),
        sa.ForeignKeyConstraint(["ranked_in"], ["portfolio_plan.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_portfolio_plan_alliance_id", "portfolio_plan", ["alliance_id"])
    refuse_changes("portfolio_plan")
    with op.batch_alter_table("job") as job:
        job.drop_constraint("kind_known", type_="check")
        job.create_check_constraint("kind_known", "kind IN ('import', 'match_batch', 'portfolio')")
