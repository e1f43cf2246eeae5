"""A result's page leads back to what the expert saw; the office closes quarters, keeps totals and claims in pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from playwright.sync_api import Browser

from api.pages.results.entries import ASPECT_WORDS, CODE_WORDS, FIELD_WORDS, said_of
from api.pages.shell.wording import Lang, Wording
from indexer.settings import Settings
from matcher.ledger.rows.details import AnyDetails, Aspect
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_work import ENTRIES, add_reviewers, ok, report
from tests.rig.servers.visits import expect, visiting


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("quarters") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        add_reviewers(server)
        _reported_from_a_case(server)
        yield server


def _reported_from_a_case(server: Served) -> None:
    """An expert accepts a pairing, and reports its contract in five instalments."""
    (pairing,) = ok(server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=1"))["pairings"]
    word = {"verdict": "accept", "proposal_id": pairing["proposal_id"]}
    decided = ok(server.ask("expert", "POST", f"/api/pairings/{pairing['pairing_id']}/decision", json=word), 201)
    parts = [{"due_on": f"{year}-05-02", "amount_ntd": 400_000} for year in range(2019, 2024)]
    report(
        server,
        "traced-0001",
        "桂林工業",
        case_id=decided["case_id"],
        company_id="co-1-1",
        amount=2_000_000,
        instalments=parts,
    )


@pytest.mark.parametrize("lang", LANGS)
def test_a_result_leads_back_to_what_the_expert_saw(server: Served, lang: str) -> None:
    entry = ok(server.ask("expert", "GET", f"{ENTRIES}/traced-0001-2"))
    why = entry["came_from"]["proposal"]["explanation"]["for_company"]["en" if lang == "en" else "zh"]
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open("/results/traced-0001-2")
        expect(page.locator(".way")).to_contain_text(why)
        expect(page.locator(f'.way a[href="/cases/{entry["case_id"]}"]')).to_be_visible()
        expect(page.locator("main a.button[href^='/review']")).to_have_count(0)
        years = page.locator("tbody th").all_inner_texts()
        first = 2019 if lang == "en" else 108
        assert years == [str(first + number) for number in range(5)]
        page.locator('a[href="/results/traced-0001-3"]').click()
        expect(page).to_have_url(server.url + "/results/traced-0001-3")
    # The office sees case and decision; the committee that there is a case; neither what quotes the need.
    for who, cases in (("office", 1), ("committee", 0)):
        with visiting(server, who, lang) as somebody:
            page = somebody.open("/results/traced-0001-2")
            expect(page.locator("main a[href^='/cases/']")).to_have_count(cases)
            assert why not in page.locator("main").inner_text()


def test_results_of_others_are_not_there(server: Served) -> None:
    with visiting(server, "stranger", "en") as somebody:
        for path in ("/results/traced-0001-2", "/results/nothing-0001"):
            assert somebody.page.goto(server.url + path).status == 404
    with visiting(server, "company", "en") as somebody:
        assert [
            somebody.page.goto(server.url + path).status
            for path in ("/results/traced-0001-2", "/review", "/review/motions", "/review/claims")
        ] == [403] * 4
    with visiting(server, "expert", "en") as somebody:
        assert somebody.page.goto(server.url + "/review/traced-0001-2").status == 403


def test_a_program_reads_the_queue_and_what_is_missing(server: Served) -> None:
    report(server, "queue-0001", "佇列公司", value_added="", school_id="yltu")
    page = ok(server.ask("committee", "GET", "/api/ledger/review", params={"kpi": "L", "limit": 2}))
    assert [item["id"] for item in page["items"]] == ["traced-0001-1", "traced-0001-2"]
    assert page["by_state"]["reported"] >= 6
    rest = ok(server.ask("committee", "GET", "/api/ledger/review", params={"cursor": page["next"]}))["items"]
    (row,) = [item for item in rest if item["id"] == "queue-0001"]
    assert (row["missing"], row["barred"], row["takes_two"], row["age_days"]) == (
        ["value_added", "school_total"],
        None,
        False,
        0,
    )
    old = ok(server.ask("committee", "GET", "/api/ledger/review", params={"older_than_days": 1}))
    assert (old["items"], old["by_state"]) == ([], {"held": 0, "reported": 0, "checked": 0})
    review = ok(server.ask("office", "GET", f"{ENTRIES}/queue-0001/review"))
    assert [one["requirement"] for one in review["unmet"]] == ["value_added", "school_total"]
    # The committee checks, the office recognises (E16).
    assert review["verbs"] == ["return", "refuse"]
    of_committee = ok(server.ask("committee", "GET", f"{ENTRIES}/queue-0001/review"))
    assert of_committee["verbs"] == ["check", "return", "refuse"]
    assert (review["queue"]["previous"], review["queue"]["of"]) == ("traced-0001-5", review["queue"]["place"])
    assert server.ask("expert", "GET", "/api/ledger/review").status_code == 403
    one = ok(server.ask("expert", "GET", ENTRIES, params={"contract": "C-traced-0001"}))["items"]
    assert [item["id"] for item in one] == [f"traced-0001-{number}" for number in range(1, 6)]


@pytest.mark.parametrize("lang", LANGS)
def test_the_office_supplies_totals_and_notes_claims(server: Served, lang: str) -> None:
    entry_id, year = f"claimed-{lang}", 2018 + 2 * LANGS.index(lang)
    report(server, entry_id, f"認領{lang}商行", occurred_on=f"{year}-03-02")
    with visiting(server, "office", lang) as somebody:
        page = somebody.open(f"/review/{entry_id}")
        expect(page.locator("li.unmet")).to_have_count(1)
        page.locator("a[href^='/review/totals?']").click()
        form = page.locator("form[method=post][action='/review/totals']")
        form.locator("[name=amount_ntd]").fill("800000000")
        form.locator("[name=source]").fill("學校年報")
        form.locator("button").click()
        expect(page.locator("table")).to_contain_text("學校年報")
        page.goto(f"{server.url}/review/{entry_id}")
        expect(page.locator("li.unmet")).to_have_count(0)
        expect(page.locator("main")).to_contain_text("800,000,000")

        page.locator(f"a[href='/review/claims?entry={entry_id}']").click()
        form = page.locator("form[action='/review/claims']")
        form.locator("[name=programme]").select_option("patent")
        for name in ("claimant", "reference", "party"):
            form.locator(f"[name={name}]").fill(f"{name}-{lang}")
        form.locator("button").click()
        page.goto(f"{server.url}/review/{entry_id}")
        expect(page.locator("li.unmet")).to_contain_text(f"reference-{lang}")
        page.goto(server.url + "/review/claims")
        claim = page.locator("li").filter(has_text=f"reference-{lang}").filter(has=page.locator("form"))
        claim.locator("button").click()
        expect(page.locator("form[action$='/end']")).to_have_count(0)
        page.goto(f"{server.url}/review/{entry_id}")
        expect(page.locator("li.unmet")).to_have_count(0)
    ok(server.ask("expert", "POST", f"{ENTRIES}/{entry_id}/withdraw", json={"reason": "另案填報"}))


def test_a_quarter_is_closed_by_two_people(server: Served) -> None:
    with visiting(server, "office", "en") as first, visiting(server, "second_office", "en") as second:
        # The second one has no results, so no list of quarters with results names it.
        for number in range(2):
            page = first.open("/review/periods")
            card = page.locator("li.card").filter(has=page.locator("form[action$='/close']"))
            period = card.locator("h2").inner_text()
            card.locator("textarea").fill("核對完成")
            card.get_by_role("button").click()
            expect(page.locator("main")).to_contain_text("closing waits for a second person")
            if number == 0:
                expect(first.open("/review/motions").locator("form[action$='/second']")).to_have_count(0)
            page = second.open("/review/motions")
            page.locator("li.card").filter(has_text=period).locator("form[action$='/second'] button").click()
            page = second.open("/review/periods")
        closed = page.locator("li.card").filter(has=page.locator(".chip.good"))
        expect(closed.filter(has_text=period)).to_contain_text("second_office")
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/review/periods")
        expect(page.locator("form[action$='/close']")).to_have_count(0)


@pytest.mark.parametrize(
    ("who", "lang", "path"),
    [
        ("expert", "zh-Hant", "/results/traced-0001-2"),
        ("committee", "en", "/results/traced-0001-2"),
        ("second_office", "en", "/review/periods"),
    ],
)
def test_what_was_led_back_and_closed_is_accessible(
    browser: Browser, server: Served, who: str, lang: str, path: str
) -> None:
    """After the tests above: a result from a case, for who sees the way and who does not; a quarter is closed."""
    with browsing(browser, server, who, lang) as somebody:
        look_over(somebody, lang, {f"result-traced-{who}": path})


def test_every_field_of_every_kind_of_result_has_words() -> None:
    kinds = get_args(get_args(AnyDetails)[0])
    fields = {name for kind in kinds for name in kind.model_fields} - {"kpi"}
    assert sorted(fields ^ set(FIELD_WORDS)) == []
    assert set(ASPECT_WORDS) == {aspect.value for aspect in Aspect}
    zh = Wording(Lang.ZH)
    codes = [text for field, words in CODE_WORDS.items() if field != "gender" for text in words.values()]
    for text in [*FIELD_WORDS.values(), *ASPECT_WORDS.values(), *codes]:
        assert zh.text(text) != text
    given: dict[str, Any] = {"payer_country": "DE", "gender": "female", "aspects": {"capacity": "x"}, "person": None}
    assert [(one.words, one.zh) for one in said_of(given)] == [("Germany", "德國"), ("female", "女"), (None, None)]
