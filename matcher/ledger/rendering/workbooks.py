"""A report as a workbook: XLSX, or ODS (OpenDocument), which the Ministry asks for beside it.

In: a report and a language. Out: the bytes of a workbook. First come the sheets, before they are a workbook of any
make: one for each table, one for the entries behind the figures and one that says what the report is. It exists so
that both formats hold the same, cell by cell: each figure leads to its entries, and its entries back to the figure.
Where a cell itself can't be a link, the link stands at the end of its row, outside of what is printed: a number with
a link is a text in ODS, and a text of two lines with one is a single line in some programs.

Each sheet is printed on pages as wide as its table. A workbook has dangers of its own: every text is said to be
text, whatever it begins with, so that no cell computes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from odfdo import Document, Element, Style
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Border, Font, NamedStyle, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.hyperlink import Hyperlink
from openpyxl.worksheet.page import PageMargins

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
    NOTHING,
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
_LINE_PT, _MOST_LINES, _SEAL_PT = 16, 28, 42
_ONE_PAGE_PT = 850
"""A sheet that is hardly higher than a page is printed on one, a little smaller."""
_WIDEST, _LEAST, _READABLE, _SHEET_WIDTH = 60, 8, 12, 132
"""In characters: the widest and the narrowest column, the narrowest of texts, and what a landscape sheet takes."""
_PER_ROW = 20
"""How many entries of a figure stand in one row, so that a list of them can be printed."""


class ReportTooLargeError(ValueError):
    """A workbook can't hold this report; the message says which format can."""


class _Look(StrEnum):
    """How a cell looks."""

    TITLE = "title"
    HEADER = "header"
    TEXT = "text"
    NOTE = "note"
    LINE = "line"
    COUNT = "count"
    NTD = "ntd"
    THOUSANDS = "thousands"
    PERCENT = "percent"
    SHARE = "share"
    DATE = "date"


_BARE = (_Look.TITLE, _Look.NOTE, _Look.LINE)
"""What stands outside of the tables: no border, no part in the width of a column."""


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
    areas of cells that are one: first and last row, first and last column, all counted from 1. `columns` is how many
    columns are printed; `seals` is the row that has room for them; `listed` are rows of entries by what they list.
    """

    name: str
    rows: list[list[_SheetCell]] = field(default_factory=list)
    header: tuple[int, int] | None = None
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    columns: int = 1
    seals: int | None = None
    listed: dict[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def printed(self) -> str:
        """Return the address of the last cell that is printed."""
        return _address(len(self.rows), self.columns)

    def widths(self) -> list[int]:
        """Return how wide each column is: titles and notes run over the cells beside them, long texts are wrapped."""
        wide, least = [_LEAST] * self.columns, [_LEAST] * self.columns
        alone = {(top, left) for top, _, left, right in self.merged if right == left}
        joined = {(top, left) for top, _, left, right in self.merged} - alone
        for number, row in enumerate(self.rows[:_WIDTH_ROWS], start=1):
            for place, cell in enumerate(row[: self.columns]):
                if cell.look in _BARE or (number, place + 1) in joined:
                    continue
                needed = min(_WIDEST, _width(cell) + 2)
                wide[place] = max(wide[place], needed)
                # A text is wrapped, though not letter by letter; a number is not.
                least[place] = max(least[place], min(_READABLE, needed) if isinstance(cell.value, str) else needed)
        fitted = _fitted(wide, least)
        # What runs over the cells beside it is printed whole.
        above = max((_over(row[0]) for row in self.rows if row), default=0)
        fitted[-1] += max(0, above + 2 - sum(fitted))
        return fitted


def _fitted(wide: Sequence[int], least: Sequence[int]) -> list[int]:
    """Return widths that a sheet takes: the widest columns give way first, none below what its numbers need."""
    fitted = [*wide]
    while sum(fitted) > _SHEET_WIDTH:
        place = max(range(len(fitted)), key=lambda one: fitted[one] - least[one])
        if fitted[place] <= least[place]:
            break
        fitted[place] -= 1
    return fitted


def _build_sheets(document: ReportDocument, language: ReportLanguage) -> list[_Sheet]:
    """Return the sheets of a report.

    Raises:
        ReportTooLargeError: a sheet would have more rows, or a cell more characters, than a workbook can hold.
    """
    names = _Names()
    heads = (FIGURE, TABLE, PLACE, ENTRY)
    entries = _Sheet(names.new(said(ENTRIES, language)), columns=len(heads))
    entries.rows = [*_top(said(ENTRIES, language), document, language)]
    entries.rows.append([_SheetCell(said(head, language), _Look.HEADER) for head in heads])
    entries.header = (len(entries.rows), len(entries.rows))
    sheets: list[_Sheet] = []
    for table in document.tables:
        if not (table.below and sheets):
            sheet = _Sheet(names.new(said(table.title, language)), columns=len(table.columns))
            sheet.rows = [*_top(said(table.title, language), document, language)]
            if not sheets:
                _put_heading(sheet, document, language)
            sheets.append(sheet)
        else:
            sheets[-1].columns = max(sheets[-1].columns, len(table.columns))
            sheets[-1].rows += [[], [_SheetCell(said(table.title, language), _Look.TITLE)]]
        _put_table(sheets[-1], table, entries, language)
    if sheets and document.heading.signers:
        sheets[0].rows += [[], [_SheetCell(said(one, language), _Look.HEADER) for one in document.heading.signers]]
        sheets[0].rows.append([_SheetCell(None) for _ in document.heading.signers])
        sheets[0].seals = len(sheets[0].rows)
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


def _top(title: str, document: ReportDocument, language: ReportLanguage) -> Iterator[list[_SheetCell]]:
    yield [_SheetCell(title, _Look.TITLE)]
    yield [
        _SheetCell(
            f"{said(document.title, language)}{said(T_(', '), language)}{as_of_line(document, language)}", _Look.LINE
        )
    ]
    yield []


def _put_heading(sheet: _Sheet, document: ReportDocument, language: ReportLanguage) -> None:
    """Add the block at the top of a paper: a label, and beside it what it says over the width of the table."""
    wide = max(2, sheet.columns)
    for label, value in document.heading.lines:
        texts = [_SheetCell(said(value, language)), *(_SheetCell(None) for _ in range(wide - 2))]
        sheet.rows.append([_SheetCell(said(label, language), _Look.HEADER), *texts])
        if wide > 2:
            sheet.merged.append((len(sheet.rows), len(sheet.rows), 2, wide))
    if document.heading.lines:
        sheet.columns = wide
        sheet.rows.append([])


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
            place = place_of(table, row, number, language)
            remark = None if cell.remark is None else said(cell.remark, language)
            if remark is not None and cell.value is not None:
                remarks.append(f"{place}: {remark}")
            target = None
            if cell.entries:
                target = _SheetLink(entries.name, _address(len(entries.rows) + 1, 1))
                of = (_SheetCell(here, target=_SheetLink(sheet.name, here)), _SheetCell(said(table.title, language)))
                _list_entries(entries, cell.entries, [*of, _SheetCell(place)], language)
            value = plain(cell.value, language)
            if value is None and remark is not None:
                # An empty cell reads as forgotten: what is said of it stands in it.
                value, remark = remark, None
            cells.append(_SheetCell(value, _look(value, table.columns[number].kind), target, remark))
        sheet.rows.append(cells)
    notes = [*([] if table.rows else [NOTHING]), *table.notes]
    _put_notes(sheet, [*dict.fromkeys(remarks), *(said(note, language) for note in notes)])


def _put_notes(sheet: _Sheet, notes: Sequence[str]) -> None:
    """Add lines over the whole width of what is printed."""
    for note in notes:
        sheet.rows.append(
            [_SheetCell(note, _Look.NOTE), *(_SheetCell(None, _Look.NOTE) for _ in range(1, sheet.columns))]
        )
        if sheet.columns > 1:
            sheet.merged.append((len(sheet.rows), len(sheet.rows), 1, sheet.columns))


def _list_entries(sheet: _Sheet, ids: tuple[str, ...], figure: Sequence[_SheetCell], language: ReportLanguage) -> None:
    """Add a figure's entries, or in which row the very same ones are listed already."""
    row = sheet.listed.setdefault(ids, len(sheet.rows) + 1)
    if row <= len(sheet.rows) and len(ids) > 1:
        sheet.rows.append([*figure, _SheetCell(said(T_("as row %(number)s", number=row), language))])
        return
    for first in range(0, len(ids), _PER_ROW):
        sheet.rows.append([*figure, _SheetCell(", ".join(ids[first : first + _PER_ROW]))])


def _look(value: object, kind: CellKind) -> _Look:
    if isinstance(value, date):
        return _Look.DATE
    if isinstance(value, int | float):
        # A whole share is a count: 17, not 17.00.
        is_count = kind in (CellKind.TEXT, CellKind.DATE) or (kind is CellKind.SHARE and float(value).is_integer())
        return _Look.COUNT if is_count else _Look(kind.value)
    return _Look.TEXT


def _about(names: _Names, document: ReportDocument, language: ReportLanguage) -> _Sheet:
    sheet = _Sheet(names.new(said(ABOUT, language)), columns=_SHEET_WIDTH // _LEAST // 2)
    sheet.rows = [*_top(said(document.title, language), document, language)]
    if document.notes:
        sheet.rows += [[_SheetCell(said(NOTES, language), _Look.TITLE)]]
        _put_notes(sheet, [said(note, language) for note in document.notes])
        sheet.rows += [[]]
    sheet.rows += [[_SheetCell(said(HEADS, language), _Look.TITLE)]]
    _put_notes(sheet, [*head_lines(document, language), said(HEADS_SAY, language)])
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


def _over(cell: _SheetCell) -> int:
    """Return how many characters a title or a line needs, which runs over the cells beside it; 0 for other cells."""
    if cell.look not in (_Look.TITLE, _Look.LINE):
        return 0
    return _width(cell) if cell.look is _Look.LINE else math.ceil(_width(cell) * _TITLE_PT / _TEXT_PT)


def _width(cell: _SheetCell) -> int:
    if isinstance(cell.value, int | float):
        return len(_number_text(cell.value, cell.look))
    if isinstance(cell.value, date):
        return len("109年12月31日") + 4
    return display_width(str("" if cell.value is None else cell.value))


def _number_text(value: float, look: _Look) -> str:
    """Return a number as a program shows it; the unit of money stands in the head of its column."""
    if look is _Look.THOUSANDS:
        return f"{value:,}"
    if look is _Look.PERCENT:
        return f"{value:.1%}"
    return f"{value:,.2f}" if look is _Look.SHARE else f"{value:,.0f}"


_XLSX_FORMATS = {
    _Look.COUNT: "#,##0",
    _Look.NTD: "#,##0",
    _Look.THOUSANDS: "#,##0.###",
    _Look.PERCENT: "0.0%",
    _Look.SHARE: "#,##0.00",
    _Look.DATE: '[$-404]e"年"m"月"d"日"',
}
"""Days are days of the Republic's calendar."""
_A4 = 9
_TITLE_PT, _TEXT_PT = 14, 10
_FONT = "Microsoft JhengHei"
_LINE_COLOR, _HEAD_FILL = "8A96A3", "E7EEF5"
_LINE = Side(style="thin", color=_LINE_COLOR)


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
        style.fill = PatternFill("solid", fgColor=_HEAD_FILL)
        style.alignment = Alignment(wrap_text=True, vertical="center", horizontal="center")
    elif look in (_Look.TEXT, _Look.NOTE):
        style.alignment = Alignment(wrap_text=True, vertical="top")
    elif look is not _Look.LINE:
        style.alignment = Alignment(vertical="top", horizontal="right")
    if look not in _BARE:
        style.border = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
    style.number_format = _XLSX_FORMATS.get(look, "@")
    return style


def _write_xlsx(book: Workbook, sheet: _Sheet, as_of: str, page: str) -> None:
    target = book.create_sheet(sheet.name)
    widths = sheet.widths()
    for number, width in enumerate(widths, start=1):
        target.column_dimensions[get_column_letter(number)].width = width
    if sheet.header is not None:
        first, last = sheet.header
        target.freeze_panes = f"A{last + 1}"
        target.print_title_rows = f"{first}:{last}"
    for top, bottom, left, right in sheet.merged:
        target.merged_cells.add(f"{_address(top, left)}:{_address(bottom, right)}")
    target.print_area = f"A1:{sheet.printed}"
    target.page_setup.orientation = "landscape"
    target.page_setup.paperSize = _A4
    target.page_margins = PageMargins(left=0.6, right=0.6, top=0.7, bottom=0.7)
    target.sheet_properties.pageSetUpPr.fitToPage = True
    target.page_setup.fitToHeight = 1 if _takes_one_page(sheet) else 0
    target.oddFooter.left.text = _without_codes(as_of)
    target.oddFooter.right.text = f"{_without_codes(page)} &P / &N"
    for number, row in enumerate(sheet.rows, start=1):
        height = _height(sheet, number, row, widths)
        if height > _LINE_PT:
            # Not every program makes a row as high as its wrapped texts when it opens a file.
            target.row_dimensions[number].height = height
        target.append([_xlsx_cell(target, cell) for cell in [*row, *_beside(sheet, number, _links_in_xlsx)]])


def _beside(sheet: _Sheet, number: int, can_link: Callable[[_SheetCell], bool]) -> Iterator[_SheetCell]:
    """Yield what stands to the right of what is printed in a row: a link for each cell that can't be one itself."""
    row = sheet.rows[number - 1]
    leading = [(place, cell) for place, cell in enumerate(row, start=1) if cell.target is not None]
    apart = [(place, cell) for place, cell in leading if not can_link(cell)]
    if apart:
        yield from (_SheetCell(None, _Look.LINE) for _ in range(sheet.columns - len(row)))
        yield from (_SheetCell(f"→ {_address(number, place)}", _Look.LINE, cell.target) for place, cell in apart)


def _links_in_xlsx(cell: _SheetCell) -> bool:
    """Whether a cell of XLSX can be a link: not a text of two lines, of which some programs make one."""
    return not isinstance(cell.value, str) or "\n" not in cell.value


def _links_in_ods(cell: _SheetCell) -> bool:
    """Whether a cell of ODS can be a link: not a number either, which would be a text."""
    return isinstance(cell.value, str) and "\n" not in cell.value


def _height(sheet: _Sheet, number: int, row: Sequence[_SheetCell], widths: Sequence[int]) -> int:
    """Return how high a row is, in points: as its longest wrapped text, or with room for seals."""
    if number == sheet.seals:
        return _SEAL_PT
    joined = {left: right for top, _, left, right in sheet.merged if top == number}
    found = 1
    for place, cell in enumerate(row[: len(widths)], start=1):
        if isinstance(cell.value, str) and cell.look in (_Look.TEXT, _Look.HEADER, _Look.NOTE):
            width = sum(widths[place - 1 : joined.get(place, place)])
            parts = cell.value.splitlines() or [""]
            found = max(found, sum(max(1, -(-display_width(part) // max(1, width - 2))) for part in parts))
    return _LINE_PT * min(found, _MOST_LINES)


def _takes_one_page(sheet: _Sheet) -> bool:
    widths = sheet.widths()
    heights = (_height(sheet, number, row, widths) for number, row in enumerate(sheet.rows, start=1))
    return len(sheet.rows) < _ONE_PAGE_PT // _LINE_PT and sum(heights) < _ONE_PAGE_PT


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
    if given.target is not None and _links_in_xlsx(given):
        place = f"'{given.target.sheet}'!{given.target.address}"
        cell.hyperlink = Hyperlink(ref="A1", location=place, display=place)
        cell.font = Font(name=_FONT, size=10, color="1F4E79", underline="single")
    if given.remark is not None:
        cell.comment = Comment(given.remark, "GLORIA Match", width=260, height=80)
    return cell


_NUMBER = 'number:decimal-places="{places}" number:min-decimal-places="{places}" number:min-integer-digits="1"'
_WHOLE = f'<number:number {_NUMBER.format(places=0)} number:grouping="true"/></number:number-style>'
_DATA_STYLES = {
    _Look.COUNT: f'<number:number-style style:name="n-count">{_WHOLE}',
    _Look.NTD: f'<number:number-style style:name="n-ntd">{_WHOLE}',
    _Look.SHARE: f'<number:number-style style:name="n-share"><number:number {_NUMBER.format(places=2)} '
    'number:grouping="true"/></number:number-style>',
    _Look.PERCENT: f'<number:percentage-style style:name="n-percent"><number:number {_NUMBER.format(places=1)}/>'
    "<number:text>%</number:text></number:percentage-style>",
    _Look.THOUSANDS: '<number:number-style style:name="n-thousands"><number:number number:decimal-places="3" '
    'number:min-decimal-places="0" number:min-integer-digits="1" number:grouping="true"/></number:number-style>',
    _Look.DATE: '<number:date-style style:name="n-date" number:language="zh" number:country="TW">'
    '<number:year number:style="long" number:calendar="ROC"/>'
    "<number:text>年</number:text><number:month/><number:text>月</number:text><number:day/>"
    "<number:text>日</number:text></number:date-style>",
}
_CM_PER_CHARACTER = 0.2
_FONTS = {"fo:font-family": _FONT, "style:font-family-asian": _FONT}


def render_ods(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as a workbook.

    Raises:
        ReportTooLargeError: a workbook can't hold it.
    """
    book = Document("spreadsheet")
    book.body.clear()
    book.meta.title = said(document.title, language)
    book.meta.creator = "GLORIA Match"
    _set_ods_page(book, as_of_line(document, language), said(PAGE, language))
    for look in _Look:
        _add_ods_style(book, look)
    widths: set[int] = set()
    for sheet in _build_sheets(document, language):
        widths |= _add_ods_widths(book, sheet, widths)
        # As one text: an element made for each cell takes ten times as long.
        book.body.append(Element.from_tag(_ods_table(sheet)))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _set_ods_page(book: Document, as_of: str, page: str) -> None:
    """Have every sheet printed in landscape, as wide as its table, with its day and the number of its page."""
    styles: Any = book.get_part("styles.xml")
    sizes = 'fo:page-width="29.7cm" fo:page-height="21cm" style:print-orientation="landscape" fo:margin="1.5cm"'
    none = 'fo:border="none" fo:background-color="transparent" style:shadow="none"'
    number = "<text:page-number>1</text:page-number> / <text:page-count>1</text:page-count>"
    for name, pages in (("Report", 0), ("OnePage", 1)):
        layout = (
            f'<style:page-layout style:name="pm-{name}"><style:page-layout-properties {sizes} style:scale-to-X="1" '
            f'style:scale-to-Y="{pages}" style:print="charts drawings objects zero-values" '
            'style:first-page-number="continue"/><style:footer-style>'
            f'<style:header-footer-properties fo:min-height="0.7cm" fo:margin-top="0.2cm" {none}/></style:footer-style>'
            "</style:page-layout>"
        )
        foot = (
            f'<style:master-page style:name="{name}" style:page-layout-name="pm-{name}"><style:header '
            f'style:display="false"/><style:footer><style:region-left><text:p>{escape(as_of)}</text:p></style:region-left>'
            f"<style:region-right><text:p>{escape(page)} {number}</text:p></style:region-right></style:footer>"
            "</style:master-page>"
        )
        styles.get_element("//office:automatic-styles").append(Element.from_tag(layout))
        styles.get_element("//office:master-styles").append(Element.from_tag(foot))
        sheet = Style("table", name=f"t-{name}")
        sheet.set_attribute("style:master-page-name", name)
        book.insert_style(sheet, automatic=True)
    seals = Style("table-row", name="r-seals")
    seals.set_properties({"style:row-height": f"{_SEAL_PT}pt"}, area="table-row")
    book.insert_style(seals, automatic=True)


def _add_ods_style(book: Document, look: _Look) -> None:
    if look in _DATA_STYLES:
        book.insert_style(_DATA_STYLES[look], name=f"n-{look.value}", automatic=True)
    style = Style("table-cell", name=f"c-{look.value}")
    if look in _DATA_STYLES:
        style.set_attribute("style:data-style-name", f"n-{look.value}")
    size = "14pt" if look is _Look.TITLE else "10pt"
    sizes = {"fo:font-size": size, "style:font-size-asian": size}
    bold = {"fo:font-weight": "bold", "style:font-weight-asian": "bold"} if look in (_Look.TITLE, _Look.HEADER) else {}
    style.set_properties({**_FONTS, **sizes, **bold}, area="text")
    if look is _Look.HEADER:
        style.set_properties(
            {"fo:background-color": f"#{_HEAD_FILL}", "style:vertical-align": "middle"}, area="table-cell"
        )
        style.set_properties({"fo:text-align": "center"}, area="paragraph")
    elif look not in _BARE:
        style.set_properties({"style:vertical-align": "top"}, area="table-cell")
    if look in (_Look.TEXT, _Look.HEADER, _Look.NOTE):
        style.set_properties({"fo:wrap-option": "wrap"}, area="table-cell")
    if look not in _BARE:
        border = {"fo:border": f"0.5pt solid #{_LINE_COLOR}", "fo:padding": "0.05cm"}
        style.set_properties(border, area="table-cell")
    book.insert_style(style, automatic=True)


def _add_ods_widths(book: Document, sheet: _Sheet, known: set[int]) -> set[int]:
    new = set(sheet.widths()) - known
    for width in sorted(new):
        style = Style("table-column", name=f"w-{width}")
        style.set_properties({"style:column-width": f"{width * _CM_PER_CHARACTER:.2f}cm"}, area="table-column")
        book.insert_style(style, automatic=True)
    return new


def _ods_table(sheet: _Sheet) -> str:
    spans = {(top, left): (bottom - top + 1, right - left + 1) for top, bottom, left, right in sheet.merged}
    covered = {
        (row, column)
        for top, bottom, left, right in sheet.merged
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    } - set(spans)
    rows = []
    for number, row in enumerate(sheet.rows, start=1):
        cells = [
            "<table:covered-table-cell/>" if (number, place) in covered else _ods_cell(cell, spans.get((number, place)))
            for place, cell in enumerate(row, start=1)
        ]
        cells += [_ods_cell(cell) for cell in _beside(sheet, number, _links_in_ods)]
        tall = ' table:style-name="r-seals"' if number == sheet.seals else ""
        # A row without a cell is none.
        rows.append(f"<table:table-row{tall}>{''.join(cells) or '<table:table-cell/>'}</table:table-row>")
    first, last = sheet.header or (1, 0)
    # Repeated on every printed page.
    head = "".join(rows[first - 1 : last])
    head = f"<table:table-header-rows>{head}</table:table-header-rows>" if head else ""
    columns = "".join(f'<table:table-column table:style-name="w-{width}"/>' for width in sheet.widths())
    name, page = sheet.name.replace("'", "''"), "OnePage" if _takes_one_page(sheet) else "Report"
    area = quoteattr(f"'{name}'.A1:'{name}'.{sheet.printed}")
    return (
        f'<table:table table:name={quoteattr(sheet.name)} table:style-name="t-{page}" table:print-ranges={area}>'
        f"{columns}{''.join(rows[: first - 1])}{head}{''.join(rows[last:])}</table:table>"
    )


def _ods_cell(given: _SheetCell, span: tuple[int, int] | None = None) -> str:
    value, said_of = given.value, [f'table:style-name="c-{given.look.value}"']
    if span is not None:
        said_of.append(f'table:number-rows-spanned="{span[0]}" table:number-columns-spanned="{span[1]}"')
    if isinstance(value, str):
        said_of.append('office:value-type="string"')
    elif isinstance(value, date):
        said_of.append(f'office:value-type="date" office:date-value="{value.isoformat()}"')
    elif value is not None:
        kind = "percentage" if given.look is _Look.PERCENT else "float"
        said_of.append(f'office:value-type="{kind}" office:value="{value!r}"')
    text = _ods_text(given)
    if given.target is not None and _links_in_ods(given):
        place = quoteattr(f"#'{given.target.sheet}'.{given.target.address}")
        lines = f'<text:p><text:a xlink:type="simple" xlink:href={place}>{escape(text)}</text:a></text:p>'
    else:
        lines = "".join(f"<text:p>{_ods_line(line)}</text:p>" for line in text.split("\n")) if text else ""
    return f"<table:table-cell {' '.join(said_of)}>{lines}</table:table-cell>"


_BLANKS = re.compile(r"^ +| {2,}|\t")


def _ods_line(text: str) -> str:
    """Return a line as OpenDocument has it: blanks side by side are counted there, or they are one."""

    def counted(found: re.Match[str]) -> str:
        return "<text:tab/>" if found[0] == "\t" else f'<text:s text:c="{len(found[0])}"/>'

    return _BLANKS.sub(counted, escape(text))


def _ods_text(given: _SheetCell) -> str:
    value = given.value
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, date):
        return day_text(value).zh.replace(" ", "")
    return _number_text(value, given.look)
