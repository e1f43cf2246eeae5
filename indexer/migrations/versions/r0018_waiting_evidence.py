"""Evidence that no entry names may be deleted: the rest is refused as before."""

from __future__ import annotations

from alembic import op

from indexer.migrations.append_only import is_sqlite, refuse_when

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_SQLITE = " OR ".join(
    f"EXISTS (SELECT 1 FROM {table}, json_each({table}.evidence) AS item "
    "WHERE json_extract(item.value, '$.sha256') = OLD.sha256)"
    for table in ("ledger_entry", "ledger_step")
)
_POSTGRESQL = " OR ".join(
    f"EXISTS (SELECT 1 FROM {table}, json_array_elements({table}.evidence) AS item "
    "WHERE item ->> ''sha256'' = OLD.sha256)".replace("''", "'")
    for table in ("ledger_entry", "ledger_step")
)


def upgrade() -> None:
    """Exchange the rule."""
    if is_sqlite():
        op.execute("DROP TRIGGER evidence_file_no_delete")
    else:
        op.execute("DROP TRIGGER evidence_file_append_only ON evidence_file")
        op.execute(
            "CREATE TRIGGER evidence_file_append_only BEFORE UPDATE OR TRUNCATE ON evidence_file "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    refuse_when(
        "evidence_file",
        "DELETE",
        "named_stays",
        _SQLITE,
        "evidence_file is append-only where an entry names the file",
        postgresql=_POSTGRESQL,
    )
