"""Fair reach: of labs that fit equally the one of a lesser-known school that was seen less stands earlier, and says so.

The rule is held against its promises on made-up orders and on a part of the demo world: near ties alone, nobody who has
their due, nothing at all while it is off. What it gives and costs: `test_ranking_reaches_its_targets`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from indexer.database import open_engine
from indexer.records.importing import import_file
from indexer.settings import Settings
from matcher.judging.fair_reach import well_known
from matcher.ledger.rules.configuration import change, default
from matcher.ledger.rules.reach import ReachRule
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import load_ranker
from matcher.ranking.reach.rule_in_use import put_in_use, rule_in_use, rule_path
from matcher.ranking.reach.seen_less import Reach, Rule, moved_up, reach_of, seen_at
from matcher.review.people import Account
from matcher.review.proposals import Proposal, StoredPairing, release
from matcher.review.reach_audit import reach_audit
from tests.conftest import POSTGRESQL_AT_LENGTH, Gloria
from tests.rig.markup import faults_of, parsed, selected
from tests.rig.servers.served import served
from tests.rig.servers.served_here import until

NOW = datetime(2026, 11, 2, tzinfo=UTC)

FAMED = frozenset({"famed"})


def _rule(tolerance: float = 0.25, floor: float = 1.0, *, known: float = 10, others: float = 4) -> Rule:
    """The rule after weeks in which both deserved 5 and were seen so much."""
    return Rule(floor, tolerance, FAMED, Reach(known, 5), Reach(others, 5))


def test_a_lab_passes_near_ties_of_well_known_schools_alone() -> None:
    schools = ["famed", "famed", "small", "famed", "other"]
    scores = np.array([9.0, 8.2, 8.0, 5.0, 4.9])
    chances = np.array([0.8, 0.7, 0.65, 0.1, 0.1])
    assert moved_up(range(5), scores, chances, schools, _rule()) == ([0, 2, 1, 4, 3], frozenset({2, 4}))
    assert moved_up(range(5), scores, chances, schools, _rule(0.15)) == ([0, 1, 2, 4, 3], frozenset({4}))
    assert moved_up(range(5), scores, chances, schools, _rule(floor=0.0)) == ([0, 1, 2, 3, 4], frozenset())


@pytest.mark.parametrize(
    ("schools", "rule"),
    [
        (["famed", "famed"], _rule()),  # of well-known schools both
        (["other", "small"], _rule()),  # of lesser-known ones both
        (["small", "famed"], _rule(known=1, others=9)),  # a well-known one
        (["famed", "small"], _rule(known=4, others=6)),  # who have their due
        (["famed", ""], _rule()),  # whose school nobody states
    ],
)
def test_nobody_else_is_moved(schools: list[str], rule: Rule) -> None:
    assert moved_up([0, 1], np.array([8.0, 7.9]), np.array([0.6, 0.6]), schools, rule) == ([0, 1], frozenset())


def test_a_need_that_says_too_little_moves_nobody_and_counts_for_nobody() -> None:
    schools, nothing = ["famed", "small"], np.zeros(2)
    assert moved_up([0, 1], np.array([8.0, 7.9]), nothing, schools, _rule()) == ([0, 1], frozenset())
    assert reach_of([0, 1], nothing, schools) == {}


def test_whatever_is_moved_only_near_ties_change_their_order() -> None:
    chance = np.random.default_rng(21)
    for _ in range(300):
        n = int(chance.integers(2, 30))
        scores = np.sort(chance.normal(6, 1, n))[::-1]
        schools = [str(one) for one in chance.choice(["famed", "small", "other", "third", ""], n)]
        chances = 1 / (1 + np.exp(-(scores - 6)))
        tolerance = float(chance.choice([0.05, 0.3, 1.0]))
        shown, earlier = moved_up(range(n), scores, chances, schools, _rule(tolerance))
        assert sorted(shown) == list(range(n))
        place = {row: at for at, row in enumerate(shown)}
        for above in range(n):
            for below in range(above + 1, n):
                if place[below] < place[above]:
                    assert scores[above] - scores[below] <= tolerance
                    assert schools[above] == "famed"
                    assert schools[below] not in ("famed", "")
        assert earlier == {row for row in range(n) if place[row] < row}


def test_what_is_seen_and_deserved_of_a_need_is_the_same_in_sum() -> None:
    found = reach_of([2, 0, 1], np.array([0.5, 0.1, 0.4]), ["a", "b", "a"], depth=2)
    whole = sum(found.values(), Reach())
    assert whole.seen == pytest.approx(whole.deserved) == pytest.approx(seen_at(3, 2).sum())
    assert found["b"].seen == 0


NEEDS = ("need-1-01", "need-1-06")


def _shown(gloria: Gloria, home: Path) -> list[dict[str, Any]]:
    return [gloria("match", need, "--json", "--top", 30, home=home).document for need in NEEDS]


def test_off_is_the_same_ranking_and_on_it_says_whom_it_moved(own_home: Path, gloria: Gloria) -> None:
    settings, plain = Settings(home=own_home, encoders="bundled-use"), _shown(gloria, own_home)
    rule = Rule(3.0, 0.75, well_known(Matcher.open(settings).schools))
    assert rule.known
    put_in_use(settings, rule)
    assert rule_in_use(settings) == rule
    ruled = _shown(gloria, own_home)
    put_in_use(settings, replace(rule, floor=0.0))
    assert not rule_path(settings).exists()
    assert orjson.dumps(_shown(gloria, own_home)) == orjson.dumps(plain)
    moved = 0
    for before, after in zip(plain, ruled, strict=True):
        was = {one["lab_id"]: one["rank"] for one in before["pairings"]}
        for one in after["pairings"]:
            assert "seen_less" not in one["explanation"] or one["rank"] < was[one["lab_id"]]
            moved += one["explanation"].get("seen_less", False)
        assert not [one for one in before["pairings"] if "seen_less" in one["explanation"]]
    assert moved


def test_a_damaged_rule_moves_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(home=tmp_path)
    assert rule_in_use(settings) is None
    put_in_use(settings, _rule())
    assert rule_in_use(settings) == _rule()
    rule_path(settings).write_text('{"floor": 1}')
    assert rule_in_use(settings) is None
    assert "can't be read" in caplog.text


def test_a_server_takes_the_rule_up_and_lets_go_of_it(own_home: Path) -> None:
    settings = Settings(home=own_home, encoders="bundled-use")
    engine = open_engine(settings)
    live = LiveMatcher(settings, engine, check_every_s=0)
    try:
        before = live.current()
        assert before.reach is None
        put_in_use(settings, _rule())
        assert live.current().reach == _rule()
        put_in_use(settings, None)
        assert live.current().reach is None
    finally:
        live.close()
        engine.dispose()


def test_the_audit_counts_down_to_where_somebody_looked(engine: Engine, tmp_path: Path) -> None:
    """Ten labs are shown for each of three needs; of one somebody opened the third, of one accepted the first."""
    begin = datetime(2026, 10, 1, tzinfo=UTC)
    with Session(engine) as session:
        for kind, rows in _records().items():
            path = tmp_path / f"{kind}.jsonl"
            path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
            assert import_file(session, path, kind).errors == []
        numbers = {n: [_shows(session, n, place, begin) for place in range(10)] for n in range(3)}
        session.commit()
        opened = {numbers[0][2]: begin + timedelta(days=3)}
        release(session, pairing=session.get_one(StoredPairing, numbers[1][0]), by="u", now=begin + timedelta(days=20))
        asked: dict[str, Any] = {"until": begin + timedelta(days=90), "ranker": load_ranker()}
        found = reach_audit(session, since=begin, opened=opened, **asked)
        assert (found.needs, found.unread, found.depths) == (3, 1, {1: 1, 3: 1})
        assert found.known == {"famed"}
        seen = {one.lab_id: one.reach.seen for one in found.labs}
        assert seen["lab-0"] == pytest.approx(2.0)
        assert [seen[f"lab-{place}"] for place in (1, 2, 3)] == pytest.approx([1 / np.log2(3), 0.5, 0])
        whole = sum((one.reach for one in found.labs), Reach())
        assert whole.seen == pytest.approx(whole.deserved) == pytest.approx(3.5 + 1 / np.log2(3) - 1)
        assert {one.school_id: (one.labs, one.shown, one.opened) for one in found.schools} == {
            "famed": (5, 15, 2),
            "small": (5, 15, 0),
        }
        # It fades by the weeks since somebody looked; what was shown before and looked at in the time counts.
        faded = reach_audit(session, since=begin, opened=opened, half_life_weeks=1, **asked)
        weeks = [(90 - days) // 7 for days in (3, 20)]
        first = next(one for one in faded.labs if one.lab_id == "lab-0")
        assert first.reach.seen == pytest.approx(0.5 ** weeks[0] + 0.5 ** weeks[1])
        later = reach_audit(session, since=begin + timedelta(days=10), opened={}, **asked)
        assert (later.needs, later.depths) == (1, {1: 1})
        assert sum(one.shown for one in later.labs) == 0


def _records() -> dict[str, list[dict[str, Any]]]:
    schools = [("famed", "名校", "high"), ("small", "小校", "low")]
    return {
        "schools": [{"id": one, "name": name, "name_en": one, "prominence": fame} for one, name, fame in schools],
        "labs": [
            {"id": f"lab-{n}", "name": f"室{n}", "school": schools[n % 2][0], "summary": "量測", "evidence": []}
            for n in range(10)
        ],
        "needs": [{"id": f"need-{n}", "title": "量測", "description": "量測薄膜"} for n in range(3)],
    }


def _shows(session: Session, need: int, place: int, at: datetime) -> int:
    pairing = StoredPairing(need_id=f"need-{need}", lab_id=f"lab-{place}")
    session.add(pairing)
    session.flush()
    told = {"digest": f"{need}-{place}", "rank": place + 1, "score": 9.0 - place / 2, "band": "strong"}
    more = {"contributions": {}, "explanation": {}, "generation": "g", "ranker_version": "v", "shown_to": "u"}
    session.add(Proposal(pairing_id=pairing.id or 0, shown_at=at, **told, **more))
    session.flush()
    return pairing.id or 0


def test_the_office_switches_the_rule_on_and_the_command_tells_what_it_does(own_home: Path, gloria: Gloria) -> None:
    settings = Settings(home=own_home, encoders="bundled-use")
    plain = gloria("--lang", "en", "reach", "--quarter", "2026Q3", home=own_home)
    assert (plain.code, plain.out.splitlines()[0]) == (
        0,
        "2026Q3: 0 needs were shown; of 0 of them nobody opened a lab",
    )
    assert plain.out.splitlines()[-1] == "the rule is not in use"
    told = gloria("reach", "--simulate", "--floor", "2", "--json", home=own_home).document["simulation"]
    assert [one["name"] for one in told["standings"]] == ["plain", "ruled", "depth"]
    assert told["moved"] > 0
    assert told["standings"][1]["known"] < told["standings"][0]["known"]
    assert gloria("reach", "--settle", home=own_home).code == 0
    assert rule_in_use(settings) is None
    engine = open_engine(settings)
    with Session(engine) as session:
        session.add(Account(id="office", email="office@example.org", name="辦公室", created_at=NOW))
        session.flush()
        document = default(ReachRule).model_copy(update={"floor": 1.1})
        change(session, document, reason="試行", by="office", now=NOW)
        session.commit()
    engine.dispose()
    assert gloria("reach", "--settle", home=own_home).code == 0
    rule = rule_in_use(settings)
    assert rule is not None
    assert (rule.floor, rule.tolerance) == (1.1, 0.9)
    assert gloria("reach", "--quarter", "2026Q9", home=own_home).code == 2
    out = own_home / "reach.xlsx"
    assert gloria("reach", "--out", out, home=own_home).code == 0
    assert out.read_bytes()[:2] == b"PK"


@POSTGRESQL_AT_LENGTH
def test_the_office_reads_who_was_seen_in_a_page_and_takes_it_out(
    settings: Settings, indexed_home: Path, slice_of_world: Path
) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        shown = server.ask("expert", "GET", "/api/needs/need-1-01/matches", params={"top": 10}).json()["pairings"]
        before = server.ask("office", "GET", "/api/reach").json()
        assert (before["needs"], before["unread"], before["depths"]) == (1, 1, {})
        # Listed is not seen: only when somebody opens the fourth are four of them.
        assert server.ask("expert", "GET", f"/api/pairings/{shown[3]['pairing_id']}").status_code == 200
        until(lambda: bool(server.ask("office", "GET", "/api/reach").json()["depths"]))
        after = server.ask("office", "GET", "/api/reach").json()
        assert (after["needs"], after["unread"], after["depths"]) == (1, 0, {"4": 1})
        assert sum(one["seen"] for one in after["schools"]) == pytest.approx(float(seen_at(4).sum()))
        page = parsed(server.ask("office", "GET", "/reach?simulate=true").text)
        assert faults_of(page) == []
        assert len(selected(page, "table")) == 4
        links = [one.attributes["href"] for one in selected(page, "a[download]")]
        assert len(links) == 2
        for link in links:
            taken = server.ask("office", "GET", link)
            assert (taken.status_code, taken.content[:4]) in {(200, b"PK\x03\x04"), (200, b"%PDF")}
        assert server.ask("expert", "GET", "/reach").status_code == 403
        assert server.ask("office", "GET", "/api/reach?quarter=2026Q5").status_code == 422
