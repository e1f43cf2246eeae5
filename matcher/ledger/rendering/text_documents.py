"""A report as a text document: DOCX, or ODT (OpenDocument), which the Ministry asks for beside it.

In: a report and a language. Out: the bytes of a document for a word processor: landscape A4 with the block of the
heading, tables whose head is repeated on every page and whose cells are merged, the seals, annexes, and on every page
its number and how many there are. It exists because a paper that is handed in is completed by hand before: who gets
it writes into it. Both formats are written from the same layout as the PDF (`page_layout`), so they say the same.

Every text is put in as text, never as markup, and no cell is wider than a page: long ids and hashes may break.
"""

from __future__ import annotations

import io
from math import ceil
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import docx
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt
from odfdo import Document as OdfDocument
from odfdo import Element, Style

from matcher.ledger.rendering.page_layout import Paper, PaperCell, PaperTable, on_paper
from matcher.ledger.rendering.report_texts import LANG_TAGS, ReportLanguage, display_width, said
from matcher.ledger.reports.document import ReportDocument

_FONT, _CHINESE_FONT = "Times New Roman", "標楷體"
_WIDTH_CM, _HEIGHT_CM, _MARGIN_CM = 29.7, 21.0, 1.5
_TEXT_CM = _WIDTH_CM - 2 * _MARGIN_CM
_HEAD_FILL = "EEF2F6"
_MAX_PROPERTY = 255
_MOST_KEPT = 22
"""A table of so many lines fits on a page and is kept whole."""
_CODE_WIDTH, _MOST_CODE = 4, 20
"""What a column that is as wide as its content counts, beside the weights of the others, for it has none here."""
_MANY_COLUMNS = 8
_POINTS, _SMALL_POINTS = 9.0, 7.5
"""The size of a table's texts, and of those of one with many columns."""
_CM_OF_A_POINT, _PADDING_CM = 2.54 / 72, 0.4
_MOST_FOR_CODES = 0.7
"""The share of a page's width that columns as wide as their content take at most."""


def _points(table: PaperTable) -> float:
    return _SMALL_POINTS if len(table.weights) > _MANY_COLUMNS else _POINTS


def _cm(table: PaperTable, columns: int) -> float:
    """Return how wide a cell is that shows so many columns of letters on a line; one is half as wide as it is high."""
    return columns * _points(table) / 2 * _CM_OF_A_POINT + _PADDING_CM


def widths_cm(table: PaperTable) -> list[float]:
    """Return how wide each column of a table is; together they are as wide as the text.

    A column of numbers, days or ids is as wide as they are, so that none of them breaks; the others share the rest.
    """
    heads = {one.column: display_width(one.text) for line in table.head for one in line if one.columns == 1}
    codes: dict[int, float] = {}
    for place, weight in enumerate(table.weights):
        if weight is None:
            longest = max((_width(cell) for row in table.rows if (cell := row[place]) is not None), default=0)
            # A head may take two lines.
            wanted = max(longest, -(-heads.get(place, 0) // 2) + 1)
            codes[place] = _cm(table, max(_CODE_WIDTH, min(_MOST_CODE, wanted)) + 1)
    left = sum(weight for weight in table.weights if weight is not None)
    taken = sum(codes.values())
    room = _TEXT_CM if not left else min(taken, _MOST_FOR_CODES * _TEXT_CM)
    return [
        codes[place] * room / taken if weight is None else (_TEXT_CM - room) * weight / left
        for place, weight in enumerate(table.weights)
    ]


def _lines(table: PaperTable) -> int:
    """Return how many lines a table's rows take, as near as the width of its letters says."""
    widths = widths_cm(table)
    return len(table.head) + sum(
        max(
            1 if cell is None else ceil((_cm(table, _width(cell)) - _PADDING_CM) / (widths[place] - _PADDING_CM))
            for place, cell in enumerate(row)
        )
        for row in table.rows
    )


def _width(cell: PaperCell) -> int:
    """Return how wide a cell's text is with the small marks after it."""
    return display_width(cell.text) + -(-len(cell.mark) // 2)


def render_docx(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as DOCX."""
    paper = on_paper(document, language)
    made: Any = docx.Document()
    made.core_properties.title = said(document.title, language)[:_MAX_PROPERTY]
    made.core_properties.author = "GLORIA Match"
    made.core_properties.language = LANG_TAGS[language]
    _docx_page(made, paper)
    _docx_line(made, paper.title, size=16, bold=True, centred=True)
    if paper.heading:
        pairs = [*paper.heading, *([("", "")] if len(paper.heading) % 2 else [])]
        block = made.add_table(rows=len(pairs) // 2, cols=4)
        block.style = "Table Grid"
        for number, (label, value) in enumerate(pairs):
            row, first = divmod(number, 2)
            _docx_fill(block.cell(row, 2 * first), label, head=True)
            _docx_fill(block.cell(row, 2 * first + 1), value)
    _docx_line(made, paper.as_of, size=9, right=True)
    for table in paper.tables:
        _docx_table(made, table)
    for note in paper.notes:
        _docx_line(made, note, size=9)
    _docx_signers(made, paper)
    if paper.annex:
        _docx_line(made, paper.annex_title, size=12, bold=True, new_page=True)
        for number, (place, entries) in enumerate(paper.annex, start=1):
            _docx_line(made, f"{number}. {place}: {entries}", size=8)
    if paper.heads:
        _docx_line(made, paper.heads_title, size=12, bold=True)
        for line in (*paper.heads, paper.heads_note):
            _docx_line(made, line, size=7)
    content = io.BytesIO()
    made.save(content)
    return content.getvalue()


def _docx_page(made: Any, paper: Paper) -> None:
    style = made.styles["Normal"]
    style.font.name, style.font.size = _FONT, Pt(10)
    style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), _CHINESE_FONT)
    style.paragraph_format.space_after = Pt(2)
    (section,) = made.sections
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = Cm(_WIDTH_CM), Cm(_HEIGHT_CM)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(_MARGIN_CM)
    foot = section.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.CENTER
    foot.add_run(f"{paper.page} ")
    _docx_field(foot, "PAGE")
    foot.add_run(" / ")
    _docx_field(foot, "NUMPAGES")


def _docx_field(paragraph: Any, code: str) -> None:
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), code)
    run, text = OxmlElement("w:r"), OxmlElement("w:t")
    text.text = "1"
    run.append(text)
    field.append(run)
    paragraph._p.append(field)


def _docx_line(
    made: Any,
    text: str,
    *,
    size: int = 10,
    bold: bool = False,
    centred: bool = False,
    right: bool = False,
    new_page: bool = False,
) -> None:
    paragraph = made.add_paragraph()
    paragraph.paragraph_format.page_break_before = new_page
    paragraph.paragraph_format.space_before = Pt(10 if bold else 3)
    if centred or right:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER if centred else WD_ALIGN_PARAGRAPH.RIGHT
    paragraph.paragraph_format.keep_with_next = bold
    run = paragraph.add_run(text)
    run.bold, run.font.size = bold, Pt(size)


def _docx_fill(
    cell: Any, text: str, *, mark: str = "", head: bool = False, right: bool = False, points: float = _POINTS
) -> None:
    paragraph = cell.paragraphs[0]
    if head or right:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER if head else WD_ALIGN_PARAGRAPH.RIGHT
    run = paragraph.add_run(text)
    run.font.size = Pt(points)
    if mark:
        above = paragraph.add_run(mark)
        above.font.superscript, above.font.size = True, Pt(7)
    if head:
        shade = OxmlElement("w:shd")
        for name, value in (("val", "clear"), ("color", "auto"), ("fill", _HEAD_FILL)):
            shade.set(qn(f"w:{name}"), value)
        cell._tc.get_or_add_tcPr().append(shade)


def _docx_table(made: Any, table: PaperTable) -> None:
    _docx_line(made, table.title, size=12, bold=True, new_page=table.new_page)
    widths = widths_cm(table)
    grid = made.add_table(rows=len(table.head) + len(table.rows), cols=len(widths))
    grid.style = "Table Grid"
    grid.autofit = False
    for place, width in enumerate(widths):
        grid.columns[place].width = Cm(width)
    # Once: python-docx finds a table's cells anew whenever it is asked for one.
    cells = [list(row.cells) for row in grid.rows]
    _docx_head(grid, cells, table)
    for number, row in enumerate(table.rows, start=len(table.head)):
        for place, cell in enumerate(row):
            cells[number][place].width = Cm(widths[place])
            if cell is None:
                continue
            _docx_fill(cells[number][place], cell.text, mark=cell.mark, right=cell.is_number, points=_points(table))
            if cell.rows > 1:
                _docx_tall(cells, number, place, cell.rows)
    _docx_keep(grid, whole=_lines(table) <= _MOST_KEPT)
    for note in table.notes:
        _docx_line(made, note, size=8)


def _docx_keep(grid: Any, *, whole: bool) -> None:
    """Break no row over two pages, and a table that a page takes not at all."""
    rows = grid._tbl.tr_lst
    for number, row in enumerate(rows):
        row.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
        if whole and number < len(rows) - 1:
            for paragraph in row.iter(qn("w:p")):
                paragraph.get_or_add_pPr().get_or_add_keepNext()


def _docx_head(grid: Any, cells: list[list[Any]], table: PaperTable) -> None:
    """Fill the head's rows, join its cells, and have them repeated on every page."""
    for number, line in enumerate(table.head):
        for one in line:
            _docx_fill(cells[number][one.column], one.text, head=True, points=_points(table))
            if one.columns > 1 or one.rows > 1:
                cells[number][one.column].merge(cells[number + one.rows - 1][one.column + one.columns - 1])
        repeated = OxmlElement("w:tblHeader")
        repeated.set(qn("w:val"), "true")
        grid.rows[number]._tr.get_or_add_trPr().append(repeated)


def _docx_tall(cells: list[list[Any]], number: int, place: int, rows: int) -> None:
    """Join a cell to those below it, which are empty."""
    for offset in range(rows):
        merge = OxmlElement("w:vMerge")
        merge.set(qn("w:val"), "continue" if offset else "restart")
        cells[number + offset][place]._tc.get_or_add_tcPr().append(merge)


def _docx_signers(made: Any, paper: Paper) -> None:
    if not paper.signers:
        return
    _docx_line(made, "")
    seals = made.add_table(rows=1, cols=2 * len(paper.signers))
    seals.style = "Table Grid"
    seals.rows[0].height = Cm(1.6)
    for number, one in enumerate(paper.signers):
        _docx_fill(seals.cell(0, 2 * number), one, head=True)


def render_odt(document: ReportDocument, language: ReportLanguage) -> bytes:
    """Return a report as ODT."""
    paper = on_paper(document, language)
    made = OdfDocument("text")
    made.body.clear()
    made.meta.title = said(document.title, language)
    made.meta.creator = "GLORIA Match"
    _odt_page(made, paper)
    for style in _odt_styles():
        made.insert_style(style, automatic=True)
    parts = [_odt_line(paper.title, "p-title")]
    if paper.heading:
        pairs = [*paper.heading, *([("", "")] if len(paper.heading) % 2 else [])]
        lines = [
            "".join(_odt_cell(label, "c-head", "p-head") + _odt_cell(value) for label, value in pairs[at : at + 2])
            for at in range(0, len(pairs), 2)
        ]
        rows = "".join(f"<table:table-row>{line}</table:table-row>" for line in lines)
        parts.append(_odt_grid("heading", _columns(4), rows))
    parts.append(_odt_line(paper.as_of, "p-right"))
    for number, table in enumerate(paper.tables, start=1):
        parts += _odt_table(made, table, number)
    parts += [_odt_line(note, "p-note") for note in paper.notes]
    parts += _odt_signers(paper)
    if paper.annex:
        parts.append(_odt_line(paper.annex_title, "p-annex"))
        parts += [
            _odt_line(f"{number}. {place}: {entries}", "p-small")
            for number, (place, entries) in enumerate(paper.annex, start=1)
        ]
    if paper.heads:
        parts.append(_odt_line(paper.heads_title, "p-table"))
        parts += [_odt_line(line, "p-small") for line in (*paper.heads, paper.heads_note)]
    for part in parts:
        made.body.append(Element.from_tag(part))
    content = io.BytesIO()
    made.save(content)
    return content.getvalue()


def _odt_page(made: OdfDocument, paper: Paper) -> None:
    """Turn the page to landscape and put its number below it."""
    styles: Any = made.get_part("styles.xml")
    layout = styles.get_element("//style:page-layout-properties")
    for name, value in (
        ("fo:page-width", f"{_WIDTH_CM}cm"),
        ("fo:page-height", f"{_HEIGHT_CM}cm"),
        ("style:print-orientation", "landscape"),
        *((f"fo:margin-{side}", f"{_MARGIN_CM}cm") for side in ("left", "right", "top", "bottom")),
    ):
        layout.set_attribute(name, value)
    number = '<text:page-number text:select-page="current">1</text:page-number>'
    line = f"{_odt_text(paper.page)} {number} / <text:page-count>1</text:page-count>"
    centred = Style("paragraph", name="Foot")
    centred.set_properties({"fo:text-align": "center"}, area="paragraph")
    centred.set_properties({**_FONTS, "fo:font-size": "9pt", "style:font-size-asian": "9pt"}, area="text")
    made.insert_style(centred)
    foot = f'<style:footer><text:p text:style-name="Foot">{line}</text:p></style:footer>'
    styles.get_element("//style:master-page").append(Element.from_tag(foot))


_FONTS = {
    "style:font-name": _FONT,
    "fo:font-family": _FONT,
    "style:font-name-asian": _CHINESE_FONT,
    "style:font-family-asian": _CHINESE_FONT,
}


def _odt_styles() -> list[Style]:
    made = []
    for name, size, more, bold in (
        ("p-title", 16, {"fo:text-align": "center"}, True),
        ("p-table", 12, {"fo:margin-top": "0.4cm", "fo:keep-with-next": "always"}, True),
        ("p-annex", 12, {"fo:break-before": "page"}, True),
        ("p-page", 12, {"fo:break-before": "page", "fo:keep-with-next": "always"}, True),
        ("p-right", 9, {"fo:text-align": "end"}, False),
        ("p-head", 9, {"fo:text-align": "center"}, True),
        ("p-cell", 9, {}, False),
        ("p-number", 9, {"fo:text-align": "end"}, False),
        ("p-head-many", _SMALL_POINTS, {"fo:text-align": "center"}, True),
        ("p-cell-many", _SMALL_POINTS, {}, False),
        ("p-number-many", _SMALL_POINTS, {"fo:text-align": "end"}, False),
        ("p-note", 9, {"fo:margin-top": "0.1cm"}, False),
        ("p-small", 8, {"fo:margin-top": "0.1cm"}, False),
    ):
        style = Style("paragraph", name=name)
        weight = {"fo:font-weight": "bold", "style:font-weight-asian": "bold"} if bold else {}
        size_pt = {"fo:font-size": f"{size}pt", "style:font-size-asian": f"{size}pt"}
        style.set_properties({**_FONTS, **size_pt, **weight}, area="text")
        if more:
            style.set_properties(more, area="paragraph")
        made.append(style)
    for name, fill in (("c-head", f"#{_HEAD_FILL}"), ("c-cell", None)):
        style = Style("table-cell", name=name)
        border = {"fo:border": "0.5pt solid #8a96a3", "fo:padding": "0.1cm"}
        style.set_properties(border | ({"fo:background-color": fill} if fill else {}), area="table-cell")
        made.append(style)
    mark = Style("text", name="t-mark")
    mark.set_properties({"style:text-position": "super 70%"}, area="text")
    whole = Style("table", name="t-whole")
    whole.set_properties({"style:may-break-between-rows": "false"}, area="table")
    row = Style("table-row", name="r-whole")
    row.set_properties({"fo:keep-together": "always"}, area="table-row")
    tall = Style("table-row", name="r-seals")
    tall.set_properties({"style:min-row-height": "1.6cm"}, area="table-row")
    return [*made, mark, whole, row, tall]


def _odt_text(text: str) -> str:
    return "<text:line-break/>".join(escape(line) for line in text.split("\n"))


def _odt_line(text: str, style: str) -> str:
    return f"<text:p text:style-name={quoteattr(style)}>{_odt_text(text)}</text:p>"


def _odt_cell(
    text: str, style: str = "c-cell", paragraph: str = "p-cell", *, mark: str = "", columns: int = 1, rows: int = 1
) -> str:
    spans = f' table:number-columns-spanned="{columns}" table:number-rows-spanned="{rows}"'
    above = f'<text:span text:style-name="t-mark">{escape(mark)}</text:span>' if mark else ""
    return (
        f'<table:table-cell office:value-type="string" table:style-name="{style}"'
        f"{spans if columns > 1 or rows > 1 else ''}>"
        f'<text:p text:style-name="{paragraph}">{_odt_text(text)}{above}</text:p></table:table-cell>'
    )


def _columns(number: int) -> str:
    return f'<table:table-column table:number-columns-repeated="{number}"/>'


def _odt_grid(name: str, columns: str, rows: str, *, whole: bool = True) -> str:
    style = ' table:style-name="t-whole"' if whole else ""
    return f'<table:table table:name="{name}"{style}>{columns}{rows}</table:table>'


_COVERED = "<table:covered-table-cell/>"


def _odt_table(made: OdfDocument, table: PaperTable, number: int) -> list[str]:
    columns = []
    for place, width in enumerate(widths_cm(table)):
        style = Style("table-column", name=f"w-{number}-{place}")
        style.set_properties({"style:column-width": f"{width:.2f}cm"}, area="table-column")
        made.insert_style(style, automatic=True)
        columns.append(f'<table:table-column table:style-name="w-{number}-{place}"/>')
    kept = '<table:table-row table:style-name="r-whole">'
    many = "-many" if _points(table) == _SMALL_POINTS else ""
    head = "".join(f"{kept}{_odt_head(table, line, many)}</table:table-row>" for line in range(len(table.head)))
    rows = "".join(f"{kept}{''.join(_odt_body(cell, many) for cell in row)}</table:table-row>" for row in table.rows)
    body = f"<table:table-header-rows>{head}</table:table-header-rows>{rows}"
    grid = _odt_grid(f"table-{number}", "".join(columns), body, whole=_lines(table) <= _MOST_KEPT)
    title = _odt_line(table.title, "p-page" if table.new_page else "p-table")
    return [title, grid, *(_odt_line(note, "p-small") for note in table.notes)]


def _odt_head(table: PaperTable, line: int, many: str) -> str:
    begins = {one.column: one for one in table.head[line]}
    cells = []
    for place in range(len(table.weights)):
        one = begins.get(place)
        if one is None:
            cells.append(_COVERED)
        else:
            cells.append(_odt_cell(one.text, "c-head", f"p-head{many}", columns=one.columns, rows=one.rows))
    return "".join(cells)


def _odt_body(cell: PaperCell | None, many: str) -> str:
    if cell is None:
        return _COVERED
    paragraph = f"{'p-number' if cell.is_number else 'p-cell'}{many}"
    return _odt_cell(cell.text, paragraph=paragraph, mark=cell.mark, rows=cell.rows)


def _odt_signers(paper: Paper) -> list[str]:
    if not paper.signers:
        return []
    cells = "".join(_odt_cell(one, "c-head", "p-head") + _odt_cell("") for one in paper.signers)
    row = f'<table:table-row table:style-name="r-seals">{cells}</table:table-row>'
    return [_odt_line("", "p-note"), _odt_grid("seals", _columns(2 * len(paper.signers)), row)]
