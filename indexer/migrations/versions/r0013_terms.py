"""An office's own terms, which lead words from one language to the other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the table up, and the feed of its changes."""
    op.create_table(
        "term",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("en", sa.JSON(), nullable=False),
        sa.Column("zh", sa.JSON(), nullable=False),
        sa.Column("abbreviation", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 200", name="id_bounded"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(
        sa.table("change_counter", sa.column("kind", sa.String()), sa.column("n", sa.BigInteger())),
        [{"kind": "terms", "n": 0}],
    )
