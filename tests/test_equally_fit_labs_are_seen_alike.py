"""Fair reach: of labs that fit equally the one of a lesser-known school that was seen less stands earlier, and says so.

The rule is held against its promises on made-up orders and on a part of the demo world: near ties alone, nobody who has
their due, nothing at all while it is off. What it gives and costs: `test_ranking_reaches_its_targets`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from indexer.database import open_engine
from indexer.settings import Settings
from matcher.judging.fair_reach import well_known
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.pairings import Matcher
from matcher.ranking.reach.rule_in_use import put_in_use, rule_in_use, rule_path
from matcher.ranking.reach.seen_less import Reach, Rule, moved_up, reach_of, seen_at
from tests.conftest import Gloria

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
