"""Records that are no longer used: retired by somebody, for a reason, since a day; never deleted.

In: what is retired. Out: a row for each time, and the one condition by which lists, the index, rankings, exports and
pick lists leave a record out. It exists because a lab that was imported by mistake, or whose head has left, must stop
being proposed, while the cases and results that name it must stay readable: so the record stays as it is, and what is
said of it stands beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, Index, and_, exists, text
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.vocabulary import Mendable

_ALL = ", ".join(f"'{kind.value}'" for kind in Mendable)


class Retirement(SQLModel, table=True):
    """One time that a record was retired; `part` is the id of a piece of evidence of the lab `record_id`, else ""."""

    __tablename__ = "retirement"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_ALL})", name="kind_known"),
        CheckConstraint("length(reason) > 0", name="says_why"),
        CheckConstraint("(kind = 'evidence') = (part <> '')", name="part_of_a_lab"),
        CheckConstraint("ended_at IS NOT NULL OR ended_by IS NULL", name="ended_by_somebody"),
        Index(
            "ix_retirement_active",
            "kind",
            "record_id",
            "part",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    record_id: str
    part: str = ""
    since: date
    reason: str
    by: str | None
    at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    ended_by: str | None = None


def in_use(kind: Mendable, record_id: Any, part: Any = None) -> ColumnElement[bool]:
    """Return the condition on a record's id that it is not retired.

    Args:
        kind: of the record.
        record_id: the column that holds its id; for evidence the lab's.
        part: for evidence the column of its own id.
    """
    return ~exists(select(1).where(is_retired(kind, record_id, part)).correlate_except(Retirement))


def is_retired(kind: Mendable, record_id: Any, part: Any = None) -> ColumnElement[bool]:
    """Return the condition on a record and `Retirement` that this is how it is retired now; see `in_use`."""
    same = [col(Retirement.record_id) == record_id] + ([col(Retirement.part) == part] if part is not None else [])
    return and_(col(Retirement.kind) == kind.value, col(Retirement.ended_at).is_(None), *same)


def retirement_of(session: Session, kind: Mendable, record_id: str, part: str = "") -> Retirement | None:
    """Return how a record is retired now, None if it is in use."""
    same = (Retirement.kind == kind.value, Retirement.record_id == record_id, Retirement.part == part)
    return session.exec(select(Retirement).where(*same, col(Retirement.ended_at).is_(None))).first()


def retired_ids(session: Session, kind: Mendable, ids: Collection[str] | None = None) -> frozenset[str]:
    """Return which records of a kind are retired now, or which of some."""
    query = select(Retirement.record_id).where(Retirement.kind == kind.value, col(Retirement.ended_at).is_(None))
    found = frozenset(session.exec(query).all())
    return found if ids is None else found & frozenset(ids)
