"""An alliance behind its pace is found, warned by a person, and climbs down or up a ladder whose rungs stay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from indexer.database import reading, writing
from indexer.records.record_tables import Alliance
from matcher.ledger.figures.alliance_targets import AllianceTargets, OwnTarget, YearTarget, targets_of
from matcher.ledger.figures.folds import end_of, figures
from matcher.ledger.figures.ladder import (
    NEXT_RUNGS,
    FindingKind,
    LadderStep,
    Rung,
    agree_plan,
    findings,
    graduate,
    standings,
    step,
    steps_of,
    warn,
)
from matcher.ledger.figures.self_operation import Matter, operation_readings
from matcher.ledger.figures.subsidy import SubsidyPath
from matcher.ledger.figures.sufficiency import SufficiencyItem, book
from matcher.ledger.figures.warnings import (
    Level,
    Pace,
    PaceReading,
    WarningRules,
    readings,
    settled_quarter,
)
from matcher.ledger.rows.entries import WHOLE_BP, LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.configuration import change, current, default
from tests.rig.worlds.ledger_world import LedgerWorld, build_ledger_world, carry_itself, money, recognised

RULES = WarningRules(
    note="test",
    settled_after_days=0,
    pace=Pace(expected_bp=(2_500, 5_000, 7_500, 10_000), warning_below_bp=8_000),
    kpis={},
    alliances={"al-b": {Kpi.MONEY: Pace(expected_bp=(0, 0, 0, 10_000), warning_below_bp=10_000)}},
)
HALVES = AllianceTargets(note="test", own=[], shares_bp={"al-a": 5_000, "al-b": 5_000}, other_share_bp=0)
FOUNDED: dict[str, date | None] = {"al-a": None, "al-b": None}
MONEY = [YearTarget(Kpi.MONEY, 2019, 8_000_000)]
JUNE_30, JULY_1 = date(2019, 6, 30), date(2019, 7, 1)
AUTUMN = datetime(2019, 10, 1, 4, 0, tzinfo=UTC)
LATER = datetime(2019, 7, 2, 4, 0, tzinfo=UTC)


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def _read(
    session: Session,
    day: date,
    year_targets: list[YearTarget] = MONEY,
    rules: WarningRules = RULES,
    document: AllianceTargets = HALVES,
) -> dict[str | None, PaceReading]:
    targets = targets_of(document, year_targets, ["al-a", "al-b", None], FOUNDED)
    found = readings(session, figures(session, as_of=end_of(day)), targets, rules, day)
    return {one.alliance: one for one in found}


def test_a_target_behind_its_pace_says_what_is_missing_and_what_stands_behind_it(
    engine: Engine, world: LedgerWorld
) -> None:
    with writing(engine) as session:
        recognised(session, world, money())
        read = _read(session, JUNE_30)
    mine, other, whole = read["al-a"], read["al-b"], read[None]
    assert (mine.quarter, mine.target_bp, mine.expected_bp, mine.actual_bp, mine.gap_bp) == (
        "2019Q2",
        4_000_000 * WHOLE_BP,
        2_000_000 * WHOLE_BP,
        1_000_000 * WHOLE_BP,
        1_000_000 * WHOLE_BP,
    )
    assert (mine.level, mine.entries) == (Level.WARNING, ("money-0001",))
    # By its own pace the other alliance has to have nothing yet.
    assert (other.level, other.expected_bp, other.entries) == (Level.ON_PACE, 0, ())
    assert (whole.level, whole.gap_bp) == (Level.WARNING, 3_000_000 * WHOLE_BP)


@pytest.mark.parametrize(
    ("amount", "level"),
    [
        (1_599_999, Level.WARNING),
        (1_600_000, Level.BEHIND),
        (1_999_999, Level.BEHIND),
        (2_000_000, Level.ON_PACE),
    ],
)
def test_the_threshold_is_exact(engine: Engine, world: LedgerWorld, amount: int, level: Level) -> None:
    with writing(engine) as session:
        recognised(session, world, money(amount=amount))
        assert _read(session, JUNE_30)["al-a"].level is level


@pytest.mark.parametrize(
    ("day", "settled_after_days", "quarter"),
    [
        (date(2019, 6, 29), 0, "2019Q1"),
        (JUNE_30, 0, "2019Q2"),
        (date(2019, 12, 31), 0, "2019Q4"),
        (date(2020, 1, 1), 0, "2019Q4"),
        (date(2020, 3, 30), 0, "2019Q4"),
        (date(2020, 2, 13), 45, "2019Q3"),
        (date(2020, 2, 14), 45, "2019Q4"),
    ],
)
def test_a_quarter_is_expected_once_it_is_settled(day: date, settled_after_days: int, quarter: str) -> None:
    rules = RULES.model_copy(update={"settled_after_days": settled_after_days})
    assert settled_quarter(rules, day) == quarter


def test_a_year_is_judged_by_its_own_target_after_new_year_in_taipei(engine: Engine, world: LedgerWorld) -> None:
    year_targets = [*MONEY, YearTarget(Kpi.MONEY, 2020, 80_000_000)]
    with writing(engine) as session:
        recognised(session, world, money())
        read = _read(session, date(2020, 1, 1), year_targets)["al-a"]
        assert (read.year, read.expected_bp, read.actual_bp) == (2019, 4_000_000 * WHOLE_BP, 1_000_000 * WHOLE_BP)
        assert _read(session, date(2020, 3, 31), year_targets)["al-a"].year == 2020


def test_a_cumulative_target_counts_from_the_programmes_start(engine: Engine, world: LedgerWorld) -> None:
    year_targets = [
        YearTarget(Kpi.MONEY, 2018, 2_000_000, cumulative=True),
        YearTarget(Kpi.MONEY, 2019, 6_000_000, cumulative=True),
    ]
    with writing(engine) as session:
        recognised(session, world, money(occurred_on=date(2018, 11, 2)))
        recognised(session, world, money("money-0002", details={"instalment": 2}))
        read = _read(session, JUNE_30, year_targets)["al-a"]
    # Half of the way from 1,000,000 (2018) to 3,000,000 (2019).
    assert (read.expected_bp, read.actual_bp, read.level) == (
        2_000_000 * WHOLE_BP,
        2_000_000 * WHOLE_BP,
        Level.ON_PACE,
    )


def test_an_alliances_own_target_comes_before_its_share_and_the_others_get_what_it_leaves() -> None:
    own = HALVES.model_copy(update={"own": [OwnTarget(alliance="al-a", kpi=Kpi.MONEY, year=2019, amount=7)]})
    targets = {one.alliance: one.amount_bp for one in targets_of(own, MONEY, ["al-a", "al-b"], FOUNDED)}
    assert targets == {"al-a": 7 * WHOLE_BP, "al-b": 7_999_993 * WHOLE_BP}


def test_the_defaults_can_be_read_and_never_fall(engine: Engine) -> None:
    with reading(engine) as session:
        assert current(session, WarningRules) == default(WarningRules)
        assert current(session, AllianceTargets) == default(AllianceTargets)
    with pytest.raises(ValueError, match="never falls"):
        Pace(expected_bp=(5_000, 4_000, 10_000, 10_000), warning_below_bp=8_000)


def _warned(session: Session, world: LedgerWorld, now: datetime = LATER) -> LadderStep:
    gap = _read(session, JUNE_30)["al-a"]
    return warn(session, gap=gap, reason="經費落後", by=world.people["office"], now=now)


def _plan(session: Session, world: LedgerWorld, due_on: date = date(2019, 9, 30), now: datetime = LATER) -> LadderStep:
    return agree_plan(
        session,
        alliance_id="al-a",
        kpi=Kpi.MONEY,
        owner=world.people["reporter"],
        due_on=due_on,
        reason="每月訪廠",
        by=world.people["office"],
        now=now,
    )


def _step(session: Session, world: LedgerWorld, rung: Rung, now: datetime = LATER) -> LadderStep:
    by = world.people["office"]
    return step(session, alliance_id="al-a", kpi=Kpi.MONEY, rung=rung, reason="無改善", by=by, now=now)


def test_the_ladder_leads_to_an_exit_and_every_step_stays(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        first = _warned(session, world)
        assert (first.grounds["expected_bp"], first.grounds["actual_bp"]) == (2_000_000 * WHOLE_BP, 0)
        _plan(session, world)
        _plan(session, world, date(2019, 10, 31))
        _step(session, world, Rung.HELP)
        _step(session, world, Rung.EXIT)
        rungs = [(one.version, one.rung, one.reason) for one in steps_of(session, "al-a")]
    assert rungs == [
        (1, "warning", "經費落後"),
        (2, "plan", "每月訪廠"),
        (3, "plan", "每月訪廠"),
        (4, "help", "無改善"),
        (5, "exit", "無改善"),
    ]
    for statement in ("UPDATE ladder_step SET reason = 'x'", "DELETE FROM ladder_step"):
        with pytest.raises(DBAPIError, match="append-only"), writing(engine) as session:
            session.connection().execute(text(statement))
    with pytest.raises(LedgerError, match="has left the programme"), writing(engine) as session:
        _warned(session, world)


def test_a_figure_without_a_ladder_is_refused(engine: Engine, world: LedgerWorld) -> None:
    own = [OwnTarget(alliance="al-a", kpi=Kpi.ACCEPTANCES, year=2019, amount=10)]
    with writing(engine) as session:
        gap = _read(session, JUNE_30, [], document=HALVES.model_copy(update={"own": own}))["al-a"]
        assert gap.level is Level.WARNING
        with pytest.raises(LedgerError, match="acceptances has no ladder") as refused:
            warn(session, gap=gap, reason="r", by=world.people["office"], now=LATER)
        assert refused.value.field == "kpi"
        # The control: a figure that has one is warned with the same words.
        _warned(session, world)


def test_steps_that_cant_follow_are_refused(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        for rung in (Rung.HELP, Rung.EXIT, Rung.LIFTED):
            with pytest.raises(LedgerError, match=f"{rung} can't follow no warning; warning can"):
                _step(session, world, rung)
        _warned(session, world)
        with pytest.raises(LedgerError, match="exit can't follow warning; plan, lifted can"):
            _step(session, world, Rung.EXIT)
        with pytest.raises(LedgerError, match="warning can't follow warning"):
            _warned(session, world)
        with pytest.raises(LedgerError, match="a warning needs a gap"):
            _step(session, world, Rung.WARNING)
        assert [one.rung for one in steps_of(session, "al-a")] == ["warning"]


@pytest.mark.parametrize("rung", ["help", "exit", "lifted", "plan", "graduated"])
def test_the_database_refuses_them_too(engine: Engine, world: LedgerWorld, rung: str) -> None:
    office = world.people["office"]
    row = LadderStep(
        alliance_id="al-a",
        ladder="alliance" if rung == "graduated" else "L",
        version=2 if rung == "graduated" else 1,
        rung=rung,
        reason="r",
        owner=office if rung == "plan" else None,
        due_on=JULY_1 if rung == "plan" else None,
        grounds={},
        by=office,
        at=LATER,
    )
    with pytest.raises(DBAPIError, match="does not follow"), writing(engine) as session:
        session.add(row)


def test_the_database_knows_the_same_rungs(engine: Engine, world: LedgerWorld) -> None:
    """Every step that the rules allow is taken once, so that rules and database can't disagree unseen."""
    paths = [
        [Rung.WARNING, Rung.LIFTED, Rung.WARNING, Rung.PLAN, Rung.PLAN, Rung.LIFTED],
        [Rung.WARNING, Rung.PLAN, Rung.HELP, Rung.PLAN, Rung.HELP, Rung.LIFTED],
        [Rung.WARNING, Rung.PLAN, Rung.HELP, Rung.EXIT],
    ]
    pairs = {(before, after) for path in paths for before, after in zip([None, *path], path, strict=False)}
    assert pairs == {(before, after) for before, after in _allowed()}
    take = {Rung.WARNING: _warned, Rung.PLAN: _plan}
    for path in paths:
        with writing(engine) as session:
            for rung in path:
                _ = take[rung](session, world) if rung in take else _step(session, world, rung)
            # The next path begins anew.
            session.rollback()


def _allowed() -> set[tuple[Rung | None, Rung]]:
    return {(before, after) for before, allowed in NEXT_RUNGS.items() for after in allowed}


def test_who_does_not_carry_itself_does_not_graduate(engine: Engine, world: LedgerWorld) -> None:
    office = world.people["office"]
    path = default(SubsidyPath).model_copy(update={"shares_bp": {2018: 5_000}})
    with writing(engine) as session:
        change(session, path, reason="自始過半", by=office, now=LATER)
        given: dict[str, Any] = {"source": "傳票", "by": office, "now": LATER, "occurred_on": date(2018, 3, 1)}
        book(session, alliance_id="al-b", item=SufficiencyItem.OPERATION, amount_ntd=100, **given)
        book(session, alliance_id="al-b", item=SufficiencyItem.OVERHEAD, amount_ntd=49, **given)
        with pytest.raises(LedgerError, match="2018 own income was not as required"):
            graduate(session, alliance_id="al-b", reason="已自主營運", by=office, now=LATER)
        book(session, alliance_id="al-b", item=SufficiencyItem.OVERHEAD, amount_ntd=1, **given)
        graduate(session, alliance_id="al-b", reason="已自主營運", by=office, now=LATER)


def test_graduation_is_possible_from_any_rung_and_ends_all_ladders(engine: Engine, world: LedgerWorld) -> None:
    office = world.people["office"]
    with writing(engine) as session:
        _warned(session, world)
        _plan(session, world)
        with pytest.raises(LedgerError, match="2018 is not filled in"):
            graduate(session, alliance_id="al-a", reason="已自主營運", by=office, now=LATER)
        for one in ("al-a", "al-b"):
            carry_itself(session, alliance_id=one, by=office, now=LATER)
        graduate(session, alliance_id="al-a", reason="已自主營運", by=office, now=LATER)
        graduate(session, alliance_id="al-b", reason="已自主營運", by=office, now=LATER)
        stands = {(one.alliance, one.kpi): one.rung for one in standings(session, as_of=LATER)}
        assert stands == {
            ("al-a", None): Rung.GRADUATED,
            ("al-a", Kpi.MONEY): Rung.PLAN,
            ("al-b", None): Rung.GRADUATED,
        }
        with pytest.raises(LedgerError, match="has left the programme: graduated on 2019-07-02"):
            _step(session, world, Rung.HELP)
    with pytest.raises(DBAPIError, match="has left"), writing(engine) as session:
        session.add(
            LadderStep(
                alliance_id="al-b", ladder="L", version=1, rung="warning", reason="r", grounds={}, by=office, at=LATER
            )
        )


def test_only_a_person_of_the_office_takes_a_step_and_says_why(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        gap = _read(session, JUNE_30)["al-a"]
        for by in ("reporter", "committee"):
            with pytest.raises(LedgerError, match="person of the programme office"):
                warn(session, gap=gap, reason="r", by=world.people[by], now=LATER)
        with pytest.raises(LedgerError, match="say why"):
            warn(session, gap=gap, reason=" ", by=world.people["office"], now=LATER)
        on_pace, whole = _read(session, JUNE_30)["al-b"], _read(session, JUNE_30)[None]
        for wrong in (on_pace, whole):
            with pytest.raises(LedgerError, match="only an alliance's gap"):
                warn(session, gap=wrong, reason="r", by=world.people["office"], now=LATER)
        _warned(session, world)
        with pytest.raises(LedgerError, match="no such account"):
            agree_plan(
                session,
                alliance_id="al-a",
                kpi=Kpi.MONEY,
                owner="nobody",
                due_on=date(2019, 9, 1),
                reason="r",
                by=world.people["office"],
                now=LATER,
            )
        # 16:30 UTC is half past midnight of the next day in Taipei: a plan for that day would be due at once.
        late = datetime(2019, 7, 2, 16, 30, tzinfo=UTC)
        with pytest.raises(LedgerError, match="later day than today"):
            _plan(session, world, date(2019, 7, 3), late)
        _plan(session, world, date(2019, 7, 4), late)


def test_the_nightly_job_proposes_and_a_person_decides(engine: Engine, world: LedgerWorld) -> None:
    def found(session: Session, day: date) -> list[tuple[FindingKind, str]]:
        stands = standings(session, as_of=end_of(day))
        return [(one.finding, one.alliance) for one in findings(list(_read(session, day).values()), stands, day)]

    with writing(engine) as session:
        assert found(session, JUNE_30) == [(FindingKind.WARN, "al-a")]
        assert steps_of(session, "al-a") == []
        _warned(session, world)
        assert found(session, date(2019, 7, 2)) == [(FindingKind.PLAN_MISSING, "al-a")]
        _plan(session, world)
        assert found(session, date(2019, 7, 3)) == []
        # The plan's day belongs to it.
        assert found(session, date(2019, 9, 30)) == []
        assert found(session, date(2019, 10, 1)) == [(FindingKind.PLAN_OVERDUE, "al-a")]
        recognised(session, world, money(amount=4_000_000), LATER)
        assert found(session, date(2019, 9, 1)) == [(FindingKind.LIFT, "al-a")]
        _step(session, world, Rung.LIFTED, datetime(2019, 9, 2, tzinfo=UTC))
        assert found(session, date(2019, 9, 3)) == []


def test_a_notice_says_since_when_and_how_long(engine: Engine, world: LedgerWorld) -> None:
    # 16:30 UTC on 1 July is 2 July in Taipei.
    at = datetime(2019, 7, 1, 16, 30, tzinfo=UTC)
    with writing(engine) as session:
        _warned(session, world, at)
        assert standings(session, as_of=at - timedelta(seconds=1)) == []
        (one,) = standings(session, as_of=end_of(date(2019, 8, 1)))
        assert (one.rung, one.since, one.days, one.reason) == (Rung.WARNING, date(2019, 7, 2), 30, "經費落後")
        _plan(session, world)
        (one,) = standings(session, as_of=end_of(date(2019, 8, 1)), alliances=["al-a"])
        assert (one.rung, one.owner, one.due_on) == (Rung.PLAN, world.people["reporter"], date(2019, 9, 30))


def test_of_many_who_step_at_once_one_succeeds(engine: Engine, world: LedgerWorld) -> None:
    def attempt(_: int) -> bool:
        try:
            with writing(engine) as session:
                _warned(session, world)
        except LedgerError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    with reading(engine) as session:
        assert [one.rung for one in steps_of(session, "al-a")] == ["warning"]


_OCTOBER = date(2019, 10, 1)


def _booked(session: Session, world: LedgerWorld, year: int, own: int, spent: int, alliance: str = "al-a") -> None:
    day, now = date(year - 1, 10, 1), datetime(year, 9, 2, 4, 0, tzinfo=UTC)
    said = {"alliance_id": alliance, "tier": None, "source": "傳票", "by": world.people["office"], "now": now}
    book(session, item=SufficiencyItem.OVERHEAD, occurred_on=day, amount_ntd=own, **said)
    book(session, item=SufficiencyItem.PERSONNEL, occurred_on=day, amount_ntd=spent, **said)


def test_self_operation_has_a_ladder_beside_the_figures_and_its_gap_counts(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        path = default(SubsidyPath).share_bp(2019)
        enough = 1_000 * (WHOLE_BP - path) // WHOLE_BP + 100
        _booked(session, world, 2019, enough - 101, 1_000)
        _booked(session, world, 2019, enough, 1_000, "al-b")
    with writing(engine) as session:
        read = {one.alliance: one for one in operation_readings(session, ["al-a", "al-b"], _OCTOBER)}
        assert {name: one.level for name, one in read.items()} == {"al-a": Level.WARNING, "al-b": Level.ON_PACE}
        # One proposal for an alliance and quarter: on self-operation, with the figures that are short in `also`.
        paces = [one for one in _read(session, JUNE_30).values() if one.alliance is not None]
        found = findings([replace(one, quarter="2019Q3") for one in paces], [], _OCTOBER, list(read.values()))
        assert [(one.alliance, one.kpi, [other.kpi for other in one.also]) for one in found] == [
            ("al-a", Matter.SELF_OPERATION, [Kpi.MONEY])
        ]
        with pytest.raises(LedgerError, match="only an alliance's gap"):
            warn(session, gap=read["al-b"], reason="r", by=world.people["office"], now=AUTUMN)
        warned = warn(session, gap=read["al-a"], reason="自有收入不足", by=world.people["office"], now=AUTUMN)
        assert (warned.ladder, warned.grounds["subsidy_year"], warned.grounds["own_income_ntd"]) == (
            "self_operation",
            2019,
            enough - 101,
        )
        operating = operation_readings(session, ["al-a"], _OCTOBER)
        stands = standings(session, as_of=end_of(_OCTOBER))
        assert [(one.finding, one.kpi) for one in findings([], stands, _OCTOBER, operating)] == [
            (FindingKind.PLAN_MISSING, Matter.SELF_OPERATION)
        ]
        said = {"alliance_id": "al-a", "kpi": Matter.SELF_OPERATION, "by": world.people["office"]}
        step(session, rung=Rung.LIFTED, reason="已補足", now=AUTUMN, **said)
        # Lifted by a person: the same year's gap is not proposed again, the next year's would be.
        stands = standings(session, as_of=end_of(_OCTOBER))
        assert findings([], stands, _OCTOBER, operating) == []


def test_a_year_that_nobody_booked_is_no_gap_of_self_operation_and_not_as_required(
    engine: Engine, world: LedgerWorld
) -> None:
    with writing(engine) as session:
        (read,) = operation_readings(session, ["al-a"], _OCTOBER)
        assert (read.year, read.level, read.own.kept) == (2019, None, None)
        assert findings([], [], _OCTOBER, [read]) == []
        # Founded in a later subsidy year, it is asked nothing of this one.
        session.get_one(Alliance, "al-a").since = date(2019, 9, 1)
        session.flush()
        assert operation_readings(session, ["al-a"], _OCTOBER) == []
