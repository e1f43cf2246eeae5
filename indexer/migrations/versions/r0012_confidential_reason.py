"""Why a company says that a need is confidential."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the table up."""
    op.add_column("need", sa.Column("confidential_reason", sa.String(), nullable=True))
