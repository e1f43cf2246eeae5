"""A report says the same in every format: numbers stay numbers, day and heads stand in each, figures lead on."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import date, datetime
from decimal import Decimal

import odfdo
import openpyxl
import orjson
import pytest

from indexer.wording import either
from matcher.ledger.rendering.formats import ReportFormat, render
from matcher.ledger.rendering.printed_pages import typeset
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.ledger.rendering.workbooks import MAX_CELL_CHARS, ReportTooLargeError
from matcher.ledger.reports.document import ReportCell, ReportColumn, ReportDocument, ReportTable
from tests.rig.worlds.report_samples import HEADS, full_report, text_of_pdf

FORMATS = list(ReportFormat)


def _text(content: bytes, form: ReportFormat) -> str:
    """Return what a reader of the file sees, without blanks."""
    if form is ReportFormat.PDF:
        text = text_of_pdf(content)
    elif form in (ReportFormat.XLSX, ReportFormat.ODS, ReportFormat.DOCX, ReportFormat.ODT):
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            sheets = [
                name for name in parts.namelist() if re.search(r"sheet\d+\.xml$|content\.xml$|document\.xml$", name)
            ]
            markup = "".join(parts.read(name).decode() for name in sheets)
        text = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), markup)
    else:
        text = content.decode()
    return re.sub(r"[\s\u200b]", "", text)


@pytest.mark.parametrize("language", list(ReportLanguage))
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_the_day_the_heads_and_the_entries(form: ReportFormat, language: ReportLanguage) -> None:
    text = _text(render(full_report(), form, language), form)
    for head in HEADS:
        assert head.hash in text
    assert {"entry-0001", "entry-0002", "entry-0003"} <= set(re.findall(r"entry-000\d", text))
    if form is not ReportFormat.JSON:
        assert ("108年5月15日" in text) == (language is not ReportLanguage.EN)
        assert ("2019-05-15(ROC108)" in text) == (language is ReportLanguage.EN)
        assert ("試算報表" in text) == (language is not ReportLanguage.EN)
        assert ("disputed" in text) == (language is not ReportLanguage.ZH)


def test_numbers_of_a_workbook_are_numbers_with_their_formats() -> None:
    book = openpyxl.load_workbook(io.BytesIO(render(full_report(), ReportFormat.XLSX)))
    assert book.sheetnames == ["表一", "分錄", "說明"]
    sheet = book["表一"]
    cells = [(cell.value, cell.number_format) for cell in sheet[5]]
    assert cells == [
        ("研發經費", "@"),
        (1_205, "#,##0"),
        (-123_456_789, "#,##0"),
        (0.456, "0.0%"),
        (1.25, "#,##0.00"),
        (datetime.fromisoformat("2019-05-02"), '[$-404]e"年"m"月"d"日"'),
    ]
    assert (sheet.freeze_panes, sheet.print_title_rows) == ("A5", "$4:$4")
    assert (sheet.page_setup.orientation, sheet.sheet_properties.pageSetUpPr.fitToPage) == ("landscape", True)
    assert sheet["C5"].comment.text == "有爭議"
    # The amount is wide enough for itself, Chinese titles count twice.
    assert sheet.column_dimensions["C"].width >= len("-123,456,789")
    # Its unit stands once, in the head.
    assert [cell.value for cell in sheet[4]][1:3] == ["件數", "金額（元）"]
    assert sheet.print_area == "'表一'!$A$1:$F$8"
    assert sheet.column_dimensions["A"].width >= 2 * len("研發經費")


def test_a_figure_of_a_workbook_leads_to_its_entries_and_back() -> None:
    book = openpyxl.load_workbook(io.BytesIO(render(full_report(), ReportFormat.XLSX)))
    figure, entries = book["表一"]["B5"], book["分錄"]
    assert figure.hyperlink.location == "'分錄'!A5"
    assert [[cell.value for cell in row] for row in entries["A5:D6"]] == [
        ["B5", "表一", "研發經費 / 件數", "entry-0001, entry-0002"],
        ["C5", "表一", "研發經費 / 金額", "entry-0003"],
    ]
    assert entries["A6"].hyperlink.location == "'表一'!C5"


def test_numbers_of_an_opendocument_are_numbers_and_linked() -> None:
    book = odfdo.Document(io.BytesIO(render(full_report(), ReportFormat.ODS)))
    sheet = book.body.get_table(name="表一")
    row = sheet.get_row(4)
    assert [cell.type for cell in row.cells] == [
        "string",
        "float",
        "float",
        "percentage",
        "float",
        "date",
        *["string"] * 2,
    ]
    assert [cell.value for cell in row.cells][1:5] == [1205, -123_456_789, Decimal("0.456"), Decimal("1.25")]
    assert re.findall(r'href="([^"]*)"', row.cells[6].serialize()) == ["#'分錄'.A5"]
    assert re.findall(r'href="([^"]*)"', row.cells[7].serialize()) == ["#'分錄'.A6"]
    assert sheet.get_attribute("table:print-ranges") == "'表一'.A1:'表一'.F8"


def test_rows_of_a_csv_name_remarks_and_entries() -> None:
    content = render(full_report(), ReportFormat.CSV, ReportLanguage.EN).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(content, newline="")))
    (row,) = [row for row in rows if row and row[0] == "research money"]
    assert row == [
        "research money",
        "1205",
        "-123456789",
        "0.456",
        "1.25",
        "2019-05-02",
        "amount: disputed",
        "entry-0001 entry-0002 entry-0003",
    ]


def test_figures_of_a_page_lead_to_its_appendix() -> None:
    page = render(full_report(), ReportFormat.HTML, ReportLanguage.BOTH).decode()
    assert re.findall(r'id="f(\d)"><a href="#e(\d)">([^<]*)<', page) == [
        ("1", "1", "1,205"),
        ("2", "2", "-123,456,789"),
    ]
    assert re.findall(r'<li id="e(\d)"><a href="#f(\d)">', page) == [("1", "1"), ("2", "2")]
    assert '<html lang="zh-Hant-TW">' in page
    assert '<span lang="en">Test report</span>' in page
    assert "@media print" in page


def test_json_has_stable_names_and_both_languages() -> None:
    document = orjson.loads(render(full_report(), ReportFormat.JSON))
    assert list(document) == ["name", "title", "as_of", "heading", "heads", "signed_heads", "tables", "notes"]
    assert document["heads"][0] == {"chain": "entries", "n": 12, "hash": "3f" * 32, "at": "2019-05-15T04:00:00+00:00"}
    assert document["tables"][0]["columns"][2] == {"title": {"zh": "金額", "en": "amount"}, "kind": "ntd"}
    assert document["tables"][0]["rows"][0][2] == {
        "value": -123_456_789,
        "entries": ["entry-0003"],
        "remark": {"zh": "有爭議", "en": "disputed"},
    }


def test_a_pdf_has_its_glyphs_and_its_pages() -> None:
    long = ReportTable(
        either("長表", "long table"),
        (ReportColumn(either("列", "row")),),
        tuple((ReportCell(f"第 {n} 列"),) for n in range(200)),
    )
    report = ReportDocument("test", either("長報表", "long"), date(2019, 5, 15), (long,), HEADS)
    text = text_of_pdf(render(report, ReportFormat.PDF))
    pages = re.findall(r"頁 (\d+) / (\d+)", text)
    assert [int(page) for page, _ in pages] == list(range(1, len(pages) + 1))
    assert {of for _, of in pages} == {str(len(pages))}
    # The day stands on every page, the heads of the chains once, at the end.
    assert text.count("108 年 5 月 15 日") == len(pages)
    assert text.count("3f" * 32) == 1
    assert text.index("第 199 列") < text.index("3f" * 32)
    assert "第 199 列" in text
    # The glyphs are drawn, not only named: without its texts the page has less ink.
    drawn, blank = (typeset(document, ReportLanguage.ZH, "svg")[0] for document in (report, _untitled(report)))
    assert drawn.count(b"<use") > blank.count(b"<use") + 100


def _untitled(report: ReportDocument) -> ReportDocument:
    return ReportDocument(report.name, either("", ""), report.as_of, (), ())


def test_a_workbook_refuses_what_it_cannot_hold() -> None:
    table = ReportTable(
        either("t", "t"), (ReportColumn(either("c", "c")),), ((ReportCell("x" * (MAX_CELL_CHARS + 1)),),)
    )
    report = ReportDocument("test", either("r", "r"), date(2019, 5, 15), (table,), HEADS)
    for form in (ReportFormat.XLSX, ReportFormat.ODS):
        with pytest.raises(ReportTooLargeError, match="take csv or json"):
            render(report, form)
    assert b"xxx" in render(report, ReportFormat.CSV)
