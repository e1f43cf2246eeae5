"""The formats of reports: one function for all of them, and the two that need no library, CSV and JSON.

In: a report, a format and a language. Out: the bytes of a file. It exists so that whoever asks for a file, on the
command line or over HTTP, imports only the libraries of the kind that is asked for.

CSV is for every program: UTF-8 with a byte order mark, which spreadsheet programs need to see that it is UTF-8; a
text that a program would compute gets an apostrophe, numbers stay plain, and each row ends with its remarks and the
entries behind its figures. JSON is for other systems: stable names, both languages, amounts as numbers, days as ISO
dates, and every figure names its entries.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date
from enum import StrEnum
from typing import Any

import orjson

from indexer.plain_text import guarded
from indexer.wording import Text
from matcher.ledger.rendering.report_texts import (
    ENTRIES,
    HEADS,
    NOTES,
    REMARKS,
    ReportLanguage,
    as_of_line,
    head_lines,
    head_title,
    plain,
    said,
    writable_report,
)
from matcher.ledger.reports.document import ReportCell, ReportDocument, ReportTable, Value


class ReportFormat(StrEnum):
    """What kind of file; the value is the end of its name."""

    XLSX = "xlsx"
    ODS = "ods"
    DOCX = "docx"
    ODT = "odt"
    CSV = "csv"
    PDF = "pdf"
    HTML = "html"
    JSON = "json"


MEDIA_TYPES = {
    ReportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ReportFormat.ODS: "application/vnd.oasis.opendocument.spreadsheet",
    ReportFormat.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ReportFormat.ODT: "application/vnd.oasis.opendocument.text",
    ReportFormat.CSV: "text/csv; charset=utf-8",
    ReportFormat.PDF: "application/pdf",
    ReportFormat.HTML: "text/html; charset=utf-8",
    ReportFormat.JSON: "application/json",
}


def render(document: ReportDocument, form: ReportFormat, language: ReportLanguage = ReportLanguage.ZH) -> bytes:
    """Return a report as a file. JSON always has both languages.

    Raises:
        ReportTooLargeError: a workbook can't hold the report.
    """
    document = writable_report(document)
    if form is ReportFormat.JSON:
        return render_json(document)
    if form is ReportFormat.CSV:
        return render_csv(document, language)
    if form is ReportFormat.XLSX:
        from matcher.ledger.rendering.workbooks import render_xlsx as render_as
    elif form is ReportFormat.ODS:
        from matcher.ledger.rendering.workbooks import render_ods as render_as
    elif form is ReportFormat.DOCX:
        from matcher.ledger.rendering.text_documents import render_docx as render_as
    elif form is ReportFormat.ODT:
        from matcher.ledger.rendering.text_documents import render_odt as render_as
    elif form is ReportFormat.PDF:
        from matcher.ledger.rendering.printed_pages import render_pdf as render_as
    else:
        from matcher.ledger.rendering.printed_pages import render_html as render_as
    return render_as(document, language)


_CsvRow = Sequence[str | int | float | None]


def render_csv(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as CSV: its title and heads, then its tables, each below its title and a blank line."""
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([_csv_safe(value) for value in row] for row in _csv_rows(document, language))
    return ("\ufeff" + lines.getvalue()).encode()


def _csv_rows(document: ReportDocument, language: ReportLanguage) -> Iterator[_CsvRow]:
    yield [said(document.title, language)]
    yield [as_of_line(document, language)]
    yield from ([said(label, language), said(value, language)] for label, value in document.heading.lines)
    yield from ([said(HEADS, language), line] for line in head_lines(document, language))
    for table in document.tables:
        yield []
        yield [said(table.title, language)]
        yield from _csv_table(table, language)
        yield from ([said(NOTES, language), said(note, language)] for note in table.notes)
    if document.notes:
        yield []
        yield from ([said(NOTES, language), said(note, language)] for note in document.notes)


def _csv_table(table: ReportTable, language: ReportLanguage) -> Iterator[_CsvRow]:
    titles = [" ".join(said(text, language) for text in (one.group, head_title(one)) if text) for one in table.columns]
    yield [*titles, said(REMARKS, language), said(ENTRIES, language)]
    for row in table.rows:
        ids = dict.fromkeys(entry_id for cell in row for entry_id in cell.entries)
        yield [*(_csv_value(cell, language) for cell in row), _csv_remarks(table, row, language), " ".join(ids)]


def _csv_remarks(table: ReportTable, row: tuple[ReportCell, ...], language: ReportLanguage) -> str:
    columns = zip(table.columns, row, strict=True)
    remarks = [(column.title, cell.remark) for column, cell in columns if cell.remark is not None]
    return "; ".join(f"{said(title, language)}: {said(text, language)}" for title, text in remarks)


def _csv_value(cell: ReportCell, language: ReportLanguage) -> str | int | float | None:
    value = plain(cell.value, language)
    return value.isoformat() if isinstance(value, date) else value


def _csv_safe(value: str | int | float | None) -> str | int | float | None:
    return guarded(value.lstrip()) if isinstance(value, str) else value


def render_json(document: ReportDocument) -> bytes:
    """Return a report as a JSON document."""
    said = {
        "name": document.name,
        "title": _json_text(document.title),
        "as_of": document.as_of.isoformat(),
        "heading": [
            {"label": _json_text(label), "value": _json_text(value)} for label, value in document.heading.lines
        ],
        "heads": [{"chain": one.chain, "n": one.n, "hash": one.hash, "at": one.at} for one in document.heads],
        "signed_heads": document.seal,
        "tables": [_json_table(table) for table in document.tables],
        "notes": [_json_text(note) for note in document.notes],
    }
    return orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _json_table(table: ReportTable) -> dict[str, Any]:
    return {
        "title": _json_text(table.title),
        "columns": [{"title": _json_text(column.title), "kind": column.kind.value} for column in table.columns],
        "rows": [[_json_cell(cell) for cell in row] for row in table.rows],
        "notes": [_json_text(note) for note in table.notes],
    }


def _json_cell(cell: ReportCell) -> dict[str, Any]:
    remark = None if cell.remark is None else _json_text(cell.remark)
    return {"value": _json_value(cell.value), "entries": list(cell.entries), "remark": remark}


def _json_value(value: Value) -> Any:
    if isinstance(value, Text):
        return _json_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def _json_text(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}
