"""An expert's hour in a browser: each of twelve kinds of query finds, three wishes steer, twenty are reviewed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api.pages.shell.wording import Lang, Wording
from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.review.clients import take_on
from matcher.review.intake import adopt
from tests.conftest import Databases
from tests.rig.servers.browsers import (
    accessibility_faults,
    browsing,
    counting,
    keep_cards,
    keep_screenshot,
    ranked,
    verdicts,
)
from tests.rig.servers.served import Served, served

NEED = "/needs/need-1-04"
QUERIES = {
    # What is a number is one thing, in letters of whatever width.
    "tax id": ("００010247", "/companies/co-1-1"),
    "id": ("LAB-1-03", "/labs/lab-1-03"),
    "company, part of its name": ("磐礪", "/companies/co-1-1"),
    "company, in English": ("dingyao thermal", "/companies/co-1-3"),
    "company, in the other script": ("鼎曜热流", "/companies/co-1-3"),
    "short name of a school": ("玉大", "/labs?school=ysu"),
    "title": ("溫教授", "/labs/lab-1-01"),
    "person, given name first": ("Hsiang-Yun Tsou", "/labs/lab-1-02"),
    "person, with a slip": ("溫秉菘", "/labs/lab-1-01"),
    "lab, by its name": ("輪磨", "/labs/lab-1-03"),
    "need, by words of its title": ("細刮傷", "/needs/need-1-01"),
}
"""Eleven kinds of query that name a thing, and where the thing is; the twelfth says what a lab should be able to do."""


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hour") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine, now = open_engine(settings), datetime.now(UTC)
        with writing(engine) as session:
            for company in ("co-1-1", "co-1-3"):
                expert = server.accounts["expert"]
                take_on(session, company_id=company, alliance_id="al-a", expert_id=expert, now=now)
            adopt(session, need_ids=["need-1-01", "need-1-04", "need-1-07"], alliance_id="al-a", by=None, now=now)
        engine.dispose()
        yield server


@pytest.mark.parametrize(("lang", "width"), [("zh-Hant", 1280), ("en", 390)])
def test_one_thing_is_found_by_each_of_twelve_kinds_of_query(
    browser: Browser, server: Served, lang: str, width: int
) -> None:
    with browsing(browser, server, "expert", lang, width=width) as somebody:
        page = somebody.open("/cases")
        reached = {}
        for kind, (words, _) in QUERIES.items():
            page.keyboard.press("Control+k")
            page.keyboard.insert_text(words)
            first = page.locator("#suggestions a").first
            expect(first).to_be_visible()
            page.keyboard.press("ArrowDown")
            expect(first).to_be_focused()
            page.keyboard.press("Enter")
            expect(page).not_to_have_url(re.compile("/cases$|#"))
            page.wait_for_load_state()
            reached[kind] = page.url.removeprefix(server.url)
            somebody.open("/cases")
        assert reached == {kind: place for kind, (_, place) in QUERIES.items()}
        # By meaning, and the language that is asked for is a wish.
        page.keyboard.press("Control+k")
        page.keyboard.insert_text("能用英文溝通、研究研磨後清洗的團隊")
        page.keyboard.press("Enter")
        able = page.get_by_role("region", name=re.compile(Wording(Lang(lang)).text("Labs that could do it")))
        expect(able.locator("a[href='/labs/lab-1-02']").first).to_be_visible()
        assert accessibility_faults(page) == []
        keep_screenshot(page, f"hour-found-{lang}-{width}")


def _ranks(page: Page) -> list[str]:
    """Return the cards on the page, best first."""
    found: list[str] = page.evaluate("[...document.querySelectorAll('.candidate')].map(card => card.id)")
    return found


def _chosen(page: Page, field: str, words: str) -> None:
    """Choose by the keyboard: a select takes the focus and the first letters of what is chosen."""
    select = page.locator(field)
    select.focus()
    select.select_option(words)
    expect(page.locator("#ranked[aria-busy=true]")).to_have_count(0)
    ranked(page)


@pytest.mark.parametrize(("lang", "width"), [("zh-Hant", 1280), ("en", 390)])
def test_a_ranking_is_steered_by_three_wishes_and_says_so(
    browser: Browser, server: Served, lang: str, width: int
) -> None:
    said = Wording(Lang(lang)).text
    with browsing(browser, server, "expert", lang, width=width) as somebody:
        page = somebody.open(NEED)
        ranked(page)
        before = _ranks(page)
        with counting(page) as counted:
            page.locator(".steering summary").focus()
            page.keyboard.press("Enter")
            # An ask counts more, labs of the south are preferred, and one lab is left out.
            _chosen(page, "#ask-1", "ask:1.more")
            effect = page.locator(".steering .effect")
            expect(effect).to_contain_text(said("What this changes"))
            _chosen(page, "#own-new", "region:south")
            expect(page.locator("#own-1")).to_have_value("region:south.more")
            rose = effect.locator(".moves li").first
            expect(rose).to_contain_text(re.compile("[0-9]+ → [0-9]+"))
            expect(rose.locator(".hint")).to_contain_text(re.compile(r"[+−][0-9.]+"))
            first = page.locator(".candidate").first
            gone = first.locator("a[href^='/labs/']").first.get_attribute("href")
            assert gone is not None
            first.locator(".leave-out summary").focus()
            page.keyboard.press("Enter")
            first.locator(".leave-out a").first.focus()
            page.keyboard.press("Enter")
            expect(page.locator(f".candidate a[href='{gone}']")).to_have_count(0)
        assert counted.documents == []
        assert _ranks(page) != before
        keep_cards(page, 2)
        assert accessibility_faults(page) == []
        keep_screenshot(page, f"hour-steered-{lang}-{width}")
        page.get_by_role("button", name=said("Keep it with the need")).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#kept-steering")).to_be_visible()
        kept = server.ask("lead", "GET", f"/api{NEED}/steering").json()["items"][0]["words"]
        assert sorted(kept) == ["ask:1.more", f"lab:{gone.removeprefix('/labs/')}.never", "region:south.more"]
        # Afterwards as before, for the next one.
        page.get_by_role("button", name=said("End this steering")).click()
        expect(page.locator("#kept-steering")).to_have_count(0)
        ranked(page)
        assert _ranks(page) == before


def test_twenty_are_reviewed_on_a_phone(browser: Browser, server: Served) -> None:
    until = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    with browsing(browser, server, "expert", "en", width=390, height=844) as somebody:
        page = somebody.open("/needs/need-1-07")
        ranked(page)
        cards = page.evaluate("[...document.querySelectorAll('.candidate')].map(card => card.id)")
        with counting(page) as counted:
            for place, card_id in enumerate(cards):
                card = page.locator(f"#{card_id}")
                wanted = ("accepted", "rejected", "deferred")[place % 3]
                if wanted == "accepted":
                    card.get_by_role("button", name="Accept", exact=True).click()
                else:
                    form = card.locator(f"details[data-key={wanted[0]}]")
                    form.locator("summary").click()
                    form.locator("select").select_option("wrong_field" if wanted == "rejected" else "too_early")
                    if wanted == "deferred":
                        form.locator("input[name=defer_until]").fill(until)
                    form.get_by_role("button").click()
                expect(card).to_have_attribute("data-state", wanted)
            expect(page.locator("#progress")).to_have_text("20 / 20 decided")
        assert counted.documents == []
        # Nothing of a decided card is wider than the telephone.
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        keep_cards(page, 3)
        assert accessibility_faults(page) == []
        keep_screenshot(page, "hour-reviewed-en-390")
    said = verdicts(server, "need-1-07")
    assert [one[1] for one in said] == [("accept", "reject", "defer")[place % 3] for place in range(20)]
