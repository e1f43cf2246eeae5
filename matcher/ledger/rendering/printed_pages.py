"""A report as pages to read and print: HTML that needs nothing else, or PDF, typeset by typst.

In: a report and a language. Out: a page without scripts, addresses or pictures, with styles for paper; or a tagged
PDF with its fonts inside. It exists for paper, and for files that are opened anywhere and kept. In HTML every text
goes through the template's escaping, and each figure leads to its entries in the appendix. For PDF the template is
fixed; all of the report goes in as JSON, whose texts typst sets as they are and never reads as markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from indexer.wording import Text
from matcher.ledger.rendering.page_layout import PaperTable, head_rows, on_paper, row_spans
from matcher.ledger.rendering.report_texts import (
    ANNEX,
    FIGURE,
    HEADS,
    HEADS_SAY,
    LANG_TAGS,
    NOT_IN_THE_FONT,
    NOTES,
    ReportLanguage,
    as_of_line,
    head_lines,
    place_of,
    said,
    shown,
)
from matcher.ledger.rendering.typesetting import code_point, set_in_type, typed
from matcher.ledger.reports.document import CellKind, ReportDocument, ReportTable, Value

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
        heading=document.heading,
        heads=head_lines(document, language),
        words={"entries": ANNEX, "figure": FIGURE, "heads": HEADS, "heads_say": HEADS_SAY, "notes": NOTES},
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
    for row, spans in zip(table.rows, row_spans(table), strict=True):
        cells = []
        for number, cell in enumerate(row):
            if not spans[number]:
                continue
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
                    "rows": spans[number],
                }
            )
        rows.append(cells)
    below = {"remarks": list(remarks), "notes": table.notes}
    return {"title": table.title, "head": head_rows(table.columns), "rows": rows, **below}


def _marked_value(value: Value, kind: CellKind, language: ReportLanguage) -> Markup:
    if isinstance(value, Text):
        return _marked(value, language)
    return Markup.escape(shown(value, kind, language))


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


# A figure with its unit, and a day, stay on one line; the rest of a text breaks where its language does.
_NUMBER = re.compile(
    r"\d+ 年 \d+ 月 \d+ 日|\d+ 年第 \d 季|\d{4}-\d\d-\d\d|"
    r"(?<![\w./:-])[+-]?(?:NT\$ )?\d[\d,.]*\d?(?: ?(?:億元|千元|億|元|人|家|件|個|案|年度|年|月|日|季|%))?(?![\w/:-])"
)
_BREAKS = re.compile(r"[-_.,:/?&=](?=[!-~])|[!-~]{12}")
_Piece = dict[str, Any]


def _pieces(text: str) -> list[_Piece]:
    """Return a text in pieces between which a line may break where its words are too long; numbers stay whole."""
    found: list[_Piece] = []
    last = 0
    for number in _NUMBER.finditer(text):
        found += _breakable(text[last : number.start()])
        found.append({"text": number[0], "whole": True})
        last = number.end()
    return [*found, *_breakable(text[last:])]


def _breakable(text: str) -> list[_Piece]:
    parts = _BREAKS.sub(lambda found: found[0] + "\u200b", text).split("\u200b")
    return [{"text": part, "whole": False} for part in parts if part]


def _head_pieces(line: str) -> list[_Piece]:
    """Return a head's line so that it breaks before its moment, never inside it."""
    before, bracket, moment = line.partition("(")
    return [*_breakable(before), *([{"text": bracket + moment, "whole": True}] if moment else [])]


def _typst_input(document: ReportDocument, language: ReportLanguage) -> dict[str, Any]:
    paper = on_paper(document, language)
    return {
        "lang": LANG_TAGS[language].partition("-")[0],
        "title": paper.title,
        # Texts of a page lie packed in a PDF; its metadata can be read by any program.
        "seal": document.seal,
        "as_of": paper.as_of,
        "page": paper.page,
        "heading": [list(line) for line in paper.heading],
        "signers": list(paper.signers),
        "heads": {
            "title": paper.heads_title,
            "lines": [_head_pieces(line) for line in paper.heads],
            "note": paper.heads_note,
        },
        "tables": [_typst_table(table) for table in paper.tables],
        "notes": {"title": paper.notes_title, "lines": list(paper.notes)},
        "entries": {
            "title": paper.annex_title,
            "figures": [{"place": place, "entries": _breakable(entries)} for place, entries in paper.annex],
        },
    }


def _typst_table(table: PaperTable) -> dict[str, Any]:
    return {
        "title": table.title,
        "new_page": table.new_page,
        "weights": list(table.weights),
        "head": [
            [{"text": one.text, "columns": one.columns, "rows": one.rows, "x": one.column} for one in line]
            for line in table.head
        ],
        "rows": [
            [
                {
                    "pieces": [_pieces(line) for line in cell.text.split("\n")],
                    "mark": cell.mark,
                    "rows": cell.rows,
                    "right": cell.is_number,
                    "x": place,
                }
                for place, cell in enumerate(row)
                if cell is not None
            ]
            for row in table.rows
        ],
        "notes": list(table.notes),
    }
