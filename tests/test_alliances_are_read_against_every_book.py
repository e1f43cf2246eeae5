"""Targets of every book stand beside actuals, for the programme and an alliance; a simulation is exact arithmetic."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine

from indexer.database import reading, writing
from indexer.vocabulary import Tier
from matcher.ledger.figures.subsidy import Assumptions, SubsidyPath, simulate
from matcher.ledger.figures.sufficiency import Statement, SufficiencyItem, book, statements
from matcher.ledger.reports.document import ReportRequest
from matcher.ledger.reports.kpi_reports import kpi_report
from matcher.ledger.reports.target_standings import TargetStandings, target_standings
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.targets import TargetBasis
from tests.rig.worlds.ledger_world import build_ledger_world, money, recognised

NOW = datetime(2019, 12, 31, 4, tzinfo=UTC)


@pytest.fixture
def shown(engine: Engine) -> dict[str | None, TargetStandings]:
    world = build_ledger_world(engine)
    with writing(engine) as session:
        recognised(session, world, money(shares={"al-a": 6_000, "al-b": 4_000}))
    with reading(engine) as session:
        return {
            who: target_standings(session, as_of=date(2019, 12, 31), alliance=who) for who in (None, "al-a", "al-b")
        }


def _money(found: TargetStandings, year: int | None) -> list[tuple[str, int, int]]:
    (one,) = [one for one in found.of(Kpi.MONEY) if one.year == year]
    return [(book.book.code, book.target_bp, book.actual_bp) for book in one.books]


def test_alliances_have_their_share_of_target_and_actual(shown: dict[str | None, TargetStandings]) -> None:
    whole, first, second = (_money(shown[who], 2019) for who in (None, "al-a", "al-b"))
    assert whole == [("schedule", 1_200_000_000 * 10_000, 1_000_000 * 10_000)]
    # Half of the target, for there are two alliances, and its own part of the result.
    assert first == [("schedule", 600_000_000 * 10_000, 600_000 * 10_000)]
    assert second == [("schedule", 600_000_000 * 10_000, 400_000 * 10_000)]


def test_the_programme_reads_as_its_report_does(engine: Engine, shown: dict[str | None, TargetStandings]) -> None:
    with reading(engine) as session:
        report = kpi_report(session, ReportRequest(as_of=date(2019, 12, 31), now=NOW))
    found = shown[None]
    told = [(row[3].value, row[6].value, row[8].value) for row in report.tables[1].rows if row[3].value is not None]
    read = [
        (book.target_bp // 10_000, None if one.standing is None else book.actual_bp // 10_000, book.source)
        for one in found.found
        for book in one.books
    ]
    assert read == told


def test_books_that_disagree_are_disputed(shown: dict[str | None, TargetStandings]) -> None:
    jobs = {one.year: one for one in shown["al-a"].of(Kpi.JOBS)}
    assert jobs[2019].disputed
    assert [book.basis for book in jobs[2019].books] == [TargetBasis.ANNUAL, TargetBasis.CUMULATIVE]
    assert not jobs[2017].disputed
    assert jobs[2020].standing is None


def test_a_pace_begins_with_its_year(shown: dict[str | None, TargetStandings]) -> None:
    expected = {one.year: [book.expected_bp for book in one.books] for one in shown[None].of(Kpi.MONEY)}
    # 65 % of what 108 adds to 107's 500 million, by the third quarter, the last one that is settled.
    assert shown[None].quarter == "2019Q3"
    assert expected[2019] == [(500_000_000 + 455_000_000) * 10_000]
    assert (expected[2020], expected[None]) == ([None], [None] * 4)


def _past(engine: Engine, until: int) -> list[Statement]:
    world = build_ledger_world(engine)
    with writing(engine) as session:
        for item, amount in (
            (SufficiencyItem.MEMBER_FEES, 1_000_001),
            (SufficiencyItem.OVERHEAD, 500_000),
            (SufficiencyItem.OPERATION, 4_000_000),
            (SufficiencyItem.SUBSIDY, 3_000_000),
        ):
            book(
                session,
                alliance_id="al-a",
                item=item,
                tier=Tier.DOMESTIC if item is SufficiencyItem.MEMBER_FEES else None,
                occurred_on=date(2019, 5, 2),
                amount_ntd=amount,
                source="傳票 108-0512",
                by=world.people["office"],
                now=NOW,
            )
    with reading(engine) as session:
        return [*statements(session, alliance_id="al-a", until=until, as_of=NOW)]


def test_a_simulation_grows_each_income_by_itself(engine: Engine) -> None:
    past = _past(engine, 2020)
    assumed = Assumptions(years=2, fees_growth_bp=1_000, expenses_growth_bp=-500, new_members=2, fee_ntd=50_000)
    found = simulate(default(SubsidyPath), past, assumed)
    # 108 is the last closed year; rounded down once, from there.
    assert (found.base.year, [one.year for one in found.years]) == (2019, [2020, 2021])
    assert [one.fees_ntd for one in found.years] == [1_100_001 + 100_000, 1_210_001 + 200_000]
    assert [one.overhead_ntd for one in found.years] == [500_000, 500_000]
    assert [one.expenses_ntd for one in found.years] == [3_800_000, 3_610_000]
    # The path allows 60 % and then 40 % of the expenses.
    assert [one.subsidy_ntd for one in found.years] == [2_280_000, 1_444_000]
    assert [one.needed_ntd for one in found.years] == [1_520_000, 2_166_000]
    assert found.reached_in is None
    assert simulate(default(SubsidyPath), past, Assumptions(years=1)).reached_in is None
    assert simulate(default(SubsidyPath), past, Assumptions(years=3, fees_growth_bp=10_000)).reached_in == 2020


def test_assumptions_have_bounds(engine: Engine) -> None:
    past = _past(engine, 2019)
    wrong: list[tuple[str, dict[str, int]]] = [
        ("years", {"years": 0}),
        ("years", {"years": 11}),
        ("fees_growth_bp", {"fees_growth_bp": -10_001}),
        ("new_members", {"new_members": -1}),
        ("fee_ntd", {"fee_ntd": 100_000_001}),
        ("subsidy_change_bp", {"subsidy_change_bp": 10_001}),
        ("years", {"years": 10, "expenses_growth_bp": 100_000}),
    ]
    for field, given in wrong:
        with pytest.raises(LedgerError) as refused:
            simulate(default(SubsidyPath), past, Assumptions(**given))
        assert refused.value.field == field
    simulate(default(SubsidyPath), past, Assumptions(years=10, fees_growth_bp=-10_000, subsidy_change_bp=-10_000))
