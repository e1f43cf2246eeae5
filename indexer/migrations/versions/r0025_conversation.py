"""What company, lab and expert say to each other: answers of both sides, and one thread for each pairing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_WORDS = "'interested', 'not_this_one', 'has_a_question', 'willing', 'not_now', 'declined', 'retracted'"
_REASONS = "'wrong_field', 'already_cooperating', 'no_capacity', 'too_far', 'too_early', 'budget', 'terms', 'conflict', 'other'"


def upgrade() -> None:
    """Bring the tables up."""
    _answers()
    _thread()
    _meetings()
    _signing()
    _corrections()


def _answers() -> None:
    op.create_table(
        "side_answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pairing_id", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("word", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("link", sa.String(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.CheckConstraint("side IN ('company', 'lab', 'expert') AND side <> 'expert'", name="side_answers"),
        sa.CheckConstraint(f"word IN ({_WORDS})", name="word_known"),
        sa.CheckConstraint(f"reason IS NULL OR reason IN ({_REASONS})", name="reason_known"),
        sa.CheckConstraint(
            "(word IN ('not_this_one', 'declined')) = (reason IS NOT NULL)", name="refused_for_a_reason"
        ),
        sa.ForeignKeyConstraint(["pairing_id"], ["pairing.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_side_answer_pairing_id", "side_answer", ["pairing_id"])
    op.create_index("ix_side_answer_link", "side_answer", ["link"])


def _thread() -> None:
    op.create_table(
        "thread_message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pairing_id", sa.Integer(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("audience", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("mentioned", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.CheckConstraint("side IN ('company', 'lab', 'expert')", name="side_known"),
        sa.CheckConstraint("audience IN ('company', 'lab', 'both', 'internal')", name="audience_known"),
        sa.CheckConstraint("side <> 'company' OR audience IN ('company', 'both')", name="company_to_itself"),
        sa.CheckConstraint("side <> 'lab' OR audience IN ('lab', 'both')", name="lab_to_itself"),
        sa.CheckConstraint("length(text) > 0", name="says_something"),
        sa.ForeignKeyConstraint(["pairing_id"], ["pairing.id"]),
        sa.ForeignKeyConstraint(["alliance_id"], ["alliance.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_thread_message_pairing_id", "thread_message", ["pairing_id"])


def _meetings() -> None:
    op.create_table(
        "meeting",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pairing_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("times", sa.JSON(), nullable=False),
        sa.Column("starts_at", _MOMENT, nullable=True),
        sa.Column("proposed_side", sa.String(), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("proposed_side IN ('company', 'lab', 'expert')", name="side_known"),
        sa.CheckConstraint("state IN ('proposed', 'agreed', 'called_off')", name="state_known"),
        sa.CheckConstraint("state <> 'agreed' OR starts_at IS NOT NULL", name="agreed_on_a_time"),
        sa.ForeignKeyConstraint(["pairing_id"], ["pairing.id"]),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"]),
        sa.ForeignKeyConstraint(["proposed_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uid"),
    )
    op.create_index("ix_meeting_pairing_id", "meeting", ["pairing_id"])
    op.create_table(
        "meeting_step",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meeting_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("link", sa.String(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("meeting_id", "version", name="one_step_of_a_version"),
    )
    op.create_table(
        "calendar_feed",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("account_id"),
    )


def _signing() -> None:
    op.create_table(
        "signing",
        sa.Column("case_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("signed_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("contract", sa.String(), nullable=False),
        sa.Column("amount_ntd", sa.BigInteger(), nullable=True),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.Column("instalments", sa.JSON(), nullable=False),
        sa.Column("shares", sa.JSON(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.CheckConstraint("amount_ntd IS NULL OR amount_ntd > 0", name="amount_positive"),
        sa.CheckConstraint("ends_on IS NULL OR ends_on >= signed_on", name="ends_after_it_is_signed"),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("case_id"),
    )


def _corrections() -> None:
    op.create_table(
        "need_said",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("need_id", sa.String(), nullable=False),
        sa.Column("word", sa.String(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("link", sa.String(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("taken", sa.Boolean(), nullable=True),
        sa.Column("settled_by", sa.String(), nullable=True),
        sa.Column("settled_at", _MOMENT, nullable=True),
        sa.CheckConstraint("word IN ('confirmed', 'corrected', 'retracted')", name="word_known"),
        sa.CheckConstraint("(settled_at IS NULL) = (taken IS NULL)", name="settled_one_way"),
        sa.ForeignKeyConstraint(["need_id"], ["need.id"]),
        sa.ForeignKeyConstraint(["settled_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_need_said_need_id", "need_said", ["need_id"])
