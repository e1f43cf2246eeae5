"""The report `b003`: both tables of main indicators that the plan has (主要績效指標表), filled in, and their readings.

In: a day, perhaps a year. Out: a document in Chinese as the Ministry reads it. Its first table is B003 of the plan's
part one, its second that of part two: rows, heads, blanks and texts are the plan's, word for word, and below what a
cell sets out to reach stands what was reached by then. Then follow the readings: for each figure and year every
target of every place of the plan, the definition that its wording means, the actual that stands against it, and
the verdict. It exists because the table is handed in as it is: nothing may stand in it that the form does not have
(members and model cases are no rows of B003), and where the plan's places disagree, that is no matter of the form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session

from indexer.wording import T_, Text, either
from matcher.ledger.reports.document import (
    ReportCell,
    ReportColumn,
    ReportDocument,
    ReportRequest,
    ReportTable,
)
from matcher.ledger.reports.kpi_reports import defined_as, refuse_alliances
from matcher.ledger.reports.target_standings import UNIT_LABELS, Programme, programme, programme_year
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi, Unit
from matcher.ledger.rows.periods import roc_year
from matcher.ledger.rules.targets import BASIS_LABELS, STANDING_LABELS, Compared, TargetBasis

_HUNDRED_MILLION = 100_000_000
_FORMS = Path(__file__).parent / "b003_forms.json"
_QUANTITIES = T_("Quantities of first outputs")
_NOTHING = ReportCell(None)


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FormRow(_Item):
    """A row of the form as the plan fills it in: one cell for each year, or one for all; blanks are blank there."""

    attribute: str
    indicator: str
    kpi: Kpi
    cells: tuple[str, ...]
    benefit: str


class Form(_Item):
    """One of the plan's two tables; `book` is the target book that has its numbers."""

    title_zh: str
    title_en: str
    book: str
    rows: tuple[FormRow, ...]


@cache
def b003_forms() -> dict[str, Form]:
    """Return both tables by the part of the plan that they stand in."""
    return {name: Form.model_validate(form) for name, form in orjson.loads(_FORMS.read_bytes()).items()}


def b003_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return both tables B003 as of a day; with a year, later years show their targets only.

    Raises:
        LedgerError: the programme has no such year, or single alliances are asked for.
    """
    refuse_alliances(request)
    shown = programme(session, as_of=request.as_of)
    year = programme_year(shown.years, request.year)
    last = min(request.as_of.year, shown.years[-1] if year is None else year)
    return ReportDocument(
        name="b003",
        title=T_("Main indicators (table B003)"),
        as_of=request.as_of,
        tables=(_part_one(shown, last), _part_two(shown, last), _readings(shown, last)),
        heads=tuple(heads_of(session, request.now)),
        notes=(
            T_("Actuals are what was recognised and is due; what the plan says of 106 stands apart and is not added."),
            T_("A target is compared with the figure of the definition that its wording means, and with no other one."),
            *(either(dispute.zh, dispute.en) for dispute in shown.books.disputes),
        ),
    )


def amount_zh(amount: int, unit: Unit) -> str:
    """Return an amount as B003 writes it: money in 億元, all else with its unit."""
    if unit is not Unit.NTD:
        return f"{amount:,} {UNIT_LABELS[unit].zh}"
    whole, rest = divmod(abs(amount), _HUNDRED_MILLION)
    digits = f"{rest:08}".rstrip("0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole:,}{'.' if digits else ''}{digits} 億元"


def _part_one(shown: Programme, last: int) -> ReportTable:
    form = b003_forms()["part_one"]
    first, second, *later = shown.years
    columns = (
        ReportColumn(T_("Attribute"), merged=True),
        ReportColumn(T_("Indicator"), names=True),
        ReportColumn(T_("%(year)s: reached", year=either(f"{roc_year(first)}", f"{first}"))),
        ReportColumn(T_("%(year)s: target", year=either(f"{roc_year(second)}", f"{second}"))),
        *(ReportColumn(either(f"{roc_year(year)} 年度", f"{year}"), group=_QUANTITIES) for year in later),
        ReportColumn(
            either(f"{roc_year(later[0])}-{roc_year(later[-1])} 年度", f"{later[0]}–{later[-1]}"),
            group=T_("Expected benefit"),
        ),
    )
    rows = tuple(
        (
            ReportCell(row.attribute),
            ReportCell(row.indicator),
            *(
                _year_cell(shown, form, row, year, text, begun=year <= last)
                for year, text in zip(shown.years, row.cells, strict=True)
            ),
            ReportCell(row.benefit or None),
        )
        for row in form.rows
    )
    return ReportTable(either(form.title_zh, form.title_en), columns, rows)


def _year_cell(shown: Programme, form: Form, row: FormRow, year: int, text: str, *, begun: bool) -> ReportCell:
    if not text:
        return _NOTHING
    compared = next((one for one in shown.compared(row.kpi, year) if one.book.code == form.book), None)
    if not begun:
        return ReportCell(text)
    if compared is None:
        # The year that the plan itself says what was reached of: the ledger's own stands below it.
        return _filled(shown, row.kpi, text, [year], None, T_("recognised in the ledger"))
    return _filled(shown, row.kpi, text, compared.target.years(shown.years), compared.target.definition, T_("Actual"))


def _filled(
    shown: Programme, kpi: Kpi, text: str, years: Sequence[int], definition: str | None, what: Text
) -> ReportCell:
    where = shown.defined.takes(kpi, definition)
    counted = shown.actual_cell(kpi, years, where)
    said = f"{text}\n{what.zh} {amount_zh(shown.amount(kpi, years, where), KPI_FACTS[kpi].unit)}"
    return ReportCell(said, counted.entries, counted.remark)


def _part_two(shown: Programme, last: int) -> ReportTable:
    form = b003_forms()["part_two"]
    columns = (
        ReportColumn(T_("Attribute"), merged=True),
        ReportColumn(T_("Indicator"), names=True),
        ReportColumn(_QUANTITIES),
        ReportColumn(T_("Expected benefit")),
    )
    rows = []
    for row in form.rows:
        compared = next(one for one in shown.compared(row.kpi, None) if one.book.code == form.book)
        cell = _filled(shown, row.kpi, row.cells[0], shown.until(last), compared.target.definition, T_("Actual"))
        rows.append((ReportCell(row.attribute), ReportCell(row.indicator), cell, ReportCell(row.benefit or None)))
    # On the sheet of the first one: what follows on sheets of their own are the readings.
    return ReportTable(either(form.title_zh, form.title_en), columns, tuple(rows), below=True)


def _readings(shown: Programme, last: int) -> ReportTable:
    columns = (
        ReportColumn(T_("Figure"), merged=True, names=True),
        ReportColumn(T_("Year"), merged=True, names=True),
        ReportColumn(T_("Target")),
        ReportColumn(T_("Counted by"), names=True),
        ReportColumn(T_("Actual")),
        ReportColumn(T_("Standing")),
        ReportColumn(T_("Place in the plan")),
    )
    rows = [
        row for kpi in RECOGNISED_KPIS for year in (*shown.years, None) for row in _reading_rows(shown, kpi, year, last)
    ]
    note = T_("Where places of the plan disagree on a target, every reading is shown.")
    title = T_("Readings: every target of the plan, and what stands against it")
    return ReportTable(title, columns, tuple(rows), (note,), new_page=True)


def _reading_rows(shown: Programme, kpi: Kpi, year: int | None, last: int) -> Iterator[tuple[ReportCell, ...]]:
    label = T_("whole programme") if year is None else either(f"{roc_year(year)} 年度", f"{year}")
    for one in shown.compared(kpi, year):
        yield (
            ReportCell(KPI_FACTS[kpi].label),
            ReportCell(label),
            ReportCell(f"{BASIS_LABELS[one.target.basis].zh} {amount_zh(one.target.amount, KPI_FACTS[kpi].unit)}"),
            ReportCell(defined_as(shown, one.target)),
            *_against(shown, kpi, one, last, begun=year is None or year <= last),
            ReportCell(one.target.source),
        )


def _against(shown: Programme, kpi: Kpi, one: Compared, last: int, *, begun: bool) -> tuple[ReportCell, ReportCell]:
    if not begun:
        return _NOTHING, _NOTHING
    years = [year for year in one.target.years(shown.years) if year <= last or one.target.basis is TargetBasis.ANNUAL]
    where = shown.defined.takes(kpi, one.target.definition)
    counted = shown.actual_cell(kpi, years, where)
    amount = shown.amount(kpi, years, where)
    at_day = Compared(one.book, one.target, amount)
    actual = ReportCell(amount_zh(amount, KPI_FACTS[kpi].unit), counted.entries, counted.remark)
    return actual, ReportCell(STANDING_LABELS[at_day.standing])
