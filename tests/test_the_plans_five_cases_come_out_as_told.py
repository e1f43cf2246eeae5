"""The five pairings that the plan tells, each on invented records that mirror it, up to a report and a signed case.

One need, one lab; technology and interns of two schools; a joint diagnosis team; clinicians, a lab, a maker and a
second member; a lab's result for the companies that should hear of it.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser

from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Band
from matcher.review.clients import take_on
from matcher.review.intake import adopt, share
from matcher.review.joint.chains import ChainError, chain_for
from matcher.review.joint.diagnosis import DiagnosisError, Topic, TopicAnswer, agenda_of, diagnosis_of
from matcher.review.likeness import lab_companies
from matcher.review.people import declare_stake
from matcher.teams.teams import team_for
from tests.conftest import Databases, Gloria
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.forked_programs import forker
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting
from tests.rig.worlds.five_cases import (
    AID,
    BANK,
    BATTERY,
    CARBON,
    CELLS,
    CHAIN,
    CLINIC,
    COMPOSITES,
    FOOD,
    INTERNS,
    MONEY,
    PAST,
    REHAB,
    SEALED,
    SMART,
    STORES,
    VEHICLES,
    VISION,
    WAREHOUSE,
    write_five_cases,
)

ANSWERS = [TopicAnswer(Topic.DATA, 3, "鏈條的表面瑕疵還靠人眼看"), TopicAnswer(Topic.AUTOMATION, 2)]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("five")
    write_five_cases(folder)
    return folder


@pytest.fixture(scope="module")
def home(gloria: Gloria, records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the five cases imported and indexed."""
    home = tmp_path_factory.mktemp("five-home") / "home"
    files = [records / f"{name}.jsonl" for name in ("schools", "companies", "labs", "needs")]
    for arguments in (["import", *files], ["reindex"]):
        answer = gloria(*arguments, home=home)
        assert answer.code == 0, answer.err
    for generation in (home / "index").iterdir():
        forker().remember(generation.name)
    return home


@pytest.fixture(scope="module")
def matcher(home: Path) -> Matcher:
    return Matcher.open(Settings(home=home, encoders="bundled-use"))


def test_one_need_finds_its_one_lab(matcher: Matcher) -> None:
    first, second = matcher.match(matcher.need(BANK), top=2).pairings
    assert (first.lab_id, first.band) == (MONEY, Band.STRONG)
    assert second.band is Band.WEAK


def test_one_school_gives_the_technology_and_another_the_interns(matcher: Matcher) -> None:
    team = team_for(matcher, matcher.need(WAREHOUSE))
    assert {one.lab_id: one.covers for one in team.members} == {VEHICLES: (1,), INTERNS: (2,)}
    assert {matcher.labs[one.lab_id].school for one in team.members} == {"north", "tech"}
    # The control: for either half alone one of them is enough.
    assert [one.lab_id for one in team_for(matcher, matcher.need(BANK)).members] == [MONEY]


def test_a_joint_team_answers_what_the_company_was_asked(matcher: Matcher) -> None:
    found = diagnosis_of(matcher, matcher.companies[CHAIN], [], ANSWERS, year=2017)
    assert {one.lab_id: one.topics for one in found.visitors} == {VISION: (Topic.DATA,), SMART: (Topic.AUTOMATION,)}
    assert {matcher.labs[one.lab_id].school for one in found.visitors} == {"yltu", "tech"}
    assert found.open_topics == ()
    said = {topic: speaking for one in found.visitors for topic, speaking in one.speaking}
    assert "異常" in said[Topic.DATA].words
    items = agenda_of(ANSWERS, found.visitors)
    assert [(one.part, one.labs) for one in items] == [
        ("welcome", ()),
        ("data", (VISION,)),
        ("automation", (SMART,)),
        ("closing", ()),
    ]
    assert [one.at for one in items] == ["09:00", "09:50", "10:20", "10:50"]
    # What is not asked sends nobody, and whoever is picked goes.
    alone = diagnosis_of(matcher, matcher.companies[CHAIN], [], ANSWERS, year=2017, labs=[VISION])
    assert [one.lab_id for one in alone.visitors] == [VISION]
    for wrong in ([], [ANSWERS[0], ANSWERS[0]]):
        with pytest.raises(DiagnosisError):
            diagnosis_of(matcher, matcher.companies[CHAIN], [], wrong, year=2017)


def test_clinicians_a_lab_a_maker_and_a_second_member_are_one_chain(matcher: Matcher) -> None:
    need = matcher.need(CLINIC)
    assert (need.company, need.school) == (None, "med")
    chain = chain_for(matcher, need, matcher.companies.values(), [matcher.need(PAST)])
    assert chain.lab_id == REHAB
    maker, further = chain.companies
    assert (maker.company.id, maker.is_maker, maker.parts) == (AID, True, (0, 1))
    assert (further.company.id, further.is_maker, further.parts) == (CARBON, False, (2,))
    assert {one.need_id for one in maker.evidence} <= {PAST, None}
    assert "輪椅" in maker.evidence[0].speaking.words
    assert further.evidence[0].speaking.words[0] == "碳纖維複合材料"
    assert chain.open_asks == ()
    # The control: who makes nothing of the kind is in no chain, and without the maker there is no wheelchair.
    without = chain_for(matcher, need, [matcher.companies[one] for one in (FOOD, STORES, CELLS)], [])
    assert (without.lab_id, without.companies) == (REHAB, ())


def test_a_chain_says_what_it_may_and_keeps_to_whom_one_picks(matcher: Matcher) -> None:
    need, firms = matcher.need(CLINIC), list(matcher.companies.values())
    with_past = chain_for(matcher, need, firms, [matcher.need(PAST)])
    only = chain_for(matcher, need, firms, [])
    assert PAST in {said.need_id for one in with_past.companies for said in one.evidence}
    assert {said.need_id for one in only.companies for said in one.evidence} == {None}
    chosen = chain_for(matcher, need, firms, [], lab_id=COMPOSITES)
    assert (chosen.lab_id, chosen.result.pairings[0].lab_id) == (COMPOSITES, COMPOSITES)
    with pytest.raises(ChainError, match="lab-none"):
        chain_for(matcher, need, firms, [], lab_id="lab-none")
    began = time.perf_counter()
    chain_for(matcher, need, firms, list(matcher.needs.values()))
    assert time.perf_counter() - began < 1
    # Whoever states a need is never the one that would make it.
    own = chain_for(matcher, matcher.need(SEALED), firms, list(matcher.needs.values()))
    assert CARBON not in {one.company.id for one in own.companies}


def test_a_labs_result_reaches_the_company_that_should_hear_of_it(matcher: Matcher) -> None:
    found = lab_companies(matcher, BATTERY, list(matcher.companies.values()), list(matcher.needs.values()), top=2)
    assert (found[0].company.id, found[0].by_need, found[0].match.band) == (CELLS, True, Band.STRONG)
    assert found[1].match.band is Band.WEAK


def test_the_commands_tell_the_chain_and_the_team(gloria: Gloria, home: Path) -> None:
    told = gloria("--lang", "en", "match", CLINIC, "--chain", home=home)
    assert told.code == 0, told.err
    assert [told.out.index(one) for one in (CLINIC, REHAB, AID, CARBON)] == sorted(
        told.out.index(one) for one in (CLINIC, REHAB, AID, CARBON)
    )
    plain = orjson.loads(gloria("match", CLINIC, "--chain", "--json", home=home).out)
    assert [one["company_id"] for one in plain["companies"]] == [AID, CARBON]
    answered = ("--answer", "data:3", "--answer", "automation:2")
    answered = ("--answer", "data:3", "--answer", "automation:2")
    team = orjson.loads(gloria("diagnose", CHAIN, *answered, "--json", home=home).out)
    assert {one["lab_id"] for one in team["team"]} == {VISION, SMART}
    assert "09:00" in gloria("--lang", "en", "diagnose", CHAIN, "--answer", "data:3", home=home).out
    for words, code, said in (
        (["diagnose", CHAIN, "--answer", "luck:3"], 2, "answers nothing"),
        (["diagnose", "co-none", "--answer", "data:1"], 1, "no company"),
        (["match", CLINIC, "--chain", "--team"], 2, "a chain is for a need"),
    ):
        refused = gloria("--lang", "en", *words, home=home)
        assert refused.code == code, refused.out
        assert said in " ".join(refused.err.replace("│", " ").split())


@pytest.fixture(scope="module")
def server(
    databases: Databases, home: Path, records: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve the five cases: al-a looks after the maker, the second member and the maker of chains.

    The sealed need of the second member is al-b's.
    """
    folder = tmp_path_factory.mktemp("five-served") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, home, records) as server:
        engine, now = open_engine(settings), datetime.now(UTC)
        with writing(engine) as session:
            adopt(session, need_ids=[PAST], alliance_id="al-a", by=None, now=now)
            for company in (CARBON, CHAIN, FOOD):
                expert = server.accounts["expert"]
                take_on(session, company_id=company, alliance_id="al-a", expert_id=expert, now=now)
            take_on(session, company_id=STORES, alliance_id="al-b", expert_id=server.accounts["stranger"], now=now)
        engine.dispose()
        yield server


def found(server: Served, who: str = "expert") -> Any:
    answer = server.ask(who, "GET", f"/api/needs/{CLINIC}/chain")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_chain_is_for_who_may_match_the_need_and_quotes_what_they_may_read(server: Served) -> None:
    statuses = {who: server.ask(who, "GET", f"/api/needs/{CLINIC}/chain").status_code for who in server.keys}
    assert {who for who, status in statuses.items() if status == 200} == {"expert", "colleague", "lead"}
    assert statuses["stranger"] == 404
    assert {statuses[who] for who in ("company", "rival", "researcher", "office", "committee", "newcomer")} == {403}
    chain = found(server)
    assert (chain["school"], chain["company"], chain["lab_id"]) == ("med", None, REHAB)
    assert [one["company_id"] for one in chain["companies"]] == [AID, CARBON]
    # Only companies of the own portfolio, and of the second member not the need that another alliance keeps.
    assert chain["looked_at"] == 4
    assert {said["need_id"] for one in chain["companies"] for said in one["evidence"]} == {PAST, None}
    assert "機密" not in orjson.dumps(chain).decode()
    # The control: once that need is shared, its words are evidence.
    engine = open_engine(server.settings)
    with writing(engine) as session:
        share(session, need_id=SEALED, alliance_id="al-a", consent="同意", by="x", now=datetime.now(UTC))
    engine.dispose()
    assert SEALED in {said["need_id"] for one in found(server)["companies"] for said in one["evidence"]}
    assert server.ask("expert", "GET", f"/api/needs/{CLINIC}/chain?lab=lab-none").status_code == 422


@pytest.mark.parametrize("lang", LANGS)
def test_a_chain_stands_on_one_line_and_is_kept(server: Served, lang: str) -> None:
    zh = lang == "zh-Hant"
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(f"/needs/{CLINIC}/ranked")
        page.get_by_role("link", name="串接鏈" if zh else "A chain").click()
        expect(page.locator(".verdict-line")).to_contain_text("2 家" if zh else "2 companies")
        said = page.locator(".chain .link h2").all_inner_texts()
        assert said == ["中風病人用的輕量輪椅", "復健工程實驗室", "康行輔具", "明岳複材"]
        expect(page.locator(".chain")).to_contain_text("鼓山醫學大學" if zh else "Gushan Medical University")
        expect(page.locator(".chain mark").first).to_be_visible()
        page.get_by_role("button", name="保留" if zh else "Keep it").click()
        expect(page.locator("main")).to_contain_text("康行輔具 → 明岳複材")


def test_an_expert_takes_down_what_clinicians_state(server: Served) -> None:
    said = {"school": "med", "title": "洗腎病人的水分量測", "alliance": "al-a"}
    for who, sent, status in (
        ("company", said, 404),
        ("expert", {**said, "company": AID}, 422),
        ("expert", {**said, "school": "none"}, 422),
        ("stranger", said, 422),
    ):
        assert server.ask(who, "POST", "/api/needs", json=sent).status_code == status
    made = server.ask("expert", "POST", "/api/needs", json=said)
    assert made.status_code == 201, made.text
    need = made.json()
    assert (need["company"], need["school"], need["alliance"]) == (None, "med", "al-a")
    assert server.ask("expert", "GET", f"/api/needs/{need['id']}/chain").status_code == 200
    assert server.ask("stranger", "GET", f"/api/needs/{need['id']}").status_code == 404


def notices(server: Served) -> list[str]:
    return [one["kind"] for one in server.ask("expert", "GET", "/api/me/notices").json()["items"]]


def signed(server: Served, need_id: str) -> None:
    """Let the best lab of a need be accepted, introduced and signed."""
    shown = server.ask("expert", "GET", f"/api/needs/{need_id}/matches?top=1").json()["pairings"][0]
    word = {"verdict": "accept", "proposal_id": shown["proposal_id"]}
    done = server.ask("expert", "POST", f"/api/pairings/{shown['pairing_id']}/decision", json=word)
    assert done.status_code == 201, done.text
    for stage in ("introduced", "negotiating", "signed"):
        moved = server.ask("expert", "POST", f"/api/cases/{done.json()['case_id']}/transition", json={"stage": stage})
        assert moved.status_code == 200, moved.text


def test_the_next_link_is_told_once_a_case_is_signed_and_nothing_is_done(server: Served) -> None:
    kept = {"lab": REHAB, "companies": [AID, CARBON]}
    for who, sent, status in (
        ("stranger", kept, 404),
        ("company", kept, 403),
        ("expert", {**kept, "companies": [STORES]}, 422),
        ("expert", {**kept, "lab": "lab-none"}, 422),
        ("expert", kept, 200),
    ):
        assert server.ask(who, "PUT", f"/api/needs/{CLINIC}/chain", json=sent).status_code == status
    # The control: a case that no chain goes on from tells nothing.
    signed(server, PAST)
    assert "next_in_chain" not in notices(server)
    assert found(server)["kept"]["next"] is None
    signed(server, CLINIC)
    assert notices(server).count("next_in_chain") == 1
    assert found(server)["kept"]["next"] == AID
    with visiting(server, "colleague", "zh-Hant") as somebody:
        page = somebody.open(f"/needs/{CLINIC}/chain")
        expect(page.locator(".notice.good")).to_contain_text("串接鏈的下一家：康行輔具")
    needs = server.ask("expert", "GET", "/api/needs").json()["items"]
    assert {one["id"] for one in needs if one["company"]} == {PAST, SEALED}


def text_of(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return packed.read("word/document.xml").decode()


@pytest.mark.parametrize("lang", LANGS)
def test_a_visit_goes_from_questions_to_a_report(server: Served, lang: str) -> None:
    zh = lang == "zh-Hant"
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(f"/companies/{CHAIN}")
        page.get_by_role("link", name="聯合診斷團" if zh else "Joint visits of labs").click()
        page.locator("select[name=degree-data]").select_option("3")
        page.locator("input[name=line-data]").fill("鏈條的表面瑕疵還靠人眼看")
        page.locator("select[name=degree-automation]").select_option("2")
        page.locator("input[name=held_on]").fill("2026-12-15")
        page.get_by_role("button", name="推薦團隊" if zh else "Propose a team").click()
        assert set(page.locator(".tiles h3").all_inner_texts()) == {"機器視覺與深度學習實驗室", "智慧製造實驗室"}
        agenda = page.locator("ol.agenda")
        expect(agenda).to_contain_text("09:50")
        page.locator("summary", has_text="修改議程" if zh else "Change the agenda").click()
        page.locator("input[name=at-4]").fill("11:30")
        page.locator("input[name=note-4]").fill("與廠長一起")
        page.get_by_role("button", name="修改議程" if zh else "Change the agenda").click()
        expect(agenda).to_contain_text("與廠長一起")
        page.get_by_role("button", name="已完成訪視" if zh else "The visit was held").click()
        page.get_by_role("button", name="報告已完成" if zh else "The report is complete").click()
        expect(page.locator(".notice.bad")).to_contain_text("請先寫下" if zh else "write down what was found")
        page.locator("textarea[name=finding-data]").fill("三條線的影像都有存檔")
        page.locator("input[name=title-0]").fill("鏈條瑕疵自動檢測")
        page.locator("textarea[name=text-0]").fill("誤殺低於百分之一")
        page.get_by_role("button", name="儲存記錄" if zh else "Write it down").click()
        page.get_by_role("button", name="報告已完成" if zh else "The report is complete").click()
        expect(page.locator("main")).to_contain_text("已完成報告" if zh else "reported")
        place = page.locator(".files a").first.get_attribute("href")
        # A need that comes of it is taken down where needs are, filled in.
        page.get_by_role("button", name="鏈條瑕疵自動檢測").click()
        expect(page.locator("main")).to_contain_text("誤殺低於百分之一")
    report = text_of(server.ask("expert", "GET", str(place).replace("&amp;", "&")).content)
    day = "民國115年12月15日" if zh else "15 December 2026"
    for said in (day, "環鏈工業", "機器視覺與深度學習實驗室", "三條線的影像都有存檔", "鏈條瑕疵自動檢測"):
        assert said in report
    assert ("草稿" in report, "Draft" in report) == (False, False)


def planned(server: Served, **more: Any) -> Any:
    body = {"held_on": "2026-12-20", "answers": [{"topic": "data", "degree": 3}, {"topic": "people", "degree": 1}]}
    return server.ask("expert", "POST", f"/api/companies/{CHAIN}/visits", json=body | more)


def test_a_visit_is_its_alliances_and_changed_by_one_at_a_time(server: Served) -> None:
    for who, status in (("stranger", 404), ("company", 403), ("researcher", 403), ("office", 403)):
        assert server.ask(who, "GET", f"/api/companies/{CHAIN}/visits").status_code == status
    assert planned(server, answers=[]).status_code == 422
    assert planned(server, labs=["lab-none"]).status_code == 422
    made = planned(server)
    assert made.status_code == 201, made.text
    place, etag = f"/api/visits/{made.json()['id']}", made.headers["ETag"]
    assert {server.ask(who, "GET", place).status_code for who in ("expert", "colleague", "lead")} == {200}
    assert [server.ask(who, "GET", place).status_code for who in ("stranger", "company", "office")] == [404, 403, 403]
    draft = server.ask("expert", "GET", f"{place}/report?format=docx&lang=both").content
    assert "草稿" in text_of(draft)
    assert "Draft" in text_of(draft)
    assert server.ask("expert", "GET", f"{place}/report?format=pdf").content.startswith(b"%PDF")
    changed = server.ask("expert", "PATCH", place, json={"labs": [MONEY]}, headers={"If-Match": etag})
    assert changed.status_code == 200, changed.text
    assert [one["lab_id"] for one in changed.json()["team"]] == [MONEY]
    assert changed.json()["open_topics"] == ["data", "people"]
    # Who read it before that is told to read it again; so is who read nothing.
    assert server.ask("colleague", "PATCH", place, json={"place": "乙"}, headers={"If-Match": etag}).status_code == 412
    assert server.ask("colleague", "PATCH", place, json={"place": "乙"}).status_code == 428
    fresh = {"If-Match": changed.headers["ETag"]}
    wrong = {"agenda": [{"at": "09:00", "part": "lunch"}]}
    assert server.ask("expert", "PATCH", place, json=wrong, headers=fresh).status_code == 422
    before = len(server.ask("expert", "GET", f"/api/companies/{CHAIN}/contacts").json()["items"])
    assert server.ask("expert", "POST", f"{place}/state", json={"state": "reported"}).status_code == 409
    assert server.ask("expert", "POST", f"{place}/state", json={"state": "held"}).status_code == 200
    contacts = server.ask("expert", "GET", f"/api/companies/{CHAIN}/contacts").json()["items"]
    assert len(contacts) == before + 1
    held = server.ask("expert", "GET", place)
    late = {"held_on": "2026-12-21"}
    assert (
        server.ask("expert", "PATCH", place, json=late, headers={"If-Match": held.headers["ETag"]}).status_code == 409
    )
    assert [one["new"] for one in held.json()["steps"]] == ["planned", "held"]
    listed = server.ask("expert", "GET", f"/api/companies/{CHAIN}/visits").json()["items"]
    assert made.json()["id"] in {one["id"] for one in listed}


@pytest.mark.parametrize("lang", LANGS)
def test_the_pages_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    visit = planned(server).json()["id"]
    places = {
        "joint-chain": f"/needs/{CLINIC}/chain",
        "joint-visits": f"/companies/{CHAIN}/visits",
        "joint-visit": f"/visits/{visit}",
    }
    with browsing(browser, server, "colleague", lang) as somebody:
        look_over(somebody, lang, places)


def test_a_company_in_which_one_has_an_interest_is_in_no_chain_and_visited_by_others(server: Served) -> None:
    engine, now = open_engine(server.settings), datetime.now(UTC)
    visit_id = planned(server).json()["id"]
    with writing(engine) as session:
        for company in (CARBON, CHAIN):
            declare_stake(
                session,
                account_id=server.accounts["lead"],
                party="company",
                party_id=company,
                now=now,
            )
    engine.dispose()
    chain = found(server, "lead")
    assert CARBON not in {one["company_id"] for one in chain["companies"]}
    assert chain["withheld"] == 2
    assert server.ask("lead", "GET", f"/api/visits/{visit_id}").status_code == 404
    # The control: a colleague without it sees both.
    assert CARBON in {one["company_id"] for one in found(server, "colleague")["companies"]}
    assert server.ask("colleague", "GET", f"/api/visits/{visit_id}").status_code == 200
