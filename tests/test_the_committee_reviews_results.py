"""The committee's review in pages: return, check, recognise, tell apart, two people, conflicts, the keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_work import ENTRIES, add_reviewers, counted, ok, report, send
from tests.rig.servers.visits import expect, visiting

ATTACK = "<img src=x onerror=document.title='xss'>\"'><script>document.title='xss'</script>"
BUTTONS = {
    "en": {
        "return": "Return to the alliance",
        "missing": "What is missing",
        "check": "Check: the evidence bears it out",
        "recognise": "Recognise",
        "apart": "Tell apart",
        "other": "Why it is another result",
        "move": "Move that it be recognised",
        "agree": "Agree as the second person",
        "drop": "Drop the motion",
        "dropped": "Why it is dropped",
        "reverse": "Move that it be reversed",
        "wrong": "Why it was wrong",
        "differs": "differs",
    },
    "zh-Hant": {
        "return": "退回聯盟補件",
        "missing": "須補件事項",
        "check": "查核：佐證足以支持",
        "recognise": "認列",
        "apart": "確認為不同成果",
        "other": "為何是不同的成果",
        "move": "提案認列",
        "agree": "以第二人身分同意",
        "drop": "撤銷提案",
        "dropped": "撤銷提案的理由",
        "reverse": "提案沖銷",
        "wrong": "沖銷的理由",
        "differs": "不同",
    },
}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("review") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        add_reviewers(server)
        yield server


def _press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize("lang", LANGS)
def test_a_result_is_returned_supplemented_checked_and_recognised(server: Served, lang: str) -> None:
    with visiting(server, "committee", lang) as somebody:
        page = somebody.open("/review")
        _reviewed(page, server, lang, lambda: page.get_by_label(BUTTONS[lang]["missing"]).not_required())


def test_a_result_is_reviewed_in_place(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "committee", "en") as somebody:
        page = somebody.open("/review")
        field = page.get_by_label(BUTTONS["en"]["missing"])
        _reviewed(page, server, "en", lambda: field.evaluate("one => one.removeAttribute('required')"), "place")


def _reviewed(page: Any, server: Served, lang: str, let_it_be_empty: Callable[[], None], where: str = "story") -> None:
    """Go with a result from the queue to the figure."""
    words, entry_id = BUTTONS[lang], f"{where}-{lang}"
    report(server, entry_id, f"故事{where}{lang}公司")
    before = counted(server)
    page.reload()
    page.locator(f'a.opens[href="/review/{entry_id}"]').click()
    expect(page.locator("pre.excerpt")).to_contain_text("第一條 甲方委託乙方研究。")
    let_it_be_empty()
    _press(page, words["return"])
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.get_by_label(words["missing"]).get_attribute("aria-invalid") == "true"
    page.get_by_label(words["missing"]).fill("請補付款證明")
    _press(page, words["return"])
    page.goto(f"{server.url}/review/{entry_id}")
    expect(page.locator(".timeline")).to_contain_text("請補付款證明")
    expect(page.get_by_role("button", name=words["check"])).to_have_count(0)

    more = {"text": "付款證明如附件", "evidence": [{"url": "https://receipts.gloria-alliance.tw/1", "name": "收據"}]}
    ok(server.ask("expert", "POST", f"{ENTRIES}/{entry_id}/supplement", json=more))
    page.reload()
    expect(page.get_by_role("link", name="收據")).to_have_attribute("href", "https://receipts.gloria-alliance.tw/1")
    _press(page, words["check"])
    assert counted(server) == before
    # Who checked does not recognise.
    expect(page.get_by_role("button", name=words["recognise"], exact=True)).to_have_count(0)
    expect(page.locator(".verdicts")).to_contain_text({"en": "You checked this", "zh-Hant": "由您查核"}[lang])
    with visiting(server, "office", lang) as office:
        _press(office.open(f"/review/{entry_id}"), words["recognise"])
        assert office.page.url != f"{server.url}/review/{entry_id}"
    assert counted(server) == before + 1_000_000
    page.goto(f"{server.url}/results/{entry_id}")
    states = page.locator(".timeline .what strong").all_inner_texts()
    assert len(states) == 5
    expect(page.locator(".timeline")).to_contain_text("committee")
    quarter = {"en": "2019Q2", "zh-Hant": "108 年第 2 季"}[lang]
    expect(page.locator("dl.facts").filter(has_text=quarter).first).to_be_visible()


@pytest.mark.parametrize("lang", LANGS)
def test_a_look_alike_is_told_apart_by_the_office(server: Served, lang: str) -> None:
    words, one, two = BUTTONS[lang], f"alike-{lang}-1", f"alike-{lang}-2"
    report(server, one, f"雙生{lang}公司")
    twin = report(server, two, f"雙生{lang}股份有限公司", details={"contract": f"Z-{lang}"}, occurred_on="2019-05-09")
    assert twin["state"] == "held"
    with visiting(server, "committee", lang) as somebody:
        page = somebody.open(f"/review/{two}")
        expect(page.get_by_role("button", name=words["apart"])).to_have_count(0)
    with visiting(server, "office", lang) as somebody:
        page = somebody.open(f"/review/{two}?kpi=L&state=held")
        row = page.locator("table.beside tr").filter(has_text=f"Z-{lang}")
        expect(row).to_contain_text(f"C-{one}")
        expect(row.locator("strong")).to_have_text(words["differs"])
        expect(page.locator("table.beside tr").filter(has_text="1,000,000").locator("strong")).to_have_count(0)
        page.get_by_label(words["other"]).fill("兩份合約兩次付款")
        _press(page, words["apart"])
        expect(page.locator(".timeline")).to_contain_text("兩份合約兩次付款")
    assert ok(server.ask("office", "GET", f"{ENTRIES}/{two}"))["state"] == "reported"


@pytest.mark.parametrize("lang", LANGS)
def test_large_money_and_reversals_take_two_people(server: Served, lang: str) -> None:
    words, entry_id = BUTTONS[lang], f"large-{lang}"
    report(server, entry_id, f"大額{lang}公司", amount=6_000_000)
    ok(server.ask("committee", "POST", f"{ENTRIES}/{entry_id}/check", json={}))
    before = counted(server)
    with visiting(server, "office", lang) as first, visiting(server, "second_office", lang) as second:
        page = first.open(f"/review/{entry_id}")
        _press(page, words["move"])
        page.goto(f"{server.url}/review/{entry_id}")
        expect(page.get_by_role("button", name=words["agree"])).to_have_count(0)
        assert counted(server) == before
        card = second.open("/review/motions").locator("li.card").filter(has_text="6,000,000")
        card.get_by_label(words["dropped"]).fill("再核一次")
        card.get_by_role("button", name=words["drop"]).click()
        page.reload()
        expect(page.locator(".timeline")).to_contain_text("再核一次")
        _press(page, words["move"])
        page = second.open("/review/motions")
        page.locator("li.card").filter(has_text="6,000,000").get_by_role("button", name=words["agree"]).click()
        expect(page).to_have_url(server.url + "/review/motions")
        assert counted(server) == before + 6_000_000

        page = first.open(f"/review/{entry_id}")
        page.get_by_label(words["wrong"]).fill("金額填錯")
        _press(page, words["reverse"])
        page = second.open(f"/review/{entry_id}")
        _press(page, words["agree"])
        expect(page).to_have_url(f"{server.url}/review/{entry_id}")
        assert counted(server) == before
        page.goto(f"{server.url}/results/{entry_id}")
        page.locator(f'a[href="/results/{entry_id}-reversal"]').click()
        expect(page.locator("h1")).to_contain_text("−")
        expect(page.locator(f'a[href="/results/{entry_id}"]')).to_be_visible()


@pytest.mark.parametrize("lang", LANGS)
def test_who_reported_or_has_a_stake_is_told_why_no_form_is_there(server: Served, lang: str) -> None:
    report(server, f"own-{lang}-0001", f"自報{lang}公司", who="both")
    # Not the same amount twice from one company, which would hold the second one.
    amount = {"en": 3_000_000, "zh-Hant": 4_000_000}[lang]
    report(server, f"stake-{lang}-01", f"持股{lang}公司", company_id="co-1-1", amount=amount)
    said = {
        "en": ("You reported this result", "You declared a stake"),
        "zh-Hant": ("這項成果由您填報", "有利益申報"),
    }
    for who, entry_id, why in (
        ("both", f"own-{lang}-0001", said[lang][0]),
        ("stakeholder", f"stake-{lang}-01", said[lang][1]),
    ):
        with visiting(server, who, lang) as somebody:
            page = somebody.open(f"/review/{entry_id}")
            expect(page.locator(".verdicts")).to_contain_text(why)
            expect(page.locator(".verdicts form")).to_have_count(0)
    # The control: another member of the same committee is offered them.
    with visiting(server, "committee", lang) as somebody:
        page = somebody.open(f"/review/stake-{lang}-01")
        expect(page.locator(".verdicts form")).to_have_count(3)


def test_what_is_missing_is_said_in_queue_and_checklist(server: Served) -> None:
    report(server, "bare-0001", "空白公司", value_added="", evidence=[], school_id="yltu")
    with visiting(server, "committee", "en") as somebody:
        row = somebody.open("/review").locator(".queue li").filter(has_text="空白公司")
        expect(row).to_contain_text("added value not said")
        expect(row).to_contain_text("no evidence")
        expect(row).to_contain_text("school's total missing")
        row.locator("a.opens").click()
        expect(somebody.page.locator("li.unmet")).to_have_count(3)
        _press(somebody.page, BUTTONS["en"]["check"])
        with visiting(server, "office", "en") as office:
            page = office.open("/review/bare-0001")
            expect(page.get_by_role("button", name="Recognise", exact=True)).to_be_disabled()
        somebody.page.goto(server.url + "/review?kpi=C")
        expect(somebody.page.locator(".empty")).to_contain_text("Nothing waits under these filters.")


def test_the_queue_is_gone_through_by_keyboard(browser: Browser, server: Served) -> None:
    for number in (1, 2, 3):
        report(server, f"keys-000{number}", f"按鍵{number * 111}號行", shares={"al-b": 10_000}, who="stranger")
    with browsing(browser, server, "office", "en") as somebody:
        page = somebody.open("/review?alliance=al-b")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("Enter")
        expect(page).to_have_url(server.url + "/review/keys-0001?alliance=al-b")
        page.keyboard.press("j")
        expect(page).to_have_url(server.url + "/review/keys-0002?alliance=al-b")
        page.get_by_label("What is missing").press_sequentially("jk")
        expect(page).to_have_url(server.url + "/review/keys-0002?alliance=al-b")
        expect(page.get_by_text("2 of 3 in the queue")).to_be_visible()
        _press(page, "Return to the alliance")
        # After a verdict the next one of the same queue.
        expect(page).to_have_url(server.url + "/review/keys-0003?alliance=al-b")
        page.keyboard.press("k")
        expect(page).to_have_url(server.url + "/review/keys-0001?alliance=al-b")
    with browsing(browser, server, "committee", "en") as somebody:
        somebody.page.goto(server.url + "/review/keys-0001")
        expect(somebody.page.locator("h1")).to_have_text(re.compile("There is no such page"))


def _attacked(server: Served) -> list[str]:
    """Report results with an attack in every text; return their ids."""
    text = send(server, f"{ATTACK}\n</pre>".encode())
    picture = send(server, b"\x89PNG\r\n\x1a\n" + ATTACK.encode())
    page = send(server, b"%PDF-1.7 " + ATTACK.encode())
    proofs = [{"sha256": digest, "name": ATTACK} for digest in (text, picture, page)]
    proofs.append({"url": "https://example.org/?q=<script>", "name": ATTACK})
    report(
        server, "attack-0001", ATTACK, details={"contract": ATTACK}, value_added=ATTACK, evidence=proofs, amount=77_000
    )
    twin = {"contract": f"other {ATTACK}"}
    report(server, "attack-0002", ATTACK, details=twin, value_added=ATTACK, evidence=proofs, amount=77_000)
    model = {
        "reference": ATTACK,
        "title": ATTACK,
        "aspects": dict.fromkeys(
            ("commercial_use", "international", "capacity", "self_operation", "industry_lead", "integration"), ATTACK
        ),
    }
    report(server, "attack-0003", "", kpi="model_cases", amount=1, details_of=model, evidence=proofs)
    case = {"reference": ATTACK, "partner": ATTACK, "partner_country": "DE", "basis": "foreign_partner"}
    report(server, "attack-0004", "", kpi="T", amount=1, details_of=case, evidence=proofs)
    ok(server.ask("committee", "POST", f"{ENTRIES}/attack-0001/return", json={"reason": ATTACK}))
    ok(server.ask("expert", "POST", f"{ENTRIES}/attack-0001/supplement", json={"text": ATTACK, "evidence": proofs}))
    claim = {"programme": "patent", "kpi": "L", "claimant": ATTACK, "reference": ATTACK, "party": ATTACK}
    ok(server.ask("office", "POST", "/api/ledger/external-claims", json=claim), 201)
    total = {"school_id": "ysu", "year": 107, "amount_ntd": 1, "source": ATTACK}
    ok(server.ask("office", "POST", "/api/ledger/school-totals", json=total), 201)
    report(server, "attack-0005", "厚德公司", amount=9_000_000)
    ok(server.ask("committee", "POST", f"{ENTRIES}/attack-0005/check", json={"note": ATTACK}))
    ok(server.ask("office", "POST", f"{ENTRIES}/attack-0005/recognise", json={"note": ATTACK}))
    return [f"attack-000{number}" for number in range(1, 6)]


def test_no_text_of_a_result_is_live(browser: Browser, server: Served) -> None:
    ids = _attacked(server)
    paths = [f"/{folder}/{one}" for one in ids for folder in ("results", "review")]
    with visiting(server, "office", "en") as somebody:
        for path in [*paths, "/review", "/review/motions", "/review/totals", "/review/claims", "/review/periods"]:
            page = somebody.open(path)
            assert "xss" not in page.title()
            assert page.locator("main img, main script, main object, main iframe, main embed").count() == 0
            if path.startswith("/results/attack-0001"):
                assert page.get_by_text(ATTACK).count() > 5
                assert page.locator('main a[href^="javascript:"]').count() == 0
        page = somebody.open("/review/attack-0001")
        expect(page.locator("pre.excerpt").first).to_contain_text("<script>document.title='xss'</script>")
        file = page.get_by_role("link", name=re.compile("^Download")).nth(2).fetched()
        assert file.headers["content-disposition"].startswith("attachment")
        assert "<" not in file.headers["content-disposition"]
    # And a browser that would run it does not.
    with browsing(browser, server, "office", "en") as somebody:
        for path in ("/results/attack-0001", "/review/attack-0001", "/review/claims", "/review/totals"):
            assert "xss" not in somebody.open(path).title()


@pytest.mark.parametrize("lang", LANGS)
def test_pages_of_the_review_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    if server.ask("office", "GET", f"{ENTRIES}/shown-0001").status_code == 404:
        pdf, picture = send(server, b"%PDF-1.7 contract"), send(server, b"\x89PNG\r\n\x1a\n" + b"\0" * 3_000)
        proofs = [
            {"sha256": send(server), "name": "合約.txt"},
            {"sha256": pdf, "name": "簽約頁.pdf"},
            {"sha256": picture, "name": "現場照片.png"},
            {"url": "https://example.org/contract", "name": "公告"},
        ]
        report(server, "shown-0001", "示範精密公司", evidence=proofs, shares={"al-a": 7_500, "al-b": 2_500})
        twin = {"contract": "A-77", "purpose": "licensing"}
        report(server, "shown-0002", "示範精密股份有限公司", evidence=proofs, details=twin, occurred_on="2019-05-09")
        parts = [{"due_on": f"{year}-05-02", "amount_ntd": 400_000} for year in range(2019, 2024)]
        report(server, "parts-0001", "桂林工業", amount=2_000_000, instalments=parts)
        report(server, "large-0001", "鉅額科技", amount=8_000_000)
        ok(server.ask("committee", "POST", f"{ENTRIES}/large-0001/check", json={}))
        ok(server.ask("office", "POST", f"{ENTRIES}/large-0001/recognise", json={"note": "大額"}))
    places = {
        "review-queue": "/review",
        "review-held": "/review/shown-0002",
        "review-review": "/review/shown-0001",
        "review-instalment": "/results/parts-0001-2",
        "review-result": "/results/shown-0001",
        "review-motions": "/review/motions",
        "review-periods": "/review/periods",
        "review-totals": "/review/totals",
        "review-claims": "/review/claims",
    }
    with browsing(browser, server, "second_office", lang) as somebody:
        look_over(somebody, lang, places)
