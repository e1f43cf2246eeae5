"""Administration in pages: accounts, keys, jobs with live progress, generations, and rules that are data."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from playwright.sync_api import Browser

from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, accessibility_faults, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

LIVE = "<img src=x onerror=\"document.title='xss'\">\"'><script>document.title='xss'</script>"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("admin") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


@pytest.mark.parametrize("lang", LANGS)
def test_the_office_lets_a_program_in_and_out(server: Served, lang: str) -> None:
    said = {
        "zh-Hant": ("電子郵件", "姓名", "角色", "建立帳號", "用途", "產生金鑰", "停用帳號", "已停用"),
        "en": (
            "E-mail address",
            "Name",
            "Role",
            "Make the account",
            "What it is for",
            "Make a key",
            "Shut out",
            "shut out",
        ),
    }[lang]
    email, name, role, make, purpose, make_key, shut_out, is_out = said
    with visiting(server, "office", lang) as somebody:
        page = somebody.open("/admin/accounts")
        new = page.locator("section.card")
        new.get_by_label(email, exact=False).fill(f"nightly-{lang.lower()}@example.org")
        new.get_by_label(name, exact=True).fill(LIVE)
        new.get_by_label(role, exact=True).select_option("job")
        new.get_by_role("button", name=make).click()
        expect(page.locator("h1")).to_have_text(LIVE)
        page.get_by_label(purpose).fill("reports")
        page.get_by_role("button", name=make_key).click()
        key = page.locator(".notice.good code").inner_text()
        ask = {"Authorization": f"Bearer {key}"}
        assert httpx.get(server.url + "/api/generations", headers=ask).status_code == 200
        page.get_by_role("button", name=shut_out).click()
        expect(page.locator("h1 .chip")).to_have_text(is_out)
        assert httpx.get(server.url + "/api/generations", headers=ask).status_code == 401
        assert page.title() != "xss"


def test_a_refused_role_says_what_is_wrong_and_keeps_the_account(server: Served) -> None:
    with visiting(server, "office", "en") as somebody:
        page = somebody.open(f"/admin/accounts/{server.accounts['newcomer']}")
        page.get_by_label("Role", exact=True).select_option("expert")
        page.get_by_label("In which alliance, company or lab").fill("al-none")
        page.get_by_role("button", name="Give the role").click()
        expect(page.get_by_role("alert")).to_contain_text("there is no alliance 'al-none'")
        expect(page.locator("#f-scope")).to_have_attribute("aria-invalid", "true")


def test_an_import_is_followed_live_and_its_faults_are_named(browser: Browser, server: Served, tmp_path: Path) -> None:
    rows = [{"id": f"co-9-{n}", "name": f"示範企業{n}"} for n in range(450)] + [{"id": "co-bad", "tier": LIVE}]
    path = tmp_path / "companies.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    with browsing(browser, server, "office", "en") as somebody:
        page = somebody.open("/admin/jobs")
        page.get_by_label("File", exact=True).set_input_files(path)
        page.get_by_role("button", name="Import").click()
        expect(page.get_by_text("New 450, changed 0, the same as before 0, refused 1.")).to_be_visible()
        expect(page.locator("tbody tr").first).to_contain_text("451")
        assert page.title() != "xss"
        assert accessibility_faults(page) == []
        page.goto(server.url + "/admin/jobs")
        expect(page.locator("tbody tr").first).to_contain_text("companies.jsonl")


def test_an_expert_ranks_all_needs_of_the_alliance_as_a_job(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/admin/jobs")
        page.get_by_role("button", name="Begin").click()
        for _ in range(300):
            if page.locator("dd .chip").inner_text() == "done":
                break
            time.sleep(0.1)
            page.reload()
        expect(page.get_by_role("link", name="The needs are ranked; their pairings wait for a word.")).to_be_visible()


def test_two_changes_at_once_do_not_overwrite_each_other(server: Served) -> None:
    with visiting(server, "office", "en") as one, visiting(server, "office", "en") as other:
        for somebody in (one, other):
            somebody.open(f"/admin/accounts/{server.accounts['rival']}")
        for somebody, name in ((one, "first"), (other, "second")):
            somebody.page.get_by_label("Name", exact=True).fill(name)
            somebody.page.get_by_role("button", name="Rename").click()
        expect(other.page.get_by_role("alert")).to_contain_text("it was changed in the meantime")
        expect(other.page.locator("h1")).to_have_text("first")


@pytest.mark.parametrize("lang", LANGS)
def test_administration_is_accessible(browser: Browser, server: Served, lang: str) -> None:
    places = {
        "admin": "/admin",
        "admin-accounts": "/admin/accounts",
        "admin-jobs": "/admin/jobs",
        "admin-index": "/admin/index",
        "admin-configuration": "/admin/configuration",
        "admin-configuration-target-books": "/admin/configuration/target_books",
        "admin-account": f"/admin/accounts/{server.accounts['expert']}",
    }
    with browsing(browser, server, "office", lang) as somebody:
        look_over(somebody, lang, places)


def test_without_an_index_the_page_says_what_to_do(server: Served) -> None:
    kept = server.settings.home / "index"
    generation = server.ask("office", "GET", "/api/generations").json()["items"][0]["name"]
    manifest = kept / generation / "manifest.json"
    stored = manifest.read_bytes()
    with visiting(server, "office", "en") as somebody:
        page = somebody.open("/admin/index")
        expect(page.get_by_text("answers now")).to_be_visible()
        try:
            manifest.write_bytes(b"{}")
            page.reload()
            expect(page.get_by_text("damaged", exact=True)).to_be_visible()
        finally:
            manifest.write_bytes(stored)
        shutil.move(kept, kept.with_name("away"))
        try:
            page.reload()
            expect(page.get_by_text("No generation was made yet.")).to_be_visible()
        finally:
            shutil.move(kept.with_name("away"), kept)


@pytest.mark.parametrize("who", ["expert", "company", "researcher", "committee"])
def test_accounts_are_for_the_office_alone(server: Served, who: str) -> None:
    with visiting(server, who, "en") as somebody:
        answered = somebody.page.goto(server.url + "/admin/accounts")
        assert answered.status == 403
        expect(somebody.page.locator("h1")).to_have_text(
            "Your role does not allow this. Ask your programme office if it should."
        )
