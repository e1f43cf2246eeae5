"""Activities earn points as the rules are then; a share of own income is paid by them and sums exactly to its pot."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from indexer.database import reading, writing
from indexer.vocabulary import MAX_NTD
from matcher.ledger.figures.sufficiency import (
    ActivityType,
    PointRow,
    PointRules,
    SufficiencyItem,
    apportioned,
    book,
    earn,
    payout,
    take_points_back,
)
from matcher.ledger.rows.entries import AlreadyReportedError, LedgerError
from matcher.ledger.rows.pseudonyms import erase, register
from matcher.ledger.rules.configuration import change, current, default
from tests.rig.worlds.ledger_world import LedgerWorld, build_ledger_world

NOW = datetime(2020, 9, 15, 4, 0, tzinfo=UTC)
KEY = b"k" * 32


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def _person(session: Session, world: LedgerWorld, name: str) -> str:
    return register(session, key=KEY, name=name, identifier="1", contact=None, by=world.people["reporter"], now=NOW)


def _earn(
    session: Session, world: LedgerWorld, person: str, activity: str = "workshop", day: date = date(2019, 5, 2)
) -> PointRow:
    by = world.people["reporter"]
    return earn(
        session,
        alliance_id="al-a",
        person=person,
        activity=activity,
        occurred_on=day,
        source="簽到表",
        by=by,
        now=NOW,
    )


def _income(
    session: Session, world: LedgerWorld, amount_ntd: int, item: SufficiencyItem = SufficiencyItem.OVERHEAD
) -> None:
    book(
        session,
        alliance_id="al-a",
        item=item,
        occurred_on=date(2019, 5, 2),
        amount_ntd=amount_ntd,
        source="傳票",
        by=world.people["reporter"],
        now=NOW,
    )


def test_a_tenth_of_own_income_is_paid_by_points(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        one, two, three = (_person(session, world, name) for name in ("王甲", "李乙", "陳丙"))
        for person in (one, two, three):
            _earn(session, world, person)
        _income(session, world, 1_000_009)
        _income(session, world, 5_000_000, SufficiencyItem.SUBSIDY)
        paid = payout(session, alliance_id="al-a", year=2019, as_of=NOW)
    # The subsidy is not part of the pot, and the odd dollar goes to the lowest pseudonym of equal ones.
    first, *others = sorted((one, two, three))
    assert (paid.pot_ntd, paid.closed) == (100_000, True)
    assert paid.ntd == {first: 33_334, others[0]: 33_333, others[1]: 33_333}


def test_points_are_those_of_the_rules_when_they_were_earned(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        person = _person(session, world, "王甲")
        assert _earn(session, world, person).points == 3
        more = ActivityType(label_zh="工作坊", label_en="workshop", points=8)
        rules = PointRules(note="test", pot_share_bp=2_000, activities={"workshop": more})
        change(session, rules, reason="調整", by=world.people["office"], now=NOW)
        assert _earn(session, world, person).points == 8
        with pytest.raises(LedgerError, match="there are workshop"):
            _earn(session, world, person, "exhibition")
        _income(session, world, 1_000)
        paid = payout(session, alliance_id="al-a", year=2019, as_of=NOW + timedelta(days=1))
        # The share is the one that held when the subsidy year closed.
        assert (paid.points, paid.pot_ntd) == ({person: 11}, 100)


def test_points_belong_to_the_subsidy_year_of_their_day(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        person = _person(session, world, "王甲")
        for day in (date(2019, 8, 31), date(2018, 12, 31), date(2019, 1, 1), date(2019, 9, 1)):
            _earn(session, world, person, day=day)
        points = {year: payout(session, alliance_id="al-a", year=year, as_of=NOW).points for year in (2018, 2019, 2020)}
    assert points == {2018: {}, 2019: {person: 9}, 2020: {person: 3}}


def test_points_are_taken_back_once_and_an_erased_person_keeps_the_pseudonym(
    engine: Engine, world: LedgerWorld
) -> None:
    by = world.people["reporter"]
    with writing(engine) as session:
        one, two = _person(session, world, "王甲"), _person(session, world, "李乙")
        row = _earn(session, world, one)
        _earn(session, world, two)
        take_points_back(session, row_id=row.id or 0, reason="未出席", by=by, now=NOW)
        erase(session, pseudonym=two, by=by, now=NOW)
        _income(session, world, 1_000)
        assert payout(session, alliance_id="al-a", year=2019, as_of=NOW).ntd == {two: 100}
        row_id = row.id or 0
    with pytest.raises(AlreadyReportedError, match="taken back already"), writing(engine) as session:
        take_points_back(session, row_id=row_id, reason="r", by=by, now=NOW)
    with pytest.raises(DBAPIError, match="append-only"), writing(engine) as session:
        session.connection().execute(text("UPDATE point_row SET points = 99"))


def test_nothing_is_paid_where_nobody_has_points(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        _income(session, world, 1_000)
        paid = payout(session, alliance_id="al-a", year=2019, as_of=NOW)
    assert (paid.pot_ntd, paid.ntd) == (100, {})
    with reading(engine) as session:
        assert current(session, PointRules) == default(PointRules)


@given(pot=st.integers(0, MAX_NTD), weights=st.dictionaries(st.text("ab12", max_size=6), st.integers(1, 10**6)))
def test_a_payout_sums_to_its_pot_and_nobody_is_off_by_a_dollar(pot: int, weights: dict[str, int]) -> None:
    paid = apportioned(pot, weights)
    assert sum(paid.values()) == (pot if weights else 0)
    whole = sum(weights.values())
    for person, weight in weights.items():
        assert abs(paid[person] * whole - pot * weight) < whole
    # More points never pay less.
    ordered = sorted((weight, paid[person]) for person, weight in weights.items())
    for (less, little), (more, much) in pairwise(ordered):
        assert little <= much or less == more
