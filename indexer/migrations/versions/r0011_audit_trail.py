"""The audit trail: who saw and did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import refuse_changes, refuse_when

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_GENESIS = "0" * 64
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "audit",
        sa.Column("seq", _SEQ, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.String(), nullable=True),
        sa.Column("key_id", sa.Integer(), nullable=True),
        sa.Column("rights", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("how", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.CheckConstraint("length(hash) = 64", name="hash_is_sha256"),
        sa.CheckConstraint("how IN ('api', 'page', 'command', 'job', 'server')", name="how_known"),
        sa.CheckConstraint("outcome IN ('seen', 'done', 'repeated', 'refused', 'lost')", name="outcome_known"),
        sa.CheckConstraint("lost >= 0 AND (lost > 0) = (outcome = 'lost')", name="lost_is_counted"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("ix_audit_account", "audit", ["account_id", "seq"])
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_table(
        "audit_subject",
        sa.Column("seq", _SEQ, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("withheld", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["seq"], ["audit.seq"]),
        sa.PrimaryKeyConstraint("seq", "kind", "subject_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_subject_seen", "audit_subject", ["kind", "subject_id", "seq"])
    for table in ("audit", "audit_subject"):
        refuse_changes(table)
    refuse_when(
        "audit",
        "INSERT",
        "in_order",
        "NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM audit) "
        f"OR NEW.prev_hash <> COALESCE((SELECT hash FROM audit WHERE seq = NEW.seq - 1), '{_GENESIS}')",
        "audit is a chain: the next row follows the last",
    )
