"""Income, expense and subsidy are rows that stay; statements, shares and what income must become are exact."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from indexer.database import reading, writing
from indexer.vocabulary import MAX_NTD, Tier
from matcher.ledger.figures.subsidy import Needed, SubsidyBase, SubsidyPath, needed_income, own_shares
from matcher.ledger.figures.sufficiency import (
    Statement,
    SufficiencyItem,
    SufficiencyRow,
    book,
    statement,
    statements,
    take_back,
)
from matcher.ledger.rows.entries import AlreadyReportedError, LedgerError
from matcher.ledger.rules.configuration import current, default
from tests.rig.worlds.ledger_world import LedgerWorld, build_ledger_world

NOW = datetime(2020, 9, 15, 4, 0, tzinfo=UTC)
PATH = SubsidyPath(
    note="test", base=SubsidyBase.EXPENSES, shares_bp={2018: 10_000, 2019: 8_000, 2020: 6_000}, last_share_bp=4_000
)
FIRST_YEAR = PATH.model_copy(update={"base": SubsidyBase.FIRST_YEAR})


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def _book(
    session: Session,
    world: LedgerWorld,
    item: SufficiencyItem,
    amount_ntd: int,
    day: date = date(2019, 5, 2),
    *,
    tier: Tier | None = None,
    now: datetime = NOW,
) -> SufficiencyRow:
    by = world.people["reporter"]
    return book(
        session,
        alliance_id="al-a",
        item=item,
        tier=tier,
        occurred_on=day,
        amount_ntd=amount_ntd,
        source="傳票 1080502",
        by=by,
        now=now,
    )


def _statement(session: Session, year: int, as_of: datetime = NOW) -> Statement:
    return statement(session, alliance_id="al-a", year=year, as_of=as_of)


def test_a_statement_adds_up_its_rows(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        _book(session, world, SufficiencyItem.MEMBER_FEES, 50_000, tier=Tier.DOMESTIC)
        gold = _book(session, world, SufficiencyItem.MEMBER_FEES, 300_000, tier=Tier.GOLD).id or 0
        _book(session, world, SufficiencyItem.OVERHEAD, 120_000)
        _book(session, world, SufficiencyItem.OTHER_INCOME, 7)
        _book(session, world, SufficiencyItem.PERSONNEL, 900_000)
        _book(session, world, SufficiencyItem.OPERATION, 90_000)
        _book(session, world, SufficiencyItem.OTHER_EXPENSE, 10_000)
        _book(session, world, SufficiencyItem.SUBSIDY, 600_000)
        one = _statement(session, 2019)
    assert (one.own_income_ntd, one.expenses_ntd, one.subsidy_ntd, one.balance_ntd) == (
        470_007,
        1_000_000,
        600_000,
        70_007,
    )
    assert one.fees == {Tier.DOMESTIC: 50_000, Tier.INTERNATIONAL: 0, Tier.GOLD: 300_000}
    assert one.rows[SufficiencyItem.MEMBER_FEES] == (gold - 1, gold)
    assert sum(one.fees.values()) == one.items[SufficiencyItem.MEMBER_FEES]


def test_the_subsidy_year_closes_at_the_end_of_august(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        for day, amount in ((date(2018, 9, 1), 1), (date(2019, 8, 31), 10), (date(2019, 9, 1), 100)):
            _book(session, world, SufficiencyItem.OVERHEAD, amount, day)
        _book(session, world, SufficiencyItem.OVERHEAD, 1_000, date(2018, 12, 31))
        _book(session, world, SufficiencyItem.OVERHEAD, 10_000, date(2019, 1, 1))
        assert {year: _statement(session, year).own_income_ntd for year in (2018, 2019, 2020)} == {
            2018: 0,
            2019: 11_011,
            2020: 100,
        }
        # In Taipei the year is over from midnight on, 16:00 UTC.
        midnight = datetime(2019, 8, 31, 16, 0, tzinfo=UTC)
        assert not _statement(session, 2019, midnight - timedelta(microseconds=1)).closed
        assert _statement(session, 2019, midnight).closed
        years = statements(session, alliance_id="al-a", until=2020, as_of=NOW)
        assert [one.year for one in years] == [2019, 2020]


def test_a_wrong_row_is_taken_back_once_and_the_earlier_statement_can_still_be_made(
    engine: Engine, world: LedgerWorld
) -> None:
    with writing(engine) as session:
        row = _book(session, world, SufficiencyItem.OVERHEAD, 500, now=NOW - timedelta(days=300))
        by = world.people["reporter"]
        back = take_back(session, row_id=row.id or 0, reason="重複入帳", by=by, now=NOW)
        assert (back.amount_ntd, back.occurred_on, back.reverses) == (500, row.occurred_on, row.id)
        assert _statement(session, 2019).own_income_ntd == 0
        assert _statement(session, 2019, NOW - timedelta(days=1)).own_income_ntd == 500
        with pytest.raises(LedgerError, match="could be taken back"):
            take_back(session, row_id=back.id or 0, reason="r", by=by, now=NOW)
        row_id = row.id or 0
    with pytest.raises(AlreadyReportedError, match="taken back already"), writing(engine) as session:
        take_back(session, row_id=row_id, reason="again", by=by, now=NOW)


def test_the_database_keeps_the_rows(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        row_id = _book(session, world, SufficiencyItem.OVERHEAD, 500).id
    for change in ("UPDATE sufficiency_row SET amount_ntd = 1", "DELETE FROM sufficiency_row"):
        with pytest.raises(DBAPIError, match="append-only"), writing(engine) as session:
            session.connection().execute(text(change))
    other = SufficiencyRow(
        alliance_id="al-a",
        item="overhead",
        tier=None,
        occurred_on=date(2019, 5, 2),
        amount_ntd=499,
        source="x",
        reverses=row_id,
        by=world.people["office"],
        at=NOW,
    )
    with pytest.raises(DBAPIError, match="same amount"), writing(engine) as session:
        session.add(other)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"amount_ntd": 0}, "amount_ntd"),
        ({"amount_ntd": MAX_NTD + 1}, "amount_ntd"),
        ({"tier": Tier.GOLD}, "tier"),
        ({"item": SufficiencyItem.MEMBER_FEES}, "tier"),
        ({"item": SufficiencyItem.MEMBER_FEES, "tier": Tier.NONE}, "tier"),
        ({"day": date(2017, 8, 31)}, "occurred_on"),
        ({"day": date(2020, 9, 16)}, "occurred_on"),
    ],
)
def test_what_an_amount_must_be(engine: Engine, world: LedgerWorld, wrong: dict[str, object], field: str) -> None:
    row = {"item": SufficiencyItem.OVERHEAD, "amount_ntd": 5, **wrong}
    with pytest.raises(LedgerError) as refused, writing(engine) as session:
        _book(session, world, **row)  # type: ignore[arg-type]
    assert refused.value.field == field


def _year(year: int, own: int, expenses: int, subsidy: int = 0) -> Statement:
    items = dict.fromkeys(SufficiencyItem, 0) | {
        SufficiencyItem.OVERHEAD: own,
        SufficiencyItem.PERSONNEL: expenses,
        SufficiencyItem.SUBSIDY: subsidy,
    }
    return Statement("al-a", year, NOW, True, items, {}, {})


def test_own_income_has_to_take_over_what_the_subsidy_leaves() -> None:
    years = [_year(2018, 0, 100, 100), _year(2019, 20, 100), _year(2020, 39, 100), _year(2021, 39, 60)]
    shares = own_shares(PATH, years)
    assert [(one.year, one.share, one.required, one.rose, one.kept) for one in shares] == [
        (2018, Fraction(0), Fraction(0), None, True),
        (2019, Fraction(1, 5), Fraction(1, 5), True, True),
        (2020, Fraction(39, 100), Fraction(2, 5), True, False),
        (2021, Fraction(39, 60), Fraction(36, 60), False, False),
    ]
    # By the first year's subsidy, 40 of 60 may still be paid in 2021.
    assert own_shares(FIRST_YEAR, years)[3].required == Fraction(20, 60)
    assert own_shares(PATH, [_year(2018, 5, 0)])[0].share is None


def test_the_path_comes_from_configuration_and_never_rises(engine: Engine) -> None:
    with reading(engine) as session:
        assert current(session, SubsidyPath) == default(SubsidyPath)
    assert [PATH.share_bp(year) for year in (2016, 2018, 2019, 2020, 2021, 2030)] == [
        10_000,
        10_000,
        8_000,
        6_000,
        4_000,
        4_000,
    ]
    with pytest.raises(ValueError, match="never rises"):
        SubsidyPath(note="", base=SubsidyBase.EXPENSES, shares_bp={2018: 5_000, 2019: 6_000}, last_share_bp=4_000)


def test_what_income_must_be_is_solved_for_a_plan() -> None:
    planned = {2019: 1_000_001, 2020: 1_000_000, 2021: 1_000_000}
    found = needed_income(PATH, expenses_ntd=planned, own_income_ntd=150_000, growth_bp=5_000)
    assert [(one.subsidy_ntd, one.needed_ntd, one.projected_ntd, one.gap_ntd) for one in found.years] == [
        (800_000, 200_001, 225_000, 0),
        (600_000, 400_000, 337_500, 62_500),
        (400_000, 600_000, 506_250, 93_750),
    ]
    assert found.growth_bp == 6_330
    with pytest.raises(LedgerError, match="consecutive"):
        needed_income(PATH, expenses_ntd={2019: 1, 2021: 1}, own_income_ntd=1, growth_bp=0)
    assert needed_income(PATH, expenses_ntd=planned, own_income_ntd=0, growth_bp=0).growth_bp is None


amounts = st.integers(0, MAX_NTD)


@given(
    expenses=st.lists(amounts, min_size=1, max_size=8),
    first=st.integers(2017, 2022),
    own=amounts,
    growth_bp=st.integers(-10_000, 30_000),
    first_year_ntd=amounts,
    path=st.sampled_from([PATH, FIRST_YEAR]),
)
def test_what_is_needed_meets_the_rules_and_nothing_less_does(
    expenses: list[int], first: int, own: int, growth_bp: int, first_year_ntd: int, path: SubsidyPath
) -> None:
    planned = dict(enumerate(expenses, start=first))

    def solved(growth: int) -> Needed:
        return needed_income(
            path, expenses_ntd=planned, own_income_ntd=own, growth_bp=growth, first_year_ntd=first_year_ntd
        )

    found = solved(growth_bp)
    before = own
    for one in found.years:
        allowed = path.allowed_ntd(one.year, expenses_ntd=one.expenses_ntd, first_year_ntd=first_year_ntd)
        suffices = [
            income + allowed >= one.expenses_ntd and income > before for income in (one.needed_ntd - 1, one.needed_ntd)
        ]
        assert suffices == [False, True]
        assert one.gap_ntd == max(0, one.needed_ntd - one.projected_ntd)
        assert one.subsidy_ntd == min(allowed, one.expenses_ntd)
        before = one.needed_ntd
    # The least growth closes every gap, and one basis point less does not.
    if found.growth_bp is not None and found.growth_bp <= 1_000_000:
        assert sum(one.gap_ntd for one in solved(found.growth_bp).years) == 0
        assert sum(one.gap_ntd for one in solved(found.growth_bp - 1).years) > 0
