"""How a ranker compares with another where a coin chose the order: an estimate that guesses nothing of who looks where.

In: lessons with pairs of neighbours whose order was drawn (`matcher.ranking.near_ties`), and two rankers' scores. Out:
the difference of what both would have earned on these pairs, with a 95 % interval. It exists beside the estimate in
`challenger` because that one rests on a curve of how far experts look, which a ranker in use shapes itself.

A pair earns 1 / log2(1 + rank) for an acceptance at its rank. Each ranker would show the pair in one order; where that
order was the one drawn, the pair counts 1 / chance, else 0 (inverse propensity scoring, clipped at `MOST_WEIGHT`), and
the sum is divided by the sum of these weights (self-normalised). The samples of the interval draw companies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.arrays import DoubleArray
from matcher.judging.champion.decisions import Lesson
from matcher.judging.champion.remembering import Scores
from matcher.judging.measures import SEED, Interval

MOST_WEIGHT = 10.0
SAMPLES = 2_000
FEWEST_PAIRS, FEWEST_COMPANIES = 50, 8
"""Drawn pairs of needs with a verdict on topic, and companies, below which nothing is said."""


@dataclass(frozen=True)
class DrawnComparison:
    """What the drawn pairs say: challenger less champion, and on how many pairs that rests."""

    difference: Interval
    pairs: int


def drawn_difference(
    champion: Scores, challenger: Scores, lessons: Sequence[Lesson], seed: int = SEED
) -> DrawnComparison | None:
    """Return how two rankers compare on pairs whose order was drawn; None where there are too few."""
    rows = [(lesson.company, sums) for lesson in lessons for sums in _sums(champion, challenger, lesson)]
    companies = sorted({company for company, _ in rows})
    if len(rows) < FEWEST_PAIRS or len(companies) < FEWEST_COMPANIES:
        return None
    of_company = np.stack([np.sum([sums for one, sums in rows if one == company], axis=0) for company in companies])
    n = len(companies)
    picks = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=SAMPLES)
    low, high = np.percentile(_difference(picks @ of_company), [2.5, 97.5]).tolist()
    return DrawnComparison(Interval(float(_difference(of_company.sum(axis=0))), low, high), len(rows))


def _sums(champion: Scores, challenger: Scores, lesson: Lesson) -> Iterator[DoubleArray]:
    """Yield for each pair what it earned and weighs, for the champion, then for the challenger."""
    if lesson.drawn is None or not lesson.drawn.any():
        return
    scored = [scores(lesson) for scores in (champion, challenger)]
    at_rank = {int(rank): row for row, rank in enumerate(lesson.ranks) if rank}
    for upper in np.flatnonzero(lesson.drawn > lesson.ranks).tolist():
        lower = at_rank.get(int(lesson.drawn[upper]))
        if lower is None:
            continue
        # A pair without any verdict counts too: leaving it out would depend on the order that was drawn.
        earned = sum(float(lesson.gains[row] > 0) / np.log2(1 + lesson.ranks[row]) for row in (upper, lower))
        weight = min(1 / float(lesson.chances[upper]) if lesson.chances is not None else 2.0, MOST_WEIGHT)
        agrees = [weight * float(one[upper] >= one[lower]) for one in scored]
        yield np.array([part for share in agrees for part in (share * earned, share)])


def _difference(sums: DoubleArray) -> DoubleArray:
    mine, of_mine, theirs, of_theirs = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    shares = [np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)
              for part, whole in ((mine, of_mine), (theirs, of_theirs))]  # fmt: skip
    return np.asarray(shares[1] - shares[0])
