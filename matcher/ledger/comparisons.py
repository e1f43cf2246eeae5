"""What the programme reached against what it set out to reach, as of a day.

In: the database and a day. Out: the fold, the target books and the programme's
years in one value that every report of figures asks. It exists so that all of
them mean the same by a year, an actual and a target reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session

from indexer.wording import P_, T_, Text, either
from matcher.ledger.configuration import current
from matcher.ledger.document import Cell
from matcher.ledger.entries import LedgerError
from matcher.ledger.figures import Status, YearBasis, end_of
from matcher.ledger.kpis import Kpi, Unit
from matcher.ledger.periods import common_year, roc_year
from matcher.ledger.rules import RecognitionRules
from matcher.ledger.slices import Slices, Sum, slices
from matcher.ledger.targets import Compared, TargetBooks, compare

UNIT_LABELS = {
    Unit.NTD: T_("NTD"),
    Unit.PERSONS: T_("persons"),
    Unit.CASES: T_("cases"),
    Unit.COMPANIES: P_("comparisons", "companies"),
    Unit.ALLIANCES: P_("comparisons", "alliances"),
}
"""Each unit in Chinese and English."""


@dataclass(frozen=True)
class Programme:
    """The programme as of a day: `slices` of its ledger, its target books, and its years of the common era."""

    as_of: date
    slices: Slices
    books: TargetBooks
    years: tuple[int, ...]

    def total(self, kpi: Kpi, years: Iterable[int] | None = None, status: Status = Status.ACTUAL) -> Sum:
        """Return what a figure adds up to in some years or all."""
        return self.slices.total(kpi, years=years, status=status)

    def amount(self, kpi: Kpi, years: Iterable[int]) -> int:
        """Return the actual of some years without its entries."""
        return self.slices.amount(kpi, years=years)

    def until(self, year: int) -> list[int]:
        """Return the years of the programme up to one."""
        return [one for one in self.years if one <= year]

    def compared(self, kpi: Kpi, year: int | None) -> list[Compared]:
        """Return every book's target of a figure for a year (None: the whole programme) with its actual."""
        return compare(self.books, kpi, year, lambda years: self.amount(kpi, years), self.years)

    def actual_cell(self, kpi: Kpi, years: Sequence[int]) -> Cell:
        """Return the actual of some years, with the restated figure as a remark where late facts changed it."""
        shown = self.total(kpi, years)
        restated = self.slices.amount(kpi, years=years, by=YearBasis.OCCURRED)
        if restated == shown.amount:
            return Cell(shown.amount, shown.entries)
        remark = T_("restated by late facts: %(restated)s", restated=f"{restated:,}")
        return Cell(shown.amount, shown.entries, remark)


def programme(session: Session, *, as_of: date) -> Programme:
    """Read the ledger once and return the programme as of the end of a day."""
    moment = end_of(as_of)
    books = current(session, TargetBooks, at=moment)
    return Programme(as_of, slices(session, as_of=moment), books, programme_years(session))


def programme_years(session: Session, *, at: datetime | None = None) -> tuple[int, ...]:
    """Return the programme's years of the common era by the rules that hold, or held at a moment."""
    rules = current(session, RecognitionRules, at=at)
    return tuple(range(rules.programme_start.year, rules.programme_end.year + 1))


def programme_year(of: Sequence[int], year: int | None) -> int | None:
    """Return a year that may be given in either count as one of the common era; None stays None.

    Raises:
        LedgerError: the programme has no such year.
    """
    if year is None:
        return None
    common = common_year(year)
    if common not in of:
        first, last = of[0], of[-1]
        raise LedgerError(
            T_(
                "the programme has the years %(first)s to %(last)s (%(first_ce)s–%(last_ce)s)",
                first=roc_year(first),
                last=roc_year(last),
                first_ce=first,
                last_ce=last,
            ),
            "year",
        )
    return common


def year_label(year: int | None) -> Text:
    """Return how a year is written in a table; None is the whole programme."""
    if year is None:
        return T_("whole programme")
    return either(f"{roc_year(year)} 年", f"{year} ({roc_year(year)})")
