"""E10, E9: a result of several schools and companies has a share of each; schools' totals compare in every figure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session

from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.export_check import check_export
from matcher.ledger.figures.school_shares import recognised_of, school_shares
from matcher.ledger.proving.verification import export_lines, verify
from matcher.ledger.reports.document import ReportRequest
from matcher.ledger.reports.registry import make_report
from matcher.ledger.rows.details import Gender
from matcher.ledger.rows.entries import Entry, LedgerError, entry_of
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.school_totals import COMPARED, supply, total_of
from matcher.ledger.rows.steps import NewStep, State, take
from matcher.ledger.rules.duties import Bar
from matcher.ledger.rules.recognition import ConflictError, check, move_reversal, second_reversal
from matcher.ledger.rules.reporting import NewResult, report
from matcher.review.people import grant
from matcher.review.roles import Role
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, build_ledger_world, money, recognised
from tests.rig.worlds.small_world import Asked, asked

SCHOOLS = {"sc-1": 6_000, "sc-2": 4_000}
COMPANIES = {"co-1": 7_500, "co-2": 2_500}


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def _shared(entry_id: str = "money-0001", **more: Any) -> NewResult:
    return money(entry_id, school_shares=SCHOOLS, company_shares=COMPANIES, **more)


def _money_of(session: Session) -> dict[str, Fraction]:
    return {one: recognised_of(session, one, 2019, as_of=NOON) for one in ("sc-1", "sc-2")}


def test_e10_each_school_has_its_part_and_a_reversal_takes_both_back(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "center": "sc-1"}])
        entry = recognised(session, world, _shared())
        assert (entry.by_school(), entry.by_company()) == (SCHOOLS, COMPANIES)
        assert _money_of(session) == {"sc-1": 600_000, "sc-2": 400_000}
        found = school_shares(session, alliances=["al-a"], year=2019, as_of=NOON)
        assert [(one.school, one.kpi, one.recognised, one.entries) for one in found] == [
            ("sc-1", Kpi.MONEY, 600_000, ("money-0001",)),
            ("sc-2", Kpi.MONEY, 400_000, ("money-0001",)),
        ]
        assert found[1].share == Fraction(400_000, 900_000_000)
        # Control: one that names no others is wholly of its one school.
        recognised(session, world, money("money-0002", amount=10, details={"contract": "C-2", "payer": "丙"}))
        assert _money_of(session) == {"sc-1": 600_010, "sc-2": 400_000}
        motion = move_reversal(session, entry_id="money-0001", reason="誤植", by=world.people["office"], now=NOON)
        taken = second_reversal(session, motion_id=motion.id or 0, by=world.people["second_office"], now=NOON)
        assert (taken.by_school(), taken.by_company()) == (SCHOOLS, COMPANIES)
        assert _money_of(session) == {"sc-1": 10, "sc-2": 0}
    with reading(engine) as session:
        assert verify(session).findings == []


def test_e10_parts_are_part_of_the_row_and_one_party_is_written_as_before(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        for number, shares in enumerate((None, {"sc-1": 10_000}, SCHOOLS)):
            details = {"contract": f"C-{number}", "payer": "甲乙丙"[number] * 4}
            given = money(f"money-000{number}", amount=1_000 + number, details=details, school_shares=shares)
            report(session, given, by=world.people["reporter"], now=NOON)
    with reading(engine) as session:
        lines = [line for line in export_lines(session, NOON, "") if b"signed_heads" not in line]
        rows = [orjson.loads(line)["row"] for line in lines if b'"chain":"entries","row"' in line]
    assert ["school_shares" in row for row in rows] == [False, False, True]
    assert check_export(lines).findings == []
    changed = [line.replace(b'"sc-2":4000', b'"sc-2":4001') for line in lines]
    assert [str(one.message) for one in check_export(changed).findings] == [
        "entries 3 is not what was written: its hash does not fit its content",
        "entries 3 shares of schools or companies do not make up the whole",
    ]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"school_shares": {"sc-1": 6_000, "sc-2": 3_999}}, "school_shares"),
        ({"school_shares": {"sc-1": 10_000, "sc-2": 0}}, "school_shares"),
        ({"school_shares": {"sc-2": 5_000, "sc-old": 5_000}}, "school_shares"),
        ({"school_shares": {"sc-1": 5_000, "none": 5_000}}, "school_shares"),
        ({"company_shares": {"co-2": 10_000}}, "company_shares"),
        ({"company_shares": {"co-1": 5_000, "none": 5_000}}, "company_shares"),
    ],
)
def test_e10_what_is_not_the_whole_is_refused(
    engine: Engine, world: LedgerWorld, more: Mapping[str, Any], field: str
) -> None:
    with pytest.raises(LedgerError) as refused, writing(engine) as session:
        report(session, money(**more), by=world.people["reporter"], now=NOON)
    assert refused.value.field == field
    with writing(engine) as session:
        report(session, _shared(), by=world.people["reporter"], now=NOON)


@pytest.mark.parametrize("shares", [{"sc-1": 9_999}, {"sc-2": 10_000}, {"sc-1": 5_000.5, "sc-2": 4_999.5}])
def test_e10_the_database_itself_refuses_them(
    engine: Engine, world: LedgerWorld, shares: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matcher.ledger.rows.entries._check", lambda new: None)
    monkeypatch.setattr("matcher.ledger.rows.entries._several", lambda given: given)
    with pytest.raises(DatabaseError, match="10000 basis points"), writing(engine) as session:
        report(session, money(school_shares=shares), by=world.people["reporter"], now=NOON)
    with writing(engine) as session:
        report(session, money(school_shares=SCHOOLS), by=world.people["reporter"], now=NOON)


def test_e10_who_acts_for_a_company_with_a_part_decides_nothing(engine: Engine, world: LedgerWorld) -> None:
    people = world.people
    with writing(engine) as session:
        grant(session, account_id=people["second_committee"], role=Role.COMPANY, scope_id="co-2", by=None, now=NOON)
        report(session, _shared(), by=people["reporter"], now=NOON)
    with pytest.raises(ConflictError) as refused, writing(engine) as session:
        check(session, entry_id="money-0001", by=people["second_committee"], now=NOON)
    assert refused.value.bar is Bar.PARTY
    # The database itself says so, whatever way the step comes in.
    step = NewStep("money-0001", 1, State.CHECKED, people["second_committee"], NOON)
    with pytest.raises(DatabaseError, match="has a part in a result"), writing(engine) as session:
        take(session, step)
    with writing(engine) as session:
        check(session, entry_id="money-0001", by=people["committee"], now=NOON)


def test_e10_the_list_of_entries_names_who_has_which_part(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        report(session, _shared(), by=world.people["reporter"], now=NOON)
        alone = money("money-0002", amount=7, details={"contract": "C-2", "payer": "丙"})
        report(session, alone, by=world.people["reporter"], now=NOON)
    with reading(engine) as session:
        request = ReportRequest(as_of=date(2019, 5, 31), year=None, alliances=None, now=NOON)
        (table,) = make_report(session, "entries", request).tables
    titles = [column.title.zh for column in table.columns]
    cells = [(row[titles.index("學校")].value, row[titles.index("企業")].value) for row in table.rows]
    assert [tuple(one.zh for one in row) for row in cells] == [
        ("一號大學 60 %、二號大學 40 %", "甲公司 75 %、乙公司 25 %"),
        ("一號大學", "甲公司"),
    ]


def test_e9_totals_of_other_figures_compare_too(engine: Engine, world: LedgerWorld) -> None:
    given = {"school_id": "sc-old", "year": 2019, "source": "校務", "by": world.people["office"], "now": NOON}
    jobs = NewResult(
        id="jobs-0001",
        kpi=Kpi.JOBS,
        amount=10,
        shares={"al-a": 10_000},
        details={"employer": "甲公司", "post": "工程師", "start_on": "2019-05-01", "gender": Gender.UNDISCLOSED.value},
        occurred_on=date(2019, 5, 2),
        school_id="sc-1",
        school_shares=SCHOOLS,
        value_added="聯盟媒合",
        evidence=[{"url": "https://example.org/job", "name": "證明"}],
    )
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "center": "sc-1"}])
        supply(session, kpi=Kpi.JOBS, count=100, **given)
        supply(session, kpi=Kpi.JOBS, count=80, **given)
        recognised(session, world, jobs)
        found = {
            (one.school, one.kpi): (one.total, one.recognised, one.share)
            for one in school_shares(session, alliances=["al-a"], year=2019, as_of=NOON)
        }
        # What was merged into sc-2 counts there, the newest total holds, and money stands beside it.
        assert found[("sc-2", Kpi.JOBS)] == (80, 4, Fraction(1, 20))
        assert found[("sc-2", Kpi.MONEY)] == (900_000_000, 0, 0)
        assert ("sc-1", Kpi.JOBS) not in found
        money_total = total_of(session, "sc-2", 2019)
        assert money_total is not None
        assert money_total.figure is Kpi.MONEY
    with reading(engine) as session:
        assert verify(session).findings == []


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"kpi": Kpi.ALLIANCES, "count": 1}, "kpi"),
        ({"kpi": Kpi.JOBS, "amount_ntd": 1}, "count"),
        ({"kpi": Kpi.JOBS, "count": -1}, "count"),
        ({"kpi": Kpi.JOBS, "count": 1, "amount_ntd": 1}, "count"),
        ({"count": 1}, "amount_ntd"),
    ],
)
def test_e9_a_total_is_of_one_figure_in_its_unit(
    engine: Engine, world: LedgerWorld, said: dict[str, Any], field: str
) -> None:
    given = {"school_id": "sc-1", "year": 2019, "source": "校務", "by": world.people["office"], "now": NOON}
    with pytest.raises(LedgerError) as refused, writing(engine) as session:
        supply(session, **given, **said)
    assert refused.value.field == field


def test_over_http_a_result_of_several_is_read_beside_the_totals_of_each(settings: Settings) -> None:
    with asked(settings) as here:
        with writing(here.engine) as session:
            import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}, {"id": "sc-2", "name": "二號大學"}])
        given = money(school_shares=SCHOOLS, company_shares=COMPANIES)
        body = {name: value for name, value in vars(given).items() if value is not None}
        body |= {"kpi": "L", "occurred_on": "2019-05-02"}
        total = {"school_id": "sc-2", "year": 108, "amount_ntd": 10**9, "source": "校務"}
        jobs = {**total, "kpi": "jobs", "count": 12}
        del jobs["amount_ntd"]
        for one, amount in ((total, (10**9, None)), (jobs, (None, 12))):
            made = here.done("office", "POST", "/api/ledger/school-totals", json=one)
            assert (made["amount_ntd"], made["count"]) == amount
        wrong = here.ask("office", "POST", "/api/ledger/school-totals", json={**jobs, "amount_ntd": 1})
        assert (wrong.status_code, wrong.json()["field"]) == (422, "count")
        entry = here.done("expert", "POST", "/api/ledger/entries", json=body)["items"][0]
        assert (entry["school_shares"], entry["company_shares"], entry["lacks"]) == (
            SCHOOLS,
            COMPANIES,
            ["school_total"],
        )
        review = here.done("committee", "GET", f"/api/ledger/entries/{entry['id']}/review")
        assert [
            (one["school_id"], one["share_bp"], one["kpi"], one["total"] and one["total"]["amount_ntd"])
            for one in review["schools"]
        ] == [("sc-1", 6_000, "L", None), ("sc-2", 4_000, "L", 10**9)]
        held = here.done("office", "GET", "/api/ledger/school-totals", params={"school": "sc-2"})["items"]
        assert [(one["kpi"], one["holds"]) for one in held] == [("L", True), ("jobs", True)]
        assert _kpis_of(here) == [one.value for one in COMPARED]


def _kpis_of(here: Asked) -> list[str]:
    """Every figure that a school may have a total of is taken."""
    taken = []
    for kpi in Kpi:
        amount = {"amount_ntd": 1} if kpi is Kpi.MONEY else {"count": 1}
        body = {"school_id": "sc-1", "year": 108, "kpi": kpi.value, "source": "校務", **amount}
        if here.ask("office", "POST", "/api/ledger/school-totals", json=body).status_code == 201:
            taken.append(kpi.value)
    return sorted(taken, key=[one.value for one in COMPARED].index)


def test_an_entry_of_before_says_its_one_school(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        report(session, money(), by=world.people["reporter"], now=NOON)
    with reading(engine) as session:
        entry: Entry = entry_of(session, "money-0001")
        assert (entry.school_shares, entry.by_school(), entry.by_company()) == (
            None,
            {"sc-1": 10_000},
            {"co-1": 10_000},
        )
