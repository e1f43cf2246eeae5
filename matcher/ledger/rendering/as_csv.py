"""A report as one CSV file.

In: a report and a language. Out: UTF-8 with a byte order mark, which spreadsheet
programs need to see that it is UTF-8. It exists because every program reads it.
A text that a program would compute gets an apostrophe; numbers stay plain.
Each row ends with its remarks and the entries behind its figures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date

from indexer.formulas import guarded
from matcher.ledger.document import Cell, ReportDocument, Table
from matcher.ledger.rendering.wording import (
    ENTRIES,
    HEADS,
    NOTES,
    REMARKS,
    ReportLanguage,
    as_of_line,
    head_line,
    plain,
    said,
)

_Row = Sequence[str | int | float | None]


def render_csv(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as CSV: its title and heads, then its tables, each below its title and a blank line."""
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([_safe(value) for value in row] for row in _rows(document, language))
    return ("\ufeff" + lines.getvalue()).encode()


def _rows(document: ReportDocument, language: ReportLanguage) -> Iterator[_Row]:
    yield [said(document.title, language)]
    yield [as_of_line(document, language)]
    yield from ([said(HEADS, language), head_line(head, language)] for head in document.heads)
    for table in document.tables:
        yield []
        yield [said(table.title, language)]
        yield from _table(table, language)
        yield from ([said(NOTES, language), said(note, language)] for note in table.notes)
    if document.notes:
        yield []
        yield from ([said(NOTES, language), said(note, language)] for note in document.notes)


def _table(table: Table, language: ReportLanguage) -> Iterator[_Row]:
    titles = [said(column.title, language) for column in table.columns]
    yield [*titles, said(REMARKS, language), said(ENTRIES, language)]
    for row in table.rows:
        ids = dict.fromkeys(entry_id for cell in row for entry_id in cell.entries)
        yield [*(_value(cell, language) for cell in row), _remarks(table, row, language), " ".join(ids)]


def _remarks(table: Table, row: tuple[Cell, ...], language: ReportLanguage) -> str:
    columns = zip(table.columns, row, strict=True)
    remarks = [(column.title, cell.remark) for column, cell in columns if cell.remark is not None]
    return "; ".join(f"{said(title, language)}: {said(text, language)}" for title, text in remarks)


def _value(cell: Cell, language: ReportLanguage) -> str | int | float | None:
    value = plain(cell.value, language)
    return value.isoformat() if isinstance(value, date) else value


def _safe(value: str | int | float | None) -> str | int | float | None:
    return guarded(value.lstrip()) if isinstance(value, str) else value
