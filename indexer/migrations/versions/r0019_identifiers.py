"""What registers call a head of a lab, a school and a work: ORCID iD, ROR id, DOI."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up."""
    op.add_column("lab", sa.Column("orcid", sa.String(), nullable=True))
    op.create_index("ix_lab_orcid", "lab", ["orcid"])
    op.add_column("school", sa.Column("ror", sa.String(), nullable=True))
    op.add_column("evidence", sa.Column("doi", sa.String(), nullable=True))
