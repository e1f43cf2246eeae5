"""A report as PDF, typeset by typst.

In: a report and a language. Out: a tagged PDF with its fonts inside. It exists
for paper and for files that are kept. The template is fixed; all of the report
goes in as JSON, whose texts typst sets as they are and never reads as markup.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import typst
from pylopdf_fonts_zh_tw import sans_path

from matcher.ledger.document import CellKind, Column, ReportDocument, Table
from matcher.ledger.rendering.wording import (
    ENTRIES,
    HEADS,
    HEADS_SAY,
    LANG_TAGS,
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

_NARROW, _MOST_WEIGHT = 12, 40
TEMPLATE = Path(__file__).parent / "templates" / "report.typ"


def render_pdf(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as PDF."""
    (pdf,) = typeset(document, language, "pdf")
    return pdf


def typeset(document: ReportDocument, language: ReportLanguage, form: str) -> list[bytes]:
    """Return a report typeset as one PDF, or as one picture (`png`, `svg`) for each page."""
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[sans_path().parent])
    made = typst.compile(
        TEMPLATE.read_bytes(),
        format=form,  # type: ignore[call-overload]
        font_paths=fonts,
        sys_inputs={"report": orjson.dumps(_said(document, language)).decode()},
    )
    return [made] if isinstance(made, bytes) else list(made)


def _weight(column: Column, title: str, texts: list[str]) -> int | None:
    """Return how much of a page's width a column wants next to others; None for one that is as wide as its content."""
    widest = max(map(display_width, [title, *texts]))
    if widest <= _NARROW or column.kind not in (CellKind.TEXT, CellKind.DATE):
        return None
    return min(_MOST_WEIGHT, widest) + 2


def _said(document: ReportDocument, language: ReportLanguage) -> dict[str, Any]:
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
        "tables": [_table(table, figures, language) for table in document.tables],
        "notes": {"title": said(NOTES, language), "lines": [said(note, language) for note in document.notes]},
        "entries": {"title": said(ENTRIES, language), "figures": figures},
    }


def _table(table: Table, figures: list[dict[str, str]], language: ReportLanguage) -> dict[str, Any]:
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
