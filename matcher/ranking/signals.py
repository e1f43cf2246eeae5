"""What speaks for each lab, as numbers that a ranker can weigh: from passages' scores to a table of features.

In: a need with the vectors of its texts, what the labs state, and an index snapshot. Out: standardised scores per
passage by words and by meaning, per lab by each view, and of these and the profiles one row of features per lab. It
exists between search and ranking so that each feature has a meaning a person can check, and because how passages
add up to a lab decides quality: a lab's score is the log of the sum of the exponentials of its passages' standard
scores, which lets several good pieces of evidence count for more than one without letting many poor ones win
(measured on `cordis_cleantech`: nDCG@10 0.242 against 0.191 for the best passage alone and 0.052 for the mean, same
encoder). Pure: no database.

Words can be compared within one language only. A lab that has no passage in the need's language gets, in place of
the word views, what the meaning view says of it (`stand_in`), so that a lab described in English is neither lost
nor favoured for a Chinese need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray, DoubleArray
from indexer.index.snapshot import Snapshot
from indexer.index.vectors import centred
from indexer.index.words import terms, word_parts
from indexer.records.passages import language_of, languages_in
from indexer.records.profiles import Need
from indexer.wording import T_, Text
from matcher.ranking.lab_table import LabTable

ACROSS_FIELD = "bundled-use"
"""The vector field that joins the first one between languages (it ranks worse within one)."""
ENGLISH_FIELD = "bundled-minilm"
"""The vector field for English texts and English passages."""
STAND_IN = 0.85
"""A meaning score stands in for missing word scores, a little damped: it is less certain."""
GROUP_MINIMUM = 20
"""Passages of one language below which they are standardised together with the others."""


@dataclass(frozen=True)
class Query:
    """One text to search with; `vectors` has the raw vector of each field that covers it.

    What is derived from the text is computed once, since several views need it.
    """

    text: str
    vectors: Mapping[str, npt.NDArray[np.float32]]

    @cached_property
    def terms(self) -> list[str]:
        """The text's words as `indexer.index.words` finds them."""
        return terms(self.text)

    @cached_property
    def term_set(self) -> frozenset[str]:
        """The same, each once."""
        return frozenset(self.terms)

    @cached_property
    def word_parts(self) -> list[str]:
        """The text's parts of words."""
        return word_parts(self.text, self.terms)

    @cached_property
    def language(self) -> str:
        """The language it is mostly in."""
        return language_of(self.text)

    @cached_property
    def languages(self) -> frozenset[str]:
        """All languages that it says enough in."""
        return languages_in(self.text)


@dataclass(frozen=True)
class PassageSignals:
    """Standard scores of every passage, shape (n passages,); `comparable` where words share the query's language."""

    words: DoubleArray
    word_parts: DoubleArray
    meaning: DoubleArray
    english: DoubleArray | None
    comparable: BoolArray


def standardised(values: DoubleArray, groups: npt.NDArray[np.int64] | None = None) -> DoubleArray:
    """Return values with mean 0 and deviation 1, within each group that is large enough.

    Groups smaller than `GROUP_MINIMUM` use the mean and deviation of all values.
    """
    out = _z(values, values)
    if groups is not None:
        for group in np.unique(groups):
            members = groups == group
            if members.sum() >= GROUP_MINIMUM:
                out[members] = _z(values[members], values[members])
    return out


def _z(values: DoubleArray, reference: DoubleArray) -> DoubleArray:
    if not reference.size:
        return np.zeros_like(values)
    deviation = float(reference.std())
    # Rounding leaves a deviation of about 1e-8 where all values are equal.
    if deviation < 1e-6:
        return np.zeros_like(values)
    return np.asarray((values - reference.mean()) / deviation)


class Searcher:
    """A snapshot with what every query needs of it computed once. Any number of threads may use it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        languages = [passage.language for passage in snapshot.passages]
        self._language_names = sorted(set(languages))
        self._language = np.array([self._language_names.index(x) for x in languages], dtype=np.int64)
        self._starts = np.searchsorted(snapshot.lab_of_passage, np.arange(len(snapshot.lab_ids)))
        self._log_weight = np.log([passage.weight for passage in snapshot.passages])
        self.years = np.array([passage.year or 0 for passage in snapshot.passages], dtype=np.float64)
        self.lab_rows = {lab_id: row for row, lab_id in enumerate(snapshot.lab_ids)}
        by_id = sorted(range(len(snapshot.lab_ids)), key=lambda row: snapshot.lab_ids[row])
        self.id_rank = np.argsort(np.array(by_id, dtype=np.int64))

    def passages_of(self, lab: int) -> range:
        """Return the numbers of a lab's passages."""
        end = self._starts[lab + 1] if lab + 1 < len(self._starts) else len(self.snapshot.passages)
        return range(int(self._starts[lab]), int(end))

    def passage_signals(self, queries: Sequence[Query]) -> list[PassageSignals]:
        """Score every passage for each query."""
        names = [self.snapshot.fields[0].name, ACROSS_FIELD, ENGLISH_FIELD]
        scores = {name: self._field_scores(name, queries) for name in dict.fromkeys(names)}
        return [self._signals(query, {name: scores[name][i] for name in scores}) for i, query in enumerate(queries)]

    def _signals(self, query: Query, scores: Mapping[str, DoubleArray | None]) -> PassageSignals:
        spoken = query.languages
        comparable = np.isin(self._language, [i for i, x in enumerate(self._language_names) if x in spoken])
        words = self.snapshot.words.scores(query.terms).astype(np.float64)
        parts = self.snapshot.word_parts.scores(query.word_parts).astype(np.float64)
        return PassageSignals(
            words=self._within(words, comparable),
            word_parts=self._within(parts, comparable),
            meaning=self._meaning(scores, comparable),
            english=self._english(scores, comparable),
            comparable=comparable,
        )

    def _within(self, scores: DoubleArray, members: BoolArray) -> DoubleArray:
        out = np.zeros_like(scores)
        out[members] = standardised(scores[members])
        return out

    def _meaning(self, scores: Mapping[str, DoubleArray | None], comparable: BoolArray) -> DoubleArray:
        first = scores[self.snapshot.fields[0].name]
        if first is None:
            return np.zeros(len(self.snapshot.passages))
        meaning = standardised(first, self._language)
        across = scores[ACROSS_FIELD]
        if across is not None and not comparable.all():
            both = meaning + standardised(across, self._language)
            foreign = ~comparable
            meaning[foreign] = standardised(both[foreign]) if foreign.sum() >= GROUP_MINIMUM else both[foreign] / 2
        return meaning

    def _english(self, scores: Mapping[str, DoubleArray | None], comparable: BoolArray) -> DoubleArray | None:
        found = scores[ENGLISH_FIELD]
        field = self.snapshot.field(ENGLISH_FIELD)
        if found is None or field is None:
            return None
        members = np.zeros(len(found), dtype=bool)
        members[field.rows] = True
        return self._within(found, members & comparable)

    def _field_scores(self, name: str, queries: Sequence[Query]) -> list[DoubleArray | None]:
        """Return each query's score of every passage in one vector field; None where the field says nothing of it."""
        field = self.snapshot.field(name)
        out: list[DoubleArray | None] = [None] * len(queries)
        asked = [i for i, query in enumerate(queries) if name in query.vectors]
        if field is None or not asked or not field.index.size:
            return out
        vectors = np.stack([queries[i].vectors[name] for i in asked])
        # All at once: the index is read from memory once instead of once for each ask.
        found = field.index.scores(centred(vectors, [queries[i].language for i in asked], field.query_means))
        for i, row in zip(asked, found, strict=True):
            scores = np.zeros(len(self.snapshot.passages))
            scores[field.rows] = row
            out[i] = scores
        return out

    def soft_sum(self, scores: DoubleArray, members: BoolArray | None = None) -> DoubleArray:
        """Return ln(sum of weight × e^score) over each lab's passages, shape (n labs,); -inf without any."""
        weighted = scores + self._log_weight
        if members is not None:
            weighted = np.where(members, weighted, -np.inf)
        # Each lab's own maximum is taken out: among a million passages e^score itself would overflow.
        most = np.maximum.reduceat(weighted, self._starts)
        shift = np.where(np.isfinite(most), most, 0.0)
        with np.errstate(divide="ignore"):
            summed = np.log(np.add.reduceat(np.exp(weighted - shift[self.snapshot.lab_of_passage]), self._starts))
        return np.asarray(summed + shift)

    def lab_views(self, signals: PassageSignals, query: Query) -> dict[str, DoubleArray]:
        """Return the standard score of every lab by each view, each of shape (n labs,)."""
        meaning = standardised(self.soft_sum(signals.meaning))
        instead = STAND_IN * meaning
        comparable = np.add.reduceat(signals.comparable.astype(np.int64), self._starts) > 0
        whole = self.snapshot.lab_words.scores(query.terms).astype(np.float64)
        views = {
            "words_lab": _standardised_or(whole, comparable, instead),
            "words": _standardised_or(self.soft_sum(signals.words, signals.comparable), comparable, instead),
            "word_parts": _standardised_or(self.soft_sum(signals.word_parts, signals.comparable), comparable, instead),
            "meaning": meaning,
        }
        views["meaning_english"] = instead
        if signals.english is not None:
            field = self.snapshot.field(ENGLISH_FIELD)
            members = np.zeros(len(signals.english), dtype=bool)
            members[field.rows if field else []] = True
            members &= signals.comparable
            english = np.add.reduceat(members.astype(np.int64), self._starts) > 0
            views["meaning_english"] = _standardised_or(self.soft_sum(signals.english, members), english, instead)
        return views

    def answer(self, signals: PassageSignals) -> DoubleArray:
        """Return one score per passage: how well it answers by words and meaning together."""
        return np.where(signals.comparable, (signals.words + signals.meaning) / 2, signals.meaning)


def _standardised_or(values: DoubleArray, valid: BoolArray, instead: DoubleArray) -> DoubleArray:
    out = instead.copy()
    out[valid] = _z(values[valid], values[valid])
    return out


FEATURE_LABELS: dict[str, Text] = {
    "words_lab": T_("words, whole lab"),
    "words": T_("words, its evidence"),
    "word_parts": T_("parts of words"),
    "meaning": T_("meaning"),
    "meaning_english": T_("meaning, second model"),
    "ask_best": T_("best covered ask"),
    "ask_mean": T_("all asks together"),
    "field": T_("same field"),
    "offer": T_("offers what is asked"),
    "recency": T_("recent evidence"),
    "language": T_("working language"),
    "region": T_("region"),
}
"""What each feature is called on screen."""
FEATURES = tuple(FEATURE_LABELS)
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

    values: DoubleArray
    answers: DoubleArray
    ask_scores: DoubleArray


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


def _ask_scores(searcher: Searcher, asks: Sequence[Query], signals: Sequence[PassageSignals]) -> DoubleArray:
    rows = []
    for ask, ask_signal in zip(asks, signals, strict=True):
        views = searcher.lab_views(ask_signal, ask)
        rows.append(standardised((views["words"] + views["meaning"]) / 2))
    return np.stack(rows) if rows else np.zeros((0, len(searcher.snapshot.lab_ids)))


def _recency(need: Need, searcher: Searcher, signals: PassageSignals) -> DoubleArray:
    """Return for each lab how recent the evidence is that answers the need, 0 to 1."""
    years = searcher.years
    # The reference is never today's date: the same input must give the same ranking tomorrow.
    now = need.year or (years.max() if years.size else 0)
    freshness = np.where(years > 0, np.exp(-np.maximum(now - years, 0) / RECENCY_YEARS), UNKNOWN_AGE)
    answer = searcher.answer(signals)
    with np.errstate(divide="ignore"):
        fresh = searcher.soft_sum(answer + np.log(freshness))
    return np.exp(fresh - searcher.soft_sum(answer))


def _stated(need: Need, labs: LabTable) -> dict[str, DoubleArray]:
    return {
        "field": labs.any_of("field", need.fields).astype(np.float64),
        "offer": _offered([ask.kind for ask in need.asks], labs),
        "language": labs.any_of("language", need.languages).astype(np.float64),
        "region": labs.in_region(need.region).astype(np.float64),
    }


def _offered(kinds: Sequence[str], labs: LabTable) -> DoubleArray:
    """Return the share of the asked kinds that each lab offers."""
    if not kinds:
        return np.full(len(labs.ids), UNSTATED_OFFER)
    return np.where(labs.any_of("offers", ("",)), UNSTATED_OFFER, labs.count_of("offers", kinds) / len(kinds))


def need_query(need: Need, texts: Sequence[str], vectors: Sequence[Mapping[str, npt.NDArray[np.float32]]]) -> NeedQuery:
    """Put a need together with the vectors of its texts, the whole first, then each ask."""
    queries = [Query(text, vector) for text, vector in zip(texts, vectors, strict=True)]
    return NeedQuery(need, queries[0], tuple(queries[1:]))
