"""Vectors in, places on a plane out: neighbours stay neighbours, and whoever had a place keeps it nearly.

In: a matrix of vectors, and the places that some of its rows had before. Out: a
place for each row. It exists apart from what is put on the map because it knows
nothing of labs and needs, and as the only place that knows openTSNE and scikit-learn: t-SNE
keeps neighbourhoods where principal components do not. Pure: the same input gives
the same places.

A map that was drawn anew every night would be turned and torn each time, and
nobody would find a lab where it was. So the rows that are known begin where they
were, a new one among its nearest, and a short search moves them no further than
they have to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FEWEST = 4
"""Rows below which there are no neighbourhoods to keep."""
PERPLEXITY = 30.0
"""About how many neighbours each row looks after. On the demo world 10 to 30 differ by no more than chance does
(trustworthiness 0.90 to 0.93); more of them make a map of many thousands smoother."""
COMPONENTS = 100
"""Principal components that distances are taken in: what is beyond them is mostly noise, and costs most of the time."""
STEPS_AFRESH, STEPS_ON = 750, 100
"""Steps of the search from nothing and from what was there."""
_FEWER_BEGIN_AFRESH = 0.5
_NEAREST = 5
_SEED = 0
_NOTHING = 1e-6


def usable(vectors: npt.NDArray[np.floating]) -> BoolArray:
    """Return which rows are vectors that have a direction: finite, and not zero."""
    finite = np.isfinite(vectors).all(axis=1)
    lengths = np.linalg.norm(np.where(finite[:, None], vectors, 0.0), axis=1)
    return np.asarray(finite & (lengths > _NOTHING))


def laid_out(vectors: npt.NDArray[np.floating], before: FloatArray | None = None) -> FloatArray:
    """Return a place for each row, shape (n, 2); not a number for a row without a direction.

    Args:
        vectors: shape (n, dims); only the directions count.
        before: the places that the rows had, shape (n, 2), not a number for those that are new. Where fewer than half
            of the rows are known, the map is drawn afresh and only turned towards what it was.
    """
    places = np.full((len(vectors), 2), np.nan)
    rows = np.flatnonzero(usable(vectors))
    start = np.full((len(rows), 2), np.nan) if before is None else before[rows]
    known: BoolArray = np.asarray(np.isfinite(start).all(axis=1))
    reduced = _reduced(vectors[rows].astype(np.float64))
    if len(rows) < FEWEST or reduced.std(axis=0).max() < _NOTHING:
        places[rows] = np.where(known[:, None], start, _ring(len(rows)))
        return places
    if known.mean() < _FEWER_BEGIN_AFRESH:
        found = _searched(reduced, _first_guess(reduced), exaggerated=250, steps=STEPS_AFRESH)
    else:
        found = _searched(reduced, _among_the_nearest(reduced, start, known), exaggerated=0, steps=STEPS_ON)
    places[rows] = _turned(found, start, known)
    return places


def _reduced(vectors: FloatArray) -> FloatArray:
    """Return unit vectors of few dimensions whose distances are nearly those of the directions."""
    from sklearn.decomposition import PCA

    if len(vectors) < FEWEST:
        return vectors
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    # Without a difference there is no variance to explain, and scikit-learn would divide by it.
    if directions.std(axis=0).max() < _NOTHING:
        return np.zeros((len(vectors), 1))
    components = min(COMPONENTS, *directions.shape)
    found = PCA(components, svd_solver="randomized", random_state=_SEED).fit_transform(directions)
    # To length 1 again, so that distances are those of the directions.
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), _NOTHING))


def _ring(n: int) -> FloatArray:
    """Return places on a circle: for rows that nothing tells apart, or too few to be told apart."""
    angles = 2 * np.pi * np.arange(n) / max(n, 1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _first_guess(reduced: FloatArray) -> FloatArray:
    """Return the first two principal components, made small as t-SNE wants to begin."""
    two = np.zeros((len(reduced), 2))
    two[:, : reduced.shape[1]] = reduced[:, :2]
    return np.asarray(two / two[:, 0].std() * 1e-4)


def _among_the_nearest(reduced: FloatArray, start: FloatArray, known: BoolArray) -> FloatArray:
    from sklearn.neighbors import NearestNeighbors

    begun = start.copy()
    if not known.all():
        nearest = NearestNeighbors(n_neighbors=min(_NEAREST, int(known.sum()))).fit(reduced[known])
        begun[~known] = start[known][nearest.kneighbors(reduced[~known], return_distance=False)].mean(axis=1)
    return begun


def _searched(reduced: FloatArray, begun: FloatArray, *, exaggerated: int, steps: int) -> FloatArray:
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN

    # One thread: several add up in the order in which they happen to end, and t-SNE makes much of the last digit.
    once: dict[str, Any] = {"n_jobs": 1, "random_state": _SEED}
    near = PerplexityBasedNN(reduced, perplexity=min(PERPLEXITY, (len(reduced) - 1) / 3), **once)
    search = TSNEEmbedding(begun, near, **once)
    if exaggerated:
        search.optimize(exaggerated, exaggeration=12, momentum=0.5, inplace=True)
    search.optimize(steps, momentum=0.8, inplace=True)
    return np.asarray(search, dtype=np.float64)


def _turned(found: FloatArray, start: FloatArray, known: BoolArray) -> FloatArray:
    """Return places turned, mirrored and moved as a whole: known rows lie as near as can be to where they were."""
    from scipy.linalg import orthogonal_procrustes

    if known.sum() < 2:
        return np.asarray(found - found.mean(axis=0))
    middle, was = found[known].mean(axis=0), start[known].mean(axis=0)
    turn, _ = orthogonal_procrustes(found[known] - middle, start[known] - was)
    return np.asarray((found - middle) @ turn + was)
