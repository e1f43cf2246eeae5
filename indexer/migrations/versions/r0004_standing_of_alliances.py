"""Where alliances stand: ladders of warnings, income and expense, points, gender statistics; all append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import refuse_changes, refuse_when

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("gender_analysis", "gender_count", "ladder_step", "point_row", "sufficiency_row")
_FOLLOWS = (
    "none>warning",
    "none>graduated",
    "warning>plan",
    "warning>lifted",
    "plan>plan",
    "plan>help",
    "plan>lifted",
    "help>plan",
    "help>exit",
    "help>lifted",
    "lifted>warning",
)


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "gender_analysis",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("group_code", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "group_code IN ('pi', 'liaison_expert', 'participant', 'trainee', 'job')", name="group_known"
        ),
        sa.CheckConstraint("length(text) > 0", name="says_something"),
        sa.ForeignKeyConstraint(
            ["alliance_id"],
            ["alliance.id"],
        ),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("gender_analysis", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gender_analysis_alliance_id"), ["alliance_id"], unique=False)

    op.create_table(
        "gender_count",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("group_code", sa.String(), nullable=False),
        sa.Column("gender", sa.String(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("gender IN ('female', 'male', 'self_described', 'undisclosed')", name="gender_known"),
        sa.CheckConstraint("group_code IN ('pi', 'liaison_expert', 'participant')", name="group_known"),
        sa.CheckConstraint("length(source) > 0", name="has_a_source"),
        sa.CheckConstraint("people BETWEEN 0 AND 1000000", name="people_bounded"),
        sa.ForeignKeyConstraint(
            ["alliance_id"],
            ["alliance.id"],
        ),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("gender_count", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gender_count_alliance_id"), ["alliance_id"], unique=False)

    op.create_table(
        "ladder_step",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("ladder", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rung", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("grounds", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(ladder = 'alliance') = (rung = 'graduated')", name="graduates_as_a_whole"),
        sa.CheckConstraint("(rung = 'plan') = (due_on IS NOT NULL)", name="plan_is_due"),
        sa.CheckConstraint("(rung = 'plan') = (owner IS NOT NULL)", name="plan_has_an_owner"),
        sa.CheckConstraint(
            "ladder IN ('alliances', 'members', 'T', 'L', 'C', 'P', 'jobs', 'model_cases', 'alliance')",
            name="ladder_known",
        ),
        sa.CheckConstraint("rung IN ('warning', 'plan', 'help', 'exit', 'lifted', 'graduated')", name="rung_known"),
        sa.CheckConstraint("length(reason) > 0", name="said_why"),
        sa.ForeignKeyConstraint(
            ["alliance_id"],
            ["alliance.id"],
        ),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["owner"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("alliance_id", "ladder", "version", name="one_rung_per_version"),
    )
    with op.batch_alter_table("ladder_step", schema=None) as batch_op:
        batch_op.create_index(
            "ix_ladder_step_ended",
            ["alliance_id"],
            unique=True,
            sqlite_where=sa.text("rung IN ('exit', 'graduated')"),
            postgresql_where=sa.text("rung IN ('exit', 'graduated')"),
        )

    op.create_table(
        "sufficiency_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=True),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("amount_ntd", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("reverses", sa.Integer(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(item = 'member_fees') = (tier IS NOT NULL AND tier IN ('domestic', 'international', 'gold'))",
            name="fees_name_a_tier",
        ),
        sa.CheckConstraint(
            "item IN ('member_fees', 'overhead', 'other_income', 'personnel', 'operation', 'other_expense', 'subsidy')",
            name="item_known",
        ),
        sa.CheckConstraint("amount_ntd > 0", name="amount_positive"),
        sa.CheckConstraint("length(source) > 0", name="has_a_source"),
        sa.ForeignKeyConstraint(
            ["alliance_id"],
            ["alliance.id"],
        ),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["reverses"],
            ["sufficiency_row.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reverses"),
    )
    with op.batch_alter_table("sufficiency_row", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sufficiency_row_alliance_id"), ["alliance_id"], unique=False)

    op.create_table(
        "point_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("activity", sa.String(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("reverses", sa.Integer(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(source) > 0", name="has_a_source"),
        sa.CheckConstraint("points > 0", name="points_positive"),
        sa.ForeignKeyConstraint(
            ["alliance_id"],
            ["alliance.id"],
        ),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["person"],
            ["ledger_person.pseudonym"],
        ),
        sa.ForeignKeyConstraint(
            ["reverses"],
            ["point_row.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reverses"),
    )
    with op.batch_alter_table("point_row", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_point_row_alliance_id"), ["alliance_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_point_row_person"), ["person"], unique=False)

    for table in _APPEND_ONLY:
        refuse_changes(table)
    _keep_ladders()
    _keep_reversals("sufficiency_row", ("alliance_id", "item", "occurred_on", "amount_ntd"))
    _keep_reversals("point_row", ("alliance_id", "person", "activity", "points", "occurred_on"))


def _keep_ladders() -> None:
    last = (
        "(SELECT rung FROM ladder_step WHERE alliance_id = NEW.alliance_id AND ladder = NEW.ladder "
        "ORDER BY version DESC LIMIT 1)"
    )
    versions = "(SELECT COALESCE(MAX(version), 0) FROM ladder_step WHERE alliance_id = NEW.alliance_id AND ladder = NEW.ladder)"
    follows = ", ".join(f"'{pair}'" for pair in _FOLLOWS)
    refuse_when(
        "ladder_step",
        "INSERT",
        "in_order",
        f"NEW.version <> {versions} + 1 OR COALESCE({last}, 'none') || '>' || NEW.rung NOT IN ({follows})",
        "this rung does not follow the last",
    )
    refuse_when(
        "ladder_step",
        "INSERT",
        "until_the_end",
        "EXISTS (SELECT 1 FROM ladder_step WHERE alliance_id = NEW.alliance_id AND rung IN ('exit', 'graduated'))",
        "the alliance has left the programme",
    )


def _keep_reversals(table: str, same: tuple[str, ...]) -> None:
    equal = " AND ".join(f"{column} = NEW.{column}" for column in same)
    refuse_when(
        table,
        "INSERT",
        "reverses_its_like",
        f"NEW.reverses IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM {table} WHERE id = NEW.reverses AND reverses IS NULL AND {equal})",
        "a reversal is of the same amount, and not of a reversal",
    )
