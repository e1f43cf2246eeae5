"""Targets are data with their basis and place in the plan; where its places disagree, every reading is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine

from indexer.database import reading, writing
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rule_documents import move_document, second_document
from matcher.ledger.rules.configuration import TakesTwoError, change, current, default
from matcher.ledger.rules.targets import (
    MoneyDefinitions,
    Standing,
    Target,
    TargetBook,
    TargetBooks,
    Traits,
    compare,
    standing,
)
from tests.rig.worlds.ledger_world import NOON, build_ledger_world

YEARS = (2017, 2018, 2019, 2020)
BOOKS = default(TargetBooks)


def _stands(kpi: Kpi, year: int | None, by_year: dict[int, int]) -> tuple[dict[str, int], Standing | None]:
    """Return the actual that each book compares with, and how the figure stands."""

    def of_years(years: Sequence[int], definition: str | None) -> int:
        assert definition is None
        return sum(by_year.get(one, 0) for one in years)

    compared = compare(BOOKS, kpi, year, of_years, YEARS)
    return {one.book.code: one.actual for one in compared}, standing(compared)


JOBS = {2017: 3, 2018: 140, 2019: 260}
WHOLE_OF_JOBS = ["a003", "b003", "kpi_values", "b003_part_two", "paragraph"]


@pytest.mark.parametrize(
    ("kpi", "year", "by_year", "expected"),
    [
        (Kpi.JOBS, 2018, JOBS, ({"schedule": 140, "b003": 143}, Standing.OPEN)),
        (Kpi.JOBS, 2018, {2017: 3, 2018: 147}, ({"schedule": 147, "b003": 150}, Standing.DISPUTED)),
        (Kpi.JOBS, 2018, {2018: 150}, ({"schedule": 150, "b003": 150}, Standing.REACHED)),
        (Kpi.JOBS, 2019, JOBS, ({"schedule": 260, "b003": 403}, Standing.DISPUTED)),
        (Kpi.JOBS, None, JOBS, (dict.fromkeys(WHOLE_OF_JOBS, 403), Standing.OPEN)),
        (Kpi.JOBS, None, {2020: 600}, (dict.fromkeys(WHOLE_OF_JOBS, 600), Standing.DISPUTED)),
        (Kpi.TALENT, 2019, {2018: 600, 2019: 699}, ({"schedule": 699, "b003": 699}, Standing.OPEN)),
        (Kpi.MEMBERS, 2019, {2017: 100, 2019: 50}, ({"schedule": 150}, Standing.REACHED)),
        (Kpi.MODEL_CASES, None, {2020: 3}, (dict.fromkeys(["schedule", "a003", "goals_106"], 3), Standing.REACHED)),
        (Kpi.MODEL_CASES, 2019, {2019: 3}, ({}, None)),
    ],
)
def test_each_target_meets_the_actual_that_its_basis_asks_for(
    kpi: Kpi, year: int | None, by_year: dict[int, int], expected: tuple[dict[str, int], Standing | None]
) -> None:
    assert _stands(kpi, year, by_year) == expected


def test_the_plans_disagreements_are_found_in_its_targets() -> None:
    differ = {kpi.value: [y for y in (*YEARS, None) if BOOKS.readings_differ(kpi, y)] for kpi in Kpi}
    assert {kpi: years for kpi, years in differ.items() if years} == {
        "C": [None],
        "L": [None],
        "P": [None],
        "T": [None],
        "jobs": [2018, 2019, 2020, None],
    }
    # Whatever differs is explained.
    assert (
        set(differ) >= {dispute.kpi.value for dispute in BOOKS.disputes} >= {k for k, years in differ.items() if years}
    )


def test_annual_targets_of_the_schedule_add_up_to_the_headline_of_a003() -> None:
    schedule, a003 = BOOKS.books[:2]
    for kpi in (Kpi.TALENT, Kpi.STARTUPS, Kpi.JOBS):
        annual = [target.amount for year in YEARS if (target := schedule.target(kpi, year))]
        whole = a003.target(kpi, None)
        # The schedule has yearly numbers only: 2,300, 25 and 1,150 are A003's.
        assert whole is not None
        assert schedule.target(kpi, None) is None
        assert sum(annual) == whole.amount


def test_what_the_plan_says_was_reached_is_kept_apart() -> None:
    assert {given.kpi.value: given.amount for given in BOOKS.given_actuals} == {"alliances": 15, "C": 100, "jobs": 3}
    assert BOOKS.given(Kpi.MONEY, 2017) is None


def test_every_deadline_of_self_sufficiency_is_kept() -> None:
    assert [(one.scope.value, one.within_years) for one in BOOKS.self_sufficiency] == [
        ("model_cases", 3),
        ("model_cases", 6),
        ("all_alliances", 6),
    ]


_TARGET: dict[str, Any] = {"kpi": "jobs", "year": 2018, "amount": 150, "basis": "annual", "source": "表"}


@pytest.mark.parametrize(
    ("change_of", "message"),
    [
        ({"year": None}, "has no year, every other one has"),
        ({"basis": "whole"}, "has no year, every other one has"),
        ({"amount": 0}, "greater than or equal to 1"),
        ({"source": ""}, "at least 1 character"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused(change_of: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Target.model_validate({**_TARGET, **change_of})
    # The control: without the change it is one.
    assert Target.model_validate(_TARGET).amount == 150


def test_a_book_has_one_target_for_a_figure_and_year() -> None:
    with pytest.raises(ValidationError, match="two targets for one figure and year"):
        TargetBook.model_validate({"code": "b", "title_zh": "書", "title_en": "book", "targets": [_TARGET, _TARGET]})


def test_two_of_the_office_may_change_the_books_and_the_old_ones_stay(engine: Engine) -> None:
    people = build_ledger_world(engine).people
    fewer = BOOKS.model_copy(update={"books": BOOKS.books[:1]})
    with pytest.raises(TakesTwoError), writing(engine) as session:
        change(session, fewer, reason="段落作廢", by=people["office"], now=NOON)
    with writing(engine) as session:
        motion = move_document(session, fewer, reason="段落作廢", by=people["office"], now=NOON)
    with reading(engine) as session:
        assert current(session, TargetBooks) == BOOKS
    with writing(engine) as session:
        second_document(session, motion_id=motion.id or 0, by=people["second_office"], now=NOON)
    with reading(engine) as session:
        assert [book.code for book in current(session, TargetBooks).books] == ["schedule"]
        assert current(session, TargetBooks, at=NOON.replace(year=2018)) == BOOKS


def test_money_is_defined_in_the_plans_three_wordings() -> None:
    takes = {
        one.code: [
            one.takes(Traits(*payment))
            for payment in (
                ("TW", "company", "research"),
                ("DE", "company", "research"),
                ("TW", "public_body", "research"),
                ("TW", "company", "donation"),
                ("TW", "industry_body", "licensing"),
            )
        ]
        for one in default(MoneyDefinitions).definitions
    }
    assert takes == {
        "domestic_cooperation": [True, False, False, False, True],
        "industry_research": [True, True, False, False, False],
        "industry_cooperation": [True, True, False, False, True],
    }


def test_money_of_public_bodies_and_what_is_given_is_industrys_by_no_wording_even_where_a_document_lists_it() -> None:
    definition = default(MoneyDefinitions).definitions[0]
    wide = definition.model_copy(update={"payer_countries": (), "payer_types": (), "purposes": ()})
    assert not wide.takes(Traits("TW", "public_body", "research"))
    assert not wide.takes(Traits("TW", "company", "donation"))
    # The control: what industry pays is.
    assert wide.takes(Traits("TW", "company", "research"))


def test_books_stored_before_targets_named_definitions_are_read_as_industrys_money_of_all_payers() -> None:
    old = default(TargetBooks).model_dump(mode="json")
    for book in old["books"]:
        for target in book["targets"]:
            target.pop("definition")
    (whole,) = [one.target(Kpi.MONEY, None) for one in TargetBooks.model_validate(old).books if one.code == "a003"]
    assert whole is not None
    takes = default(MoneyDefinitions).takes(Kpi.MONEY, whole.definition)
    assert takes is not None
    payments = [("DE", "company", "licensing"), ("TW", "public_body", "research"), ("TW", "company", "donation")]
    assert [takes(Traits(*payment)) for payment in payments] == [True, False, False]
