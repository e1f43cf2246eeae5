"""Drawing the map of the field: all labs and needs laid out, and every open need ranked.

In: a matcher with the records of one moment, and the map before. Out: the next map, not stored yet: a vector for
each lab and need, of one space whatever language they are written in, and from the vectors a place for each. It
exists because what a search never shows is seen on a map at a glance: needs with no lab near them, and labs that
nobody asks for. Drawing takes seconds, storing does not, so nobody waits for the turn to write meanwhile. The only
place that knows openTSNE and scikit-learn: t-SNE keeps neighbourhoods where principal components do not.

Encoders leave an offset of language and of role in what they give: in a map made of their vectors as they are,
Chinese labs would lie with Chinese labs and needs with needs, so that is taken out. A lab is the mean of its
passages. Measured on the demo world, of the ten nearest of a lab or need 53 % have the same first field (chance: 16
%); with the index's own centring only it is 49 %, with the profile alone 50 %, with the first encoder alone 51 %.

A map that was drawn anew every night would be turned and torn each time, and nobody would find a lab where it was.
So the rows that are known begin where they were, a new one among its nearest, and a short search moves them no
further than they have to. The same input gives the same places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from sqlmodel import Session, select

from indexer.arrays import BoolArray, DoubleArray, FloatArray
from indexer.encoders.query_vectors import Vectors
from indexer.index.snapshot import Snapshot, VectorField
from indexer.index.vectors import centred, language_means
from indexer.records.passages import language_of, need_text
from indexer.records.profiles import Need
from matcher.ranking.pairings import Matcher
from matcher.review.intake import OPEN_STATES, NeedIntake, NeedState
from matcher.review.mapped.field_map import Drawing, NeedStanding, Place, last_map, places

_NO_LENGTH = 1e-12


def map_vectors(snapshot: Snapshot, needs: Sequence[Need], vectors: Sequence[Vectors]) -> FloatArray:
    """Return a row for each lab, in the order of the index, then one for each need, in the order given.

    Args:
        snapshot: the index generation.
        needs: the needs.
        vectors: those of each need's whole text (`indexer.records.passages.need_text`).

    The encoders that cover every language are joined, each with the same weight: their rows are of one length.
    """
    need_languages = [language_of(need_text(need)) for need in needs]
    asked = [
        _of_one_mind(_need_vectors(field, vectors, need_languages), need_languages) for field in _joint_fields(snapshot)
    ]
    return np.concatenate([lab_rows(snapshot), np.concatenate(asked, axis=1)])


def lab_rows(snapshot: Snapshot) -> FloatArray:
    """Return a row for each lab, in the order of the index."""
    languages = _lab_languages(snapshot)
    return np.concatenate(
        [_of_one_mind(_lab_means(snapshot, field), languages) for field in _joint_fields(snapshot)], axis=1
    )


def phrase_rows(matcher: Matcher, phrases: Sequence[str], language: str) -> FloatArray:
    """Return a row for each phrase of one language, in the space of `lab_rows`; zeros where no encoder reads it.

    Raises:
        EncoderError: an encoder can't be loaded.
    """
    read = matcher.queries.as_passages(phrases)
    parts = []
    for field in _joint_fields(matcher.snapshot):
        rows = np.zeros((len(phrases), field.index.dims), dtype=np.float32)
        for number, known in enumerate(read):
            if field.name in known:
                rows[number] = known[field.name]
        parts.append(_of_one_mind(rows, [language] * len(phrases)))
    return np.concatenate(parts, axis=1)


def _joint_fields(snapshot: Snapshot) -> list[VectorField]:
    return [field for field in snapshot.fields if field.languages is None] or [snapshot.fields[0]]


def _lab_languages(snapshot: Snapshot) -> list[str]:
    """Return the language that most passages of each lab are in."""
    counts: list[Counter[str]] = [Counter() for _ in snapshot.lab_ids]
    for passage, row in zip(snapshot.passages, snapshot.lab_of_passage.tolist(), strict=True):
        counts[row][passage.language] += 1
    return [min(count, key=lambda name: (-count[name], name), default="") for count in counts]


def _lab_means(snapshot: Snapshot, field: VectorField) -> FloatArray:
    summed = np.zeros((len(snapshot.lab_ids), field.index.dims), dtype=np.float32)
    np.add.at(summed, snapshot.lab_of_passage[field.rows], field.index.rows())
    return _unit(summed)


def _need_vectors(field: VectorField, vectors: Sequence[Vectors], languages: Sequence[str]) -> FloatArray:
    found = np.zeros((len(vectors), field.index.dims), dtype=np.float32)
    for row, known in enumerate(vectors):
        if field.name in known:
            found[row] = known[field.name]
    return centred(found, languages, field.query_means) if len(found) else found


def _of_one_mind(vectors: FloatArray, languages: Sequence[str]) -> FloatArray:
    """Take out what the rows of one language have in common: the means of passages do not cancel it for whole labs."""
    sound = np.isfinite(vectors).all(axis=1) & (np.linalg.norm(vectors, axis=1) > _NO_LENGTH)
    out = np.zeros_like(vectors)
    if sound.any():
        spoken = [language for language, kept in zip(languages, sound.tolist(), strict=True) if kept]
        out[sound] = centred(vectors[sound], spoken, language_means(vectors[sound], spoken))
    return out


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > _NO_LENGTH, vectors / np.maximum(lengths, _NO_LENGTH), vectors)


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


def laid_out(vectors: npt.NDArray[np.floating], before: DoubleArray | None = None) -> DoubleArray:
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


def _reduced(vectors: DoubleArray) -> DoubleArray:
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


def _ring(n: int) -> DoubleArray:
    """Return places on a circle: for rows that nothing tells apart, or too few to be told apart."""
    angles = 2 * np.pi * np.arange(n) / max(n, 1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _first_guess(reduced: DoubleArray) -> DoubleArray:
    """Return the first two principal components, made small as t-SNE wants to begin."""
    two = np.zeros((len(reduced), 2))
    two[:, : reduced.shape[1]] = reduced[:, :2]
    return np.asarray(two / two[:, 0].std() * 1e-4)


def _among_the_nearest(reduced: DoubleArray, start: DoubleArray, known: BoolArray) -> DoubleArray:
    from sklearn.neighbors import NearestNeighbors

    begun = start.copy()
    if not known.all():
        nearest = NearestNeighbors(n_neighbors=min(_NEAREST, int(known.sum()))).fit(reduced[known])
        begun[~known] = start[known][nearest.kneighbors(reduced[~known], return_distance=False)].mean(axis=1)
    return begun


def _searched(reduced: DoubleArray, begun: DoubleArray, *, exaggerated: int, steps: int) -> DoubleArray:
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


def _turned(found: DoubleArray, start: DoubleArray, known: BoolArray) -> DoubleArray:
    """Return places turned, mirrored and moved as a whole: known rows lie as near as can be to where they were."""
    from scipy.linalg import orthogonal_procrustes

    if known.sum() < 2:
        return np.asarray(found - found.mean(axis=0))
    middle, was = found[known].mean(axis=0), start[known].mean(axis=0)
    turn, _ = orthogonal_procrustes(found[known] - middle, start[known] - was)
    return np.asarray((found - middle) @ turn + was)


_NOWHERE: Place = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Points:
    """What is to be placed: labs, then needs, with a vector each."""

    labs: tuple[str, ...]
    needs: tuple[str, ...]
    vectors: FloatArray


def need_standings(matcher: Matcher, needs: Sequence[Need]) -> dict[str, NeedStanding]:
    """Return how each need stands, ranking all labs for every one of them."""
    found = {}
    for ranking in matcher.rankings(needs):
        best = ranking.band(ranking.order[0]) if ranking.order else None
        found[ranking.query.need.id] = NeedStanding(len(ranking.order), best)
    return found


def points_of(matcher: Matcher) -> Points:
    """Return all indexed labs and all needs of a matcher with their vectors."""
    needs = sorted(matcher.needs.values(), key=lambda need: need.id)
    vectors = map_vectors(matcher.snapshot, needs, matcher.queries.vectors([need_text(need) for need in needs]))
    # A lab that is still in the index but no longer in the records has no page to lead to.
    known = matcher.table.known
    labs = tuple(lab_id for lab_id, is_known in zip(matcher.snapshot.lab_ids, known, strict=True) if is_known)
    kept = np.concatenate([known, np.ones(len(needs), dtype=bool)])
    return Points(labs, tuple(need.id for need in needs), vectors[kept])


def draw(session: Session, matcher: Matcher, *, afresh: bool = False) -> Drawing:
    """Return the map of the matcher's labs and needs; the last one as it is if it was drawn from the very same.

    Args:
        session: read only.
        matcher: with all stored needs.
        afresh: forget where everything was, and draw even if nothing changed.

    Raises:
        EncoderError: an encoder can't be loaded.
        SnapshotError: an encoder's weights differ from the index's.
    """
    points = points_of(matcher)
    states = dict(session.exec(select(NeedIntake.need_id, NeedIntake.state)).all())
    is_open = {need_id for need_id in points.needs if states.get(need_id, NeedState.SUBMITTED) in OPEN_STATES}
    found = need_standings(matcher, [matcher.needs[need_id] for need_id in points.needs if need_id in is_open])
    inputs = _hash(matcher, points, found)
    last = last_map(session)
    labs, needs = ({}, {}) if last is None else places(session, last)
    if last is not None and last.inputs == inputs and not afresh:
        return Drawing(last.generation, last.ranker_version, inputs, labs, needs, found, new=0)
    if afresh:
        labs, needs = {}, {}
    before = [labs.get(id_, _NOWHERE) for id_ in points.labs] + [needs.get(id_, _NOWHERE) for id_ in points.needs]
    laid = laid_out(points.vectors, np.array(before).reshape(-1, 2)).tolist()
    labs_now, needs_now = (
        _placed(points.labs, laid[: len(points.labs)]),
        _placed(points.needs, laid[len(points.labs) :]),
    )
    return Drawing(
        generation=matcher.snapshot.generation,
        ranker_version=matcher.ranker.version,
        inputs=inputs,
        labs=labs_now,
        needs=needs_now,
        standings=found,
        new=len(labs_now.keys() - labs.keys()) + len(needs_now.keys() - needs.keys()),
        without_place=len(before) - len(labs_now) - len(needs_now),
        changed=True,
    )


def _placed(ids: Sequence[str], found: Sequence[Sequence[float]]) -> dict[str, Place]:
    return {id_: (x, y) for id_, (x, y) in zip(ids, found, strict=True) if np.isfinite([x, y]).all()}


def _hash(matcher: Matcher, points: Points, found: Mapping[str, NeedStanding]) -> str:
    stated = [[need_id, one.labs_allowed, one.best_band] for need_id, one in found.items()]
    facts = [matcher.snapshot.generation, matcher.ranker.version, points.labs, points.needs, stated]
    return sha256(orjson.dumps(facts) + np.ascontiguousarray(points.vectors).tobytes()).hexdigest()
