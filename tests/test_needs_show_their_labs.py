"""A need with its ranked labs in pages: found, filtered, compared, decided without JavaScript, and light."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from playwright.sync_api import Browser, Page, Response

from indexer.database import open_engine, writing
from indexer.index.generations import _seal
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.intake import adopt
from matcher.review.people import declare_stake
from matcher.review.proposals import Proposal
from tests.conftest import Databases
from tests.rig.servers.browsers import (
    LANGS,
    accessibility_faults,
    browsing,
    counting,
    keep_cards,
    keep_screenshot,
    look_over,
    ranked,
    states,
    verdicts,
)
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

NEED = "/needs/need-1-01"
RANKED = "/ranked"
"""Where the labs of a need stand for a browser without script."""
MAX_WEIGHT = 300_000
HOSTILE = "<img src=x onerror=document.title='xss'>\"'><script>document.title='xss'</script>"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve an index of three days ago; the stranger has an interest in a lab."""
    folder = tmp_path_factory.mktemp("needs") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    old = Path(shutil.copytree(indexed_home, tmp_path_factory.mktemp("old") / "home"))
    age(old / "index", timedelta(days=3))
    with served(settings, old, slice_of_world) as server:
        engine, now = open_engine(settings), datetime.now(UTC)
        with writing(engine) as session:
            for need_id, alliance in (("need-1-02", "al-a"), ("need-1-04", "al-a"), ("need-1-05", None)):
                adopt(session, need_ids=[need_id], alliance_id=alliance, by=None, now=now)
            declare_stake(session, account_id=server.accounts["stranger"], party="lab", party_id="lab-1-03", now=now)
        engine.dispose()
        yield server


def age(index: Path, by: timedelta) -> None:
    """Make an index look as if it was built earlier."""
    manifest_path = index / (index / "CURRENT").read_text() / "manifest.json"
    manifest = orjson.loads(manifest_path.read_bytes())
    manifest["created_at"] = (datetime.fromisoformat(manifest["created_at"]) - by).isoformat()
    manifest["sha256"] = _seal(manifest)
    manifest_path.write_bytes(orjson.dumps(manifest))


def _unfold(page: Page) -> None:
    if page.url.endswith(NEED):
        ranked(page)
        # What a ranking leaves out and rests on is folded away.
        for summary in page.locator(".notes summary").all():
            summary.click()
        expect(page.locator(".notes .inner li a").first).to_be_visible()
        expect(page.locator(".notes .exposure table").first).to_be_visible()
        keep_cards(page, 3)
        page.locator(".narrowing summary").click()
        page.locator(".steering summary").click()
        page.locator(".need-side summary").first.click()


@pytest.mark.parametrize("lang", LANGS)
def test_pages_of_needs_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    places = {
        "needs-list": "/needs",
        "needs-need": NEED,
        "needs-exposure": "/needs/exposure",
        "needs-none": "/needs?q=nothing",
    }
    with browsing(browser, server, "expert", lang) as somebody:
        look_over(somebody, lang, places, _unfold)


def test_a_need_with_twenty_labs_is_light(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "expert", "zh-Hant") as somebody:
        got: list[Response] = []

        def note(answer: Response) -> None:
            got.append(answer)

        somebody.page.on("response", note)
        page = somebody.open(NEED)
        ranked(page)
        assert page.locator(".candidate").count() == 20
        weights = {answer.url.removeprefix(server.url).partition("?")[0]: len(answer.body()) for answer in got}
    print(f"need with 20 labs: {sum(weights.values()):,} bytes decoded of {MAX_WEIGHT:,}: {weights}")
    assert sum(weights.values()) < MAX_WEIGHT


@pytest.mark.parametrize("lang", LANGS)
def test_needs_are_found_by_state_and_text(server: Served, lang: str) -> None:
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open("/needs")
        rows = page.locator("tbody tr")
        assert rows.count() == 3
        page.get_by_role("searchbox").last.fill("拋光太慢")
        page.get_by_role("button", name="顯示" if lang == "zh-Hant" else "Show").click()
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("硬質基板拋光太慢又有細刮傷")
        expect(rows).to_contain_text("磐礪精密化學" if lang == "zh-Hant" else "Panli Precision Chemicals")
        page.locator("#f-state").select_option("closed")
        page.get_by_role("button", name="顯示" if lang == "zh-Hant" else "Show").click()
        expect(page.locator(".empty")).to_be_visible()
    only_mine = server.ask("stranger", "GET", "/api/needs", params={"q": "拋光太慢"}).json()["items"]
    assert only_mine == []
    percent = server.ask("expert", "GET", "/api/needs", params={"q": "%"}).json()["items"]
    assert percent == []


def test_filters_hide_labs_and_keep_ranks_without_a_page_load(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "expert", "en") as somebody:
        page = somebody.open(NEED)
        ranked(page)
        all_ranks = dict(
            zip(page.locator("h3 a").all_inner_texts(), page.locator(".rank").all_inner_texts(), strict=True)
        )
        with counting(page) as counted:
            page.locator(".narrowing summary").click()
            choice = page.get_by_label(re.compile("licensing"))
            count = int(page.locator("label", has=choice).locator(".hint").inner_text())
            choice.check()
            expect(page.locator(".candidate")).to_have_count(count)
            expect(page.get_by_label(re.compile("licensing"))).to_be_checked()
            kept = dict(
                zip(page.locator("h3 a").all_inner_texts(), page.locator(".rank").all_inner_texts(), strict=True)
            )
            assert all(all_ranks.get(name, rank) == rank for name, rank in kept.items())
            assert page.url.endswith("offers=licensing")
            page.get_by_role("link", name="Show all labs").click()
            expect(page.locator(".candidate")).to_have_count(20)
            page.get_by_role("link", name="More labs").click()
            expect(page.locator(".candidate")).to_have_count(25)
            expect(page.get_by_role("link", name="More labs")).to_have_count(0)
            ranks = [int(rank) for rank in page.locator(".rank").all_inner_texts()]
            assert ranks == list(range(1, 26))
        assert counted.documents == []


@pytest.mark.parametrize("lang", LANGS)
def test_a_ranking_is_steered_without_javascript_and_kept(server: Served, lang: str) -> None:
    zh = lang == "zh-Hant"
    must, legend = ("必須符合", "企業的期望") if zh else ("must", "What the company wishes")
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(NEED + RANKED + "?language=zh")
        ranks = dict(zip(page.locator("h3 a").all_inner_texts(), page.locator(".rank").all_inner_texts(), strict=True))
        expect(page.locator(".steering legend").first).to_contain_text(legend)
        page.locator(".steering summary").click()
        page.locator("#wish-region").select_option("region.must")
        page.locator(".steering").get_by_role("button", name="顯示" if zh else "Show").click()
        # What the labs were narrowed by stays, and the address says it all.
        asked = parse_qs(urlsplit(page.url).query)
        assert asked["language"] == ["zh"]
        assert "region.must" in asked["steer"]
        expect(page.locator("#wish-region option[selected]")).to_contain_text(must)
        hidden = server.ask("expert", "GET", f"/api{NEED}/matches?wish=region.must").json()["wishes"]["region"][
            "hidden"
        ]
        assert hidden > 0
        expect(page.locator(".steering")).to_contain_text(str(hidden))
        kept = dict(zip(page.locator("h3 a").all_inner_texts(), page.locator(".rank").all_inner_texts(), strict=True))
        assert kept
        assert all(ranks.get(name, rank) == rank for name, rank in kept.items())
        page.get_by_role("link", name="恢復一般排序" if zh else "As usual").click()
        assert parse_qs(urlsplit(page.url).query) == {"language": ["zh"], "unsteered": ["true"]}
        # A lab left out on its card, kept with the need, ended: each is said, and the colleague's answer follows.
        first = page.locator("h3 a").first.inner_text()
        page.locator(".leave-out summary").first.click()
        page.get_by_role("link", name="這個實驗室" if zh else "this lab").first.click()
        expect(page.locator(".effect")).to_contain_text(first)
        assert first not in page.locator("h3 a").all_inner_texts()
        page.get_by_role("button", name="保存在這筆需求" if zh else "Keep it with the need").click()
        holds = "對貴聯盟所有人員有效" if zh else "it holds for all of your alliance"
        expect(page.locator("#kept-steering")).to_contain_text(holds)
        assert first not in page.locator("h3 a").all_inner_texts()
        page.get_by_role("link", name="查看未調整的排序" if zh else "Look at it without").click()
        assert first in page.locator("h3 a").all_inner_texts()
        page.get_by_role("button", name="取消這項調整" if zh else "End this steering").click()
        assert page.locator("#kept-steering").count() == 0
        assert first in page.locator("h3 a").all_inner_texts()


def test_what_is_kept_with_a_need_steers_the_colleagues_answer_and_no_others(server: Served) -> None:
    def shown(who: str, query: str = "") -> dict[str, Any]:
        answer = server.ask(who, "GET", f"/api{NEED}/matches{query}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    usual = shown("expert")
    first, second = (one["lab_id"] for one in usual["pairings"][:2])
    words = ["region:south.more", "ask:1.must", f"lab:{first}.never"]
    kept = server.ask("expert", "PUT", f"/api{NEED}/steering", json={"words": words})
    assert (kept.status_code, kept.json()["words"], kept.json()["alliance"]) == (200, words, "al-a")
    for who in ("expert", "lead"):
        answer = shown(who)
        assert answer["steering"]["words"] == words
        assert answer["steering"]["kept"] == kept.json()
        assert answer["set_aside"]["left_out"] == [first]
        assert first not in [one["lab_id"] for one in answer["pairings"]]
        moved = {one["lab_id"]: (one["before"], one["after"]) for one in answer["steering"]["moves"]}
        assert moved[first] == (1, 0)
        assert all("preferred" in one["contributions"] for one in answer["pairings"])
    plain = shown("lead", "?unsteered=true")
    assert (plain["steering"]["words"], plain["steering"]["moves"]) == ([], [])
    assert [one["lab_id"] for one in plain["pairings"]] == [one["lab_id"] for one in usual["pairings"]]
    # Another choice for one answer leaves what is kept as it is.
    other = shown("expert", f"?wish=lab:{second}.never")
    assert (other["set_aside"]["left_out"], other["steering"]["kept"]) == ([second], kept.json())
    # The company's document and the researcher's say nothing of it.
    for who in ("company", "researcher"):
        read = server.ask(who, "GET", f"/api{NEED}/steering")
        assert read.status_code in (403, 404)
        assert server.ask(who, "PUT", f"/api{NEED}/steering", json={"words": []}).status_code in (403, 404)
    wrong = server.ask("expert", "PUT", f"/api{NEED}/steering", json={"words": ["lab:nobody.never"]})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "there is no lab 'nobody'")
    ended = server.ask("expert", "PUT", f"/api{NEED}/steering", json={"words": []})
    assert ended.json()["words"] == []
    assert shown("lead")["steering"]["words"] == []
    history = server.ask("lead", "GET", f"/api{NEED}/steering").json()["items"]
    assert [one["words"] for one in history[:2]] == [[], words]


def test_a_steered_answer_is_stored_as_such(server: Served) -> None:
    def shown(query: str) -> dict[str, Any]:
        answer = server.ask("expert", "GET", f"/api{NEED}/matches{query}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    plain, steered = shown(""), shown("?wish=region.more")
    assert steered["ranker_version"] == plain["ranker_version"] + ", region more"
    proposals = {one["lab_id"]: one["proposal_id"] for one in plain["pairings"]}
    changed = [one for one in steered["pairings"] if proposals.get(one["lab_id"]) != one["proposal_id"]]
    assert changed == steered["pairings"]
    # The control: asked as before, what was shown before is meant.
    assert {one["lab_id"]: one["proposal_id"] for one in shown("")["pairings"]} == proposals
    refused = server.ask("expert", "GET", f"/api{NEED}/matches?wish=region.most")
    assert (refused.status_code, refused.json()["field"]) == (422, "wish.0")


@pytest.mark.parametrize("lang", LANGS)
def test_two_labs_are_compared(browser: Browser, server: Served, lang: str) -> None:
    with browsing(browser, server, "expert", lang) as somebody:
        page = somebody.open(NEED)
        ranked(page)
        with counting(page) as counted:
            page.keyboard.press("j")
            page.keyboard.press("c")
            page.keyboard.press("j")
            page.keyboard.press("c")
            dialog = page.locator("#comparison[open]")
            expect(dialog.locator("table")).to_be_visible()
            keep_cards(page, 2)
            assert accessibility_faults(page) == []
            keep_screenshot(page, f"needs-comparison-{lang}")
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
        assert counted.documents == []
        chosen = page.locator("input[form=compare]:checked").evaluate_all("boxes => boxes.map(box => box.value)")
        assert len(chosen) == 2
        page = somebody.open(f"{NEED}/compare?a={chosen[0]}&b={chosen[1]}")
        assert accessibility_faults(page) == []
        numbers = [
            [_amount(cell) for cell in row.locator(".amount").all_inner_texts()]
            for row in page.locator("tbody").first.locator("tr").all()[1:]
        ]
        scores = [float(text) for text in page.locator(".sum strong").all_inner_texts()]
        assert [round(sum(row[side] for row in numbers), 2) for side in (0, 1)] == scores
        assert all(round(row[0] - row[1], 2) == row[2] for row in numbers)
        wrong = somebody.context.request.get(f"{server.url}{NEED}/compare?a={chosen[0]}&b={chosen[0]}")
        assert wrong.status == 422
        missing = somebody.context.request.get(f"{server.url}{NEED}/compare?a={chosen[0]}&b=lab-0-00")
        assert missing.status == 404


def _amount(text: str) -> float:
    return float(text.replace("−", "-"))


def test_contributions_on_a_card_add_up_to_its_score(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open(NEED + RANKED)
        for table in page.locator("table.parts").all():
            *amounts, score = [_amount(text) for text in table.locator(".amount").all_inner_texts()]
            opened = [_amount(text) for text in table.locator(".opened .amount").all_inner_texts()]
            assert opened
            # The three sums, without what they open into, make the score.
            assert round(sum(amounts) - sum(opened), 2) == score


@pytest.mark.parametrize("lang", LANGS)
def test_labs_are_decided_without_javascript(server: Served, lang: str) -> None:
    accept, reject = ("接受", "拒絕") if lang == "zh-Hant" else ("Accept", "Reject")
    need_id = "need-1-02" if lang == "zh-Hant" else "need-1-04"
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(f"/needs/{need_id}")
        page.get_by_role("link", name="顯示排序後的實驗室" if lang == "zh-Hant" else "Show the ranked labs").click()
        first, second = page.locator(".candidate").nth(0), page.locator(".candidate").nth(1)
        number = int((first.get_attribute("id") or "").removeprefix("card-"))
        other = int((second.get_attribute("id") or "").removeprefix("card-"))
        first.get_by_role("button", name=accept, exact=True).click()
        expect(page).to_have_url(f"{server.url}/needs/{need_id}/ranked#card-{number}")
        expect(page.locator("#notice")).to_contain_text("已接受" if lang == "zh-Hant" else "Accepted")
        # What is refused comes back with what was typed, on the page of that pairing alone.
        details = page.locator(f"#card-{other} details[data-key=r]")
        details.locator("summary").click()
        details.locator("select").select_option("other")
        details.get_by_role("button", name=reject, exact=True).click()
        expect(page.locator(".notice.bad")).to_contain_text("請以備註說明" if lang == "zh-Hant" else "needs a note")
        form = page.locator("details[data-key=r]")
        assert form.locator("select").input_value() == "other"
        form.locator("input[name=note]").fill("不符 unfit")
        form.get_by_role("button", name=reject, exact=True).click()
        expect(page.locator(f"#card-{other}")).to_have_attribute("data-state", "rejected")
    assert verdicts(server, need_id) == [(number, "accept", None, ""), (other, "reject", "other", "不符 unfit")]


def test_what_a_ranking_leaves_out_and_rests_on_is_said(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open(NEED + RANKED)
        expect(page.get_by_text("older than 48 hours")).to_be_visible()
        page.get_by_text("2 labs set aside by hard rules").click()
        page.locator(".notes .inner summary").first.click()
        expect(page.locator(".notes .inner li a").first).to_be_visible()
        page.get_by_text("Which schools are shown").click()
        page.get_by_role("link", name="Open the table").click()
        expect(page.get_by_role("table", name="By school", exact=True)).to_be_visible()
    with visiting(server, "stranger", "en") as somebody:
        said = []
        for offset in (0, 20):
            page = somebody.open(f"/needs/need-1-03{RANKED}?offset={offset}")
            said.append(page.get_by_text("1 left out for an interest that you declared").count())
        # On whichever page the lab would stand.
        assert sum(said) == 1


def test_who_gets_shown_is_counted(server: Served) -> None:
    server.ask("expert", "GET", "/api/needs/need-1-01/matches", params={"top": 100})
    found = server.ask("expert", "GET", "/api/exposure").json()
    shown = {one["school_id"]: one["shown"] for one in found["schools"]}
    needs = ("need-1-01", "need-1-02", "need-1-04")
    assert sum(shown.values()) == sum(len(states(server, need_id)) for need_id in needs)
    accepted = [state for need_id in needs for state in states(server, need_id).values() if state == "accepted"]
    assert sum(one["accepted"] for one in found["schools"]) == len(accepted)
    assert round(sum(share["of_shown"] for share in found["by_prominence"]), 6) == 1
    assert server.ask("company", "GET", "/api/exposure").status_code == 403


def test_texts_of_others_are_shown_as_text(browser: Browser, server: Served) -> None:
    engine = open_engine(server.settings)
    with writing(engine) as session:
        reports = [
            import_rows(session, kind, [row])
            for kind, row in (
                ("companies", {"id": "co-x", "name": HOSTILE, "name_en": HOSTILE}),
                ("schools", {"id": "yltu", "name": HOSTILE, "name_en": HOSTILE}),
                (
                    "labs",
                    {"id": "lab-1-01", "name": HOSTILE, "name_en": HOSTILE, "school": "yltu", "will_not_do": [HOSTILE]},
                ),
                (
                    "needs",
                    {
                        "id": "need-x",
                        "company": "co-x",
                        "title": HOSTILE,
                        "description": HOSTILE + " 碳化矽 拋光",
                        "asks": [{"kind": "technology", "text": HOSTILE + " 碳化矽 拋光"}],
                    },
                ),
            )
        ]
        assert [report.refused for report in reports] == [0, 0, 0, 0]
        adopt(session, need_ids=["need-x"], alliance_id="al-a", by=None, now=datetime.now(UTC))
    engine.dispose()
    match = server.ask("expert", "GET", "/api/needs/need-x/matches").json()["pairings"]
    first = next(item for item in match if item["lab_id"] == "lab-1-01")
    hostile_proposal(server, first["pairing_id"])
    other = next(item for item in match if item["lab_id"] != "lab-1-01")
    verdict = {"verdict": "reject", "reason": "other", "note": HOSTILE, "proposal_id": first["proposal_id"]}
    pairing = f"/api/pairings/{first['pairing_id']}/decision"
    assert server.ask("expert", "POST", pairing, json=verdict).status_code == 201
    compared = f"/needs/need-x/compare?a=lab-1-01&b={other['lab_id']}"
    with visiting(server, "expert", "en") as somebody:
        for path in (
            "/needs",
            "/needs/need-x" + RANKED,
            f"/needs/need-x/pairings/{first['pairing_id']}",
            compared,
            "/needs/exposure",
            f"/needs?q={HOSTILE.replace('=', '%3D').replace('#', '%23')}",
        ):
            page = somebody.open(path)
            assert page.get_by_text("<img src=x onerror").count() > 0
            assert page.locator("main img, main script").count() == 0, path
            assert page.title().startswith("xss") is False, path
    # And a browser that would run it does not, where the labs come into the page and where they stand side by side.
    with browsing(browser, server, "expert", "en") as somebody:
        for path in ("/needs/need-x", compared):
            shown = somebody.open(path)
            if path != compared:
                ranked(shown)
            expect(shown.get_by_text("<img src=x onerror").first).to_be_attached()
            assert shown.evaluate("document.querySelectorAll('main img, main script').length") == 0, path
            assert shown.title().startswith("xss") is False, path


def hostile_proposal(server: Served, pairing_id: int) -> None:
    """Store a proposal whose every text is hostile, as evidence written by somebody else would be."""
    said = {"zh": HOSTILE, "en": HOSTILE}
    passage = {
        "source": "e",
        "kind": HOSTILE,
        "year": 2020,
        "language": "en",
        "title": HOSTILE,
        "excerpt": HOSTILE + " end",
        "words": ["img", "<script>", "onerror"],
        "score": 1.0,
    }
    engine = open_engine(server.settings)
    with writing(engine) as session:
        session.add(
            Proposal(
                pairing_id=pairing_id,
                digest="hostile",
                rank=1,
                score=1.0,
                band="strong",
                contributions={"words": 0.6, HOSTILE: 0.4},
                explanation={
                    "asks": [{"kind": "technology", "text": HOSTILE, "covered": "yes", "passages": [passage]}],
                    "missing": [said],
                    "for_company": said,
                    "for_lab": said,
                },
                generation="g",
                ranker_version="1",
                shown_at=datetime.now(UTC),
                shown_to=server.accounts["expert"],
            )
        )
    engine.dispose()
