"""GLORIA's share of what each school cooperates in as a whole, for every figure that schools have totals of.

In: alliances, a year and a moment. Out: for each of their schools the totals that
it supplied, what the programme recognised for it in that year, and the share. It
exists because the programme must show what it added to what the school would do
anyway. Of a result of several schools each has its share; money counts in the
year that it is due in, by the same rows as `matcher.ledger.figures.folds`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.records.mended.schools import school_names_on
from indexer.records.record_tables import Alliance, AlliancePartner, School
from matcher.ledger.rows.entries import WHOLE_BP, Entry, EntryKind
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.school_totals import COMPARED, successor, total_of
from matcher.ledger.rows.steps import State, Step
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules


@dataclass(frozen=True)
class SchoolShare:
    """A school's own total of a figure in a year (None: not supplied), and what of it GLORIA recognised.

    What is recognised is in units × basis points, since a school may have a part of a result.
    """

    school: str
    name: str
    kpi: Kpi
    total: int | None
    source: str | None
    recognised_bp: int
    entries: tuple[str, ...]

    @property
    def recognised(self) -> Fraction:
        """Return what GLORIA recognised, in the figure's unit."""
        return Fraction(self.recognised_bp, WHOLE_BP)

    @property
    def share(self) -> Fraction | None:
        """Return GLORIA's share; None without a total, or with one of 0."""
        return self.recognised / self.total if self.total else None


@dataclass(frozen=True)
class _Part:
    """A school's part of a recognised entry."""

    school: str
    kpi: Kpi
    amount_bp: int
    entry: str
    alliances: Mapping[str, int]


def school_shares(session: Session, *, alliances: Sequence[str], year: int, as_of: datetime) -> list[SchoolShare]:
    """Return the shares of all schools that belong to the alliances or have recognised results with them.

    Results of every alliance count, since a school's total is of the whole school. Money is named of every school,
    another figure where there is a total of it to compare with.
    """
    amounts: defaultdict[tuple[str, Kpi], int] = defaultdict(int)
    behind: defaultdict[tuple[str, Kpi], list[str]] = defaultdict(list)
    wanted = _schools_of(session, alliances, date(year, 12, 31))
    for part in _recognised(session, year, as_of, COMPARED):
        key = part.school, part.kpi
        amounts[key] += part.amount_bp
        behind[key].append(part.entry)
        if set(part.alliances) & set(alliances):
            wanted.add(part.school)
    # What they were called then: a report of a year that is over does not change with a new name.
    names = school_names_on(session, date(year, 12, 31), sorted(wanted)) if wanted else {}
    found = []
    for school in sorted(wanted):
        for kpi in COMPARED:
            total = total_of(session, school, year, kpi, as_of=as_of)
            if total is None and kpi is not Kpi.MONEY:
                continue
            key = school, kpi
            found.append(
                SchoolShare(
                    school=school,
                    name=names[school][0],
                    kpi=kpi,
                    total=None if total is None else total.amount,
                    source=None if total is None else total.source,
                    recognised_bp=amounts[key],
                    entries=tuple(behind[key]),
                )
            )
    return found


def recognised_of(session: Session, school_id: str, year: int, *, as_of: datetime, kpi: Kpi = Kpi.MONEY) -> Fraction:
    """Return what GLORIA recognised of a figure with a school of today in a year, in the figure's unit."""
    parts = _recognised(session, year, as_of, (kpi,))
    return Fraction(sum(part.amount_bp for part in parts if part.school == school_id), WHOLE_BP)


def _schools_of(session: Session, alliances: Sequence[str], day: date) -> set[str]:
    """Return the centers and partners on a day, each as the school that it is today; unknown ones are left out."""
    centers = session.exec(select(Alliance.center).where(col(Alliance.id).in_(alliances))).all()
    partners = session.exec(select(AlliancePartner).where(col(AlliancePartner.alliance_id).in_(alliances))).all()
    named = {center for center in centers if center}
    named |= {
        one.school
        for one in partners
        if (one.since is None or one.since <= day) and (one.until is None or one.until >= day)
    }
    known = session.exec(select(School.id).where(col(School.id).in_(named))).all()
    return {successor(session, school_id) for school_id in known}


def _recognised(session: Session, year: int, as_of: datetime, kpis: Sequence[Kpi]) -> Iterator[_Part]:
    last = min(day_in_taipei(as_of), current(session, RecognitionRules).programme_end)
    query = (
        select(Entry)
        .join(Step, col(Step.entry_id) == col(Entry.id))
        .where(col(Entry.kpi).in_([kpi.value for kpi in kpis]), Step.state == State.RECOGNISED.value)
        .where(Step.at <= as_of, Step.kpi_year == year, col(Entry.counts_on) <= last)
        .order_by(col(Entry.seq))
    )
    for row in session.exec(query).all():
        signed = -row.amount if row.kind == EntryKind.REVERSAL else row.amount
        for school, share_bp in row.by_school().items():
            yield _Part(successor(session, school), Kpi(row.kpi), signed * share_bp, row.id, row.shares)
