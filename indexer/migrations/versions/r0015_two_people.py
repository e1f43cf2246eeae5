"""Nobody is a second person to himself: ties between accounts, motions on rules and roles, sessions that confirm."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import is_sqlite, refuse_changes, refuse_when

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_KINDS = "kind IN ('recognise', 'reverse', 'close', 'configure', 'grant')"
_FOR_TWO = "('recognition', 'target_books', 'money_definitions')"
_LIMIT_NTD = 5_000_000
"""What two people recognise, as the product came until somebody changed it."""


def upgrade() -> None:
    """Bring the tables up, and the rules that the database keeps itself."""
    op.create_table(
        "account_tie",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("how", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("how IN ('made', 'granted', 'keyed')", name="how_known"),
        sa.CheckConstraint("by <> account_id", name="of_two_accounts"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.ForeignKeyConstraint(["by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account_id", "by", "how", name="one_of_a_kind"),
    )
    op.create_index("ix_account_tie_by", "account_tie", ["by"])
    op.create_table(
        "ledger_duties_start",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("steps_n", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name="one_start"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("role_grant", sa.Column("motion_id", sa.Integer(), nullable=True))
    op.add_column("login_session", sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True))
    _take_more_motions()
    _keep_motions_of_rules()
    _remember_ties()
    op.execute(
        "INSERT INTO ledger_duties_start (id, steps_n, at) "
        f"SELECT 1, n, {_now()} FROM ledger_head WHERE chain = 'steps'"
    )
    for table in ("account_tie", "ledger_duties_start"):
        refuse_changes(table)
    _keep_people_apart()
    _keep_roles()
    _keep_seconds()


def _now() -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')" if is_sqlite() else "now()"


def _take_more_motions() -> None:
    """Let motions be on rules and roles too."""
    if not is_sqlite():
        op.drop_constraint("kind_known", "ledger_motion", type_="check")
        op.create_check_constraint("kind_known", "ledger_motion", _KINDS)
        return
    # A check is part of an SQLite table, so it is built anew; its triggers go with the old one.
    with op.batch_alter_table("ledger_motion") as batch:
        batch.drop_constraint("kind_known", type_="check")
        batch.create_check_constraint("kind_known", _KINDS)
    refuse_changes("ledger_motion")


def _keep_motions_of_rules() -> None:
    """Let a document that binds two people name the motion by which it came."""
    if is_sqlite():
        with op.batch_alter_table("configuration_version") as batch:
            batch.add_column(sa.Column("motion_id", sa.Integer(), nullable=True))
            batch.create_unique_constraint("one_version_per_motion", ["motion_id"])
        refuse_changes("configuration_version")
    else:
        op.add_column("configuration_version", sa.Column("motion_id", sa.Integer(), nullable=True))
        op.create_unique_constraint("one_version_per_motion", "configuration_version", ["motion_id"])
    refuse_when(
        "configuration_version",
        "INSERT",
        "by_two",
        f"NEW.name IN {_FOR_TWO} AND NOT EXISTS (SELECT 1 FROM ledger_motion m JOIN ledger_motion_end e "
        "ON e.motion_id = m.id WHERE m.id = NEW.motion_id AND m.kind = 'configure' AND m.subject = NEW.name "
        'AND e.seconded AND m.moved_by = NEW."by")',
        "rules that bind two people are changed by two",
    )


def _remember_ties() -> None:
    """Take down who granted, made or keyed whose account, as far as it was kept."""
    op.execute(
        'INSERT INTO account_tie (account_id, "by", how, at) '
        "SELECT g.account_id, g.granted_by, 'granted', MIN(g.granted_at) FROM role_grant g "
        "JOIN account a ON a.id = g.granted_by WHERE g.granted_by <> g.account_id GROUP BY g.account_id, g.granted_by"
    )
    # The trail names an account that was made or keyed as what the act was about.
    for operation, how in (("create_account", "made"), ("add_program_key", "keyed")):
        op.execute(
            'INSERT INTO account_tie (account_id, "by", how, at) '
            f"SELECT s.subject_id, r.account_id, '{how}', MIN(r.at) FROM audit r "
            "JOIN audit_subject s ON s.seq = r.seq AND s.kind = 'account' JOIN account a ON a.id = s.subject_id "
            f"WHERE r.operation = '{operation}' AND r.outcome = 'done' AND r.account_id IS NOT NULL "
            "AND r.account_id <> s.subject_id GROUP BY s.subject_id, r.account_id"
        )


_ACTORS = (
    "SELECT e.reporter AS who UNION SELECT c.owner_id FROM case_file c WHERE c.id = e.case_id "
    'UNION SELECT s."by" FROM ledger_step s JOIN ledger_step p ON p.entry_id = s.entry_id '
    "AND p.version = s.version - 1 WHERE s.entry_id = e.id AND s.state = 'reported' AND p.state = 'returned' "
    "UNION SELECT s.\"by\" FROM ledger_step s WHERE s.entry_id = e.id AND s.state = 'checked' "
    "AND NEW.state = 'recognised' "
    "UNION SELECT m.moved_by FROM ledger_motion m WHERE m.subject = e.id AND m.kind = 'recognise' "
    "AND NEW.state = 'checked'"
)
"""Who must be somebody else than the one who takes a step on the entry `e`."""
_DECIDES = (
    "(NEW.state IN ('checked', 'returned', 'recognised', 'refused', 'reversed') OR (NEW.state = 'reported' AND EXISTS "
    "(SELECT 1 FROM ledger_step p WHERE p.entry_id = NEW.entry_id AND p.version = NEW.version - 1 "
    "AND p.state = 'held')))"
)


def _keep_people_apart() -> None:
    """Keep from an entry's steps who acted on it before, who may be the same human, and who has a part in it."""
    of_entry = "FROM ledger_entry e WHERE e.id = NEW.entry_id AND e.kind = 'fact'"
    # What this rule said is part of the next one.
    on = "" if is_sqlite() else " ON ledger_step"
    op.execute(f"DROP TRIGGER ledger_step_not_by_reporter{on}")
    if not is_sqlite():
        op.execute("DROP FUNCTION ledger_step_not_by_reporter()")
    refuse_when(
        "ledger_step",
        "INSERT",
        "by_another",
        f'{_DECIDES} AND EXISTS (SELECT 1 {of_entry} AND NEW."by" IN ({_ACTORS}))',
        "who reported, supplied, checked or moved does not take the next step",
    )
    refuse_when(
        "ledger_step",
        "INSERT",
        "by_no_tied",
        f"{_DECIDES} AND EXISTS (SELECT 1 {of_entry} AND EXISTS (SELECT 1 FROM account_tie t WHERE "
        f'(t.account_id = NEW."by" AND t."by" IN ({_ACTORS})) OR '
        f'(t."by" = NEW."by" AND t.account_id IN ({_ACTORS}))))',
        "accounts that made, granted or keyed each other are no two people",
    )
    each = "json_each" if is_sqlite() else "json_each_text"
    refuse_when(
        "ledger_step",
        "INSERT",
        "by_no_party",
        f"{_DECIDES} AND EXISTS (SELECT 1 FROM ledger_entry e LEFT JOIN case_file c ON c.id = e.case_id "
        "WHERE e.id = NEW.entry_id AND e.kind = 'fact' AND ("
        'EXISTS (SELECT 1 FROM role_grant g WHERE g.account_id = NEW."by" '
        "AND (g.revoked_at IS NULL OR g.revoked_at > e.reported_at) AND ("
        f"(g.role IN ('expert', 'lead') AND g.scope_id IN (SELECT k.key FROM {each}(e.shares) k)) "
        "OR (g.role = 'company' AND g.scope_id IN (e.company_id, c.company_id)) "
        "OR (g.role = 'researcher' AND g.scope_id = c.lab_id))) "
        'OR EXISTS (SELECT 1 FROM stake s WHERE s.account_id = NEW."by" AND s.ended_at IS NULL AND ('
        "(s.party = 'company' AND s.party_id IN (e.company_id, c.company_id)) "
        "OR (s.party = 'lab' AND s.party_id = c.lab_id))) "
        'OR EXISTS (SELECT 1 FROM lab_claim l WHERE l.account_id = NEW."by" AND l.lab_id = c.lab_id '
        "AND COALESCE(l.verdict, '') <> 'refused')))",
        "who has a part in a result does not decide on it",
    )
    stored = (
        "json_extract(v.document, '$.two_people_from_ntd')" if is_sqlite() else "v.document->>'two_people_from_ntd'"
    )
    limit, rules = f"CAST({stored} AS BIGINT)", "FROM configuration_version v WHERE v.name = 'recognition'"
    refuse_when(
        "ledger_step",
        "INSERT",
        "large_by_two",
        f"NEW.state = 'recognised' AND EXISTS (SELECT 1 {of_entry} AND e.kpi = 'L' AND ("
        f"EXISTS (SELECT 1 {rules} AND v.at > e.reported_at AND e.amount > {limit}) OR e.amount > COALESCE("
        f"(SELECT {limit} {rules} AND v.at <= e.reported_at ORDER BY v.version DESC LIMIT 1), {_LIMIT_NTD})) "
        "AND NOT EXISTS (SELECT 1 FROM ledger_motion m JOIN ledger_motion_end d ON d.motion_id = m.id "
        'WHERE m.subject = e.id AND m.kind = \'recognise\' AND d.seconded AND d."by" = NEW."by"))',
        "large money is recognised by two people",
    )


def _keep_roles() -> None:
    refuse_when("role_grant", "INSERT", "by_another", "NEW.granted_by = NEW.account_id", "nobody grants to himself")
    refuse_when(
        "role_grant",
        "INSERT",
        "by_two",
        "NEW.role IN ('office', 'committee') AND NEW.granted_by IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM ledger_motion m JOIN ledger_motion_end e ON e.motion_id = m.id WHERE m.id = NEW.motion_id "
        "AND m.kind = 'grant' AND e.seconded AND m.moved_by = NEW.granted_by "
        "AND m.subject = NEW.account_id || ' ' || NEW.role || ' ' || NEW.scope_id)",
        "two people give this role",
    )
    refuse_when(
        "role_grant",
        "INSERT",
        "to_people",
        "NEW.role <> 'job' AND EXISTS (SELECT 1 FROM account_tie t WHERE t.account_id = NEW.account_id "
        "AND t.how = 'keyed')",
        "an account with a key from somebody else is no person",
    )
    refuse_when(
        "account_tie",
        "INSERT",
        "to_programs",
        "NEW.how = 'keyed' AND EXISTS (SELECT 1 FROM role_grant g WHERE g.account_id = NEW.account_id "
        "AND g.role <> 'job')",
        "people get no key from somebody else",
    )
    refuse_when(
        "role_grant",
        "UPDATE",
        "stays",
        "NEW.account_id <> OLD.account_id OR NEW.role <> OLD.role OR NEW.scope_id <> OLD.scope_id "
        "OR NEW.granted_at <> OLD.granted_at OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL)",
        "a grant stays as it was given",
    )
    refuse_when("role_grant", "DELETE", "kept", "OLD.id IS NOT NULL", "a grant stays on record")


def _keep_seconds() -> None:
    """Keep from seconding who may be the mover, and from a motion on a role who would get it."""
    refuse_when(
        "ledger_motion_end",
        "INSERT",
        "by_no_tied",
        "NEW.seconded AND EXISTS (SELECT 1 FROM account_tie t WHERE "
        '(t.account_id = NEW."by" AND t."by" = NEW.moved_by) '
        'OR (t."by" = NEW."by" AND t.account_id = NEW.moved_by))',
        "accounts that made, granted or keyed each other are no two people",
    )
    refuse_when(
        "ledger_motion",
        "INSERT",
        "for_another",
        "NEW.kind = 'grant' AND substr(NEW.subject, 1, length(NEW.moved_by) + 1) = NEW.moved_by || ' '",
        "nobody moves a role for himself",
    )
    refuse_when(
        "ledger_motion_end",
        "INSERT",
        "for_another",
        "NEW.seconded AND EXISTS (SELECT 1 FROM ledger_motion m WHERE m.id = NEW.motion_id AND m.kind = 'grant' "
        'AND substr(m.subject, 1, length(NEW."by") + 1) = NEW."by" || \' \')',
        "nobody agrees to a role of his own",
    )
