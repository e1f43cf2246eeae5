"""What is done with a need in its page: taken up, shared, closed, assigned; its text read for a reason; no index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlmodel import select

from api.trail.audit_trail import BreakGlassRead
from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.review.intake import adopt
from tests.conftest import Databases
from tests.rig.servers.browsers import (
    LANGS,
    accessibility_faults,
    browsing,
    keep_screenshot,
    look_over,
    scrolls_sideways,
)
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting


@pytest.fixture(scope="module")
def server(databases: Databases, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve without any index: everything but ranking goes on."""
    folder, empty = tmp_path_factory.mktemp("handled") / "home", tmp_path_factory.mktemp("no-index")
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, empty, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            for need_id, alliance in (("need-1-02", "al-a"), ("need-1-05", None)):
                adopt(session, need_ids=[need_id], alliance_id=alliance, by=None, now=datetime.now(UTC))
        engine.dispose()
        yield server


@pytest.mark.parametrize("lang", LANGS)
def test_without_an_index_the_need_is_still_shown(browser: Browser, server: Served, lang: str) -> None:
    with browsing(browser, server, "expert", lang, width=360) as somebody:
        page = somebody.open("/needs/need-1-01")
        expect(page.locator("#ranked .notice.bad")).to_be_visible(timeout=30_000)
        expect(page.get_by_role("heading", level=1)).to_have_text("硬質基板拋光太慢又有細刮傷")
        assert page.locator("#ranked").get_attribute("aria-busy") is None
        assert accessibility_faults(page) == []
        assert not scrolls_sideways(page)
        keep_screenshot(page, f"needs-no-index-{lang}")
        whole = somebody.context.request.get(server.url + "/needs/need-1-01/ranked")
        assert (whole.status, "硬質基板拋光太慢又有細刮傷" in whole.text()) == (503, True)
        assert "retry-after" in whole.headers
        assert [said for said in somebody.complaints if "503" not in said] == []
        somebody.complaints.clear()


def test_a_need_is_taken_up_shared_and_closed(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/needs/need-1-01")
        page.get_by_role("button", name="Take up").click()
        expect(page.locator("#notice")).to_contain_text("You have taken up this need.")
        expect(page.get_by_role("definition").filter(has_text="expert")).to_be_visible()
        page.get_by_text("Share with another alliance").click()
        page.get_by_role("button", name="Share", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("say what the company agreed to")
        page.get_by_label("What the company agreed to").fill("電話同意 2026-11-20")
        page.get_by_role("button", name="Share", exact=True).click()
        expect(page.locator("#notice")).to_contain_text("The need is shared.")
        assert server.ask("stranger", "GET", "/api/needs/need-1-01").status_code == 200
        page.get_by_role("button", name="Stop sharing").click()
        assert server.ask("stranger", "GET", "/api/needs/need-1-01").status_code == 404
        page.get_by_text("Close or withdraw").click()
        page.get_by_label("Why").fill("done")
        page.get_by_role("button", name="Close the need").click()
        expect(page.locator("#notice")).to_contain_text("The need is closed.")
        page.get_by_role("button", name="Open it again").click()
    assert server.ask("expert", "GET", "/api/needs/need-1-01").json()["state"] == "taken_up"


@pytest.mark.parametrize("lang", LANGS)
def test_the_office_reads_a_withheld_text_only_for_a_reason(browser: Browser, server: Served, lang: str) -> None:
    title = server.ask("expert", "GET", "/api/needs/need-1-02").json()["title"]
    with browsing(browser, server, "office", lang) as somebody:
        look_over(somebody, lang, {"needs-withheld": "/needs/need-1-02"})
    with visiting(server, "office", lang) as somebody:
        page = somebody.open(f"/needs?q={title[:4]}")
        expect(page.locator("tbody tr")).to_have_count(0)
        page = somebody.open("/needs/need-1-02")
        assert title not in page.content()
        expect(page.locator(".empty")).to_be_visible()
        page.locator(
            "summary", has_text="說明理由後讀取內容" if lang == "zh-Hant" else "Read the text for a reason"
        ).click()
        page.locator("textarea[name=reason]").fill("short")
        page.locator("form[action$=break-glass] button").click()
        expect(page.locator(".field.wrong")).to_have_count(1)
        assert title not in page.content()
        page.locator("textarea[name=reason]").fill("The company complained on the phone")
        page.locator("form[action$=break-glass] button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
    engine = open_engine(server.settings)
    with reading(engine) as session:
        reads = session.exec(select(BreakGlassRead)).all()
    engine.dispose()
    assert {(read.need_id, read.reason) for read in reads} == {("need-1-02", "The company complained on the phone")}


def test_the_office_gives_a_need_to_an_alliance(server: Served) -> None:
    with visiting(server, "office", "en") as somebody:
        page = somebody.open("/needs/need-1-05")
        page.locator("form[action$=alliance] select").select_option("al-b")
        page.get_by_role("button", name="Give", exact=True).click()
        expect(page.locator("#notice")).to_contain_text("The alliance has the need now.")
    assert server.ask("stranger", "GET", "/api/needs/need-1-05").status_code == 200
    assert server.ask("expert", "GET", "/api/needs/need-1-05").status_code == 404


def test_foreign_needs_are_not_found_and_companies_are_led_to_their_own_page(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        assert somebody.page.goto(server.url + "/needs/need-1-03").status == 404
    with visiting(server, "company", "en") as somebody:
        own = somebody.page.asked(server.url + "/needs/need-1-01")
        assert (own.status_code, own.headers["location"]) == (303, "/company/needs/need-1-01")
