"""The explanation is the arithmetic of the score: contributions are weight × value and add up to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from indexer.settings import Settings
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import DEFAULT_WEIGHTS, Band, WeightsError, load_ranker
from matcher.ranking.signals import FEATURES


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


def test_contributions_add_up_to_the_score_and_scores_fall_with_rank(matcher: Matcher) -> None:
    for need_id in matcher.needs:
        pairings = matcher.match(matcher.needs[need_id], top=1000).pairings
        assert [pairing.rank for pairing in pairings] == list(range(1, len(pairings) + 1))
        assert [pairing.score for pairing in pairings] == sorted((p.score for p in pairings), reverse=True)
        for pairing in pairings:
            assert list(pairing.contributions) == list(FEATURES)
            assert sum(pairing.contributions.values()) == pytest.approx(pairing.score, abs=1e-9)


def test_another_weight_changes_its_contribution_and_nothing_else(matcher: Matcher) -> None:
    need = next(iter(matcher.needs.values()))
    ranking = next(matcher.rankings([need]))
    before = matcher.ranker
    doubled = replace(before, weights=(2 * before.weights[0], *before.weights[1:]))
    change = doubled.contributions(ranking.table.values) - before.contributions(ranking.table.values)
    assert change[:, 0] == pytest.approx(before.contributions(ranking.table.values)[:, 0])
    assert not change[:, 1:].any()
    assert doubled.scores(ranking.table.values) - ranking.scores == pytest.approx(change[:, 0])


def test_bands_follow_the_score() -> None:
    ranker = load_ranker()
    assert ranker.strong_from > ranker.plausible_from
    scores = [ranker.strong_from, ranker.strong_from - 1e-6, ranker.plausible_from, ranker.plausible_from - 1e-6]
    assert [ranker.band(score) for score in scores] == [Band.STRONG, Band.PLAUSIBLE, Band.PLAUSIBLE, Band.WEAK]


def test_no_weight_counts_evidence_against_a_lab() -> None:
    assert min(load_ranker().weights) >= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {}}, "KeyError: 'words'"),
        ({"weights": dict.fromkeys(FEATURES, 1) | {"fame": 1}}, "unknown feature fame"),
        ({"weights": dict.fromkeys(FEATURES, "much")}, "could not convert string to float"),
        ({"bands": {"strong_from": 3}}, "KeyError: 'plausible_from'"),
        ({"asks": {"evidence": 1, "score": 1}}, "KeyError: 'offset'"),
    ],
)
def test_a_weights_file_that_names_other_features_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "weights.json"
    good = orjson.loads(DEFAULT_WEIGHTS.read_bytes())
    path.write_bytes(orjson.dumps(good))
    assert load_ranker(path).weights == load_ranker().weights
    broken = tmp_path / "broken.json"
    broken.write_bytes(orjson.dumps(good | change))
    with pytest.raises(WeightsError) as error:
        load_ranker(broken)
    assert message in str(error.value)
