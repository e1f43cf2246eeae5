"""Challengers that learned from chance or from somebody's false verdicts are refused, every one; a better one is not.

Experts are invented and seeded; whoever is honest wants what the champion's weights say, so that nothing can be
learned but what is false. In the control they want what its weights don't know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from indexer.arrays import BoolArray, DoubleArray
from matcher.judging.champion.challenger import GateOutcome, compared, learned_weights, limit_of, parted
from matcher.judging.champion.decisions import USUAL_FADING, Lesson, fading_of
from matcher.judging.champion.remembering import by_weights
from matcher.judging.champion.simulated_experts import FADING, Wanted, decided
from matcher.ranking.rankers import default_ranker
from matcher.ranking.signals import FEATURES

CHAMPION = np.array(default_ranker().weights)
PREFERRED = CHAMPION + 5.0 * np.isin(FEATURES, ("offer", "recency"))
SEEDS = 100
LABS = 40


def _world(seed: int, preferred: DoubleArray) -> list[Wanted]:
    """Return needs of 25 companies, with features such as those of the demo world, and what each lab is worth."""
    chance = np.random.default_rng([7, seed])
    found = []
    for number in range(80):
        evidence, words = chance.gamma(0.7, 0.12, LABS), chance.random(LABS)
        columns = {
            "words": evidence * words,
            "meaning": evidence * (1 - words),
            "ask_best": evidence * chance.uniform(0.6, 1.4, LABS),
            "depth": np.clip(chance.gamma(1, 0.4, LABS) + 2 * evidence, 0, 3),
            "field": chance.random(LABS) < 0.3 + evidence,
            "offer": chance.choice([0, 0.5, 1], LABS),
            "recency": chance.random(LABS),
            "company": np.zeros(LABS),
            "language": chance.random(LABS) < 0.8,
            "region": chance.random(LABS) < 0.3,
        }
        values = np.stack([columns[name] for name in FEATURES], axis=1).astype(np.float64)
        scores = values @ preferred
        worth = np.interp(scores, np.quantile(scores, [0.5, 0.8, 0.95, 1]), [0, 1, 2, 3])
        found.append(Wanted(f"need-{number}", f"company-{chance.integers(25)}", values, worth))
    return found


@cache
def _honest(seed: int) -> tuple[Lesson, ...]:
    return tuple(decided(_world(seed, CHAMPION), CHAMPION, 400, seed))


def _gate(lessons: Sequence[Lesson]) -> GateOutcome:
    earlier, later = parted(lessons, limit_of(lessons))
    fading = fading_of(earlier)
    weights = learned_weights(earlier, default_ranker(), fading)
    return compared(by_weights(CHAMPION), by_weights(weights), later, fading)


def _flipped(lesson: Lesson, rows: BoolArray) -> Lesson:
    return replace(lesson, gains=np.where(lesson.told & rows, 1 - lesson.gains, lesson.gains))


def _by_chance(lesson: Lesson, seed: int) -> Lesson:
    drawn = np.random.default_rng([seed, len(lesson.need), *lesson.need.encode()]).random(len(lesson.labs))
    return replace(lesson, gains=np.where(lesson.told, drawn < 0.4, 0).astype(np.float64))


POISONS: dict[str, Callable[[Lesson, int], Lesson]] = {
    "chance": _by_chance,
    "a lab": lambda lesson, seed: _flipped(lesson, np.array([lab in ("lab-0", "lab-1") for lab in lesson.labs])),
    "a company": lambda lesson, seed: _flipped(lesson, np.full(len(lesson.labs), lesson.company == "company-1")),
    "a person": lambda lesson, seed: _flipped(lesson, np.array([one == "expert-1" for one in lesson.people])),
}


@pytest.mark.parametrize("poison", POISONS)
def test_poisoned_challengers_are_refused_every_time(poison: str) -> None:
    outcomes = [_gate([POISONS[poison](one, seed) for one in _honest(seed)]) for seed in range(SEEDS)]
    assert [seed for seed, outcome in enumerate(outcomes) if outcome.passed] == []
    # None was refused for want of decisions, and some would have passed by one measure alone.
    assert all(outcome.ndcg is not None for outcome in outcomes)
    assert any(outcome.ndcg.mean > 0 for outcome in outcomes if outcome.ndcg is not None)


def test_random_weights_are_refused_every_time() -> None:
    passed = []
    for seed in range(SEEDS):
        _, later = parted(_honest(seed), limit_of(_honest(seed)))
        weights = CHAMPION * np.random.default_rng(seed).lognormal(0, 1, len(CHAMPION))
        if compared(by_weights(CHAMPION), by_weights(weights), later, FADING).passed:
            passed.append(seed)
    assert passed == []


def test_one_that_learned_what_the_champion_does_not_know_is_promoted() -> None:
    outcomes = [_gate(decided(_world(seed, PREFERRED), CHAMPION, 2_000, seed)) for seed in range(8)]
    assert sum(outcome.passed for outcome in outcomes) >= 6
    best = next(outcome for outcome in outcomes if outcome.passed)
    assert best.ndcg is not None
    assert best.accepted is not None
    assert best.ndcg.low > 0
    assert best.accepted.low > 0


def test_the_champion_itself_is_no_better() -> None:
    _, later = parted(_honest(0), limit_of(_honest(0)))
    outcome = compared(by_weights(CHAMPION), by_weights(CHAMPION), later, FADING)
    assert outcome.ndcg is not None
    assert (outcome.ndcg.mean, outcome.ndcg.low, outcome.ndcg.high, outcome.passed) == (0, 0, 0, False)


def test_few_decisions_compare_nothing() -> None:
    outcome = _gate(_honest(0)[:20])
    assert (outcome.ndcg, outcome.passed, len(outcome.reasons)) == (None, False, 1)


def test_without_decisions_or_with_very_few_the_challenger_is_the_default_and_with_some_nearly() -> None:
    none = learned_weights([], default_ranker(), USUAL_FADING)
    assert none.tolist() == list(default_ranker().weights)
    lessons = decided(_world(0, PREFERRED), CHAMPION, 2_000, 0)
    few, some, many = (learned_weights(part, default_ranker(), FADING) for part in (lessons[:5], lessons[:40], lessons))
    assert few.tolist() == CHAMPION.tolist()
    assert 0 < np.abs(some - CHAMPION).max() < np.abs(many - CHAMPION).max() / 2
    assert many.min() >= 0
    assert (many > CHAMPION)[[FEATURES.index("offer"), FEATURES.index("recency")]].all()


def test_the_position_curve_is_found_again() -> None:
    assert fading_of([]) == USUAL_FADING
    assert abs(fading_of(decided(_world(0, CHAMPION), CHAMPION, 3_000, 0)) - FADING) < 0.1
