"""Needs and companies that are alike, companies for a lab, what came of it: true, steady, only what one may see."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures import world_path
from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.records.passages import language_of
from indexer.records.profiles import Company
from indexer.settings import Settings
from matcher.judging.evaluation import collection_home
from matcher.judging.measures import read_qrels
from matcher.ranking.pairings import Matcher
from matcher.ranking.signals import Query, Searcher
from matcher.review.intake import adopt
from matcher.review.likeness import alike, as_snapshot, lab_companies, likeness, of_need
from matcher.review.people import declare_stake
from tests.conftest import Databases, Gloria
from tests.rig.kept_vectors import seed
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import visiting
from tests.rig.worlds.audit_rows import rows_of
from tests.test_ranking_reaches_its_targets import _settings

NEED, TWIN, ELSES, CONFLICTED = "need-1-01", "need-twin", "need-elses", "need-conflicted"
TITLE = "碳化矽基板研磨太慢,拋光後有刮傷"
TEXT = "我們的研磨液用在六吋碳化矽基板時,矽面每小時只磨得到零點五微米,拋光後還有細刮傷。"


@pytest.fixture(scope="module")
def world() -> Iterator[Matcher]:
    seed()
    with collection_home(_settings(), world_path() / "labs.jsonl", world_path() / "needs.jsonl") as (matcher, refused):
        assert refused == []
        yield matcher


def test_needs_that_the_same_lab_answers_are_alike(world: Matcher) -> None:
    said = [of_need(need) for need in world.needs.values()]
    qrels = read_qrels(world_path() / "qrels.txt")[0]
    good = [{lab for lab, grade in qrels[one.id].items() if grade >= 2} for one in said]
    searcher = Searcher(as_snapshot(world, said))
    vectors = world.queries.vectors([one.text for one in said])
    found = np.stack([likeness(searcher, Query(one.text, v)) for one, v in zip(said, vectors, strict=True)])
    same = np.array([[bool(a & b) for b in good] for a in good])
    apart = ~np.eye(len(said), dtype=bool)
    chinese = np.array([language_of(one.text) == "zh" for one in said])
    across = chinese[:, None] != chinese[None, :]

    def area(chosen: np.ndarray) -> float:
        others = np.sort(found[chosen & apart & ~same])
        return float(np.searchsorted(others, found[chosen & apart & same]).mean() / len(others))

    print("AUC", area(apart), "within", area(~across), "across", area(across))
    assert area(apart) >= 0.9
    assert area(across) >= 0.85
    assert (same & across).sum() >= 20


def test_no_other_need_moves_how_much_two_are_alike(world: Matcher) -> None:
    first, *others = list(world.needs.values())
    few = {one.id: one.score for one in alike(world, of_need(first), map(of_need, others[:30]), top=60)}
    many = {one.id: one.score for one in alike(world, of_need(first), map(of_need, others), top=60)}
    assert few
    assert {need_id: many[need_id] for need_id in few} == pytest.approx(few)
    assert first.id not in {one.id for one in alike(world, of_need(first), map(of_need, [first, *others]), top=60)}
    # The control: another text under the same name does move it.
    other = replace(of_need(others[0]), id=first.id)
    assert {one.id: one.score for one in alike(world, other, map(of_need, others), top=60)} != many


def test_a_company_without_a_need_is_told_by_its_description_however_often(world: Matcher) -> None:
    need = next(need for need in world.needs.values() if need.company and need.asks)
    firm = Company("co-made-up", "測試公司", "", None, "TW", None, "none", need.fields, "", need.asks[0].text)
    lab_id = world.snapshot.lab_ids[world.ranking(need).order[0]]
    for _ in range(2):
        (found,) = lab_companies(world, lab_id, [firm], [need])
        assert (found.company, found.by_need) == (firm, False)
    own = replace(need, company=firm.id)
    (found,) = lab_companies(world, lab_id, [firm], [own])
    assert (found.by_need, found.match.need) == (True, own)


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve three more needs that are about the same: one of the alliance, one of another, one of a conflict."""
    folder = tmp_path_factory.mktemp("alike") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    home = Path(shutil.copytree(indexed_home, tmp_path_factory.mktemp("index") / "home"))
    with served(settings, home, slice_of_world) as server:
        engine, now = open_engine(settings), datetime.now(UTC)
        with writing(engine) as session:
            rows = [(TWIN, "co-1-1", "al-a"), (ELSES, "co-1-3", "al-b"), (CONFLICTED, "co-1-4", "al-a")]
            told = {"title": TITLE, "description": TEXT, "confidentiality": "confidential", "year": 2025}
            import_rows(session, "needs", [{"id": one, "company": company, **told} for one, company, _ in rows])
            for one, _, alliance in rows:
                adopt(session, need_ids=[one], alliance_id=alliance, by=None, now=now)
            declare_stake(session, account_id=server.accounts["expert"], party="company", party_id="co-1-4", now=now)
        engine.dispose()
        yield server


def _asked(server: Served, who: str, path: str) -> dict[str, Any]:
    answer = server.ask(who, "GET", path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_experts_see_similar_needs_that_they_may_match_and_what_came_of_them(server: Served) -> None:
    path = f"/api/needs/{NEED}/similar"
    found = _asked(server, "expert", path)
    assert [one["need_id"] for one in found["needs"]] == [TWIN]
    assert (found["cases"], found["withheld"]) == ([], 1)
    # The control: a colleague without the interest sees the other need of the alliance too, nobody that of the other.
    colleague = _asked(server, "colleague", path)
    assert sorted(one["need_id"] for one in colleague["needs"]) == [CONFLICTED, TWIN]
    assert ELSES not in str(colleague)
    assert [one["need_id"] for one in _asked(server, "stranger", f"/api/needs/{ELSES}/similar")["needs"]] == []
    for who, status in (("stranger", 404), ("company", 403), ("researcher", 403), ("office", 403)):
        assert server.ask(who, "GET", path).status_code == status, who

    shown = _asked(server, "expert", f"/api/needs/{TWIN}/matches?top=1")["pairings"][0]
    decided = server.ask(
        "expert",
        "POST",
        f"/api/pairings/{shown['pairing_id']}/decision",
        json={"verdict": "accept", "proposal_id": shown["proposal_id"]},
    )
    assert decided.status_code in (200, 201), decided.text
    (case,) = _asked(server, "expert", path)["cases"]
    assert (case["need_id"], case["lab_id"], case["stage"]) == (TWIN, shown["lab_id"], "accepted")

    for lang, stage in (("zh-Hant", "已接受"), ("en", "accepted")):
        with visiting(server, "expert", lang) as visitor:
            page = visitor.page
            page.goto(f"{server.url}/needs/{NEED}")
            page.goto(f"{server.url}/needs/{NEED}/similar")
            assert TITLE in page.content()
            assert f'<span class="chip">{stage}</span>' in page.content()
            assert ELSES not in page.content()


def test_a_lab_is_told_companies_of_the_portfolio_by_need_or_description(server: Served) -> None:
    found = _asked(server, "expert", "/api/labs/lab-1-01/companies")
    # The portfolio has one company, and its need says more of this lab than its description.
    assert [(one["company_id"], one["need_id"]) for one in found["companies"]] in (
        [("co-1-1", NEED)],
        [("co-1-1", TWIN)],
    )
    assert found["withheld"] == 0
    best = _asked(server, "expert", "/api/labs/lab-1-01/matches")["needs"][0]
    assert (found["companies"][0]["score"], found["companies"][0]["band"]) == (best["score"], best["band"])
    assert _asked(server, "stranger", "/api/labs/lab-1-01/companies")["companies"] == []
    assert server.ask("company", "GET", "/api/labs/lab-1-01/companies").status_code == 403
    for lang, said in (("zh-Hant", "依其需求"), ("en", "By its need")):
        with visiting(server, "expert", lang) as visitor:
            visitor.page.goto(f"{server.url}/labs/lab-1-01/companies")
            assert said in visitor.page.content()


def test_what_is_like_a_company_is_found_in_the_portfolio_alone(server: Served) -> None:
    found = _asked(server, "expert", "/api/companies/co-1-1/similar")
    assert found["companies"] == []
    assert server.ask("stranger", "GET", "/api/companies/co-1-1/similar").status_code == 404
    assert server.ask("expert", "GET", "/api/companies/co-1-4/similar").status_code == 404
    with visiting(server, "expert", "zh-Hant") as visitor:
        visitor.page.goto(f"{server.url}/companies/co-1-1/similar")
        assert "您的企業名單中沒有相近的企業" in visitor.page.content()


def test_whose_needs_were_shown_stands_in_the_trail(server: Served) -> None:
    answer = server.ask("colleague", "GET", f"/api/needs/{NEED}/similar")
    number = answer.headers["x-request-id"]
    engine, kept = open_engine(server.settings), frozenset[str]()
    until = time.monotonic() + 15
    while not kept and time.monotonic() < until:
        kept = frozenset().union(*(row.subjects for row in rows_of(engine) if row.of.request_id == number))
        time.sleep(0.1)
    engine.dispose()
    assert {f"need {one}" for one in (NEED, TWIN, CONFLICTED)} <= kept
    assert f"need {ELSES}" not in kept


def test_the_command_finds_the_same(gloria: Gloria, indexed_home: Path) -> None:
    for lang in ("zh", "en"):
        for asked in (("need-1-01", "--similar"), ("--lab", "lab-1-01", "--companies"), ("--company", "co-1-1")):
            answer = gloria("--lang", lang, "match", *asked, home=indexed_home)
            assert (answer.code, answer.err) == (0, ""), answer.err
            assert answer.out.strip()
    found = gloria("match", "--lab", "lab-1-01", "--companies", "--json", home=indexed_home).document
    assert (found["companies"][0]["company_id"], found["companies"][0]["need_id"]) == ("co-1-1", "need-1-01")
    like = gloria("match", "--company", "co-1-1", "--json", home=indexed_home).document
    assert {"companies", "needs", "cases", "generation"} == set(like)
    refused = gloria("match", "--company", "co-1-1", "--similar", home=indexed_home)
    assert refused.code == 2
    assert "--companies" in refused.err
    unknown = gloria("match", "--company", "co-9", home=indexed_home)
    assert unknown.code != 0
    assert "co-9" in unknown.err
