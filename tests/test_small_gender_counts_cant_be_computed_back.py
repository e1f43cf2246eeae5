"""Gender counts after the August closing: exact within an alliance, without small cells in what leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from scipy.optimize import linprog
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from indexer.database import reading, writing
from matcher.ledger.figures.gender import (
    CountCell,
    GenderGroup,
    GenderRules,
    analyse,
    counts,
    imbalances,
    left_out,
    published,
    supply_counts,
    with_totals,
)
from matcher.ledger.reports.document import ReportDocument
from matcher.ledger.reports.subsidy_year_reports import alliance_gender_report, gender_report
from matcher.ledger.rows.details import Gender
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.pseudonyms import register
from matcher.ledger.rules.configuration import current, default
from matcher.ledger.rules.recognition import move_reversal, second_reversal
from matcher.ledger.rules.reporting import NewResult
from tests.rig.worlds.ledger_world import PROOF, LedgerWorld, build_ledger_world, recognised

OPEN = datetime(2019, 8, 31, 15, 59, tzinfo=UTC)
"""The last minute of the subsidy year 2019 in Taipei."""
CLOSED = datetime(2019, 8, 31, 16, 0, tzinfo=UTC)
DAY = date(2019, 9, 1)
RULES = GenderRules(note="test", least_share=(1, 3), judged_from=3, small_below=5)
LEAST = 5


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def recovered(counts_: Sequence[Sequence[int]], hidden: set[CountCell]) -> set[CountCell]:
    """Return the left-out cells that a reader of the printed ones can compute, by linear programming."""
    table = np.array(with_totals(counts_))
    cells = sorted(hidden)
    place = {cell: number for number, cell in enumerate(cells)}
    equations, sums = [], []
    rows, columns = table.shape
    lines = [[(row, column) for column in range(columns)] for row in range(rows)]
    lines += [[(row, column) for row in range(rows)] for column in range(columns)]
    for line in lines:
        equation, known = np.zeros(len(cells)), 0
        for cell in line:
            sign = -1 if cell == line[-1] else 1
            if cell in place:
                equation[place[cell]] = sign
            else:
                known += sign * int(table[cell])
        equations.append(equation)
        sums.append(-known)
    found = set()
    for cell in cells:
        goal = np.zeros(len(cells))
        goal[place[cell]] = 1
        bounds = [linprog(sign * goal, A_eq=equations, b_eq=sums, method="highs") for sign in (1, -1)]
        # No greatest value means that it can be anything.
        if all(one.status == 0 for one in bounds) and round(bounds[0].fun) == round(-bounds[1].fun):
            found.add(cell)
    return found


small_tables = st.integers(1, 4).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(0, 12) | st.just(0), min_size=columns, max_size=columns), min_size=1, max_size=5
    )
)


@given(table=small_tables)
@tries(max_examples=60, deadline=None)
def test_no_cell_that_is_left_out_can_be_recovered(table: list[list[int]]) -> None:
    hidden = left_out(table, LEAST)
    whole = with_totals(table)
    small = {(row, column) for row, line in enumerate(whole) for column, count in enumerate(line) if count < LEAST}
    assert small <= hidden
    assert recovered(table, hidden) == set()


def test_without_further_cells_left_out_one_is_recovered() -> None:
    """The control: the same attempt finds the cell if only small cells are left out."""
    table = [[12, 3], [20, 30], [9, 14]]
    assert recovered(table, {(0, 1)}) == {(0, 1)}
    hidden = left_out(table, LEAST)
    assert (0, 1) in hidden
    assert recovered(table, hidden) == set()
    # Four cells in a square are the least that hide one, and no total is lost.
    assert len(hidden) == 4
    assert hidden <= {(row, column) for row in range(3) for column in range(2)}


def test_nothing_shows_that_a_left_out_cell_is_small() -> None:
    # Two left-out cells of a row whose sum is 3 would each be known to be at most 3.
    table = [[40, 1, 2], [30, 35, 38], [50, 44, 41]]
    hidden = left_out(table, LEAST)
    assert {(0, 1), (0, 2)} < hidden
    assert (0, 0) in hidden or (0, 3) in hidden


def test_a_table_without_small_cells_is_printed_whole() -> None:
    assert left_out([[5, 6], [7, 8]], LEAST) == set()
    assert left_out([], LEAST) == set()


def _supply(
    session: Session,
    world: LedgerWorld,
    people: dict[Gender, int],
    alliance: str = "al-a",
    group: GenderGroup = GenderGroup.PARTICIPANT,
    now: datetime = CLOSED,
) -> None:
    supply_counts(
        session,
        alliance_id=alliance,
        year=2019,
        group=group,
        people=people,
        source="人事名冊",
        by=world.people["reporter"],
        now=now,
    )


def _women_and_men(women: int, men: int) -> dict[Gender, int]:
    return {Gender.FEMALE: women, Gender.MALE: men}


def test_counts_are_supplied_after_the_closing_and_the_newest_holds(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        with pytest.raises(LedgerError, match="closes on 2019-08-31"):
            _supply(session, world, _women_and_men(6, 7), now=OPEN)
        _supply(session, world, {**_women_and_men(6, 7), Gender.SELF_DESCRIBED: 5, Gender.UNDISCLOSED: 9})
        later = datetime(2019, 9, 3, tzinfo=UTC)
        _supply(session, world, _women_and_men(8, 7), now=later)
        first = counts(session, year=2019, group=GenderGroup.PARTICIPANT, as_of=CLOSED)
        assert [*first["al-a"].values()] == [6, 7, 5, 9]
        newest = counts(session, year=2019, group=GenderGroup.PARTICIPANT, as_of=later)
        assert [*newest["al-a"].values()] == [8, 7, 0, 0]
        with pytest.raises(LedgerError, match="counted from recognised entries"):
            _supply(session, world, _women_and_men(1, 1), group=GenderGroup.TRAINEE)
        with pytest.raises(LedgerError, match="from 0 to"):
            _supply(session, world, _women_and_men(-1, 1))
    with pytest.raises(DBAPIError, match="append-only"), writing(engine) as session:
        session.connection().execute(text("DELETE FROM gender_count"))


def _trained(session: Session, world: LedgerWorld, name: str, gender: Gender, day: date, **more: object) -> str:
    by = world.people["reporter"]
    person = register(session, key=b"k" * 32, name=name, identifier="1", contact=None, by=by, now=CLOSED)
    given_ = NewResult(
        id=f"talent-{name}",
        kpi=Kpi.TALENT,
        amount=1,
        shares={"al-a": 4_000, "al-b": 6_000} if more.get("shared") else {"al-a": 10_000},
        details={"person": person, "programme": "實作班", "year": day.year, "gender": gender},
        occurred_on=day,
        school_id="sc-1",
        value_added="聯盟開課",
        evidence=PROOF,
    )
    recognised(session, world, given_, datetime(2019, 9, 2, tzinfo=UTC))
    return given_.id


def test_trainees_are_counted_from_entries_in_their_subsidy_year(engine: Engine, world: LedgerWorld) -> None:
    as_of = datetime(2019, 9, 2, 1, tzinfo=UTC)
    with writing(engine) as session:
        _trained(session, world, "aaaa", Gender.FEMALE, date(2019, 8, 31))
        _trained(session, world, "bbbb", Gender.MALE, date(2018, 12, 31))
        wrong = _trained(session, world, "cccc", Gender.MALE, date(2019, 1, 1))
        _trained(session, world, "dddd", Gender.UNDISCLOSED, date(2019, 9, 1))
        _trained(session, world, "eeee", Gender.SELF_DESCRIBED, date(2018, 9, 1), shared=True)
        before = counts(session, year=2019, group=GenderGroup.TRAINEE, as_of=as_of)
        assert before == {"al-a": _women_and_men(1, 2), "al-b": {Gender.SELF_DESCRIBED: 1}}
        office, second = world.people["office"], world.people["second_office"]
        motion = move_reversal(session, entry_id=wrong, reason="誤植", by=office, now=as_of)
        second_reversal(session, motion_id=motion.id or 0, by=second, now=as_of)
        after = counts(session, year=2019, group=GenderGroup.TRAINEE, as_of=as_of)
        assert after["al-a"] == _women_and_men(1, 1)
        assert counts(session, year=2020, group=GenderGroup.TRAINEE, as_of=as_of) == {"al-a": {Gender.UNDISCLOSED: 1}}


@pytest.mark.parametrize(
    ("people", "low"),
    [
        (_women_and_men(1, 2), []),
        (_women_and_men(33, 67), [(Gender.FEMALE, Fraction(33, 100))]),
        (_women_and_men(2, 0), []),
        ({**_women_and_men(3, 6), Gender.UNDISCLOSED: 90}, []),
        ({**_women_and_men(1, 1), Gender.SELF_DESCRIBED: 2}, [(Gender.FEMALE, 0.25), (Gender.MALE, 0.25)]),
        (_women_and_men(9, 0), [(Gender.MALE, 0)]),
    ],
)
def test_a_share_below_one_third_asks_for_an_analysis(
    engine: Engine, world: LedgerWorld, people: dict[Gender, int], low: list[tuple[Gender, Fraction]]
) -> None:
    with writing(engine) as session:
        _supply(session, world, people)
        found = imbalances(session, year=2019, rules=RULES, as_of=CLOSED)
        assert [(one.gender, one.share) for one in found] == low
        assert imbalances(session, year=2019, rules=RULES, as_of=OPEN) == []
        assert current(session, GenderRules) == default(GenderRules)


def test_an_analysis_is_a_dated_row_that_stays(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        _supply(session, world, _women_and_men(5, 20))
        (before,) = imbalances(session, year=2019, rules=RULES, as_of=CLOSED)
        assert before.analysis is None
        later = datetime(2019, 9, 20, tzinfo=UTC)
        analyse(
            session,
            alliance_id="al-a",
            year=2019,
            group=GenderGroup.PARTICIPANT,
            text="機械領域女性較少",
            by=world.people["reporter"],
            now=later,
        )
        (after,) = imbalances(session, year=2019, rules=RULES, as_of=later)
        assert after.analysis is not None
        assert (after.analysis.text, after.analysis.at) == ("機械領域女性較少", later)
    with pytest.raises(DBAPIError, match="append-only"), writing(engine) as session:
        session.connection().execute(text("UPDATE gender_analysis SET text = 'x'"))


def _table(document: ReportDocument, title: str) -> list[list[object]]:
    (table,) = [one for one in document.tables if one.title.en == title]
    return [[getattr(cell.value, "en", cell.value) for cell in row] for row in table.rows]


def test_the_report_that_leaves_hides_what_the_alliances_own_shows(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        _supply(session, world, {**_women_and_men(3, 40), Gender.SELF_DESCRIBED: 6, Gender.UNDISCLOSED: 8})
        _supply(session, world, {**_women_and_men(30, 35), Gender.SELF_DESCRIBED: 7, Gender.UNDISCLOSED: 9}, "al-b")
        _supply(session, world, _women_and_men(30, 80), "al-b", GenderGroup.LIAISON_EXPERT)
    with reading(engine) as session:
        out = gender_report(session, year=2019, as_of=DAY, now=CLOSED)
        own = alliance_gender_report(session, alliance_id="al-a", year=2019, as_of=DAY, now=CLOSED)
        exact = counts(session, year=2019, group=GenderGroup.PARTICIPANT, as_of=CLOSED)
        rows = published(GenderGroup.PARTICIPANT, exact, RULES).rows
    assert _table(own, "participants") == [["甲聯盟", 3, 40, 6, 8, 57]]
    assert _table(out, "participants") == [["甲聯盟", *rows[0]], ["乙聯盟", *rows[1]], ["total", *rows[2]]]
    assert rows[0][0] is None
    table = [[people[gender] for gender in Gender] for people in exact.values()]
    hidden = {(r, c) for r, line in enumerate(rows) for c, count in enumerate(line) if count is None}
    assert recovered(table, hidden) == set()
    # That women are few is said only within the alliance: outside it would narrow what the left-out cell can be.
    assert [row[:3] for row in _table(own, "low shares")] == [["甲聯盟", "participants", "female"]]
    assert "甲聯盟" not in [row[0] for row in _table(out, "low shares")]
    assert not any(cell.entries for table_ in out.tables for row in table_.rows for cell in row)
