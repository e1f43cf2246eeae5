"""The desks of office, committee and lead: what waits for each, counted as the pages do on which it is done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from sqlmodel import Session

from indexer.database import open_engine, reading, writing
from indexer.instants import day_in_taipei
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.figures.ladder import LadderStep, Rung
from matcher.ledger.figures.waiting import office_counts
from matcher.ledger.rules.recognition import check, give_back, recognise
from matcher.ledger.rules.reporting import report
from matcher.review.desk.reminders import loads, reminders
from matcher.review.intake import adopt
from matcher.review.own_lab.researchers import claim
from matcher.review.people import add_account, grant
from matcher.review.roles import Role
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import served
from tests.rig.worlds.ledger_world import money
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length

NOW = datetime.now(UTC)
TODAY = day_in_taipei(NOW)
SECRET = "祕密需求標題"


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            _fill(session, made.accounts)
            checker = add_account(session, email="checker@example.org", name="查核人", now=NOW).id
            grant(session, account_id=checker, role=Role.COMMITTEE, scope_id="al-b", by=None, now=NOW)
        made.add_key("other_committee", checker)
        yield made


def _fill(session: Session, people: dict[str, str], company_id: str = "co-1") -> None:
    """Let one thing of each kind wait, of alliance `al-a`; the results are of 2019."""
    import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}])
    import_rows(session, "labs", [{"id": "lab-1", "name": "一號實驗室", "school": "sc-1"}])
    import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟", "center": "sc-1"}])
    import_rows(session, "needs", [{"id": "n-none", "title": SECRET, "confidentiality": "confidential"}])
    adopt(session, need_ids=["n-none"], alliance_id=None, by=None, now=NOW - timedelta(days=3))
    results = (("reported-1", "甲", 1), ("checked-01", "乙", 2), ("returned-1", "丙", 3), ("large-0001", "丁", 9))
    for name, contract, millions in results:
        details = {"contract": f"C-{contract}", "payer": f"{contract}{contract}公司"}
        amount = millions * 1_000_000
        given = money(name, amount=amount, details=details, occurred_on=date(2019, 1, 2), company_id=company_id)
        report(session, given, by=people["expert"], now=NOW - timedelta(days=2))
    details = {"contract": "C-甲2", "payer": "甲甲公司"}
    day = date(2019, 1, 2)
    alike = money("alike-0001", amount=1_000_000, occurred_on=day, details=details, company_id=company_id)
    report(session, alike, by=people["colleague"], now=NOW)
    check(session, entry_id="checked-01", by=people["committee"], now=NOW)
    give_back(session, entry_id="returned-1", reason="補合約", by=people["committee"], now=NOW)
    asked_by = people["newcomer"]
    claim(session, account_id=asked_by, lab_id="lab-1", statement="這是我的實驗室", now=NOW)
    steps: list[dict[str, Any]] = [
        {"ladder": "L", "version": 1, "rung": Rung.WARNING},
        {"ladder": "L", "version": 2, "rung": Rung.PLAN, "owner": people["lead"], "due_on": TODAY - timedelta(days=1)},
        {"ladder": "C", "version": 1, "rung": Rung.WARNING},
    ]
    for one in steps:
        known = {"owner": None, "due_on": None, "grounds": {}, "reason": "落後", "by": people["office"], "at": NOW}
        session.add(LadderStep(**{"alliance_id": "al-a", **known, **one, "rung": one["rung"].value}))
        session.flush()


def _groups(here: Asked, who: str) -> dict[str, Any]:
    return {one["kind"]: one for one in here.done(who, "GET", "/api/agenda?limit=50")["groups"]}


def _totals(here: Asked, who: str) -> dict[str, int]:
    return {kind: group["total"] for kind, group in _groups(here, who).items()}


def _count(page: str) -> int:
    found = re.search(r'<h[12][^>]*>[^<]*<span class="count">([\d,]+)</span>', page)
    assert found is not None
    return int(found[1].replace(",", ""))


def test_the_office_is_told_what_nobody_else_can_move(here: Asked) -> None:
    assert _totals(here, "office") == {
        "unassigned_needs": 1,
        "plans_overdue": 1,
        "plans_missing": 1,
        "held_entries": 1,
        "motions": 0,
        "lab_claims": 1,
        "totals_missing": 1,
        "quarters_to_close": 1,
        "months_unset": 1,
        "reported_entries": 2,
        "checked_entries": 1,
    }
    groups = _groups(here, "office")
    plan = groups["plans_overdue"]["items"][0]
    assert (plan["by"], plan["due_on"], plan["alliances"], plan["kpi"]) == (
        here.accounts["lead"],
        str(TODAY - timedelta(days=1)),
        ["al-a"],
        "L",
    )
    total = groups["totals_missing"]["items"][0]
    assert (total["school_id"], total["year"], total["count"]) == ("sc-1", 2019, 4)
    assert groups["quarters_to_close"]["items"][0]["period"] == "2019Q1"
    need = groups["unassigned_needs"]["items"][0]
    assert (need["need_id"], need["title"], need["since"]) == (
        "n-none",
        None,
        str(day_in_taipei(NOW - timedelta(days=3))),
    )


@pytest.mark.postgresql_too
def test_counts_are_those_of_the_pages_and_of_the_night(here: Asked) -> None:
    here_total = {"school_id": "sc-1", "year": 2019, "amount_ntd": 10**9, "source": "校務公開資訊"}
    here.done("office", "POST", "/api/ledger/school-totals", json=here_total)
    with writing(here.engine) as session:
        check(session, entry_id="large-0001", by=here.accounts["committee"], now=NOW)
        assert recognise(session, entry_id="large-0001", by=here.accounts["office"], now=NOW) is not None
    said = _totals(here, "office")
    assert (said["totals_missing"], said["motions"]) == (0, 1)
    with reading(here.engine) as session:
        assert {kind.value: n for kind, n in office_counts(session, datetime.now(UTC)).items()} == said
        waiting = reminders(session, now=NOW)
    queue = here.done("office", "GET", "/api/ledger/review")["by_state"]
    assert queue == {
        "held": said["held_entries"],
        "reported": said["reported_entries"],
        "checked": said["checked_entries"],
    }
    assert len(here.done("office", "GET", "/api/ledger/motions")["items"]) == said["motions"]
    found = [
        one["finding"] for item in here.done("office", "GET", "/api/warnings")["alliances"] for one in item["findings"]
    ]
    assert (found.count("plan_overdue"), found.count("plan_missing")) == (said["plans_overdue"], said["plans_missing"])
    assert len(here.done("office", "GET", "/api/claims")["items"]) == said["lab_claims"]
    pages = {
        "unassigned_needs": "/needs?unassigned=true",
        "motions": "/review/motions",
        "lab_claims": "/claims",
    }
    for kind, path in pages.items():
        assert _count(here.ask("office", "GET", path).text) == said[kind], path
    rows = here.done("office", "GET", "/api/agenda")["alliances"]
    counted = {one["alliance_id"] or "": {k: n for k, n in one["waiting"].items() if n} for one in rows}
    assert counted == {alliance: {one.value: n for one, n in of.items()} for alliance, of in waiting.items()}


def test_a_missing_total_is_added_from_where_it_is_missed(here: Asked) -> None:
    desk = here.ask("office", "GET", "/desk").text
    way = "/review/totals?school_id=sc-1&amp;for_year=2019#h-new"
    assert way in desk
    page = here.ask("office", "GET", "/review/totals?school_id=sc-1&for_year=2019").text
    assert ("尚缺的全校總額" in page, _count(page)) == (True, 1)
    assert re.search(r'<option value="sc-1" selected', page) is not None
    body = {"school_id": "sc-1", "year": 2019, "amount_ntd": 10**9, "source": "校務公開資訊"}
    here.done("office", "POST", "/api/ledger/school-totals", json=body)
    assert way not in here.ask("office", "GET", "/desk").text
    assert "尚缺的全校總額" not in here.ask("office", "GET", "/review/totals").text


def test_the_lead_sees_returned_results_warnings_claims_and_the_load_of_each(here: Asked) -> None:
    assert _totals(here, "lead") == {"returned_entries": 1, "lab_claims": 1, "client_requests": 0, "warnings": 2}
    assert len(here.done("lead", "GET", "/api/claims")["items"]) == 1
    returned = _groups(here, "lead")["returned_entries"]["items"][0]
    assert (returned["entry_id"], returned["reason"], returned["by"]) == (
        "returned-1",
        "補合約",
        here.accounts["committee"],
    )
    assert len(here.done("lead", "GET", "/api/ledger/entries?state=returned")["items"]) == 1
    here.done("expert", "POST", "/api/needs/n-1/take-up")
    rows = here.done("lead", "GET", "/api/agenda")["experts"]
    names = {account: name for name, account in here.accounts.items()}
    assert {names[one["account_id"]] for one in rows} == {"expert", "colleague", "lead"}
    of_expert = next(one["waiting"] for one in rows if one["account_id"] == here.accounts["expert"])
    assert of_expert["needs_to_review"] == 1
    with reading(here.engine) as session:
        whole = reminders(session, now=datetime.now(UTC))["al-a"]
        split = loads(session, ["al-a"], now=datetime.now(UTC))
    assert {one: sum(of.get(one, 0) for of in split.values()) for one in whole} == whole


def test_an_expert_is_told_of_results_that_came_back(here: Asked) -> None:
    assert _totals(here, "expert") == {"returned_entries": 1, "client_requests": 0}
    desk = here.ask("expert", "GET", "/desk").text
    assert 'href="/results/returned-1/supplement"' in desk
    assert "補合約" in desk
    assert here.ask("stranger", "GET", "/desk").text.count("supplement") == 0
    asked_for = here.done("stranger", "PUT", "/api/companies/co-1/client", json={})
    assert _totals(here, "expert")["client_requests"] == 1
    here.done("lead", "POST", f"/api/company-requests/{asked_for['id']}/answer", json={"agreed": True})
    assert _totals(here, "expert")["client_requests"] == 0


def test_a_committee_sees_its_group_and_no_other(here: Asked) -> None:
    expected = {"held_entries": 1, "motions": 0, "warnings": 2, "reported_entries": 2, "checked_entries": 1}
    assert _totals(here, "committee") == expected
    assert _totals(here, "other_committee") == dict.fromkeys(expected, 0)
    mine, other = (here.ask(who, "GET", "/desk") for who in ("committee", "other_committee"))
    assert (mine.status_code, other.status_code) == (200, 200)
    assert 'href="/review/reported-1?state=reported"' in mine.text
    assert "甲聯盟" not in other.text
    assert "今日沒有等您處理的事項" in other.text


def test_no_desk_says_what_a_sealed_need_says(here: Asked) -> None:
    pages = [
        here.ask(who, "GET", path).text for who in ("office", "committee", "lead") for path in ("/desk", "/api/agenda")
    ]
    assert [SECRET in page for page in pages] == [False] * 6
    # And an alliance that is given the need reads it: what is withheld is the office's.
    here.done("office", "POST", "/api/needs/n-none/alliance", json={"alliance": "al-a"})
    assert SECRET in here.ask("lead", "GET", "/desk").text
    assert _totals(here, "office")["unassigned_needs"] == 0


def test_everybody_begins_at_the_desk_or_where_the_own_things_are(here: Asked) -> None:
    begins = {
        who: here.ask(who, "GET", "/", follow_redirects=False).headers["location"]
        for who in ("expert", "lead", "office", "committee", "company", "researcher")
    }
    assert begins == {
        "expert": "/desk",
        "lead": "/desk",
        "office": "/desk",
        "committee": "/desk",
        "company": "/company",
        "researcher": "/my-lab",
    }
    assert {here.ask(who, "GET", "/desk").status_code for who in ("company", "researcher", "job")} == {403}


def test_every_desk_is_accessible_and_fits_a_phone(
    browser: Browser, databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    settings = Settings(home=home, database_url=databases.at_head("sqlite", home), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            _fill(session, server.accounts, "co-1-1")
        engine.dispose()
        pages = {
            "office": {"/desk": "desk-office", "/needs?unassigned=true": "unassigned", "/review/totals": "totals"},
            "lead": {"/desk": "desk-lead"},
            "committee": {"/desk": "desk-committee"},
        }
        for lang in LANGS:
            for who, places in pages.items():
                with browsing(browser, server, who, lang) as somebody:
                    look_over(somebody, lang, {name: path for path, name in places.items()})
