"""The story of 106 to 109 gives the tables that can be worked out by hand from its events."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from indexer.database import open_engine, reading
from indexer.settings import Settings
from indexer.wording import Text
from matcher.ledger.figures.folds import end_of, figures
from matcher.ledger.figures.forecast import Measure, forecast
from matcher.ledger.proving.verification import verify
from matcher.ledger.reports.b003_report import b003_report
from matcher.ledger.reports.document import ReportCell, ReportDocument, ReportRequest, ReportTable
from matcher.ledger.reports.kpi_reports import alliance_report, kpi_report
from matcher.ledger.reports.target_standings import target_standings
from matcher.ledger.rows.entries import Entry, EntryKind, LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import PeriodClose
from matcher.ledger.rows.steps import steps_of
from matcher.ledger.rules.targets import Standing
from matcher.ledger.story import LAST_DAY, load_story
from matcher.review.cases import Case
from tests.conftest import Databases

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
ALL = ReportRequest(as_of=LAST_DAY, now=NOW)

# How each number comes about (see fixtures/programme/README.md):
# talent     one entry is one person: 20, 35, 50, 60; together 165.
# alliances  15 were founded in 106, 3 in 108 (fixtures/world/alliances.jsonl): 15, 15, 18, 18.
# money      106: 40 + 35 + 20 + 8 = 103 million.
#            107: 60 + 55 + 48 + 45 + 40 + 38 + 35 + 30 + 28 + 20 = 399, the first of five instalments 4, and 30 that
#            turned out to be 3 later: 433. Up to 107: 536.
#            108: 90 + 85 + 80 + 75 + 70 + 60 + 55 + 45 + 40 + 36 = 636, instalment 4, the late 12, the reversed −30 and
#            the right 3: 625. Up to 108: 1,161.
#            109: 180 + 165 + 150 + 140 + 125 + 110 + 95 + 90 + 85 + 80 + 72 + 48 = 1,340, instalment 4: 1,344.
#            Up to 109: 2,505. The instalments of 110 and 111 (8) and the 15 in review are not part of it.
# startups   5, 7, 13; one more was refused at once, another programme claims it.
# cases      107: 3 foreign and 2 domestic at an exhibition (its twin was refused); 108: 8 + 1; 109: 11 + 1: 5, 14, 26.
# members    31, 21, 46, 24: 31, 52, 98, 122.
# jobs       106: 3. 107: 30 + 28 + 25 + 22 and 15 after a return: 120. 108: 60 + 50 + 45 + 40 + 30 + 20 + 15 = 260.
#            109: 70 + 60 + 50 + 45 + 35 + 25 + 15 = 300. Cumulative: 3, 123, 383, 683. The 4 were withdrawn.
# models     3, all in 109.
SCIENCE, TECHNOLOGY, ECONOMY = "學術成就（科技基礎研究）", "技術創新（科技技術創新）", "經濟效益（經濟產業促進）"
PART_ONE = [
    [
        SCIENCE,
        "C.培育及延攬人才",
        "人才培育 100 人\n帳冊認列 20 人",
        "人才培育 300 人\n實際 35 人",
        "人才培育 700 人\n實際 50 人",
        "人才培育數 1,200 人\n實際 60 人",
        "透過衍生學研合作計畫間接培育產業所需人才",
    ],
    [
        TECHNOLOGY,
        "其他",
        "補助成立 15 個國際產學聯盟\n帳冊認列 15 個",
        "累計補助成立 15 個國際產學聯盟\n實際 15 個",
        "累計補助成立 18 個國際產學聯盟\n實際 18 個",
        "累計補助成立 18 個聯盟\n實際 18 個",
        "促成國內學術研究及產業發展與國際接軌，擴大前瞻創新能力",
    ],
    [ECONOMY, "L.促成投資", None, None, None, None, None],
    [ECONOMY, "P.創業育成", None, None, None, None, None],
    [
        ECONOMY,
        "T.促成與學界或產業團體合作研究",
        None,
        "累計推動國際交流促成產學合作 5 案。\n實際 5 件",
        "累計推動國際交流促成產學合作 15 案\n實際 14 件",
        "累計推動國際交流促成產學合作 25 案\n實際 26 件",
        "擴大我國技術的產業價值，協助產業創新轉型升級",
    ],
    [
        ECONOMY,
        "其他",
        "促進就業 3 人\n帳冊認列 3 人",
        "累計促進就業 150 人\n實際 123 人",
        "累計促進就業 350 人\n實際 383 人",
        "累計促進就業 600 人\n實際 683 人",
        "促進專業人才與產業發展需求接軌，強化產業發展",
    ],
]
PART_TWO = [
    [
        SCIENCE,
        "C.培育及延攬人才",
        "培育企業所需人才 2,300 人以上\n實際 165 人",
        "透過衍生學研合作計畫，間接培育企業所需人才 2300 人以上",
    ],
    # 2,505 − 20 of a public body − 28 that were given.
    [ECONOMY, "L.促成投資", "促成產學合作金額達 25 億\n實際 24.57 億元", "促成產業投入產學合作金額達 25 億元"],
    [ECONOMY, "P.創業育成", "成立 25 家以上新創事業\n實際 25 家", "聯盟研發團隊衍生新創事業 25 家"],
    [ECONOMY, "T.促成與學界或產業團體合作研究", "促成國際產學合作 25 件\n實際 22 件", None],
    [ECONOMY, "其他", "促進至業界就業人才數 1,150 人\n實際 683 人", "促進至業界就業人才數 1,150 人"],
]
RESEARCH, DOMESTIC, COOPERATION = "產業研發經費投入學界", "國內產學合作金額", "產業投入產學合作金額"
EVENTS, PARTNERS = "含國際展會促成之國內案", "僅計國外夥伴"
MONEY, CASES = "產學合作經費（各類來源）", "國際產學合作件數"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def story(
    request: pytest.FixtureRequest, story_home: Path, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, Settings]]:
    """The story in a database; read only."""
    home = tmp_path_factory.mktemp("story") / "home"
    if request.param == "sqlite":
        settings = Settings(home=Path(shutil.copytree(story_home, home)))
        engine = open_engine(settings)
    else:
        home.mkdir()
        settings = Settings(home=home, database_url=databases.at_head(request.param, home))
        engine = open_engine(settings)
        load_story(engine, home=home)
    yield engine, settings
    engine.dispose()


def _zh(value: Any) -> Any:
    return value.zh if isinstance(value, Text) else value


def _values(table: ReportTable, *columns: int) -> list[list[Any]]:
    return [[_zh(row[place].value) for place in columns or range(len(row))] for row in table.rows]


def test_both_tables_b003_are_the_ones_worked_out_by_hand(story: tuple[Engine, Settings]) -> None:
    with reading(story[0]) as session:
        document = b003_report(session, ALL)
    one, two, _ = document.tables
    assert [(_zh(column.group), column.title.zh) for column in one.columns] == [
        (None, "屬性"),
        (None, "績效指標"),
        (None, "106 年 實際達成值"),
        (None, "107 年度 目標值"),
        ("初級產出量化值", "108 年度"),
        ("初級產出量化值", "109 年度"),
        ("預期效益說明", "108-109 年度"),
    ]
    assert [column.title.zh for column in two.columns] == ["屬性", "績效指標", "初級產出量化值", "預期效益說明"]
    assert _values(one) == PART_ONE
    assert _values(two) == PART_TWO


def test_e1_e2_every_reading_of_the_plan_has_its_own_figure_and_verdict(story: tuple[Engine, Settings]) -> None:
    with reading(story[0]) as session:
        readings = b003_report(session, ALL).tables[2]
        summary = kpi_report(session, ALL).tables[0]
        cards = target_standings(session, as_of=LAST_DAY)
    whole = [row[2:6] for row in _values(readings) if row[:2] == [MONEY, "全程"]]
    # 2,364, 2,022 and 2,457 million by the three wordings: no reading of the plan is reached.
    assert whole == [
        ["累計 25 億元", RESEARCH, "23.64 億元", "未達"],
        ["全程 25 億元", RESEARCH, "23.64 億元", "未達"],
        ["全程 25 億元", DOMESTIC, "20.22 億元", "未達"],
        ["全程 25 億元", COOPERATION, "24.57 億元", "未達"],
    ]
    cases = [row[2:6] for row in _values(readings) if row[:2] == [CASES, "全程"]]
    assert cases == [
        ["累計 25 件", EVENTS, "26 件", "達成"],
        ["全程 25 件", PARTNERS, "22 件", "未達"],
        ["累計 25 件", EVENTS, "26 件", "達成"],
        ["全程 25 件", PARTNERS, "22 件", "未達"],
        ["全程 25 件", PARTNERS, "22 件", "未達"],
    ]
    assert [[row[1], row[3], row[5]] for row in _values(summary) if row[0] in (MONEY, CASES)] == [
        [EVENTS, 26, "達成"],
        [PARTNERS, 22, "未達"],
        [RESEARCH, 2_364_000_000, "未達"],
        [DOMESTIC, 2_022_000_000, "未達"],
        [COOPERATION, 2_457_000_000, "未達"],
    ]
    # The card says the same: none reached for money, and for cases that it depends on the reading.
    (money,) = [one for one in cards.of(Kpi.MONEY) if one.year is None]
    (international,) = [one for one in cards.of(Kpi.INTERNATIONAL_CASES) if one.year is None]
    assert (money.standing, international.standing) == (Standing.OPEN, Standing.DISPUTED)
    assert {one.standing for one in money.books} == {Standing.OPEN}


def test_a_report_as_of_then_shows_what_was_known_then(story: tuple[Engine, Settings]) -> None:
    with reading(story[0]) as session:
        document = b003_report(session, ReportRequest(as_of=date(2018, 12, 31), now=NOW, year=107))
        whole = b003_report(session, ReportRequest(as_of=LAST_DAY, now=NOW, year=2018))
    jobs = [cell.value for cell in document.tables[0].rows[5]]
    assert jobs[3] == PART_ONE[5][3]
    # A year that has not begun has its target only.
    assert jobs[4] == "累計促進就業 350 人"
    # Nothing that came later changed the year that was shown.
    assert _values(whole.tables[0], 2, 3) == _values(document.tables[0], 2, 3)


def test_what_does_not_count_stands_in_columns_of_its_own(story: tuple[Engine, Settings]) -> None:
    with reading(story[0]) as session:
        now = kpi_report(session, ALL).tables[2]
        then = kpi_report(session, ReportRequest(as_of=date(2019, 12, 31), now=NOW)).tables[2]
    titles = [column.title.zh for column in now.columns]
    assert titles[5:] == ["已承諾", "計畫結束後", "審查中", "至年底預估再增"]
    million = 1_000_000
    assert [row[2:8] for row in _values(now) if row[0] == MONEY] == [
        ["106 年度", 103 * million, 103 * million, 0, None, 0],
        ["107 年度", 433 * million, 536 * million, 0, None, 0],
        ["108 年度", 625 * million, 1_161 * million, 0, None, 0],
        ["109 年度", 1_344 * million, 2_505 * million, 0, None, 15 * million],
        ["全程", None, 2_505 * million, 0, 8 * million, 15 * million],
    ]
    # A year before, the instalment of 109 was a commitment and no actual of 109 was there at all.
    last = [row for row in _values(then) if row[0] == MONEY][3]
    assert last[2:8] == ["109 年度", None, None, 4 * million, None, 0]


def test_late_facts_restate_a_year_beside_what_was_shown(story: tuple[Engine, Settings]) -> None:
    with reading(story[0]) as session:
        table = kpi_report(session, ALL).tables[2]
    remarks = {
        (_zh(row[2].value), place): row[place].remark.zh
        for row in table.rows
        for place in (3, 4)
        if row[place].remark is not None and _zh(row[0].value) == MONEY
    }
    # 433 − 30 + 3 + 12 = 418; the same 15 come off 108, so that up to 108 nothing changes.
    assert remarks == {
        ("107 年度", 3): "補計遲到事實後為 418,000,000",
        ("107 年度", 4): "補計遲到事實後為 521,000,000",
        ("108 年度", 3): "補計遲到事實後為 640,000,000",
    }


def test_a_forecast_stands_apart_and_goes_into_no_actual(story: tuple[Engine, Settings]) -> None:
    june = ReportRequest(as_of=date(2020, 6, 30), now=NOW)
    with reading(story[0]) as session:
        table = kpi_report(session, june).tables[2]
        ahead = forecast(session, as_of=june.as_of)
        counted = figures(session, as_of=end_of(june.as_of))
        on_the_last_day = kpi_report(session, ALL).tables[2]
    said = {(_zh(row[0].value), _zh(row[2].value)): row for row in table.rows if row[-1].value is not None}
    assert list(said) == [(CASES, "109 年度"), (MONEY, "109 年度")]
    money = said[MONEY, "109 年度"]
    found = ahead.ranges[Measure.MONEY]
    assert ahead.open_cases == 6
    assert money[-1].value == round(found.expected, 2) > 0
    assert money[-1].remark is not None
    assert money[-1].remark.zh == f"進行中案件 6 件；80% 區間 {found.low:,} 至 {found.high:,}"
    assert money[3].value == counted.whole(Kpi.MONEY, years=[2020])
    # Nothing is left to come on the year's last day.
    assert {row[-1].value for row in on_the_last_day.rows} == {None}


def test_money_and_cases_are_printed_by_every_definition(story: tuple[Engine, Settings]) -> None:
    with reading(story[0]) as session:
        *_, given, money, cases = kpi_report(session, ALL).tables
    whole = {row[0]: row[3] // 1_000_000 for row in _values(money) if row[1] == "全程"}
    # Of 2,505: from abroad 90 + 180 + 165, a public body 20, a donation 28, a licence 45, training 48.
    assert whole == {
        "國內產學合作金額": 2_505 - 435 - 20 - 28,
        "產業研發經費投入學界": 2_505 - 20 - 28 - 45 - 48,
        "產業投入產學合作金額": 2_505 - 20 - 28,
        "全部經費（含政府機關與捐贈，不與任何目標相比）": 2_505,
    }
    assert [row[:2] + row[3:4] for row in _values(cases) if row[1] == "全程"] == [
        ["含國際展會促成之國內案", "全程", 26],
        ["僅計國外夥伴", "全程", 22],
    ]
    assert _values(given, 0, 2, 3, 4) == [["成立聯盟數", 15, 15, 0], ["培育人才", 100, 20, -80], ["促進就業", 3, 3, 0]]


def test_every_figure_is_the_sum_of_the_entries_that_it_names(story: tuple[Engine, Settings]) -> None:
    with reading(story[0]) as session:
        tables = kpi_report(session, ALL).tables
        signed = {
            entry_id: -amount if kind == EntryKind.REVERSAL else amount
            for entry_id, kind, amount in session.execute(select(Entry.id, Entry.kind, Entry.amount)).all()
        }
    cells: list[ReportCell] = [cell for table in tables for row in table.rows for cell in row if cell.entries]
    assert [cell for cell in cells if sum(signed[entry] for entry in cell.entries) != cell.value] == []
    # The control: most figures have entries, and money of 108 names the reversal.
    assert len(cells) > 80
    assert any("story-typo-reversal" in cell.entries for cell in cells)


def test_shares_of_alliances_add_up_to_the_whole(story: tuple[Engine, Settings]) -> None:
    with reading(story[0]) as session:
        figures, money = alliance_report(session, ALL).tables
        part = alliance_report(session, ReportRequest(as_of=LAST_DAY, now=NOW, alliances=frozenset({"al-18"})))
    for table in (figures, money):
        *alliances, whole = [[round(value * 10_000) for value in row[1:]] for row in _values(table)]
        assert [sum(column) for column in zip(*alliances, strict=True)] == whole
    assert _values(figures)[-1][1:] == [18, 122, 26, 2_505_000_000, 165, 25, 683, 3]
    assert _values(part.tables[0]) == [row for row in _values(figures) if row[0] == "離島永續創新國際產學聯盟"]


def test_the_ledger_holds_what_the_story_tells(story: tuple[Engine, Settings]) -> None:
    engine, settings = story
    with reading(engine) as session:
        assert verify(session, home=settings.home).findings == []
        last = {
            one: steps_of(session, f"story-{one}")[-1].state for one in ("case-twin", "case-04", "case-held", "typo")
        }
        closed = session.exec(select(PeriodClose.period).order_by(PeriodClose.period)).all()
        late = session.exec(select(Entry.period, Entry.late_for).where(Entry.id == "story-late")).one()
        cases = session.exec(select(Case.stage)).all()
        accepted = figures(session, as_of=end_of(LAST_DAY)).whole(Kpi.ACCEPTANCES)
    assert accepted == len(cases) == 44
    assert last == {"case-twin": "refused", "case-04": "recognised", "case-held": "held", "typo": "reversed"}
    assert (len(closed), closed[0], closed[-1]) == (12, "2017Q4", "2020Q3")
    assert late == ("2019Q1", "2018Q4")


def test_the_story_is_told_once(story: tuple[Engine, Settings]) -> None:
    with pytest.raises(LedgerError, match="without entries"):
        load_story(story[0], home=story[1].home)


@pytest.mark.parametrize("report", [kpi_report, b003_report], ids=["kpi", "b003"])
def test_single_alliances_do_not_get_a_report_of_the_whole(
    story: tuple[Engine, Settings], report: Callable[[Session, ReportRequest], ReportDocument]
) -> None:
    request = ReportRequest(as_of=LAST_DAY, now=NOW, alliances=frozenset({"al-01"}))
    with pytest.raises(LedgerError, match="the report alliance shows alliances"), reading(story[0]) as session:
        report(session, request)


def test_a_year_that_the_programme_has_not_is_refused(story: tuple[Engine, Settings]) -> None:
    with pytest.raises(LedgerError, match=r"years 106 to 109 \(2017–2020\)"), reading(story[0]) as session:
        kpi_report(session, ReportRequest(as_of=LAST_DAY, now=NOW, year=110))
