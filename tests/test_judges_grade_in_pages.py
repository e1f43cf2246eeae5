"""Judges grade in pages: without a script, by keyboard, on a small screen; the office begins, follows and closes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import expect as expect_there

from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.intake import adopt
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting
from tests.test_two_people_judge_the_ranking_blind import begun, done, graded, pairs

ATTACK = "<img src=x onerror=document.title='xss'>\"'><script>document.title='xss'</script>"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("judging-pages") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            secret = {"id": "need-secret", "title": "祕密配方", "company": "co-1-1", "confidentiality": "confidential"}
            import_rows(session, "needs", [secret])
            adopt(session, need_ids=["need-1-02", "need-secret"], alliance_id="al-a", by=None, now=datetime.now(UTC))
        engine.dispose()
        yield server


def test_a_session_is_begun_graded_and_closed_without_a_script(server: Served) -> None:
    with visiting(server, "office", "en") as office:
        page = office.open("/judging/start")
        page.get_by_label("First judge").select_option(label="expert · 甲聯盟")
        page.get_by_label("Second judge").select_option(label="expert · 甲聯盟")
        page.get_by_label("Or these").fill("need-1-01、need-1-02")
        page.get_by_label("Labs of each ranking").fill("1")
        page.get_by_role("button", name="Rank and begin").click()
        expect(page.get_by_role("alert")).to_contain_text("two different people")
        page.get_by_label("Second judge").select_option(label="colleague · 甲聯盟")
        page.get_by_role("button", name="Rank and begin").click()
        expect(page.locator("#notice")).to_contain_text("The session has begun")
        number = int(page.url.rpartition("/")[2])
        expect(page.get_by_role("link", name="Download", exact=False)).to_have_count(0)
    for who, value in (("expert", "3"), ("colleague", "1")):
        with visiting(server, who, "en") as judge:
            page = judge.open("/judging")
            page.get_by_role("link", name="Begin grading", exact=False).click()
            _blind(page.locator("main").inner_html(), page.locator("main").text_content())
            total = int(re.search(r"of (\d+)", page.get_by_role("heading", level=1).inner_text())[1])  # type: ignore[index]
            for _ in range(total):
                expect(page.get_by_role("region", name="Your grade")).to_have_count(1)
                page.locator(f"button[data-key='{value}']").click()
            expect(page.locator("#notice")).to_contain_text("That was the last one")
            expect(page.locator(".figures")).to_have_count(int(who == "colleague"))
    with visiting(server, "office", "en") as office:
        page = office.open(f"/judging/{number}")
        expect(page.locator(".far-pair")).to_have_count(total)
        expect(page.locator(".figures")).to_contain_text("0 %")
        page.get_by_label("Name a third person").select_option(label="lead · 甲聯盟")
        page.get_by_role("button", name="Appoint").click()
        expect(page.locator("#notice")).to_contain_text("third person finds the session")
    with visiting(server, "lead", "en") as lead:
        page = lead.open(f"/judging/{number}")
        page.get_by_role("link", name="Settle pairs").click()
        expect(page.get_by_role("region", name="What the judges say")).to_contain_text("expert 3")
        page.locator("button[data-key='2']").click()
        expect(lead.open(f"/judging/{number}").locator(".far-pair .g2")).to_have_count(1)
    with visiting(server, "office", "en") as office:
        page = office.open(f"/judging/{number}")
        page.get_by_role("button", name="Close for good").click()
        expect(page.locator("#notice")).to_contain_text("The session is closed")
        expect(page.get_by_role("link", name="Download", exact=False)).to_have_count(1)
    with visiting(server, "expert", "en") as judge:
        first = done(server, "expert", "GET", f"/api/judgings/{number}")["far_apart"][0]["judged_pair_id"]
        page = judge.open(f"/judging/{number}/pairs/{first}")
        expect(page.locator(".saying button.say")).to_have_count(0)


def _blind(markup: str, shown: str) -> None:
    """A page of grading leads to no ranking, and names none."""
    links = re.findall(r'href="([^"]+)"', markup)
    assert {link.split("/")[1] for link in links if link.startswith("/")} <= {"judging"}
    assert [word for word in ("score", "strong", "TF-IDF", "BM25") if word in shown] == []


def test_a_grade_is_undone_and_given_anew(server: Served) -> None:
    number = begun(server, runs={}, depth=1)
    with visiting(server, "expert", "en") as judge:
        page = judge.open(f"/judging/{number}/next")
        first = page.url
        page.locator("summary", has_text="Note").click()
        page.locator("#f-note").fill("much evidence")
        page.locator("button[data-key='0']").click()
        assert page.url != first
        page.get_by_role("button", name="Undo my last grade").click()
        assert page.url == first
        expect(page.locator(".saying [aria-current]")).to_have_count(0)
        page.locator("button[data-key='?']").click()
        page = judge.open(first.removeprefix(server.url))
        expect(page.locator(".saying [aria-current]")).to_contain_text("can't say")
    words = [one["own"]["said"] for one in pairs_from(server, number)]
    assert words == ["cannot_say"]


def pairs_from(server: Served, number: int) -> list[dict[str, dict[str, str]]]:
    path = f"/api/judgings/{number}"
    last = done(server, "expert", "GET", path)["yours"]["last_said"]
    return [done(server, "expert", "GET", f"{path}/pairs/{last}")]


def test_the_office_follows_without_meeting_a_confidential_text(server: Served) -> None:
    number = begun(server, needs=["need-secret"], runs={}, depth=1)
    graded(server, "expert", number, 3)
    graded(server, "colleague", number, 0)
    shown = server.ask("office", "GET", f"/judging/{number}").text
    assert ("祕密配方" in shown, "need-secret" in shown) == (False, True)
    assert "祕密配方" in server.ask("expert", "GET", f"/judging/{number}").text
    assert server.ask("stranger", "GET", f"/judging/{number}").status_code == 404


@pytest.mark.parametrize("lang", LANGS)
def test_the_pages_are_accessible_and_fit(browser: Browser, server: Served, lang: str) -> None:
    open_one = begun(server, runs={}, depth=2, name=ATTACK)
    finished = begun(server, depth=3, name="第一季抽查")
    graded(server, "expert", finished, 3, 0, 2, 1)
    graded(server, "colleague", finished, 3, 2, 2, None, 0)
    done(server, "office", "POST", f"/api/judgings/{finished}/settlers", json={"account": server.accounts["lead"]})
    far = done(server, "office", "GET", f"/api/judgings/{finished}")["far_apart"][0]["judged_pair_id"]
    (first, *_) = pairs(server, "expert", open_one)
    places = {
        "expert": {
            "judging-list": "/judging",
            "judging-pair": f"/judging/{open_one}/pairs/{first['judged_pair_id']}",
            "judging-mine": f"/judging/{open_one}",
            "judging-both": f"/judging/{finished}/pairs/{far}",
        },
        "office": {"judging-start": "/judging/start", "judging-session": f"/judging/{finished}"},
        "lead": {"judging-settle": f"/judging/{finished}/pairs/{far}"},
        "stranger": {"judging-none": "/judging"},
    }
    for who, pages in places.items():
        with browsing(browser, server, who, lang) as somebody:
            look_over(somebody, lang, pages)


def test_one_grades_by_keyboard(browser: Browser, server: Served) -> None:
    number = begun(server, runs={}, depth=1)
    with browsing(browser, server, "expert", "en") as somebody:
        page = somebody.open(f"/judging/{number}/next")
        first = page.url
        page.keyboard.press("3")
        page.wait_for_url(lambda url: url != first)
        page.keyboard.press("b")
        page.wait_for_url(first)
        expect_there(page.locator(".saying [aria-current]")).to_contain_text("would introduce it")
        page.keyboard.press("u")
        expect_there(page.locator("#notice")).to_contain_text("Taken back")
        # A note is typed: its letters are no keys.
        page.locator("summary", has_text="Note").click()
        page.locator("#f-note").press_sequentially("3 b u ?")
        assert (page.url, page.locator("#f-note").input_value()) == (first, "3 b u ?")
        page.locator("h1").click()
        page.keyboard.press("h")
        expect_there(page.locator("#meanings")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.wait_for_url(lambda url: url != first)
    (told,) = pairs_from(server, number)
    assert (told["own"]["said"], told["own"]["note"]) == ("cannot_say", "3 b u ?")
