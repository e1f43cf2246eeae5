"""A report as an ODS workbook (OpenDocument), which the Ministry asks for beside XLSX.

In: a report and a language. Out: the bytes of a workbook. It exists apart from
XLSX because links and formats are written in another way; the sheets are the
same, but that a number's link stands at the end of its row, since a cell with
a link is a text here. Every text is of the type string; no cell has a formula.
"""

from __future__ import annotations

import io
from datetime import date

from odfdo import Cell, Column, Document, Element, HeaderRows, Link, Paragraph, Row, Style, Table

from matcher.ledger.document import ReportDocument
from matcher.ledger.rendering.sheets import HEADER_ROW, Look, Sheet, SheetCell, Target, address, build_sheets
from matcher.ledger.rendering.wording import ENTRIES, ReportLanguage, said

_NUMBER = 'number:decimal-places="{places}" number:min-decimal-places="{places}" number:min-integer-digits="1"'
_DATA_STYLES = {
    Look.COUNT: f'<number:number-style style:name="n-count"><number:number {_NUMBER.format(places=0)} '
    'number:grouping="true"/></number:number-style>',
    Look.SHARE: f'<number:number-style style:name="n-share"><number:number {_NUMBER.format(places=2)} '
    'number:grouping="true"/></number:number-style>',
    Look.NTD: '<number:number-style style:name="n-ntd"><number:text>NT$ </number:text>'
    f'<number:number {_NUMBER.format(places=0)} number:grouping="true"/></number:number-style>',
    Look.PERCENT: f'<number:percentage-style style:name="n-percent"><number:number {_NUMBER.format(places=1)}/>'
    "<number:text>%</number:text></number:percentage-style>",
    Look.DATE: '<number:date-style style:name="n-date"><number:year number:style="long"/><number:text>-</number:text>'
    '<number:month number:style="long"/><number:text>-</number:text><number:day number:style="long"/>'
    "</number:date-style>",
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
    for look in Look:
        _add_style(book, look)
    widths: set[int] = set()
    for sheet in build_sheets(document, language):
        widths |= _add_widths(book, sheet, widths)
        book.body.append(_table(sheet))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _add_style(book: Document, look: Look) -> None:
    if look in _DATA_STYLES:
        book.insert_style(_DATA_STYLES[look], name=f"n-{look.value}", automatic=True)
    style = Style("table-cell", name=f"c-{look.value}")
    if look in _DATA_STYLES:
        style.set_attribute("style:data-style-name", f"n-{look.value}")
    if look in (Look.TITLE, Look.HEADER):
        bold = {"fo:font-weight": "bold", "style:font-weight-asian": "bold"}
        style.set_properties(bold | ({"fo:font-size": "14pt"} if look is Look.TITLE else {}), area="text")
    if look is Look.HEADER:
        style.set_properties({"fo:background-color": "#E7EEF5"}, area="table-cell")
    if look in (Look.TEXT, Look.HEADER):
        style.set_properties({"fo:wrap-option": "wrap", "style:vertical-align": "top"}, area="table-cell")
    book.insert_style(style, automatic=True)


def _add_widths(book: Document, sheet: Sheet, known: set[int]) -> set[int]:
    new = set(sheet.widths()) - known
    for width in sorted(new):
        style = Style("table-column", name=f"w-{width}")
        style.set_properties({"style:column-width": f"{width * _CM_PER_CHARACTER:.2f}cm"}, area="table-column")
        book.insert_style(style, automatic=True)
    return new


def _table(sheet: Sheet) -> Table:
    table = Table(sheet.name)
    for width in sheet.widths():
        Element.append(table, Column(style=f"w-{width}"))
    rows = [_row(row, number) for number, row in enumerate(sheet.rows, start=1)]
    split = HEADER_ROW if sheet.has_header else 0
    for row in rows[: max(0, split - 1)]:
        Element.append(table, row)
    if split:
        # Repeated on every printed page.
        header = HeaderRows()
        header.append(rows[split - 1])
        Element.append(table, header)
    for row in rows[split:]:
        Element.append(table, row)
    return table


def _row(cells: list[SheetCell], number: int) -> Row:
    row = Row()
    for cell in cells:
        Element.append(row, _cell(cell))
    linked = [(address(number, place), cell.target) for place, cell in enumerate(cells, start=1) if _is_number(cell)]
    links = [_link(target, f"{ENTRIES.zh} {name}") for name, target in linked if target is not None]
    if links:
        last = Cell(style=f"c-{Look.TEXT.value}")
        last.set_attribute("office:value-type", "string")
        for link in links:
            Element.append(last, link)
        Element.append(row, last)
    return row


def _is_number(cell: SheetCell) -> bool:
    return isinstance(cell.value, int | float | date)


def _cell(given: SheetCell) -> Cell:
    cell = Cell(style=f"c-{given.look.value}")
    value = given.value
    if isinstance(value, str):
        cell.set_attribute("office:value-type", "string")
    elif isinstance(value, date):
        cell.set_attribute("office:value-type", "date")
        cell.set_attribute("office:date-value", value.isoformat())
    elif value is not None:
        percent = given.look is Look.PERCENT
        cell.set_attribute("office:value-type", "percentage" if percent else "float")
        cell.set_attribute("office:value", repr(value))
    if isinstance(value, str) and given.target is not None:
        Element.append(cell, _link(given.target, value))
    elif value is not None:
        for line in _shown(given).split("\n"):
            Element.append(cell, Paragraph(line))
    return cell


def _link(target: Target, text: str) -> Paragraph:
    paragraph = Paragraph()
    paragraph.append(Link(f"#'{target.sheet}'.{target.address}", text=text))
    return paragraph


def _shown(given: SheetCell) -> str:
    value = given.value
    if isinstance(value, str) or value is None:
        return value or ""
    if isinstance(value, date):
        return value.isoformat()
    if given.look is Look.PERCENT:
        return f"{value:.1%}"
    amount = f"{value:,.2f}" if given.look is Look.SHARE else f"{value:,.0f}"
    return f"NT$ {amount}" if given.look is Look.NTD else amount
