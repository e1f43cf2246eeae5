"""The plan's own tables, read from its text, are the target books and the forms of B003, cell by cell.

The plan lies beside the project, not in it: without it these tests are skipped.
"""

from __future__ import annotations

import re
from functools import cache

import pytest

from matcher.ledger.reports.b003_report import FormRow, b003_forms
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.targets import Target, TargetBasis, TargetBooks
from tests.rig.servers.served import REPOSITORY

PLAN = REPOSITORY.parent / "shared" / "programme-plan.txt"
pytestmark = pytest.mark.skipif(not PLAN.exists(), reason="the plan's text is not beside the project")

BOOKS = {book.code: book for book in default(TargetBooks).books}
YEARS = (2017, 2018, 2019, 2020)
NUMBER = re.compile(r"[\d,]+")


@cache
def _lines() -> list[str]:
    return PLAN.read_text("utf-8").splitlines()


def _at(line: int) -> str:
    """Return a line of the plan, counted from 1 as the audit of it counts them."""
    return _lines()[line - 1]


def _bare(text: str) -> str:
    """Return a text without blanks, and with one kind of brackets and commas."""
    return re.sub(r"\s", "", text).translate(str.maketrans("(),", "（），")).removesuffix("。")


def _cells(line: int) -> list[str]:
    return [cell.strip() for cell in _at(line).split("\t")]


def _amounts(text: str) -> list[int]:
    return [int(found.replace(",", "")) for found in NUMBER.findall(text)]


@pytest.mark.parametrize("row", b003_forms()["part_one"].rows, ids=lambda row: row.kpi.value)
def test_e3_e11_b003_of_part_one_is_the_plans_table_cell_by_cell(row: FormRow) -> None:
    of = row
    line = _line_of(of.indicator, of.cells, of.kpi)
    cells = [_bare(cell) for cell in line]
    place = cells.index(_bare(of.indicator))
    if not any(of.cells):
        # The plan leaves the form's own hints there, without a number: nothing was filled in.
        assert not any(NUMBER.search(cell) for cell in cells[place + 1 :])
        assert of.benefit == ""
        return
    assert cells[place + 1 :] == [*map(_bare, of.cells), _bare(of.benefit)]


def _line_of(indicator: str, filled: tuple[str, ...], kpi: Kpi) -> list[str]:
    """Return the row of part one's table that has an indicator and, for one of the "other" rows, its first cell."""
    rows = [line.split("\t") for line in _lines()[76:150]]
    found = [
        row
        for row in rows
        if any(_bare(cell) == _bare(indicator) for cell in row)
        and (indicator != "其他" or any(_bare(cell) == _bare(filled[0]) for cell in row))
    ]
    assert len(found) == 1, (kpi, found)
    return found[0]


def test_e3_heads_of_part_one_are_the_plans() -> None:
    head, below = _cells(82), _cells(83)
    assert [_bare(cell) for cell in head] == [
        "屬性",
        "績效指標",
        "106年實際達成值",
        "107年度目標值",
        "初級產出量化值",
        "",
        "預期效益說明",
    ]
    assert [_bare(cell) for cell in below if cell] == ["108年度", "109年度", "108-109年度"]


@pytest.mark.parametrize("row", b003_forms()["part_two"].rows, ids=lambda row: row.kpi.value)
def test_e3_e11_b003_of_part_two_is_the_plans_table_cell_by_cell(row: FormRow) -> None:
    of = row
    found = [
        cells
        for cells in (line.split("\t") for line in _lines()[1035:1085])
        if any(_bare(cell) == _bare(of.indicator) for cell in cells)
        and any(_bare(cell) == _bare(of.cells[0]) for cell in cells)
    ]
    (cells,) = found
    bare = [_bare(cell) for cell in cells]
    place = bare.index(_bare(of.indicator))
    assert bare[place + 1 :] == [_bare(of.cells[0]), _bare(of.benefit)]


def test_e11_members_and_model_cases_are_no_rows_of_b003() -> None:
    rows = [row.kpi for form in b003_forms().values() for row in form.rows]
    assert not {Kpi.MEMBERS, Kpi.MODEL_CASES} & set(rows)
    assert "會員" not in "".join(_lines()[76:150] + _lines()[1035:1085]).replace("會員加盟", "")


def test_e3_the_numbers_of_both_books_are_those_of_both_tables() -> None:
    part_one = {
        (row.kpi, year): _amounts(cell)[-1]
        for row in b003_forms()["part_one"].rows
        for year, cell in zip(YEARS, row.cells, strict=True)
        # What 106 has is an actual, not a target.
        if cell and year > 2017
    }
    assert {(one.kpi, one.year): one.amount for one in BOOKS["b003"].targets} == part_one
    part_two = {row.kpi: _amounts(row.cells[0])[-1] for row in b003_forms()["part_two"].rows}
    part_two[Kpi.MONEY] *= 100_000_000
    assert {one.kpi: one.amount for one in BOOKS["b003_part_two"].targets} == part_two
    given = {one.kpi: one.amount for one in default(TargetBooks).given_actuals}
    first = {row.kpi: _amounts(row.cells[0])[-1] for row in b003_forms()["part_one"].rows if row.cells[0]}
    assert given == first


def test_e4_the_headline_numbers_are_a003s_and_stand_under_its_name() -> None:
    (line,) = [line for line in _lines()[:75] if line.startswith("主要績效指標 (限填 5 項)")]
    said = re.findall(r"<p>(.*?)</p>", line)
    assert [_amounts(text) for text in said] == [[18, 180], [25, 25, 2_300], [25, 1_150], [3, 3]]
    book = BOOKS["a003"]
    assert book.title_zh == "A003 主要績效指標"
    assert {one.kpi.value: (one.amount, one.source[-1]) for one in book.targets if one.kpi is not Kpi.MODEL_CASES} == {
        "alliances": (18, "一"),
        "members": (180, "一"),
        "T": (25, "二"),
        "L": (2_500_000_000, "二"),
        "C": (2_300, "二"),
        "P": (25, "三"),
        "jobs": (1_150, "三"),
    }
    assert all(one.source.startswith("第一部分 壹、A003") for one in book.targets)


SCHEDULE = {
    "成立聯盟數": (Kpi.ALLIANCES, 1),
    "促進就業人數": (Kpi.JOBS, 1),
    "產業研發經費投入金額": (Kpi.MONEY, 100_000_000),
    "產業培育所需人才": (Kpi.TALENT, 1),
    "會員參與數": (Kpi.MEMBERS, 1),
    "產學合作件數": (Kpi.INTERNATIONAL_CASES, 1),
    "衍生新創事業": (Kpi.STARTUPS, 1),
}


def test_the_schedule_is_the_plans_table_with_its_bases() -> None:
    """第二部分 貳、四: what is 累計 or 累積 there is cumulative, all else is of the year."""
    start = next(n for n, line in enumerate(_lines()) if line.startswith("四、目標實現時間規劃："))
    rows = {cells[0]: cells[1:] for line in _lines()[start : start + 14] if len(cells := line.split("\t")) == 5}
    expected = {}
    for name, (kpi, times) in SCHEDULE.items():
        for year, cell in zip(YEARS, rows[name], strict=True):
            if cell.strip() != "-":
                basis = TargetBasis.CUMULATIVE if re.search("累[計積]", cell) else TargetBasis.ANNUAL
                expected[kpi, year] = (_amounts(cell)[-1] * times, basis)
    assert {
        (one.kpi, one.year): (one.amount, one.basis) for one in BOOKS["schedule"].targets if one.year is not None
    } == expected
    assert len(expected) == 26


def _target(book: str, kpi: Kpi) -> Target:
    found = BOOKS[book].target(kpi, None)
    assert found is not None
    return found


def test_e1_e2_each_target_names_the_definition_that_its_wording_means() -> None:
    wordings = {
        ("a003", Kpi.MONEY): ("帶動 25 億元產業研發經費投入學界", "industry_research"),
        ("schedule", Kpi.MONEY): ("累積產業研發經費投入金額 25 億", "industry_research"),
        ("kpi_values", Kpi.MONEY): ("促成國內產學合作金額", "domestic_cooperation"),
        ("b003_part_two", Kpi.MONEY): ("促成產業投入產學合作金額達 25 億元", "industry_cooperation"),
        ("a003", Kpi.INTERNATIONAL_CASES): ("促成國際產學合作 25 件", "foreign_partners_only"),
        ("schedule", Kpi.INTERNATIONAL_CASES): ("累計推動國際交流促成產學合作 25 案", "with_domestic_at_events"),
        ("b003", Kpi.INTERNATIONAL_CASES): ("累計推動國際交流促成產學合作25案", "with_domestic_at_events"),
        ("kpi_values", Kpi.INTERNATIONAL_CASES): ("促成國際產學合作 25 件", "foreign_partners_only"),
        ("b003_part_two", Kpi.INTERNATIONAL_CASES): ("促成國際產學合作 25 件", "foreign_partners_only"),
    }
    text = PLAN.read_text("utf-8")
    for (book, kpi), (wording, definition) in wordings.items():
        assert wording in text
        assert _target(book, kpi).definition == definition


def test_e4_the_paragraph_on_young_people_stands_in_section_three() -> None:
    before = [line for line in _lines()[:892] if re.match(r"\(.\) ", line)]
    assert before[-1].startswith("(三) 其他效益")
    assert "培育產業所需人才 4,000 人以上，並促成 40 家以上新創事業、促進就業 2,000 人" in _at(892)
    assert {one.source for one in BOOKS["paragraph"].targets} == {"第二部分 壹、五、(三) 2. 青年就業"}
