"""Graded pairs in, for other pairs an estimate of how they would be graded: from numbers alone.

In: what is known of pairs (`pair_evidence`), and the grades of some of them. Out: for every other pair two readings of
one estimated distribution over the grades: its median, which is what one should say so as to be wrong by little, and
its mean, which orders pairs of one median. It exists because experts' grades say more than the texts: who grades
strictly, which labs convince, and what was thought of labs like this one for needs like this one.

For each grade the share of such pairs that reach it is estimated three ways, and the three are averaged: by kernel
ridge regression, whose kernel is a sum of likenesses of pairs (in what matching computes, of the needs, of the labs,
of both at once); by extremely randomised trees; and by boosted trees. The trees also see the kernel's estimate and
the history of grades around a pair. Whatever is made of grades was made, for a pair that is learned from, without the
grades of its own fold. That happens twice: in folds of pairs for the needs that have grades of their own, and in
folds of needs for those that have none, so that what is learned about either is what will be there when it counts.
Every draw has a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from indexer.arrays import DoubleArray, FloatArray
from matcher.judging.measures import SEED
from matcher.judging.pair_evidence import IntArray, PairEvidence

FEWEST = 30
"""Judged pairs below which nothing is learned: every estimate is then the grades' own median and mean."""
LEVELS = 9
"""Grades that are told apart; of more, this many at equal shares of the pairs."""
FOLDS = 5
SEARCHED = 900
"""Judged pairs on which the kernel's shape is chosen."""
LANDMARKS = 2500
"""Judged pairs that the kernel compares with; with as many or fewer judged pairs, the regression is exact."""
FAR = 4.0
"""Deviations from the mean at which a number is cut off: one odd record must not rule a kernel."""
_JITTER = 1e-4
"""Added to a kernel's diagonal, since pairs may be exact copies."""
_AT_ONCE = 1000
"""Pairs whose likeness to all judged ones is held in memory at once."""


@dataclass(frozen=True)
class GradeEstimates:
    """The median and the mean of the grades that each wanted pair may get, on the scale of those learned from."""

    medians: DoubleArray
    means: DoubleArray


def estimated_grades(evidence: PairEvidence, judged: IntArray, grades: DoubleArray, wanted: IntArray) -> GradeEstimates:
    """Learn from judged pairs and estimate the grades of others.

    Args:
        evidence: what is known of all of them.
        judged: the rows of `evidence` that have a grade.
        grades: their grades, in the order of `judged`; any numbers.
        wanted: the rows to estimate.
    """
    levels = _Levels.of(grades)
    if len(judged) < FEWEST or not len(levels.steps) or not len(wanted):
        return GradeEstimates(
            np.full(len(wanted), float(np.median(grades))), np.full(len(wanted), float(np.mean(grades)))
        )
    # On a busy machine threads that wait for each other made this twenty times slower; and one thread adds up in one
    # order, so that the same input gives the same estimates.
    with threadpool_limits(limits=1):
        shares = _shares(evidence, judged, grades, levels.reached(grades), wanted)
    return GradeEstimates(levels.medians(shares), levels.means(shares))


def _shares(
    evidence: PairEvidence, judged: IntArray, grades: DoubleArray, reached: DoubleArray, wanted: IntArray
) -> DoubleArray:
    """Return for each wanted pair and each level the estimated share of such pairs that reach it."""
    grades = (grades - grades.min()) / np.ptp(grades)
    scaled = _scaled(evidence, judged)
    warm, cold = _folds(evidence, judged)
    shape = _chosen_shape(evidence, scaled, judged, reached)
    ridge = _Ridge(evidence, scaled, shape, judged, reached)
    shares = ridge.shares(wanted)
    among_judged = np.isin(evidence.needs[wanted], evidence.needs[judged])
    for folds, mine in ((warm, among_judged), (cold, ~among_judged)):
        if mine.any():
            seen = _columns(evidence, scaled, judged, grades, ridge.left_out(folds), rows=judged, folds=folds)
            asked = _columns(evidence, scaled, judged, grades, shares[mine], rows=wanted[mine])
            shares[mine] = (shares[mine] + _by_trees(seen, reached, asked)) / 3
    return shares


@dataclass(frozen=True)
class _Levels:
    """The grades that occur, lowest first, as the steps between them."""

    values: DoubleArray

    @property
    def steps(self) -> DoubleArray:
        return np.diff(self.values)

    @classmethod
    def of(cls, grades: DoubleArray) -> _Levels:
        values = np.unique(grades)
        if len(values) > LEVELS:
            values = np.unique(np.quantile(grades, np.linspace(0, 1, LEVELS), method="nearest"))
        return cls(values)

    def reached(self, grades: DoubleArray) -> DoubleArray:
        """Return for each grade and each level above the lowest 1 if it is reached, else 0."""
        return (grades[:, None] >= self.values[None, 1:]).astype(np.float64)

    def means(self, shares: DoubleArray) -> DoubleArray:
        return np.asarray(self.values[0] + np.clip(shares, 0, 1) @ self.steps)

    def medians(self, shares: DoubleArray) -> DoubleArray:
        # Whatever reaches a grade reaches those below; estimates need not know.
        falling = np.minimum.accumulate(shares, axis=1)
        return np.asarray(self.values[(falling >= 0.5).sum(axis=1)])


def _scaled(evidence: PairEvidence, judged: IntArray) -> FloatArray:
    values = evidence.features
    mean, deviation = values[judged].mean(axis=0), values[judged].std(axis=0)
    kept = deviation > 1e-9
    found = np.clip((values[:, kept] - mean[kept]) / deviation[kept], -FAR, FAR)
    return np.asarray(found, dtype=np.float32)


def _folds(evidence: PairEvidence, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return the fold of each row, once by chance alone and once the same for all rows of a need."""
    chance = np.random.default_rng(SEED)
    by_pair = chance.permutation(np.arange(len(rows)) % FOLDS)
    needs, places = np.unique(evidence.needs[rows], return_inverse=True)
    return by_pair, chance.permutation(np.arange(len(needs)) % FOLDS)[places]


@dataclass(frozen=True)
class _Shape:
    """How much each kind of likeness weighs in the kernel, how fast each fades, and how far grades are chance."""

    features: float = 1.0
    linear: float = 0.3
    need: float = 0.3
    lab: float = 0.3
    both: float = 0.5
    same_need: float = 0.3
    same_lab: float = 0.3
    lab_for_same_need: float = 0.0
    chance: float = 1.0
    need_fades: float = 4.0
    lab_fades: float = 4.0
    features_fade: float = 0.5


_TRIED: dict[str, tuple[float, ...]] = {
    "chance": (0.3, 3.0, 6.0),
    "both": (0.0, 1.5),
    "need": (0.0, 1.0),
    "lab": (0.0, 1.0),
    "lab_for_same_need": (0.3, 1.0),
    "same_need": (0.0, 1.0),
    "same_lab": (0.0, 1.0),
    "features": (0.3, 3.0),
    "linear": (0.0, 1.0),
    "features_fade": (0.2, 1.5),
    "need_fades": (2.0, 10.0),
    "lab_fades": (2.0, 10.0),
}
"""What is tried for each, one after the other, beside what stands there."""


class _Parts:
    """How alike the pairs of two lists are in each respect, kept while shapes are tried."""

    def __init__(self, evidence: PairEvidence, scaled: FloatArray, rows: IntArray, others: IntArray) -> None:
        needs, labs = evidence.needs, evidence.labs
        mine, theirs = scaled[rows] / np.sqrt(scaled.shape[1] or 1), scaled[others] / np.sqrt(scaled.shape[1] or 1)
        self._linear = mine @ theirs.T
        squares = (mine**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1)[None]
        self._unlike = {
            "features": np.maximum(squares - 2 * self._linear, 0),
            "need": 1 - evidence.need_likeness[needs[rows][:, None], needs[others][None]],
            "lab": 1 - evidence.lab_likeness[labs[rows][:, None], labs[others][None]],
        }
        self._same_need = (needs[rows][:, None] == needs[others][None]).astype(np.float32)
        self._same_lab = (labs[rows][:, None] == labs[others][None]).astype(np.float32)
        self._faded: dict[tuple[str, float], FloatArray] = {}

    def kernel(self, shape: _Shape) -> FloatArray:
        """Return the kernel of every pair of the one list with every pair of the other."""
        need, lab = self._alike("need", shape.need_fades), self._alike("lab", shape.lab_fades)
        kernel = shape.linear * self._linear + shape.features * self._alike("features", shape.features_fade)
        kernel += shape.need * need + shape.lab * lab + shape.both * need * lab
        kernel += self._same_need * (shape.same_need + shape.lab_for_same_need * lab) + shape.same_lab * self._same_lab
        return np.asarray(kernel, dtype=np.float32)

    def _alike(self, name: str, fades: float) -> FloatArray:
        if (name, fades) not in self._faded:
            self._faded[name, fades] = np.exp(np.float32(-fades) * self._unlike[name])
        return self._faded[name, fades]


class _Solved:
    """Ridge regression on the columns that a kernel's landmarks span."""

    def __init__(self, spanned: DoubleArray, reached: DoubleArray, chance: float) -> None:
        self._spanned, self._reached = spanned, reached
        self._mean = reached.mean(axis=0)
        normal = spanned.T @ spanned
        normal[np.diag_indices_from(normal)] += chance
        self._factor = cho_factor(normal, lower=True, overwrite_a=True, check_finite=False)
        self._weights = cho_solve(self._factor, spanned.T @ (reached - self._mean), check_finite=False)

    def shares(self, spanned: DoubleArray) -> DoubleArray:
        """Return the estimates for other pairs."""
        return np.asarray(self._mean + spanned @ self._weights)

    def left_out(self, folds: IntArray) -> DoubleArray:
        """Return the estimates for the pairs learned from as they would be without those of the same fold.

        Without solving again: residuals that a fold's own grades pull down are pushed back by the fold's part of
        the hat matrix.
        """
        found = np.empty_like(self._reached)
        fitted = self.shares(self._spanned)
        for fold in np.unique(folds):
            rows = np.flatnonzero(folds == fold)
            half = solve_triangular(self._factor[0], self._spanned[rows].T, lower=True, check_finite=False)
            rest = np.eye(len(rows)) - half.T @ half
            residuals = np.linalg.solve(rest, self._reached[rows] - fitted[rows])
            found[rows] = self._reached[rows] - residuals
        return found


def _spanned(to_landmarks: FloatArray, lower: DoubleArray) -> DoubleArray:
    solved = solve_triangular(lower, to_landmarks.T.astype(np.float64), lower=True, check_finite=False)
    return np.ascontiguousarray(solved.T)


def _lower(kernel: FloatArray) -> DoubleArray:
    raised = kernel.astype(np.float64)
    raised[np.diag_indices_from(raised)] += _JITTER * float(np.mean(np.diag(raised)) or 1)
    return np.asarray(cholesky(raised, lower=True, overwrite_a=True, check_finite=False))


def _chosen_shape(evidence: PairEvidence, scaled: FloatArray, judged: IntArray, reached: DoubleArray) -> _Shape:
    """Return the shape that is wrong by least on pairs left out, in folds of pairs and of needs alike."""
    picks = np.arange(len(judged))
    if len(picks) > SEARCHED:
        picks = np.sort(np.random.default_rng(SEED).choice(len(judged), SEARCHED, replace=False))
    rows, found = judged[picks], reached[picks]
    parts, both_folds = _Parts(evidence, scaled, rows, rows), _folds(evidence, rows)

    def wrong_by(shape: _Shape) -> float:
        kernel = parts.kernel(shape)
        solved = _Solved(_spanned(kernel, _lower(kernel)), found, shape.chance)
        return float(sum(np.square(solved.left_out(folds) - found).mean() for folds in both_folds))

    best = _Shape()
    least = wrong_by(best)
    for name, values in _TRIED.items():
        for value in values:
            tried = replace(best, **{name: value})
            wrong = wrong_by(tried)
            if wrong < least - 1e-5:
                best, least = tried, wrong
    return best


class _Ridge:
    """The kernel regression on all judged pairs, by way of its landmarks."""

    def __init__(
        self, evidence: PairEvidence, scaled: FloatArray, shape: _Shape, judged: IntArray, reached: DoubleArray
    ) -> None:
        self._evidence, self._scaled, self._shape = evidence, scaled, shape
        self._landmarks = judged
        if len(judged) > LANDMARKS:
            self._landmarks = np.sort(np.random.default_rng(SEED).choice(judged, LANDMARKS, replace=False))
        self._lower = _lower(self._kernel(self._landmarks))
        self._solved = _Solved(self._columns(judged), reached, shape.chance)

    def shares(self, rows: IntArray) -> DoubleArray:
        """Return the estimates for pairs that were not learned from."""
        return self._solved.shares(self._columns(rows))

    def left_out(self, folds: IntArray) -> DoubleArray:
        """See `_Solved.left_out`."""
        return self._solved.left_out(folds)

    def _kernel(self, rows: IntArray) -> FloatArray:
        return _Parts(self._evidence, self._scaled, rows, self._landmarks).kernel(self._shape)

    def _columns(self, rows: IntArray) -> DoubleArray:
        parts = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
        return np.concatenate([_spanned(self._kernel(part), self._lower) for part in parts])


def _columns(
    evidence: PairEvidence,
    scaled: FloatArray,
    judged: IntArray,
    grades: DoubleArray,
    shares: DoubleArray,
    *,
    rows: IntArray,
    folds: IntArray | None = None,
) -> DoubleArray:
    """Return what trees see of `rows`; with `folds`, the fold of each judged pair, other folds make the history."""
    if folds is None:
        history = _history(evidence, judged, grades, rows)
    else:
        parts = [(np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)) for fold in np.unique(folds)]
        order = np.argsort(np.concatenate([mine for mine, _ in parts]))
        found = [_history(evidence, judged[others], grades[others], judged[mine]) for mine, others in parts]
        history = np.concatenate(found)[order]
    return np.hstack([scaled[rows], history, shares, shares.sum(axis=1, keepdims=True)])


_NEAR = 8.0
"""How fast the weight of a neighbour's grade fades with unlikeness."""
_NEARER = 3.0
"""The power that leaves the nearest neighbours only."""


def _history(evidence: PairEvidence, judged: IntArray, grades: DoubleArray, rows: IntArray) -> DoubleArray:
    """Return for each row what grades lie around it: means drawn towards that of all, and how many stand behind them.

    By the same need, lab, company, school and head; by labs like this one for the same need; by needs like this one
    for the same lab; by needs like this one, labs like this one, and both at once.
    """
    told = np.stack([grades - grades.mean(), np.ones(len(grades))], axis=1)
    groups = {"need": evidence.needs, "lab": evidence.labs, **evidence.groups}
    found = [_of_groups(numbers, judged, told, rows) for numbers in groups.values()]
    needs_alike = np.exp(np.float32(_NEAR) * (evidence.need_likeness - 1))
    labs_alike = np.exp(np.float32(_NEAR) * (evidence.lab_likeness - 1))
    parts = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
    around = [_around(evidence, needs_alike, labs_alike, judged, told, part) for part in parts]
    return np.concatenate([_drawn(np.hstack(found)), _drawn(np.concatenate(around))], axis=1)


def _of_groups(numbers: IntArray, judged: IntArray, told: DoubleArray, rows: IntArray) -> DoubleArray:
    """Return for each row the sum of `told` over the judged pairs of its group."""
    size = int(numbers.max(initial=-1)) + 2
    sums = np.stack([np.bincount(numbers[judged] + 1, told[:, i], minlength=size) for i in range(2)], axis=1)
    # Those that state no group are none.
    sums[0] = 0
    return np.asarray(sums[numbers[rows] + 1])


def _around(
    evidence: PairEvidence,
    needs_alike: FloatArray,
    labs_alike: FloatArray,
    judged: IntArray,
    told: DoubleArray,
    rows: IntArray,
) -> DoubleArray:
    needs, labs, amounts = evidence.needs, evidence.labs, told.astype(np.float32)
    need = needs_alike[needs[rows][:, None], needs[judged][None]]
    lab = labs_alike[labs[rows][:, None], labs[judged][None]]
    same_need, same_lab = needs[rows][:, None] == needs[judged][None], labs[rows][:, None] == labs[judged][None]
    both = need * lab
    weights: Sequence[FloatArray] = (
        need,
        lab,
        both,
        both**_NEARER,
        lab * same_need,
        lab**_NEARER * same_need,
        need * same_lab,
        need**_NEARER * same_lab,
    )
    return np.hstack([weight @ amounts for weight in weights]).astype(np.float64)


def _drawn(sums: DoubleArray) -> DoubleArray:
    """Return sums of grades and of weights, in turns, as means drawn towards 0 and logs of the weights."""
    grades, weights = sums[:, 0::2], sums[:, 1::2]
    return np.hstack([grades / (weights + 1), np.log1p(weights)])


def _by_trees(seen: DoubleArray, reached: DoubleArray, asked: DoubleArray) -> DoubleArray:
    """Return the sum of two estimates: of a forest for all levels at once, and of boosted trees for each."""
    forest = ExtraTreesRegressor(
        n_estimators=100, min_samples_leaf=6, max_features=0.7, n_jobs=-1, random_state=SEED
    ).fit(seen, reached if reached.shape[1] > 1 else reached[:, 0])
    found = np.asarray(forest.predict(asked), dtype=np.float64).reshape(len(asked), -1)
    for level in range(reached.shape[1]):
        boosted = HistGradientBoostingRegressor(
            max_iter=200, learning_rate=0.04, max_leaf_nodes=8, min_samples_leaf=20, l2_regularization=5,
            max_features=0.3, early_stopping=False, random_state=SEED,
        )  # fmt: skip
        found[:, level] += boosted.fit(seen, reached[:, level]).predict(asked)
    return found
