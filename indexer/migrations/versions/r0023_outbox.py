"""Notices, the outbox that tells of them, how readers want to be told, and passwords that are renewed by mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the tables up."""
    _notices()
    _readers()
    _letters()
    op.create_table(
        "password_renewal",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("asked_from", sa.String(), nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("account_id", sa.String(), nullable=True),
        sa.Column("looked_up_at", _MOMENT, nullable=True),
        sa.Column("used_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("address", "asked_from", "asked_at", "account_id"):
        op.create_index(f"ix_password_renewal_{name}", "password_renewal", [name])


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("read_at", _MOMENT, nullable=True),
        sa.Column("gathers", sa.String(), nullable=True),
        sa.CheckConstraint("account_id IS NULL OR account_id = reader", name="reader_is_account"),
        sa.CheckConstraint("gathers IS NULL OR gathers IN ('daily', 'weekly')", name="gathers_known"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reader", "key", name="told_once"),
    )
    op.create_index("ix_notice_account_id", "notice", ["account_id"])
    op.create_index("ix_notice_at", "notice", ["at"])
    _partial("ix_notice_unread", "notice", "account_id", "read_at IS NULL")
    _partial("ix_notice_gathers", "notice", "gathers", "gathers IS NOT NULL")


def _readers() -> None:
    op.create_table(
        "notice_choice",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("cadence", sa.String(), nullable=False),
        sa.CheckConstraint("cadence IN ('at_once', 'daily', 'weekly', 'never')", name="cadence_known"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("account_id", "kind"),
    )
    op.create_table(
        "notice_reader",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("names_needs", sa.Boolean(), nullable=False),
        sa.Column("feed_hash", sa.String(), nullable=True),
        sa.Column("feed_made_at", _MOMENT, nullable=True),
        sa.CheckConstraint("language IN ('both', 'zh', 'en')", name="language_known"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("account_id"),
        sa.UniqueConstraint("feed_hash"),
    )
    op.create_table(
        "mail_address",
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("refused_at", _MOMENT, nullable=True),
        sa.Column("said", sa.String(), nullable=True),
        sa.Column("unsubscribed_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("address"),
    )


def _letters() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_webhook_account_id", "webhook", ["account_id"])
    op.create_table(
        "webhook_host",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("allowed_by", sa.String(), nullable=False),
        sa.Column("allowed_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["allowed_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    _partial("ix_webhook_host_active", "webhook_host", "host", "ended_at IS NULL", unique=True)
    op.create_table(
        "letter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("cadence", sa.String(), nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("claimed_until", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("said", sa.String(), nullable=True),
        sa.CheckConstraint("channel IN ('mail', 'webhook')", name="channel_known"),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'dropped', 'refused')", name="state_known"),
        sa.CheckConstraint("(channel = 'webhook') = (webhook_id IS NOT NULL)", name="webhook_named"),
        sa.CheckConstraint("cadence IN ('at_once', 'daily', 'weekly', 'never')", name="cadence_known"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uid"),
    )
    op.create_index("ix_letter_webhook_id", "letter", ["webhook_id"])
    _partial("ix_letter_due", "letter", "due_at", "state = 'waiting'")
    op.create_table(
        "letter_notice",
        sa.Column("letter_id", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["letter_id"], ["letter.id"]),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.id"]),
        sa.PrimaryKeyConstraint("letter_id", "notice_id"),
    )
    op.create_index("ix_letter_notice_notice_id", "letter_notice", ["notice_id"])


def _partial(name: str, table: str, column: str, where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], unique=unique, sqlite_where=condition, postgresql_where=condition)
