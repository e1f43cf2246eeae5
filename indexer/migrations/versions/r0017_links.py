"""The chain of links over whatever else figures and rights rest on, and the head of the audit trail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import refuse_changes, refuse_when

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_GENESIS = "0" * 64
_AT_ONCE = 500
_KEYS = {
    "ledger_motion_end": "motion_id",
    "ledger_period_close": "period",
    "ledger_person": "pseudonym",
    "ledger_person_key": "fingerprint",
}
_WITHOUT = {"account": ("email", "name"), "ledger_person": ("name", "contact"), "stake": ("end_reason",)}
_TABLES = (
    "account",
    "account_tie",
    "break_glass_read",
    "case_step",
    "configuration_version",
    "decision",
    "erasure",
    "external_claim",
    "gender_analysis",
    "gender_count",
    "lab_claim",
    "ladder_step",
    "ledger_duties_start",
    "ledger_motion",
    "ledger_motion_end",
    "ledger_period_close",
    "ledger_person",
    "ledger_person_key",
    "ledger_similarity",
    "point_row",
    "proposal",
    "role_grant",
    "school_total",
    "stake",
    "sufficiency_row",
)


def upgrade() -> None:
    """Bring the tables up, and link what is there: it can be proven from here on, not before."""
    op.create_table(
        "ledger_link",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.Column("heads", sa.JSON(), nullable=False),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.CheckConstraint("length(hash) = 64 AND length(prev_hash) = 64", name="hashes_are_sha256"),
        sa.PrimaryKeyConstraint("seq"),
    )
    connection = op.get_bind()
    heads = sa.table("ledger_head", sa.column("chain"), sa.column("n"), sa.column("hash"))
    last = connection.execute(sa.text("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")).first()
    n, content = (0, _GENESIS) if last is None else last
    op.bulk_insert(heads, [{"chain": "audit", "n": n, "hash": content}])
    links = list(_links(connection))
    if links:
        columns = (
            sa.column("rows", sa.JSON()),
            sa.column("heads", sa.JSON()),
            sa.column("at", sa.DateTime(timezone=True)),
        )
        table = sa.table("ledger_link", sa.column("seq"), sa.column("prev_hash"), sa.column("hash"), *columns)
        op.bulk_insert(table, links)
    content = links[-1]["hash"] if links else _GENESIS
    op.bulk_insert(heads, [{"chain": "links", "n": len(links), "hash": content}])
    refuse_changes("ledger_link")
    refuse_when(
        "ledger_link",
        "INSERT",
        "in_order",
        "NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM ledger_link) "
        f"OR NEW.prev_hash <> COALESCE((SELECT hash FROM ledger_link WHERE seq = NEW.seq - 1), '{_GENESIS}')",
        "ledger_link is a chain: the next row follows the last",
    )


def _links(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Yield the starting links: every row as it is now."""
    found = connection.execute(sa.text("SELECT chain, n, hash FROM ledger_head")).all()
    # What stands in such a link was there before anything was linked, and is asked no more than that.
    heads = {"start": [0, _GENESIS], **{chain: [n, content] for chain, n, content in found}}
    rows, previous, now = list(_rows(connection)), _GENESIS, datetime.now(UTC)
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        link = {"seq": start // _AT_ONCE + 1, "at": now, "rows": part, "heads": heads, "prev_hash": previous}
        previous = _hash(link)
        yield {**link, "hash": previous, "at": now if connection.dialect.name != "sqlite" else now.replace(tzinfo=None)}


def _rows(connection: sa.Connection) -> Iterator[list[str]]:
    for name in _TABLES:
        key, without = _KEYS.get(name, "id"), _WITHOUT.get(name, ())
        table = sa.Table(name, sa.MetaData(), autoload_with=connection, resolve_fks=False)
        query = table.select().order_by(table.c[key])
        if name == "proposal":
            query = query.where(sa.text("EXISTS (SELECT 1 FROM decision WHERE proposal_id = proposal.id)"))
        for row in connection.execute(query).mappings():
            said = {str(column): value for column, value in row.items() if value is not None and column not in without}
            yield [name, str(row[key]), _hash(said)]


def _hash(row: Mapping[str, Any]) -> str:
    said = {name: _plain(value) for name, value in row.items()}
    return sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value
