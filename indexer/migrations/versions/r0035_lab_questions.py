"""What experts ask labs about their evidence, and what the labs say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "lab_question",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pairing_id", sa.Integer(), nullable=False),
        sa.Column("lab_id", sa.String(), nullable=False),
        sa.Column("ask", sa.Integer(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("reader", sa.String(), nullable=True),
        sa.Column("same_as", sa.Integer(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(text) > 0", name="asks_something"),
        sa.CheckConstraint("ask > 0", name="ask_counted"),
        sa.ForeignKeyConstraint(["pairing_id"], ["pairing.id"]),
        sa.ForeignKeyConstraint(["lab_id"], ["lab.id"]),
        sa.ForeignKeyConstraint(["alliance_id"], ["alliance.id"]),
        sa.ForeignKeyConstraint(["same_as"], ["lab_question.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_lab_question_pairing_id", "lab_question", ["pairing_id"])
    op.create_index("ix_lab_question_same_as", "lab_question", ["same_as"])
    op.create_index(
        "ix_lab_question_once",
        "lab_question",
        ["lab_id", "about"],
        unique=True,
        sqlite_where=sa.text("same_as IS NULL"),
        postgresql_where=sa.text("same_as IS NULL"),
    )
    op.create_table(
        "lab_answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("question_id", sa.Integer(), nullable=False),
        sa.Column("word", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("work", sa.JSON(), nullable=True),
        sa.Column("evidence_id", sa.String(), nullable=True),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("link", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "word IN ('evidence', 'none', 'text', 'confirmed', 'retracted')",
            name="word_known",
        ),
        sa.CheckConstraint("(word = 'evidence') = (work IS NOT NULL)", name="evidence_is_sent"),
        sa.CheckConstraint("(word = 'confirmed') = (evidence_id IS NOT NULL)", name="confirmed_is_evidence"),
        sa.CheckConstraint("word <> 'text' OR length(note) > 0", name="text_says_something"),
        sa.CheckConstraint("word <> 'confirmed' OR by IS NOT NULL", name="confirmed_by_somebody"),
        sa.ForeignKeyConstraint(["question_id"], ["lab_question.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_lab_answer_question_id", "lab_answer", ["question_id"])
