"""A retired record leaves lists, choices, rankings and exports, says why on its page, and comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from indexer.database import open_engine, reading, writing
from indexer.instants import day_in_taipei
from indexer.records.importing import import_rows
from indexer.records.record_tables import load_companies, load_labs, load_needs, load_schools
from indexer.settings import Settings
from matcher.review.clients import Client
from matcher.review.people import add_account
from tests.conftest import Databases, Gloria
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_here import until
from tests.rig.servers.visits import expect, visiting
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length

WHY = {"reason": "主持人已退休"}


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(session, "schools", [{"id": "nu", "name": "北方大學"}])
            evidence = [{"id": "e1", "title": "拋光液"}, {"id": "10.1/x", "title": "研磨墊"}]
            import_rows(session, "labs", [{"id": "lab-1", "school": "nu", "evidence": evidence}])
        yield made


def _in_use(here: Asked) -> dict[str, list[str]]:
    """What the index and every ranking read, by kind."""
    with reading(here.engine) as session:
        labs = load_labs(session)
        return {
            "labs": [lab.id for lab in labs],
            "evidence": [piece.id for lab in labs for piece in lab.evidence],
            "needs": [one.id for one in load_needs(session)],
            "companies": [one.id for one in load_companies(session)],
            "schools": [one.id for one in load_schools(session)],
        }


def _exported(here: Asked) -> dict[str, str]:
    return {
        kind: here.ask("office" if kind != "needs" else "expert", "GET", f"/api/exports/{kind}").text
        for kind in ("labs", "needs", "companies")
    }


RETIRED = [
    ("/api/labs/lab-1", {}, "labs", "lab-1"),
    ("/api/labs/lab-1/evidence", {"piece": "10.1/x"}, "evidence", "10.1/x"),
    ("/api/companies/co-1", {}, "companies", "co-1"),
    ("/api/needs/n-1", {}, "needs", "n-1"),
    ("/api/schools/nu", {}, "schools", "nu"),
]


@pytest.mark.parametrize(("path", "params", "kind", "gone"), RETIRED)
def test_it_goes_and_comes_back_as_it_was(here: Asked, path: str, params: dict[str, str], kind: str, gone: str) -> None:
    before, exported = _in_use(here), _exported(here)
    said = here.done("office", "POST", f"{path}/retire", params=params, json=WHY | {"since": "2026-11-01"})
    assert (said["since"], said["reason"], said["by"]) == ("2026-11-01", WHY["reason"], here.accounts["office"])
    after = _in_use(here)
    assert gone not in after[kind]
    assert {name: [one for one in ids if one != gone] for name, ids in before.items() if name != "evidence"} == {
        name: ids for name, ids in after.items() if name != "evidence"
    }
    if kind != "schools":
        assert f'"{gone}"' in exported.get(kind, exported["labs"])
        assert f'"id":"{gone}"' not in "".join(_exported(here).values())
    (listed,) = here.done("office", "GET", "/api/retired")["items"]
    assert listed["id"] == said["id"]
    again = here.ask("office", "POST", f"{path}/retire", params=params, json=WHY)
    assert (again.status_code, again.json()["detail"]) == (422, "it is retired already")
    ended = here.done("office", "POST", f"{path}/reinstate", params=params)
    assert ended["ended_by"] == here.accounts["office"]
    assert (_in_use(here), _exported(here)) == (before, exported)
    assert here.done("office", "GET", "/api/retired")["items"] == []
    assert [one["id"] for one in here.done("office", "GET", "/api/retired?ended=true")["items"]] == [said["id"]]


def test_its_page_is_read_and_nothing_new_begins(here: Asked) -> None:
    word = {"verdict": "accept", "proposal_id": here.world.proposal_id}
    decide = f"/api/pairings/{here.world.pairing_id}/decision"
    assert [one["id"] for one in here.done("newcomer", "GET", "/api/lab-names?q=實驗室")["items"]] == ["lab-1", "lab-2"]
    here.done("office", "POST", "/api/labs/lab-1/retire", json=WHY)
    assert here.done("expert", "GET", "/api/labs/lab-1")["retired"]["reason"] == WHY["reason"]
    assert "retired" not in here.done("expert", "GET", "/api/labs/lab-2")
    assert [one["id"] for one in here.done("newcomer", "GET", "/api/lab-names?q=實驗室")["items"]] == ["lab-2"]
    refused = here.ask("expert", "POST", decide, json=word)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:gloria:problem:retired")
    claimed = here.ask("newcomer", "POST", "/api/labs/lab-1/claims", json={"statement": "我是主持人"})
    assert (claimed.status_code, "retired" in claimed.json()["detail"]) == (409, True)
    here.done("office", "POST", "/api/labs/lab-1/reinstate")
    assert here.ask("expert", "POST", decide, json=word).status_code == 201


def test_a_need_and_its_company(here: Asked) -> None:
    here.done("office", "POST", "/api/needs/n-1/retire", json=WHY)
    for who in ("expert", "company", "office"):
        assert [one["id"] for one in here.done(who, "GET", "/api/needs")["items"]] == []
        assert here.done(who, "GET", "/api/needs/n-1")["retired"]["reason"] == WHY["reason"]
    assert here.done("expert", "GET", "/api/queue")["new_needs"] == []
    here.done("office", "POST", "/api/companies/co-1/retire", json=WHY)
    assert here.done("expert", "GET", "/api/companies")["items"] == []
    assert here.done("expert", "GET", "/api/companies/co-1")["retired"]["reason"] == WHY["reason"]
    submitted = here.ask("company", "POST", "/api/needs", json={"title": "再一項需求"})
    assert (submitted.status_code, submitted.json()["field"]) == (409, "company")


def test_a_person_is_shut_out_and_comes_back(here: Asked) -> None:
    account = f"/api/accounts/{here.accounts['colleague']}"
    said = here.done("office", "POST", f"{account}/retire", json={"reason": "離職"})
    assert (said["kind"], said["name"], said["reason"]) == ("person", "colleague", "離職")
    assert here.ask("colleague", "GET", "/api/me").status_code == 401
    assert here.done("office", "GET", account)["disabled"]
    assert [one["id"] for one in here.done("expert", "GET", "/api/experts")["items"]] == [
        here.accounts[name] for name in ("expert", "lead")
    ]
    here.done("office", "POST", f"{account}/reinstate")
    assert not here.done("office", "GET", account)["disabled"]
    # What was ended stays ended: no key comes back with its owner.
    assert here.ask("colleague", "GET", "/api/me").status_code == 401
    last = here.ask("office", "POST", f"/api/accounts/{here.accounts['office']}/retire", json={"reason": "離職"})
    assert (last.status_code, last.json()["type"]) == (409, "urn:gloria:problem:last-office")


def test_what_is_not_right_is_refused(here: Asked) -> None:
    tomorrow = (day_in_taipei(datetime.now(UTC)) + timedelta(days=1)).isoformat()
    future = here.ask("office", "POST", "/api/labs/lab-1/retire", json=WHY | {"since": tomorrow})
    assert (future.status_code, future.json()["field"]) == (422, "since")
    silent = here.ask("office", "POST", "/api/labs/lab-1/retire", json={"reason": "  "})
    assert (silent.status_code, silent.json()["field"]) == (422, "reason")
    assert here.ask("office", "POST", "/api/labs/none/retire", json=WHY).status_code == 404
    assert here.ask("office", "POST", "/api/labs/lab-1/evidence/retire?piece=none", json=WHY).status_code == 422
    assert here.ask("office", "POST", "/api/labs/lab-1/reinstate").status_code == 422
    for who in ("expert", "lead", "researcher", "company", "committee"):
        assert here.ask(who, "POST", "/api/labs/lab-1/retire", json=WHY).status_code == 403
    assert _in_use(here)["labs"] == ["lab-1", "lab-2"]


@pytest.mark.postgresql_too
def test_an_import_stores_it_and_leaves_it_out_of_use(here: Asked) -> None:
    here.done("office", "POST", "/api/labs/lab-1/retire", json=WHY)
    with writing(here.engine) as session:
        report = import_rows(session, "labs", [{"id": "lab-1", "summary": "新的說明"}])
    assert (report.updated, [problem.severity for problem in report.problems]) == (1, ["warning"])
    assert '"lab-1" is retired' in report.problems[0].wrong
    assert _in_use(here)["labs"] == ["lab-2"]


def test_by_command(databases: Databases, gloria: Gloria, tmp_path: Path) -> None:
    (tmp_path / "labs.jsonl").write_text('{"id": "lab-1", "name": "一號"}\n{"id": "lab-2", "name": "二號"}\n')

    def run(*arguments: str, code: int = 0) -> str:
        answer = gloria(*arguments, home=tmp_path / "home", lang="en")
        assert answer.code == code, answer.err
        return answer.out if code == 0 else answer.err

    run("import", str(tmp_path / "labs.jsonl"))
    assert "say why" in run("retire", "lab", "lab-1", code=1)
    assert "there is no lab none" in run("retire", "lab", "none", "--reason", "x", code=1)
    run("retire", "lab", "lab-1", "--reason", "merged by mistake", "--since", "2026-11-02")
    assert run("retire") == "lab lab-1  since 2026-11-02: merged by mistake\n"
    run("export", "labs", "--out", str(tmp_path / "out.jsonl"))
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == ["lab-2"]
    assert run("retire", "lab", "lab-1", "--undo") == "lab-1 is in use again\n"
    assert json.loads(run("retire", "--json")) == {"items": []}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("retiring") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as made:
        yield made


def _ranked(server: Served) -> list[str]:
    page: Any = server.ask("expert", "GET", "/api/needs/need-1-01/matches", params={"top": 20}).json()
    return [one["lab_id"] for one in page["pairings"]]


@pytest.mark.parametrize("lang", ["zh-Hant", "en"])
def test_in_pages_and_rankings(server: Served, lang: str) -> None:
    words = {
        "zh-Hant": ("名稱或編號", "尋找", "理由", "已確認引用此筆的資料", "停用", "恢復使用", "整理這筆資料"),
        "en": (
            "Name or number",
            "Find",
            "Why",
            "I have seen what refers to it",
            "Retire it",
            "Take it back into use",
            "Mend this record",
        ),
    }[lang]
    search, find, why, sure, retire, back, mend = words
    before = _ranked(server)
    first = before[0]
    with visiting(server, "office", lang) as somebody:
        page = somebody.open("/admin/records")
        page.get_by_label(search).fill(first)
        page.get_by_role("button", name=find, exact=True).click()
        page.locator(f'a[href="/admin/records/lab/{first}"]').click()
        card = page.locator("section.card", has=page.locator("#h-retire"))
        card.get_by_label(why).fill("研究室已裁撤")
        card.get_by_label(sure).check()
        card.get_by_role("button", name=retire, exact=True).click()
        expect(page.locator("h1 .chip")).to_have_count(1)
        page = somebody.open(f"/labs/{first}")
        expect(page.locator(".notice.warn")).to_contain_text("研究室已裁撤")
        page.get_by_role("link", name=mend).click()
        until(lambda: first not in _ranked(server))
        page.get_by_role("button", name=back, exact=True).click()
        expect(page.locator("h1 .chip")).to_have_count(0)
    until(lambda: _ranked(server) == before)


def test_two_are_compared_merged_and_two_again_in_pages(server: Served) -> None:
    twice = [{"id": "twice-1", "name": "先進薄膜研究室", "pi": "王大明"}, {"id": "twice-2", "name": "先進薄膜研究室"}]
    engine = open_engine(server.settings)
    with writing(engine) as session:
        import_rows(session, "labs", twice)
    engine.dispose()
    with visiting(server, "office", "zh-Hant") as somebody:
        page = somebody.open("/admin/records/duplicates")
        pair = page.locator("li.card").filter(has_text="先進薄膜研究室")
        pair.get_by_role("link", name="比對並合併").click()
        expect(page.locator("table")).to_contain_text("王大明")
        page.get_by_label("為何是同一筆").fill("重複匯入")
        page.get_by_label("已比對兩筆資料").check()
        page.get_by_role("button", name="合併", exact=True).click()
        expect(page.locator("h1")).to_have_text("先進薄膜研究室")
        assert (
            server.ask("office", "GET", "/labs/twice-2", follow_redirects=False).headers["Location"] == "/labs/twice-1"
        )
        page = somebody.open("/admin/records")
        page.locator("section").filter(has=page.locator("#h-merged")).get_by_role("button").click()
        expect(page.locator("h1 .chip")).to_have_count(0)
        page = somebody.open("/admin/records/duplicates")
        pair = page.locator("li.card").filter(has_text="先進薄膜研究室")
        pair.get_by_role("button", name="是不同的兩筆").click()
        expect(page.locator("li.card").filter(has_text="先進薄膜研究室")).to_have_count(0)


def test_an_account_is_retired_and_two_are_made_one_in_pages(server: Served) -> None:
    engine = open_engine(server.settings)
    with writing(engine) as session:
        now = datetime.now(UTC)
        people = {
            email: add_account(session, email=email, name=name, now=now).id
            for email, name in (("mh.lin@one.example", "林美華"), ("lin@two.example", "林美華"))
        }
        client = select(Client).where(Client.company_id == "co-1-1", col(Client.until).is_(None))
        session.exec(client).one().expert_id = people["lin@two.example"]
    engine.dispose()
    gone, kept = people["lin@two.example"], people["mh.lin@one.example"]
    with visiting(server, "office", "zh-Hant") as somebody:
        page = somebody.open(f"/admin/accounts/{gone}")
        page.get_by_role("link", name="停用或合併此帳號").click()
        card = page.locator("section.card", has=page.locator("#h-retire"))
        card.get_by_label("理由").fill("已離職")
        card.get_by_label("已確認引用此筆的資料").check()
        card.get_by_role("button", name="停用", exact=True).click()
        expect(page.locator("h1 .chip")).to_have_count(1)
        expect(somebody.open(f"/admin/accounts/{gone}").locator(".notice.warn")).to_contain_text("已離職")
        page = somebody.open(f"/admin/records/person/{gone}")
        page.get_by_role("button", name="恢復使用", exact=True).click()
        expect(page.locator("h1 .chip")).to_have_count(0)
        page = somebody.open("/admin/records/duplicates?kind=person")
        pair = page.locator("li.card").filter(has_text="林美華")
        pair.get_by_role("link", name="比對並合併").click()
        expect(page.locator("table")).to_contain_text("lin@two.example")
        page = somebody.open(f"/admin/records/person/{gone}/merge?kept={kept}")
        expect(page.locator("main")).to_contain_text("負責聯繫的企業")
        page.get_by_label("為何是同一筆").fill("同一人的兩個帳號")
        page.get_by_label("已比對兩筆資料").check()
        page.get_by_role("button", name="合併", exact=True).click()
        assert "被併" not in page.locator("h1").inner_text()
        assert server.ask("office", "GET", f"/api/accounts/{gone}").json()["disabled"] is True
        # What the office changes of it meanwhile is said in its words when the merging is to be taken back.
        engine = open_engine(server.settings)
        with writing(engine) as session:
            session.exec(client).one().expert_id = server.accounts["colleague"]
        engine.dispose()
        page = somebody.open("/admin/records")
        page.locator("section").filter(has=page.locator("#h-merged")).get_by_role("button").click()
        expect(page.locator("main")).to_contain_text("負責聯繫的企業（1）")
        engine = open_engine(server.settings)
        with writing(engine) as session:
            session.exec(client).one().expert_id = kept
        engine.dispose()
        page = somebody.open("/admin/records")
        page.locator("section").filter(has=page.locator("#h-merged")).get_by_role("button").click()
    assert server.ask("office", "GET", f"/api/accounts/{gone}").json()["disabled"] is False


def test_a_school_is_renamed_and_divided_in_pages(server: Served) -> None:
    engine = open_engine(server.settings)
    with writing(engine) as session:
        import_rows(session, "schools", [{"id": "s-1", "name": "東方學院"}, {"id": "s-2", "name": "西方大學"}])
        import_rows(session, "labs", [{"id": "s-lab", "name": "分校實驗室", "school": "s-1"}])
    engine.dispose()
    with visiting(server, "office", "zh-Hant") as somebody:
        page = somebody.open("/admin/records/school/s-1")
        renaming = page.locator("section").filter(has=page.locator("#h-rename"))
        renaming.get_by_label("新的中文名稱").fill("東方大學")
        renaming.get_by_role("button", name="更名").click()
        expect(page.locator("h1")).to_have_text("東方大學")
        expect(page.locator("section").filter(has=page.locator("#h-rename"))).to_contain_text("東方學院")
        dividing = page.locator("section").filter(has=page.locator("#h-divide"))
        dividing.get_by_label("改隸何校").select_option("s-2")
        dividing.get_by_label("分校實驗室").check()
        dividing.get_by_role("button", name="改隸").click()
        expect(page.locator("section").filter(has=page.locator("#h-divide"))).to_contain_text("目前沒有所屬實驗室")
