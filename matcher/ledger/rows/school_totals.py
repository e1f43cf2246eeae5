"""What each school cooperates in as a whole, beside which GLORIA's share is seen.

In: a school's own total for a year, with its source. Out: the newest figure
that was supplied. It exists because the programme asks for it to compare with
(比對): beside it one sees what GLORIA added. It is known once its year is over,
so no result waits for it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.records.record_tables import School
from indexer.vocabulary import MAX_NTD
from indexer.wording import T_
from matcher.ledger.rows.entries import LedgerError


class SchoolTotal(SQLModel, table=True):
    """A school's whole cooperation money of a year, as supplied once: never updated; the newest row holds."""

    __tablename__ = "school_total"
    __table_args__ = (
        CheckConstraint("amount_ntd >= 0", name="amount_not_negative"),
        CheckConstraint("length(source) > 0", name="has_a_source"),
    )

    id: int | None = Field(default=None, primary_key=True)
    school_id: str = Field(foreign_key="school.id", index=True)
    year: int
    amount_ntd: int = Field(sa_type=BigInteger)
    source: str
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def successor(session: Session, school_id: str) -> str:
    """Return the school that a school is today: itself, or what it was merged into.

    Raises:
        LedgerError: there is no such school.
    """
    seen: set[str] = set()
    while school_id not in seen:
        seen.add(school_id)
        school = session.get(School, school_id)
        if school is None:
            raise LedgerError(T_("there is no school %(school_id)r; import it first", school_id=school_id), "school")
        if not school.merged_into:
            break
        school_id = school.merged_into
    return school_id


def supply(
    session: Session, *, school_id: str, year: int, amount_ntd: int, source: str, by: str, now: datetime
) -> SchoolTotal:
    """Store a school's whole cooperation total of a year; a merged school's belongs to its successor.

    Raises:
        LedgerError: there is no such school, the amount is impossible, or no source is given.
    """
    if not 0 <= amount_ntd <= MAX_NTD:
        raise LedgerError(T_("give whole NTD from 0 to %(max_ntd)s", max_ntd=f"{MAX_NTD:,}"), "amount_ntd")
    if not source.strip():
        raise LedgerError(T_("say where the figure comes from"), "source")
    total = SchoolTotal(
        school_id=successor(session, school_id), year=year, amount_ntd=amount_ntd, source=source.strip(), by=by, at=now
    )
    session.add(total)
    session.flush()
    return total


def total_of(session: Session, school_id: str, year: int) -> SchoolTotal | None:
    """Return the newest total of a school, or of what it was merged into, for a year; None if none was supplied."""
    these = (SchoolTotal.school_id == successor(session, school_id), SchoolTotal.year == year)
    return session.exec(select(SchoolTotal).where(*these).order_by(col(SchoolTotal.id).desc())).first()
