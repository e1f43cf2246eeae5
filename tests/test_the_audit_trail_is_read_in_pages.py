"""The office and leads look up who saw and did what; a company sees who met the need that it gave in confidence."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from api.access.policy import POLICY
from api.pages.audit import ACTIONS, RESOURCES
from api.trail.request_trail import NOT_WATCHED
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over, session_token
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import visiting

NEED = "need-1-01"
TITLES = {"zh-Hant": ("稽核軌跡", "誰看過這件需求"), "en": ("Audit trail", "Who saw this need")}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("audit-pages") / "home"
    settings = Settings(home=home, database_url=databases.at_head("sqlite", home), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        for who in ("expert", "company"):
            assert server.ask(who, "GET", f"/api/needs/{NEED}").status_code == 200
        assert server.ask("expert", "POST", f"/api/needs/{NEED}/take-up").status_code == 200
        assert server.ask("stranger", "GET", f"/api/needs/{NEED}").status_code == 404
        assert server.ask("office", "GET", "/api/needs").status_code == 200
        until = time.monotonic() + 15
        while server.ask(None, "GET", "/readyz").json()["views"]["waiting"] and time.monotonic() < until:
            time.sleep(0.1)
        yield server


@pytest.mark.parametrize("lang", LANGS)
def test_the_trail_and_who_met_a_need(server: Served, lang: str) -> None:
    trail, seen = TITLES[lang]
    with visiting(server, "office", lang) as office:
        page = office.open(f"/admin/audit?subject={NEED}&from=2020-01-01")
        assert page.locator("h1").inner_text() == trail
        page.locator("#f-outcome").select_option("refused")
        page.locator("form.filters button").click()
        page.wait_for_url(re.compile("outcome=refused"))
        assert page.locator("tbody tr").count() == 1
        assert "stranger" in page.locator("tbody tr").inner_text()
        page = office.open("/admin/audit?subject=none")
        assert page.locator(".empty").count() == 1
    with visiting(server, "company", lang) as company:
        page = company.open(f"/company/needs/{NEED}")
        page.get_by_role("link", name=seen).click()
        page.wait_for_url(re.compile("/seen$"))
        assert page.locator("h1").inner_text() == seen
        assert {"expert", "office", "company"} <= set(page.locator("tbody td:nth-child(2)").all_inner_texts())


@pytest.mark.parametrize("lang", LANGS)
def test_pages_of_the_trail_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    places = {"audit": f"/admin/audit?subject={NEED}&from=2020-01-01", "audit-none": "/admin/audit?subject=none"}
    with browsing(browser, server, "office", lang) as office:
        look_over(office, lang, places)
    with browsing(browser, server, "company", lang) as company:
        look_over(company, lang, {"seen": f"/needs/{NEED}/seen"})


def test_a_lead_finds_what_concerns_the_own_alliance_only(server: Served) -> None:
    cookies = {who: {"Cookie": f"__Host-gloria={session_token(server, who)}"} for who in ("lead", "office", "expert")}
    pages = {who: httpx.get(f"{server.url}/admin/audit", headers=cookie) for who, cookie in cookies.items()}
    assert {who: page.status_code for who, page in pages.items()} == {"lead": 200, "office": 200, "expert": 403}
    # The office listed all needs in one row: a lead sees of it the own one.
    assert "need-1-03" in pages["office"].text
    assert NEED in pages["lead"].text
    assert "need-1-03" not in pages["lead"].text
    need = httpx.get(f"{server.url}/needs/{NEED}/seen", headers=cookies["lead"])
    assert (need.status_code, "office" in need.text) == (200, True)
    assert httpx.get(f"{server.url}/needs/need-1-03/seen", headers=cookies["lead"]).status_code == 404


def test_an_impossible_filter_finds_nothing_and_breaks_nothing(server: Served) -> None:
    cookie = {"Cookie": f"__Host-gloria={session_token(server, 'office')}"}
    query = "from=0001-01-01&to=9999-12-31&resource=<b>&outcome=x&subject=%3Cscript%3E&account=%27"
    page = httpx.get(f"{server.url}/admin/audit?{query}", headers=cookie)
    assert page.status_code == 200
    assert "<script>" not in page.text.replace('<script src="', "")
    bad = server.ask("office", "GET", "/api/audit?from=0001-01-01")
    assert (bad.status_code, bad.json()["field"]) == (422, "from")


def test_everything_that_is_kept_has_its_words() -> None:
    kept = POLICY.keys() - NOT_WATCHED
    assert {resource.value for resource, _ in kept} - RESOURCES.keys() == set()
    assert {action.value for _, action in kept} - ACTIONS.keys() == set()
