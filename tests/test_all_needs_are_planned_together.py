"""A plan for all open needs: made by a job, read, changed by two pins, compared; a proposal that decides nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser

from indexer.database import open_engine, writing
from indexer.instants import now
from indexer.records.importing import import_rows
from indexer.records.record_tables import Need, load_need
from indexer.settings import Settings
from indexer.vocabulary import Tier
from matcher.portfolio.assignment import LimitKind
from matcher.portfolio.picks import PlanError, PlanPicks
from matcher.portfolio.plans import Carried, OpenNeed, Reason, changes, planned, prospects_of
from matcher.ranking.pairings import Matcher
from matcher.ranking.wishes import Steering
from matcher.review.intake import adopt
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

ALIKE = 4
"""So many needs want what one of the world wants: one lab each is too few."""
WORDS = ["expert:6", "silent:2", "tier:gold.90", "pin:n,l", "never:n,m", "apart:n,o", "without:p"]


def test_picks_are_words_and_words_are_picks() -> None:
    picks = PlanPicks.read(WORDS)
    assert picks == PlanPicks(
        pins=(("n", "l"),),
        forbidden=(("n", "m"),),
        apart=(("n", "o"),),
        without=("p",),
        per_expert=6,
        silent_room=2,
        tiers=((Tier.GOLD, 90),),
    )
    assert PlanPicks.read(picks.words) == picks
    for wrong in ("pin:n", "expert:many", "tier:gold.101", "tier:silver.50", "soon"):
        with pytest.raises(PlanError, match=wrong):
            PlanPicks.read([wrong])
    with pytest.raises(PlanError, match="two labs"):
        PlanPicks.read(["pin:n,a", "pin:n,b"])


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


@pytest.fixture(scope="module")
def open_needs(matcher: Matcher) -> list[OpenNeed]:
    """Return the needs of the world, and some more that want the same labs as the first of them."""
    those = [need for _, need in sorted(matcher.needs.items())]
    alike = [replace(those[0], id=f"need-alike-{n}") for n in range(ALIKE)]
    return [OpenNeed(need, expert="e", tier=Tier.DOMESTIC) for need in (*alike, *those)]


def test_a_lab_that_is_set_aside_is_never_given_and_cant_be_pinned(
    matcher: Matcher, open_needs: list[OpenNeed]
) -> None:
    prospects = list(prospects_of(matcher, open_needs))
    for one, found in zip(open_needs, prospects, strict=True):
        ranking = matcher.ranking(one.need)
        aside = {lab_id for ids in ranking.set_aside.values() for lab_id in ids}
        assert aside.isdisjoint(lab_id for lab_id, _ in found.labs)
    first = next(one for one in open_needs if any(matcher.ranking(one.need).set_aside.values()))
    lab_id = next(lab_id for ids in matcher.ranking(first.need).set_aside.values() for lab_id in ids)
    with pytest.raises(PlanError, match="can never get"):
        list(prospects_of(matcher, [first], PlanPicks(pins=((first.need.id, lab_id),))))


def test_steering_moves_labs_within_a_need_and_not_the_need_among_others(
    matcher: Matcher, open_needs: list[OpenNeed]
) -> None:
    usual = next(iter(prospects_of(matcher, open_needs[:1])))
    out = usual.labs[0][0]
    steered = OpenNeed(open_needs[0].need, steering=Steering.read(["region:south.more", f"lab:{out}.never"]))
    found = next(iter(prospects_of(matcher, [steered])))
    assert found.of(out) is None
    assert found.labs != usual.labs[1:]
    assert all(0 < chance <= max(chance for _, chance in usual.labs) for _, chance in found.labs)
    declined = OpenNeed(open_needs[0].need, declined=frozenset({out}))
    assert [lab for lab, _ in next(iter(prospects_of(matcher, [declined]))).labs] == [lab for lab, _ in usual.labs[1:]]


def test_a_plan_keeps_to_what_labs_and_experts_carry(matcher: Matcher, open_needs: list[OpenNeed]) -> None:
    prospects = list(prospects_of(matcher, open_needs))
    free = planned(open_needs, prospects, picks=PlanPicks(silent_room=1))
    labs = [one.lab_id for one in free.given if one.lab_id]
    assert len(labs) == len(set(labs)) == free.served > 2
    assert (free.gap, free.is_exact) == (pytest.approx(0, abs=1e-6), True)
    answered = [one for one in prospects if one.labs]
    full = Carried(rooms={answered[0].labs[0][0]: 0}, by_expert={"e": 3})
    picks = PlanPicks(silent_room=1, per_expert=5)
    tight = planned(open_needs, prospects, full, picks)
    assert tight.served == 2
    without = [one for one in tight.given if one.lab_id is None and one.best_lab_id]
    assert {one.why for one in without} == {Reason.LOAD}
    assert all(len(one.others) == 2 and one.limit and one.limit.whose == "e" for one in without)
    # The least service of a tier and what the expert carries can't both be kept; loosened as told, they can.
    clash = planned(open_needs, prospects, full, PlanPicks(silent_room=1, per_expert=5, tiers=((Tier.DOMESTIC, 100),)))
    assert {one.kind for one in clash.clash} == {LimitKind.SERVICE, LimitKind.LOAD}
    (way_out,) = clash.cheapest
    share = int(100 * (way_out.amount - (way_out.loosen or 0)) / len(answered))
    loosened = PlanPicks(silent_room=1, per_expert=5, tiers=((Tier.DOMESTIC, share),))
    assert (way_out.kind, planned(open_needs, prospects, full, loosened).clash) == (LimitKind.SERVICE, ())


def test_a_need_that_is_withdrawn_changes_only_what_hung_on_it(matcher: Matcher, open_needs: list[OpenNeed]) -> None:
    prospects = list(prospects_of(matcher, open_needs))
    whole = planned(open_needs, prospects, picks=PlanPicks(silent_room=1))
    before = {one.need_id: one.lab_id for one in whole.given}
    kept = {need: lab for need, lab in before.items() if lab}
    # Of a need that got nobody nothing hangs on, so that nothing else changes: equals stay where they were.
    alone = next(one for one in whole.given if one.lab_id is None)
    fewer = planned(open_needs, prospects, picks=PlanPicks(silent_room=1, without=(alone.need_id,)), kept=kept)
    after = {one.need_id: one.lab_id for one in fewer.given}
    (gone,) = changes(before, after)
    assert (gone.need_id, gone.is_gone) == (alone.need_id, True)


def test_the_command_plans_and_refuses_what_is_no_pick(gloria: Any, indexed_home: Path) -> None:
    found = gloria("--lang", "en", "portfolio", "--pick", "silent:1", home=indexed_home)
    assert found.code == 0, found.err
    assert "nothing is decided" in found.out
    plain = orjson.loads(gloria("portfolio", "--pick", "silent:1", "--json", home=indexed_home).out)
    labs = [one["lab"]["lab_id"] for one in plain["needs"] if one["lab"]]
    assert len(set(labs)) == plain["served"] > 0
    for words, code, said in (
        (["soon"], 2, "picks nothing of a plan"),
        (["pin:need-none,lab-1-01"], 1, "no open need"),
    ):
        refused = gloria("--lang", "en", "portfolio", "--pick", *words, home=indexed_home)
        assert refused.code == code, refused.out
        assert said in " ".join(refused.err.replace("│", " ").split())


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("portfolio") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            alike = load_need(session, "need-1-01")
            assert alike is not None
            asks = [{"kind": ask.kind, "text": ask.text} for ask in alike.asks]
            ids = [f"need-alike-{n}" for n in range(ALIKE)]
            for need_id in ids:
                row = {"id": need_id, "company": alike.company, "title": need_id, "confidentiality": "public"}
                more = {"description": alike.description, "asks": asks, "fields": list(alike.fields)}
                import_rows(session, "needs", [{**row, **more}])
            adopt(session, need_ids=ids, alliance_id="al-a", by=None, now=now())
        engine.dispose()
        yield server


def _made(server: Served, who: str, **body: Any) -> dict[str, Any]:
    """Make a plan and return it as its maker reads it."""
    asked = server.ask(who, "POST", "/api/portfolio", json=body)
    assert asked.status_code == 202, asked.text
    job = asked.json()["id"]
    until = time.monotonic() + 60
    while (found := server.ask(who, "GET", f"/api/jobs/{job}").json())["state"] not in ("done", "failed"):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert found["state"] == "done", found
    plan_id = server.ask(who, "GET", f"/api/jobs/{job}/result").json()["plan_id"]
    plan: dict[str, Any] = server.ask(who, "GET", f"/api/portfolio/{plan_id}").json()
    return plan


def test_a_plan_is_kept_changed_and_compared(server: Served) -> None:
    first = _made(server, "lead", words=["silent:1"])
    served_ = [one for one in first["needs"] if one["lab"] and len(one["choices"]) > 1]
    assert len(served_) > 1
    need = served_[0]
    other = next(one for one in need["choices"] if one["lab_id"] != need["lab"]["lab_id"])
    words = ["silent:1", f"pin:{need['need_id']},{other['lab_id']}"]
    second = _made(server, "lead", words=words, based_on=first["id"])
    assert second["based_on"] == second["against"] == first["id"]
    assert {one["need_id"]: one["lab"] for one in second["needs"]}[need["need_id"]]["lab_id"] == other["lab_id"]
    moved = {one["need_id"]: (one["before"]["lab_id"], one["after"]["lab_id"]) for one in second["changes"][:1]}
    assert need["need_id"] in {one["need_id"] for one in second["changes"]}, moved
    # What is picked of nobody's need, or of a plan of others, is refused; so is whoever leads nothing.
    for who, body, status in (
        ("lead", {"words": ["pin:need-none,lab-1-01"]}, 422),
        ("lead", {"words": ["soon"]}, 422),
        ("lead", {"alliance": "al-b"}, 422),
        ("lead", {"based_on": 999}, 422),
        ("expert", {}, 403),
        ("company", {}, 403),
    ):
        assert server.ask(who, "POST", "/api/portfolio", json=body).status_code == status, (who, body)
    assert server.ask("expert", "GET", f"/api/portfolio/{first['id']}").status_code == 403
    listed = server.ask("lead", "GET", "/api/portfolio").json()["items"]
    assert [one["id"] for one in listed] == [second["id"], first["id"]]


def test_what_is_confidential_is_in_no_plan_of_the_office(server: Served) -> None:
    plan = _made(server, "lead", words=["silent:1"])
    secret = "need-alike-3"
    assert secret in {one["need_id"] for one in _made(server, "office", words=[])["needs"]}
    hidden = server.ask("office", "GET", f"/api/portfolio/{plan['id']}").json()["hidden"]
    engine = open_engine(server.settings)
    with writing(engine) as session:
        row = session.get(Need, secret)
        assert row is not None
        title, row.confidentiality = row.title, "confidential"
        session.add(row)
    engine.dispose()
    assert server.ask("office", "GET", f"/api/portfolio/{plan['id']}").json()["hidden"] == hidden + 1
    made = _made(server, "office", words=[])
    assert secret not in {one["need_id"] for one in made["needs"]}
    assert made["left_out"]["unreadable"] >= 1
    # Of a plan that was made before, or by the lead, the office reads that there is one need more and not which.
    read = server.ask("office", "GET", f"/api/portfolio/{plan['id']}")
    assert title not in read.text
    assert secret not in read.text
    assert title in server.ask("lead", "GET", f"/api/portfolio/{plan['id']}").text


@pytest.mark.parametrize("lang", LANGS)
def test_two_pins_by_click_and_it_is_solved_again(server: Served, lang: str) -> None:
    zh = lang == "zh-Hant"
    with visiting(server, "lead", lang) as somebody:
        page = somebody.open("/portfolio")
        page.get_by_label("未註明容量的實驗室" if zh else "states no capacity").fill("1")
        page.get_by_role("button", name="規劃所有待媒合需求" if zh else "Plan all open needs").click()
        _waited(page)
        rows = [one for one in page.locator(".plan-row").all() if one.locator("select[name=pin] option").count() > 2]
        assert len(rows) >= 2
        pinned = {}
        for row in rows[:2]:
            # The last lab that comes into question: nobody would get it otherwise.
            choice = row.locator("select[name=pin] option").last
            row.locator("select[name=pin]").select_option(choice.get_attribute("value"))
            pinned[row.get_attribute("id")] = choice.inner_text().partition(" · ")[0]
        page.get_by_role("button", name="重新求解" if zh else "Solve again").first.click()
        _waited(page)
        for row_id, lab in pinned.items():
            row = page.locator(f"#{row_id}")
            assert lab in row.locator(".gets").inner_text()
            expect(row.locator("h2")).to_contain_text("已指定" if zh else "pinned")
        expect(page.locator("#h-changes")).to_be_visible()
        assert page.locator(".changes li").count() >= 2
        # From the row one goes to the need, with the lab opened, where it is accepted as always.
        row_id, lab = next(iter(pinned.items()))
        page.locator(f"#{row_id} .gets a").click()
        assert re.search(r"/needs/[^/]+/pairings/\d+$", page.url)
        assert lab in page.locator(".candidate h3").inner_text()


def _waited(page: Any) -> None:
    until = time.monotonic() + 60
    while "/portfolio/jobs/" in page.url:
        assert time.monotonic() < until
        time.sleep(0.2)
        page.goto(page.url)


@pytest.mark.parametrize("lang", LANGS)
def test_the_pages_of_plans_are_accessible(browser: Browser, server: Served, lang: str) -> None:
    plan = _made(server, "lead", words=["silent:1"])
    with browsing(browser, server, "lead", lang) as somebody:
        look_over(somebody, lang, {"portfolio": "/portfolio", "portfolio-plan": f"/portfolio/{plan['id']}"})
