"""A company's pages: a need step by step, its draft, its way, and the labs that were released."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from indexer.settings import Settings
from matcher.ranking.elements import MOST_ASKED, QUESTIONS
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, Somebody, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import Visitor, expect, visiting

LIVE = "<img src=x onerror=\"document.title='xss'\">\"'><script>document.title='xss'</script>"
SAID = {
    "zh-Hant": {
        "submit": "提出需求",
        "begin": "開始",
        "title": "標題",
        "next": "下一步",
        "add": "新增一項",
        "ask": "第 1 項的內容",
        "kind": "第 1 項的類型",
        "later": "稍後再填",
        "send": "送出需求",
        "sent": "需求已送出",
        "state": "已提交",
        "taken": "已受理",
        "why": "適合的理由",
        "budget": "預算",
    },
    "en": {
        "submit": "Submit a need",
        "begin": "Begin",
        "title": "Title",
        "next": "Next",
        "add": "Add an ask",
        "ask": "Ask 1 in your words",
        "kind": "Kind of ask 1",
        "later": "Go on later",
        "send": "Submit the need",
        "sent": "Your need is submitted.",
        "state": "submitted",
        "taken": "taken up",
        "why": "Why it fits",
        "budget": "Budget in New Taiwan dollars",
    },
}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("company") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def _typed(page: Any, say: dict[str, str], title: str) -> None:
    """Go through the first two steps and leave in the third."""
    page.get_by_role("link", name=say["submit"]).click()
    page.get_by_role("button", name=say["begin"]).click()
    page.get_by_label(say["title"]).fill(title)
    page.get_by_role("button", name=say["next"]).click()
    page.get_by_role("button", name=say["add"]).click()
    page.get_by_label(say["kind"]).select_option("talent")
    page.get_by_label(say["ask"]).fill(f"碳化矽拋光的實習生 {LIVE}")
    page.get_by_role("button", name=say["next"]).click()
    page.get_by_label(say["budget"]).fill("1,200,000")
    page.get_by_role("button", name=say["later"]).click()


@pytest.mark.parametrize("lang", LANGS)
def test_a_need_is_submitted_step_by_step_and_followed_to_a_released_lab(server: Served, lang: str) -> None:
    _submitted_and_followed(lambda who: visiting(server, who, lang), server, lang, f"矽面拋光太慢 {lang} {LIVE}")


def test_a_need_is_submitted_in_a_browser(browser: Browser, server: Served) -> None:
    _submitted_and_followed(lambda who: browsing(browser, server, who), server, "zh-Hant", f"矽面拋光太慢了 {LIVE}")


def _submitted_and_followed(
    sitting: Callable[[str], AbstractContextManager[Somebody | Visitor]], server: Served, lang: str, title: str
) -> None:
    say = SAID[lang]
    with sitting("company") as somebody:
        _typed(somebody.open("/company"), say, title)
    # The draft is taken up again in another session; nobody else has it.
    with sitting("rival") as somebody:
        assert title not in somebody.open("/company").content()
    with sitting("company") as somebody:
        page: Any = somebody.open("/company")
        page.get_by_role("link", name=title).click()
        assert page.get_by_label(say["title"]).input_value() == title
        for _ in range(4):
            page.get_by_role("button", name=say["next"]).click()
        expect(page.locator("main")).to_contain_text(LIVE)
        page.get_by_role("button", name=say["send"]).click()
        expect(page.get_by_text(say["sent"])).to_be_visible()
        expect(page.locator(".timeline .chip")).to_have_text([say["state"]])
        need = page.url.rpartition("/")[2]
        stored = server.ask("company", "GET", f"/api/needs/{need}").json()
        assert (stored["title"], stored["budget_ntd"]) == (title, 1_200_000)
        assert [one["kind"] for one in stored["asks"]] == ["talent"]
        lab = _released(server, need)
        page.reload()
        expect(page.locator(".timeline li")).to_have_count(3)
        expect(page.locator(".timeline .chip").nth(1)).to_have_text(say["taken"])
        card = page.locator("article.card")
        expect(card).to_have_count(1)
        expect(card.locator("h3")).to_have_text(lab["name"] if lang == "zh-Hant" else lab["name_en"] or lab["name"])
        expect(card).to_contain_text(say["why"])
        assert "score" not in page.content()
        assert page.title() != "xss"
        page.goto(server.url + "/company")
        assert page.get_by_text(title).count() == 1
    with sitting("rival") as somebody:
        answered = somebody.page.goto(f"{server.url}/company/needs/{need}")
        assert answered.status == 404


def _released(server: Served, need: str) -> Any:
    assert server.ask("lead", "POST", f"/api/needs/{need}/take-up").status_code == 200
    shown = server.ask("expert", "GET", f"/api/needs/{need}/matches?top=3").json()["pairings"][0]
    assert server.ask("expert", "PUT", f"/api/pairings/{shown['pairing_id']}/release").status_code == 200
    return shown


def test_what_is_typed_is_kept_though_the_browser_is_closed(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "company", "en") as somebody:
        page = somebody.open("/company/needs/new")
        page.get_by_role("button", name="Begin").click()
        with page.expect_response(lambda answer: answer.request.method == "POST" and answer.status == 204):
            page.get_by_label("Title").press_sequentially("half a sent")
        place = page.url
    with browsing(browser, server, "company", "en") as somebody:
        somebody.page.goto(place)
        assert somebody.page.get_by_label("Title").input_value() == "half a sent"
        somebody.page.get_by_role("button", name="Delete the draft").click()
        expect(somebody.page.get_by_text("The draft is deleted.")).to_be_visible()
        answered = somebody.page.goto(place)
        assert answered is not None
        assert answered.status == 404


def test_a_draft_that_says_nothing_leads_back_to_the_step_to_blame(server: Served) -> None:
    with visiting(server, "company", "en") as somebody:
        page = somebody.open("/company/needs/new")
        page.get_by_role("button", name="Begin").click()
        page.goto(page.url.replace("/about", "/check"))
        page.get_by_role("button", name="Submit the need").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_role("link", name="Go back to “What it is about”").click()
        expect(page.get_by_label("Title")).to_be_visible()


def test_a_step_says_itself_what_is_wrong_in_it_and_the_last_what_an_expert_would_ask(server: Served) -> None:
    with visiting(server, "company", "en") as somebody:
        page: Any = somebody.open("/company/needs/new")
        page.get_by_role("button", name="Begin").click()
        page.get_by_label("Title").fill("We need help")
        page.get_by_role("button", name="Next").click()
        page.get_by_role("button", name="Next").click()
        limits = page.url
        page.get_by_label("Budget").fill("quite a lot")
        page.get_by_role("button", name="Next").click()
        # Not at the fifth step: here, beside what was typed.
        assert page.url == limits
        expect(page.get_by_role("alert")).to_have_count(1)
        assert page.get_by_label("Budget").input_value() == "quite a lot"
        page.get_by_label("Budget").fill("90萬")
        for _ in range(2):
            page.get_by_role("button", name="Next").click()
        assert page.url.endswith("/check")
        asked = page.locator("aside li").all_text_contents()
        assert asked == [text.en for text in QUESTIONS.values()][:MOST_ASKED]
        page.get_by_role("button", name="Submit the need").click()
        assert page.locator("aside li").all_text_contents() == asked
        # The control: a need that says all of it is asked nothing.
        assert somebody.open("/company/needs/need-1-01").locator("aside li").count() == 0


def test_a_need_is_changed_until_taken_up_and_withdrawn(server: Served) -> None:
    made = server.ask("company", "POST", "/api/needs", json={"title": "Grinding fluid ages"}).json()
    with visiting(server, "company", "en") as somebody:
        page = somebody.open(f"/company/needs/{made['id']}/edit")
        page.get_by_label("Title").fill("Grinding fluid ages too quickly")
        page.get_by_role("button", name="Add an ask").click()
        assert page.get_by_label("Title").input_value() == "Grinding fluid ages too quickly"
        page.get_by_label("Ask 1 in your words").fill("a sensor")
        page.get_by_role("button", name="Store the change").click()
        expect(page.locator("h1")).to_have_text("Grinding fluid ages too quickly")
        page.get_by_text("Withdraw the need").click()
        page.get_by_role("button", name="Withdraw it for good").click()
        expect(page.locator(".timeline .chip").last).to_have_text("withdrawn")
        assert page.get_by_role("link", name="Change the need").count() == 0


@pytest.mark.parametrize("lang", LANGS)
def test_pages_of_companies_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    with browsing(browser, server, "company", lang) as somebody:
        look_over(somebody, lang, {"company": "/company", "company-need": "/company/needs/need-1-01"})
        page = somebody.open("/company/needs/new")
        page.get_by_role("button").last.click()
        draft = page.url.removeprefix(server.url).rpartition("/")[0]
        somebody.open(f"{draft}/asks").locator("button[value=add]").click()
        expect(page.locator(".ask")).to_have_count(1)
        steps = ("about", "asks", "limits", "readers", "check")
        look_over(somebody, lang, {f"company-{step}": f"{draft}/{step}" for step in steps})
        page.locator("button[value=delete]").click()
