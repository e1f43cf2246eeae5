"""GLORIA's share of what each school cooperates in as a whole.

In: alliances, a year and a moment. Out: for each of their schools the total that
it supplied, the money that the programme recognised for it in that year, and
the share. It exists because the programme must show what it added to what the
school would do anyway. Money counts for a school in the year that it is due in,
by the same rows as `matcher.ledger.figures.folds`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.records.mended.schools import school_names_on
from indexer.records.record_tables import Alliance, AlliancePartner, School
from matcher.ledger.rows.entries import Entry, EntryKind
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.school_totals import SchoolTotal, successor
from matcher.ledger.rows.steps import State, Step
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules


@dataclass(frozen=True)
class SchoolShare:
    """A school's own total of a year in NTD (None: not supplied), and what of it GLORIA recognised."""

    school: str
    name: str
    total_ntd: int | None
    source: str | None
    recognised_ntd: int
    entries: tuple[str, ...]

    @property
    def share(self) -> Fraction | None:
        """Return GLORIA's share; None without a total, or with one of 0."""
        return Fraction(self.recognised_ntd, self.total_ntd) if self.total_ntd else None


def school_shares(session: Session, *, alliances: Sequence[str], year: int, as_of: datetime) -> list[SchoolShare]:
    """Return the shares of all schools that belong to the alliances or have recognised money with them.

    Money of every alliance counts, since a school's total is of the whole school.
    """
    money: defaultdict[str, int] = defaultdict(int)
    behind: defaultdict[str, list[str]] = defaultdict(list)
    wanted = _schools_of(session, alliances, date(year, 12, 31))
    for entry_id, kind, amount, shares, school_id in _recognised(session, year, as_of):
        school = successor(session, school_id)
        money[school] += -amount if kind == EntryKind.REVERSAL else amount
        behind[school].append(entry_id)
        if set(shares) & set(alliances):
            wanted.add(school)
    return [_share(session, school, year, as_of, money[school], behind[school]) for school in sorted(wanted)]


def recognised_of(session: Session, school_id: str, year: int, *, as_of: datetime) -> int:
    """Return the money in NTD that GLORIA recognised with a school of today in a year."""
    sums = (
        -amount if kind == EntryKind.REVERSAL else amount
        for _, kind, amount, _, school in _recognised(session, year, as_of)
        if successor(session, school) == school_id
    )
    return sum(sums)


def _share(
    session: Session, school_id: str, year: int, as_of: datetime, recognised_ntd: int, entries: Sequence[str]
) -> SchoolShare:
    these = (SchoolTotal.school_id == school_id, SchoolTotal.year == year, SchoolTotal.at <= as_of)
    total = session.exec(select(SchoolTotal).where(*these).order_by(col(SchoolTotal.id).desc())).first()
    # What it was called then: a report of a year that is over does not change with a new name.
    name, _ = school_names_on(session, date(year, 12, 31), [school_id])[school_id]
    if total is None:
        return SchoolShare(school_id, name, None, None, recognised_ntd, tuple(entries))
    return SchoolShare(school_id, name, total.amount_ntd, total.source, recognised_ntd, tuple(entries))


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


def _recognised(session: Session, year: int, as_of: datetime) -> list[tuple[str, str, int, dict[str, int], str]]:
    last = min(day_in_taipei(as_of), current(session, RecognitionRules).programme_end)
    query = (
        select(Entry)
        .join(Step, col(Step.entry_id) == col(Entry.id))
        .where(Entry.kpi == Kpi.MONEY.value, Step.state == State.RECOGNISED.value)
        .where(Step.at <= as_of, Step.kpi_year == year, col(Entry.counts_on) <= last)
        .order_by(col(Entry.seq))
    )
    rows = session.exec(query).all()
    return [(row.id, row.kind, row.amount, row.shares, row.school_id) for row in rows if row.school_id is not None]
