"""The KPI ledger: entries, steps, claims, motions, closed quarters, and the rules that the database keeps itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import refuse_changes, refuse_when

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_APPEND_ONLY = (
    "configuration_version",
    "ledger_entry",
    "ledger_motion",
    "ledger_motion_end",
    "ledger_period_close",
    "ledger_similarity",
    "ledger_step",
    "school_total",
)
_GENESIS = "0" * 64


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "ledger_head",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.CheckConstraint("length(hash) = 64", name="hash_is_sha256"),
        sa.CheckConstraint("n >= 0", name="counts_from_0"),
        sa.PrimaryKeyConstraint("chain"),
    )
    op.create_table(
        "configuration_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(reason) > 0", name="changed_for_a_reason"),
        sa.CheckConstraint("version > 0", name="versions_count_from_1"),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "version", name="one_document_per_version"),
    )
    op.create_table(
        "external_claim",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("programme", sa.String(), nullable=False),
        sa.Column("kpi", sa.String(), nullable=False),
        sa.Column("natural_key", sa.String(), nullable=False),
        sa.Column("claimant", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("occurred_on", sa.Date(), nullable=True),
        sa.Column("noted_by", sa.String(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.CheckConstraint(
            "programme IN ('value_creation', 'germination', 'patent', 'tech_transfer', 'other')", name="programme_known"
        ),
        sa.CheckConstraint("amount IS NULL OR amount > 0", name="amount_positive"),
        sa.ForeignKeyConstraint(
            ["noted_by"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("external_claim", schema=None) as batch_op:
        batch_op.create_index(
            "ix_external_claim_active",
            ["programme", "kpi", "natural_key"],
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )

    op.create_table(
        "ledger_motion",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("moved_by", sa.String(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('recognise', 'reverse', 'close')", name="kind_known"),
        sa.CheckConstraint("length(reason) > 0", name="moved_for_a_reason"),
        sa.ForeignKeyConstraint(
            ["moved_by"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("id", "moved_by", name="who_moved"),
    )
    with op.batch_alter_table("ledger_motion", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_motion_subject"), ["subject"], unique=False)

    op.create_table(
        "ledger_period_close",
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("totals", sa.JSON(), nullable=False),
        sa.Column("entries_n", sa.BigInteger(), nullable=False),
        sa.Column("entries_hash", sa.String(), nullable=False),
        sa.Column("steps_n", sa.BigInteger(), nullable=False),
        sa.Column("steps_hash", sa.String(), nullable=False),
        sa.Column("moved_by", sa.String(), nullable=False),
        sa.Column("seconded_by", sa.String(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("moved_by <> seconded_by", name="closed_by_two"),
        sa.ForeignKeyConstraint(
            ["moved_by"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["seconded_by"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("period"),
    )
    op.create_table(
        "ledger_person",
        sa.Column("pseudonym", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("contact", sa.String(), nullable=True),
        sa.Column("registered_by", sa.String(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_by", sa.String(), nullable=True),
        sa.CheckConstraint("(erased_at IS NULL) = (name IS NOT NULL)", name="erased_has_no_name"),
        sa.CheckConstraint("erased_at IS NULL OR contact IS NULL", name="erased_has_no_contact"),
        sa.CheckConstraint("length(digest) = 64", name="digest_is_sha256"),
        sa.ForeignKeyConstraint(
            ["registered_by"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("pseudonym"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "school_total",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("school_id", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("amount_ntd", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_ntd >= 0", name="amount_not_negative"),
        sa.CheckConstraint("length(source) > 0", name="has_a_source"),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["school_id"],
            ["school.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("school_total", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_school_total_school_id"), ["school_id"], unique=False)

    op.create_table(
        "ledger_motion_end",
        sa.Column("motion_id", sa.Integer(), nullable=False),
        sa.Column("moved_by", sa.String(), nullable=False),
        sa.Column("seconded", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("NOT seconded OR by <> moved_by", name="seconded_by_another"),
        sa.CheckConstraint("seconded OR length(reason) > 0", name="dropped_for_a_reason"),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["motion_id", "moved_by"],
            ["ledger_motion.id", "ledger_motion.moved_by"],
        ),
        sa.PrimaryKeyConstraint("motion_id"),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("kpi", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("shares", sa.JSON(), nullable=False),
        sa.Column("natural_key", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("counts_on", sa.Date(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("late_for", sa.String(), nullable=True),
        sa.Column("school_id", sa.String(), nullable=True),
        sa.Column("company_id", sa.String(), nullable=True),
        sa.Column("case_id", sa.Integer(), nullable=True),
        sa.Column("decision_id", sa.Integer(), nullable=True),
        sa.Column("reverses", sa.String(), nullable=True),
        sa.Column("restates", sa.String(), nullable=True),
        sa.Column("value_added", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("reporter", sa.String(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.CheckConstraint("(kind = 'reversal') = (reverses IS NOT NULL)", name="reversal_names_an_entry"),
        sa.CheckConstraint("kind IN ('fact', 'reversal')", name="kind_known"),
        sa.CheckConstraint(
            "kpi IN ('alliances', 'members', 'T', 'L', 'C', 'P', 'jobs', 'model_cases', 'acceptances')",
            name="kpi_known",
        ),
        sa.CheckConstraint("unit IN ('ntd', 'persons', 'cases', 'companies', 'alliances')", name="unit_known"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint("late_for IS NULL OR late_for < period", name="late_for_an_earlier_quarter"),
        sa.CheckConstraint("length(hash) = 64 AND length(prev_hash) = 64", name="hashes_are_sha256"),
        sa.CheckConstraint("length(natural_key) > 0", name="has_a_key"),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["case_file.id"],
        ),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["decision.id"],
        ),
        sa.ForeignKeyConstraint(
            ["reporter"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["restates"],
            ["ledger_entry.id"],
        ),
        sa.ForeignKeyConstraint(
            ["reverses"],
            ["ledger_entry.id"],
        ),
        sa.ForeignKeyConstraint(
            ["school_id"],
            ["school.id"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("reverses"),
    )
    with op.batch_alter_table("ledger_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_entry_case_id"), ["case_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_ledger_entry_kpi"), ["kpi"], unique=False)
        batch_op.create_index(batch_op.f("ix_ledger_entry_natural_key"), ["natural_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_ledger_entry_period"), ["period"], unique=False)

    op.create_table(
        "ledger_live_fact",
        sa.Column("kpi", sa.String(), nullable=False),
        sa.Column("natural_key", sa.String(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["ledger_entry.id"],
        ),
        sa.PrimaryKeyConstraint("kpi", "natural_key"),
        sa.UniqueConstraint("entry_id"),
    )
    op.create_table(
        "ledger_similarity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("other_entry", sa.String(), nullable=True),
        sa.Column("external_claim", sa.Integer(), nullable=True),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("grounds", sa.JSON(), nullable=False),
        sa.CheckConstraint("(other_entry IS NULL) <> (external_claim IS NULL)", name="resembles_one_thing"),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name="score_bounded"),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["ledger_entry.id"],
        ),
        sa.ForeignKeyConstraint(
            ["external_claim"],
            ["external_claim.id"],
        ),
        sa.ForeignKeyConstraint(
            ["other_entry"],
            ["ledger_entry.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("ledger_similarity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_similarity_entry_id"), ["entry_id"], unique=False)

    op.create_table(
        "ledger_step",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("period", sa.String(), nullable=True),
        sa.Column("kpi_year", sa.Integer(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.CheckConstraint("(state = 'recognised') = (kpi_year IS NOT NULL)", name="recognised_in_a_year"),
        sa.CheckConstraint("(state = 'recognised') = (period IS NOT NULL)", name="recognised_in_a_quarter"),
        sa.CheckConstraint(
            "state IN ('held', 'reported', 'checked', 'returned', 'recognised', 'refused', 'withdrawn', 'reversed')",
            name="state_known",
        ),
        sa.CheckConstraint(
            "state NOT IN ('refused', 'withdrawn', 'reversed', 'returned') OR length(reason) > 0", name="said_why"
        ),
        sa.CheckConstraint("length(hash) = 64 AND length(prev_hash) = 64", name="hashes_are_sha256"),
        sa.ForeignKeyConstraint(
            ["by"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["ledger_entry.id"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("entry_id", "version", name="one_step_per_entry_version"),
    )
    with op.batch_alter_table("ledger_step", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_step_period"), ["period"], unique=False)
        batch_op.create_index(
            "ix_ledger_step_recognised_once",
            ["entry_id"],
            unique=True,
            sqlite_where=sa.text("state = 'recognised'"),
            postgresql_where=sa.text("state = 'recognised'"),
        )

    op.bulk_insert(
        sa.table(
            "ledger_head",
            sa.column("chain", sa.String()),
            sa.column("n", sa.BigInteger()),
            sa.column("hash", sa.String()),
        ),
        [{"chain": chain, "n": 0, "hash": _GENESIS} for chain in ("entries", "steps")],
    )
    for table in _APPEND_ONLY:
        refuse_changes(table)
    _keep_chains()
    _keep_shares()
    _keep_quarters_closed()
    _keep_keys()
    _keep_reporters_out()


def _keep_chains() -> None:
    for table in ("ledger_entry", "ledger_step"):
        refuse_when(
            table,
            "INSERT",
            "in_order",
            f"NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM {table}) "
            f"OR NEW.prev_hash <> COALESCE((SELECT hash FROM {table} WHERE seq = NEW.seq - 1), '{_GENESIS}')",
            f"{table} is a chain: the next row follows the last",
        )
    refuse_when("ledger_head", "UPDATE", "onward", "NEW.n < OLD.n OR NEW.chain <> OLD.chain", "a head never goes back")
    refuse_when("ledger_head", "DELETE", "stays", "OLD.n >= 0", "a head stays")


def _keep_shares() -> None:
    refuse_when(
        "ledger_entry",
        "INSERT",
        "shares_whole",
        "COALESCE((SELECT SUM(value) FROM json_each(NEW.shares)), 0) <> 10000 "
        "OR EXISTS (SELECT 1 FROM json_each(NEW.shares) WHERE type <> 'integer' OR value < 1)",
        "shares sum to 10000 basis points",
        "COALESCE((SELECT SUM(value::numeric) FROM json_each_text(NEW.shares)), 0) <> 10000 "
        "OR EXISTS (SELECT 1 FROM json_each_text(NEW.shares) WHERE value !~ '^[1-9][0-9]*$')",
    )


def _keep_quarters_closed() -> None:
    for table in ("ledger_entry", "ledger_step"):
        refuse_when(
            table,
            "INSERT",
            "quarter_open",
            "NEW.period IS NOT NULL AND EXISTS (SELECT 1 FROM ledger_period_close WHERE period >= NEW.period)",
            "the quarter is closed",
        )
    refuse_when(
        "ledger_period_close",
        "INSERT",
        "in_order",
        "EXISTS (SELECT 1 FROM ledger_period_close WHERE period >= NEW.period)",
        "quarters are closed in their order",
    )


def _keep_keys() -> None:
    refuse_when(
        "ledger_live_fact",
        "INSERT",
        "of_its_entry",
        "NOT EXISTS (SELECT 1 FROM ledger_entry WHERE id = NEW.entry_id AND kind = 'fact' "
        "AND kpi = NEW.kpi AND natural_key = NEW.natural_key)",
        "a key is that of its entry",
    )
    refuse_when(
        "ledger_live_fact",
        "DELETE",
        "until_it_ends",
        "NOT EXISTS (SELECT 1 FROM ledger_step WHERE entry_id = OLD.entry_id "
        "AND state IN ('refused', 'withdrawn', 'reversed')) "
        "AND NOT EXISTS (SELECT 1 FROM ledger_entry WHERE reverses = OLD.entry_id)",
        "a key is held until its entry has ended",
    )
    refuse_when("ledger_live_fact", "UPDATE", "stays", "OLD.entry_id IS NOT NULL", "a key stays with its entry")


def _keep_reporters_out() -> None:
    refuse_when(
        "ledger_step",
        "INSERT",
        "not_by_reporter",
        "NEW.state IN ('checked', 'returned', 'recognised', 'refused') AND EXISTS "
        "(SELECT 1 FROM ledger_entry WHERE id = NEW.entry_id AND kind = 'fact' AND reporter = NEW.\"by\")",
        "who reported a result does not decide on it",
    )
