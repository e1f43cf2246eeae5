"""Reports are the Ministry's papers, in every format: heading, heads, seals, pages, annexes, Chinese dates."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import docx
import odfdo
import openpyxl
import pypdf
import pytest
from sqlalchemy import Engine
from sqlmodel import select

from indexer.database import open_engine, reading
from indexer.records.record_tables import Company
from indexer.settings import Settings
from indexer.wording import either
from matcher.ledger.rendering.formats import ReportFormat, render
from matcher.ledger.rendering.page_layout import on_paper
from matcher.ledger.rendering.printed_pages import _pieces
from matcher.ledger.rendering.report_texts import ReportLanguage, display_width
from matcher.ledger.rendering.text_documents import widths_cm
from matcher.ledger.reports.document import ReportCell, ReportColumn, ReportDocument, ReportRequest, ReportTable
from matcher.ledger.reports.registry import REPORTS, make_report, reported_year
from matcher.ledger.rows.chain import LEDGER_CHAINS, head
from matcher.ledger.story import LAST_DAY
from tests.rig.worlds.report_samples import text_of_pdf

NOW = datetime(2021, 1, 10, 4, 0, tzinfo=UTC)
LABELS = {"計畫名稱": "推動國際產學聯盟計畫", "審議編號": "108-1901-01-20-02", "申請機關": "科技部"}
SEALS = ["承辦人", "單位主管", "首長"]


@pytest.fixture(scope="module")
def engine(story_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = shutil.copytree(story_home, tmp_path_factory.mktemp("papers") / "home")
    engine = open_engine(Settings(home=home))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def reports(engine: Engine) -> dict[str, ReportDocument]:
    """Every report of the story as of its last day."""
    with reading(engine) as session:
        return {name: make_report(session, name, ReportRequest(as_of=LAST_DAY, now=NOW)) for name in REPORTS}


@pytest.mark.parametrize("name", REPORTS)
def test_every_paper_begins_with_its_heading_and_ends_with_seals(reports: dict[str, ReportDocument], name: str) -> None:
    paper = on_paper(reports[name], ReportLanguage.ZH)
    assert dict(paper.heading) == {**LABELS, "製表日期": "110 年 1 月 10 日"}
    assert list(paper.signers) == SEALS
    assert paper.as_of.endswith("109 年 12 月 31 日")


def test_docx_is_a_form_with_merged_cells_repeated_heads_and_page_numbers(reports: dict[str, ReportDocument]) -> None:
    content = render(reports["b003"], ReportFormat.DOCX)
    made = docx.Document(io.BytesIO(content))
    heading, form, part_two, readings, seals = made.tables
    assert [cell.text for row in heading.rows for cell in row.cells] == [
        *("計畫名稱", LABELS["計畫名稱"], "審議編號", LABELS["審議編號"]),
        *("申請機關", "科技部", "製表日期", "110 年 1 月 10 日"),
    ]
    titles = [[cell.text for cell in row.cells] for row in form.rows[:2]]
    assert titles[0][4:] == ["初級產出量化值", "初級產出量化值", "預期效益說明"]
    assert titles[1][:2] == ["屬性", "績效指標"]
    assert titles[1][4:] == ["108 年度", "109 年度", "108-109 年度"]
    # The attribute of four indicators is one tall cell.
    assert [row.cells[0].text for row in form.rows[4:]] == ["經濟效益（經濟產業促進）"] * 4
    xml = zipfile.ZipFile(io.BytesIO(content)).read("word/document.xml").decode()
    # Heads are repeated on every page: two rows of the form, one of each other table.
    assert xml.count("<w:tblHeader") == 4
    assert len(part_two.rows), len(readings.rows) == (6, 60)
    assert [cell.text for cell in seals.rows[0].cells][::2] == SEALS
    foot = made.sections[0].footer._element.xml
    assert re.findall(r'w:instr="(\w+)"', foot) == ["PAGE", "NUMPAGES"]


def test_odt_is_the_same_form(reports: dict[str, ReportDocument]) -> None:
    content = render(reports["b003"], ReportFormat.ODT)
    body = odfdo.Document(io.BytesIO(content)).body
    form = body.get_table(name="table-1")
    assert form is not None
    xml = form.serialize()
    assert re.findall(r'number-rows-spanned="(\d)"', xml.partition("</table:table-header-rows>")[2]) == ["4"]
    assert 'table:number-columns-spanned="2"' in xml.partition("</table:table-header-rows>")[0]
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        styles = parts.read("styles.xml").decode()
    assert "text:page-number" in styles
    assert "text:page-count" in styles
    assert 'fo:page-width="29.7cm"' in styles


def test_the_first_sheet_is_the_form_and_the_second_has_the_readings(reports: dict[str, ReportDocument]) -> None:
    book = openpyxl.load_workbook(io.BytesIO(render(reports["b003"], ReportFormat.XLSX)))
    assert [name[:9] for name in book.sheetnames[:2]] == ["主要績效指標表（K", "判讀：計畫書各處目"]
    form = book.worksheets[0]
    said = [str(cell.value) for row in form.iter_rows() for cell in row if cell.value is not None]
    # Row by row: a label, and what it says over the width of the table.
    assert [said[place] for place in (2, 3, 4, 5)] == ["計畫名稱", LABELS["計畫名稱"], "審議編號", LABELS["審議編號"]]
    # Both tables of the plan stand on it, and the seals.
    assert "培育企業所需人才 2,300 人以上\n實際 165 人" in said
    assert said[-3:] == SEALS
    assert len(form.merged_cells.ranges) == 4 + 4 + 1 + 2
    ods = odfdo.Document(io.BytesIO(render(reports["b003"], ReportFormat.ODS)))
    xml = ods.body.tables[0].serialize()
    assert xml.count("covered-table-cell") == 4 * 5 + 4 + 1 + 3 + 3


@pytest.mark.parametrize("name", REPORTS)
def test_hashes_stand_on_the_last_page_only_and_annexes_come_after_the_seals(
    reports: dict[str, ReportDocument], name: str
) -> None:
    text = text_of_pdf(render(reports[name], ReportFormat.PDF))
    last = reports[name].heads[0].hash
    assert text.count(last) == 1
    if "附件：" in text:
        assert text.index("首長") < text.index("附件：") < text.index(last)
    pages = re.findall(r"頁 (\d+) / (\d+)", text)
    assert [int(page) for page, _ in pages] == list(range(1, len(pages) + 1))
    # The last page's number comes after the hashes.
    assert text.rindex(f"頁 {len(pages)} / {len(pages)}") > text.index(last) or len(pages) == 1


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("1.03 億元", ["1.03 億元"]),
        ("實際 2,505,000,000 元", ["2,505,000,000 元"]),
        ("106 年 10 月 16 日", ["106 年 10 月 16 日"]),
        ("109 年第 4 季", ["109 年第 4 季"]),
        ("合約 A-3", []),
        # The control: an id is no number and may break.
        ("story-talent-001", []),
    ],
)
def test_e13_a_number_is_never_broken_over_a_line(text: str, whole: list[str]) -> None:
    pieces = _pieces(text)
    assert [piece["text"] for piece in pieces if piece["whole"]] == whole
    assert "".join(piece["text"] for piece in pieces) == text


def test_e14_each_annex_of_b003_names_its_figure(reports: dict[str, ReportDocument]) -> None:
    paper = on_paper(reports["b003"], ReportLanguage.ZH)
    places = [place for place, _ in paper.annex]
    assert len(places) > 60
    form = [place for place in places if "第一部分" in place]
    assert form[:2] == [
        "主要績效指標表（KPI）（B003）第一部分: C.培育及延攬人才 / 106 年 實際達成值",
        "主要績效指標表（KPI）（B003）第一部分: C.培育及延攬人才 / 107 年度 目標值",
    ]
    assert any(place.endswith("產學合作經費（各類來源） / 全程 / 國內產學合作金額 / 實際") for place in places)


_ENGLISH = re.compile(r"[A-Za-z]{3,}")
# Names stay as they are: of the product, of its command, of a foreign company of the story.
_NAMES = {"SHA", "Salmon", "Sundbakken", "NTD", "MIT", "ILP", "KPI", "GLORIA", "https", "example", "org", "evidence"}
_IDS = re.compile(r"\b(?:story|acceptance)-[\w-]+")


@pytest.mark.parametrize("name", REPORTS)
def test_e15_a_chinese_paper_has_no_english_and_no_codes(
    engine: Engine, reports: dict[str, ReportDocument], name: str
) -> None:
    with reading(engine) as session:
        # What a company is called is no English of ours.
        called = sorted(session.exec(select(Company.name)).all(), key=len, reverse=True)
    paper = on_paper(reports[name], ReportLanguage.ZH)
    said = [paper.title, paper.as_of, *paper.notes, *(text for line in paper.heading for text in line)]
    for table in paper.tables:
        said += [table.title, *table.notes, *(one.text for line in table.head for one in line)]
        said += [cell.text for row in table.rows for cell in row if cell is not None]
    for company in called:
        said = [text.replace(company, "") for text in said]
    words = {
        word for text in said for word in _ENGLISH.findall(re.sub(r"\b(?:story|acceptance)-[\w-]+", "", text))
    } - _NAMES
    assert words == set()
    joined = _IDS.sub("", "\n".join(said))
    assert not re.search(r"\bal-\d\d\b|20\d\dQ\d|20\d\d-\d\d-\d\d", joined)


@pytest.mark.parametrize(
    ("day", "year"),
    [
        # The year that closed last inside the programme; before the first has closed it is that one.
        (date(2017, 12, 31), 2018),
        (date(2019, 8, 31), 2018),
        (date(2019, 9, 1), 2019),
        (date(2020, 12, 31), 2020),
        (date(2024, 5, 1), 2021),
    ],
)
def test_e12_a_report_is_about_the_last_subsidy_year_that_closed(engine: Engine, day: date, year: int) -> None:
    with reading(engine) as session:
        assert reported_year(session, day) == year


def test_e7_nothing_booked_is_not_filled_in_and_never_as_required(reports: dict[str, ReportDocument]) -> None:
    summary = reports["sufficiency"].tables[0]
    said = [row[-1].value.zh for row in summary.rows]  # type: ignore[union-attr]
    # Three of the story's alliances booked their years, the ones that graduated.
    assert (len(said), said.count("未填報"), said.count("是")) == (18, 15, 3)


def test_e8_the_ministry_reads_exact_counts(engine: Engine) -> None:
    with reading(engine) as session:
        exact = make_report(session, "gender", ReportRequest(as_of=LAST_DAY, now=NOW, year=2020, stays_inside=True))
        passed_on = make_report(session, "gender", ReportRequest(as_of=LAST_DAY, now=NOW, year=2020))
    (trainees,) = [one for one in exact.tables if one.title.zh == "培育人才"]
    assert [cell.value for cell in trainees.rows[-1]][1:] != [None] * 5
    assert sum(cell.value for cell in trainees.rows[-1][1:-1]) == trainees.rows[-1][-1].value  # type: ignore[misc]
    assert "不得對外提供" in "".join(note.zh for note in exact.notes)
    # The control: what is passed on has cells left out, and says so.
    cells = [cell for table in passed_on.tables for row in table.rows for cell in row]
    assert any(cell.remark is not None and cell.remark.zh == "不公開" for cell in cells)
    # On paper it stands in its cell, where a mark of a footnote stood before.
    printed = [cell for table in on_paper(passed_on, ReportLanguage.ZH).tables for row in table.rows for cell in row]
    assert sum(cell is not None and cell.text == "不公開" for cell in printed) == sum(
        cell.remark is not None for cell in cells
    )
    assert not any(cell is not None and "*" in cell.mark for cell in printed)


@pytest.mark.parametrize("name", ["entries", "review-pack", "month"])
def test_e13_days_and_quarters_have_the_room_for_one_line(reports: dict[str, ReportDocument], name: str) -> None:
    for table in on_paper(reports[name], ReportLanguage.ZH).tables:
        widths = widths_cm(table)
        assert sum(widths) == pytest.approx(26.7)
        one_line = re.compile(r"\d+ 年 \d+ 月 \d+ 日|\d+ 年第 \d 季")
        points = 7.5 if len(widths) > 8 else 9
        for row in table.rows:
            for cell, width in zip(row, widths, strict=True):
                if cell is not None and one_line.fullmatch(cell.text):
                    assert display_width(cell.text) * points / 2 * 2.54 / 72 + 0.38 < width


def test_an_empty_table_of_a_workbook_says_so(reports: dict[str, ReportDocument]) -> None:
    book = openpyxl.load_workbook(io.BytesIO(render(reports["review-pack"], ReportFormat.XLSX)))
    (empty,) = [sheet for sheet in book.worksheets if sheet["A1"].value == "待附議動議"]
    assert [row[0] for row in empty.values][-1] == "（無）"
    # The line below the title is printed whole.
    assert sum(one.width for one in empty.column_dimensions.values()) > display_width(str(empty["A2"].value))


def test_cells_are_merged_only_where_all_before_them_are() -> None:
    columns = (ReportColumn(either("甲", "a"), merged=True), ReportColumn(either("乙", "b"), merged=True))
    values = [("1", "x"), ("1", "x"), ("2", "x"), ("2", "y")]
    rows = tuple((ReportCell(a), ReportCell(b)) for a, b in values)
    table = ReportTable(either("表", "t"), columns, rows)
    paper = on_paper(ReportDocument("t", either("t", "t"), LAST_DAY, (table,), ()), ReportLanguage.ZH)
    assert [[None if cell is None else cell.rows for cell in row] for row in paper.tables[0].rows] == [
        [2, 2],
        [None, None],
        [2, 1],
        [None, 1],
    ]


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_papers_without_repair(reports: dict[str, ReportDocument], tmp_path: Path) -> None:
    forms = (ReportFormat.DOCX, ReportFormat.ODT, ReportFormat.XLSX, ReportFormat.ODS)
    papers = [tmp_path / f"{name}-{form.value}.{form.value}" for name in ("b003", "gender") for form in forms]
    papers.append(tmp_path / "entries-ods.ods")
    for paper in papers:
        paper.write_bytes(render(reports[paper.stem.partition("-")[0]], ReportFormat(paper.suffix[1:])))
    # All at once: the program takes longer to start than to convert them.
    command = ["soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", "pdf"]
    subprocess.run([*command, "--outdir", tmp_path, *papers], check=True, timeout=180, capture_output=True)
    made = {paper.stem: pypdf.PdfReader(paper.with_suffix(".pdf")) for paper in papers}
    assert {name: len(pdf.pages) > 0 for name, pdf in made.items()} == dict.fromkeys(made, True)
    # A sheet is as wide as its table and stands on a landscape page; the form is one page, the readings begin another.
    for name in ("b003-xlsx", "b003-ods"):
        first, second = made[name].pages[:2]
        assert float(first.mediabox.width) > float(first.mediabox.height)
        said = first.extract_text()
        assert all(words in said for words in ("計畫名稱", "預期效益說明", "促進至業界就業人才數", "首長"))
        assert "判讀" in second.extract_text()
    # Days of a sheet are days of the Republic's calendar in the program too, not of a year without its century.
    first = made["entries-ods"].pages[0].extract_text()
    assert (len(re.findall(r"\b10[6-9]\s*年?\s*\d", first)) > 5, re.findall(r"\b1[7-9]\s*年", first)) == (True, [])


FORMATS = list(ReportFormat)
BEGINS = {
    "xlsx": b"PK",
    "ods": b"PK",
    "docx": b"PK",
    "odt": b"PK",
    "pdf": b"%PDF-",
    "html": b"<!doctype html>",
    "csv": b"\xef\xbb\xbf",
    "json": b"{",
}


def test_these_are_the_reports() -> None:
    assert sorted(REPORTS) == ["alliance", "b003", "entries", "gender", "kpi", "month", "review-pack", "sufficiency"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_is_made_in_every_format(reports: dict[str, ReportDocument], name: str, form: ReportFormat) -> None:
    content = render(reports[name], form, ReportLanguage.BOTH)
    assert content.lower().startswith(BEGINS[form.value].lower())


def test_a_report_names_its_day_and_heads(engine: Engine, reports: dict[str, ReportDocument]) -> None:
    with reading(engine) as session:
        # Those of the audit trail and of the links move with whatever anybody does; they leave in the night's mail.
        heads = {chain.value: head(session, chain) for chain in LEDGER_CHAINS}
    assert sorted(heads) == ["entries", "steps"]
    for report in reports.values():
        document = json.loads(render(report, ReportFormat.JSON))
        assert document["as_of"] == LAST_DAY.isoformat()
        assert {one["chain"]: (one["n"], one["hash"]) for one in document["heads"]} == heads
        assert document["tables"]


def test_small_counts_are_printed_only_inside_the_alliance(engine: Engine) -> None:
    def made(**more: Any) -> bytes:
        with reading(engine) as session:
            document = make_report(session, "gender", ReportRequest(as_of=LAST_DAY, now=NOW, year=2019, **more))
        return render(document, ReportFormat.JSON)

    about = frozenset({"al-01"})
    outside, inside, whole = made(alliances=about), made(alliances=about, stays_inside=True), made()
    assert outside == whole
    assert inside != outside
