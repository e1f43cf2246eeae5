"""An expert takes a need down while the company is on the telephone: text in, form filled, corrected, stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.review.clients import take_on
from matcher.review.intake import adopt
from tests.conftest import Databases
from tests.rig.servers.browsers import (
    LANGS,
    accessibility_faults,
    browsing,
    keep_screenshot,
    scrolls_sideways,
    session_token,
)
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

CALL = """我是嶺風電力股份有限公司的林經理，我們高山風場的風機葉片每年冬天都會結冰停機。
希望找到能提早半小時預測結冰的感測技術，另外想請兩位實習生協助現場量測。
預算大約九十萬元，希望在民國116年6月底前完成。電話 049-2345678"""

CV = "姓名：藺若川\n現職：合歡科技大學\n專長：聲射、除冰\n期刊論文\n藺若川 (2019). Cold rooms at work. Ice."


@pytest.fixture(scope="module")
def server(databases: Databases, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve without any index: a need comes in without one."""
    folder, empty = tmp_path_factory.mktemp("taken") / "home", tmp_path_factory.mktemp("no-index")
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, empty, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            expert, now = server.accounts["expert"], datetime.now(UTC)
            take_on(session, company_id="co-1-1", alliance_id="al-a", expert_id=expert, now=now)
        engine.dispose()
        yield server


def _draft(server: Served, who: str, text: str, **params: str) -> Any:
    return server.client.post(
        f"{server.url}/api/drafts",
        content=text.encode(),
        params=params,
        headers={"Authorization": f"Bearer {server.keys[who]}"},
        timeout=60,
    )


def test_a_draft_is_read_for_those_who_take_needs_down_and_keeps_nothing(server: Served) -> None:
    answers = {who: _draft(server, who, CALL) for who in ("expert", "office", "company", "researcher")}
    assert {who: answer.status_code for who, answer in answers.items()} == {
        "expert": 200,
        "office": 200,
        "company": 403,
        "researcher": 403,
    }
    values = {one["name"]: one["value"] for one in answers["expert"].json()["fields"]}
    assert (values["company"], values["budget_ntd"]) == ("嶺風電力股份有限公司", 900_000)
    wrong = _draft(server, "expert", "\0\1\2" * 9, name="x.bin")
    assert (wrong.status_code, wrong.json()["field"]) == (422, "file")
    lab = _draft(server, "office", "姓名：藺若川\n專長：聲射、除冰", kind="lab")
    assert {one["name"]: one["value"] for one in lab.json()["fields"]}["keywords"] == ["聲射", "除冰"]
    needs = server.ask("expert", "GET", "/api/needs", params={"limit": 100}).json()["items"]
    assert "嶺風電力" not in str(needs)


def test_a_confirmed_need_brings_its_company_and_its_contact(server: Served) -> None:
    need = {"title": "葉片結冰", "asks": [{"kind": "technology", "text": "感測"}], "company_name": "新風能有限公司"}
    refused = server.ask("office", "POST", "/api/drafts/needs", json=need)
    assert refused.status_code == 403
    first = server.ask("expert", "POST", "/api/drafts/needs", json={**need, "contact": "林經理 049-2345678"})
    assert first.status_code == 201, first.text
    company = server.ask("expert", "GET", f"/api/companies/{first.json()['company']}").json()
    assert (company["name"], [one["alliance"] for one in company["clients"]]) == ("新風能有限公司", ["al-a"])
    (contact,) = server.ask("expert", "GET", f"/api/companies/{company['id']}/contacts").json()["items"]
    assert (contact["kind"], contact["note"]) == ("call", "林經理 049-2345678")
    assert (company["contact"], company["contact_phone"]) == ("林經理", "049-2345678")
    # Who took the call looks after the need.
    assert (first.json()["state"], first.json()["expert"]) == ("taken_up", server.accounts["expert"])
    # The same firm calls again, written otherwise: it is the same.
    again = server.ask("expert", "POST", "/api/drafts/needs", json={**need, "company_name": "新風能 有限公司"})
    assert (again.status_code, again.json()["company"]) == (201, company["id"])
    # Whoever did not take it down learns nothing of it.
    hidden = [server.ask(who, "GET", f"/api/needs/{first.json()['id']}") for who in ("stranger", "company", "office")]
    assert [one.status_code for one in hidden[:2]] == [404, 404]
    assert hidden[2].json()["title"] is None
    wrong = server.ask("expert", "POST", "/api/drafts/needs", json={**need, "company_name": "甲", "tax_id": "12345678"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "tax_id")
    nobody = server.ask("expert", "POST", "/api/drafts/needs", json={"title": "x"})
    assert (nobody.status_code, nobody.json()["field"]) == (422, "company_name")


@pytest.mark.parametrize("lang", LANGS)
def test_in_pages_the_form_is_filled_beside_the_text(browser: Browser, server: Served, lang: str) -> None:
    zh = lang != "en"
    with browsing(browser, server, "expert", lang, width=375) as somebody:
        page = somebody.open("/drafts")
        assert (accessibility_faults(page), scrolls_sideways(page)) == ([], False)
        keep_screenshot(page, f"drafts-begin-{lang}")
        page.locator("#f-text").fill(CALL)
        page.locator("button[value=need]").click()
        page.wait_for_selector("#f-budget_ntd", timeout=15_000)
        assert (accessibility_faults(page), scrolls_sideways(page)) == ([], False)
        keep_screenshot(page, f"drafts-need-{lang}")
        assert page.locator("#f-company_name").input_value() == "嶺風電力股份有限公司"
        assert page.locator("#f-budget_ntd").input_value() == "900000"
        assert page.locator("#f-deadline").input_value() == "2027-06-30"
        assert "九十萬元" in page.locator(".letter mark").all_inner_texts()
        # Without a script: an ask more keeps all that was corrected.
        page.locator("#f-title").fill("結冰預測")
        page.locator("#f-budget_ntd").fill("９５萬")
        page.locator("button[value=add]").click()
        page.wait_for_selector("#f-ask-3", timeout=15_000)
        assert page.locator("#f-title").input_value() == "結冰預測"
        page.locator("button[value='remove:2']").click()
        page.wait_for_selector("#f-ask-3", state="detached", timeout=15_000)
        page.set_viewport_size({"width": 1280, "height": 900})
        keep_screenshot(page, f"drafts-need-wide-{lang}")
        page.locator("button[value=confirm]").click()
        page.wait_for_url("**/needs/need-*", timeout=15_000)
        assert page.locator("h1").inner_text() == "結冰預測"
        need = server.ask("expert", "GET", f"/api/needs/{page.url.rpartition('/')[2].partition('?')[0]}").json()
        assert need["budget_ntd"] == 950_000
        assert ("需求已記下。" if zh else "The need is taken down.") in page.locator("#notice").inner_text()
        page = somebody.open("/drafts")
        page.locator("#f-text").fill(
            "姓名：藺若川\n現職：合歡科技大學\n專長：聲射、除冰\n期刊論文\n藺若川 (2019). Cold rooms at work. Ice."
        )
        page.locator("button[value=lab]").click()
        page.wait_for_selector(".works", timeout=15_000)
        assert (accessibility_faults(page), scrolls_sideways(page)) == ([], False)
        keep_screenshot(page, f"drafts-lab-{lang}")
        page.locator("#f-w-title-1").fill("Cold rooms in winter")
        with page.expect_download() as download:
            page.locator("form[action='/drafts/lab'] button[value=download]").click()
        assert '"Cold rooms in winter"' in Path(download.value.path()).read_text()
        page = somebody.open("/exports")
        assert (accessibility_faults(page), scrolls_sideways(page)) == ([], False)
        # Without an index the need's page was refused its ranking, perhaps only while the next page was asked for.
        somebody.complaints[:] = [said for said in somebody.complaints if "/ranked" not in said and "503" not in said]
        keep_screenshot(page, f"exports-wide-{lang}")
        page.set_viewport_size({"width": 375, "height": 800})
        assert not scrolls_sideways(page)
        keep_screenshot(page, f"exports-{lang}")
        for name in ("needs", "labs", "companies", "cases"):
            assert somebody.open(f"/{name}").locator(f"a[href='/exports#{name}']").count() == 1


def test_a_need_that_begins_at_the_company_is_that_companys(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        somebody.open("/companies/co-1-1").get_by_role("link", name="Take a need down").click()
        page = somebody.page
        expect(page.locator(".lead")).to_contain_text("Panli Precision Chemicals")
        # The text names another firm: the one on whose page it began is meant all the same.
        page.locator("#f-text").fill(CALL)
        page.get_by_role("button", name="Read it").click()
        assert page.locator("#f-company_name").input_value() == "磐礪精密化學股份有限公司"
        page.locator("#f-title").fill("自來件")
        page.locator("button.main[name=do], form button.main").last.click()
        need = page.url.rpartition("/")[2]
    stored = server.ask("expert", "GET", f"/api/needs/{need}").json()
    assert (stored["company"], stored["title"]) == ("co-1-1", "自來件")
    # The controls: a company that nobody knows, or that somebody may not read, is said nowhere.
    with visiting(server, "expert", "en") as somebody:
        expect(somebody.open("/drafts?company=nobody").locator(".lead")).to_have_count(0)


def test_a_school_states_a_need_on_the_telephone(server: Served) -> None:
    with visiting(server, "expert", "zh-Hant") as somebody:
        page = somebody.open("/drafts")
        page.locator("#f-text").fill("骨科門診想要能在診間量測步態的鞋墊。預算八十萬元。")
        page.get_by_role("button", name="讀取內容").click()
        page.locator("#f-title").fill("診間量步態")
        page.locator("#f-school").select_option("ysu")
        page.locator("#f-company_name").fill("某公司")
        page.locator("form[action='/drafts/need'] button.main").last.click()
        expect(page.get_by_role("alert")).to_contain_text("需求由企業或學校其中一方提出")
        assert page.locator("#f-school").get_attribute("aria-invalid") == "true"
        page.locator("#f-company_name").fill("")
        page.locator("form[action='/drafts/need'] button.main").last.click()
        need = page.url.rpartition("/")[2]
    stored = server.ask("expert", "GET", f"/api/needs/{need}").json()
    assert (stored["company"], stored["school"], stored["title"]) == (None, "ysu", "診間量步態")
    assert (stored["state"], stored["expert"]) == ("taken_up", server.accounts["expert"])


def test_a_cv_is_corrected_in_the_page_and_imported(server: Served) -> None:
    with visiting(server, "office") as somebody:
        page = somebody.open("/drafts")
        page.locator("#f-text").fill(CV.replace("2019", "2099"))
        page.locator("button[value=lab]").click()
        assert page.locator("#f-pi").input_value() == "藺若川"
        assert page.locator("#f-w-title-1").input_value() == "Cold rooms at work"
        # What can't be is refused beside its field, with all that was typed.
        page.locator("#f-name").fill("除冰研究室")
        page.locator("#f-orcid").fill("0000-0000-0000-0000")
        page.locator("button[value=import]").click()
        expect(page.locator("#e-orcid")).to_contain_text("ORCID")
        assert page.locator("#f-name").input_value() == "除冰研究室"
        page.locator("#f-orcid").fill("")
        page.locator("#f-w-title-1").fill("Cold rooms in winter")
        page.locator("#f-w-year-1").fill("2019")
        page.locator("button[value=import]").click()
        expect(page.locator("h1")).to_have_text("labs.jsonl")
        assert "實驗室：新增 1 筆" in page.locator("main").inner_text()
        assert "除冰研究室" in page.locator("main details").text_content()
    # Without a name and a head there is nothing to import.
    with visiting(server, "expert") as somebody:
        page = somebody.open("/drafts")
        page.locator("#f-text").fill(CV)
        page.locator("button[value=lab]").click()
        page.locator("#f-pi").fill("")
        page.locator("#f-name").fill("")
        page.locator("button[value=import]").click()
        expect(page.locator("#e-name")).to_be_visible()


def test_what_a_file_said_beside_our_fields_is_shown_with_the_need(server: Served) -> None:
    engine = open_engine(server.settings)
    with writing(engine) as session:
        row = {"id": "need-other", "title": "葉片結冰", "company": "co-1-1", "other": {"廠區<b>": "南投二廠"}}
        import_rows(session, Kind.NEEDS, [row])
        adopt(session, need_ids=["need-other"], alliance_id="al-a", by=None, now=datetime.now(UTC))
    engine.dispose()
    token = {"Cookie": f"__Host-gloria={session_token(server, 'expert')}"}
    page = server.client.get(f"{server.url}/needs/need-other", headers=token).text
    assert "<dt>廠區&lt;b&gt;</dt><dd>南投二廠</dd>" in page
