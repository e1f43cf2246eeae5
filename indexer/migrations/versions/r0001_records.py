"""The records of the first release: schools, alliances, labs and evidence, companies, needs and asks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up."""
    op.create_table(
        "alliance",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("center", sa.String(), nullable=True),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.CheckConstraint("kind IN ('regional', 'theme')", name="kind_known"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 200", name="id_bounded"),
        sa.CheckConstraint("until >= since", name="until_after_since"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "company",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("tax_id", sa.String(), nullable=True),
        sa.Column("country", sa.String(), nullable=False),
        sa.Column("size", sa.String(), nullable=True),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("city", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.CheckConstraint("size IN ('micro', 'small', 'medium', 'large')", name="size_known"),
        sa.CheckConstraint("tier IN ('none', 'domestic', 'international', 'gold')", name="tier_known"),
        sa.CheckConstraint("length(country) = 2", name="country_two_letters"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 200", name="id_bounded"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("company", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_company_tax_id"), ["tax_id"], unique=False)

    op.create_table(
        "lab",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("pi", sa.String(), nullable=False),
        sa.Column("school", sa.String(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("summary_en", sa.String(), nullable=False),
        sa.Column("keywords", sa.JSON(), nullable=False),
        sa.Column("offers", sa.JSON(), nullable=False),
        sa.Column("will_not_do", sa.JSON(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("conflicts", sa.JSON(), nullable=False),
        sa.Column("links", sa.JSON(), nullable=False),
        sa.CheckConstraint("capacity >= 0", name="capacity_not_negative"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 200", name="id_bounded"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("lab", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_lab_school"), ["school"], unique=False)

    op.create_table(
        "need",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("company", sa.String(), nullable=True),
        sa.Column("school", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("budget_ntd", sa.BigInteger(), nullable=True),
        sa.Column("deadline", sa.Date(), nullable=True),
        sa.Column("confidentiality", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=True),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("excluded_labs", sa.JSON(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.CheckConstraint("confidentiality IN ('public', 'alliance', 'confidential')", name="confidentiality_known"),
        sa.CheckConstraint("region IN ('north', 'central', 'south', 'east', 'islands')", name="region_known"),
        sa.CheckConstraint("budget_ntd >= 0", name="budget_not_negative"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 200", name="id_bounded"),
        sa.CheckConstraint("length(title) + length(description) > 0", name="says_something"),
        sa.CheckConstraint("year BETWEEN 1800 AND 2200", name="year_plausible"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("need", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_need_company"), ["company"], unique=False)

    op.create_table(
        "school",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("city", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=True),
        sa.Column("prominence", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("founded", sa.Integer(), nullable=True),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("merged_on", sa.Date(), nullable=True),
        sa.CheckConstraint("prominence IN ('high', 'medium', 'low')", name="prominence_known"),
        sa.CheckConstraint("region IN ('north', 'central', 'south', 'east', 'islands')", name="region_known"),
        sa.CheckConstraint("founded BETWEEN 1800 AND 2200", name="founded_plausible"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 200", name="id_bounded"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "alliance_partner",
        sa.Column("alliance_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("school", sa.String(), nullable=False),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.CheckConstraint("until >= since", name="until_after_since"),
        sa.ForeignKeyConstraint(["alliance_id"], ["alliance.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("alliance_id", "position"),
    )
    with op.batch_alter_table("alliance_partner", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alliance_partner_school"), ["school"], unique=False)

    op.create_table(
        "ask",
        sa.Column("need_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('technology', 'talent', 'facility', 'licensing', 'training', 'investment')", name="kind_known"
        ),
        sa.ForeignKeyConstraint(["need_id"], ["need.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("need_id", "position"),
    )
    op.create_table(
        "evidence",
        sa.Column("lab_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("abstract", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.CheckConstraint("kind IN ('paper', 'patent', 'project', 'technology', 'thesis')", name="kind_known"),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 220", name="id_bounded"),
        sa.CheckConstraint("weight BETWEEN 0 AND 10", name="weight_bounded"),
        sa.CheckConstraint("year BETWEEN 1800 AND 2200", name="year_plausible"),
        sa.ForeignKeyConstraint(["lab_id"], ["lab.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("lab_id", "id"),
    )
