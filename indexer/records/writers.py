"""Rows into files, JSON Lines, CSV, XLSX and ODS, however many there are; and the files that people fill in.

In: documents one after another and which columns they fill, or a kind of record. Out: chunks of a file, or a
workbook in a file; for a kind a template with bilingual headings, an invented example row and an explanation of
each field. It exists so that the server and the command line write the same files, that no text in them is ever a
live cell, that what the readers read they read back, and that nobody has to guess the format: what a template
explains is the table that the readers use.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from indexer.plain_text import guarded
from indexer.records.columns import COLUMNS, OTHER_HEADING, Column, partner_of
from indexer.records.exchange import MODELS
from indexer.records.field_notes import Cell
from indexer.records.lists.cells import is_taken_otherwise, literal
from indexer.records.open_document import NotXmlError, OpenDocumentBook
from indexer.vocabulary import Kind, label
from indexer.wording import T_, Language, said

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet


MAX_CELL_CHARS = 32_767
"""What a cell of a workbook holds."""
MAX_SHEET_ROWS = 1_048_576

_CODE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")

Document = Mapping[str, Any]
Value = str | int | float | None
Rows = Callable[[Document], Iterable[list[Value]]]
"""The rows that one document fills in a sheet."""

_SPLIT = {Cell.WORDS: re.compile("[;；、\n]"), Cell.TEXTS: re.compile("[;；\n]"), Cell.ASKS: re.compile("\n")}


class Format(StrEnum):
    """What kind of file."""

    JSONL = "jsonl"
    CSV = "csv"
    XLSX = "xlsx"
    ODS = "ods"


MEDIA_TYPES = {
    Format.JSONL: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.ODS: "application/vnd.oasis.opendocument.spreadsheet",
}

BOOKS = frozenset({Format.XLSX, Format.ODS})
"""Formats that hold several sheets, and are written as a whole."""


class TooMuchForSheetError(ValueError):
    """A workbook can't hold this; the message says what can."""


@dataclass(frozen=True)
class Sheet:
    """One table of a flat file: its title, its headings, and how a document fills its rows."""

    title: str
    headings: tuple[str, ...]
    rows: Rows


def sheets_of(kind: Kind, *, with_other: bool = False) -> tuple[Sheet, ...]:
    """Return the sheets of a kind of the exchange format, as the readers read them; labs have a second for evidence.

    With `with_other` the first has a column for what is not ours, where the kind keeps such.
    """
    first, *more = _own_sheets_of(kind)
    return (_with_other(first) if with_other and "other" in MODELS[kind].model_fields else first, *more)


def _with_other(sheet: Sheet) -> Sheet:
    def rows(document: Document) -> Iterator[list[Value]]:
        other = document.get("other")
        for row in sheet.rows(document):
            yield [*row, json.dumps(other, ensure_ascii=False) if other else ""]

    return Sheet(sheet.title, (*sheet.headings, OTHER_HEADING), rows)


def _own_sheets_of(kind: Kind) -> tuple[Sheet, ...]:
    if kind is Kind.LABS:
        return _sheet(Kind.LABS, lambda lab: [lab]), _sheet(Kind.EVIDENCE, _evidence)
    return (_sheet(kind, lambda record: [record]),)


def in_exchange_format(kind: Kind, document: Document) -> dict[str, Any]:
    """Return what of a document the exchange format has; what is not ours only where there is any."""
    names = [name for name in MODELS[kind].model_fields if name != "other" or document.get(name)]
    return {name: document.get(name) for name in names}


def jsonl(documents: Iterable[Document]) -> bytes:
    """Return documents as JSON Lines."""
    return b"".join(orjson.dumps(dict(document), option=orjson.OPT_APPEND_NEWLINE) for document in documents)


def csv_header(sheet: Sheet) -> bytes:
    """Return the first line of a CSV file; the byte order mark tells spreadsheet programs that it is UTF-8."""
    return "\ufeff".encode() + _csv_lines([list(sheet.headings)])


def csv_rows(sheet: Sheet, documents: Iterable[Document]) -> bytes:
    """Return documents as lines of a CSV file."""
    return _csv_lines([_safe(cell) for cell in row] for document in documents for row in sheet.rows(document))


def write_book(file: IO[bytes], file_format: Format, sheets: Iterable[Sheet], documents: Iterable[Document]) -> None:
    """Write a workbook of XLSX or ODS.

    Raises:
        TooMuchForSheetError: as of `write_xlsx`.
    """
    (write_ods if file_format is Format.ODS else write_xlsx)(file, sheets, documents)


def write_ods(file: IO[bytes], sheets: Iterable[Sheet], documents: Iterable[Document]) -> None:
    """Write a workbook of OpenDocument; rows go to the disk as they come.

    Raises:
        TooMuchForSheetError: as of `write_xlsx`, or a text holds a character that the format can't.
    """
    targets = list(sheets)
    book = OpenDocumentBook([sheet.title for sheet in targets])
    try:
        for n, sheet in enumerate(targets):
            book.append(n, sheet.headings, heading=True)
        for n, row in _rows(targets, documents):
            book.append(n, [_fitting(cell) for cell in row])
        book.save(file)
    except NotXmlError as error:
        raise TooMuchForSheetError(str(error)) from error
    finally:
        book.drop()


def write_xlsx(file: IO[bytes], sheets: Iterable[Sheet], documents: Iterable[Document]) -> None:
    """Write a workbook of Excel; rows go to the disk as they come.

    Raises:
        TooMuchForSheetError: a text is longer than a cell can be, or there are more rows than a sheet can have.
    """
    import openpyxl

    given = list(sheets)
    book = openpyxl.Workbook(write_only=True)
    targets = [book.create_sheet(sheet.title) for sheet in given]
    try:
        for sheet, target in zip(given, targets, strict=True):
            target.append([_cell(target, heading) for heading in sheet.headings])
        for n, row in _rows(given, documents):
            target = targets[n]
            target.append([_cell(target, cell) for cell in row])
        book.save(file)
    except BaseException:
        # What it wrote on the way lies in files of its own until the workbook is saved.
        _drop_parts(targets)
        raise


def _rows(sheets: Sequence[Sheet], documents: Iterable[Document]) -> Iterator[tuple[int, list[Value]]]:
    """Yield every row with the place of its sheet, up to what a sheet holds."""
    written = [1] * len(sheets)
    for document in documents:
        for n, sheet in enumerate(sheets):
            for row in sheet.rows(document):
                written[n] += 1
                if written[n] > MAX_SHEET_ROWS:
                    most = f"{MAX_SHEET_ROWS:,}"
                    raise TooMuchForSheetError(
                        T_("there are more than %(max_sheet_rows)s rows; take csv or jsonl", max_sheet_rows=most)
                    )
                yield n, row


def _drop_parts(targets: Iterable[Any]) -> None:
    for target in targets:
        target.close()
        target._writer.cleanup()


def _fitting(value: Value) -> Value:
    """Return a value as a cell of a workbook may hold it; no text is a formula."""
    if not isinstance(value, str):
        return value
    text = guarded(value)
    if len(text) > MAX_CELL_CHARS:
        raise TooMuchForSheetError(
            T_(
                "a text has %(characters)s characters, a cell of a workbook holds %(most)s; take csv or jsonl",
                characters=f"{len(value):,}",
                most=f"{MAX_CELL_CHARS:,}",
            )
        )
    return text


def _cell(sheet: Any, value: Value) -> Any:
    from openpyxl.cell import WriteOnlyCell

    text = _fitting(value)
    if not isinstance(text, str):
        return text
    # What looks like a character's code (_x003D_) would be shown as that character.
    cell = WriteOnlyCell(sheet, _CODE.sub("_x005F_", text))
    # Said to be text, whatever it begins with.
    cell.data_type, cell.number_format = "s", "@"
    return cell


def _csv_lines(rows: Iterable[list[Value]]) -> bytes:
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows(rows)
    return lines.getvalue().encode()


def _safe(value: Value) -> Value:
    return guarded(value) if isinstance(value, str) else value


def _sheet(kind: Kind, records: Callable[[Document], Iterable[Document]]) -> Sheet:
    columns = COLUMNS[kind]

    def rows(document: Document) -> Iterator[list[Value]]:
        for record in records(document):
            yield [_value(column, record.get(column.field)) for column in columns]

    return Sheet(f"{kind} {label(kind)}", tuple(column.heading for column in columns), rows)


def _evidence(lab: Document) -> list[Document]:
    return [{"lab": lab["id"], **item} for item in lab.get("evidence") or ()]


def _value(column: Column, value: Any) -> Value:
    """Return a field as the readers read it again; a list as a JSON array where they would take a part otherwise."""
    if not isinstance(value, list):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        return literal(column.field, str(value)) if value else ""
    parts = [_line(item) if isinstance(item, Mapping) else str(item) for item in value]
    if column.cell is Cell.PARTNERS:
        as_lines = [partner_of(part) for part in parts] == value
    else:
        as_lines = not any(_SPLIT[column.cell].search(part) for part in parts)
    if not as_lines or any(is_taken_otherwise(column.field, part) for part in parts):
        return json.dumps(value, ensure_ascii=False)
    if parts and parts[0].startswith("["):
        return json.dumps(value, ensure_ascii=False)
    return "\n".join(parts)


def _line(item: Mapping[str, Any]) -> str:
    """Return an ask or a partner as people write it in a line."""
    if "kind" in item:
        return f"{item['kind']}: {item['text']}"
    return " ".join(str(item[name]) for name in ("school", "since", "until") if item.get(name))


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
