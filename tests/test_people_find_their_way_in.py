"""The front door in pages: signing in and out, languages, one's own page, refusals that people can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser
from playwright.sync_api import expect as expect_there
from starlette.testclient import TestClient

from api.access.credentials import set_password_hash
from api.access.passwords import hash_password
from indexer.database import open_engine, writing
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, Somebody, accessibility_faults, browsing, look_over, scrolls_sideways
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import VisitedPage, Visitor, expect, visiting
from tests.rig.servers.warmed_application import application

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("front") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            set_password_hash(
                session, account_id=server.accounts["newcomer"], stored=hash_password(PASSWORD), now=datetime.now(UTC)
            )
        engine.dispose()
        yield server


def test_somebody_signs_in_with_a_password_and_out_again(server: Served) -> None:
    with visiting(server, None, "en") as somebody:
        _signed_in_and_out(somebody, server)


def test_somebody_signs_in_and_out_in_a_browser(browser: Browser, server: Served) -> None:
    with browsing(browser, server, None, "en") as somebody:
        _signed_in_and_out(somebody, server)


def _signed_in_and_out(somebody: Somebody | Visitor, server: Served) -> None:
    page: Any = somebody.open("/account")
    assert page.url == server.url + "/sign-in?then=/account"
    page.get_by_label("E-mail address").fill("newcomer@example.org")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The address or the password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(server.url + "/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("newcomer")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(server.url + "/sign-in")
    page.goto(server.url + "/account")
    assert page.url == server.url + "/sign-in?then=/account"


def test_the_language_is_chinese_until_another_is_chosen(server: Served) -> None:
    with visiting(server, "expert", "") as somebody:
        page = somebody.open("/account")
        assert page.locator("html").get_attribute("lang") == "zh-Hant"
        expect(page.get_by_role("button", name="登出", exact=True)).to_be_visible()
        page.get_by_role("link", name="English").click()
        expect(page).to_have_url(server.url + "/account")
        assert page.locator("html").get_attribute("lang") == "en"
        expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()


def test_pages_are_as_light_as_the_device_until_it_is_chosen(server: Served) -> None:
    def media(page: VisitedPage) -> list[str | None]:
        return [one.get_attribute("media") for one in page.locator("link[media]").all()]

    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/account")
        assert media(page) == ["screen and (prefers-color-scheme: dark)"]
        for chosen, expected in (("dark", ["screen"]), ("light", [])):
            page.get_by_role("link", name=chosen, exact=True).click()
            expect(page).to_have_url(server.url + "/account")
            assert (media(page), media(somebody.open("/guide"))) == (expected, expected)
            page = somebody.open("/account")
            assert page.locator(".schemes [aria-current]").all_inner_texts() == [chosen]
        page.get_by_role("link", name="as the device").click()
        assert media(page) == ["screen and (prefers-color-scheme: dark)"]
    wrong = httpx.get(server.url + "/scheme/purple")
    assert wrong.status_code == 422


def test_a_phone_has_five_places_in_a_bar_and_all_of_them_on_a_page(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "expert", "en", javascript=False, width=390, height=844) as somebody:
        page = somebody.open("/account")
        places, bell = page.locator(".menu li"), page.get_by_role("link", name="Notices")
        shown = [one.inner_text() for one in places.all() if one.is_visible()]
        assert shown == ["Desk", "Needs", "Companies", "Cases", "All pages"]
        bar = page.locator(".menu").bounding_box()
        assert bar is not None
        assert (bar["x"], bar["width"], bar["y"] + bar["height"]) == (0, 390, 844)
        expect_there(bell).to_be_visible()
        expect_there(page.get_by_role("button", name="Sign out")).to_be_hidden()
        page.get_by_role("link", name="All pages").click()
        assert places.locator("visible=true").count() == places.count() - 1
        expect_there(page.get_by_role("button", name="Sign out")).to_be_visible()
        assert not scrolls_sideways(page)
        page.get_by_role("link", name="Back to the page").click()
        expect_there(page.get_by_role("heading", level=1)).to_be_visible()
        assert [one.inner_text() for one in places.all() if one.is_visible()] == shown
    # Whoever looks for faults needs a script.
    with browsing(browser, server, "expert", "en", width=390, height=844) as somebody:
        page = somebody.open("/account")
        page.get_by_role("link", name="All pages").click()
        assert accessibility_faults(page) == []


@pytest.mark.parametrize("lang", LANGS)
def test_pages_of_the_front_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    with browsing(browser, server, "expert", lang) as somebody:
        look_over(somebody, lang, {"front-sign-in": "/sign-in", "front-account": "/account"})
        look_over(somebody, lang, {"front-none": "/nothing-here"}, status=404)


def test_axe_sees_a_fault_where_there_is_one(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "expert", "en") as somebody:
        page = somebody.open("/account")
        page.evaluate("document.querySelector('main label:has(+ select), main label:has(select)').remove()")
        assert [fault.partition(":")[0] for fault in accessibility_faults(page)] == ["select-name"]


def test_a_key_is_shown_once_and_can_be_ended(server: Served) -> None:
    with visiting(server, "newcomer", "en") as somebody:
        page = somebody.open("/account")
        page.get_by_label("What it is for").fill("laptop")
        page.get_by_label("Your password").fill(PASSWORD)
        page.get_by_role("button", name="Make a key").click()
        key = page.locator(".notice.good code").inner_text()
        assert httpx.get(server.url + "/api/me", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        page.reload()
        expect(page.locator(".notice.good code")).to_have_count(0)
        page.get_by_role("button", name="End the key “laptop”").click()
        expect(page.get_by_role("status").first).to_have_text(re.compile("The key no longer works."))
        assert httpx.get(server.url + "/api/me", headers={"Authorization": f"Bearer {key}"}).status_code == 401


def test_a_form_without_the_sessions_token_is_refused(server: Served) -> None:
    with visiting(server, "colleague", "en") as somebody:
        page = somebody.open("/account")
        form = {"party": "lab", "party_id": "lab-1-01", "csrf_token": "x"}
        wrong = page.asked(server.url + "/account/stakes", "POST", data=form)
        assert wrong.status_code == 403
        assert "Your role does not allow this." in wrong.text
        page.get_by_label("Its name").fill("lab-1-05")
        page.get_by_label("Company or lab").select_option("lab")
        page.get_by_role("button", name="Declare").click()
        expect(page.get_by_text("Your interest is declared.")).to_be_visible()


def test_signing_in_from_another_site_is_refused(server: Served) -> None:
    form = {"email": "newcomer@example.org", "password": PASSWORD}
    there = httpx.post(server.url + "/sign-in", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    here = httpx.post(server.url + "/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert (there.status_code, here.status_code) == (403, 303)
    assert "set-cookie" not in there.headers


@pytest.mark.parametrize("place", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"])
def test_no_address_leads_away_from_this_host(server: Served, place: str) -> None:
    chosen = httpx.get(server.url + "/language/en", params={"then": place})
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/")


def test_a_fault_of_ours_is_a_page_too(tmp_path: Path) -> None:
    app = application(Settings(home=tmp_path))

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    client = TestClient(app, raise_server_exceptions=False)
    page = client.get("/broken", headers={"Cookie": "gloria-lang=en"})
    app.state.engine.dispose()
    assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "Something went wrong on our side." in page.text
    assert "ZeroDivisionError" not in page.text
