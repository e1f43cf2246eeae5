"""A result falls into its quarter and year by the calendar of Taipei, to the second, wherever the server stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from indexer.database import reading, writing
from matcher.ledger.figures.folds import Status, YearBasis, end_of, figures
from matcher.ledger.rows.entries import Entry, LedgerError, entry_of
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import move_close, second_close, totals_of
from matcher.ledger.rows.steps import Step
from matcher.ledger.rules.recognition import check, recognise
from matcher.ledger.rules.reporting import AcceptanceLedger, report
from matcher.review.decisions import undo
from tests.rig.worlds.ledger_world import LedgerWorld, build_ledger_world, money, recognised
from tests.rig.worlds.small_world import accept, build_world

# In Taipei (UTC+8) the year 2019 begins at 16:00 UTC of 31 December 2018.
LAST_SECOND = datetime(2018, 12, 31, 15, 59, 59, tzinfo=UTC)
NEW_YEAR = datetime(2018, 12, 31, 16, 0, tzinfo=UTC)
UTC_NEW_YEAR = datetime(2019, 1, 1, 0, 0, tzinfo=UTC)
SPRING = datetime(2019, 4, 10, 4, 0, tzinfo=UTC)
DEC_31, JAN_1 = date(2018, 12, 31), date(2019, 1, 1)


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def _close(session: Session, world: LedgerWorld, period: str, now: datetime) -> None:
    motion = move_close(session, period=period, reason="季結", by=world.people["office"], now=now)
    second_close(session, motion_id=motion.id or 0, by=world.people["second_office"], now=now)


@pytest.mark.parametrize(
    ("now", "day", "period"),
    [
        pytest.param(LAST_SECOND, DEC_31, "2018Q4", id="on the last second of the year, of that day"),
        pytest.param(LAST_SECOND, JAN_1, None, id="a second before New Year, of New Year"),
        pytest.param(NEW_YEAR, JAN_1, "2019Q1", id="at New Year in Taipei, 31 December in UTC, of New Year"),
        pytest.param(NEW_YEAR, DEC_31, "2018Q4", id="at New Year in Taipei, of the day before"),
        pytest.param(UTC_NEW_YEAR, date(2019, 1, 2), None, id="at New Year in UTC, of the day after"),
        pytest.param(datetime(2019, 3, 31, 16, 0, tzinfo=UTC), date(2019, 4, 1), "2019Q2", id="at a quarter's begin"),
        pytest.param(datetime(2019, 3, 31, 15, 59, 59, tzinfo=UTC), date(2019, 4, 1), None, id="a second before it"),
        pytest.param(SPRING, date(2019, 3, 31), "2019Q1", id="the last day of March"),
        pytest.param(SPRING, date(2017, 9, 1), "2017Q3", id="the programme's first day"),
        pytest.param(SPRING, date(2017, 8, 31), None, id="the day before the programme"),
    ],
)
def test_a_report_falls_into_the_quarter_of_its_day_in_taipei(
    engine: Engine, world: LedgerWorld, now: datetime, day: date, period: str | None
) -> None:
    with writing(engine) as session:
        if period is None:
            with pytest.raises(LedgerError, match="today in Taipei"):
                report(session, money(occurred_on=day), by=world.people["reporter"], now=now)
        else:
            entry, _ = report(session, money(occurred_on=day), by=world.people["reporter"], now=now)
            assert (entry.period, entry.late_for) == (period, None)


@pytest.mark.parametrize(
    ("now", "is_over"),
    [
        pytest.param(LAST_SECOND, False, id="the last second in Taipei"),
        pytest.param(NEW_YEAR, True, id="New Year in Taipei, 16:00 of the day before in UTC"),
        pytest.param(UTC_NEW_YEAR, True, id="New Year in UTC"),
    ],
)
def test_a_quarter_is_closed_from_its_end_in_taipei(
    engine: Engine, world: LedgerWorld, now: datetime, is_over: bool
) -> None:
    with writing(engine) as session:
        if is_over:
            _close(session, world, "2018Q4", now)
        else:
            with pytest.raises(LedgerError, match="ends on 2018-12-31 in Taipei"):
                move_close(session, period="2018Q4", reason="季結", by=world.people["office"], now=now)


@pytest.mark.parametrize(
    ("closed_before", "day", "counts_on", "period", "year", "occurred_year"),
    [
        pytest.param(False, DEC_31, None, "2018Q4", 2018, 2018, id="while its quarter is open"),
        pytest.param(True, DEC_31, None, "2019Q1", 2019, 2018, id="once its quarter is closed"),
        pytest.param(True, JAN_1, None, "2019Q1", 2019, 2019, id="the first day of the open quarter"),
        pytest.param(False, DEC_31, JAN_1, "2018Q4", 2019, 2019, id="an instalment due at New Year"),
        pytest.param(True, DEC_31, date(2020, 1, 1), "2019Q1", 2020, 2020, id="late, due in another year"),
        pytest.param(False, DEC_31, date(2021, 1, 1), "2018Q4", 2021, 2021, id="due on the day after the programme"),
        pytest.param(False, DEC_31, date(2020, 12, 31), "2018Q4", 2020, 2020, id="due on the programme's last day"),
    ],
)
def test_a_recognised_result_counts_in_its_quarter_and_year(
    engine: Engine,
    world: LedgerWorld,
    closed_before: bool,
    day: date,
    counts_on: date | None,
    period: str,
    year: int,
    occurred_year: int,
) -> None:
    with writing(engine) as session:
        if closed_before:
            _close(session, world, "2018Q4", NEW_YEAR)
        recognised(session, world, money(occurred_on=day, counts_on=counts_on), SPRING)
    with reading(engine) as session:
        step = session.exec(select(Step).where(Step.state == "recognised")).one()
        assert (step.period, step.kpi_year) == (period, year)
        after = (counts_on or day) > date(2020, 12, 31)
        committed = (counts_on or day) > date(2019, 4, 10)
        status = Status.AFTER_PROGRAMME if after else Status.COMMITTED if committed else Status.ACTUAL
        for basis, of in ((YearBasis.COUNTED, year), (YearBasis.OCCURRED, occurred_year)):
            found = figures(session, as_of=SPRING, basis=basis)
            whole = {y: found.whole(Kpi.MONEY, years=[y], status=status) for y in found.years()}
            assert whole == {of: 1_000_000}


def test_a_closing_between_report_and_recognition_makes_a_result_late(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        entry, _ = report(session, money(occurred_on=DEC_31), by=world.people["reporter"], now=LAST_SECOND)
        _close(session, world, "2018Q4", NEW_YEAR)
        again = replace(money("money-0002", details={"instalment": 2}), occurred_on=DEC_31)
        late, _ = report(session, again, by=world.people["reporter"], now=NEW_YEAR)
        assert (entry.period, late.period, late.late_for) == ("2018Q4", "2019Q1", "2018Q4")
        check(session, entry_id=entry.id, by=world.people["committee"], now=NEW_YEAR)
        recognise(session, entry_id=entry.id, by=world.people["office"], now=NEW_YEAR)
        assert totals_of(session, "2018Q4") == {}
        assert totals_of(session, "2019Q1")["L"]["all"] == 1_000_000


def test_figures_as_of_a_day_hold_what_was_decided_until_midnight_in_taipei(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        recognised(session, world, money(occurred_on=DEC_31), LAST_SECOND)
        later = money("money-0002", details={"contract": "C-2", "payer": "另一家"}, occurred_on=DEC_31)
        recognised(session, world, later, NEW_YEAR)
    with reading(engine) as session:
        wholes = [figures(session, as_of=end_of(day)).whole(Kpi.MONEY) for day in (date(2018, 12, 30), DEC_31, JAN_1)]
        assert wholes == [0, 1_000_000, 2_000_000]


@pytest.mark.parametrize(
    ("accepted_at", "day", "period"),
    [
        pytest.param(LAST_SECOND, DEC_31, "2018Q4", id="the last second of the year"),
        pytest.param(NEW_YEAR, JAN_1, "2019Q1", id="New Year in Taipei"),
        pytest.param(UTC_NEW_YEAR, JAN_1, "2019Q1", id="New Year in UTC"),
    ],
)
def test_an_acceptance_is_booked_on_its_day_in_taipei(
    engine: Engine, accepted_at: datetime, day: date, period: str
) -> None:
    world = build_world(engine)
    with writing(engine) as session:
        accept(session, world, accepted_at, AcceptanceLedger())
        entry = session.exec(select(Entry)).one()
        assert (entry.occurred_on, entry.period, entry.late_for) == (day, period, None)
        year = figures(session, as_of=accepted_at)
        assert year.whole(Kpi.ACCEPTANCES, years=[day.year]) == 1
        undo(
            session, pairing_id=world.pairing_id, by=world.people["expert"], now=accepted_at, ledger=AcceptanceLedger()
        )
        assert entry_of(session, f"{entry.id}-reversal").period == period
        assert figures(session, as_of=accepted_at).whole(Kpi.ACCEPTANCES) == 0
