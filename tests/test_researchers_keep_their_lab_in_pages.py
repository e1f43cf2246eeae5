"""A researcher's pages: profile, evidence, preview and demand; and an edit that changes the rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.review.intake import adopt
from tests.conftest import Databases, Gloria
from tests.rig.servers.browsers import LANGS, accessibility_faults, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

LIVE = "<img src=x onerror=\"document.title='xss'\">\"'><script>document.title='xss'</script>"
LAB, NEED = "lab-1-01", "need-1-01"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("lab") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def ranks(server: Served) -> dict[str, int]:
    found = server.ask("expert", "GET", f"/api/needs/{NEED}/matches?top=100").json()["pairings"]
    return {one["lab_id"]: one["rank"] for one in found}


def evidence(server: Served, lab_id: str = LAB) -> list[tuple[str, float]]:
    items = server.ask("office", "GET", f"/api/labs/{lab_id}").json()["evidence"]
    return [(item["id"], item["weight"]) for item in items]


@pytest.mark.parametrize("lang", LANGS)
def test_evidence_is_moved_and_retired(server: Served, lang: str) -> None:
    with visiting(server, "researcher", lang) as somebody:
        _moved_and_retired(somebody.open("/my-lab"), server, lang)


def test_evidence_is_moved_and_retired_by_keyboard(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "researcher") as somebody:
        page = somebody.open("/my-lab")
        _moved_and_retired(page, server, "zh-Hant", lambda button: expect(button).to_be_focused())


def _moved_and_retired(page: Any, server: Served, lang: str, has_stayed: Callable[[Any], None] | None = None) -> None:
    before = evidence(server)
    down, up, retire, back = {
        "zh-Hant": ("下移", "上移", "停用", "恢復"),
        "en": ("down", "up", "retire", "bring back"),
    }[lang]
    first = page.locator("#evidence li").first
    title = first.locator("strong").inner_text()
    first.get_by_role("button", name=down).press("Enter")
    second = page.locator("#evidence li").nth(1)
    expect(second.locator("strong")).to_have_text(title)
    assert evidence(server) == [before[1], before[0], *before[2:]]
    if has_stayed is not None:
        has_stayed(second.get_by_role("button", name=down))
    second.get_by_role("button", name=retire).click()
    expect(second.get_by_role("button", name=back)).to_be_visible()
    assert evidence(server)[1] == (before[0][0], 0.0)
    second.get_by_role("button", name=back).click()
    expect(second.get_by_role("button", name=retire)).to_be_visible()
    second.get_by_role("button", name=up).click()
    expect(page.locator("#evidence li").first.locator("strong")).to_have_text(title)
    # What is brought back speaks with the usual weight.
    assert evidence(server) == [(before[0][0], 1.0), *before[1:]]


def test_a_profile_is_previewed_before_it_is_stored(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "other_researcher", "en") as somebody:
        page = somebody.open("/my-lab")
        kept = page.get_by_label("English summary").input_value()
        page.get_by_label("English summary").fill(f"We grow diamonds. {LIVE}")
        page.get_by_label("What you will not do").fill(LIVE)
        with somebody.context.expect_page() as opened:
            page.get_by_role("button", name="What would an expert see?").click()
        shown = opened.value
        expect(shown.get_by_text("We grow diamonds.")).to_be_visible()
        expect(shown.get_by_text("It is not stored yet")).to_be_visible()
        assert shown.title() != "xss"
        assert accessibility_faults(shown) == []
        stored = server.ask("office", "GET", "/api/labs/lab-1-02").json()
        assert stored["summary_en"] == kept
        page.get_by_role("button", name="Store the profile").click()
        expect(page.get_by_text("Your profile is stored.")).to_be_visible()
        stored = server.ask("office", "GET", "/api/labs/lab-1-02").json()
        assert stored["summary_en"] == f"We grow diamonds. {LIVE}"
        assert stored["will_not_do"] == [LIVE]
        assert page.title() != "xss"
        page.goto(server.url + "/my-lab/lab-1-02/preview")
        expect(page.get_by_text("This is your profile as it is stored.")).to_be_visible()


def test_what_is_wrong_is_said_and_what_was_typed_is_kept(server: Served) -> None:
    with visiting(server, "researcher", "en") as somebody:
        page = somebody.open("/my-lab")
        page.get_by_label("Working languages").fill("zh, klingon")
        page.get_by_role("button", name="Store the profile").click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("Working languages")).to_have_attribute("aria-invalid", "true")
        assert page.get_by_label("Working languages").input_value() == "zh, klingon"
        # Nobody types codes, and nobody is shown them.
        page.get_by_label("Working languages").fill("中文、Japanese")
        page.get_by_role("button", name="Store the profile").click()
        assert server.ask("office", "GET", f"/api/labs/{LAB}").json()["languages"] == ["zh", "ja"]
        assert page.get_by_label("Working languages").input_value() == "Chinese, Japanese"


def test_two_windows_do_not_overwrite_each_other(server: Served) -> None:
    with visiting(server, "researcher", "en") as somebody:
        one, other = somebody.open("/my-lab"), somebody.window()
        other.goto(server.url + f"/my-lab/{LAB}")
        for page, name in ((one, "First Lab"), (other, "Second Lab")):
            page.get_by_label("English name").fill(name)
            page.get_by_role("button", name="Store the profile").click()
        expect(other.get_by_role("alert")).to_contain_text("it was changed in the meantime")
        assert server.ask("office", "GET", f"/api/labs/{LAB}").json()["name_en"] == "First Lab"


def test_demand_is_counted_and_small_counts_are_not_told(server: Served) -> None:
    answer = server.ask("researcher", "GET", f"/api/labs/{LAB}/demand").json()
    # Two needs are open: too few to tell.
    assert {row["needs"] for row in answer["fields"]} <= {None, 0}
    engine = open_engine(server.settings)
    with writing(engine) as session:
        more = [f"need-1-{n:02d}" for n in range(4, 12)]
        adopt(session, need_ids=more, alliance_id="al-a", by=None, now=datetime.now(UTC))
    engine.dispose()
    counted = server.ask("researcher", "GET", f"/api/labs/{LAB}/demand").json()
    assert max(row["needs"] or 0 for row in counted["fields"]) >= 3
    assert set(counted) == {"fewest_told", "fields", "offers"}
    with visiting(server, "researcher", "en") as somebody:
        page = somebody.open(f"/my-lab/{LAB}")
        table = page.locator("table", has_text="By your fields")
        assert table.locator("td").all_inner_texts() == [
            "fewer than 3" if row["needs"] is None else str(row["needs"]) for row in counted["fields"]
        ]
    assert server.ask("other_researcher", "GET", f"/api/labs/{LAB}/demand").status_code == 404


@pytest.mark.parametrize("lang", LANGS)
def test_pages_of_researchers_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    places = {
        "my-lab": f"/my-lab/{LAB}",
        "my-lab-preview": f"/my-lab/{LAB}/preview",
        "claims-new": "/claims/new?q=實驗室",
    }
    with browsing(browser, server, "researcher", lang) as somebody:
        look_over(somebody, lang, places)


@pytest.mark.parametrize("lang", LANGS)
def test_a_newcomer_claims_a_lab_and_becomes_its_researcher(browser: Browser, server: Served, lang: str) -> None:
    number = {"zh-Hant": "03", "en": "04"}[lang]
    lab = server.ask("office", "GET", f"/api/labs/lab-1-{number}").json()
    say = {
        "zh-Hant": ("實驗室或主持人姓名", "搜尋", "如何證明由您主持", "送出認領", "核可"),
        "en": ("Name of the lab or of its head", "Search", "What shows that it is yours", "Send the claim", "Approve"),
    }[lang]
    with visiting(server, "newcomer", lang) as somebody:
        page = somebody.open("/claims/new")
        page.get_by_label(say[0]).fill(lab["name"])
        page.get_by_role("button", name=say[1]).click()
        page.get_by_role("radio").first.check()
        page.get_by_label(say[2]).fill(f"my page {LIVE}")
        page.get_by_role("button", name=say[3]).click()
        expect(page.locator(".chip").last).to_be_visible()
    with browsing(browser, server, "office", lang) as somebody:
        look_over(somebody, lang, {"claims": "/claims"})
    with visiting(server, "office", lang) as somebody:
        page = somebody.open("/claims")
        expect(page.get_by_text(LIVE)).to_be_visible()
        page.get_by_role("button", name=say[4]).first.click()
        expect(page.locator("article")).to_have_count(0)
    with visiting(server, "newcomer", lang) as somebody:
        page = somebody.open(f"/my-lab/lab-1-{number}")
        assert page.title() != "xss"


def test_an_edit_changes_the_rank_after_the_next_index(server: Served, gloria: Gloria) -> None:
    """The need asks for what the edited profile says; without an edit a new index changes nothing."""
    settings = {"database_url": server.settings.database_url}
    before = ranks(server)
    assert gloria("reindex", home=server.settings.home, **settings).code == 0
    assert ranks(server) == before
    worst = max(before, key=lambda lab_id: before[lab_id] if lab_id in (LAB, "lab-1-02") else 0)
    who = {LAB: "researcher", "lab-1-02": "other_researcher"}[worst]
    need = server.ask("expert", "GET", f"/api/needs/{NEED}").json()
    said = f"{need['title']} {need['description']} " + " ".join(one["text"] for one in need["asks"])
    with visiting(server, who, "zh-Hant") as somebody:
        page = somebody.open(f"/my-lab/{worst}")
        page.get_by_label("簡介全文").fill(said)
        page.get_by_role("button", name="儲存簡介").click()
        expect(page.get_by_text("簡介已儲存")).to_be_visible()
    assert gloria("reindex", home=server.settings.home, **settings).code == 0
    generation = server.ask("office", "GET", "/api/generations").json()["items"][0]["name"]
    for _ in range(50):
        found = server.ask("expert", "GET", f"/api/needs/{NEED}/matches?top=100").json()
        if found["generation"] == generation:
            break
    after = {one["lab_id"]: one["rank"] for one in found["pairings"]}
    assert found["generation"] == generation
    assert after[worst] < before[worst]
    print(f"rank {before[worst]} -> {after[worst]}")
