"""Shares of schools and companies, totals of every figure, scored model cases, ladders of self-operation, months."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import is_sqlite, refuse_changes, refuse_when

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_FOLLOWS = (
    *("none>warning", "warning>plan", "warning>lifted", "plan>plan", "plan>help", "plan>lifted"),
    *("help>plan", "help>exit", "help>lifted", "lifted>warning", "none>graduated"),
)
_LADDERS = "ladder IN ('alliances', 'members', 'T', 'L', 'C', 'P', 'jobs', 'model_cases', 'self_operation', 'alliance')"
_ASPECTS = "'commercial_use', 'international', 'capacity', 'self_operation', 'industry_lead', 'integration'"
_DECIDES = (
    "(NEW.state IN ('checked', 'returned', 'recognised', 'refused', 'reversed') OR (NEW.state = 'reported' AND EXISTS "
    "(SELECT 1 FROM ledger_step p WHERE p.entry_id = NEW.entry_id AND p.version = NEW.version - 1 "
    "AND p.state = 'held')))"
)
_TEXTS = ("achievements", "highlights", "gap", "measures", "help")


def upgrade() -> None:
    """Bring the tables up; nothing that was written changes."""
    for column in ("school_shares", "company_shares"):
        op.add_column("ledger_entry", sa.Column(column, sa.JSON(), nullable=True))
    _keep_parts_whole("school")
    _keep_parts_whole("company")
    _keep_parties_out()
    _total_every_figure()
    _step_for_self_operation()
    _score_model_cases()
    _report_months()


def _keep_parts_whole(party: str) -> None:
    """Refuse shares that are not the whole, or leave out the one that the entry is reported under."""
    shares, key = f"NEW.{party}_shares", f"NEW.{party}_id"
    plain = (
        f"COALESCE((SELECT SUM(value) FROM json_each({shares})), 0) <> 10000 "
        f"OR EXISTS (SELECT 1 FROM json_each({shares}) WHERE type <> 'integer' OR value < 1) "
        f"OR NOT EXISTS (SELECT 1 FROM json_each({shares}) WHERE key = {key})"
    )
    texts = (
        f"COALESCE((SELECT SUM(value::numeric) FROM json_each_text({shares})), 0) <> 10000 "
        f"OR EXISTS (SELECT 1 FROM json_each_text({shares}) WHERE value !~ '^[1-9][0-9]*$') "
        f"OR NOT EXISTS (SELECT 1 FROM json_each_text({shares}) WHERE key = {key})"
    )
    refuse_when(
        "ledger_entry",
        "INSERT",
        f"{party}_parts_whole",
        f"{shares} IS NOT NULL AND ({plain})",
        f"shares of its {party} parties sum to 10000 basis points",
        f"{shares} IS NOT NULL AND ({texts})",
    )


def _keep_parties_out() -> None:
    """Exchange the rule on who has a part in a result: a company with a share is a party too."""
    op.execute("DROP TRIGGER ledger_step_by_no_party" + ("" if is_sqlite() else " ON ledger_step"))
    if not is_sqlite():
        op.execute("DROP FUNCTION ledger_step_by_no_party()")
    each = "json_each" if is_sqlite() else "json_each_text"
    sharing = f"(SELECT k.key FROM {each}(e.company_shares) k)"
    refuse_when(
        "ledger_step",
        "INSERT",
        "by_no_party",
        f"{_DECIDES} AND EXISTS (SELECT 1 FROM ledger_entry e LEFT JOIN case_file c ON c.id = e.case_id "
        "WHERE e.id = NEW.entry_id AND e.kind = 'fact' AND ("
        'EXISTS (SELECT 1 FROM role_grant g WHERE g.account_id = NEW."by" '
        "AND (g.revoked_at IS NULL OR g.revoked_at > e.reported_at) AND ("
        f"(g.role IN ('expert', 'lead') AND g.scope_id IN (SELECT k.key FROM {each}(e.shares) k)) "
        f"OR (g.role = 'company' AND (g.scope_id IN (e.company_id, c.company_id) OR g.scope_id IN {sharing})) "
        "OR (g.role = 'researcher' AND g.scope_id = c.lab_id))) "
        'OR EXISTS (SELECT 1 FROM stake s WHERE s.account_id = NEW."by" AND s.ended_at IS NULL AND ('
        f"(s.party = 'company' AND (s.party_id IN (e.company_id, c.company_id) OR s.party_id IN {sharing})) "
        "OR (s.party = 'lab' AND s.party_id = c.lab_id))) "
        'OR EXISTS (SELECT 1 FROM lab_claim l WHERE l.account_id = NEW."by" AND l.lab_id = c.lab_id '
        "AND COALESCE(l.verdict, '') <> 'refused')))",
        "who has a part in a result does not decide on it",
    )


def _total_every_figure() -> None:
    """Let a school's total be of another figure than money."""
    with op.batch_alter_table("school_total") as batch:
        batch.alter_column("amount_ntd", existing_type=sa.BigInteger(), nullable=True)
        batch.add_column(sa.Column("kpi", sa.String(), nullable=True))
        batch.add_column(sa.Column("count", sa.Integer(), nullable=True))
        batch.create_check_constraint("kpi_compared", "kpi IN ('members', 'T', 'C', 'P', 'jobs')")
        batch.create_check_constraint("money_without_a_figure", "(kpi IS NULL) = (amount_ntd IS NOT NULL)")
        batch.create_check_constraint("counted_of_a_figure", "(kpi IS NULL) = (count IS NULL)")
        batch.create_check_constraint("count_not_negative", "count >= 0")
    if is_sqlite():
        # It was built anew; its triggers went with the old one.
        refuse_changes("school_total")


def _step_for_self_operation() -> None:
    """Give self-operation a ladder beside those of the figures."""
    if not is_sqlite():
        op.drop_constraint("ladder_known", "ladder_step", type_="check")
        op.create_check_constraint("ladder_known", "ladder_step", _LADDERS)
        return
    with op.batch_alter_table("ladder_step") as batch:
        batch.drop_constraint("ladder_known", type_="check")
        batch.create_check_constraint("ladder_known", _LADDERS)
    refuse_changes("ladder_step")
    own = "FROM ladder_step WHERE alliance_id = NEW.alliance_id AND ladder = NEW.ladder"
    last = f"(SELECT rung {own} ORDER BY version DESC LIMIT 1)"
    follows = ", ".join(f"'{pair}'" for pair in _FOLLOWS)
    refuse_when(
        "ladder_step",
        "INSERT",
        "in_order",
        f"NEW.version <> (SELECT COALESCE(MAX(version), 0) {own}) + 1 "
        f"OR COALESCE({last}, 'none') || '>' || NEW.rung NOT IN ({follows})",
        "this rung does not follow the last",
    )
    refuse_when(
        "ladder_step",
        "INSERT",
        "until_the_end",
        "EXISTS (SELECT 1 FROM ladder_step WHERE alliance_id = NEW.alliance_id AND rung IN ('exit', 'graduated'))",
        "the alliance has left the programme",
    )


def _score_model_cases() -> None:
    op.create_table(
        "aspect_score",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("aspect", sa.String(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.CheckConstraint(f"aspect IN ({_ASPECTS})", name="aspect_known"),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score_bounded"),
        sa.CheckConstraint("length(reason) > 0", name="said_why"),
        sa.ForeignKeyConstraint(["entry_id"], ["ledger_entry.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_aspect_score_entry_id", "aspect_score", ["entry_id"])
    refuse_changes("aspect_score")
    refuse_when(
        "ledger_step",
        "INSERT",
        "model_case_scored",
        "NEW.state = 'recognised' AND EXISTS (SELECT 1 FROM ledger_entry e WHERE e.id = NEW.entry_id "
        "AND e.kind = 'fact' AND e.kpi = 'model_cases') "
        "AND (SELECT COUNT(DISTINCT aspect) FROM aspect_score WHERE entry_id = NEW.entry_id) < 6",
        "a model case is scored in six aspects before it counts",
    )


def _report_months() -> None:
    op.create_table(
        "month_report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in _TEXTS),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.CheckConstraint("length(month) = 7", name="month_of_a_year"),
        sa.CheckConstraint("version >= 1", name="counts_from_1"),
        sa.CheckConstraint("length(achievements) > 0", name="says_something"),
        sa.ForeignKeyConstraint(["alliance_id"], ["alliance.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("alliance_id", "month", "version", name="one_report_per_version"),
    )
    refuse_changes("month_report")
    refuse_when(
        "month_report",
        "INSERT",
        "by_its_lead",
        "NOT EXISTS (SELECT 1 FROM role_grant g WHERE g.account_id = NEW.\"by\" AND g.role = 'lead' "
        "AND g.scope_id = NEW.alliance_id AND g.revoked_at IS NULL)",
        "a month is confirmed by a lead of its alliance",
    )
