"""A report as JSON, for programs.

In: a report. Out: UTF-8 with stable names and both languages. It exists so that
another system reads figures without parsing a page; amounts are numbers, days
ISO dates, and every figure names its entries.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson

from indexer.wording import Text
from matcher.ledger.document import Cell, ReportDocument, Table, Value


def render_json(document: ReportDocument) -> bytes:
    """Return a report as a JSON document."""
    said = {
        "name": document.name,
        "title": _text(document.title),
        "as_of": document.as_of.isoformat(),
        "heads": [{"chain": one.chain, "n": one.n, "hash": one.hash, "at": one.at} for one in document.heads],
        "tables": [_table(table) for table in document.tables],
        "notes": [_text(note) for note in document.notes],
    }
    return orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": _text(table.title),
        "columns": [{"title": _text(column.title), "kind": column.kind.value} for column in table.columns],
        "rows": [[_cell(cell) for cell in row] for row in table.rows],
        "notes": [_text(note) for note in table.notes],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    remark = None if cell.remark is None else _text(cell.remark)
    return {"value": _value(cell.value), "entries": list(cell.entries), "remark": remark}


def _value(value: Value) -> Any:
    if isinstance(value, Text):
        return _text(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def _text(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}
