"""How every figure stands against every target book, year by year, for the programme or for one alliance.

In: a day and perhaps an alliance. Out: for each figure, each year and the whole
programme the targets of all books side by side, each with the actual that its
basis asks for and with what its pace expects by now. It exists so that an
alliance is shown against the same books as the programme, in its own share, and
so that no page chooses among readings of the plan.

Amounts are units × basis points, as in `figures`, because alliances have shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlmodel import Session

from matcher.ledger.comparisons import programme_years
from matcher.ledger.configuration import current
from matcher.ledger.entries import WHOLE_BP
from matcher.ledger.figures import Figures, end_of, figures
from matcher.ledger.kpis import RECOGNISED_KPIS, Kpi
from matcher.ledger.periods import year_of
from matcher.ledger.targets import Standing, Target, TargetBasis, TargetBook, TargetBooks, combined
from matcher.ledger.warnings import AllianceTargets, OwnAim, WarningRules, settled_quarter
from matcher.ledger.warnings import Target as PacedTarget
from matcher.ledger.warnings import expected_bp as expected_by_pace


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

    def _own(self, target: Target) -> OwnAim | None:
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
    years = programme_years(session, at=moment)
    books = current(session, TargetBooks, at=moment)
    rules = current(session, WarningRules, at=moment)
    shared = current(session, AllianceTargets, at=moment)
    reader = _Reader(alliance, as_of, years, figures(session, as_of=moment), books, shared, rules)
    return TargetStandings(as_of, alliance, settled_quarter(rules, as_of), years, tuple(reader.standings()), books)
