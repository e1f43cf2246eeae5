"""People over HTTP: claims of labs, identities at a sign-on provider, who ended what and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import is_sqlite, refuse_changes

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


_ASKED = ("id", "account_id", "lab_id", "statement", "asked_at")


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "account_identity",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(subject) BETWEEN 1 AND 255", name="subject_bounded"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("issuer", "subject"),
        sa.UniqueConstraint("account_id", "issuer", name="one_subject_per_issuer"),
    )
    op.create_table(
        "lab_claim",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("lab_id", sa.String(), nullable=False),
        sa.Column("statement", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(statement) > 0", name="says_why"),
        sa.CheckConstraint("verdict IN ('approved', 'refused')", name="verdict_known"),
        sa.CheckConstraint("verdict <> 'refused' OR length(reason) > 0", name="refused_for_a_reason"),
        sa.CheckConstraint("(verdict IS NULL) = (decided_by IS NULL)", name="decided_by_somebody"),
        sa.CheckConstraint("(verdict IS NULL) = (decided_at IS NULL)", name="decided_at_some_time"),
        sa.CheckConstraint("decided_by <> account_id", name="decided_by_another"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["lab_id"],
            ["lab.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("lab_claim", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_lab_claim_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_lab_claim_lab_id"), ["lab_id"], unique=False)
        batch_op.create_index(
            "ix_lab_claim_waiting",
            ["account_id", "lab_id"],
            unique=True,
            sqlite_where=sa.text("verdict IS NULL"),
            postgresql_where=sa.text("verdict IS NULL"),
        )

    with op.batch_alter_table("client", schema=None) as batch_op:
        batch_op.add_column(sa.Column("given_by", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("ended_by", sa.String(), nullable=True))

    with op.batch_alter_table("need_share", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ended_by", sa.String(), nullable=True))

    _give_ended_stakes_a_reason()
    refuse_changes("account_identity")
    _keep_decided_claims()


def _give_ended_stakes_a_reason() -> None:
    op.add_column("stake", sa.Column("end_reason", sa.String(), nullable=True))
    op.execute("UPDATE stake SET end_reason = 'not stated' WHERE ended_at IS NOT NULL")
    with op.batch_alter_table("stake", schema=None) as batch_op:
        batch_op.create_check_constraint("ended_for_a_reason", "(ended_at IS NULL) = (end_reason IS NULL)")


def _keep_decided_claims() -> None:
    """Let a claim change once, from waiting to decided, and in nothing but its verdict; it is never deleted."""
    if is_sqlite():
        touched = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in _ASKED)
        refusal = "BEGIN SELECT RAISE(ABORT, 'lab_claim is append-only'); END"
        op.execute(
            f"CREATE TRIGGER lab_claim_decided_once BEFORE UPDATE ON lab_claim "
            f"WHEN OLD.verdict IS NOT NULL OR {touched} {refusal}"
        )
        op.execute(f"CREATE TRIGGER lab_claim_no_delete BEFORE DELETE ON lab_claim {refusal}")
        return
    touched = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in _ASKED)
    op.execute(
        f"CREATE TRIGGER lab_claim_decided_once BEFORE UPDATE ON lab_claim FOR EACH ROW "
        f"WHEN (OLD.verdict IS NOT NULL OR {touched}) EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER lab_claim_no_delete BEFORE DELETE OR TRUNCATE ON lab_claim "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
