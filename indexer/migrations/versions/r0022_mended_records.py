"""Mending: records that are retired or merged, pairs that are two, and what schools were called and held before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the tables up."""
    _retirement()
    _merge()
    _schools()


def _retirement() -> None:
    op.create_table(
        "retirement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("record_id", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.CheckConstraint("kind IN ('lab', 'company', 'need', 'school', 'evidence', 'person')", name="kind_known"),
        sa.CheckConstraint("length(reason) > 0", name="says_why"),
        sa.CheckConstraint("(kind = 'evidence') = (part <> '')", name="part_of_a_lab"),
        sa.CheckConstraint("ended_at IS NOT NULL OR ended_by IS NULL", name="ended_by_somebody"),
        sa.PrimaryKeyConstraint("id"),
    )
    _unique_while("ix_retirement_active", "retirement", ["kind", "record_id", "part"], "ended_at IS NULL")


def _merge() -> None:
    op.create_table(
        "record_merge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("gone_id", sa.String(), nullable=False),
        sa.Column("kept_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("undone_at", _MOMENT, nullable=True),
        sa.Column("undone_by", sa.String(), nullable=True),
        sa.CheckConstraint("kind IN ('lab', 'company', 'school', 'person')", name="kind_known"),
        sa.CheckConstraint("gone_id <> kept_id", name="of_two"),
        sa.CheckConstraint("length(reason) > 0", name="says_why"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_record_merge_kept_id", "record_merge", ["kept_id"])
    _unique_while("ix_record_merge_active", "record_merge", ["kind", "gone_id"], "undone_at IS NULL")
    op.create_table(
        "merge_change",
        sa.Column("merge_id", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("row_key", sa.JSON(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["merge_id"], ["record_merge.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("merge_id", "n"),
    )
    op.create_table(
        "duplicate_verdict",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("first_id", sa.String(), nullable=False),
        sa.Column("second_id", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.CheckConstraint("first_id < second_id", name="in_order"),
        sa.PrimaryKeyConstraint("kind", "first_id", "second_id"),
    )


def _schools() -> None:
    op.create_table(
        "school_name",
        sa.Column("school_id", sa.String(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["school_id"], ["school.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("school_id", "until"),
    )
    op.create_table(
        "lab_school",
        sa.Column("lab_id", sa.String(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("school", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["lab_id"], ["lab.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("lab_id", "until"),
    )


def _unique_while(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=True, sqlite_where=where, postgresql_where=where)
