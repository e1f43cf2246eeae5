"""A team for a need: the fewest labs that cover what it asks, who of them covers what, accepted as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from playwright.sync_api import Browser

from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.records.profiles import Need
from indexer.settings import Settings
from matcher.ranking.explanation import PARTLY_FROM
from matcher.ranking.pairings import Matcher
from matcher.ranking.wishes import COVERED_FROM, Steering
from matcher.review.intake import adopt
from matcher.teams.covering import Candidates, NoTeamError, TeamRules, best_team, stand_ins, value_of
from matcher.teams.teams import Team, TeamError, TeamPicks, team_for
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

TOGETHER = ("need-1-04", "need-1-11")
"""Two needs of the world; what asks for both takes two labs."""


def made_up(draw: np.random.Generator, n: int, parts: int) -> Candidates:
    """Return candidates of all kinds, few of whom cover anything."""
    return Candidates(
        chances=np.round(draw.beta(0.6, 1.4, (n, parts)), 3),
        weights=draw.choice([0.3, 1.0, 1.0, 3.0], parts),
        school=draw.integers(-1, max(n // 3, 2), n),
        region=draw.integers(-1, 3, n),
        lesser_known=draw.random(n) < 0.3,
        fit=draw.random(n) * 10,
        covered_from=COVERED_FROM,
    )


def made_up_rules(draw: np.random.Generator, n: int) -> TeamRules:
    pairs = [draw.choice(n, 2, replace=False) for _ in range(draw.integers(0, 3))]
    return TeamRules(
        most=int(draw.integers(2, 5)),
        least=int(draw.integers(1, 3)),
        included=tuple(draw.choice(n, draw.integers(0, 2), replace=False).tolist()),
        apart=tuple((int(a), int(b)) for a, b in pairs),
        must_parts=(0,) if draw.random() < 0.15 else (),
        different_schools=bool(draw.random() < 0.4),
        one_region=bool(draw.random() < 0.2),
        lesser_known=bool(draw.random() < 0.3),
    )


def worth(candidates: Candidates, rows: tuple[int, ...]) -> tuple[float, int, float]:
    """Return by what a team is better than another, as `matcher.teams.covering` says: all three, in that order."""
    best = candidates.chances[list(rows)].max(axis=0)
    covered = float((candidates.weights * (best >= COVERED_FROM)).sum())
    return round(covered, 6), -len(rows), round(float((candidates.weights * best).sum()), 4)


def by_trying_all(candidates: Candidates, rules: TeamRules) -> tuple[float, int, float] | None:
    everybody = range(len(candidates.chances))
    sizes = range(rules.least, min(rules.most, len(everybody)) + 1)
    teams = (rows for size in sizes for rows in combinations(everybody, size))
    return max((worth(candidates, rows) for rows in teams if rules.kept_by(candidates, rows)), default=None)


@pytest.mark.parametrize("cases", [120, pytest.param(500, marks=pytest.mark.long)])
def test_the_team_is_the_one_that_trying_all_finds(cases: int) -> None:
    draw, none = np.random.default_rng(5), 0
    for _ in range(cases):
        n = int(draw.integers(3, 11))
        candidates, rules = made_up(draw, n, int(draw.integers(1, 6))), made_up_rules(draw, n)
        best = by_trying_all(candidates, rules)
        try:
            found = best_team(candidates, rules)
        except NoTeamError as error:
            none += 1
            assert best is None
            _check_clash(candidates, rules, error)
            continue
        assert worth(candidates, found.rows) == best
        assert rules.kept_by(candidates, found.rows)
        assert found.is_exact
        assert found.value <= found.bound + 1e-9
    assert 0 < none < cases / 2


def _check_clash(candidates: Candidates, rules: TeamRules, error: NoTeamError) -> None:
    """Check that what is said to clash does, without anything else, and that letting any one of it go is enough."""
    only = rules
    for rule in rules.stated:
        if rule not in error.clashing:
            only = only.without(rule)
    assert by_trying_all(candidates, only) is None
    for rule in error.clashing:
        assert by_trying_all(candidates, only.without(rule)) is not None


def test_of_many_labs_the_bound_holds_and_the_team_is_near_it() -> None:
    draw = np.random.default_rng(8)
    for size in (700, 1_500):
        candidates = made_up(draw, size, 6)
        candidates = replace(candidates, chances=candidates.chances**2)
        rules = TeamRules(most=3)
        found, best = best_team(candidates, rules), best_team(candidates, rules, exact_up_to=10_000)
        assert (found.is_exact, best.is_exact) == (False, True)
        assert best.value <= found.bound + 1e-9
        # What Nemhauser, Wolsey and Fisher promise of adding the best one at a time is little: here it is nearly all.
        assert found.value >= 0.98 * best.value > (1 - 1 / np.e) * best.value


def test_a_stand_in_keeps_the_rules_and_as_much_as_anybody() -> None:
    draw = np.random.default_rng(3)
    looked = 0
    for _ in range(40):
        candidates, rules = made_up(draw, 9, 4), replace(made_up_rules(draw, 9), included=())
        try:
            team = best_team(candidates, rules).rows
        except NoTeamError:
            continue
        for member in team:
            rest = [row for row in team if row != member]
            others = [row for row in range(9) if row not in team and rules.kept_by(candidates, [*rest, row])]
            found = stand_ins(candidates, rules, team, member, 2)
            assert set(found) <= set(others)
            best = sorted((value_of(candidates, [*rest, row]) for row in others), reverse=True)[:2]
            assert [value_of(candidates, [*rest, row]) for row in found] == pytest.approx(best)
            looked += bool(found)
    assert looked > 20


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


def together(first: Need, second: Need) -> Need:
    """Return a need that asks for what two needs ask for."""
    return replace(
        first,
        id="need-together",
        title=f"{first.title} / {second.title}",
        description=f"{first.description}\n{second.description}",
        asks=(*first.asks, *second.asks),
        fields=tuple(dict.fromkeys((*first.fields, *second.fields))),
    )


@pytest.fixture(scope="module")
def need(matcher: Matcher) -> Need:
    return together(*(matcher.needs[one] for one in TOGETHER))


@pytest.fixture(scope="module")
def team(matcher: Matcher, need: Need) -> Team:
    return team_for(matcher, need)


def test_a_team_says_who_covers_what_as_the_labs_own_explanations_do(matcher: Matcher, need: Need, team: Team) -> None:
    assert len(team.members) == 2
    explained = {pairing.lab_id: pairing.explanation.asks for pairing in team.result.pairings}
    for member in team.members:
        covered = [number for number, ask in enumerate(explained[member.lab_id], start=1) if ask.covered == "yes"]
        others = [one for one in team.members if one != member]
        assert list(member.covers) == covered
        assert set(member.alone) == set(covered) - {number for one in others for number in one.covers}
        assert member.alone
    for ask in team.asks:
        said = [asks[ask.number - 1].covered for asks in explained.values()]
        assert ask.covered == ("yes" if "yes" in said else "partly" if "partly" in said else "no")
        assert (ask.lab_id is None) == (ask.covered == "no")
    # The control: neither of them covers it all, and for one of the needs alone one lab is enough.
    assert max(len(member.covers) for member in team.members) < len(need.asks)
    assert len(team_for(matcher, matcher.needs[TOGETHER[0]]).members) == 1
    assert [member.could_lead for member in team.members] == [True, False]


def test_a_team_keeps_to_what_is_picked(matcher: Matcher, need: Need, team: Team) -> None:
    first, second = (member.lab_id for member in team.members)
    stand_in = next(one.lab_id for member in team.members for one in member.stand_ins)
    chosen = team_for(matcher, need, TeamPicks(included=(stand_in,)))
    assert stand_in in {member.lab_id for member in chosen.members}
    apart = team_for(matcher, need, TeamPicks(apart=((first, second),)))
    assert not {first, second} <= {member.lab_id for member in apart.members}
    alone = team_for(matcher, need, TeamPicks(most=1))
    assert len(alone.members) == 1
    assert alone.uncovered
    left_out = team_for(matcher, need, steering=Steering.read([f"lab:{first}.never"]))
    assert first not in {member.lab_id for member in left_out.members}
    full = team_for(matcher, need, full={first})
    assert first not in {member.lab_id for member in full.members}
    assert full.without_room == (first,)
    # Named, it is in all the same: the expert knows better how much it can carry.
    named = team_for(matcher, need, TeamPicks(included=(first,)), full={first})
    assert first in {member.lab_id for member in named.members}


def test_an_ask_that_must_be_covered_is_covered_by_one_of_them(matcher: Matcher, need: Need, team: Team) -> None:
    only = TeamPicks(most=1)
    (usual,) = team_for(matcher, need, only).members
    missed = next(ask.number for ask in team.asks if ask.covered == "yes" and ask.number not in usual.covers)
    (member,) = team_for(matcher, need, only, steering=Steering.read([f"ask:{missed}.must"])).members
    assert missed in member.covers
    assert member.lab_id != usual.lab_id


def test_labs_of_one_head_or_in_conflict_are_never_together(matcher: Matcher, need: Need, team: Team) -> None:
    first, second = (matcher.labs[member.lab_id] for member in team.members)
    for change in ({"pi": first.pi, "school": first.school}, {"conflicts": (first.name,)}):
        profiles = tuple(
            replace(lab, **change) if lab.id == second.id else lab  # type: ignore[arg-type]
            for lab in matcher.table.profiles
        )
        ranking = matcher.ranking(need, second_look=True)
        changed = replace(ranking, labs=replace(ranking.labs, profiles=profiles))
        other = _with_ranking(matcher, changed)
        assert not {first.id, second.id} <= {member.lab_id for member in team_for(other, need).members}


def _with_ranking(matcher: Matcher, ranking: Any) -> Matcher:
    class Answering(Matcher):
        def ranking(self, *_: Any, **__: Any) -> Any:
            return ranking

    copy = object.__new__(Answering)
    copy.__dict__.update(matcher.__dict__)
    return copy


@pytest.mark.parametrize(
    ("picks", "field", "said"),
    [
        (TeamPicks(included=("lab-none",)), "included", "no lab 'lab-none'"),
        (TeamPicks(apart=(("lab-none", "lab-1-01"),)), "apart", "no lab 'lab-none'"),
        (TeamPicks(most=1, included=("lab-1-07", "lab-1-27")), "included", "2 labs are picked for a team of at most 1"),
        (TeamPicks(least=2, least_share_ntd=10**9), "least_share_ntd", "enough for 0 shares"),
        (TeamPicks(included=("lab-1-07", "lab-1-27"), apart=(("lab-1-07", "lab-1-27"),)), "included", "who can't be"),
    ],
)
def test_picks_that_make_no_team_name_what_is_to_blame(
    matcher: Matcher, need: Need, picks: TeamPicks, field: str, said: str
) -> None:
    with pytest.raises(TeamError, match=said) as refused:
        team_for(matcher, need, picks)
    assert refused.value.field == field


def test_a_need_that_nobody_answers_has_no_team(matcher: Matcher, need: Need) -> None:
    nonsense = replace(
        need,
        title="芭蕾舞衣與楔形文字",
        description="為巡迴芭蕾舞團縫製舞衣，並翻譯楔形文字泥板。",
        asks=(replace(need.asks[0], text="手工縫製芭蕾舞裙"), replace(need.asks[0], text="翻譯楔形文字泥板")),
        fields=(),
    )
    found = team_for(matcher, nonsense)
    assert (found.members, found.result.pairings) == ((), ())
    assert [ask.covered for ask in found.asks] == ["no", "no"]


def test_every_candidate_answers_something(matcher: Matcher, need: Need, team: Team) -> None:
    chances = matcher.ranking(need, second_look=True).covering()
    assert team.candidates <= int((chances.max(axis=0) >= PARTLY_FROM).sum())


def test_the_command_finds_a_team_and_refuses_what_is_none(gloria: Any, indexed_home: Path) -> None:
    found = gloria("--lang", "en", "match", "need-1-04", "--team", "--pick", "least:2", home=indexed_home)
    assert found.code == 0, found.err
    assert "2 labs cover" in found.out
    plain = orjson.loads(gloria("match", "need-1-04", "--team", "--json", home=indexed_home).out)
    assert [one["lab_id"] for one in plain["members"]] == ["lab-1-07"]
    assert plain["is_exact"]
    for words, code, said in (
        (["--team", "--pick", "least:3", "--pick", "most:2"], 2, "at least 3 and at most 2"),
        (["--team", "--pick", "soon"], 2, "picks nothing of a team"),
        (["--pick", "most:2"], 2, "a team is for a need"),
        (["--team", "--pick", "with:lab-none"], 1, "lab-none"),
    ):
        refused = gloria("--lang", "en", "match", "need-1-04", *words, home=indexed_home)
        assert refused.code == code, refused.out
        assert said in " ".join(refused.err.replace("│", " ").split())


@pytest.fixture(scope="module")
def server(
    databases: Databases,
    indexed_home: Path,
    slice_of_world: Path,
    matcher: Matcher,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Serve a need that takes two labs, once for each language."""
    folder = tmp_path_factory.mktemp("teams") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    two = together(*(matcher.needs[one] for one in TOGETHER))
    asks = [{"kind": ask.kind, "text": ask.text} for ask in two.asks]
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            ids = [f"need-two-{lang}" for lang in LANGS]
            for need_id in ids:
                row = {"id": need_id, "company": "co-1-1", "title": two.title, "description": two.description}
                import_rows(session, "needs", [{**row, "asks": asks, "fields": list(two.fields)}])
            adopt(session, need_ids=ids, alliance_id="al-a", by=None, now=server_now(session))
        engine.dispose()
        yield server


def server_now(_: Any) -> Any:
    from indexer.instants import now

    return now()


@pytest.mark.parametrize("lang", LANGS)
def test_a_team_is_changed_shown_and_accepted_as_one(server: Served, lang: str) -> None:
    zh = lang == "zh-Hant"
    place = f"/needs/need-two-{lang}/team"
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(f"/needs/need-two-{lang}/ranked")
        page.get_by_role("link", name="組成團隊" if zh else "A team").click()
        expect(page.locator(".verdict-line")).to_contain_text("2 個實驗室" if zh else "2 labs cover")
        expect(page.locator(".candidate")).to_have_count(2)
        names = page.locator(".who thead th").all_inner_texts()[1:]
        # A member that is swapped for who could stand in is in no more, and the stand-in is; then as usual again.
        swap = page.locator(".stand-ins a").first
        stand_in = swap.inner_text()
        swap.click()
        now_in = page.locator(".who thead th").all_inner_texts()[1:]
        assert stand_in in now_in
        assert now_in != names
        page.get_by_role("link", name="恢復一般排序" if zh else "As usual").click()
        assert page.locator(".who thead th").all_inner_texts()[1:] == names
        page.locator(".picks summary").click()
        page.locator("#team-most").select_option("1")
        page.locator(".picks").get_by_role("button", name="顯示" if zh else "Show").click()
        expect(page.locator(".verdict-line")).to_contain_text("一個實驗室就夠了" if zh else "One lab is enough")
        page = somebody.open(place)
        page.get_by_role("button", name="整隊接受" if zh else "Accept as one team").click()
        expect(page.locator("#h-team")).to_be_visible()
        team = page.locator("section", has=page.locator("#h-team"))
        assert all(name in team.inner_text() for name in names)
        expect(team).to_contain_text("主責" if zh else "leads")
        # The other case names the team too, and on the team's page there is nothing left to accept.
        other = team.locator("a").first
        other.click()
        expect(page.locator("#h-team")).to_be_visible()
        page = somebody.open(place)
        assert page.get_by_role("button", name="整隊接受" if zh else "Accept as one team").count() == 0
        page.get_by_role("button", name="製作這幾個" if zh else "Shortlist of these").click()
        assert all(name in page.locator("main").inner_text() for name in names)


def test_a_team_is_accepted_whole_or_not_at_all(server: Served) -> None:
    place = "/api/needs/need-1-01/team"
    shown = server.ask("expert", "GET", f"{place}?least=2").json()["members"]
    body = {"members": [{"pairing_id": one["pairing_id"], "proposal_id": one["proposal_id"]} for one in shown]}
    lead = shown[0]["pairing_id"]
    wrong = [{**body["members"][0]}, {**body["members"][1], "proposal_id": body["members"][0]["proposal_id"]}]
    for sent, status in (
        ({"members": wrong, "lead": lead}, 422),
        ({**body, "lead": 999_999}, 422),
        ({"members": body["members"][:1], "lead": lead}, 422),
        ({"members": [body["members"][0]] * 2, "lead": lead}, 409),
    ):
        assert server.ask("expert", "POST", place, json=sent).status_code == status
        states = {one["state"] for one in server.ask("expert", "GET", f"{place}?least=2").json()["members"]}
        assert states == {"proposed"}
    assert server.ask("stranger", "POST", place, json={**body, "lead": lead}).status_code == 404
    formed = server.ask("expert", "POST", place, json={**body, "lead": lead})
    assert formed.status_code == 201, formed.text
    first, second = formed.json()["case_ids"]
    case = server.ask("expert", "GET", f"/api/cases/{first}").json()
    assert [(one["case_id"], one["leads"]) for one in case["team"]] == [(first, True), (second, False)]
    # A team made again with another lead takes over; an acceptance that is undone leaves the team.
    again = server.ask("expert", "POST", place, json={**body, "lead": shown[1]["pairing_id"]})
    assert again.json()["case_ids"] == [first, second]
    assert server.ask("expert", "GET", f"/api/cases/{first}").json()["team"][0]["case_id"] == second
    undone = server.ask("expert", "POST", f"/api/pairings/{shown[1]['pairing_id']}/decision", json={"verdict": "undo"})
    assert undone.status_code == 201, undone.text
    assert server.ask("expert", "GET", f"/api/cases/{first}").json()["team"] == []


def test_labs_in_which_one_has_an_interest_are_in_no_team(server: Served) -> None:
    answer = server.ask("company", "GET", "/api/needs/need-1-01/team")
    assert answer.status_code == 403
    other = server.ask("stranger", "GET", "/api/needs/need-1-01/team")
    assert other.status_code == 404


@pytest.mark.parametrize("lang", LANGS)
def test_the_page_of_a_team_is_accessible(browser: Browser, server: Served, lang: str) -> None:
    with browsing(browser, server, "colleague", lang) as somebody:
        look_over(somebody, lang, {"needs-team": "/needs/need-two-en/team"})
