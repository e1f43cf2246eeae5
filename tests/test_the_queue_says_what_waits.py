"""The queue and what leads into records, over HTTP: what waits and why, contacts of a company, names to choose from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import update

import api.documents.answers
from indexer.database import writing
from indexer.instants import day_in_taipei
from indexer.settings import Settings
from matcher.review.proposals import StoredPairing
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length

CONTACT = {"kind": "call", "held_on": "2026-11-20", "note": "internal"}


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _today() -> date:
    return day_in_taipei(datetime.now(UTC))


def _queue(here: Asked, who: str = "expert") -> Any:
    return here.done(who, "GET", "/api/queue")


def test_a_need_waits_until_each_step_is_taken(here: Asked) -> None:
    queue = _queue(here)
    (new,) = queue["new_needs"]
    assert (new["id"], new["company"], new["company_name"], new["shared"]) == ("n-1", "co-1", "甲公司", False)
    (review,) = queue["needs_to_review"]
    assert (review["need_id"], review["waiting"], review["since"]) == ("n-1", 1, "2026-11-24T01:00:00+00:00")
    (pairing,) = queue["pairings_to_review"]
    assert (pairing["need_title"], pairing["lab_name"], pairing["deferred_until"]) == ("拋光太慢", "一號實驗室", None)
    here.done("expert", "POST", "/api/needs/n-1/shares", json={"alliance": "al-b", "consent": "電話同意"})
    assert [one["shared"] for one in _queue(here, "stranger")["new_needs"]] == [True]

    here.done("expert", "POST", "/api/needs/n-1/take-up")
    other = here.done("expert", "POST", "/api/needs", json={"company": "co-1", "title": "另一項"})["id"]
    assert [one["id"] for one in _queue(here)["new_needs"]] == [other]
    assert _queue(here)["needs_to_match"] == []
    here.done("expert", "POST", f"/api/needs/{other}/take-up")
    (unmatched,) = _queue(here, "colleague")["needs_to_match"]
    assert (unmatched["id"], unmatched["expert"]) == (other, "expert")
    # Another alliance does not look for labs for a need that nobody shared with it.
    assert _queue(here, "stranger")["needs_to_match"] == []

    day = (_today() + timedelta(days=30)).isoformat()
    later = {"verdict": "defer", "reason": "too_early", "defer_until": day, "proposal_id": here.world.proposal_id}
    here.done("expert", "POST", f"/api/pairings/{here.world.pairing_id}/decision", json=later)
    queue = _queue(here)
    assert (queue["needs_to_review"], queue["pairings_to_review"]) == ([], [])
    with writing(here.engine) as session:
        session.execute(update(StoredPairing).values(deferred_until=date(2026, 11, 1)))
    (due,) = _queue(here)["pairings_to_review"]
    assert (due["id"], due["deferred_until"]) == (here.world.pairing_id, "2026-11-01")
    # Of a need that is closed nothing waits.
    here.done("expert", "POST", "/api/needs/n-1/state", json={"state": "closed"})
    assert _queue(here)["pairings_to_review"] == []


def test_a_company_is_silent_until_somebody_is_in_touch(here: Asked) -> None:
    (silent,) = _queue(here, "lead")["silent_companies"]
    assert (silent["company_id"], silent["last_contact"], silent["expert"]) == ("co-1", None, "expert")
    # With a declared interest somebody else turns to the company.
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    assert _queue(here, "colleague")["silent_companies"] == []
    planned = {**CONTACT, "held_on": "2020-01-02", "next_step": "寄樣品", "next_on": "2020-01-03"}
    here.done("expert", "POST", "/api/companies/co-1/contacts", json=planned)
    queue = _queue(here, "lead")
    assert [one["last_contact"] for one in queue["silent_companies"]] == ["2020-01-02"]
    (due,) = queue["follow_ups_due"]
    assert (due["company_name"], due["held_on"], due["next_step"]) == ("甲公司", "2020-01-02", "寄樣品")
    today = _today().isoformat()
    here.done("lead", "POST", "/api/companies/co-1/contacts", json={**CONTACT, "held_on": today})
    queue = _queue(here, "lead")
    assert (queue["silent_companies"], queue["follow_ups_due"]) == ([], [])


def test_contacts_of_a_company_stay_in_their_alliance(here: Asked) -> None:
    here.done("expert", "POST", "/api/companies/co-1/contacts", json=CONTACT)
    word = {"verdict": "accept", "proposal_id": here.world.proposal_id}
    case_id = here.done("expert", "POST", f"/api/pairings/{here.world.pairing_id}/decision", json=word)["case_id"]
    here.done("expert", "POST", f"/api/cases/{case_id}/contacts", json={**CONTACT, "kind": "visit"})
    path = "/api/companies/co-1/contacts"
    shown = here.done("lead", "GET", path)["items"]
    assert [(one["kind"], one["case_id"], one["note"]) for one in shown] == [
        ("visit", case_id, "internal"),
        ("call", None, "internal"),
    ]
    assert [one["kind"] for one in here.done("lead", "GET", path + "?limit=1")["items"]] == ["visit"]
    seen = here.done("office", "GET", path)["items"]
    assert [set(one) & {"note", "next_step"} for one in seen] == [set(), set()]
    # Another alliance looks after it too once this one agreed; until then the company is none of its business.
    request = here.done("stranger", "PUT", "/api/companies/co-1/client", json={})
    assert here.ask("stranger", "GET", path).status_code == 404
    here.done("lead", "POST", f"/api/company-requests/{request['id']}/answer", json={"agreed": True})
    assert here.done("stranger", "GET", path)["items"] == []
    statuses = {who: here.ask(who, "GET", path).status_code for who in ("company", "rival", "committee", "researcher")}
    assert statuses == dict.fromkeys(statuses, 403)
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "lab", "party_id": "lab-1"})
    assert [one["kind"] for one in here.done("colleague", "GET", path)["items"]] == ["call"]
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    assert here.ask("colleague", "GET", path).status_code == 404


@pytest.mark.postgresql_too
def test_companies_and_colleagues_are_found_by_name(here: Asked) -> None:
    found = here.done("stranger", "GET", "/api/company-names?q=公司")["items"]
    assert [(one["id"], one["in_portfolio"]) for one in found] == [("co-1", False), ("co-2", False)]
    assert [set(one) for one in found] == [{"id", "name", "name_en", "in_portfolio"}] * 2
    assert [one["in_portfolio"] for one in here.done("expert", "GET", "/api/company-names?q=甲公")["items"]] == [True]
    # What looks like a pattern is looked for as it is.
    assert here.done("expert", "GET", "/api/company-names?q=%25%25")["items"] == []
    names = [(one["name"], one["alliance"]) for one in here.done("lead", "GET", "/api/experts")["items"]]
    assert names == [("colleague", "al-a"), ("expert", "al-a"), ("lead", "al-a")]
    for path in ("/api/company-names?q=公司", "/api/experts"):
        assert {here.ask(who, "GET", path).status_code for who in ("company", "researcher", "committee")} == {403}


def test_the_portfolio_is_searched_and_narrowed_to_ones_own(here: Asked) -> None:
    here.done("lead", "PUT", "/api/companies/co-2/client", json={})
    listed = {
        query: [one["id"] for one in here.done("expert", "GET", f"/api/companies?{query}")["items"]]
        for query in ("q=", "q=乙公司", "q=%25", "mine=true", "mine=true&q=乙")
    }
    assert listed == {
        "q=": ["co-1", "co-2"],
        "q=乙公司": ["co-2"],
        "q=%25": [],
        "mine=true": ["co-1"],
        "mine=true&q=乙": [],
    }


def test_without_an_index_labs_are_found_by_name_and_the_page_says_so(here: Asked) -> None:
    page = here.ask("expert", "GET", "/search?q=一號").text
    assert "僅搜尋實驗室名稱" in page
    assert 'href="/labs/lab-1"' in page
    assert 'href="/labs/lab-2"' not in page
    assert "僅搜尋實驗室名稱" in here.ask("office", "GET", "/labs?q=二號").text
    lab, part = (here.ask("expert", "GET", path) for path in ("/labs/lab-1", "/labs/lab-1/needs"))
    assert (lab.status_code, part.status_code, "目前無法排序需求" in part.text) == (200, 200, True)


def test_an_old_index_is_said_on_the_desk(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_home / "gloria.db").unlink()
    with asked(Settings(home=own_home, database_url="", encoders="bundled-use")) as here:
        here.client.app.state.live.current()
        old = "請向系統管理人員確認夜間作業是否失敗"
        assert old not in here.ask("expert", "GET", "/desk").text
        monkeypatch.setattr(api.documents.answers, "OLD_AFTER", timedelta(0))
        assert old in here.ask("expert", "GET", "/desk").text


def test_everybody_sees_their_part_of_a_page(here: Asked) -> None:
    here.done("expert", "POST", "/api/companies/co-1/contacts", json=CONTACT)
    inside = here.ask("lead", "GET", "/companies/co-1").text
    assert ("internal" in inside, "負責人員" in inside, "甲聯盟" in inside) == (True, True, True)
    # The company itself reads what it is called and what it needs, not what an alliance notes.
    own = here.ask("company", "GET", "/companies/co-1").text
    assert ("拋光太慢" in own, "internal" in own, "負責人員" in own) == (True, False, False)
    office = here.ask("office", "GET", "/companies/co-1").text
    assert ("負責人員" in office, "internal" in office, "拋光太慢" in office) == (True, False, False)
    found = {who: here.ask(who, "GET", "/search?q=拋光").text for who in ("expert", "company", "rival", "office")}
    shown = {who: 'href="/needs/n-1"' in page for who, page in found.items()}
    assert shown == {"expert": True, "company": True, "rival": False, "office": False}
    assert "您可查看的資料中沒有這個名稱" in here.ask("committee", "GET", "/search?q=拋光").text
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "lab", "party_id": "lab-1"})
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    assert "您已申報與此實驗室的利益關係" in here.ask("colleague", "GET", "/labs/lab-1").text
    page = here.ask("colleague", "GET", "/companies/co-1").text
    assert ("您已申報與此企業的利益關係" in page, "internal" in page) == (True, False)
