"""What was reached against what was set out to be reached: every figure against every target book, as of a day.

In: the database, a day and perhaps an alliance. Out: the fold, the target books and the programme's years in one
value that every report of figures asks; and for each figure, each year and the whole programme the targets of all
books side by side, each with the actual that its basis asks for and with what its pace expects by now. It exists so
that all of them mean the same by a year, an actual and a target reached; so that an alliance is shown against the
same books as the programme, in its own share; and so that no page chooses among readings of the plan.

Where an alliance is shown, amounts are units × basis points, because alliances have shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session

from indexer.wording import P_, T_, Text, either
from matcher.ledger.figures.folds import Figures, Slices, Status, Sum, YearBasis, end_of, figures, slices
from matcher.ledger.figures.warnings import AllianceTargets, OwnTarget, PacedTarget, WarningRules, settled_quarter
from matcher.ledger.figures.warnings import expected_bp as expected_by_pace
from matcher.ledger.reports.document import ReportCell
from matcher.ledger.rows.entries import WHOLE_BP, LedgerError
from matcher.ledger.rows.kpis import RECOGNISED_KPIS, Kpi, Unit
from matcher.ledger.rows.periods import common_year, roc_year, year_of
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.targets import (
    Compared,
    Standing,
    Target,
    TargetBasis,
    TargetBook,
    TargetBooks,
    combined,
    compare,
)

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

    def actual_cell(self, kpi: Kpi, years: Sequence[int]) -> ReportCell:
        """Return the actual of some years, with the restated figure as a remark where late facts changed it."""
        shown = self.total(kpi, years)
        restated = self.slices.amount(kpi, years=years, by=YearBasis.OCCURRED)
        if restated == shown.amount:
            return ReportCell(shown.amount, shown.entries)
        remark = T_("restated by late facts: %(restated)s", restated=f"{restated:,}")
        return ReportCell(shown.amount, shown.entries, remark)


def programme(session: Session, *, as_of: date) -> Programme:
    """Read the ledger once and return the programme as of the end of a day."""
    moment = end_of(as_of)
    books = current(session, TargetBooks, at=moment)
    return Programme(as_of, slices(session, as_of=moment), books, _programme_years(session))


def _programme_years(session: Session, *, at: datetime | None = None) -> tuple[int, ...]:
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


@dataclass(frozen=True)
class BookStanding:
    """A book's target with the actual that its basis asks for.

    `expected_bp` is what the pace expects by now: None for the whole programme and for years whose pace has not begun.
    """

    book: TargetBook
    basis: TargetBasis
    source: str
    target_bp: int
    actual_bp: int
    expected_bp: int | None
    own: bool

    @property
    def standing(self) -> Standing:
        """Reached or open."""
        return Standing.REACHED if self.actual_bp >= self.target_bp else Standing.OPEN


@dataclass(frozen=True)
class YearStanding:
    """How a figure stands in a year, or in the whole programme (None).

    `disputed` says whether the books name different amounts or bases; `standing` is None in a year that has not begun
    or that no book speaks of.
    """

    kpi: Kpi
    year: int | None
    books: tuple[BookStanding, ...]
    disputed: bool
    standing: Standing | None


@dataclass(frozen=True)
class TargetStandings:
    """All figures as of a day; `quarter` is the last one whose share the pace expects."""

    as_of: date
    alliance: str | None
    quarter: str
    years: tuple[int, ...]
    found: tuple[YearStanding, ...]
    books: TargetBooks

    def of(self, kpi: Kpi) -> list[YearStanding]:
        """Return a figure's years in their order, the whole programme last."""
        return [one for one in self.found if one.kpi is kpi]


@dataclass(frozen=True)
class _Reader:
    alliance: str | None
    day: date
    years: tuple[int, ...]
    folded: Figures
    books: TargetBooks
    shared: AllianceTargets
    rules: WarningRules

    def standings(self) -> Iterator[YearStanding]:
        for kpi in RECOGNISED_KPIS:
            for year in (*self.years, None):
                found = tuple(self._book(book, target, year) for book, target in self.books.targets(kpi, year))
                begun = year is None or year <= self.day.year
                said = combined(one.standing for one in found) if begun else None
                yield YearStanding(kpi, year, found, self._differ(found, year), said)

    @staticmethod
    def _differ(found: tuple[BookStanding, ...], year: int | None) -> bool:
        return len({(one.target_bp, None if year is None else one.basis) for one in found}) > 1

    def _book(self, book: TargetBook, target: Target, asked: int | None) -> BookStanding:
        own = self._own(target)
        basis = target.basis
        if own is not None:
            basis = TargetBasis.CUMULATIVE if own.cumulative else TargetBasis.ANNUAL
        counted = [year for year in self.years if _counts(year, target.year, basis)]
        return BookStanding(
            book=book,
            basis=basis,
            source=target.source,
            target_bp=self._amount_bp(target),
            actual_bp=self.folded.amount_bp(target.kpi, years=counted, alliance=self.alliance),
            expected_bp=None if asked is None else self._expected_bp(book, target, basis),
            own=own is not None,
        )

    def _own(self, target: Target) -> OwnTarget | None:
        key = (self.alliance, target.kpi, target.year)
        return next((one for one in self.shared.own if (one.alliance, one.kpi, one.year) == key), None)

    def _amount_bp(self, target: Target) -> int:
        own = self._own(target)
        if own is not None:
            return own.amount * WHOLE_BP
        return target.amount * self._share_bp()

    def _share_bp(self) -> int:
        if self.alliance is None:
            return WHOLE_BP
        return self.shared.shares_bp.get(self.alliance, self.shared.other_share_bp)

    def _expected_bp(self, book: TargetBook, target: Target, basis: TargetBasis) -> int | None:
        settled = settled_quarter(self.rules, self.day)
        if target.year is None or target.year > year_of(settled):
            return None
        quarter = settled if target.year == year_of(settled) else f"{target.year}Q4"
        cumulative = basis is TargetBasis.CUMULATIVE
        before = book.target(target.kpi, target.year - 1) if cumulative else None
        before_bp = self._amount_bp(before) if before is not None and before.basis is basis else 0
        paced = PacedTarget(target.kpi, self.alliance, target.year, self._amount_bp(target), cumulative, before_bp)
        return expected_by_pace(paced, self.rules.pace_of(target.kpi, self.alliance), quarter)


def _counts(year: int, until: int | None, basis: TargetBasis) -> bool:
    return year == until if basis is TargetBasis.ANNUAL else until is None or year <= until


def target_standings(session: Session, *, as_of: date, alliance: str | None = None) -> TargetStandings:
    """Return how every figure stands against every book at the end of a day.

    Args:
        session: one state of the database.
        as_of: the day in Taipei.
        alliance: whose share of targets and results it is about; None is the whole programme.
    """
    moment = end_of(as_of)
    years = _programme_years(session, at=moment)
    books = current(session, TargetBooks, at=moment)
    rules = current(session, WarningRules, at=moment)
    shared = current(session, AllianceTargets, at=moment)
    reader = _Reader(alliance, as_of, years, figures(session, as_of=moment), books, shared, rules)
    return TargetStandings(as_of, alliance, settled_quarter(rules, as_of), years, tuple(reader.standings()), books)
