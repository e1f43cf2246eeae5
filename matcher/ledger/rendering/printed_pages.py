"""A report as pages to read and print: HTML that needs nothing else, or PDF, typeset by typst.

In: a report and a language. Out: a page without scripts, addresses or pictures, with styles for paper; or a tagged
PDF with its fonts inside. It exists for paper, and for files that are opened anywhere and kept. In HTML every text
goes through the template's escaping, and each figure leads to its entries in the appendix. For PDF the template is
fixed; all of the report goes in as JSON, whose texts typst sets as they are and never reads as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from indexer.wording import Text
from matcher.ledger.rendering.report_texts import (
    ENTRIES,
    FIGURE,
    HEADS,
    HEADS_SAY,
    LANG_TAGS,
    NOT_IN_THE_FONT,
    NOTES,
    PAGE,
    ReportLanguage,
    as_of_line,
    display_width,
    head_line,
    place_of,
    said,
    shown,
)
from matcher.ledger.rendering.typesetting import code_point, set_in_type, typed
from matcher.ledger.reports.document import CellKind, ReportColumn, ReportDocument, ReportTable, Value

_HTML_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class _HtmlFigure:
    """A figure with entries: its number, by which page and appendix refer to each other, and its name."""

    number: int
    table: Text
    place: str
    entries: tuple[str, ...]


def render_html(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as a page."""
    figures: list[_HtmlFigure] = []
    tables = [_html_table(table, figures, language) for table in document.tables]
    page = _html_template().render(
        lang=LANG_TAGS[language],
        title=document.title,
        plain_title=said(document.title, language),
        as_of=as_of_line(document, language),
        tables=tables,
        figures=figures,
        notes=document.notes,
        heads=[head_line(head, language) for head in document.heads],
        words={"entries": ENTRIES, "figure": FIGURE, "heads": HEADS, "heads_say": HEADS_SAY, "notes": NOTES},
        say=lambda text: _marked(text, language),
    )
    return page.encode()


@cache
def _html_template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HTML_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html")


def _marked(text: Text, language: ReportLanguage) -> Markup:
    """Return a text, escaped, each language marked as what it is."""
    parts = {"zh-Hant-TW": text.zh, "en": text.en}
    if language is not ReportLanguage.BOTH or text.zh == text.en:
        return Markup.escape(said(text, language))
    span = Markup('<span lang="{}">{}</span>')
    return Markup(" ").join(span.format(tag, part) for tag, part in parts.items())


def _html_table(table: ReportTable, figures: list[_HtmlFigure], language: ReportLanguage) -> dict[str, Any]:
    rows = []
    remarks: dict[Text, int] = {}
    for row in table.rows:
        cells = []
        for number, cell in enumerate(row):
            kind, figure, remark = table.columns[number].kind, None, None
            if cell.entries:
                place = place_of(table, row, number, language)
                figures.append(_HtmlFigure(len(figures) + 1, table.title, place, cell.entries))
                figure = len(figures)
            if cell.remark is not None:
                remark = remarks.setdefault(cell.remark, len(remarks) + 1)
            cells.append(
                {
                    "value": _marked_value(cell.value, kind, language),
                    "number": isinstance(cell.value, int | float),
                    "figure": figure,
                    "remark": remark,
                }
            )
        rows.append(cells)
    below = {"remarks": list(remarks), "notes": table.notes}
    return {"title": table.title, "columns": table.columns, "rows": rows, **below}


def _marked_value(value: Value, kind: CellKind, language: ReportLanguage) -> Markup:
    if isinstance(value, Text):
        return _marked(value, language)
    return Markup.escape(shown(value, kind, language))


_NARROW, _MOST_WEIGHT = 12, 40
_TYPST_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"


def not_in_the_font(document: ReportDocument, language: ReportLanguage) -> list[str]:
    """Return the characters of a report that its PDF has to show as their numbers."""
    missing: dict[str, None] = {}
    typed(_typst_input(document, language), missing)
    return list(missing)


def render_pdf(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as PDF."""
    (pdf,) = typeset(document, language, "pdf")
    return pdf


def typeset(document: ReportDocument, language: ReportLanguage, form: str) -> list[bytes]:
    """Return a report typeset as one PDF, or as one picture (`png`, `svg`) for each page."""
    return set_in_type(_TYPST_TEMPLATE.read_bytes(), "report", _told(document, language), form=form)


def _told(document: ReportDocument, language: ReportLanguage) -> dict[str, Any]:
    missing: dict[str, None] = {}
    given: dict[str, Any] = typed(_typst_input(document, language), missing)
    if missing:
        listed = ", ".join(map(code_point, missing))
        given["notes"]["lines"].append(said(NOT_IN_THE_FONT, language) + listed)
    return given


def _weight(column: ReportColumn, title: str, texts: list[str]) -> int | None:
    """Return how much of a page's width a column wants next to others; None for one that is as wide as its content."""
    widest = max(map(display_width, [title, *texts]))
    if widest <= _NARROW or column.kind not in (CellKind.TEXT, CellKind.DATE):
        return None
    return min(_MOST_WEIGHT, widest) + 2


def _typst_input(document: ReportDocument, language: ReportLanguage) -> dict[str, Any]:
    figures: list[dict[str, str]] = []
    return {
        "lang": LANG_TAGS[language].partition("-")[0],
        "title": said(document.title, language),
        "as_of": as_of_line(document, language),
        "page": said(PAGE, language),
        "heads": {
            "title": said(HEADS, language),
            "lines": [head_line(head, language) for head in document.heads],
            "note": said(HEADS_SAY, language),
        },
        "tables": [_typst_table(table, figures, language) for table in document.tables],
        "notes": {"title": said(NOTES, language), "lines": [said(note, language) for note in document.notes]},
        "entries": {"title": said(ENTRIES, language), "figures": figures},
    }


def _typst_table(table: ReportTable, figures: list[dict[str, str]], language: ReportLanguage) -> dict[str, Any]:
    title = said(table.title, language)
    rows = []
    remarks: dict[str, int] = {}
    for row in table.rows:
        cells = []
        for number, cell in enumerate(row):
            marks = []
            if cell.entries:
                place = f"{title}, {place_of(table, row, number, language)}"
                figures.append({"place": place, "entries": ", ".join(cell.entries)})
                marks.append(str(len(figures)))
            if cell.remark is not None:
                marks.append(f"*{remarks.setdefault(said(cell.remark, language), len(remarks) + 1)}")
            text = shown(cell.value, table.columns[number].kind, language)
            cells.append({"text": text, "mark": f" [{', '.join(marks)}]" if marks else ""})
        rows.append(cells)
    return {
        "title": title,
        "columns": [
            {
                "title": said(column.title, language),
                "right": column.kind not in (CellKind.TEXT, CellKind.DATE),
                "weight": _weight(column, said(column.title, language), [row[number]["text"] for row in rows]),
            }
            for number, column in enumerate(table.columns)
        ],
        "rows": rows,
        "notes": [
            *(f"*{number} {remark}" for remark, number in remarks.items()),
            *(said(note, language) for note in table.notes),
        ],
    }
