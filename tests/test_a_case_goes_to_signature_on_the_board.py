"""Cases in pages: a board by stages, a page for each, contacts, every step by keyboard or without script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from indexer.instants import day_in_taipei, now
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, Somebody, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_work import LIVE, open_cases
from tests.rig.servers.visits import Visitor, expect, visiting

TODAY = day_in_taipei(now())
WORDS = {
    "zh-Hant": {
        "stages": ["已引介", "會議", "洽談中", "已簽約"],
        "yes": "是，引介實驗室",
        "sign": "案件已簽約",
        "kind": "方式",
        "note": "談話內容",
        "step": "下一步",
        "on": "下一步日期",
        "record": "記錄",
        "late": "逾期 3 天",
        "recorded": "聯繫已記錄。",
        "result": "回報成果",
    },
    "en": {
        "stages": ["introduced", "meeting", "negotiating", "signed"],
        "yes": "Yes, introduce the lab",
        "sign": "The case is signed",
        "kind": "How",
        "note": "What was said",
        "step": "Next step",
        "on": "Next step on",
        "record": "Record",
        "late": "overdue by 3 days",
        "recorded": "The contact is recorded.",
        "result": "A result came of it",
    },
}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("cases") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


@pytest.fixture(scope="module")
def cases(server: Served) -> list[int]:
    return open_cases(server, 8)


def contact(page: Any, lang: str, note: str, next_step: str, days: int) -> None:
    words = WORDS[lang]
    page.get_by_label(words["kind"], exact=True).select_option("meeting")
    page.get_by_label(words["note"]).fill(note)
    page.get_by_label(words["step"], exact=True).fill(next_step)
    page.locator("#f-held_on").fill((TODAY - timedelta(days=10)).isoformat())
    page.locator("#f-next_on").fill((TODAY + timedelta(days=days)).isoformat())
    page.get_by_role("button", name=words["record"], exact=True).click()
    expect(page.get_by_text(words["recorded"])).to_be_visible()


@pytest.mark.parametrize(("lang", "place"), [("zh-Hant", 0), ("en", 1)])
def test_from_accepted_to_signed_with_contacts(server: Served, cases: list[int], lang: str, place: int) -> None:
    with visiting(server, "expert", lang) as somebody:
        _signed(somebody, server, cases[place], lang)


def test_from_accepted_to_signed_by_keyboard(browser: Browser, server: Served, cases: list[int]) -> None:
    with browsing(browser, server, "expert") as somebody:
        _signed(somebody, server, cases[6], "zh-Hant")


def _signed(somebody: Somebody | Visitor, server: Served, case_id: int, lang: str) -> None:
    words = WORDS[lang]
    page: Any = somebody.open("/cases")
    for stage in words["stages"][:2]:
        page.locator(f"#case-{case_id}").get_by_role("button", name=stage).press("Enter")
        if stage == words["stages"][0]:
            # What is confidential is shown to nobody by one press.
            page.get_by_role("button", name=words["yes"]).press("Enter")
        expect(page.locator(f"section.stage:has(h2:has-text('{stage}')) #case-{case_id}")).to_be_visible()
    somebody.open(f"/cases/{case_id}")
    contact(page, lang, f"談妥 {LIVE}", f"寄報價 {LIVE}", -3)
    expect(page.locator(".facts .chip.bad")).to_have_text(words["late"])
    expect(page.locator(".timeline li").first).to_contain_text(LIVE)
    somebody.open("/cases?overdue=true")
    assert [one.get_attribute("id") for one in page.locator("article.case").all()] == [f"case-{case_id}"]
    expect(page.locator("article.case .chip.bad")).to_have_text(words["late"])
    somebody.open(f"/cases/{case_id}")
    contact(page, lang, "再談", "簽約", 5)
    for stage in words["stages"][2:]:
        page.get_by_role("button", name=stage).click()
        if stage == words["stages"][-1]:
            page.get_by_role("button", name=words["sign"]).click()
        expect(page.locator("h1 .chip")).to_have_text(stage)
    expect(page.get_by_role("link", name=words["result"])).to_have_attribute("href", f"/results/new?case={case_id}")
    assert page.locator(".timeline li").count() == 7
    assert page.title() != "xss"
    stored = server.ask("expert", "GET", f"/api/cases/{case_id}").json()
    assert [step["new"] for step in stored["steps"]] == ["introduced", "meeting", "negotiating", "signed"]
    assert [one["note"] for one in stored["contacts"]] == [f"談妥 {LIVE}", "再談"]


def test_a_case_is_lost_for_a_reason_without_script(server: Served, cases: list[int]) -> None:
    case_id = cases[2]
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open(f"/cases/{case_id}")
        contact(page, "en", "by phone", "", 1)
        page.locator("summary").filter(has_text="Nothing came of it").click()
        page.get_by_label("Reason").select_option("other")
        page.get_by_role("button", name="Mark as lost").click()
        expect(page.get_by_role("alert")).to_contain_text("the reason other needs a note")
        page.get_by_label("Reason").select_option("other")
        page.get_by_label("Note; needed with “other”").fill("moved abroad")
        page.get_by_role("button", name="Mark as lost").click()
        expect(page.locator("h1 .chip")).to_have_text("lost")
        page = somebody.open("/cases")
        folded = page.locator("details.lost")
        expect(folded.locator("article")).to_have_count(1)
        assert folded.get_attribute("open") is None


def test_two_people_never_move_one_case_twice(server: Served, cases: list[int]) -> None:
    case_id = cases[3]
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/cases")
        moved = server.ask("lead", "POST", f"/api/cases/{case_id}/transition", json={"stage": "introduced"})
        assert moved.status_code == 200
        page.locator(f"#case-{case_id}").get_by_role("button", name="introduced").click()
        expect(page.get_by_role("alert")).to_contain_text("Somebody else changed this in the meantime.")
        card = page.locator(f"#case-{case_id}")
        card.get_by_role("button", name="negotiating").click()
        expect(page.locator(f"section.stage:has(h2:has-text('negotiating')) #case-{case_id}")).to_be_visible()


def test_everybody_sees_only_what_is_theirs(server: Served, cases: list[int]) -> None:
    with visiting(server, "stranger", "en") as somebody:
        page = somebody.open("/cases")
        expect(page.locator(".empty")).to_contain_text("There is no case yet.")
        assert page.goto(f"{server.url}/cases/{cases[0]}").status == 404
    with visiting(server, "colleague", "en") as somebody:
        page = somebody.open("/cases?mine=true")
        expect(page.locator(".empty")).to_contain_text("You own no case.")
    with visiting(server, "office", "en") as somebody:
        page = somebody.open(f"/cases/{cases[4]}")
        expect(page.locator("h1")).to_contain_text("A need that is sealed for you")
        expect(page.get_by_role("button", name="introduced")).to_have_count(0)
        assert "拋光" not in page.content()


@pytest.mark.parametrize("lang", LANGS)
def test_the_pages_of_cases_are_accessible(browser: Browser, server: Served, cases: list[int], lang: str) -> None:
    places = {
        "board": "/cases",
        "case-open": f"/cases/{cases[5]}",
        "case-signed": f"/cases/{cases[0]}",
        "stage": "/cases?stage=accepted",
    }
    with browsing(browser, server, "expert", lang) as somebody:
        look_over(somebody, lang, places)
