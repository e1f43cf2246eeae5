"""What each school cooperates in as a whole, beside which GLORIA's share is seen.

In: a school's own total for a year, with its source: of money, or of another
figure (how many people it trained, how many posts were filled). Out: the newest
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
from matcher.ledger.rows.kpis import Kpi

COMPARED = (Kpi.MONEY, Kpi.MEMBERS, Kpi.INTERNATIONAL_CASES, Kpi.TALENT, Kpi.STARTUPS, Kpi.JOBS)
"""The figures of which a school has a total of its own; alliances and model cases are no school's."""
_COUNTED = ", ".join(f"'{kpi.value}'" for kpi in COMPARED if kpi is not Kpi.MONEY)
MAX_COUNT = 1_000_000


class SchoolTotal(SQLModel, table=True):
    """A school's whole cooperation of a year, as supplied once: never updated; the newest row of a figure holds.

    Without a figure it is money, in `amount_ntd`; of another one it is a `count` in that figure's unit.
    """

    __tablename__ = "school_total"
    __table_args__ = (
        CheckConstraint("amount_ntd >= 0", name="amount_not_negative"),
        CheckConstraint("length(source) > 0", name="has_a_source"),
        CheckConstraint(f"kpi IN ({_COUNTED})", name="kpi_compared"),
        CheckConstraint("(kpi IS NULL) = (amount_ntd IS NOT NULL)", name="money_without_a_figure"),
        CheckConstraint("(kpi IS NULL) = (count IS NULL)", name="counted_of_a_figure"),
        CheckConstraint("count >= 0", name="count_not_negative"),
    )

    id: int | None = Field(default=None, primary_key=True)
    school_id: str = Field(foreign_key="school.id", index=True)
    year: int
    amount_ntd: int | None = Field(sa_type=BigInteger)
    source: str
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)
    kpi: str | None = None
    count: int | None = None

    @property
    def figure(self) -> Kpi:
        """What it is a total of."""
        return Kpi.MONEY if self.kpi is None else Kpi(self.kpi)

    @property
    def amount(self) -> int:
        """How much it is, in the figure's unit."""
        return (self.count if self.amount_ntd is None else self.amount_ntd) or 0


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
    session: Session,
    *,
    school_id: str,
    year: int,
    source: str,
    by: str,
    now: datetime,
    kpi: Kpi = Kpi.MONEY,
    amount_ntd: int | None = None,
    count: int | None = None,
) -> SchoolTotal:
    """Store a school's whole cooperation of a year; a merged school's belongs to its successor.

    Raises:
        LedgerError: there is no such school, the figure is no school's, the amount is impossible or of another
            figure, or no source is given.
    """
    if kpi not in COMPARED:
        raise LedgerError(
            T_("a school has no total of this figure; give one of %(kpis)s", kpis=", ".join(COMPARED)), "kpi"
        )
    wanted, given, other, most = (
        ("amount_ntd", amount_ntd, count, MAX_NTD) if kpi is Kpi.MONEY else ("count", count, amount_ntd, MAX_COUNT)
    )
    if given is None or other is not None or not 0 <= given <= most:
        if kpi is Kpi.MONEY:
            raise LedgerError(T_("give whole NTD from 0 to %(max_ntd)s", max_ntd=f"{most:,}"), wanted)
        raise LedgerError(T_("of this figure give how many, from 0 to %(most)s, and no NTD", most=f"{most:,}"), wanted)
    if not source.strip():
        raise LedgerError(T_("say where the figure comes from"), "source")
    total = SchoolTotal(
        school_id=successor(session, school_id),
        year=year,
        amount_ntd=amount_ntd,
        source=source.strip(),
        by=by,
        at=now,
        kpi=None if kpi is Kpi.MONEY else kpi.value,
        count=count,
    )
    session.add(total)
    session.flush()
    return total


def total_of(
    session: Session, school_id: str, year: int, kpi: Kpi = Kpi.MONEY, *, as_of: datetime | None = None
) -> SchoolTotal | None:
    """Return the newest total of a school, or of what it was merged into, for a year; None if none was supplied."""
    of = col(SchoolTotal.kpi).is_(None) if kpi is Kpi.MONEY else SchoolTotal.kpi == kpi.value
    these = [SchoolTotal.school_id == successor(session, school_id), SchoolTotal.year == year, of]
    if as_of is not None:
        these.append(SchoolTotal.at <= as_of)
    return session.exec(select(SchoolTotal).where(*these).order_by(col(SchoolTotal.id).desc())).first()
