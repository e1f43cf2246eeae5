"""A report as one HTML page that needs nothing else.

In: a report and a language. Out: a page without scripts, addresses or pictures,
with styles for paper. It exists to be opened and printed anywhere. Every text
goes through the template's escaping; each figure leads to its entries in the
appendix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from indexer.wording import Text
from matcher.ledger.document import CellKind, ReportDocument, Table, Value
from matcher.ledger.rendering.wording import (
    ENTRIES,
    FIGURE,
    HEADS,
    HEADS_SAY,
    LANG_TAGS,
    NOTES,
    ReportLanguage,
    as_of_line,
    head_line,
    place_of,
    said,
    shown,
)

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class _Figure:
    """A figure with entries: its number, by which page and appendix refer to each other, and its name."""

    number: int
    table: Text
    place: str
    entries: tuple[str, ...]


def render_html(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as a page."""
    figures: list[_Figure] = []
    tables = [_table(table, figures, language) for table in document.tables]
    page = _template().render(
        lang=LANG_TAGS[language],
        title=document.title,
        plain_title=said(document.title, language),
        as_of=as_of_line(document, language),
        tables=tables,
        figures=figures,
        notes=document.notes,
        heads=[head_line(head, language) for head in document.heads],
        words={"entries": ENTRIES, "figure": FIGURE, "heads": HEADS, "heads_say": HEADS_SAY, "notes": NOTES},
        say=lambda text: _said(text, language),
    )
    return page.encode()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html")


def _said(text: Text, language: ReportLanguage) -> Markup:
    """Return a text, escaped, each language marked as what it is."""
    parts = {"zh-Hant-TW": text.zh, "en": text.en}
    if language is not ReportLanguage.BOTH or text.zh == text.en:
        return Markup.escape(said(text, language))
    span = Markup('<span lang="{}">{}</span>')
    return Markup(" ").join(span.format(tag, part) for tag, part in parts.items())


def _table(table: Table, figures: list[_Figure], language: ReportLanguage) -> dict[str, Any]:
    rows = []
    remarks: dict[Text, int] = {}
    for row in table.rows:
        cells = []
        for number, cell in enumerate(row):
            kind, figure, remark = table.columns[number].kind, None, None
            if cell.entries:
                place = place_of(table, row, number, language)
                figures.append(_Figure(len(figures) + 1, table.title, place, cell.entries))
                figure = len(figures)
            if cell.remark is not None:
                remark = remarks.setdefault(cell.remark, len(remarks) + 1)
            cells.append(
                {
                    "value": _shown(cell.value, kind, language),
                    "number": isinstance(cell.value, int | float),
                    "figure": figure,
                    "remark": remark,
                }
            )
        rows.append(cells)
    below = {"remarks": list(remarks), "notes": table.notes}
    return {"title": table.title, "columns": table.columns, "rows": rows, **below}


def _shown(value: Value, kind: CellKind, language: ReportLanguage) -> Markup:
    if isinstance(value, Text):
        return _said(value, language)
    return Markup.escape(shown(value, kind, language))
