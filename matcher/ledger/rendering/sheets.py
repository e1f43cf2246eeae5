"""A report as sheets of cells, before it is a workbook of any make.

In: a report and a language. Out: a sheet for each table, one for the entries
behind the figures and one that says what the report is. It exists so that XLSX
and ODS hold the same, cell by cell: each figure is linked to its entries, and
each of its entries back to the figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from indexer.wording import T_
from matcher.ledger.document import CellKind, ReportDocument, Table
from matcher.ledger.rendering.wording import (
    ABOUT,
    ENTRIES,
    ENTRY,
    FIGURE,
    HEADS,
    HEADS_SAY,
    NOTES,
    PLACE,
    TABLE,
    ReportLanguage,
    as_of_line,
    display_width,
    head_line,
    place_of,
    plain,
    said,
)

HEADER_ROW = 4
"""The row, counted from 1, that has the columns' titles; above it stand the table's title and the report's day."""
MAX_CELL_CHARS = 32_767
MAX_SHEET_ROWS = 1_048_576
_MAX_NAME = 31
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\'\t\r\n]")
_WIDTH_ROWS = 500


class ReportTooLargeError(ValueError):
    """A workbook can't hold this report; the message says which format can."""


class Look(StrEnum):
    """How a cell looks."""

    TITLE = "title"
    HEADER = "header"
    TEXT = "text"
    NOTE = "note"
    COUNT = "count"
    NTD = "ntd"
    PERCENT = "percent"
    SHARE = "share"
    DATE = "date"


@dataclass(frozen=True)
class Target:
    """A cell of another sheet that a cell is linked to."""

    sheet: str
    address: str


@dataclass(frozen=True)
class SheetCell:
    """A cell: what it holds, how it looks, where it leads to, and a remark on it."""

    value: str | int | float | date | None
    look: Look = Look.TEXT
    target: Target | None = None
    remark: str | None = None


@dataclass
class Sheet:
    """A sheet: its rows from the top. `widths` are in characters of the Latin script."""

    name: str
    rows: list[list[SheetCell]] = field(default_factory=list)
    has_header: bool = False

    def widths(self) -> list[int]:
        """Return how wide each column has to be; titles and notes run over the cells beside them."""
        wide: list[int] = []
        for row in self.rows[:_WIDTH_ROWS]:
            for place, cell in enumerate(row):
                if place >= len(wide):
                    wide.append(8)
                if cell.look not in (Look.TITLE, Look.NOTE):
                    wide[place] = max(wide[place], min(60, _width(cell) + 2))
        return wide


def build_sheets(document: ReportDocument, language: ReportLanguage) -> list[Sheet]:
    """Return the sheets of a report.

    Raises:
        ReportTooLargeError: a sheet would have more rows, or a cell more characters, than a workbook can hold.
    """
    names = _Names()
    entries = Sheet(names.new(said(ENTRIES, language)), has_header=True)
    entries.rows = [*_top(said(ENTRIES, language), document, language)]
    heads = (FIGURE, TABLE, PLACE, ENTRY)
    entries.rows.append([SheetCell(said(head, language), Look.HEADER) for head in heads])
    sheets = [_table_sheet(names, table, document, entries, language) for table in document.tables]
    if len(entries.rows) > HEADER_ROW:
        sheets.append(entries)
    sheets.append(_about(names, document, language))
    for sheet in sheets:
        _refuse_too_large(sheet)
    return sheets


def address(row: int, column: int) -> str:
    """Return the address of a cell, both counted from 1."""
    letters = ""
    while column:
        column, place = divmod(column - 1, 26)
        letters = chr(65 + place) + letters
    return f"{letters}{row}"


class _Names:
    """Names of sheets that no spreadsheet program refuses, each only once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, wanted: str) -> str:
        base = _NOT_IN_NAMES.sub(" ", wanted).strip()[:_MAX_NAME].strip() or "-"
        name, number = base, 2
        while name.casefold() in self._taken:
            tail = f" {number}"
            name, number = base[: _MAX_NAME - len(tail)] + tail, number + 1
        self._taken.add(name.casefold())
        return name


def _top(title: str, document: ReportDocument, language: ReportLanguage) -> Iterator[list[SheetCell]]:
    yield [SheetCell(title, Look.TITLE)]
    yield [SheetCell(f"{said(document.title, language)}, {as_of_line(document, language)}", Look.NOTE)]
    yield []


def _table_sheet(
    names: _Names, table: Table, document: ReportDocument, entries: Sheet, language: ReportLanguage
) -> Sheet:
    sheet = Sheet(names.new(said(table.title, language)), has_header=True)
    sheet.rows = [*_top(said(table.title, language), document, language)]
    sheet.rows.append([SheetCell(said(column.title, language, "\n"), Look.HEADER) for column in table.columns])
    remarks: list[str] = []
    for row in table.rows:
        cells = []
        for number, cell in enumerate(row):
            here = address(len(sheet.rows) + 1, number + 1)
            remark = None if cell.remark is None else said(cell.remark, language)
            if remark is not None:
                remarks.append(f"{here}: {remark}")
            target = None
            if cell.entries:
                target = Target(entries.name, address(len(entries.rows) + 1, 1))
                place = place_of(table, row, number, language)
                _list_entries(entries, cell.entries, Target(sheet.name, here), said(table.title, language), place)
            value = plain(cell.value, language)
            cells.append(SheetCell(value, _look(value, table.columns[number].kind), target, remark))
        sheet.rows.append(cells)
    notes = [*remarks, *(said(note, language) for note in table.notes)]
    sheet.rows += [[]] * bool(notes) + [[SheetCell(note, Look.NOTE)] for note in notes]
    return sheet


def _list_entries(entries: Sheet, ids: Iterable[str], figure: Target, table: str, place: str) -> None:
    for entry_id in ids:
        said_of = (SheetCell(figure.address, target=figure), SheetCell(table), SheetCell(place), SheetCell(entry_id))
        entries.rows.append([*said_of])


def _look(value: object, kind: CellKind) -> Look:
    if isinstance(value, date):
        return Look.DATE
    if isinstance(value, int | float):
        return Look.COUNT if kind in (CellKind.TEXT, CellKind.DATE) else Look(kind.value)
    return Look.TEXT


def _about(names: _Names, document: ReportDocument, language: ReportLanguage) -> Sheet:
    sheet = Sheet(names.new(said(ABOUT, language)))
    sheet.rows = [*_top(said(document.title, language), document, language)]
    sheet.rows += [[SheetCell(said(HEADS, language), Look.HEADER)]]
    sheet.rows += [[SheetCell(head_line(head, language), Look.NOTE)] for head in document.heads]
    sheet.rows += [[SheetCell(said(HEADS_SAY, language), Look.NOTE)], []]
    if document.notes:
        sheet.rows += [[SheetCell(said(NOTES, language), Look.HEADER)]]
        sheet.rows += [[SheetCell(said(note, language), Look.NOTE)] for note in document.notes]
    return sheet


def _refuse_too_large(sheet: Sheet) -> None:
    if len(sheet.rows) > MAX_SHEET_ROWS:
        raise ReportTooLargeError(
            T_(
                "%(name)s has more than %(max_sheet_rows)s rows; take csv or json",
                name=sheet.name,
                max_sheet_rows=f"{MAX_SHEET_ROWS:,}",
            )
        )
    for row in sheet.rows:
        for cell in row:
            if isinstance(cell.value, str) and len(cell.value) > MAX_CELL_CHARS:
                raise ReportTooLargeError(
                    T_("a text of %(name)s is longer than a cell can be; take csv or json", name=sheet.name)
                )


def _width(cell: SheetCell) -> int:
    if isinstance(cell.value, int | float):
        return len(f"{cell.value:,.2f}") + (4 if cell.look is Look.NTD else 0)
    return display_width(str("" if cell.value is None else cell.value))
