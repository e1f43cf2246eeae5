"""Whatever a text of a report says, no format computes it, runs it or reads it as markup."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from html.parser import HTMLParser
from typing import Any

import odfdo
import openpyxl
import orjson
import pytest
import typst
from pylopdf_fonts_zh_tw import sans_path

from matcher.ledger.rendering import printed_pages
from matcher.ledger.rendering.formats import ReportFormat, render
from matcher.ledger.rendering.report_texts import ReportLanguage, writable
from tests.rig.worlds.report_samples import FORMULAS, PAYLOADS, full_report, report_with, text_of_pdf

LANGUAGES = list(ReportLanguage)
TRIGGERS = tuple("=+-@\t\r\n＝＋－＠")


def test_there_are_enough_payloads() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 40
    assert len(FORMULAS) >= 30


def _parts(book: bytes, ending: str) -> str:
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        return "\n".join(parts.read(name).decode() for name in parts.namelist() if name.endswith(ending))


def _live_xlsx(book: bytes) -> list[Any]:
    """Return the cells that a spreadsheet program would compute."""
    sheets = openpyxl.load_workbook(io.BytesIO(book)).worksheets
    cells = [cell for sheet in sheets for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)]
    assert cells
    return [cell.value for cell in cells if cell.data_type != "s"] + re.findall(r"<f[ >]", _parts(book, ".xml"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_cell_of_a_workbook_computes(language: ReportLanguage) -> None:
    book = render(report_with(*PAYLOADS), ReportFormat.XLSX, language)
    assert _live_xlsx(book) == []
    values = {
        cell.value
        for sheet in openpyxl.load_workbook(io.BytesIO(book)).worksheets
        for row in sheet.iter_rows()
        for cell in row
    }
    # What a person wrote is there as it was written; a carriage return is a line break in XML.
    wanted = {writable(text).replace("\r", "\n") for text in PAYLOADS}
    assert wanted - {str(value).replace("_x000D_", "\n") for value in values} == set()
    # No link leads out of the workbook.
    assert "TargetMode" not in _parts(book, ".rels")


def test_the_check_of_workbooks_sees_a_live_cell() -> None:
    book = openpyxl.Workbook()
    book.worksheets[0]["A1"] = "=1+1"
    book.worksheets[0]["A2"] = "text"
    content = io.BytesIO()
    book.save(content)
    assert _live_xlsx(content.getvalue()) == ["=1+1", "<f>"]


def _live_ods(book: bytes) -> list[str]:
    content = _parts(book, "content.xml")
    types = set(re.findall(r'office:value-type="(\w+)"', content)) - {"string", "float", "percentage", "date"}
    links = [link for link in re.findall(r'xlink:href="([^"]*)"', content) if not link.startswith("#")]
    return re.findall(r"table:formula", content) + sorted(types) + links


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_cell_of_an_opendocument_computes(language: ReportLanguage) -> None:
    book = render(report_with(*PAYLOADS), ReportFormat.ODS, language)
    assert _live_ods(book) == []
    assert 'office:value-type="float"' not in _parts(book, "content.xml")
    cells = [
        cell.value for sheet in odfdo.Document(io.BytesIO(book)).body.tables for row in sheet.rows for cell in row.cells
    ]
    assert {"=1+1", "-1", "<script>alert(1)</script>"} <= set(cells)


def test_the_check_of_opendocuments_sees_a_live_cell() -> None:
    book = odfdo.Document("spreadsheet")
    book.body.clear()
    table = odfdo.Table("t")
    table.set_cell("A1", odfdo.Cell(2, formula="of:=1+1"))
    book.body.append(table)
    content = io.BytesIO()
    book.save(content)
    assert _live_ods(content.getvalue()) == ["table:formula"]


def _live_csv(content: bytes) -> list[str]:
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [cell for row in rows for cell in row if cell.lstrip().startswith(TRIGGERS) or cell.startswith(TRIGGERS)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_cell_of_a_csv_begins_a_formula(language: ReportLanguage) -> None:
    content = render(report_with(*PAYLOADS), ReportFormat.CSV, language)
    assert content.startswith(b"\xef\xbb\xbf")
    assert _live_csv(content) == []
    assert b"'=1+1" in content
    # Numbers stay plain, with their sign.
    assert b",-123456789," in render(full_report(), ReportFormat.CSV, language)


def test_the_check_of_csv_sees_a_live_cell() -> None:
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([text, "x"] for text in ("=1", "a", "  @b"))
    assert _live_csv(lines.getvalue().encode()) == ["=1", "  @b"]


def _tags(content: bytes, part: str) -> set[str]:
    return set(re.findall(r"<([\w:]+)", _parts(content, part)))


@pytest.mark.parametrize(
    ("form", "part"), [(ReportFormat.DOCX, "word/document.xml"), (ReportFormat.ODT, "content.xml")]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_of_a_text_document_is_markup_or_a_field(
    form: ReportFormat, part: str, language: ReportLanguage
) -> None:
    hostile = render(report_with(*PAYLOADS), form, language)
    # The same elements as of a report that says nothing but an x twice over two lines, and no link that leads out.
    assert _tags(hostile, part) <= _tags(render(report_with("x\ny", "x\ty"), form, language), part)
    assert "http" not in "".join(re.findall(r'(?:href|Target)="([^"]*)"', _parts(hostile, "content.xml")))
    assert "TargetMode" not in _parts(hostile, ".rels")
    assert "&lt;script&gt;" in _parts(hostile, part)


class Unescaped(str):
    """A text that says of itself that it needs no escaping."""

    def __html__(self) -> str:
        return self


class _Tags(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[tuple[str, tuple[str, ...]]] = set()
        self.addresses: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add((tag, tuple(name for name, _ in attrs)))
        self.addresses |= {str(value) for name, value in attrs if name in ("href", "src") and str(value)[0] != "#"}

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(page: bytes) -> _Tags:
    tags = _Tags()
    tags.feed(page.decode())
    tags.close()
    return tags


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_of_a_page_is_a_tag(language: ReportLanguage) -> None:
    harmless = _read(render(report_with("x"), ReportFormat.HTML, language))
    hostile = _read(render(report_with(*PAYLOADS), ReportFormat.HTML, language))
    assert (hostile.tags, hostile.addresses) == (harmless.tags, set())
    assert "script" not in {tag for tag, _ in hostile.tags}
    for text in PAYLOADS:
        assert writable(text).replace("\r", "\n") in hostile.text.replace("\r", "\n")


def test_the_check_of_pages_sees_a_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = _read(render(report_with("x"), ReportFormat.HTML))
    monkeypatch.setattr(printed_pages, "_marked_value", lambda value, _kind, _language: Unescaped(value))
    assert _read(render(report_with(*PAYLOADS), ReportFormat.HTML)).tags != harmless.tags


@pytest.mark.parametrize("payload", PAYLOADS)
def test_text_of_a_pdf_is_text(payload: str) -> None:
    said = _squeezed(text_of_pdf(render(report_with(payload), ReportFormat.PDF)))
    # In the title, the columns, the cells, the notes and the list of entries.
    assert said.count(_squeezed(writable(payload))) >= 8


def _squeezed(text: str) -> str:
    """A text without what typesetting may change: blanks, and where a long word may break."""
    return re.sub(r"[\s\u200b\x00\ufffd\ufffe]", "", text)


def test_the_check_of_pdfs_sees_markup() -> None:
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[sans_path().parent])

    def typeset(payload: str) -> str:
        template = '#set text(font: "Noto Sans TC")\n#eval(sys.inputs.text, mode: "markup")'
        pdf = typst.compile(template.encode(), format="pdf", font_paths=fonts, sys_inputs={"text": payload})
        assert isinstance(pdf, bytes)
        return _squeezed(text_of_pdf(pdf))

    assert typeset("plain 中文") == "plain中文"
    assert typeset("#(40 + 2)") == "42"
    assert typeset("*bold*") == "bold"


def test_json_has_every_text_as_it_is() -> None:
    document = orjson.loads(render(report_with(*PAYLOADS), ReportFormat.JSON))
    assert [table["rows"][0][0]["value"] for table in document["tables"]] == [writable(text) for text in PAYLOADS]
