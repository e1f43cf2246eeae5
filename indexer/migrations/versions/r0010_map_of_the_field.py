"""The map of the field: where labs and needs lie, and how well needs are met."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_PLACE = "x BETWEEN -10000 AND 10000 AND y BETWEEN -10000 AND 10000"


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "field_map",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.String(), nullable=False),
        sa.Column("ranker_version", sa.String(), nullable=False),
        sa.Column("inputs", sa.String(), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "field_map_lab",
        sa.Column("map_id", sa.Integer(), nullable=False),
        sa.Column("lab_id", sa.String(), nullable=False),
        sa.Column("x", sa.Float(), nullable=False),
        sa.Column("y", sa.Float(), nullable=False),
        sa.CheckConstraint(_PLACE, name="place"),
        sa.ForeignKeyConstraint(["map_id"], ["field_map.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["lab_id"], ["lab.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("map_id", "lab_id"),
    )
    op.create_table(
        "field_map_need",
        sa.Column("map_id", sa.Integer(), nullable=False),
        sa.Column("need_id", sa.String(), nullable=False),
        sa.Column("x", sa.Float(), nullable=False),
        sa.Column("y", sa.Float(), nullable=False),
        sa.Column("labs_allowed", sa.Integer(), nullable=True),
        sa.Column("best_band", sa.String(), nullable=True),
        sa.CheckConstraint(_PLACE, name="place"),
        sa.CheckConstraint("best_band IN ('strong', 'plausible', 'weak')", name="best_band_known"),
        sa.CheckConstraint("labs_allowed >= 0", name="labs_allowed_counted"),
        sa.CheckConstraint("(best_band IS NULL) = (labs_allowed IS NULL OR labs_allowed = 0)", name="best_of_some"),
        sa.ForeignKeyConstraint(["map_id"], ["field_map.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["need_id"], ["need.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("map_id", "need_id"),
    )
