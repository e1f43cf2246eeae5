"""Two records that turned out to be one: which is kept, what was moved to it, and how an old id is still found.

In: what somebody decided. Out: a row for each merging with the rows that it changed, as they were; and for an old id
the one that is kept. It exists because old ids stand in lists that schools send each year, in addresses that people
kept and in rows that nothing may rewrite: all of them must lead to the record that is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, ColumnElement, ForeignKey, Index, Integer, and_, text
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.vocabulary import Mendable


class RecordMerge(SQLModel, table=True):
    """One merging of `gone_id` into `kept_id`; until it is undone the old id stands for the other."""

    __tablename__ = "record_merge"
    __table_args__ = (
        CheckConstraint("kind IN ('lab', 'company', 'school', 'person')", name="kind_known"),
        CheckConstraint("gone_id <> kept_id", name="of_two"),
        CheckConstraint("length(reason) > 0", name="says_why"),
        Index(
            "ix_record_merge_active",
            "kind",
            "gone_id",
            unique=True,
            sqlite_where=text("undone_at IS NULL"),
            postgresql_where=text("undone_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    gone_id: str
    kept_id: str = Field(index=True)
    reason: str
    by: str | None
    at: datetime = Field(sa_type=Instant)
    undone_at: datetime | None = Field(default=None, sa_type=Instant)
    undone_by: str | None = None


class MergeChange(SQLModel, table=True):
    """One row that a merging wrote: as it was before (null: it was not there), and a hash of it afterwards."""

    __tablename__ = "merge_change"

    merge_id: int = Field(
        sa_column=Column(Integer, ForeignKey("record_merge.id", ondelete="CASCADE"), primary_key=True)
    )
    n: int = Field(primary_key=True)
    table_name: str
    row_key: list[Any] = Field(sa_column=Column(JSON, nullable=False))
    before: dict[str, Any] | None = Field(sa_column=Column(JSON(none_as_null=True), nullable=True))
    after: str


class DuplicateVerdict(SQLModel, table=True):
    """That somebody looked at two records which seemed to be one and says that they are two; `first_id` sorts first."""

    __tablename__ = "duplicate_verdict"
    __table_args__ = (CheckConstraint("first_id < second_id", name="in_order"),)

    kind: str = Field(primary_key=True)
    first_id: str = Field(primary_key=True)
    second_id: str = Field(primary_key=True)
    by: str | None
    at: datetime = Field(sa_type=Instant)


def kept_ids(session: Session, kind: Mendable, ids: Iterable[str] | None = None) -> dict[str, str]:
    """Return for each old id of a kind, or each of some, the one that is kept, however often it was merged on."""
    query = select(RecordMerge.gone_id, RecordMerge.kept_id).where(
        RecordMerge.kind == kind.value, col(RecordMerge.undone_at).is_(None)
    )
    steps = dict(session.exec(query).all())
    wanted = steps if ids is None else [one for one in ids if one in steps]
    return {one: _end(steps, one) for one in wanted}


def _end(steps: dict[str, str], one: str) -> str:
    # What is merged away can't be kept by another merging, so there is no circle.
    while one in steps:
        one = steps[one]
    return one


def same_ids(session: Session, kind: Mendable, record_id: str) -> list[str]:
    """Return a record's id and all those that lead to it: under which the facts about it stand that never change."""
    held = (RecordMerge.kind == kind.value, RecordMerge.kept_id == record_id, col(RecordMerge.undone_at).is_(None))
    return [record_id, *session.exec(select(RecordMerge.gone_id).where(*held)).all()]


def is_merged(kind: Mendable, old_id: Any) -> ColumnElement[bool]:
    """Return the condition on an id and `RecordMerge` that this merging leads from it to the record that is kept."""
    return and_(
        col(RecordMerge.kind) == kind.value, col(RecordMerge.gone_id) == old_id, col(RecordMerge.undone_at).is_(None)
    )


def old_ids(kind: Mendable, ids: Iterable[str]) -> Any:
    """Return the query of the old ids that lead to some records."""
    held = (
        RecordMerge.kind == kind.value,
        col(RecordMerge.kept_id).in_(list(ids)),
        col(RecordMerge.undone_at).is_(None),
    )
    return select(RecordMerge.gone_id).where(*held)


def with_same(ids: Any) -> tuple[Any, Any, Any]:
    """Return ids, or a query of them, with the queries of those that are kept for them and of their old ids."""
    holds = col(RecordMerge.undone_at).is_(None)
    kept = select(RecordMerge.kept_id).where(holds, col(RecordMerge.gone_id).in_(ids))
    return ids, kept, select(RecordMerge.gone_id).where(holds, col(RecordMerge.kept_id).in_(ids))


def kept_id(session: Session, kind: Mendable, old_id: str) -> str | None:
    """Return the id that an old one stands for, None if it is no old one."""
    return kept_ids(session, kind, [old_id]).get(old_id)
