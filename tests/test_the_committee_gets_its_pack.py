"""The review pack shows a group's quarter from one state of the ledger; the sufficiency report an alliance's year."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from indexer.database import reading, writing
from indexer.vocabulary import Tier
from matcher.ledger.figures.alliance_targets import YearTarget
from matcher.ledger.figures.folds import end_of, figures
from matcher.ledger.figures.ladder import warn
from matcher.ledger.figures.subsidy import SubsidyPath, needed_income
from matcher.ledger.figures.sufficiency import SufficiencyItem, book
from matcher.ledger.reports.document import ReportDocument
from matcher.ledger.reports.review_pack import Review, review_pack
from matcher.ledger.reports.subsidy_year_reports import sufficiency_report
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.recognition import check, recognise
from matcher.ledger.rules.reporting import report
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, build_ledger_world, money, recognised

JULY = datetime(2019, 7, 10, 4, 0, tzinfo=UTC)
DAY = date(2019, 7, 10)
YEAR_TARGETS = [YearTarget(Kpi.MONEY, 2019, 1_000_000_000), YearTarget(Kpi.JOBS, 2019, 0)]


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def _rows(document: ReportDocument, title: str) -> list[list[object]]:
    (table,) = [one for one in document.tables if one.title.en == title]
    assert all(len(row) == len(table.columns) for row in table.rows)
    return [[getattr(cell.value, "en", cell.value) for cell in row] for row in table.rows]


def _pack(session: Session, alliances: list[str], day: date = DAY) -> ReportDocument:
    return review_pack(session, alliances=alliances, as_of=day, year_targets=YEAR_TARGETS, now=JULY)


def _quarter(session: Session, world: LedgerWorld) -> None:
    """Two recognised results of which one is shared, a look-alike that is held, large money that waits for a second."""
    recognised(session, world, money(shares={"al-a": 6_000, "al-b": 4_000}))
    alike = money("money-0002", details={"contract": "Z-9"}, shares={"al-b": 10_000}, value_added="另一合約")
    report(session, alike, by=world.people["other_reporter"], now=NOON)
    large = money("money-0003", amount=9_000_000, details={"payer": "磐石重工", "contract": "B-1"})
    report(session, large, by=world.people["reporter"], now=NOON)
    check(session, entry_id="money-0003", by=world.people["committee"], now=NOON)
    assert recognise(session, entry_id="money-0003", by=world.people["office"], now=JULY, note="大額") is not None


def test_the_pack_shows_the_quarter_of_a_group(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        _quarter(session, world)
        pack = _pack(session, ["al-a"])
        folded = figures(session, as_of=end_of(DAY))
    reported = [(row[0], row[2], row[3], row[6]) for row in _rows(pack, "what was reported")]
    assert reported == [
        ("money-0001", 1_000_000, "甲聯盟 60 %, 乙聯盟 40 %", "recognised"),
        ("money-0003", 9_000_000, "甲聯盟 100 %", "checked"),
    ]
    assert [row[0] for row in _rows(pack, "evidence")] == ["money-0001", "money-0003"]
    assert _rows(pack, "evidence")[0][1:] == ["合約", "https://example.org/contract"]
    assert [row[:3] for row in _rows(pack, "claims that look alike")] == [["money-0002", "甲公司", 1_000_000]]
    assert _rows(pack, "claims that look alike")[0][4:7] == ["money-0001", "甲公司", 1_000_000]
    assert [row[2] for row in _rows(pack, "values added")] == ["聯盟專家促成合約"] * 2
    own = folded.amount_bp(Kpi.MONEY, years=[2019], alliance="al-a") // 10_000
    money_of = [row[:2] + row[5:6] for row in _rows(pack, "recognised figures")]
    assert money_of == [["甲聯盟", "2019", 600_000], ["甲聯盟", "so far", 600_000]]
    assert _rows(pack, "summary of the group") == [
        ["甲聯盟", 2, 1, "cooperation money, all payers", "a warning is proposed", None, "not filled in", None]
    ]
    assert own == 600_000
    assert _rows(pack, "motions that wait for a second person") == [["recognise", "money-0003", "大額", DAY]]
    school = _rows(pack, "school totals")
    assert school == [["一號大學", "cooperation money, all payers", 900_000_000, 1_000_000, 1 / 900, "校務公開資訊"]]
    assert [head.chain for head in pack.heads] == ["entries", "steps"]


def test_the_pack_of_the_other_group_does_not_show_what_is_not_its_own(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        _quarter(session, world)
        pack = _pack(session, ["al-b"])
    assert [row[0] for row in _rows(pack, "what was reported")] == ["money-0001", "money-0002"]
    assert _rows(pack, "motions that wait for a second person") == []


def test_warnings_and_their_rungs_are_in_the_pack(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        recognised(session, world, money())
        review = Review(session, ["al-a"], DAY, YEAR_TARGETS)
        before = _pack(session, ["al-a"])
        assert _rows(before, "what waits for a decision") == [
            ["甲聯盟", "cooperation money, all payers", "a warning is proposed"]
        ]
        (gap,) = [one for one in review.read if one.kpi is Kpi.MONEY]
        warn(session, gap=gap, reason="落後", by=world.people["office"], now=JULY)
        after = _pack(session, ["al-a"], date(2019, 7, 20))
    # Half of 10 億, of which 15 % are expected by the first quarter, settled after 45 days.
    money_row = next(
        row for row in _rows(after, "figures beside their pace") if row[1] == "cooperation money, all payers"
    )
    assert money_row[2:] == ["NTD", 500_000_000, 75_000_000, 1_000_000, 0, 74_000_000, "behind enough for a warning"]
    assert _rows(after, "warnings and their rungs") == [
        ["甲聯盟", "cooperation money, all payers", "warning", DAY, 10, "落後", None]
    ]
    assert [row[2] for row in _rows(after, "what waits for a decision")] == ["warned, and no improvement plan yet"]


@pytest.mark.parametrize(
    ("moment", "day", "shown"),
    [
        # 15:59 UTC on 31 December is the last minute of the year in Taipei, 16:00 the first of the next.
        (datetime(2019, 12, 31, 15, 59, tzinfo=UTC), date(2019, 12, 31), True),
        (datetime(2019, 12, 31, 16, 0, tzinfo=UTC), date(2019, 12, 31), False),
        (datetime(2019, 12, 31, 16, 0, tzinfo=UTC), date(2020, 1, 1), True),
        (datetime(2019, 9, 30, 16, 0, tzinfo=UTC), date(2020, 1, 1), True),
        (datetime(2019, 9, 30, 15, 59, tzinfo=UTC), date(2020, 1, 1), False),
    ],
)
def test_the_quarter_begins_and_ends_at_midnight_in_taipei(
    engine: Engine, world: LedgerWorld, moment: datetime, day: date, shown: bool
) -> None:
    with writing(engine) as session:
        report(session, money(), by=world.people["reporter"], now=moment)
        pack = _pack(session, ["al-a"], day)
    assert bool(_rows(pack, "what was reported")) is shown


def test_a_group_has_alliances(engine: Engine, world: LedgerWorld) -> None:
    with reading(engine) as session:
        for group, message in (([], "name the group's alliances"), (["al-a", "al-x"], "no alliance 'al-x'")):
            with pytest.raises(LedgerError, match=message):
                _pack(session, group)


def test_the_sufficiency_report_adds_up(engine: Engine, world: LedgerWorld) -> None:
    rows = [
        (SufficiencyItem.MEMBER_FEES, Tier.GOLD, date(2018, 8, 31), 100_000),
        (SufficiencyItem.MEMBER_FEES, Tier.GOLD, date(2018, 9, 1), 150_000),
        (SufficiencyItem.PERSONNEL, None, date(2018, 9, 1), 500_000),
        (SufficiencyItem.SUBSIDY, None, date(2018, 9, 1), 400_000),
    ]
    with writing(engine) as session:
        for item, tier, day, amount in rows:
            book(
                session,
                alliance_id="al-a",
                item=item,
                tier=tier,
                occurred_on=day,
                amount_ntd=amount,
                source="傳票",
                by=world.people["reporter"],
                now=JULY,
            )
        path = SubsidyPath.model_validate(
            {"note": "", "base": "expenses", "shares_bp": {2018: 10_000}, "last_share_bp": 4_000}
        )
        needed = needed_income(path, expenses_ntd={2020: 500_000}, own_income_ntd=150_000, growth_bp=0)
        made = sufficiency_report(session, alliance_id="al-a", year=2019, as_of=DAY, now=JULY, needed=needed)
        with pytest.raises(LedgerError, match="no alliance"):
            sufficiency_report(session, alliance_id="al-x", year=2019, as_of=DAY, now=JULY)
    statement = {row[0]: row[1:] for row in _rows(made, "income and expense statement")}
    # Of both years, and the change.
    assert statement["own income"] == [100, 150, 50]
    assert statement["balance"] == [100, 50, -50]
    assert _rows(made, "own-income share")[1] == ["108", 150, 0.3, 0.2, "yes", "yes"]
    assert _rows(made, "what own income must be") == [["109", 500_000, 200_000, 300_000, 150_000, 150_000]]
    assert [note.en for note in made.notes][-1] == "the year has not closed yet"
