"""What speaks for each lab, as numbers that a ranker can weigh.

In: a need with the vectors of its texts, the labs' profiles, an index. Out: a
table of features, one row per lab. It exists between search and ranking so
that each feature has a meaning a person can check: the views of `signals` for
the whole need, how far each ask is covered, and what the profile states about
field, offers, languages, region and recency. Pure: no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.profiles import Need
from matcher.lab_table import LabTable
from matcher.signals import FloatArray, PassageSignals, Query, Searcher, standardised

FEATURES = (
    "words_lab",
    "words",
    "word_parts",
    "meaning",
    "meaning_english",
    "ask_best",
    "ask_mean",
    "field",
    "offer",
    "recency",
    "language",
    "region",
)
"""All features, in the order of the table's columns."""

RECENCY_YEARS = 10.0
"""Evidence of this age counts 1/e as much as this year's for recency."""
UNSTATED_OFFER = 0.5
UNKNOWN_AGE = 0.5


@dataclass(frozen=True)
class NeedQuery:
    """A need with the queries made of it: its whole text and each of its asks."""

    need: Need
    whole: Query
    asks: tuple[Query, ...]


@dataclass(frozen=True)
class FeatureTable:
    """Features of every lab in the index.

    `values` has shape (n labs, n features); `answers` has for the whole need
    (row 0) and each ask (rows 1 on) the score of every passage; `ask_scores`,
    shape (n asks, n labs), says how well a lab covers an ask, as a standard score.
    """

    values: FloatArray
    answers: FloatArray
    ask_scores: FloatArray


def features(query: NeedQuery, searcher: Searcher, labs: LabTable) -> FeatureTable:
    """Compute the features of all labs in the index for one need.

    Args:
        query: the need and its queries.
        searcher: the index.
        labs: what the indexed labs state, in the order of the index.
    """
    signals, *ask_signals = searcher.passage_signals([query.whole, *query.asks])
    columns = searcher.lab_views(signals, query.whole)
    ask_scores = _ask_scores(searcher, query.asks, ask_signals)
    zero = np.zeros(len(searcher.snapshot.lab_ids))
    columns["ask_best"] = ask_scores.max(axis=0) if len(ask_scores) else zero
    columns["ask_mean"] = standardised(ask_scores.mean(axis=0)) if len(ask_scores) else zero
    columns["recency"] = _recency(query.need, searcher, signals)
    columns |= _stated(query.need, labs)
    answers = np.stack([searcher.answer(s) for s in (signals, *ask_signals)])
    return FeatureTable(np.stack([columns[name] for name in FEATURES], axis=1), answers, ask_scores)


def _ask_scores(searcher: Searcher, asks: Sequence[Query], signals: Sequence[PassageSignals]) -> FloatArray:
    rows = []
    for ask, ask_signal in zip(asks, signals, strict=True):
        views = searcher.lab_views(ask_signal, ask)
        rows.append(standardised((views["words"] + views["meaning"]) / 2))
    return np.stack(rows) if rows else np.zeros((0, len(searcher.snapshot.lab_ids)))


def _recency(need: Need, searcher: Searcher, signals: PassageSignals) -> FloatArray:
    """Return for each lab how recent the evidence is that answers the need, 0 to 1."""
    years = searcher.years
    # The reference is never today's date: the same input must give the same ranking tomorrow.
    now = need.year or (years.max() if years.size else 0)
    freshness = np.where(years > 0, np.exp(-np.maximum(now - years, 0) / RECENCY_YEARS), UNKNOWN_AGE)
    answer = searcher.answer(signals)
    with np.errstate(divide="ignore"):
        fresh = searcher.soft_sum(answer + np.log(freshness))
    return np.exp(fresh - searcher.soft_sum(answer))


def _stated(need: Need, labs: LabTable) -> dict[str, FloatArray]:
    return {
        "field": labs.any_of("field", need.fields).astype(np.float64),
        "offer": _offered([ask.kind for ask in need.asks], labs),
        "language": labs.any_of("language", need.languages).astype(np.float64),
        "region": labs.in_region(need.region).astype(np.float64),
    }


def _offered(kinds: Sequence[str], labs: LabTable) -> FloatArray:
    """Return the share of the asked kinds that each lab offers."""
    if not kinds:
        return np.full(len(labs.ids), UNSTATED_OFFER)
    return np.where(labs.any_of("offers", ("",)), UNSTATED_OFFER, labs.count_of("offers", kinds) / len(kinds))


def need_query(need: Need, texts: Sequence[str], vectors: Sequence[Mapping[str, npt.NDArray[np.float32]]]) -> NeedQuery:
    """Put a need together with the vectors of its texts, the whole first, then each ask."""
    queries = [Query(text, vector) for text, vector in zip(texts, vectors, strict=True)]
    return NeedQuery(need, queries[0], tuple(queries[1:]))
