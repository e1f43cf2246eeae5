"""Files that people fill in: bilingual headings, an invented example row, an explanation of each field.

In: a kind and the path to write. Out: an XLSX workbook, or a CSV file by the
suffix. It exists so that nobody has to guess the format; what it explains is
the table that the readers use.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.columns import COLUMNS, Column
from indexer.vocabulary import Kind, label
from indexer.wording import T_, Language, said

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_GUIDE_TITLE = "guide 填寫說明"
_GUIDE_HEADINGS = ("sheet 工作表", "field 欄位", "what to write", "填寫方式")


def write_template(path: Path, kind: Kind | str) -> None:
    """Write a template that imports as it is; a template of labs has a second sheet for their evidence.

    Args:
        path: a name ending in .xlsx or .csv; an existing file is replaced.
        kind: what its rows will be.

    Raises:
        ValueError: another suffix, or no such kind.
        OSError: the file cannot be written.
    """
    kind = Kind(kind)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        _write_csv(path, COLUMNS[kind])
    elif suffix == ".xlsx":
        _write_workbook(path, [kind, Kind.EVIDENCE] if kind is Kind.LABS else [kind])
    else:
        raise ValueError(
            T_(
                "a template is an .xlsx or a .csv file, not %(suffix)s",
                suffix=path.suffix or T_("a name without a suffix"),
            )
        )


def _write_csv(path: Path, columns: tuple[Column, ...]) -> None:
    # The byte order mark tells spreadsheet programs that the file is UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(column.heading for column in columns)
        writer.writerow(column.example for column in columns)


def _write_workbook(path: Path, kinds: list[Kind]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for kind in kinds:
        _fill_sheet(book.create_sheet(f"{kind} {label(kind)}"), COLUMNS[kind])
    _fill_guide(book.create_sheet(_GUIDE_TITLE), kinds)
    book.save(path)


def _fill_sheet(sheet: Worksheet, columns: tuple[Column, ...]) -> None:
    from openpyxl.styles import Alignment, Font

    for n, column in enumerate(columns, start=1):
        heading = _put(sheet, 1, n, column.heading)
        heading.font = Font(bold=True)
        example = _put(sheet, 2, n, column.example)
        example.alignment = Alignment(wrap_text=True, vertical="top")
        width = sheet.column_dimensions[heading.column_letter]
        width.width = 44 if column.wide else 22
        if isinstance(column.example, str):
            # As text, a spreadsheet program keeps leading zeros and does not turn words into dates or formulas.
            width.number_format = example.number_format = "@"
    sheet.freeze_panes = "B2"


def _fill_guide(sheet: Worksheet, kinds: list[Kind]) -> None:
    from openpyxl.styles import Alignment, Font

    for n, text in enumerate(_GUIDE_HEADINGS, start=1):
        _put(sheet, 1, n, text).font = Font(bold=True)
    for kind in kinds:
        for column in COLUMNS[kind]:
            row = sheet.max_row + 1
            notes = (said(column.note, Language.EN), said(column.note, Language.ZH))
            texts = (f"{kind} {label(kind)}", column.heading, *notes)
            for n, text in enumerate(texts, start=1):
                _put(sheet, row, n, text).alignment = Alignment(wrap_text=True, vertical="top")
    for letter, width in zip("ABCD", (18, 24, 60, 60), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.freeze_panes = "A2"


def _put(sheet: Worksheet, row: int, column: int, value: str | int | float) -> Any:
    """Write a value; a text stays a text even if it begins like a formula."""
    cell = sheet.cell(row=row, column=column)
    if value != "":
        cell.value = value
        if isinstance(value, str):
            cell.data_type = "s"
    return cell
