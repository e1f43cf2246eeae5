"""A second factor, what a browser's session has shown, and keys that sleep until their owner gives the password.

Keys that hold stay awake; those of accounts that are disabled now end, since enabling must not bring them back.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the tables up."""
    op.add_column("login_session", sa.Column("agent", sa.String(), nullable=True))
    op.add_column("login_session", sa.Column("code_asked_at", _MOMENT, nullable=True))
    op.add_column("login_session", sa.Column("second_factor_at", _MOMENT, nullable=True))
    op.add_column("api_key", sa.Column("awake_at", _MOMENT, nullable=True))
    op.execute("UPDATE api_key SET awake_at = created_at")
    op.execute(
        "UPDATE api_key SET revoked_at = (SELECT disabled_at FROM account WHERE account.id = api_key.account_id) "
        "WHERE revoked_at IS NULL AND account_id IN (SELECT id FROM account WHERE disabled_at IS NOT NULL)"
    )
    op.create_table(
        "second_factor",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("begun_at", _MOMENT, nullable=False),
        sa.Column("enrolled_at", _MOMENT, nullable=True),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "recovery_code",
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("used_at", _MOMENT, nullable=True),
        sa.CheckConstraint("length(code_hash) = 64", name="hash_only"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("code_hash"),
    )
    op.create_index("ix_recovery_code_account_id", "recovery_code", ["account_id"])
