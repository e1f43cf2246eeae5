"""A handout as DOCX, for who wants to write in it before it goes out.

In: a handout and a language. Out: a file of Word's own styles (headings, quotes, lists), so that its navigation and
its table of contents work, each lab on a page of its own. It exists beside the PDF because a liaison's letter is rarely
the last word: a head of an alliance adds a line, a company pastes a page into a minute.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from docx import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor

from indexer.wording import Text
from matcher.handouts.handout import Fact, Handout, Part, Quote, Section, lines_of
from matcher.handouts.paper import GOES_THROUGH
from matcher.ledger.rendering.report_texts import ReportLanguage, writable

_ACCENT, _SOFT = RGBColor(0x0B, 0x4F, 0x6C), RGBColor(0x4A, 0x5B, 0x66)
_LATIN, _CHINESE = "Calibri", "Microsoft JhengHei"
_LABELS, _VALUES = Mm(38), Mm(132)
"""The width of a page between its margins."""
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def render_docx(handout: Handout, language: ReportLanguage) -> bytes:
    """Return a handout as DOCX."""
    return _Writer(handout, language).written()


class _Writer:
    def __init__(self, handout: Handout, language: ReportLanguage) -> None:
        self.handout, self.language = handout, language
        self.document: Any = Document()
        self._set_up()

    def written(self) -> bytes:
        one = self.handout
        if one.logo:
            self.document.add_picture(io.BytesIO(one.logo), height=Mm(20))
        self._heading(one.title, 0)
        self._line(one.issuer, soft=True)
        self._line(one.made_on, soft=True, size=9)
        self._line(one.about)
        for words in one.words:
            self._styled(self.document.add_paragraph(), writable(words), size=11)
        if len(one.sections) > 1:
            for section in one.sections:
                paragraph = self.document.add_paragraph(style="List Number")
                self._run(paragraph, self._said(section.name), bold=True)
                self._run(paragraph, f"  {self._said(section.school)}", soft=True)
        for text in one.contact:
            self._line(text)
        for number, section in enumerate(one.sections):
            self._section(section, new_page=number > 0 or bool(one.words or one.contact or len(one.sections) > 1))
        kept = io.BytesIO()
        self.document.save(kept)
        return kept.getvalue()

    def _set_up(self) -> None:
        page = self.document.sections[0]
        page.page_width, page.page_height = Mm(210), Mm(297)
        page.left_margin = page.right_margin = Mm(20)
        page.top_margin = page.bottom_margin = Mm(18)
        for name in ("Normal", "Heading 1", "Heading 2", "Title", "Quote"):
            style = self.document.styles[name]
            style.font.name = _LATIN
            fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
            for script in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
                fonts.attrib.pop(qn(f"w:{script}"), None)
            fonts.set(qn("w:ascii"), _LATIN)
            fonts.set(qn("w:hAnsi"), _LATIN)
            fonts.set(qn("w:eastAsia"), _CHINESE)
        self.document.styles["Normal"].font.size = Pt(10)
        self.document.styles["Normal"].paragraph_format.space_after = Pt(4)
        sizes = {"Title": 20, "Heading 1": 15, "Heading 2": 11}
        for name, size in sizes.items():
            style = self.document.styles[name]
            style.font.size, style.font.color.rgb, style.font.bold = Pt(size), _ACCENT, True
        self.document.styles["Quote"].font.italic = False
        self.document.styles["Quote"].paragraph_format.left_indent = Mm(5)
        told = self.document.core_properties
        told.title, told.author = self._said(self.handout.title), self._said(self.handout.issuer)
        told.comments, told.last_modified_by = "", ""
        # Who made the file and when is said in it; its clock is nobody's business.
        told.created = told.modified = _EPOCH
        foot = page.footer.paragraphs[0]
        notes = " ".join(self._said(one) for one in (self.handout.notes or (GOES_THROUGH,)))
        self._styled(foot, notes, size=8, soft=True)

    def _section(self, one: Section, *, new_page: bool) -> None:
        if one.portrait:
            self.document.add_picture(io.BytesIO(one.portrait), height=Mm(22))
        heading = self.document.add_heading(self._said(one.name), 1)
        first = self.document.paragraphs[-2] if one.portrait else heading
        # An empty paragraph with a break in it would stand above the picture on the new page.
        first.paragraph_format.page_break_before = new_page
        first.paragraph_format.keep_with_next = True
        self._line(one.school, soft=True)
        self._line(one.head, soft=True)
        for part in one.parts:
            self._part(part)

    def _part(self, part: Part) -> None:
        self._heading(part.title, 2)
        for text in part.paragraphs:
            self._lines(text)
        for point in part.points:
            self._lines(point.text)
            for quote in point.quotes:
                self._quote(quote)
        if part.facts:
            self._facts(part.facts)

    def _facts(self, facts: tuple[Fact, ...]) -> None:
        table = self.document.add_table(rows=0, cols=2)
        for fact in facts:
            label, values = table.add_row().cells
            label.width, values.width = _LABELS, _VALUES
            self._styled(label.paragraphs[0], self._said(fact.label), soft=True)
            for number, value in enumerate(fact.values):
                paragraph = values.paragraphs[0] if number == 0 else values.add_paragraph()
                address = fact.addresses[number] if number < len(fact.addresses) else ""
                self._linked(paragraph, self._said(value), address)
        # LibreOffice goes by the columns, Word by the cells.
        table.autofit = False
        table.columns[0].width, table.columns[1].width = _LABELS, _VALUES

    def _quote(self, quote: Quote) -> None:
        paragraph = self.document.add_paragraph(style="Quote")
        if quote.title:
            self._run(paragraph, f"{writable(quote.title)}  ", bold=True)
        self._run(paragraph, self._said(quote.source), soft=True)
        if quote.excerpt:
            paragraph.add_run().add_break()
            self._run(paragraph, writable(quote.excerpt))
        if quote.address:
            paragraph.add_run().add_break()
            self._linked(paragraph, quote.address, quote.address)

    def _linked(self, paragraph: Any, words: str, address: str) -> None:
        if not address.startswith(("https://", "http://")):
            self._run(paragraph, words)
            return
        link = OxmlElement("w:hyperlink")
        link.set(qn("r:id"), paragraph.part.relate_to(address, RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
        run = self._run(paragraph, words)
        run.font.color.rgb, run.font.underline = _ACCENT, True
        link.append(run._r)
        paragraph._p.append(link)

    def _heading(self, text: Text, level: int) -> None:
        self.document.add_heading(self._said(text), level)

    def _lines(self, text: Text) -> None:
        for number, (_, line) in enumerate(lines_of(text, self.language)):
            self._styled(self.document.add_paragraph(), writable(line), soft=number > 0)

    def _line(self, text: Text, *, soft: bool = False, size: int = 10) -> None:
        if self._said(text):
            self._styled(self.document.add_paragraph(), self._said(text), soft=soft, size=size)

    def _styled(self, paragraph: Any, words: str, *, soft: bool = False, size: int = 10) -> None:
        run = self._run(paragraph, words, soft=soft)
        run.font.size = Pt(size)

    def _run(self, paragraph: Any, words: str, *, bold: bool = False, soft: bool = False) -> Any:
        run = paragraph.add_run(words)
        run.bold = bold or None
        if soft:
            run.font.color.rgb = _SOFT
        return run

    def _said(self, text: Text) -> str:
        return writable(" · ".join(line for _, line in lines_of(text, self.language)))
