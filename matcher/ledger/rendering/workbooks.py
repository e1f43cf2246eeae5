"""A report as a workbook: XLSX, or ODS (OpenDocument), which the Ministry asks for beside it.

In: a report and a language. Out: the bytes of a workbook. First come the sheets, before they are a workbook of any
make: one for each table, one for the entries behind the figures and one that says what the report is. It exists so
that both formats hold the same, cell by cell: each figure is linked to its entries, and each of its entries back to
the figure. In ODS a number's link stands at the end of its row, since a cell with a link is a text there.

A workbook has dangers of its own: every text is said to be text, whatever it begins with, so that no cell computes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from odfdo import Cell, Column, Document, Element, HeaderRows, Link, Paragraph, Row, Style, Table
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Border, Font, NamedStyle, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.hyperlink import Hyperlink

from indexer.wording import T_
from matcher.ledger.rendering.page_layout import head_rows, row_spans
from matcher.ledger.rendering.report_texts import (
    ABOUT,
    ENTRIES,
    ENTRY,
    FIGURE,
    HEADS,
    HEADS_SAY,
    NOTES,
    PAGE,
    PLACE,
    TABLE,
    ReportLanguage,
    as_of_line,
    display_width,
    head_lines,
    place_of,
    plain,
    said,
)
from matcher.ledger.reports.document import CellKind, ReportDocument, ReportTable
from matcher.ledger.reports.said_days import day_text

MAX_CELL_CHARS = 32_767
MAX_SHEET_ROWS = 1_048_576
_MAX_NAME = 31
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\'\t\r\n]")
_WIDTH_ROWS = 500
_LINE_PT, _MOST_LINES = 14, 28
_WIDEST = 28
"""A wider column would make a form that is printed on one sheet too small to read; longer texts are wrapped."""


class ReportTooLargeError(ValueError):
    """A workbook can't hold this report; the message says which format can."""


class _Look(StrEnum):
    """How a cell looks."""

    TITLE = "title"
    HEADER = "header"
    TEXT = "text"
    NOTE = "note"
    COUNT = "count"
    NTD = "ntd"
    THOUSANDS = "thousands"
    PERCENT = "percent"
    SHARE = "share"
    DATE = "date"


@dataclass(frozen=True)
class _SheetLink:
    """A cell of another sheet that a cell is linked to."""

    sheet: str
    address: str


@dataclass(frozen=True)
class _SheetCell:
    """A cell: what it holds, how it looks, where it leads to, and a remark on it."""

    value: str | int | float | date | None
    look: _Look = _Look.TEXT
    target: _SheetLink | None = None
    remark: str | None = None


@dataclass
class _Sheet:
    """A sheet: its rows from the top. `widths` are in characters of the Latin script.

    `header` are the first and the last row, counted from 1, of the first table's head, None without one. `merged` are
    areas of cells that are one: first and last row, first and last column, all counted from 1.
    """

    name: str
    rows: list[list[_SheetCell]] = field(default_factory=list)
    header: tuple[int, int] | None = None
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)

    def widths(self) -> list[int]:
        """Return how wide each column has to be; titles and notes run over the cells beside them."""
        wide: list[int] = []
        for row in self.rows[:_WIDTH_ROWS]:
            for place, cell in enumerate(row):
                if place >= len(wide):
                    wide.append(8)
                if cell.look not in (_Look.TITLE, _Look.NOTE):
                    wide[place] = max(wide[place], min(_WIDEST, _width(cell) + 2))
        return wide


def _build_sheets(document: ReportDocument, language: ReportLanguage) -> list[_Sheet]:
    """Return the sheets of a report.

    Raises:
        ReportTooLargeError: a sheet would have more rows, or a cell more characters, than a workbook can hold.
    """
    names = _Names()
    entries = _Sheet(names.new(said(ENTRIES, language)))
    entries.rows = [*_top(said(ENTRIES, language), document, language)]
    heads = (FIGURE, TABLE, PLACE, ENTRY)
    entries.rows.append([_SheetCell(said(head, language), _Look.HEADER) for head in heads])
    entries.header = (len(entries.rows), len(entries.rows))
    sheets: list[_Sheet] = []
    for table in document.tables:
        if not (table.below and sheets):
            sheet = _Sheet(names.new(said(table.title, language)))
            sheet.rows = [*_top(said(table.title, language), document, language, with_heading=not sheets)]
            sheets.append(sheet)
        else:
            sheets[-1].rows += [[], [_SheetCell(said(table.title, language), _Look.TITLE)]]
        _put_table(sheets[-1], table, entries, language)
    if sheets and document.heading.signers:
        sheets[0].rows += [[], [_SheetCell(said(one, language), _Look.HEADER) for one in document.heading.signers]]
        sheets[0].rows.append([_SheetCell(None) for _ in document.heading.signers])
    if len(entries.rows) > entries.header[1]:
        sheets.append(entries)
    sheets.append(_about(names, document, language))
    for sheet in sheets:
        _refuse_too_large(sheet)
    return sheets


def _address(row: int, column: int) -> str:
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


def _top(
    title: str, document: ReportDocument, language: ReportLanguage, *, with_heading: bool = False
) -> Iterator[list[_SheetCell]]:
    yield [_SheetCell(title, _Look.TITLE)]
    yield [_SheetCell(f"{said(document.title, language)}, {as_of_line(document, language)}", _Look.NOTE)]
    if with_heading:
        for label, value in document.heading.lines:
            yield [_SheetCell(f"{said(label, language)}: {said(value, language)}", _Look.NOTE)]
    yield []


def _put_head(sheet: _Sheet, table: ReportTable, language: ReportLanguage) -> None:
    """Add a table's head, on one level or two."""
    lines = head_rows(table.columns)
    first = len(sheet.rows) + 1
    for number, line in enumerate(lines):
        row = [_SheetCell(None, _Look.HEADER) for _ in table.columns]
        for one in line:
            row[one.column] = _SheetCell(said(one.title, language, "\n"), _Look.HEADER)
            if one.columns > 1 or one.rows > 1:
                here = first + number
                sheet.merged.append((here, here + one.rows - 1, one.column + 1, one.column + one.columns))
        sheet.rows.append(row)
    if sheet.header is None:
        sheet.header = (first, len(sheet.rows))


def _put_table(sheet: _Sheet, table: ReportTable, entries: _Sheet, language: ReportLanguage) -> None:
    _put_head(sheet, table, language)
    remarks: list[str] = []
    for row, spans in zip(table.rows, row_spans(table), strict=True):
        cells = []
        for number, cell in enumerate(row):
            if not spans[number]:
                cells.append(_SheetCell(None))
                continue
            here = _address(len(sheet.rows) + 1, number + 1)
            if spans[number] > 1:
                sheet.merged.append((len(sheet.rows) + 1, len(sheet.rows) + spans[number], number + 1, number + 1))
            remark = None if cell.remark is None else said(cell.remark, language)
            if remark is not None:
                remarks.append(f"{here}: {remark}")
            target = None
            if cell.entries:
                target = _SheetLink(entries.name, _address(len(entries.rows) + 1, 1))
                place = place_of(table, row, number, language)
                _list_entries(entries, cell.entries, _SheetLink(sheet.name, here), said(table.title, language), place)
            value = plain(cell.value, language)
            cells.append(_SheetCell(value, _look(value, table.columns[number].kind), target, remark))
        sheet.rows.append(cells)
    notes = [*remarks, *(said(note, language) for note in table.notes)]
    sheet.rows += [[]] * bool(notes) + [[_SheetCell(note, _Look.NOTE)] for note in notes]


def _list_entries(entries: _Sheet, ids: Iterable[str], figure: _SheetLink, table: str, place: str) -> None:
    for entry_id in ids:
        said_of = (
            _SheetCell(figure.address, target=figure),
            _SheetCell(table),
            _SheetCell(place),
            _SheetCell(entry_id),
        )
        entries.rows.append([*said_of])


def _look(value: object, kind: CellKind) -> _Look:
    if isinstance(value, date):
        return _Look.DATE
    if isinstance(value, int | float):
        return _Look.COUNT if kind in (CellKind.TEXT, CellKind.DATE) else _Look(kind.value)
    return _Look.TEXT


def _about(names: _Names, document: ReportDocument, language: ReportLanguage) -> _Sheet:
    sheet = _Sheet(names.new(said(ABOUT, language)))
    sheet.rows = [*_top(said(document.title, language), document, language)]
    sheet.rows += [[_SheetCell(said(HEADS, language), _Look.HEADER)]]
    sheet.rows += [[_SheetCell(line, _Look.NOTE)] for line in head_lines(document, language)]
    sheet.rows += [[_SheetCell(said(HEADS_SAY, language), _Look.NOTE)], []]
    if document.notes:
        sheet.rows += [[_SheetCell(said(NOTES, language), _Look.HEADER)]]
        sheet.rows += [[_SheetCell(said(note, language), _Look.NOTE)] for note in document.notes]
    return sheet


def _refuse_too_large(sheet: _Sheet) -> None:
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


def _width(cell: _SheetCell) -> int:
    if isinstance(cell.value, int | float):
        return len(f"{cell.value:,.2f}") + (4 if cell.look is _Look.NTD else 0)
    return display_width(str("" if cell.value is None else cell.value))


_XLSX_FORMATS = {
    _Look.COUNT: "#,##0",
    _Look.NTD: '"NT$" #,##0',
    _Look.THOUSANDS: "#,##0.###",
    _Look.PERCENT: "0.0%",
    _Look.SHARE: "#,##0.00",
    _Look.DATE: '[$-404]e"年"m"月"d"日"',
}
"""Days are days of the Republic's calendar."""
_A4 = 9
_FONT = "Microsoft JhengHei"
_LINE = Side(style="thin", color="BFBFBF")


def render_xlsx(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as a workbook.

    Raises:
        ReportTooLargeError: a workbook can't hold it.
    """
    book = Workbook(write_only=True)
    book.properties.title = said(document.title, language)
    book.properties.creator = "GLORIA Match"
    for look in _Look:
        book.add_named_style(_xlsx_style(look))
    for sheet in _build_sheets(document, language):
        _write_xlsx(book, sheet, f"{as_of_line(document, language)}", said(PAGE, language))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _xlsx_style(look: _Look) -> NamedStyle:
    style = NamedStyle(name=f"report {look.value}", font=Font(name=_FONT, size=10))
    if look is _Look.TITLE:
        style.font = Font(name=_FONT, size=14, bold=True)
    elif look is _Look.HEADER:
        style.font = Font(name=_FONT, size=10, bold=True)
        style.fill = PatternFill("solid", fgColor="E7EEF5")
        style.alignment = Alignment(wrap_text=True, vertical="center")
    elif look is _Look.TEXT:
        style.alignment = Alignment(wrap_text=True, vertical="top")
    elif look is not _Look.NOTE:
        style.alignment = Alignment(vertical="top", horizontal="right")
    if look not in (_Look.TITLE, _Look.NOTE):
        style.border = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
    style.number_format = _XLSX_FORMATS.get(look, "@")
    return style


def _write_xlsx(book: Workbook, sheet: _Sheet, as_of: str, page: str) -> None:
    target = book.create_sheet(sheet.name)
    for number, width in enumerate(sheet.widths(), start=1):
        target.column_dimensions[get_column_letter(number)].width = width
    if sheet.header is not None:
        first, last = sheet.header
        target.freeze_panes = f"A{last + 1}"
        target.print_title_rows = f"{first}:{last}"
    for top, bottom, left, right in sheet.merged:
        target.merged_cells.add(f"{_address(top, left)}:{_address(bottom, right)}")
    target.page_setup.orientation = "landscape"
    target.page_setup.paperSize = _A4
    target.sheet_properties.pageSetUpPr.fitToPage = True
    target.page_setup.fitToHeight = 0
    target.oddFooter.left.text = _without_codes(as_of)
    target.oddFooter.right.text = f"{_without_codes(page)} &P / &N"
    widths = sheet.widths()
    for number, row in enumerate(sheet.rows, start=1):
        lines = _lines(row, widths)
        if lines > 1:
            # Not every program makes a row as high as its wrapped texts when it opens a file.
            target.row_dimensions[number].height = _LINE_PT * lines
        target.append([_xlsx_cell(target, cell) for cell in row])


def _lines(row: Sequence[_SheetCell], widths: Sequence[int]) -> int:
    """Return how many lines the longest wrapped text of a row takes."""
    found = 1
    for cell, width in zip(row, widths, strict=False):
        if isinstance(cell.value, str) and cell.look in (_Look.TEXT, _Look.HEADER):
            parts = cell.value.splitlines() or [""]
            found = max(found, sum(max(1, -(-display_width(part) // max(1, width - 1))) for part in parts))
    return min(found, _MOST_LINES)


def _without_codes(text: str) -> str:
    return text.replace("&", "&&")


def _xlsx_cell(sheet: Any, given: _SheetCell) -> Any:
    cell: Any = WriteOnlyCell(sheet)
    cell.style = f"report {given.look.value}"
    cell.value = given.value
    if isinstance(given.value, str):
        # Said to be text, whatever it begins with: nothing a person wrote computes, also once the cell is edited.
        cell.data_type = "s"
        cell.quotePrefix = True
    if given.target is not None:
        place = f"'{given.target.sheet}'!{given.target.address}"
        cell.hyperlink = Hyperlink(ref="A1", location=place, display=place)
        cell.font = Font(name=_FONT, size=10, color="1F4E79", underline="single")
    if given.remark is not None:
        cell.comment = Comment(given.remark, "GLORIA Match", width=260, height=80)
    return cell


_NUMBER = 'number:decimal-places="{places}" number:min-decimal-places="{places}" number:min-integer-digits="1"'
_DATA_STYLES = {
    _Look.COUNT: f'<number:number-style style:name="n-count"><number:number {_NUMBER.format(places=0)} '
    'number:grouping="true"/></number:number-style>',
    _Look.SHARE: f'<number:number-style style:name="n-share"><number:number {_NUMBER.format(places=2)} '
    'number:grouping="true"/></number:number-style>',
    _Look.NTD: '<number:number-style style:name="n-ntd"><number:text>NT$ </number:text>'
    f'<number:number {_NUMBER.format(places=0)} number:grouping="true"/></number:number-style>',
    _Look.PERCENT: f'<number:percentage-style style:name="n-percent"><number:number {_NUMBER.format(places=1)}/>'
    "<number:text>%</number:text></number:percentage-style>",
    _Look.THOUSANDS: '<number:number-style style:name="n-thousands"><number:number number:decimal-places="3" '
    'number:min-decimal-places="0" number:min-integer-digits="1" number:grouping="true"/></number:number-style>',
    _Look.DATE: '<number:date-style style:name="n-date"><number:year number:calendar="ROC"/>'
    "<number:text>年</number:text><number:month/><number:text>月</number:text><number:day/>"
    "<number:text>日</number:text></number:date-style>",
}
_CM_PER_CHARACTER = 0.2


def render_ods(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as a workbook.

    Raises:
        ReportTooLargeError: a workbook can't hold it.
    """
    book = Document("spreadsheet")
    book.body.clear()
    book.meta.title = said(document.title, language)
    book.meta.creator = "GLORIA Match"
    for look in _Look:
        _add_ods_style(book, look)
    widths: set[int] = set()
    for sheet in _build_sheets(document, language):
        widths |= _add_ods_widths(book, sheet, widths)
        book.body.append(_ods_table(sheet))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _add_ods_style(book: Document, look: _Look) -> None:
    if look in _DATA_STYLES:
        book.insert_style(_DATA_STYLES[look], name=f"n-{look.value}", automatic=True)
    style = Style("table-cell", name=f"c-{look.value}")
    if look in _DATA_STYLES:
        style.set_attribute("style:data-style-name", f"n-{look.value}")
    if look in (_Look.TITLE, _Look.HEADER):
        bold = {"fo:font-weight": "bold", "style:font-weight-asian": "bold"}
        style.set_properties(bold | ({"fo:font-size": "14pt"} if look is _Look.TITLE else {}), area="text")
    if look is _Look.HEADER:
        style.set_properties({"fo:background-color": "#E7EEF5"}, area="table-cell")
    if look in (_Look.TEXT, _Look.HEADER):
        style.set_properties({"fo:wrap-option": "wrap", "style:vertical-align": "top"}, area="table-cell")
    if look not in (_Look.TITLE, _Look.NOTE):
        style.set_properties({"fo:border": "0.5pt solid #BFBFBF"}, area="table-cell")
    book.insert_style(style, automatic=True)


def _add_ods_widths(book: Document, sheet: _Sheet, known: set[int]) -> set[int]:
    new = set(sheet.widths()) - known
    for width in sorted(new):
        style = Style("table-column", name=f"w-{width}")
        style.set_properties({"style:column-width": f"{width * _CM_PER_CHARACTER:.2f}cm"}, area="table-column")
        book.insert_style(style, automatic=True)
    return new


def _ods_table(sheet: _Sheet) -> Table:
    table = Table(sheet.name)
    for width in sheet.widths():
        Element.append(table, Column(style=f"w-{width}"))
    spans = {(top, left): (bottom - top + 1, right - left + 1) for top, bottom, left, right in sheet.merged}
    covered = {
        (row, column)
        for top, bottom, left, right in sheet.merged
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    } - set(spans)
    rows = [_ods_row(row, number, spans, covered) for number, row in enumerate(sheet.rows, start=1)]
    first, last = sheet.header or (1, 0)
    for row in rows[: first - 1]:
        Element.append(table, row)
    if sheet.header is not None:
        # Repeated on every printed page.
        header = HeaderRows()
        for row in rows[first - 1 : last]:
            header.append(row)
        Element.append(table, header)
    for row in rows[last:]:
        Element.append(table, row)
    return table


def _ods_row(
    cells: list[_SheetCell],
    number: int,
    spans: Mapping[tuple[int, int], tuple[int, int]],
    covered: Container[tuple[int, int]],
) -> Row:
    row = Row()
    for place, cell in enumerate(cells, start=1):
        if (number, place) in covered:
            Element.append(row, Element.from_tag("table:covered-table-cell"))
            continue
        made = _ods_cell(cell)
        if (number, place) in spans:
            tall, wide = spans[number, place]
            made.set_attribute("table:number-rows-spanned", str(tall))
            made.set_attribute("table:number-columns-spanned", str(wide))
        Element.append(row, made)
    linked = [(_address(number, place), cell.target) for place, cell in enumerate(cells, start=1) if _is_number(cell)]
    links = [_ods_link(target, f"{ENTRIES.zh} {name}") for name, target in linked if target is not None]
    if links:
        last = Cell(style=f"c-{_Look.TEXT.value}")
        last.set_attribute("office:value-type", "string")
        for link in links:
            Element.append(last, link)
        Element.append(row, last)
    return row


def _is_number(cell: _SheetCell) -> bool:
    return isinstance(cell.value, int | float | date)


def _ods_cell(given: _SheetCell) -> Cell:
    cell = Cell(style=f"c-{given.look.value}")
    value = given.value
    if isinstance(value, str):
        cell.set_attribute("office:value-type", "string")
    elif isinstance(value, date):
        cell.set_attribute("office:value-type", "date")
        cell.set_attribute("office:date-value", value.isoformat())
    elif value is not None:
        percent = given.look is _Look.PERCENT
        cell.set_attribute("office:value-type", "percentage" if percent else "float")
        cell.set_attribute("office:value", repr(value))
    if isinstance(value, str) and given.target is not None:
        Element.append(cell, _ods_link(given.target, value))
    elif value is not None:
        for line in _ods_text(given).split("\n"):
            Element.append(cell, Paragraph(line))
    return cell


def _ods_link(target: _SheetLink, text: str) -> Paragraph:
    paragraph = Paragraph()
    paragraph.append(Link(f"#'{target.sheet}'.{target.address}", text=text))
    return paragraph


def _ods_text(given: _SheetCell) -> str:
    value = given.value
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, date):
        return day_text(value).zh.replace(" ", "")
    if given.look is _Look.THOUSANDS:
        return f"{value:,}"
    if given.look is _Look.PERCENT:
        return f"{value:.1%}"
    amount = f"{value:,.2f}" if given.look is _Look.SHARE else f"{value:,.0f}"
    return f"NT$ {amount}" if given.look is _Look.NTD else amount
