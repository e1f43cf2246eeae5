"""Imports: what a file said beside our fields, saved mappings of columns, and what each import changed.

Texts stored before this release were folded when they were stored (Unicode NFKC): exponents became digits (10⁻³ is
10-3), full-width and half-width characters one width, units such as ㎡ and ℃ two letters, （ and ； their narrow forms.
What they were before can't be told from what they became, so nothing is rewritten here: the next import of the same
file brings the characters back as they were written. From now on texts are stored as typed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_WITH_OTHER = ("school", "alliance", "lab", "company", "need")


def upgrade() -> None:
    """Bring the tables up."""
    for table in _WITH_OTHER:
        op.add_column(table, sa.Column("other", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "saved_mapping",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("sheet", sa.String(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "import_batch",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "import_change",
        sa.Column("batch_id", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("row_key", sa.JSON(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["import_batch.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("batch_id", "n"),
    )
