"""A report as an XLSX workbook.

In: a report and a language. Out: the bytes of a workbook. It exists apart from
the sheets because a workbook has dangers of its own: every text is said to be
text, whatever it begins with, so that no cell computes.
"""

from __future__ import annotations

import io
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Border, Font, NamedStyle, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.hyperlink import Hyperlink

from matcher.ledger.document import ReportDocument
from matcher.ledger.rendering.sheets import HEADER_ROW, Look, Sheet, SheetCell, build_sheets
from matcher.ledger.rendering.wording import PAGE, ReportLanguage, as_of_line, said

_FORMATS = {
    Look.COUNT: "#,##0",
    Look.NTD: '"NT$" #,##0',
    Look.PERCENT: "0.0%",
    Look.SHARE: "#,##0.00",
    Look.DATE: "yyyy-mm-dd",
}
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
    for look in Look:
        book.add_named_style(_style(look))
    for sheet in build_sheets(document, language):
        _write(book, sheet, f"{as_of_line(document, language)}", said(PAGE, language))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _style(look: Look) -> NamedStyle:
    style = NamedStyle(name=f"report {look.value}", font=Font(name=_FONT, size=10))
    if look is Look.TITLE:
        style.font = Font(name=_FONT, size=14, bold=True)
    elif look is Look.HEADER:
        style.font = Font(name=_FONT, size=10, bold=True)
        style.fill = PatternFill("solid", fgColor="E7EEF5")
        style.border = Border(bottom=_LINE)
        style.alignment = Alignment(wrap_text=True, vertical="center")
    elif look is Look.TEXT:
        style.alignment = Alignment(wrap_text=True, vertical="top")
    elif look is not Look.NOTE:
        style.alignment = Alignment(vertical="top", horizontal="right")
    style.number_format = _FORMATS.get(look, "@")
    return style


def _write(book: Workbook, sheet: Sheet, as_of: str, page: str) -> None:
    target = book.create_sheet(sheet.name)
    for number, width in enumerate(sheet.widths(), start=1):
        target.column_dimensions[get_column_letter(number)].width = width
    if sheet.has_header:
        target.freeze_panes = f"A{HEADER_ROW + 1}"
        target.print_title_rows = f"{HEADER_ROW}:{HEADER_ROW}"
    target.page_setup.orientation = "landscape"
    target.page_setup.paperSize = _A4
    target.sheet_properties.pageSetUpPr.fitToPage = True
    target.page_setup.fitToHeight = 0
    target.oddFooter.left.text = _without_codes(as_of)
    target.oddFooter.right.text = f"{_without_codes(page)} &P / &N"
    for row in sheet.rows:
        target.append([_cell(target, cell) for cell in row])


def _without_codes(text: str) -> str:
    return text.replace("&", "&&")


def _cell(sheet: Any, given: SheetCell) -> Any:
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
