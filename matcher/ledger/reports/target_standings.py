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
from matcher.ledger.figures.alliance_targets import (
    AllianceTargets,
    Apportionment,
    Foundings,
    PacedTarget,
    foundings,
    is_founded,
    year_targets_of,
)
from matcher.ledger.figures.folds import Figures, Slices, Status, Sum, YearBasis, end_of, figures, slices
from matcher.ledger.figures.warnings import WarningRules, settled_quarter
from matcher.ledger.figures.warnings import expected_bp as expected_by_pace
from matcher.ledger.reports.document import ReportCell
from matcher.ledger.rows.entries import WHOLE_BP, LedgerError
from matcher.ledger.rows.kpis import RECOGNISED_KPIS, Kpi, Unit
from matcher.ledger.rows.periods import common_year, roc_year, year_of
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.targets import (
    CaseDefinition,
    Compared,
    MoneyDefinition,
    MoneyDefinitions,
    Standing,
    Takes,
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
    """The programme as of a day: `slices` of its ledger, its target books, and its years of the common era.

    `defined` are the definitions that its targets name.
    """

    as_of: date
    slices: Slices
    books: TargetBooks
    defined: MoneyDefinitions
    years: tuple[int, ...]

    def total(
        self,
        kpi: Kpi,
        years: Iterable[int] | None = None,
        status: Status = Status.ACTUAL,
        where: Takes | None = None,
    ) -> Sum:
        """Return what a figure adds up to in some years or all, of what `where` takes."""
        return self.slices.total(kpi, years=years, status=status, where=where)

    def amount(self, kpi: Kpi, years: Iterable[int], where: Takes | None = None) -> int:
        """Return the actual of some years without its entries."""
        return self.slices.amount(kpi, years=years, where=where)

    def until(self, year: int) -> list[int]:
        """Return the years of the programme up to one."""
        return [one for one in self.years if one <= year]

    def compared(self, kpi: Kpi, year: int | None) -> list[Compared]:
        """Return every book's target of a figure for a year (None: the whole programme) with its actual."""

        def of_years(years: Sequence[int], definition: str | None) -> int:
            return self.amount(kpi, years, self.defined.takes(kpi, definition))

        return compare(self.books, kpi, year, of_years, self.years)

    def actual_cell(self, kpi: Kpi, years: Sequence[int], where: Takes | None = None) -> ReportCell:
        """Return the actual of some years, with the restated figure as a remark where late facts changed it."""
        shown = self.total(kpi, years, where=where)
        restated = self.slices.amount(kpi, years=years, by=YearBasis.OCCURRED, where=where)
        if restated == shown.amount:
            return ReportCell(shown.amount, shown.entries)
        remark = T_("restated by late facts: %(restated)s", restated=f"{restated:,}")
        return ReportCell(shown.amount, shown.entries, remark)


def programme(session: Session, *, as_of: date) -> Programme:
    """Read the ledger once and return the programme as of the end of a day."""
    moment = end_of(as_of)
    books = current(session, TargetBooks, at=moment)
    defined = current(session, MoneyDefinitions, at=moment)
    return Programme(as_of, slices(session, as_of=moment), books, defined, _programme_years(session))


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
    return either(f"{roc_year(year)} 年度", f"{year} ({roc_year(year)})")


@dataclass(frozen=True)
class BookStanding:
    """A book's target with the actual that its basis asks for.

    `expected_bp` is what the pace expects by now: None for the whole programme and for years whose pace has not begun.
    `definition` is the one whose figure stands against the target, None where a figure has one meaning.
    """

    book: TargetBook
    basis: TargetBasis
    source: str
    target_bp: int
    actual_bp: int
    expected_bp: int | None
    own: bool
    definition: MoneyDefinition | CaseDefinition | None = None

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
    defined: MoneyDefinitions
    shared: AllianceTargets
    founded: Foundings
    rules: WarningRules

    def standings(self) -> Iterator[YearStanding]:
        splits = {
            book.code: Apportionment(self.shared, year_targets_of(book), self.founded) for book in self.books.books
        }
        for kpi in RECOGNISED_KPIS:
            for year in (*self.years, None):
                of_books = self.books.targets(kpi, year)
                found = tuple(
                    standing
                    for book, target in of_books
                    if (standing := self._book(book, target, year, splits[book.code])) is not None
                )
                begun = year is None or year <= self.day.year
                said = combined(one.standing for one in found) if begun else None
                yield YearStanding(kpi, year, found, self._differ(found, year), said)

    @staticmethod
    def _differ(found: tuple[BookStanding, ...], year: int | None) -> bool:
        return len({(one.target_bp, None if year is None else one.basis, one.definition) for one in found}) > 1

    def _book(self, book: TargetBook, target: Target, asked: int | None, split: Apportionment) -> BookStanding | None:
        """Return how a book's target stands; None for an alliance that is not founded by then."""
        amount = self._amount(target, split)
        if amount is None:
            return None
        own = self.shared.own_target(self.alliance, target.kpi, target.year)
        basis = target.basis
        if own is not None:
            basis = TargetBasis.CUMULATIVE if own.cumulative else TargetBasis.ANNUAL
        counted = [year for year in self.years if _counts(year, target.year, basis)]
        where = self.defined.takes(target.kpi, target.definition)
        return BookStanding(
            book=book,
            basis=basis,
            source=target.source,
            target_bp=amount * WHOLE_BP,
            actual_bp=self.folded.amount_bp(target.kpi, years=counted, alliance=self.alliance, where=where),
            expected_bp=None if asked is None else self._expected_bp(book, target, basis, split),
            own=own is not None,
            definition=self.defined.named(target.kpi, target.definition),
        )

    def _amount(self, target: Target, split: Apportionment) -> int | None:
        if self.alliance is None:
            return target.amount
        if target.year is not None:
            return split.amount(self.alliance, target.kpi, target.year)
        if not is_founded(self.founded, self.alliance, None):
            return None
        return split.whole(self.alliance, target.kpi, target.amount)

    def _expected_bp(self, book: TargetBook, target: Target, basis: TargetBasis, split: Apportionment) -> int | None:
        settled = settled_quarter(self.rules, self.day)
        if target.year is None or target.year > year_of(settled):
            return None
        quarter = settled if target.year == year_of(settled) else f"{target.year}Q4"
        cumulative = basis is TargetBasis.CUMULATIVE
        before = book.target(target.kpi, target.year - 1) if cumulative else None
        before_bp = (self._amount(before, split) or 0) * WHOLE_BP if before is not None and before.basis is basis else 0
        amount_bp = (self._amount(target, split) or 0) * WHOLE_BP
        paced = PacedTarget(target.kpi, self.alliance, target.year, amount_bp, cumulative, before_bp)
        return expected_by_pace(paced, self.rules.pace_of(target.kpi, self.alliance), quarter)


def _counts(year: int, until: int | None, basis: TargetBasis) -> bool:
    return year == until if basis is TargetBasis.ANNUAL else until is None or year <= until


def target_standings(session: Session, *, as_of: date, alliance: str | None = None) -> TargetStandings:
    """Return how every figure stands against every book at the end of a day.

    Args:
        session: one state of the database.
        as_of: the day in Taipei.
        alliance: whose part of targets and results it is about; None is the whole programme.
    """
    moment = end_of(as_of)
    rules = current(session, WarningRules, at=moment)
    reader = _Reader(
        alliance=alliance,
        day=as_of,
        years=_programme_years(session, at=moment),
        folded=figures(session, as_of=moment),
        books=current(session, TargetBooks, at=moment),
        defined=current(session, MoneyDefinitions, at=moment),
        shared=current(session, AllianceTargets, at=moment),
        founded=foundings(session) if alliance is not None else {},
        rules=rules,
    )
    found = tuple(reader.standings())
    return TargetStandings(as_of, alliance, settled_quarter(rules, as_of), reader.years, found, reader.books)
