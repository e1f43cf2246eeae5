"""`GLORIA_NEAR_TIES`: a coin chooses who stands first of near ties, what is shown says so, rankers are judged by it.

In the comparison the truth is known: of each pair the lab that the better ranker prefers is accepted more often,
wherever it stands, and experts look at the upper place more often.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from indexer.arrays import DoubleArray
from matcher.judging.champion.decisions import Lesson
from matcher.judging.champion.near_ties import drawn_difference
from matcher.judging.champion.remembering import by_weights
from matcher.ranking.near_ties import FIRST, drawn_order
from matcher.ranking.signals import FEATURES
from tests.conftest import Gloria


def test_neighbours_change_places_half_of_the_time_and_nobody_moves_further() -> None:
    scores = np.array([9.0, 8.95, 8.0, 7.99, 7.98, 1.0])
    found = [drawn_order(range(6), scores, 0.1, f"need-{n}") for n in range(400)]
    for shown, drawn in found:
        assert sorted(shown) == list(range(6))
        assert {frozenset(shown[:2]), frozenset(shown[2:4])} == {frozenset((0, 1)), frozenset((2, 3))}
        assert shown[4:] == [4, 5]
        assert {row: (one.chance, one.other_rank) for row, one in drawn.items()} == {
            shown[0]: (0.5, 2),
            shown[1]: (0.5, 1),
            shown[2]: (0.5, 4),
            shown[3]: (0.5, 3),
        }
    exchanged = np.array([(shown[0] == 1, shown[2] == 3) for shown, _ in found])
    assert (np.abs(exchanged.mean(axis=0) - 0.5) < 0.1).all()
    assert abs(np.corrcoef(exchanged.T)[0, 1]) < 0.2
    assert drawn_order(range(6), scores, 0.1, "need-1") == found[1]
    assert drawn_order(range(6), scores, 0.001, "need-1") == (list(range(6)), {})
    shown, drawn = drawn_order(range(40), np.zeros(40), 0.1, "x")
    assert shown[FIRST:] == list(range(FIRST, 40))
    assert len(drawn) == FIRST


def test_what_is_shown_says_whose_place_was_drawn(indexed_home: Path, gloria: Gloria) -> None:
    need = "need-1-01"
    plain = gloria("match", need, "--json", "--top", 40, home=indexed_home).document["pairings"]
    assert not [one for one in plain if "drawn" in one["explanation"]]
    shown = gloria("match", need, "--json", "--top", 40, home=indexed_home, near_ties="0.5").document["pairings"]
    assert [one["rank"] for one in shown] == [one["rank"] for one in plain]
    assert {one["lab_id"]: one["score"] for one in shown} == {one["lab_id"]: one["score"] for one in plain}
    drawn = [one for one in shown if "drawn" in one["explanation"]]
    assert drawn
    for one in drawn:
        other = shown[one["explanation"]["drawn"]["other_rank"] - 1]
        assert other["explanation"]["drawn"] == {"chance": 0.5, "other_rank": one["rank"]}
        assert abs(other["score"] - one["score"]) <= 0.5
    kept = [one["lab_id"] for one in shown if one not in drawn]
    assert kept == [one["lab_id"] for one in plain if one["lab_id"] in kept]


GOOD, BAD = np.eye(len(FEATURES))[0], np.eye(len(FEATURES))[1]


def _lessons(pairs: int, seed: int) -> list[Lesson]:
    chance = np.random.default_rng(seed)
    found = []
    for n in range(pairs):
        values = np.zeros((2, len(FEATURES)))
        # A coin chose which stands first; the good ranker prefers the fitting one, the bad one the other.
        fits = chance.permutation([True, False])
        values[:, 0], values[:, 1] = fits, ~fits
        looked = chance.random(2) < (0.9, 0.5)
        accepted = looked & (chance.random(2) < np.where(fits, 0.7, 0.3))
        found.append(
            Lesson(
                need=f"n-{n}",
                company=f"c-{n % 20}",
                at=datetime(2026, 1, 1, tzinfo=UTC),
                labs=("a", "b"),
                people=("u", "u"),
                values=values,
                gains=accepted.astype(np.float64),
                told=looked,
                ranks=np.array([1, 2]),
                drawn=np.array([2, 1]),
                chances=np.array([0.5, 0.5]),
            )
        )
    return found


@pytest.mark.parametrize(("challenger", "sign"), [(GOOD, 1), (BAD, -1)])
def test_the_better_ranker_is_found_where_a_coin_chose(challenger: DoubleArray, sign: int) -> None:
    champion = BAD if sign > 0 else GOOD
    found = drawn_difference(by_weights(champion), by_weights(challenger), _lessons(600, 1))
    assert found is not None
    assert found.pairs == 600
    # What is earned is known: 0.9 × 0.7 + 0.5 × 0.3 / log2(3), less the same with the chances exchanged.
    truth = 0.9 * 0.4 - 0.5 * 0.4 / np.log2(3)
    assert found.difference.low < sign * truth < found.difference.high
    assert (sign * np.array([found.difference.low, found.difference.high]) > 0).all()


def test_the_same_ranker_is_no_better_and_few_pairs_say_nothing() -> None:
    found = drawn_difference(by_weights(GOOD), by_weights(GOOD), _lessons(600, 1))
    assert found is not None
    assert (found.difference.mean, found.difference.low, found.difference.high) == (0, 0, 0)
    assert drawn_difference(by_weights(GOOD), by_weights(BAD), _lessons(40, 1)) is None
