"""Figures are folds over the ledger's rows, as of any moment; every way to ask for one gives the same."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine

from indexer.database import reading, writing
from matcher.ledger.figures.folds import (
    Figures,
    Status,
    YearBasis,
    decimal_of,
    end_of,
    entries_behind,
    figures,
    share_slices,
    slices,
)
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import move_close, second_close
from matcher.ledger.rules.recognition import move_reversal, second_reversal
from matcher.ledger.rules.reporting import report
from tests.rig.load.crowded_ledger import fill_ledger
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, build_ledger_world, money, recognised


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def _all(folded: Figures, kpi: Kpi) -> dict[str, int]:
    return {status.value: folded.whole(kpi, status=status) for status in Status}


def test_an_amount_counts_once_it_is_recognised_and_due(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        recognised(session, world, money())
        recognised(session, world, money("money-0002", details={"instalment": 2}, counts_on=date(2020, 5, 2)))
        recognised(session, world, money("money-0003", details={"instalment": 3}, counts_on=date(2021, 5, 2)))
        report(session, money("money-0004", details={"instalment": 4}), by=world.people["reporter"], now=NOON)
    with reading(engine) as session:
        before = figures(session, as_of=end_of(date(2019, 5, 14)))
        then = figures(session, as_of=end_of(date(2019, 5, 15)))
        later = figures(session, as_of=end_of(date(2020, 12, 31)))
    assert _all(before, Kpi.MONEY) == {"actual": 0, "committed": 0, "after_programme": 0, "in_review": 0}
    million = 1_000_000
    assert _all(then, Kpi.MONEY) == {
        "actual": million,
        "committed": million,
        "after_programme": million,
        "in_review": million,
    }
    assert (later.whole(Kpi.MONEY), later.whole(Kpi.MONEY, years=[2020])) == (2 * million, million)


def test_slices_name_the_entries_behind_each_figure(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        first = recognised(session, world, money(shares={"al-a": 3_333, "al-b": 6_667}))
        recognised(session, world, money("money-0002", details={"instalment": 2, "payer_country": "DE"}))
        motion = move_reversal(session, entry_id=first.id, reason="金額誤植", by=world.people["office"], now=NOON)
        second_reversal(session, motion_id=motion.id or 0, by=world.people["second_office"], now=NOON)
    with reading(engine) as session:
        cut = slices(session, as_of=end_of(date(2019, 5, 15)))
        shared = share_slices(session, as_of=end_of(date(2019, 5, 15)))
        behind = entries_behind(session, Kpi.MONEY, as_of=end_of(date(2019, 5, 15)))
    total = cut.total(Kpi.MONEY)
    assert total.amount == 1_000_000
    assert sorted(total.entries) == sorted(behind) == ["money-0001", "money-0001-reversal", "money-0002"]
    foreign = cut.total(Kpi.MONEY, where=lambda one: one.payer_country != "TW")
    assert foreign.entries == ("money-0002",)
    assert sum(one.amount * bp for one in shared for _, bp in one.shares) == 1_000_000 * WHOLE_BP


def test_a_year_that_was_shown_stands_and_is_restated_beside_it(engine: Engine, world: LedgerWorld) -> None:
    january = datetime(2019, 1, 10, 4, 0, tzinfo=UTC)
    with writing(engine) as session:
        recognised(session, world, money(occurred_on=date(2018, 12, 20)), january)
        motion = move_close(session, period="2018Q4", reason="季結", by=world.people["office"], now=january)
        second_close(session, motion_id=motion.id or 0, by=world.people["second_office"], now=january)
        late = money("money-0002", details={"instalment": 2}, occurred_on=date(2018, 12, 21))
        recognised(session, world, late, january)
    with reading(engine) as session:
        cut = slices(session, as_of=end_of(date(2019, 1, 31)))
    counted = [cut.total(Kpi.MONEY, years=[year]).amount for year in (2018, 2019)]
    restated = [cut.total(Kpi.MONEY, years=[year], by=YearBasis.OCCURRED).amount for year in (2018, 2019)]
    assert (counted, restated) == ([1_000_000, 1_000_000], [2_000_000, 0])


def test_a_crowd_of_entries_is_folded_the_same_whichever_way(engine: Engine, world: LedgerWorld) -> None:
    fill_ledger(engine, world, entries=600)
    as_of = end_of(date(2020, 6, 30))
    with reading(engine) as session:
        assert verify(session).findings == []
        folded, cut = figures(session, as_of=as_of), slices(session, as_of=as_of)
        shared = share_slices(session, as_of=as_of)
    sums = {
        (kpi, status): (
            folded.whole(kpi, status=status),
            cut.total(kpi, status=status).amount,
            sum(one.amount for one in shared if (one.kpi, one.status) == (kpi, status)),
        )
        for kpi in Kpi
        for status in Status
    }
    assert [key for key, three in sums.items() if len(set(three)) > 1] == []
    # The control: there is something to fold in every way that money can stand.
    assert all(sums[Kpi.MONEY, status][0] > 0 for status in Status)


def test_shares_are_decimals_where_they_must_be() -> None:
    assert [decimal_of(bp) for bp in (30_000, 33_330_000, 5_000, -12_345)] == [3, 3_333, 0.5, -1.2345]
