"""Which decisions a challenger remembers, and how much they may add: from lessons to a `History`.

In: lessons, what is kept of their needs, and a ranker's scores without any memory. Out: a history whose strength and
amount are those by which needs that were left out are foretold best, or none if nothing is foretold better with one.
It exists apart from reading a history (`matcher.ranking.history`) because choosing is done once and measured, while
reading is part of every answer.

The chance that a lab is accepted is a logistic curve over the scores. What a verdict adds to that is its surprise, and
what surprises of other needs add to the curve is the amount; it is never negative. It is multiplied by n / (n + 200)
for n verdicts, as the weights are, so that a home's first decisions move hardly anything, and by 1 - (2 / t)², t being
by how many standard errors over needs it foretells better: what may be chance is not remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from indexer.arrays import BoolArray, DoubleArray
from matcher.judging.champion.decisions import Lesson
from matcher.judging.learning import chance_of_introduction
from matcher.judging.scaling import INTRODUCED_FROM
from matcher.ranking.history import REPEATED, History, Trace

Scores = Callable[[Lesson], DoubleArray]
"""Scores of the labs of a lesson, by one ranker."""
STRENGTHS = (1.0, 3.0, 10.0)
MOST_SURPRISE = 8.0
"""The most that a surprise of 1 may add to the logit of acceptance."""
LEAST_SLOPE = 0.05
"""A score that foretells acceptance by less than so much a point gives surprises no meaning."""
HALF_WAY = 200
SURE_FROM = 2.0
"""Where verdicts on needs left out are foretold better by fewer standard errors than this, nothing is remembered."""
FEWEST = 40
"""Verdicts below which nothing is remembered."""


@dataclass(frozen=True)
class Known:
    """What is known of needs and labs, to remember by: traces by the need of a lesson, schools by lab."""

    traces: Mapping[str, Trace]
    schools: Mapping[str, str]


NOTHING_KNOWN = Known({}, {})


def by_weights(weights: DoubleArray) -> Scores:
    """Return the scores of a ranker that remembers nothing."""
    return lambda lesson: np.asarray(lesson.values @ weights)


def with_history(scores: Scores, history: History | None, known: Known) -> Scores:
    """Return the scores of a ranker that remembers; a lesson whose need is not known gets nothing added."""
    if history is None:
        return scores
    labs, schools = tuple(known.schools), tuple(known.schools.values())
    places = {lab: place for place, lab in enumerate(labs)}
    kept: dict[str, DoubleArray] = {}

    def remembering(lesson: Lesson) -> DoubleArray:
        trace = known.traces.get(lesson.need)
        if trace is None:
            return scores(lesson)
        if trace.need not in kept:
            # The last stands for a lab that is not known.
            kept[trace.need] = np.append(history.of(trace, labs, schools).amounts, 0.0)
        return np.asarray(scores(lesson) + kept[trace.need][[places.get(lab, -1) for lab in lesson.labs]])

    return remembering


def learned_history(lessons: Sequence[Lesson], known: Known, scores: Scores) -> History | None:
    """Return what is worth remembering of lessons; None if needs left out are not foretold better with it."""
    told = [lesson.kept(lesson.told & _known_labs(lesson, known)) for lesson in lessons if lesson.need in known.traces]
    told = [lesson for lesson in told if len(lesson.labs)]
    verdicts = sum(len(lesson.labs) for lesson in told)
    if verdicts < FEWEST:
        return None
    good = [lesson.gains >= np.where(lesson.ranks > 0, 1, INTRODUCED_FROM) for lesson in told]
    said, fits = np.concatenate([scores(lesson) for lesson in told]), np.concatenate(good)
    if fits.all() or not fits.any():
        return None
    slope, offset = chance_of_introduction(said, fits)
    if slope < LEAST_SLOPE:
        return None
    pairs = _Pairs.of(told, fits, slope * said + offset, known)
    best = min((pairs.tried(strength) for strength in STRENGTHS), key=lambda found: found[0])
    _, amount, strength = best
    if amount <= 0:
        return None
    blended = amount / slope * verdicts / (verdicts + HALF_WAY)
    return replace(pairs.history, amount=round(blended, 4), strength=strength)


def _known_labs(lesson: Lesson, known: Known) -> BoolArray:
    return np.array([lab in known.schools for lab in lesson.labs], dtype=bool)


@dataclass(frozen=True)
class _Pairs:
    """Verdicts put together by need and lab: a history of amount 1, and each pair's logit, share of yes and weight."""

    history: History
    logits: DoubleArray
    shares: DoubleArray
    weights: DoubleArray

    @classmethod
    def of(cls, told: Sequence[Lesson], fits: BoolArray, logits: DoubleArray, known: Known) -> _Pairs:
        traces = {known.traces[lesson.need].need: known.traces[lesson.need] for lesson in told}
        labs = sorted({lab for lesson in told for lab in lesson.labs})
        need_at = {need: place for place, need in enumerate(traces)}
        lab_at = {lab: place for place, lab in enumerate(labs)}
        keys = [
            need_at[known.traces[lesson.need].need] * len(labs) + lab_at[lab] for lesson in told for lab in lesson.labs
        ]
        unique, owner = np.unique(np.array(keys, dtype=np.int64), return_inverse=True)
        counts, accepted = np.bincount(owner), np.bincount(owner, fits)
        logit = np.bincount(owner, logits) / counts
        history = History(
            traces=tuple(traces.values()),
            lab_ids=tuple(labs),
            schools=tuple(known.schools[lab] for lab in labs),
            needs=unique // len(labs),
            labs=unique % len(labs),
            surprises=np.round(accepted / counts - 1 / (1 + np.exp(-logit)), 4),
            accepted=accepted.astype(np.int64),
            rejected=(counts - accepted).astype(np.int64),
            amount=1.0,
        )
        return cls(history, logit, accepted / counts, counts / (1 + REPEATED * counts))

    def tried(self, strength: float) -> tuple[float, float, float]:
        """Return by how much verdicts on needs left out are missed, the sure amount in logits, and the strength."""
        history = replace(self.history, strength=strength)
        added = np.empty(len(self.logits))
        for place, trace in enumerate(history.traces):
            rows = np.flatnonzero(history.needs == place)
            labs = history.labs[rows]
            named = [history.lab_ids[lab] for lab in labs], [history.schools[lab] for lab in labs]
            added[rows] = history.of(trace, *named).amounts

        def missed(amount: float) -> DoubleArray:
            logits = self.logits + amount * added
            return np.asarray(self.weights * (np.logaddexp(0, logits) - self.shares * logits))

        found = minimize_scalar(lambda amount: missed(amount).sum(), bounds=(0, MOST_SURPRISE), method="bounded")
        better = np.bincount(history.needs, missed(0) - missed(found.x), minlength=len(history.traces)).astype(
            np.float64
        )
        return float(missed(found.x).sum()), float(found.x) * sure_share(better), strength


def sure_share(better: DoubleArray) -> float:
    """Return how much of a change to take, 0 to 1, from what it betters for each need or company that was left out."""
    n, spread = len(better), float(better.std())
    if n < 2 or better.sum() <= 0:
        return 0.0
    deviations = float(better.mean()) / (spread / np.sqrt(n - 1)) if spread > 0 else np.inf
    return float(max(0.0, 1 - (SURE_FROM / deviations) ** 2))
