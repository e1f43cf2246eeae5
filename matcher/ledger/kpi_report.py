"""The report `kpi`: what was reached against every target of the plan, and beside it what may still come.

In: a day and perhaps a year. Out: a document with the figures by year, what the
plan itself says was reached, and money and international cases by each of their
definitions. It exists to show in one place what counts and what does not:
committed, falling after the programme, in review and forecast stand in columns
of their own and are part of no actual.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from sqlmodel import Session

from indexer.wording import P_, T_, Text, either
from matcher.ledger.comparisons import UNIT_LABELS, Programme, programme, programme_year, year_label
from matcher.ledger.definition_tables import definition_tables
from matcher.ledger.document import Cell, CellKind, Column, ReportDocument, Table
from matcher.ledger.entries import LedgerError
from matcher.ledger.figures import Status
from matcher.ledger.forecast import Forecast, Measure, forecast
from matcher.ledger.heads import heads_of
from matcher.ledger.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.report_request import ReportRequest
from matcher.ledger.targets import BASIS_LABELS, SCOPE_LABELS, STANDING_LABELS, standing

_MEASURES = {Kpi.MONEY: Measure.MONEY, Kpi.INTERNATIONAL_CASES: Measure.INTERNATIONAL_CASES}
_NOTHING = Cell(None)
_NOTES = (
    T_(
        "Actuals are what was recognised and is due; committed, after the programme, in review and "
        "forecast stand in columns of their own and are part of no actual."
    ),
    T_('Where it "depends on the reading", one place of the plan has its target reached and another has not.'),
)


def kpi_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return the figures of the whole programme as of a day, of one year or of all.

    Raises:
        LedgerError: the programme has no such year, or single alliances are asked for.
    """
    refuse_alliances(request)
    shown = programme(session, as_of=request.as_of)
    year = programme_year(shown.years, request.year)
    days_left = request.as_of.year in shown.years and request.as_of < date(request.as_of.year, 12, 31)
    ahead = forecast(session, as_of=request.as_of) if days_left else None
    tables = (
        _figures(shown, year, ahead),
        _given(shown),
        *definition_tables(session, shown, year),
    )
    return ReportDocument(
        name="kpi",
        title=T_("Figures against targets"),
        as_of=request.as_of,
        tables=tables,
        heads=tuple(heads_of(session, request.now)),
        notes=(*(either(dispute.zh, dispute.en) for dispute in shown.books.disputes), _deadlines(shown)),
    )


def _deadlines(shown: Programme) -> Text:
    """Say within how many years alliances are to be self-sufficient, by each place of the plan."""
    said = [
        T_(
            "%(scope)s within %(years)s years (%(source)s)",
            scope=SCOPE_LABELS[one.scope],
            years=one.within_years,
            source=one.source,
        )
        for one in shown.books.self_sufficiency
    ]
    deadlines = either("；".join(one.zh for one in said), "; ".join(said))
    return T_("self-sufficient: %(deadlines)s", deadlines=deadlines)


def refuse_alliances(request: ReportRequest) -> None:
    """Refuse a report of the whole programme to who asks for single alliances.

    Raises:
        LedgerError: alliances are named.
    """
    if request.alliances is not None:
        raise LedgerError(
            T_("this report is about the whole programme; the report alliance shows alliances"), "alliances"
        )


def _figures(shown: Programme, year: int | None, ahead: Forecast | None) -> Table:
    books = [
        Column(T_("Target: %(title)s", title=either(b.title_zh, b.title_en)), CellKind.COUNT) for b in shown.books.books
    ]
    columns = (
        Column(T_("Figure")),
        Column(T_("Unit")),
        Column(T_("Year")),
        Column(T_("Actual in the year"), CellKind.COUNT),
        Column(T_("Actual up to the year"), CellKind.COUNT),
        *books,
        Column(T_("Standing")),
        Column(T_("Committed"), CellKind.COUNT),
        Column(T_("After the programme"), CellKind.COUNT),
        Column(T_("In review"), CellKind.COUNT),
        Column(T_("Forecast to year-end, more"), CellKind.SHARE),
    )
    years = shown.years if year is None else (year,)
    rows = [
        _row(shown, kpi, one, ahead) for kpi in RECOGNISED_KPIS for one in (*years, *([None] if year is None else []))
    ]
    return Table(T_("Figures: targets and actuals"), columns, tuple(rows), _table_notes(shown))


def _row(shown: Programme, kpi: Kpi, year: int | None, ahead: Forecast | None) -> tuple[Cell, ...]:
    facts = KPI_FACTS[kpi]
    begun = year is None or year <= shown.as_of.year
    compared = shown.compared(kpi, year) if begun else []
    stands = standing(compared)
    until = shown.years if year is None else shown.until(year)
    return (
        Cell(facts.label),
        Cell(UNIT_LABELS[facts.unit]),
        Cell(year_label(year)),
        shown.actual_cell(kpi, [year]) if begun and year is not None else _NOTHING,
        shown.actual_cell(kpi, until) if begun else _NOTHING,
        *_targets(shown, kpi, year),
        Cell(None if stands is None else STANDING_LABELS[stands]),
        _beside(shown, kpi, year, Status.COMMITTED),
        _beside(shown, kpi, year, Status.AFTER_PROGRAMME) if year is None else _NOTHING,
        _beside(shown, kpi, year, Status.IN_REVIEW),
        _forecast(kpi, year, ahead),
    )


def _targets(shown: Programme, kpi: Kpi, year: int | None) -> Iterator[Cell]:
    """Yield each book's target; its basis is a remark."""
    said = {book.code: target for book, target in shown.books.targets(kpi, year)}
    for book in shown.books.books:
        target = said.get(book.code)
        yield _NOTHING if target is None else Cell(target.amount, remark=BASIS_LABELS[target.basis])


def _beside(shown: Programme, kpi: Kpi, year: int | None, status: Status) -> Cell:
    found = shown.total(kpi, None if year is None else [year], status)
    return Cell(found.amount, found.entries)


def _forecast(kpi: Kpi, year: int | None, ahead: Forecast | None) -> Cell:
    measure = _MEASURES.get(kpi)
    if ahead is None or measure is None or year != ahead.until.year:
        return _NOTHING
    found = ahead.ranges[measure]
    chance = f"{ahead.interval:.0%}"
    remark = T_(
        "from %(open_cases)s open cases; %(chance)s interval %(low)s to %(high)s",
        open_cases=ahead.open_cases,
        chance=chance,
        low=f"{found.low:,}",
        high=f"{found.high:,}",
    )
    return Cell(round(found.expected, 2), remark=remark)


def _table_notes(shown: Programme) -> tuple[Text, ...]:
    places = []
    for book in shown.books.books:
        sources = list(dict.fromkeys(target.source for target in book.targets))
        places.append(
            T_(
                "%(title)s: %(sources)s",
                title=either(book.title_zh, book.title_en),
                sources=either("；".join(sources), "; ".join(sources)),
            )
        )
    return (*_NOTES, *places)


def _given(shown: Programme) -> Table:
    """What the plan says was reached beside what the ledger counts: compared, never added."""
    columns = (
        Column(T_("Figure")),
        Column(T_("Year")),
        Column(T_("Actual by the plan"), CellKind.COUNT),
        Column(T_("Recognised in the ledger"), CellKind.COUNT),
        Column(T_("Difference"), CellKind.COUNT),
        Column(P_("kpi report", "Source")),
    )
    rows = []
    for given in shown.books.given_actuals:
        facts = KPI_FACTS[given.kpi]
        counted = shown.actual_cell(given.kpi, [given.year])
        difference = shown.amount(given.kpi, [given.year]) - given.amount
        rows.append(
            (
                Cell(facts.label),
                Cell(year_label(given.year)),
                Cell(given.amount),
                counted,
                Cell(difference),
                Cell(given.source),
            )
        )
    note = T_("What the plan says was reached is compared only; the ledger adds none of it.")
    return Table(T_("Actuals that the plan names"), columns, tuple(rows), (note,))
