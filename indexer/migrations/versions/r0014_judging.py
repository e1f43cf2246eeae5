"""Judging: pooled pairs of needs and labs, and what two people say of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import refuse_changes, refuse_when

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "judging",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("rankers", sa.JSON(), nullable=False),
        sa.Column("generation", sa.String(), nullable=False),
        sa.Column("ranker_version", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_by", sa.String(), nullable=True),
        sa.CheckConstraint("depth BETWEEN 1 AND 100", name="depth_bounded"),
        sa.ForeignKeyConstraint(["started_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "judging_member",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("judging_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("named_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("named_by", sa.String(), nullable=True),
        sa.CheckConstraint("part IN ('judge', 'settler')", name="part_known"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.ForeignKeyConstraint(["judging_id"], ["judging.id"]),
        sa.ForeignKeyConstraint(["named_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("judging_id", "account_id", name="one_part"),
    )
    op.create_index("ix_judging_member_account_id", "judging_member", ["account_id"])
    op.create_table(
        "judged_pair",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("judging_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("need_id", sa.String(), nullable=False),
        sa.Column("lab_id", sa.String(), nullable=False),
        sa.Column("ranks", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["judging_id"], ["judging.id"]),
        sa.ForeignKeyConstraint(["lab_id"], ["lab.id"]),
        sa.ForeignKeyConstraint(["need_id"], ["need.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("judging_id", "need_id", "lab_id", name="one_judged_pair"),
        sa.UniqueConstraint("judging_id", "place", name="one_at_a_place"),
    )
    op.create_index("ix_judged_pair_need_id", "judged_pair", ["need_id"])
    _words_and_steps()
    for table in ("judging", "judging_member", "judged_pair", "judged_word", "judging_step"):
        refuse_changes(table)
    refuse_when(
        "judged_word",
        "INSERT",
        "open",
        "EXISTS (SELECT 1 FROM judging_step s JOIN judged_pair p ON p.judging_id = s.judging_id "
        "WHERE p.id = NEW.judged_pair_id AND s.step = 'closed')",
        "this judging is closed",
    )


def _words_and_steps() -> None:
    op.create_table(
        "judged_word",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("judged_pair_id", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("settles", sa.Boolean(), nullable=False),
        sa.Column("said", sa.String(), nullable=False),
        sa.Column("grade", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("said IN ('grade', 'cannot_say', 'taken_back')", name="said_known"),
        sa.CheckConstraint("(said = 'grade') = (grade IS NOT NULL)", name="grade_fits_said"),
        sa.CheckConstraint("grade BETWEEN 0 AND 3", name="grade_known"),
        sa.ForeignKeyConstraint(["judged_pair_id"], ["judged_pair.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_judged_word_judged_pair_id", "judged_word", ["judged_pair_id"])
    op.create_table(
        "judging_step",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("judging_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("last_word", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.CheckConstraint("step IN ('finished', 'closed')", name="step_known"),
        sa.CheckConstraint("(step = 'finished') = (last_word IS NOT NULL)", name="finished_by_a_word"),
        sa.ForeignKeyConstraint(["judging_id"], ["judging.id"]),
        sa.ForeignKeyConstraint(["last_word"], ["judged_word.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("judging_id", "step", name="one_step"),
    )
