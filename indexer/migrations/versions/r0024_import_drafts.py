"""Drafts of imports, which their owners look through and correct before they begin; whose a saved mapping is.

That a need came in is a fact that stays, unless it came in with an import that is taken back before anything came of
it: then its first step goes with it, and the database lets nothing else of the kind go.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from indexer.migrations.append_only import is_sqlite, refuse_when

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


_IMPORTED = (
    "OLD.old IS NULL AND EXISTS (SELECT 1 FROM import_change AS c JOIN import_batch AS b ON b.id = c.batch_id "
    "WHERE b.undone_at IS NOT NULL AND c.table_name = 'need' AND c.before IS NULL AND {key} = OLD.need_id)"
)


def upgrade() -> None:
    """Bring the tables up."""
    op.add_column("saved_mapping", sa.Column("account_id", sa.String(), nullable=True))
    op.add_column("saved_mapping", sa.Column("title", sa.String(), nullable=True))
    op.create_table(
        "import_draft",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holds", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("kept_until", _MOMENT, nullable=False),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.ForeignKeyConstraint(["alliance_id"], ["alliance.id"]),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("holds IN ('sheets', 'objects')", name="holds_known"),
    )
    op.create_index("ix_import_draft_account_id", "import_draft", ["account_id"])
    op.create_index("ix_import_draft_kept_until", "import_draft", ["kept_until"])
    _let_first_steps_go()


def _let_first_steps_go() -> None:
    if is_sqlite():
        op.execute("DROP TRIGGER need_step_no_delete")
    else:
        op.execute("DROP TRIGGER need_step_append_only ON need_step")
        op.execute(
            "CREATE TRIGGER need_step_append_only BEFORE UPDATE OR TRUNCATE ON need_step "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    refuse_when(
        "need_step",
        "DELETE",
        "stays",
        "NOT (" + _IMPORTED.format(key="json_extract(c.row_key, '$[0]')") + ")",
        "need_step is append-only",
        "NOT (" + _IMPORTED.format(key="(c.row_key ->> 0)") + ")",
    )
