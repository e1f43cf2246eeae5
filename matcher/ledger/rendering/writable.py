"""A report whose texts every file can hold.

In: a report as its author made it. Out: the same with each character that XML
or UTF-8 can't hold replaced. It exists so that no format has to think of it:
one control character in a company's name must not keep a report from being
written.
"""

from __future__ import annotations

import re
from dataclasses import replace

from indexer.wording import Text, either
from matcher.ledger.document import Cell, ReportDocument, Table

# What XML can't hold, and halves of characters that no encoding can.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def writable(text: str) -> str:
    """Return a text with each character that no file can hold replaced by U+FFFD."""
    return _UNWRITABLE.sub("\ufffd", text)


def writable_report(document: ReportDocument) -> ReportDocument:
    """Return a report with all of its texts writable."""
    return replace(
        document,
        title=_both(document.title),
        tables=tuple(_table(table) for table in document.tables),
        notes=tuple(map(_both, document.notes)),
    )


def _both(text: Text) -> Text:
    return either(writable(text.zh), writable(text.en))


def _table(table: Table) -> Table:
    return Table(
        title=_both(table.title),
        columns=tuple(replace(column, title=_both(column.title)) for column in table.columns),
        rows=tuple(tuple(map(_cell, row)) for row in table.rows),
        notes=tuple(map(_both, table.notes)),
    )


def _cell(cell: Cell) -> Cell:
    value = cell.value
    if isinstance(value, Text):
        value = _both(value)
    elif isinstance(value, str):
        value = writable(value)
    remark = None if cell.remark is None else _both(cell.remark)
    return Cell(value, tuple(map(writable, cell.entries)), remark)
