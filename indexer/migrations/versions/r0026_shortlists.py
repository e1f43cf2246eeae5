"""Shortlists and their links, pictures of alliances and labs, and a lab's members and equipment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the tables up."""
    for column in ("members", "equipment"):
        op.add_column("lab", sa.Column(column, sa.JSON(), nullable=False, server_default="[]"))
    _pictures()
    _shortlists()
    _links()


def _pictures() -> None:
    op.create_table(
        "picture",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("owner_id", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("put_by", sa.String(), nullable=False),
        sa.Column("put_at", _MOMENT, nullable=False),
        sa.CheckConstraint("owner IN ('alliance', 'lab')", name="owner_known"),
        sa.ForeignKeyConstraint(["put_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("owner", "owner_id"),
    )


def _shortlists() -> None:
    op.create_table(
        "shortlist",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("need_id", sa.String(), nullable=False),
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("names_need", sa.Boolean(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.CheckConstraint("length(words) <= 3000", name="words_bounded"),
        sa.ForeignKeyConstraint(["need_id"], ["need.id"]),
        sa.ForeignKeyConstraint(["alliance_id"], ["alliance.id"]),
        sa.ForeignKeyConstraint(["made_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_shortlist_need_id", "shortlist", ["need_id"])
    op.create_table(
        "shortlisted_lab",
        sa.Column("shortlist_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("lab_id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["shortlist_id"], ["shortlist.id"]),
        sa.ForeignKeyConstraint(["lab_id"], ["lab.id"]),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"]),
        sa.PrimaryKeyConstraint("shortlist_id", "position"),
        sa.UniqueConstraint("shortlist_id", "lab_id", name="each_once"),
    )


def _links() -> None:
    op.create_table(
        "shortlist_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("shortlist_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("revoked_at", _MOMENT, nullable=True),
        sa.Column("revoked_by", sa.String(), nullable=True),
        sa.Column("opened", sa.Integer(), nullable=False),
        sa.Column("last_opened_at", _MOMENT, nullable=True),
        sa.CheckConstraint("length(digest) = 64", name="hash_only"),
        sa.CheckConstraint("language IN ('zh', 'en', 'both')", name="language_known"),
        sa.CheckConstraint("expires_at > made_at", name="expires_later"),
        sa.CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked_by_somebody"),
        sa.CheckConstraint("opened >= 0", name="opened_counted"),
        sa.ForeignKeyConstraint(["shortlist_id"], ["shortlist.id"]),
        sa.ForeignKeyConstraint(["made_by"], ["account.id"]),
        sa.ForeignKeyConstraint(["revoked_by"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_shortlist_link_shortlist_id", "shortlist_link", ["shortlist_id"])
