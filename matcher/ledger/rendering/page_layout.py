"""How a report lies on paper, whatever the kind of file: heads on two levels, merged cells, footnotes, annexes.

In: a report and a language. Out: texts in the places that they have on a page: the block of the heading, each table
with its head rows and with cells that span rows, its footnotes, the list of the entries behind each figure, the
chains' heads, and who signs. It exists so that PDF, DOCX and ODT (and HTML, which has more than texts) are one paper
and not three, and so that the paper is the Ministry's: what is said once in several rows is printed once in a tall
cell, and what nobody but an auditor reads comes last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from indexer.wording import T_, Text
from matcher.ledger.rendering.report_texts import (
    ANNEX,
    HEADS,
    HEADS_SAY,
    NOTES,
    NOTHING,
    PAGE,
    ReportLanguage,
    as_of_line,
    display_width,
    head_lines,
    head_title,
    place_of,
    said,
    shown,
)
from matcher.ledger.reports.document import CellKind, ReportCell, ReportColumn, ReportDocument, ReportTable

_NARROW, _MOST_WEIGHT, _ROOM = 12, 40, 24
_UNBROKEN = 18
"""An id or a quarter of at most so many columns stays on one line."""
_IN_ONE = re.compile(r"[!-~]*|\d+ 年第 \d 季")
_SHORT = 14
"""A remark that short stands in its empty cell, instead of a mark of a footnote."""


@dataclass(frozen=True)
class HeadCell:
    """A cell of a table's head: its column (from 0), and how many columns and rows it takes."""

    title: Text
    column: int
    columns: int = 1
    rows: int = 1


def head_rows(columns: Sequence[ReportColumn]) -> list[list[HeadCell]]:
    """Return a table's head: one row, or two where columns stand together below a title of a second level."""
    if not any(column.group for column in columns):
        return [[HeadCell(head_title(column), place) for place, column in enumerate(columns)]]
    above: list[HeadCell] = []
    below: list[HeadCell] = []
    place = 0
    while place < len(columns):
        group = columns[place].group
        if group is None:
            above.append(HeadCell(head_title(columns[place]), place, rows=2))
            place += 1
            continue
        last = place
        while last < len(columns) and columns[last].group == group:
            below.append(HeadCell(head_title(columns[last]), last))
            last += 1
        above.append(HeadCell(group, place, columns=last - place))
        place = last
    return [above, below]


def row_spans(table: ReportTable) -> list[list[int]]:
    """Return for each cell how many rows it takes; 0 for one that the cell above it stands for.

    Columns are merged from the left: a cell is joined to the one above it only where those before it are.
    """
    spans = [[1] * len(table.columns) for _ in table.rows]
    begins = [0] * len(table.columns)
    for number in range(1, len(table.rows)):
        joined = True
        for place, column in enumerate(table.columns):
            if not column.merged:
                continue
            above, here = table.rows[begins[place]][place], table.rows[number][place]
            joined = joined and (above.value, above.entries, above.remark) == (here.value, here.entries, here.remark)
            if joined:
                spans[begins[place]][place] += 1
                spans[number][place] = 0
            else:
                begins[place] = number
    return spans


@dataclass(frozen=True)
class PaperCell:
    """A cell of a page: its text, the marks of what is said of it below, how many rows it takes, whether a number."""

    text: str
    mark: str = ""
    rows: int = 1
    is_number: bool = False


@dataclass(frozen=True)
class PaperHead:
    """A cell of a head: see `HeadCell`."""

    text: str
    column: int
    columns: int
    rows: int


@dataclass(frozen=True)
class PaperTable:
    """A table of a page. `weights` say how much width a column wants, None for as much as its content needs.

    In `rows` a cell that another one above stands for is None. Where `new_page`, it begins a page.
    """

    title: str
    head: tuple[tuple[PaperHead, ...], ...]
    weights: tuple[int | None, ...]
    rows: tuple[tuple[PaperCell | None, ...], ...]
    notes: tuple[str, ...]
    new_page: bool = False


@dataclass(frozen=True)
class Paper:
    """A whole report as it lies on pages; every text is in the chosen language."""

    title: str
    as_of: str
    page: str
    heading: tuple[tuple[str, str], ...]
    signers: tuple[str, ...]
    tables: tuple[PaperTable, ...]
    notes_title: str
    notes: tuple[str, ...]
    annex_title: str
    annex: tuple[tuple[str, str], ...]
    heads_title: str
    heads: tuple[str, ...]
    heads_note: str


def on_paper(document: ReportDocument, language: ReportLanguage) -> Paper:
    """Return a report as it lies on pages."""
    annex: list[tuple[str, str]] = []
    behind: _Behind = {}
    return Paper(
        title=said(document.title, language),
        as_of=as_of_line(document, language),
        page=said(PAGE, language),
        heading=tuple((said(label, language), said(value, language)) for label, value in document.heading.lines),
        signers=tuple(said(one, language) for one in document.heading.signers),
        tables=tuple(_paper_table(table, annex, behind, language) for table in document.tables),
        notes_title=said(NOTES, language),
        notes=tuple(said(note, language) for note in document.notes),
        annex_title=said(ANNEX, language),
        annex=tuple(annex),
        heads_title=said(HEADS, language),
        heads=tuple(head_lines(document, language)),
        heads_note=said(HEADS_SAY, language),
    )


_Behind = dict[tuple[str, ...], int]


def _entries(cell: ReportCell, behind: _Behind, language: ReportLanguage) -> str:
    """Return what the annex says of a figure: its entries, or which earlier figure is made of the very same ones."""
    earlier = behind.get(cell.entries)
    if earlier is None or len(cell.entries) == 1:
        return ", ".join(cell.entries)
    return said(T_("as entry %(number)s", number=earlier), language)


def _paper_table(
    table: ReportTable, annex: list[tuple[str, str]], behind: _Behind, language: ReportLanguage
) -> PaperTable:
    title = said(table.title, language)
    remarks: dict[str, int] = {}
    rows: list[tuple[PaperCell | None, ...]] = []
    for row, spans in zip(table.rows, row_spans(table), strict=True):
        cells: list[PaperCell | None] = []
        for place, cell in enumerate(row):
            if not spans[place]:
                cells.append(None)
                continue
            marks = []
            if cell.entries:
                annex.append((f"{title}: {place_of(table, row, place, language)}", _entries(cell, behind, language)))
                behind.setdefault(cell.entries, len(annex))
                marks.append(str(len(annex)))
            text = shown(cell.value, table.columns[place].kind, language)
            remark = "" if cell.remark is None else said(cell.remark, language)
            if remark and not text and display_width(remark) <= _SHORT:
                text = remark
            elif remark:
                marks.append(f"*{remarks.setdefault(remark, len(remarks) + 1)}")
            number = isinstance(cell.value, int | float)
            cells.append(PaperCell(text, f"[{', '.join(marks)}]" if marks else "", spans[place], number))
        rows.append(tuple(cells))
    heads = head_rows(table.columns)
    return PaperTable(
        title=title,
        head=tuple(
            tuple(PaperHead(said(one.title, language), one.column, one.columns, one.rows) for one in line)
            for line in heads
        ),
        weights=tuple(
            _weight(column, said(head_title(column), language), [row[place] for row in rows])
            for place, column in enumerate(table.columns)
        ),
        rows=tuple(rows),
        notes=(
            *(f"*{number} {remark}" for remark, number in remarks.items()),
            *(said(note, language) for note in (*([] if table.rows else [NOTHING]), *table.notes)),
        ),
        new_page=table.new_page,
    )


def _weight(column: ReportColumn, title: str, cells: Sequence[PaperCell | None]) -> int | None:
    """Return how much of a page's width a column wants next to others; None for one that is as wide as its content."""
    if column.room:
        return _ROOM
    texts = [cell.text for cell in cells if cell is not None]
    widest = max(map(display_width, [title, *texts]))
    unbroken = widest <= _UNBROKEN and all(_IN_ONE.fullmatch(text) for text in texts)
    if widest <= _NARROW or unbroken or column.kind is not CellKind.TEXT:
        return None
    return min(_MOST_WEIGHT, widest) + 2
