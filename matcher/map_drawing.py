"""Drawing the map of the field: all labs and needs laid out, and every open need ranked.

In: a matcher with the records of one moment, and the map before. Out: the next
map, not stored yet. It exists because
what a search never shows is seen on a map at a glance: needs with no lab near
them, and labs that nobody asks for. Drawing takes seconds, storing does not, so
nobody waits for the turn to write meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import orjson
from sqlmodel import Session, select

from indexer.encoding import FloatArray
from indexer.profiles import Need
from indexer.text import need_text
from matcher.field_map import Drawing, Place, Standing, last_map, places
from matcher.intake import OPEN_STATES, NeedIntake, NeedState
from matcher.map_layout import laid_out
from matcher.map_vectors import map_vectors
from matcher.pairings import Matcher

_NOWHERE: Place = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Points:
    """What is to be placed: labs, then needs, with a vector each."""

    labs: tuple[str, ...]
    needs: tuple[str, ...]
    vectors: FloatArray


def standings(matcher: Matcher, needs: Sequence[Need]) -> dict[str, Standing]:
    """Return how each need stands, ranking all labs for every one of them."""
    found = {}
    for ranking in matcher.rankings(needs):
        best = matcher.ranker.band(float(ranking.scores[ranking.order[0]])) if ranking.order else None
        found[ranking.query.need.id] = Standing(len(ranking.order), best)
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
    found = standings(matcher, [matcher.needs[need_id] for need_id in points.needs if need_id in is_open])
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


def _hash(matcher: Matcher, points: Points, found: Mapping[str, Standing]) -> str:
    stated = [[need_id, one.labs_allowed, one.best_band] for need_id, one in found.items()]
    facts = [matcher.snapshot.generation, matcher.ranker.version, points.labs, points.needs, stated]
    return sha256(orjson.dumps(facts) + np.ascontiguousarray(points.vectors).tobytes()).hexdigest()
