"""Needs and companies that are alike, and companies that a lab should hear of.

In: a matcher, and the needs and companies that a reader may see. Out: for a text those that are about the same, each
with a score, the sentence that says most of it and the words they share; for a lab companies with the need, or the
description, that fits it best; for needs the cases that came of them. It exists because the best advice on a new need
is often an old one: who was asked, and what came of it. Nothing here looks for itself what a reader may see: whoever
calls gives it.

A text is read against others as a need is against passages (`matcher.ranking.signals`), with the weights of words
of the index in use and the frozen background, so that no other need and no other company moves a score. 0 is a need
about something else, 10 one that the same lab answers. Two needs are alike more easily than a need and a passage,
since all needs sound alike: hence a scale of their own, by pair of languages, in `scale.json`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from indexer.arrays import DoubleArray
from indexer.encoders.query_vectors import Vectors
from indexer.index.dictionary import Dictionary
from indexer.index.snapshot import Snapshot, VectorField
from indexer.index.vectors import VectorIndex, centred
from indexer.index.words import TermCounts, WordIndex, terms
from indexer.records.passages import CHINESE, Passage, language_of, need_text
from indexer.records.profiles import Company, Need
from matcher.ranking.explanation import PassageWords, Speaking, speaking
from matcher.ranking.pairings import LabMatch, Matcher
from matcher.ranking.signals import Query, Searcher, scale
from matcher.review.cases import Case, Stage

SCORE_OF_ONE = 10.0
"""What a likeness of 1 is shown as, the same unit as that of a ranking."""
LEAST = 8.0
"""What is less alike is not told: of two needs that no lab answers both, one in fourteen is as much alike."""
_OF_EACH = 20
"""So many needs are looked at for each company that is told: one company may have many that fit."""
_UNSCALED = (0.0, 1.0)
_TEXTS_KEPT = 8_192


@dataclass(frozen=True)
class Said:
    """What a need or a company says, under its id."""

    id: str
    text: str
    year: int | None = None


@dataclass(frozen=True)
class Like:
    """One that is about the same; `speaking` quotes it."""

    id: str
    score: float
    speaking: Speaking


@dataclass(frozen=True)
class LabCompany:
    """A company that a lab should hear of; `by_need` tells whether one of its needs says so or its description."""

    company: Company
    match: LabMatch
    by_need: bool


def of_need(need: Need) -> Said:
    """Return all that a need says."""
    return Said(need.id, need_text(need), need.year)


def of_company(company: Company) -> Said:
    """Return what a company says of itself; its name says nothing."""
    return Said(company.id, company.description)


def alike(matcher: Matcher, asked: Said, others: Iterable[Said], *, top: int = 10) -> list[Like]:
    """Return which of the others are about the same, best first, none below `LEAST`.

    Args:
        matcher: the index whose words and encoders are used.
        asked: what to compare with; if it is among the others it is left out.
        others: what the reader may see; what says nothing is left out.
        top: how many at most.
    """
    said = tuple(one for one in sorted(others, key=lambda one: one.id) if one.text.strip())
    if not said or not asked.text.strip():
        return []
    query, searcher = Query(asked.text, matcher.queries.vectors([asked.text])[0]), _searcher(matcher, said)
    fits = likeness(searcher, query)
    fits[[row for row, one in enumerate(said) if one.id == asked.id]] = -np.inf
    best = [row for row in np.argsort(-fits, kind="stable")[:top].tolist() if SCORE_OF_ONE * fits[row] >= LEAST]
    passages = PassageWords(searcher.snapshot)
    scores = [SCORE_OF_ONE * float(fits[row]) for row in best]
    return [
        Like(said[row].id, score, speaking(passages, row, query, score))
        for row, score in zip(best, scores, strict=True)
    ]


_COMPARED: WeakKeyDictionary[Matcher, dict[tuple[Said, ...], Searcher]] = WeakKeyDictionary()
"""What was compared with last, needs and companies: the next reader's are mostly the same, and to read thousands takes
a while."""


def _searcher(matcher: Matcher, said: tuple[Said, ...]) -> Searcher:
    kept = _COMPARED.get(matcher, {})
    found = kept.get(said) or Searcher(as_snapshot(matcher, said))
    latest = list(kept.items())[-1:]
    _COMPARED[matcher] = dict(latest) | {said: found}
    return found


def likeness(searcher: Searcher, query: Query) -> DoubleArray:
    """Return how much each text that a searcher holds is about the same as a query, on the scale of needs."""
    fit = searcher.fits([query])[0].fit
    pairs = [
        scale().needs.get(f"{query.language}-{passage.language}", _UNSCALED) for passage in searcher.snapshot.passages
    ]
    low, high = np.array(pairs).reshape(-1, 2).T
    return np.asarray((fit - low) / (high - low))


def lab_companies(
    matcher: Matcher, lab_id: str, companies: Sequence[Company], needs: Sequence[Need], *, top: int = 10
) -> list[LabCompany]:
    """Return the companies that a lab should hear of, best first, each by what of it fits the lab best.

    Args:
        matcher: ranks.
        lab_id: an indexed lab.
        companies: those that the reader may see.
        needs: theirs that the reader may match; those of other companies are left out.
        top: how many at most.

    Raises:
        UnknownRecordError: there is no such lab, or it is not in the index yet.
    """
    by_id = {company.id: company for company in companies}
    asking = [_own_words(company) for company in companies if company.description.strip()]
    asked = [*asking, *(need for need in needs if need.company in by_id)]
    matcher.match_lab(lab_id, [], top=1)
    best: dict[str, Need] = {}
    for _, need in matcher.held_against(lab_id, asked, _OF_EACH * top):
        best.setdefault(need.company or "", need)
    matches = matcher.match_lab(lab_id, list(best.values())[:top], top=top)
    described = set(asking)
    return [LabCompany(by_id[one.need.company or ""], one, one.need not in described) for one in matches]


def cases_of(session: Session, need_ids: Collection[str], visible: ColumnElement[bool]) -> dict[str, list[Case]]:
    """Return what came of needs: the cases that the reader may see, the oldest first, without what was undone.

    Args:
        session: reads.
        need_ids: of the needs.
        visible: the condition on `Case`.
    """
    found: dict[str, list[Case]] = {need_id: [] for need_id in need_ids}
    query = select(Case).where(col(Case.need_id).in_(list(need_ids)), visible, Case.stage != Stage.UNDONE.value)
    for case in session.exec(query.order_by(col(Case.id))).all():
        found[case.need_id].append(case)
    return found


def _own_words(company: Company) -> Need:
    """Return the need that says what a company says of itself."""
    said = company.description
    return Need(company.id, company.id, None, "", said, (), company.fields, None, None, "public", None, (), (), None)


def as_snapshot(matcher: Matcher, said: Sequence[Said]) -> Snapshot:
    """Return an index in which each text is a lab of one passage."""
    base, texts = matcher.snapshot, [one.text for one in said]
    languages = [language_of(text) for text in texts]
    senses = [
        _senses(base.dictionary, text) if language == CHINESE else ()
        for text, language in zip(texts, languages, strict=True)
    ]
    vectors = matcher.queries.vectors(texts)
    return replace(
        base,
        lab_ids=tuple(one.id for one in said),
        passages=tuple(
            Passage(one.id, one.id, "need", one.text, language, one.year, 1.0)
            for one, language in zip(said, languages, strict=True)
        ),
        lab_of_passage=np.arange(len(said)),
        fields=tuple(_field(view, vectors, languages) for view in base.fields),
        words=WordIndex(TermCounts.of([_terms(text) for text in texts]), weighed_by=base.words),
        senses=TermCounts.of(senses),
    )


def _field(view: VectorField, vectors: Sequence[Vectors], languages: Sequence[str]) -> VectorField:
    rows = [row for row, found in enumerate(vectors) if view.name in found]
    held = np.stack([vectors[row][view.name] for row in rows]) if rows else np.zeros((0, view.index.dims), np.float32)
    middle = centred(held, [languages[row] for row in rows], view.query_means) if rows else held
    return replace(view, index=VectorIndex.build(middle), rows=np.array(rows, dtype=np.int64))


@lru_cache(maxsize=_TEXTS_KEPT)
def _terms(text: str) -> tuple[str, ...]:
    return tuple(terms(text))


@lru_cache(maxsize=_TEXTS_KEPT)
def _senses(dictionary: Dictionary, text: str) -> tuple[str, ...]:
    return tuple(dictionary.english_terms(text))
