"""The desk in pages: an expert takes up a need, notes a contact, finds a lab; what is done is gone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from sqlmodel import col, update

from api.jobs.job_queue import JobKind, JobState, ask_for
from api.pages.labs import should_hear_of
from api.pages.shell.wording import Lang, Wording
from indexer.database import open_engine, writing
from indexer.instants import day_in_taipei
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.proposals import PairingState, StoredPairing
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, accessibility_faults, browsing, keep_screenshot, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

XSS = "<img src=x onerror=document.title='xss'>\"'><script>document.title='xss'</script>"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("desk") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def done(server: Served, who: str, method: str, path: str, **body: Any) -> Any:
    """Send one request that must succeed."""
    answer = server.ask(who, method, path, **({"json": body} if method != "GET" else {}))
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def company_with_need(server: Served, company_id: str, title: str) -> str:
    """Let the expert look after a company that nobody was in touch with, and submit a need of it; return its id."""
    done(server, "expert", "PUT", f"/api/companies/{company_id}/client")
    return str(done(server, "expert", "POST", "/api/needs", company=company_id, title=title)["id"])


def item(page: Any, task: str, text: str) -> Any:
    """Return the line of a kind on the desk that has a text."""
    return page.locator(f"#work li.item[data-task='{task}']").filter(has_text=text)


def test_an_expert_begins_the_day(browser: Browser, server: Served) -> None:
    lang = "zh-Hant"
    said, title = Wording(Lang(lang)).text, f"散熱模組太吵 {lang}"
    company_id = "co-1-3"
    company_with_need(server, company_id, title)
    name = done(server, "expert", "GET", f"/api/companies/{company_id}")["name"]
    with browsing(browser, server, "expert", lang) as expert:
        page = expert.open("/desk")
        keep_screenshot(page, f"desk-{lang}-1280")
        new = item(page, "new_need", title)
        expect(new).to_contain_text(said("Nobody has taken it up."))
        new.get_by_role("button", name=said("Take up")).click()
        expect(page.locator("#notice")).to_contain_text(said("The need is yours now. Look for labs next."))
        expect(item(page, "new_need", title)).to_have_count(0)
        # What is next is where it waits: the need has no labs yet.
        expect(item(page, "to_match", title)).to_contain_text(said("Taken up; no labs were looked for yet."))
        assert page.evaluate("document.activeElement.id") == "h-today"

        silent = item(page, "silent_company", name)
        silent.get_by_role("link", name=said("Note a contact")).click()
        form = silent.locator("form")
        form.get_by_label(said("Day"), exact=True).fill("2026-11-20")
        form.get_by_label(said("On which day")).fill("2026-11-19")
        form.get_by_role("button", name=said("Note the contact")).click()
        expect(form.get_by_role("alert")).to_contain_text(said("This was not stored."))
        expect(form.get_by_label(said("On which day"))).to_be_focused()
        assert accessibility_faults(page) == []
        keep_screenshot(page, f"desk-contact-{lang}")
        form.get_by_label(said("Next step")).fill("寄送報價")
        form.get_by_label(said("On which day")).fill("2126-11-19")
        form.get_by_role("button", name=said("Note the contact")).click()
        expect(page.locator("#notice")).to_contain_text(said("The contact is noted."))
        expect(item(page, "silent_company", name)).to_have_count(0)
        row = page.get_by_role("row").filter(has_text=name)
        expect(row).to_contain_text(Wording(Lang(lang)).day("2026-11-20"))

        for words in ("polishing silicon carbide wafers", "碳化矽基板拋光"):
            box = page.get_by_role("searchbox", name=said("Search everything"))
            box.fill(words)
            box.press("Enter")
            lab = page.get_by_role("region", name=re.compile(said("Labs"))).get_by_role("link").first
            expect(lab).to_have_attribute("href", "/labs/lab-1-01")
        expect(page.locator("blockquote mark").first).to_be_visible()
        lab.click()
        expect(page).to_have_url(server.url + "/labs/lab-1-01")
        expect(page.get_by_role("heading", level=1)).to_contain_text("碳化矽晶圓拋光實驗室")
        hear = page.get_by_role("region", name=re.compile(said("Needs this lab should hear of")))
        expect(hear.get_by_role("link", name="硬質基板拋光太慢又有細刮傷")).to_have_attribute(
            "href", "/needs/need-1-01"
        )


def test_the_day_is_the_same_in_english_and_without_script(server: Served) -> None:
    company_with_need(server, "co-1-4", "Cooling module is loud")
    name = done(server, "expert", "GET", "/api/companies/co-1-4")["name_en"]
    with visiting(server, "expert", "en") as expert:
        page = expert.open("/desk")
        new = item(page, "new_need", "Cooling module is loud")
        expect(new).to_contain_text("Nobody has taken it up.")
        new.get_by_role("button", name="Take up").click()
        expect(page.locator("#notice")).to_contain_text("The need is yours now. Look for labs next.")
        expect(item(page, "new_need", "Cooling module is loud")).to_have_count(0)
        expect(item(page, "to_match", "Cooling module is loud")).to_contain_text("no labs were looked for")
        expect(item(page, "silent_company", name)).to_have_count(1)
        contact = {"kind": "call", "held_on": "2026-11-20", "next_step": "offer", "next_on": "2126-11-19"}
        done(server, "expert", "POST", "/api/companies/co-1-4/contacts", **contact)
        page.reload()
        expect(item(page, "silent_company", name)).to_have_count(0)
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text(Wording(Lang.EN).day("2026-11-20"))
        for words in ("polishing silicon carbide wafers", "碳化矽基板拋光"):
            box = page.get_by_role("searchbox", name="Search everything")
            box.fill(words)
            box.press("Enter")
            lab = page.get_by_role("region", name=re.compile("Labs")).get_by_role("link").first
            expect(lab).to_have_attribute("href", "/labs/lab-1-01")
        expect(page.locator("blockquote mark").first).to_be_visible()
        lab.click()
        expect(page).to_have_url(server.url + "/labs/lab-1-01")
        expect(page.get_by_role("heading", level=1)).to_contain_text("SiC Wafer Polishing Laboratory")
        hear = page.get_by_role("region", name=re.compile("Needs this lab should hear of"))
        hear.get_by_role("link", name="Show them").click()
        link = page.get_by_role("link", name="硬質基板拋光太慢又有細刮傷")
        expect(link).to_have_attribute("href", "/needs/need-1-01")


@pytest.mark.parametrize(
    ("band", "rank", "covered", "hears"),
    [
        ("strong", 1, "yes", True),
        ("plausible", 20, "partly", True),
        ("plausible", 72, "yes", False),
        ("strong", 21, "yes", False),
        ("weak", 1, "yes", False),
        ("plausible", 4, "no", False),
    ],
)
def test_a_lab_hears_of_needs_for_which_it_is_among_the_first(band: str, rank: int, covered: str, hears: bool) -> None:
    asks = [{"covered": "no"}, {"covered": covered}]
    assert should_hear_of({"band": band, "rank_of_lab": rank, "explanation": {"asks": asks}}) is hears


def test_the_page_of_a_lab_says_by_which_rule_a_need_is_for_it(server: Served) -> None:
    company_with_need(server, "co-1-4", "員工餐廳的菜色太少")
    needs = done(server, "expert", "GET", "/api/labs/lab-1-01/matches?top=10")["needs"]
    fitting = [one["need_id"] for one in needs if should_hear_of(one)]
    with visiting(server, "expert", "en") as expert:
        page = expert.open("/labs/lab-1-01")
        # Where it lies is seen, and said to who can't see it.
        expect(page.locator(".map-of-taiwan svg.taiwan circle.spot")).to_have_count(1)
        expect(page.locator("#taiwan-title")).to_have_text(re.compile(r"Map of Taiwan: \w+"))
        expect(page.locator("#h-hear-found")).to_have_attribute("hx-get", "/labs/lab-1-01/needs")
        page = expert.open("/labs/lab-1-01/needs")
        hear = page.locator("main")
        expect(hear).to_contain_text("it is among the first 20 labs")
        shown = [one.get_attribute("href") for one in hear.locator("ol.plain > li > .title a").all()]
        folded = [one.get_attribute("href") for one in hear.locator("details ol.plain > li > .title a").all()]
    # What stands openly comes first, and the rest is folded.
    assert shown[: len(fitting)] == [f"/needs/{one}" for one in fitting]
    assert folded == [f"/needs/{one['need_id']}" for one in needs if one["need_id"] not in fitting]
    assert 0 < len(fitting) < len(needs)


def test_next_steps_and_deferred_pairings_come_back_on_their_day(server: Served) -> None:
    need_id = company_with_need(server, "co-1-5", "要更快的塗佈")
    first, second = done(server, "expert", "GET", f"/api/needs/{need_id}/matches?top=2")["pairings"]
    day = (day_in_taipei(datetime.now(UTC)) + timedelta(days=2)).isoformat()
    word = {"verdict": "defer", "reason": "too_early", "defer_until": day}
    path = f"/api/pairings/{first['pairing_id']}/decision"
    done(server, "expert", "POST", path, proposal_id=first["proposal_id"], **word)
    engine = open_engine(server.settings)
    with writing(engine) as session:
        deferred = update(StoredPairing).where(col(StoredPairing.state) == PairingState.DEFERRED.value)
        session.execute(deferred.values(deferred_until=date(2026, 11, 1)))
    engine.dispose()
    contact = {"kind": "call", "held_on": "2020-01-02", "next_step": "寄樣品", "next_on": "2020-01-03"}
    done(server, "expert", "POST", "/api/companies/co-1-5/contacts", **contact)
    with visiting(server, "expert", "en") as expert:
        page = expert.open("/desk")
        expect(item(page, "deferred", "要更快的塗佈")).to_contain_text("Deferred until 2026-11-01.")
        review = item(page, "to_review", "要更快的塗佈")
        expect(review).to_contain_text("1 lab was shown and waits for a word.")
        due = item(page, "follow_up", "寄樣品")
        expect(due).to_contain_text("was due on 2020-01-03")
        due.get_by_role("link", name="Note a contact").click()
        page.locator("summary").filter(has_text="Note a contact").click()
        page.get_by_role("button", name="Note the contact").click()
        page = expert.open("/desk")
        expect(item(page, "follow_up", "寄樣品")).to_have_count(0)
    assert second["state"] == "proposed"


def test_without_javascript_the_same_forms_do_the_same(server: Served) -> None:
    company_with_need(server, "co-1-6", "不用程式也能受理")
    with visiting(server, "expert", "en") as expert:
        page = expert.open("/desk")
        item(page, "new_need", "不用程式也能受理").get_by_role("button", name="Take up").click()
        expect(page).to_have_url(server.url + "/desk")
        expect(page.get_by_text("The need is yours now.")).to_be_visible()
        page.locator("li.item[data-task='silent_company']").get_by_role("link").first.click()
        page.goto(server.url + "/companies/co-1-6")
        page.get_by_label("Day", exact=True).fill("2026-11-20")
        page.get_by_label("On which day").fill("2026-11-19")
        page.get_by_label("Note, for your alliance only").fill("談了新廠")
        page.get_by_role("button", name="Note the contact").click()
        expect(page.get_by_role("alert")).to_contain_text("This was not stored.")
        expect(page.get_by_label("Note, for your alliance only")).to_have_value("談了新廠")
        page.get_by_label("On which day").fill("")
        page.get_by_role("button", name="Note the contact").click()
        expect(page.get_by_text("The contact is noted.")).to_be_visible()
        expect(page.get_by_text("談了新廠")).to_be_visible()


def test_a_company_is_taken_on_handed_over_and_let_go(server: Served) -> None:
    with visiting(server, "lead", "en") as lead:
        page = lead.open("/companies")
        page.get_by_role("searchbox", name="Name or tax id of the company").fill("Halfersen")
        page.get_by_role("button", name="Find").click()
        page.get_by_role("button", name="Take on").click()
        expect(page).to_have_url(server.url + "/companies/co-1-2")
        expect(page.get_by_text("Who looks after the company is changed.")).to_be_visible()
        page.get_by_text("Hand over or let go").click()
        page.get_by_label("Hand over to").select_option(label="colleague")
        page.get_by_role("button", name="Hand over").click()
        expect(page.get_by_role("region", name="Who looks after it")).to_contain_text("colleague")
        page.get_by_text("Hand over or let go").click()
        page.get_by_role("button", name="Let the company go").click()
        expect(page).to_have_url(server.url + "/companies")
        expect(page.get_by_text("The company is no longer in your portfolio.")).to_be_visible()
        assert page.goto(server.url + "/companies/co-1-2").status == 404


def test_labs_are_narrowed_and_leafed_through(server: Served) -> None:
    with visiting(server, "office", "en") as office:

        def listed() -> int:
            """Return how many labs are listed: the head says how many of them fit as well."""
            return int(re.findall("[0-9]+", page.locator("h1 .count").inner_text())[-1])

        page = office.open("/labs?q=polishing")
        total = listed()
        assert re.fullmatch(f"[1-9] of {total} fit", page.locator("h1 .count").inner_text())
        page.get_by_text("Narrow down").click()
        box = page.get_by_role("group", name="Offers").get_by_role("checkbox").first
        count = int(page.get_by_role("group", name="Offers").locator(".n").first.inner_text())
        box.check()
        page.get_by_role("button", name="Apply").click()
        assert (listed(), 0 < count <= total) == (count, True)
        page.get_by_role("link", name="Without filters").first.click()
        assert listed() == total
        assert total > 20, "the slice has more labs than a page"
        page.get_by_role("link", name="Next page").click()
        expect(page.get_by_role("navigation", name="Pages")).to_contain_text(f"21 to {min(40, total)} of {total}")


def test_a_researcher_reads_the_own_lab_and_no_other(server: Served) -> None:
    with visiting(server, "researcher", "en") as researcher:
        page = researcher.open("/labs/lab-1-01")
        expect(page.get_by_role("heading", name="What the lab does")).to_be_visible()
        expect(page.get_by_role("heading", name="Needs this lab should hear of")).to_have_count(0)
        assert page.goto(server.url + "/labs/lab-1-02").status == 404


PAGES = {
    "desk": "/desk",
    "search": "/search?q=%E7%A2%B3%E5%8C%96%E7%9F%BD",
    "search-nothing": "/search",
    "labs": "/labs?q=polishing&offers=technology",
    "lab": "/labs/lab-1-01",
    "companies": "/companies?find=Hal",
    "company": "/companies/co-1-1",
}


@pytest.mark.parametrize("lang", LANGS)
def test_pages_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    with browsing(browser, server, "expert", lang) as expert:
        look_over(expert, lang, PAGES)


def test_no_stored_text_is_live(browser: Browser, server: Served) -> None:
    engine, texts = open_engine(server.settings), {"name": XSS, "name_en": XSS}
    with writing(engine) as session:
        import_rows(session, "companies", [{"id": "co-x", **texts, "city": XSS, "description": XSS}])
        evidence = [{"id": "ev-x", "kind": "paper", "title": XSS, "abstract": XSS}]
        lab = {"summary": XSS, "summary_en": XSS, "pi": XSS, "keywords": [XSS], "will_not_do": [XSS]}
        import_rows(session, "labs", [{"id": "lab-x", **texts, **lab, "evidence": evidence}])
        job = ask_for(
            session,
            kind=JobKind.IMPORT,
            account_id=server.accounts["colleague"],
            alliance_id="al-a",
            parameters={"name": XSS},
            now=datetime.now(UTC),
        )
        job.state, job.refusal, job.finished_at = JobState.FAILED.value, XSS, job.created_at
        session.add(job)
    engine.dispose()
    done(server, "colleague", "PUT", "/api/companies/co-x/client")
    asks = [{"kind": "technology", "text": XSS}]
    done(server, "colleague", "POST", "/api/needs", company="co-x", title=XSS, description=XSS, asks=asks)
    contact = {"kind": "call", "held_on": "2020-01-02", "note": XSS, "next_step": XSS, "next_on": "2020-01-03"}
    done(server, "colleague", "POST", "/api/companies/co-x/contacts", **contact)
    with visiting(server, "colleague", "en") as colleague:
        quoted, found = "/search?q=%3Cimg%20src%3Dx", "/labs?q=%3Cimg%20src%3Dx"
        # The index takes a new lab in within seconds.
        until = time.monotonic() + 15
        while colleague.open(found).locator("a[href='/labs/lab-x']").count() == 0 and time.monotonic() < until:
            time.sleep(0.1)
        for path in ("/desk", quoted, found, "/labs/lab-x", "/companies", "/companies/co-x"):
            page = colleague.open(path)
            assert page.get_by_text("<script>document.title='xss'</script>").count() > 0, path
            # Every page has our own sign, the page of a lab one picture of its own.
            photos = page.locator("img[src='/api/labs/lab-x/photo']").count()
            assert page.locator("img").count() - page.locator(".brand img").count() == photos, path
            assert photos == (path == "/labs/lab-x"), path
            assert not page.title().startswith("xss")
        # Refused, what was typed is shown again.
        page.get_by_text("Note a contact").click()
        page.get_by_label("Next step").fill(XSS)
        page.get_by_label("On which day").fill("2020-01-01")
        page.get_by_role("button", name="Note the contact").click()
        expect(page.get_by_label("Next step")).to_have_value(XSS)
        assert page.locator("img").count() == page.locator(".brand img").count() == 1
    # And a browser that would run it does not.
    with browsing(browser, server, "colleague", "en") as colleague:
        for path in ("/desk", quoted, "/labs/lab-x", "/companies/co-x"):
            shown = colleague.open(path)
            foreign = "[...document.images].filter(one => !one.closest('.brand')).map(one => one.getAttribute('src'))"
            pictures = shown.evaluate(foreign)
            assert pictures == (["/api/labs/lab-x/photo"] if path == "/labs/lab-x" else []), path
            assert not shown.title().startswith("xss")


@pytest.mark.parametrize(("lang", "width"), [("zh-Hant", 1280), ("en", 390)])
def test_the_search_of_every_page_is_used_by_keyboard(browser: Browser, server: Served, lang: str, width: int) -> None:
    said = Wording(Lang(lang)).text
    with browsing(browser, server, "expert", lang, width=width) as expert:
        page = expert.open("/cases")
        page.keyboard.press("Control+k")
        box = page.get_by_role("searchbox", name=said("Search everything"), exact=True)
        expect(box).to_be_focused()
        found = page.locator("#suggestions")
        # What an input method is composing is not looked for yet.
        page.keyboard.insert_text("")
        page.evaluate(
            """() => { const box = document.getElementById("find"); box.value = "ㄨㄣ";
            box.dispatchEvent(new InputEvent("input", {bubbles: true, isComposing: true})); }"""
        )
        page.wait_for_timeout(500)
        expect(found).to_have_text("")
        page.evaluate(
            """() => { const box = document.getElementById("find"); box.value = "溫教授";
            box.dispatchEvent(new CompositionEvent("compositionend", {bubbles: true})); }"""
        )
        expect(found.get_by_role("link", name="溫秉崧")).to_be_visible()
        assert accessibility_faults(page) == []
        keep_screenshot(page, f"search-suggested-{lang}-{width}")
        page.keyboard.press("Escape")
        expect(found).to_have_text("")
        expect(box).to_be_focused()
        box.fill("")
        box.press_sequentially("溫秉菘")
        expect(found.get_by_role("link", name="溫秉崧")).to_be_visible()
        page.keyboard.press("ArrowDown")
        expect(found.get_by_role("link", name="溫秉崧")).to_be_focused()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page).to_have_url(server.url + "/labs/lab-1-01")
        page.keyboard.press("Control+k")
        page.keyboard.insert_text("能用英文溝通的拋光團隊")
        page.keyboard.press("Enter")
        able = page.get_by_role("region", name=re.compile(said("Labs that could do it")))
        expect(able).to_contain_text("英文" if lang == "zh-Hant" else "English")
        assert accessibility_faults(page) == []
        keep_screenshot(page, f"search-found-{lang}-{width}")
        for link in able.get_by_role("link").all():
            href = link.get_attribute("href") or ""
            if href.startswith("/labs/"):
                assert "en" in done(server, "expert", "GET", f"/api{href}")["languages"]


def monday(server: Served, lang: str) -> None:
    """Let ten things be due for the colleague: five new needs and five next steps."""
    engine = open_engine(server.settings)
    with writing(engine) as session:
        rows = [{"id": f"co-m-{number}-{lang.lower()}", "name": f"週一公司 {number}"} for number in range(5)]
        import_rows(session, "companies", rows)
    engine.dispose()
    for number, row in enumerate(rows):
        done(server, "colleague", "PUT", f"/api/companies/{row['id']}/client")
        done(server, "colleague", "POST", "/api/needs", company=row["id"], title=f"週一的需求 {number} {lang}")
        step = {"kind": "call", "held_on": "2026-11-20", "next_step": f"回電 {number}", "next_on": f"2026-11-2{number}"}
        done(server, "colleague", "POST", f"/api/companies/{row['id']}/contacts", **step)


def finish(server: Served) -> None:
    """Let nothing be due any more."""
    body = {"kind": "call", "held_on": day_in_taipei(datetime.now(UTC)).isoformat()}
    for one in done(server, "colleague", "GET", "/api/today?task=follow_up&limit=100")["items"]:
        done(server, "colleague", "POST", f"/api/companies/{one['company_id']}/contacts", **body)


def take_up_all(colleague: Any) -> None:
    """Take up every new need of that Monday: j goes to the next, Enter takes it up."""
    page = colleague.open("/desk?task=new_need")
    news = page.locator("#work li.item")
    count = news.count()
    assert count >= 5
    for left in range(count - 1, -1, -1):
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(news).to_have_count(left)


@pytest.mark.parametrize(("lang", "width"), [("zh-Hant", 1280), ("en", 390)])
def test_a_monday_morning_is_done_by_keyboard(browser: Browser, server: Served, lang: str, width: int) -> None:
    said = Wording(Lang(lang)).text
    finish(server)
    monday(server, lang)
    with browsing(browser, server, "colleague", lang, width=width) as colleague:
        page = colleague.open("/desk?task=follow_up")
        steps = page.locator("#work li.item")
        expect(steps).to_have_count(5)
        # Of five that are late the longest waiting is the first; j goes to its action, also with a Chinese keyboard on.
        page.keyboard.press("j")
        expect(steps.nth(0).get_by_role("link", name=said("Note a contact"))).to_be_focused()
        expect(steps.nth(0)).to_contain_text("回電 0")
        page.evaluate(
            """() => document.activeElement.dispatchEvent(new KeyboardEvent("keydown",
            {key: "Process", code: "KeyJ", keyCode: 229, bubbles: true, cancelable: true}))"""
        )
        expect(steps.nth(1).get_by_role("link", name=said("Note a contact"))).to_be_focused()
        page.keyboard.press("k")
        page.keyboard.press("Enter")
        form = steps.nth(0).locator("form")
        expect(form.locator("select").first).to_be_focused()
        # In a field keys are letters, and what an input method composes moves nothing.
        form.get_by_label(said("Note, for your alliance only")).focus()
        page.keyboard.insert_text("電話聯繫")
        page.keyboard.press("j")
        expect(form.get_by_label(said("Note, for your alliance only"))).to_have_value("電話聯繫j")
        page.keyboard.press("Control+Enter")
        form.get_by_role("button", name=said("Note the contact")).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text(said("The contact is noted."))
        expect(steps).to_have_count(4)
        # The second one is for tomorrow, the third a colleague's.
        page.keyboard.press("j")
        page.keyboard.press("s")
        expect(page.locator("#work .more button").first).to_be_focused()
        assert accessibility_faults(page) == []
        keep_screenshot(page, f"desk-later-{lang}-{width}")
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text(
            said("Put off: it is back on its day, or when something happens to it.")
        )
        expect(steps).to_have_count(3)
        page.keyboard.press("j")
        page.keyboard.press("s")
        more = page.locator("#work .more")
        more.locator("select").focus()
        page.keyboard.press("e")
        more.get_by_role("button", name=said("Hand on")).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text(said("Handed on; your colleague is told."))
        take_up_all(colleague)
        # And on Tuesday what was put off is there to be taken back.
        page = colleague.open("/desk?put_off=true")
        expect(page.locator("#work li.item")).to_have_count(1)
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text(said("It is on your list again."))
        finish(server)


def test_a_view_is_kept_and_the_list_acts_at_once(browser: Browser, server: Served) -> None:
    company_with_need(server, "co-1-7", "一個檢視的需求")
    with browsing(browser, server, "expert", "zh-Hant") as expert:
        page = expert.open("/needs")
        expect(page.get_by_text("儲存此檢視")).to_have_count(0)
        page.get_by_label("狀態").select_option(label="已提交")
        expect(page).to_have_url(re.compile("state=submitted"))
        page.get_by_text("儲存此檢視").click()
        page.get_by_label("檢視名稱").fill("還沒受理的")
        page.get_by_role("button", name="儲存", exact=True).click()
        expect(page.get_by_text("已儲存檢視")).to_be_visible()
        assert accessibility_faults(page) == []
        page = expert.open("/needs")
        page.get_by_role("link", name="還沒受理的").click()
        expect(page).to_have_url(server.url + "/needs?state=submitted")
        page.get_by_role("link", name="等候天數").click()
        expect(page.get_by_role("columnheader", name="等候天數")).to_have_attribute("aria-sort", "ascending")
        # A table whose rows are all on the page sorts itself, by keyboard too; what is missing comes last.
        page = expert.open("/map/taiwan")
        companies = page.locator("table.places td:nth-child(3)")
        before = companies.all_inner_texts()
        for way in ("ascending", "descending"):
            page.get_by_role("button", name="企業", exact=True).press("Enter")
            expect(page.get_by_role("columnheader", name="企業", exact=True)).to_have_attribute("aria-sort", way)
            found = [int(text) for text in companies.all_inner_texts()]
            assert found == sorted(map(int, before), reverse=way == "descending")
        assert len(set(before)) > 1
        assert accessibility_faults(page) == []
        page = expert.open("/needs?state=submitted")
        page.get_by_role("button", name="移除檢視「還沒受理的」").click()
        expect(page.get_by_text("已移除檢視")).to_be_visible()
        expect(page.get_by_role("link", name="還沒受理的")).to_have_count(0)


def test_whose_something_is_changes_in_its_cell(server: Served) -> None:
    need_id = company_with_need(server, "co-1-8", "換人負責的需求")
    done(server, "expert", "POST", f"/api/needs/{need_id}/take-up")
    with visiting(server, "lead", "en") as lead:
        page = lead.open("/needs?q=換人負責的需求")
        cell = page.get_by_role("row").filter(has_text="換人負責的需求").locator("details.whose")
        expect(cell.locator("summary")).to_have_text("expert")
        cell.locator("summary").click()
        cell.locator("select").select_option(label="colleague")
        cell.get_by_role("button", name="Hand on").click()
        expect(page.get_by_text("Handed on; your colleague is told.")).to_be_visible()
        assert page.url.startswith(server.url + "/needs?q=")
        expect(page.locator("details.whose summary").first).to_have_text("colleague")
        expect(lead.open(f"/needs/{need_id}").locator("details.whose summary")).to_have_text("colleague")
    with visiting(server, "colleague", "en") as colleague:
        expect(colleague.open("/notices").get_by_text("A colleague handed you a need")).to_have_count(1)
    # Whoever only reads changes nothing.
    with visiting(server, "office", "en") as office:
        assert office.open("/needs?q=換人負責的需求").locator("details.whose").count() == 0
