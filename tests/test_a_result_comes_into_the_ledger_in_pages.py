"""Results in pages: reported with files, refused where claimed, held where alike, supplemented, withdrawn."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload

from api.pages.results.forms import FIELDS, MEANINGS
from api.pages.shell.receiving import MAX_FORM_BYTES
from indexer.settings import Settings
from matcher.ledger.rows import details
from matcher.ledger.rows.kpis import RECOGNISED_KPIS, Kpi
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, accessibility_faults, browsing, keep_screenshot, look_over, session_token
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_work import LIVE, open_cases
from tests.rig.servers.visits import expect, visiting

SCHOOL = "yltu"
FILES: list[FilePayload] = [
    {"name": "合約 <b>.pdf", "mimeType": "application/pdf", "buffer": b"the contract"},
    {"name": "receipt.pdf", "mimeType": "application/pdf", "buffer": b"the receipt"},
]
WORDS = {
    "zh-Hant": ("回報", "已記入帳冊", "已填報", "缺學校總額", "這項成果已被認領", "已記入帳冊，待釐清"),
    "en": (
        "Report",
        "In the ledger",
        "reported",
        "needs the school's total",
        "This result is claimed already",
        "In the ledger, but held",
    ),
}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("results") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def money(page: Any, contract: str, payer: str, *, amount: str = "1,200,000", day: str = "2019-05-02") -> None:
    """Fill in the form of a contract's money; what a case said already is written over."""
    page.locator("#f-details_contract").fill(contract)
    page.locator("#f-details_payer").fill(payer)
    page.locator("#f-details_payer_type").select_option("company")
    page.locator("#f-details_purpose").select_option("research")
    page.locator("#f-amount").fill(amount)
    page.locator("#f-occurred_on").fill(day)
    page.locator("#f-school_id").select_option(SCHOOL)


def entries(server: Served, who: str = "expert", **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask(who, "GET", "/api/ledger/entries", params=asked).json()["items"]
    return found


def reported(server: Served, who: str, contract: str, payer: str, alliance: str, day: str = "2019-05-02") -> str:
    """Report money through the API and return the entry."""
    body = {
        "id": f"given-{contract}",
        "kpi": "L",
        "amount": 1_000_000,
        "shares": {alliance: 10_000},
        "details": {
            "contract": contract,
            "instalment": 1,
            "payer": payer,
            "payer_country": "TW",
            "payer_type": "company",
            "purpose": "research",
        },
        "occurred_on": day,
        "school_id": SCHOOL,
    }
    answer = server.ask(who, "POST", "/api/ledger/entries", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["items"][0]["id"])


@pytest.mark.parametrize("lang", LANGS)
def test_a_signed_case_becomes_a_result_with_two_files(server: Served, lang: str) -> None:
    (case_id,) = open_cases(server, 1)
    for stage in ("introduced", "negotiating", "signed"):
        assert server.ask("expert", "POST", f"/api/cases/{case_id}/transition", json={"stage": stage}).is_success
    report, in_ledger, state, lacks, *_ = WORDS[lang]
    contract = f"C-{lang}"
    # The same papers or the same sum of the same company would hold the second one.
    files: list[FilePayload] = [{**file, "buffer": file["buffer"] + lang.encode()} for file in FILES]
    amount = {"en": "3,400,000"}.get(lang, "1,200,000")
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(f"/results/new?case={case_id}")
        page.locator("a[href$='kpi=L']").click()
        assert page.locator("#f-alliance-1").input_value() == "al-a"
        assert page.locator("#f-percent-1").input_value() == "100"
        assert page.locator("#f-company_id").input_value() == "co-1-1"
        money(page, contract, f"甲公司 {lang} {LIVE}", amount=amount, day={"en": "2020-08-20"}.get(lang, "2019-05-02"))
        page.locator("#f-value_added").fill(f"三月三日媒合 {LIVE}")
        page.locator("#f-links").fill("https://example.org/contract")
        page.locator("#f-files").set_input_files(files)
        page.get_by_role("button", name=report, exact=True).click()
        receipt = page.locator(".receipt")
        expect(receipt.locator("h2")).to_contain_text(in_ledger)
        expect(receipt.locator("h2 .chip")).to_have_text(state)
        assert receipt.locator(".hash").all_inner_texts() == [sha256(file["buffer"]).hexdigest() for file in files]
        expect(receipt.get_by_role("link", name="合約 <b>.pdf")).to_be_visible()
        row = page.locator("tbody tr", has_text=contract)
        expect(row).to_contain_text(lacks)
        expect(row.locator("td .chip", has_text=state)).to_be_visible()
        expect(row.locator("td.amount").last).to_have_text("3")
        assert page.title() != "xss"
    (entry,) = entries(server, case=case_id, kpi="L")
    assert (entry["amount"], entry["shares"], entry["state"]) == (
        int(amount.replace(",", "")),
        {"al-a": 10_000},
        "reported",
    )
    assert [item.get("name") for item in entry["evidence"]] == ["合約 <b>.pdf", "receipt.pdf", ""]
    assert entry["lacks"] == ["school_total"]


@pytest.mark.parametrize("lang", LANGS)
def test_a_result_that_is_claimed_is_refused_beside_the_other_claim(server: Served, lang: str) -> None:
    claimed = WORDS[lang][4]
    own = reported(server, "colleague", f"T-{lang}", f"丙公司{lang}", "al-a", "2018-03-01")
    reported(server, "stranger", f"S-{lang}", f"丁公司{lang}", "al-b", "2018-06-01")
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open("/results/new?kpi=L")
        money(page, f"T-{lang}", "丙公司")
        page.locator("#f-files").set_input_files(FILES[:1])
        page.get_by_role("button", name=WORDS[lang][0], exact=True).click()
        expect(page.get_by_role("heading", name=claimed)).to_be_visible()
        expect(page.locator(f".side a[href='/results/{own}']")).to_be_visible()
        # What was typed and the file are there again; only what tells the results apart is mended.
        assert page.locator("#f-details_contract").input_value() == f"T-{lang}"
        expect(page.locator("fieldset .hash")).to_have_text(sha256(FILES[0]["buffer"]).hexdigest())
        # Of another alliance's entry only whose it is.
        page.locator("#f-details_contract").fill(f"S-{lang}")
        page.get_by_role("button", name=WORDS[lang][0], exact=True).click()
        expect(page.locator(".side .card").last).to_contain_text("乙聯盟")
        assert "丁公司" not in page.locator(".side .card").last.inner_text()
        page.locator("#f-details_contract").fill(f"N-{lang}")
        page.locator("#f-details_payer").fill(f"全然不同{lang}")
        page.get_by_role("button", name=WORDS[lang][0], exact=True).click()
        expect(page.locator(".receipt .hash")).to_have_text(sha256(FILES[0]["buffer"]).hexdigest())


def test_what_looks_alike_is_held_and_shown_side_by_side(server: Served) -> None:
    reported(server, "colleague", "A-1", "戊科技股份有限公司", "al-a", "2017-10-02")
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/results/new?kpi=L")
        money(page, "A-2", "戊科技有限公司", amount="1,000,000", day="2017-10-03")
        page.get_by_role("button", name="Report", exact=True).click()
        expect(page.locator(".receipt h2")).to_contain_text("In the ledger, but held")
        expect(page.locator(".receipt .side .card")).to_have_count(2)
        row = page.locator("tbody tr", has_text="A-2")
        row.get_by_role("link", name="Withdraw").click()
        page.get_by_label("Why").fill(LIVE)
        page.get_by_role("button", name="Withdraw").click()
        expect(page.locator("tbody tr", has_text="A-2")).to_contain_text("withdrawn")
        assert page.title() != "xss"


def test_a_contract_with_instalments_and_shares(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/results/new?kpi=L")
        money(page, "I-1", "己公司", amount="3,000,000", day="2018-01-05")
        page.locator("summary", has_text="Paid later or in instalments").click()
        page.locator("#f-files").set_input_files(FILES[1:])
        page.get_by_role("button", name="More lines").click()
        # The file that was chosen is not lost with the page.
        expect(page.locator("fieldset .hash")).to_have_text(sha256(FILES[1]["buffer"]).hexdigest())
        # Chosen again under another name it is said to be the same, and kept once.
        page.locator("#f-files").set_input_files([{**FILES[1], "name": "copy.pdf"}])
        page.get_by_role("button", name="More lines").click()
        expect(page.get_by_role("alert")).to_contain_text("copy.pdf = receipt.pdf")
        expect(page.locator("fieldset .hash")).to_have_text(sha256(FILES[1]["buffer"]).hexdigest())
        for row, (day, part) in enumerate([("2018-02-01", "1,000,000"), ("2019-02-01", "1,500,000")], 5):
            page.locator(f"#f-due_on-{row}").fill(day)
            page.locator(f"#f-part_ntd-{row}").fill(part)
        page.locator("#f-percent-1").fill("33.33")
        page.locator("#f-alliance-2").select_option("al-b")
        page.locator("#f-percent-2").fill("66.675")
        page.get_by_role("button", name="Report", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("with two decimals at most")
        page.locator("#f-percent-2").fill("66.67 %")
        page.get_by_role("button", name="Report", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("the instalments do not sum to the contract's total")
        page.locator("#f-part_ntd-6").fill("2000000")
        page.get_by_role("button", name="Report", exact=True).click()
        expect(page.locator(".receipt")).to_have_count(2)
    found = [one for one in entries(server, limit=100) if one["details"].get("contract") == "I-1"]
    assert [(one["amount"], one["counts_on"], one["shares"]) for one in found] == [
        (1_000_000, "2018-02-01", {"al-a": 3333, "al-b": 6667}),
        (2_000_000, "2019-02-01", {"al-a": 3333, "al-b": 6667}),
    ]


def test_a_person_is_known_by_pseudonym_only(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/results/new?kpi=C")
        page.get_by_label("Name", exact=False).first.fill("歐陽測試")
        page.get_by_label("What tells people of one name apart").fill("B06123456")
        page.get_by_label("Training programme").fill("產業實習")
        page.get_by_label("Year of the training").fill("2019")
        page.locator("#f-occurred_on").fill("2031-05-02")
        page.locator("#f-school_id").select_option(SCHOOL)
        page.get_by_role("button", name="Report", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("a result has happened")
        assert "歐陽測試" not in page.content()
        page.locator("#f-occurred_on").fill("2019-05-02")
        page.get_by_role("button", name="Report", exact=True).click()
        expect(page.locator(".receipt h2")).to_contain_text("In the ledger")
    (entry,) = entries(server, kpi="C")
    assert re.fullmatch(r"p-[0-9a-f]{16}", entry["details"]["person"])
    assert "歐陽測試" not in server.log.read_text()


def test_a_returned_result_is_supplemented(server: Served) -> None:
    entry_id = reported(server, "expert", "R-1", "庚公司", "al-a", "2019-11-30")
    reason = {"reason": f"請補收據 {LIVE}"}
    assert server.ask("committee", "POST", f"/api/ledger/entries/{entry_id}/return", json=reason).status_code == 200
    with visiting(server, "colleague", "en") as somebody:
        page = somebody.open("/results?state=returned")
        row = page.locator("tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("returned: needs a supplement")
        expect(row).to_contain_text("needs evidence")
        row.get_by_role("link", name="Supplement").click()
        expect(page.locator(".said")).to_have_text(reason["reason"])
        page.get_by_label("Your answer").fill(f"補上 {LIVE}")
        page.locator("#f-files").set_input_files(FILES[1:])
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".receipt .hash")).to_have_text(sha256(FILES[1]["buffer"]).hexdigest())
        assert "needs evidence" not in page.locator(".receipt").inner_text()
        # Returned once more: the same file under another name is said to be there, another one is taken.
        assert server.ask("committee", "POST", f"/api/ledger/entries/{entry_id}/return", json=reason).status_code == 200
        page = somebody.open(f"/results/{entry_id}/supplement")
        page.get_by_label("Your answer").fill("再補")
        page.locator("#f-files").set_input_files([FILES[1] | {"name": "又一份.pdf"}])
        page.get_by_role("button", name="Send").click()
        twice = f"the same file, byte for byte, is kept once: 又一份.pdf = {FILES[1]['name']}"
        expect(page.locator("#f-evidence .error")).to_contain_text(twice)
        page.locator("#f-files").set_input_files(FILES[:1])
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".receipt .hash").last).to_have_text(sha256(FILES[0]["buffer"]).hexdigest())
    document = server.ask("expert", "GET", f"/api/ledger/entries/{entry_id}").json()
    assert [step["state"] for step in document["steps"]] == ["reported", *["returned", "reported"] * 2]
    assert document["lacks"] == ["value_added", "school_total"]


@pytest.mark.parametrize("lang", LANGS)
def test_the_pages_of_results_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    """After the tests above: there are results that are held, returned and full of what must not be live."""
    (case_id,) = open_cases(server, 1)
    places = {
        "results": "/results",
        "results-period": "/results?period=2001Q1",
        "results-choose": f"/results/new?case={case_id}",
        **{f"results-new-{kpi}": f"/results/new?kpi={kpi}" for kpi in ("L", "C", "model_cases")},
    }
    with browsing(browser, server, "expert", lang) as somebody:
        look_over(somebody, lang, places)


def test_a_result_is_reported_with_a_file_in_a_browser(browser: Browser, server: Served) -> None:
    """What stands around the form changes with it: the receipt, and the sides of what looks alike."""
    reported(server, "colleague", "B-1", "辛科技股份有限公司", "al-a", "2018-10-02")
    with browsing(browser, server, "expert") as somebody:
        page = somebody.open("/results/new?kpi=L")
        money(page, "B-2", f"辛科技有限公司 {LIVE}", amount="1,000,000", day="2018-10-03")
        page.locator("#f-files").set_input_files(FILES)
        page.get_by_role("button", name=WORDS["zh-Hant"][0], exact=True).click()
        receipt = page.locator(".receipt")
        expect(receipt.locator("h2")).to_contain_text(WORDS["zh-Hant"][1])
        assert receipt.locator(".hash").all_inner_texts() == [sha256(file["buffer"]).hexdigest() for file in FILES]
        assert accessibility_faults(page) == []
        keep_screenshot(page, "receipt-zh-Hant")
        page = somebody.open("/results/new?kpi=L")
        money(page, "B-3", "辛科技有限公司", amount="1,000,000", day="2018-10-03")
        page.get_by_role("button", name=WORDS["zh-Hant"][0], exact=True).click()
        expect(page.locator(".receipt .side .card")).not_to_have_count(0)
        assert accessibility_faults(page) == []
        keep_screenshot(page, "held-zh-Hant")
        assert page.title() != "xss"


def _form(server: Served, who: str, headers: dict[str, str], body: bytes, announced: int) -> bytes:
    """Announce a form, send what there is of it, and return how the server answers."""
    at = urlsplit(server.url)
    with socket.create_connection((at.hostname, at.port), timeout=20) as connection:
        lines = [
            "POST /results/new HTTP/1.1",
            "Host: x",
            *(f"{name}: {value}" for name, value in headers.items()),
            "Content-Type: multipart/form-data; boundary=x",
            f"Content-Length: {announced}",
            "",
            "",
        ]
        connection.sendall("\r\n".join(lines).encode() + body)
        return connection.recv(12)


def test_files_come_only_from_who_may_send_them(server: Served) -> None:
    def asked(who: str, announced: int, **more: str) -> bytes:
        headers = {"Cookie": f"__Host-gloria={session_token(server, who)}", **more}
        return _form(server, who, headers, b"", announced)

    size = MAX_FORM_BYTES
    # Each is answered before a byte of the form is there.
    assert asked("company", size) == b"HTTP/1.1 403"
    assert asked("expert", size + 1) == b"HTTP/1.1 413"
    assert asked("expert", size, **{"Sec-Fetch-Site": "cross-site"}) == b"HTTP/1.1 403"
    assert _form(server, "", {"Cookie": "__Host-gloria=none"}, b"", size) == b"HTTP/1.1 303"
    # And whose form has the wrong token stores nothing of it.
    stored = sorted((server.settings.home / "evidence").rglob("*"))
    cookie = {"Cookie": f"__Host-gloria={session_token(server, 'expert')}"}
    form = {"kpi": "L", "csrf_token": "x"}
    forged = httpx.post(server.url + "/results/new", data=form, files={"files": ("a", b"forged")}, headers=cookie)
    assert forged.status_code == 403
    assert sorted((server.settings.home / "evidence").rglob("*")) == stored


def test_the_form_asks_exactly_for_what_a_figure_needs() -> None:
    models = {model.model_fields["kpi"].default: model for model in details.Details.__subclasses__()}
    for kpi in RECOGNISED_KPIS:
        asked = {one.name for one in FIELDS[kpi]} | {"kpi"} | ({"company_name"} if kpi is Kpi.MEMBERS else set())
        assert asked == set(models[kpi].model_fields), kpi
        required = {name for name, field in models[kpi].model_fields.items() if field.is_required()}
        assert required <= {one.name for one in FIELDS[kpi] if one.required} | {"company_name"}, kpi
    assert set(FIELDS) == set(MEANINGS) == set(RECOGNISED_KPIS)


def test_a_result_of_two_schools_is_reported_and_its_month_confirmed(server: Served) -> None:
    with visiting(server, "expert") as somebody:
        page = somebody.open("/results/new?kpi=L")
        money(page, "C-two", "兩校公司", amount="2,000,000", day="2019-11-02")
        page.locator("summary", has_text="由數校共同完成").click()
        page.locator("#f-school-2").select_option("ysu")
        page.locator("#f-school_percent-2").fill("100")
        page.get_by_role("button", name="回報", exact=True).click()
        expect(page.locator("#f-school_shares .error")).to_contain_text("合計須少於 100%")
        assert page.locator("#f-school-2").input_value() == "ysu"
        page.locator("#f-school_percent-2").fill("37.5")
        page.get_by_role("button", name="回報", exact=True).click()
        expect(page.locator(".receipt h2")).to_contain_text("已記入帳冊")
        (entry,) = [one for one in entries(server, kpi="L") if one["details"]["contract"] == "C-two"]
        assert entry["school_shares"] == {SCHOOL: 6_250, "ysu": 3_750}
        shown = somebody.open(f"/results/{entry['id']}")
        expect(shown.locator("dl.facts").first).to_contain_text("62.50 %")
        assert somebody.open("/months/al-a").get_by_role("button", name="確認本月").count() == 0
    with visiting(server, "lead") as somebody:
        page = somebody.open("/months")
        page.locator("tbody a").first.click()
        page.locator("#f-achievements").fill(f"兩校合作 {LIVE}")
        page.get_by_role("button", name="確認本月").click()
        expect(page.locator(".chip.good").first).to_have_text("已確認")
        assert page.get_by_role("button", name="再次確認本月").count() == 1
    with visiting(server, "committee") as somebody:
        assert "兩校合作" in somebody.open("/months/al-a").content()
    assert server.ask("stranger", "GET", "/api/alliances/al-a/month").status_code == 404
