"""Identity is more than text: skeletons of the ledger's keys, people's numbers and key, and asking for a company."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from indexer.folding import for_keys, for_looks
from indexer.migrations.append_only import is_sqlite, refuse_changes, refuse_when

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up. No entry, step or head is touched: skeletons lie beside the chain."""
    _people()
    _requests()
    rows = _live_facts()
    _drop_live_facts()
    op.create_table(
        "ledger_live_fact",
        sa.Column("kpi", sa.String(), nullable=False),
        sa.Column("natural_key", sa.String(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("skeleton", sa.String(), nullable=False),
        sa.Column("series", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["ledger_entry.id"]),
        sa.PrimaryKeyConstraint("kpi", "skeleton"),
        sa.UniqueConstraint("entry_id"),
    )
    op.create_index("ix_ledger_live_fact_series", "ledger_live_fact", ["kpi", "series"])
    if rows:
        columns = [sa.column(name, sa.String()) for name in rows[0]]
        op.bulk_insert(sa.table("ledger_live_fact", *columns), rows)
    _keep_keys()


def _people() -> None:
    op.add_column("ledger_person", sa.Column("number_digest", sa.String(), nullable=True))
    op.create_index("ix_ledger_person_number_digest", "ledger_person", ["number_digest"])
    op.create_table(
        "ledger_person_key",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(fingerprint) = 64", name="fingerprint_is_sha256"),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    refuse_changes("ledger_person_key")
    refuse_when(
        "ledger_person_key",
        "INSERT",
        "only_one",
        "EXISTS (SELECT 1 FROM ledger_person_key)",
        "people have one key",
    )


def _requests() -> None:
    op.create_table(
        "client_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("company_id", sa.String(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("expert_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("answered_by", sa.String(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("answer IN ('agreed', 'refused', 'taken_back')", name="answer_known"),
        sa.CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="answered_at_a_moment"),
        sa.CheckConstraint("(answer IS NULL) = (answered_by IS NULL)", name="answered_by_somebody"),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"]),
        sa.ForeignKeyConstraint(["alliance_id"], ["alliance.id"]),
        sa.ForeignKeyConstraint(["expert_id"], ["account.id"]),
        sa.ForeignKeyConstraint(["asked_by"], ["account.id"]),
        sa.ForeignKeyConstraint(["answered_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_client_request_waiting",
        "client_request",
        ["company_id", "alliance_id"],
        unique=True,
        sqlite_where=sa.text("answer IS NULL"),
        postgresql_where=sa.text("answer IS NULL"),
    )


def _live_facts() -> list[dict[str, str]]:
    """Return the rows with their skeletons; of those that were two till now and look like one, each keeps its own."""
    entry = sa.table(
        "ledger_entry",
        *(sa.column(name) for name in ("seq", "id", "school_id")),
        sa.column("details", sa.JSON()),
    )
    live = sa.table("ledger_live_fact", *(sa.column(name) for name in ("kpi", "natural_key", "entry_id")))
    company = sa.table("company", sa.column("id"), sa.column("tax_id"))
    connection = op.get_bind()
    tax_ids = {row[0]: row[1] for row in connection.execute(sa.select(company.c.id, company.c.tax_id)) if row[1]}
    query = (
        sa.select(live.c.kpi, live.c.natural_key, live.c.entry_id, entry.c.school_id, entry.c.details)
        .join(entry, entry.c.id == live.c.entry_id)
        .order_by(entry.c.seq)
    )
    rows: list[dict[str, str]] = []
    taken: set[tuple[str, str]] = set()
    for one in connection.execute(query).mappings():
        parts = _parts(dict(one), tax_ids)
        skeleton = orjson.dumps(parts).decode()
        if (one["kpi"], skeleton) in taken:
            skeleton = orjson.dumps([*parts, f"entry {one['entry_id']}"]).decode()
        taken.add((one["kpi"], skeleton))
        same = {name: one[name] for name in ("kpi", "natural_key", "entry_id")}
        rows.append({**same, "skeleton": skeleton, "series": _series(one["kpi"], one["details"])})
    return rows


def _parts(row: Mapping[Any, Any], tax_ids: Mapping[str, str]) -> list[str | int]:
    """Return a skeleton's parts as `matcher.ledger.rows.details` makes them in the release that brought this."""
    said, school = row["details"], row["school_id"] or ""
    match row["kpi"]:
        case "members":
            tax_id = tax_ids.get(said["company"])
            return ["company", said["company"]] if tax_id is None else ["tax", tax_id]
        case "L":
            return [for_keys(said["contract"]), said["instalment"], school]
        case "T" | "model_cases":
            return [for_keys(said["reference"]), school]
        case "C":
            return [said["person"], for_keys(said["programme"]), said["year"]]
        case "jobs":
            who = said.get("person") or f"entry {row['entry_id']}"
            return [for_keys(said["employer"]), for_keys(said["post"]), said["start_on"], who]
        case _:
            return [row["natural_key"]]


def _series(kpi: str, said: Mapping[str, Any]) -> str:
    """Return what results may share and yet be two, as the same release makes it."""
    match kpi:
        case "L":
            return for_looks(said["contract"])
        case "T" | "model_cases":
            return for_looks(said["reference"])
        case "C":
            return orjson.dumps([said["person"], said["year"]]).decode()
        case "jobs":
            return orjson.dumps([for_looks(said["employer"]), for_looks(said["post"]), said["start_on"]]).decode()
        case _:
            return ""


_TRIGGERS = ("of_its_entry", "until_it_ends", "stays")


def _drop_live_facts() -> None:
    op.drop_table("ledger_live_fact")
    if not is_sqlite():
        for name in _TRIGGERS:
            op.execute(f"DROP FUNCTION ledger_live_fact_{name}()")


def _keep_keys() -> None:
    """The rules of the table as it was (0003 and 0007), word for word."""
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
    if not is_sqlite():
        op.execute(
            "CREATE TRIGGER ledger_live_fact_no_truncate BEFORE TRUNCATE ON ledger_live_fact "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
