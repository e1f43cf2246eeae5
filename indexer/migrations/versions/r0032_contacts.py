"""How people are reached by telephone, whom to call at a company, and what a company agreed to have changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up."""
    op.add_column("account", sa.Column("phone", sa.String(), nullable=False, server_default=""))
    for column in ("contact", "contact_email", "contact_phone"):
        op.add_column("company", sa.Column(column, sa.String(), nullable=False, server_default=""))
    op.add_column("need_said", sa.Column("consent", sa.String(), nullable=True))
