"""What speaks for each lab, as numbers that mean the same for every need: from passages to a table of features.

In: a need with the vectors of its texts, what the labs state, and an index snapshot. Out: how well each passage
answers, and for each lab one row of features. It exists between search and ranking so that each number has a meaning
that a person can check: a passage's **fit** is 0 for a passage of the wide world and 1 for the best one of a lab that
an expert would introduce, by words and by meaning together, within a language and across (`scale.json`). What is
read against is frozen (`indexer.index.background`), so that no other lab and no other need moves a fit, and fits of
different needs can be compared. Pure: no database.

How passages add up to a lab decides quality:

- The best three count, each next one for what the ones before leave open. A long list is not a better one.
- A passage that has nothing to do with the lab's own profile has to be that much better (*belonging*): without this
  the best of sixty foreign pieces beats the best of five own ones. Copies count once.
- Of the asks the best covered one counts by itself: a lab may be asked for one part.
- *Depth*, how many pieces speak to the need, is a feature of its own, capped, which an office may weigh up.
- A need of two words fits everything: what is asked with few telling words is shrunk towards 0 (*clarity*).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from indexer.arrays import BoolArray, DoubleArray, FloatArray
from indexer.index.background import USUAL_SPREAD, background
from indexer.index.dictionary import Postings, Translation, Weight, coverage, english_words
from indexer.index.snapshot import Snapshot, VectorField
from indexer.index.vectors import centred
from indexer.index.words import terms
from indexer.records.passages import CHINESE, ENGLISH, PROFILE, language_of, languages_in
from indexer.records.profiles import Company, Need
from indexer.wording import P_, T_, Text
from matcher.ranking.lab_table import LabTable
from matcher.ranking.wishes import WISH_LABELS, Wish, stated

SCALE_FILE = Path(__file__).with_name("scale.json")
COSINE_SHARE = 0.6
"""How words within a language are weighed: so much TF-IDF cosine, the rest coverage."""
WORDS_WITHIN, WORDS_ACROSS = 1.0, 0.45
"""What words weigh beside meaning within a language, and where a dictionary translates them."""
SECOND_ENGLISH = {"bundled-use": 0.5}
"""Encoders that count less for an English need and an English passage, since better ones are there."""
USUAL_TYPICAL = 3.5
"""Standard score of the best passage of a lab that is introduced, by an encoder that was not measured."""
UNCLEAR = {CHINESE: 8.0, ENGLISH: 3.0}
"""Weight of telling terms at which a fit is halved; Chinese has characters and pairs as terms, so more of them."""
CLEAR_FROM = 0.5
"""What a need must say at least, see `Searcher.clarity`, for a lab to be shown as more than weak."""
FIT_FROM, FIT_BEND = 0.7, 4.0
"""Where a fit begins to count, and how sharply: y = ln(1 + e^(bend × (fit − from))) / bend."""
BEST_PIECES = 3
NEXT_PIECE = 0.3
"""A next piece adds so much of what those before leave open."""
DEPTH_FROM, DEPTH_WHOLE = 0.2, 0.4
"""A passage begins to count for depth at the first fit, and counts whole from the second."""
MOST_DEPTH = float(np.log1p(20))
"""More than twenty pieces that speak to a need say no more."""
FOREIGN, OWN = 1.5, 2.5
"""Standard scores of kinship with the lab's own profile, below which a passage is foreign and from which it is own."""
WORDED = 0.5
"""So much higher do both lie where words of one language have a say too."""
FOREIGN_LOSS = 0.4
"""How much better a foreign passage has to be: what is close to a need counts wherever it stands."""
OWNER_STEP = 0.02
"""What an owner's weight of e instead of 1 adds to a passage's fit."""


@dataclass(frozen=True)
class Scale:
    """Where 0 and 1 of each signal lie, by the languages of need and passage, as `zh-en`.

    `words` has both for each of `Searcher.word_signals`; `meaning` for each encoder
    the standard score that is 1. `kinship` has by language mean and deviation of the
    square root of the TF-IDF cosine of two passages of different labs; `needs` by pair of
    languages the fit of two needs that no lab answers both, and of two that one does.
    """

    words: Mapping[str, Mapping[str, tuple[float, float]]]
    meaning: Mapping[str, Mapping[str, float]]
    kinship: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    needs: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@lru_cache(maxsize=1)
def scale() -> Scale:
    """Return the scale of this release, which `make weights` measures on the demo world."""
    content = orjson.loads(SCALE_FILE.read_bytes())
    return Scale(content["words"], content["meaning"], content["kinship"], content["needs"])


_UNSCALED = (0.0, 1.0)


@dataclass(frozen=True)
class Query:
    """One text to search with; `vectors` has the raw vector of each field that covers it.

    What is derived from the text is computed once, since several signals need it.
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
    def language(self) -> str:
        """The language it is mostly in."""
        return language_of(self.text)

    @cached_property
    def languages(self) -> frozenset[str]:
        """All languages that it says enough in."""
        return languages_in(self.text)


@dataclass(frozen=True)
class PassageFits:
    """How well every passage answers a query, each of shape (n passages,).

    `fit` is what counts for its lab; `words` is the share of words in it, 0 to 1.
    """

    fit: DoubleArray
    words: DoubleArray


@dataclass(frozen=True)
class Evidence:
    """What the passages of each lab add up to, each of shape (n labs,); words and meaning together are the whole."""

    words: DoubleArray
    meaning: DoubleArray
    depth: DoubleArray
    recency: DoubleArray


class Searcher:
    """A snapshot with what every query needs of it computed once. Any number of threads may use it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._language = np.array([passage.language for passage in snapshot.passages])
        self._starts = np.searchsorted(snapshot.lab_of_passage, np.arange(len(snapshot.lab_ids)))
        self._lift = OWNER_STEP * np.log([passage.weight for passage in snapshot.passages])
        self._belonging = _belonging(snapshot)
        weigh = _weigher(snapshot)
        self._translated = {
            CHINESE: Postings(snapshot.words.counts, weigh),
            ENGLISH: Postings(snapshot.senses, weigh),
        }
        self.years = np.array([passage.year or 0 for passage in snapshot.passages], dtype=np.float64)
        self.lab_rows = {lab_id: row for row, lab_id in enumerate(snapshot.lab_ids)}
        by_id = sorted(range(len(snapshot.lab_ids)), key=lambda row: snapshot.lab_ids[row])
        self.id_rank = np.argsort(np.array(by_id, dtype=np.int64))

    def passages_of(self, lab: int) -> range:
        """Return the numbers of a lab's passages."""
        end = self._starts[lab + 1] if lab + 1 < len(self._starts) else len(self.snapshot.passages)
        return range(int(self._starts[lab]), int(end))

    def fits(self, queries: Sequence[Query]) -> list[PassageFits]:
        """Return how well every passage answers each query."""
        found = []
        for query, scores in zip(queries, self.standard_scores(queries), strict=True):
            weight = np.where(self._language == query.language, WORDS_WITHIN, WORDS_ACROSS)
            words, meaning = weight * self._words(query), self._meaning(query, scores)
            fit = self.clarity(query) * (meaning + words) / (1 + weight) + self._lift
            fit -= FOREIGN_LOSS * (1 - self._belonging)
            fit[self.snapshot.words.copies] = -np.inf
            spoken, meant = np.maximum(words, 0), np.maximum(meaning, 0)
            both = spoken + meant
            found.append(PassageFits(fit, np.where(both > 0, spoken / np.where(both > 0, both, 1), 0.5)))
        return found

    def clarity(self, query: Query) -> float:
        """Return how much a query says, 0 to 1: by the weight of its different terms."""
        said = float(self.snapshot.words.weights(sorted(query.term_set)).sum())
        return said / (said + UNCLEAR[query.language])

    def is_clear(self, query: Query) -> bool:
        """Whether a query says enough for a lab to be shown as more than weak."""
        return self.clarity(query) >= CLEAR_FROM

    def word_signals(self, query: Query) -> dict[str, DoubleArray]:
        """Return the square root of TF-IDF cosine, of coverage and of translated coverage for every passage.

        The first two say something within a language only, the last only across.
        """
        cosine, covered = self.snapshot.words.answers(query.terms)
        translated = coverage(self._translations(query), self._translated[query.language])
        found = {"cosine": cosine, "coverage": covered, "translated": translated}
        return {name: np.sqrt(np.maximum(values, 0), dtype=np.float64) for name, values in found.items()}

    def _translations(self, query: Query) -> tuple[Translation, ...]:
        return self.snapshot.dictionary.plan(query.text) if query.language == CHINESE else english_words(query.text)

    def _words(self, query: Query) -> DoubleArray:
        """Return what words say of every passage: 0 for one of the wide world, 1 for a good one."""
        measured, main, found = scale().words, query.language, self.word_signals(query)
        words = np.zeros(len(self._language))
        for language in (CHINESE, ENGLISH):
            there = self._language == language
            if language != main and there.any():
                words[there] = _scaled(found["translated"][there], measured.get("translated", {}), f"{main}-{language}")
            if language in query.languages:
                pair = f"{language}-{language}"
                cosine = _scaled(found["cosine"][there], measured.get("cosine", {}), pair)
                covered = _scaled(found["coverage"][there], measured.get("coverage", {}), pair)
                said = COSINE_SHARE * cosine + (1 - COSINE_SHARE) * covered
                words[there] = said if language == main else np.maximum(words[there], said)
        return words

    def standard_scores(self, queries: Sequence[Query]) -> list[dict[str, DoubleArray]]:
        """Return for each query the standard score of every passage by each encoder; nan where it says nothing.

        How many deviations the cosine lies above what the query has with a passage of the background.
        """
        found: list[dict[str, DoubleArray]] = [{} for _ in queries]
        for view in self.snapshot.fields:
            asked = [i for i, query in enumerate(queries) if view.name in query.vectors]
            if not asked or not view.index.size:
                continue
            vectors = np.stack([queries[i].vectors[view.name] for i in asked])
            centre = centred(vectors, [queries[i].language for i in asked], view.query_means)
            # All at once: the index is read from memory once instead of once for each ask.
            for i, vector, cosines in zip(asked, centre, view.index.scores(centre), strict=True):
                found[i][view.name] = self._standard(view, queries[i].language, vector, cosines)
        return found

    def _standard(self, field: VectorField, asked: str, vector: FloatArray, cosines: FloatArray) -> DoubleArray:
        out = np.full(len(self._language), np.nan)
        known, languages = background().encoders.get(field.name), self._language[field.rows]
        for language in (CHINESE, ENGLISH):
            there, spread, mean = languages == language, USUAL_SPREAD, 0.0
            if known and (asked, language) in known.spread:
                spread, mean = known.spread[asked, language], float(vector @ known.reference[language])
            out[field.rows[there]] = (cosines[there] - mean) / spread
        return out

    def _meaning(self, query: Query, scores: Mapping[str, DoubleArray]) -> DoubleArray:
        """Return what the encoders say of every passage: the sum of their standard scores beside that of a good one."""
        said, good = np.zeros(len(self._language)), np.zeros(len(self._language))
        for language in (CHINESE, ENGLISH):
            pair, there = f"{query.language}-{language}", self._language == language
            for name, found in scores.items():
                weight = SECOND_ENGLISH.get(name, 1.0) if pair == "en-en" else 1.0
                held = there & ~np.isnan(found)
                said[held] += weight * found[held]
                good[held] += weight * scale().meaning.get(name, {}).get(pair, USUAL_TYPICAL)
        return np.where(good > 0, said / np.where(good > 0, good, 1), 0.0)

    def evidence(self, fits: PassageFits, year: int | None = None) -> Evidence:
        """Add passages up to labs.

        Args:
            fits: of the passages.
            year: that of the need, from which the age of evidence counts; without it all evidence is of one age.
        """
        value = np.logaddexp(0, FIT_BEND * (fits.fit - FIT_FROM)) / FIT_BEND
        fresh = self._freshness(year)
        words, whole, recent = (np.zeros(len(self._starts)) for _ in range(3))
        for _ in range(BEST_PIECES):
            best = np.maximum.reduceat(value, self._starts)
            rows = self._first(value == best[self.snapshot.lab_of_passage])
            adds = np.maximum(best, 0) * np.where(whole > 0, NEXT_PIECE * np.clip(1 - whole, 0, None), 1.0)
            words += adds * fits.words[rows]
            recent += adds * fresh[rows]
            whole += adds
            value[rows] = -np.inf
        counted = np.clip((fits.fit - DEPTH_FROM) / (DEPTH_WHOLE - DEPTH_FROM), 0, 1)
        depth = np.minimum(np.log1p(np.add.reduceat(counted, self._starts)), MOST_DEPTH)
        shown = np.where(whole > 0, recent / np.where(whole > 0, whole, 1), UNKNOWN_AGE)
        return Evidence(words, whole - words, depth, shown)

    def _first(self, members: BoolArray) -> npt.NDArray[np.int64]:
        """Return for each lab the number of its first passage that is a member; every lab has one."""
        numbers = np.flatnonzero(members)
        return numbers[np.searchsorted(self.snapshot.lab_of_passage[numbers], np.arange(len(self._starts)))]

    def _freshness(self, year: int | None) -> DoubleArray:
        # Counted from nothing else than the need: neither today's date nor another lab's newer paper may move a score.
        if year is None:
            return np.full(len(self.years), UNKNOWN_AGE)
        fresh = np.maximum(LEAST_FRESH, np.exp(-np.maximum(year - self.years, 0) / RECENCY_YEARS))
        return np.where(self.years > 0, fresh, UNKNOWN_AGE)


def _scaled(values: DoubleArray, measured: Mapping[str, tuple[float, float]], pair: str) -> DoubleArray:
    low, high = measured.get(pair, _UNSCALED)
    return np.asarray((values - low) / (high - low))


def _weigher(snapshot: Snapshot) -> Weight:
    """Return what a stem weighs; those of the passages are weighed at once."""
    senses = {stem for term in snapshot.senses.vocabulary for stem in term.split(" ")}
    stems = sorted(senses | snapshot.words.counts.vocabulary.keys())
    known = dict(zip(stems, snapshot.words.weights(stems).tolist(), strict=True))

    def weigh(stem: str) -> float:
        found = known.get(stem)
        return float(snapshot.words.weights([stem])[0]) if found is None else found

    return weigh


def _belonging(snapshot: Snapshot) -> DoubleArray:
    """Return how much each passage belongs to what its lab says of itself, 0 to 1; 1 where the lab says nothing."""
    belongs = np.zeros(len(snapshot.passages))
    profiles: dict[int, list[int]] = {}
    for row, passage in enumerate(snapshot.passages):
        if passage.source == PROFILE:
            profiles.setdefault(int(snapshot.lab_of_passage[row]), []).append(row)
    languages = np.array([passage.language for passage in snapshot.passages])
    for place in range(max(map(len, profiles.values()), default=0)):
        beside = {lab: rows[place] for lab, rows in profiles.items() if place < len(rows)}
        of_passage = np.array([beside.get(int(lab), -1) for lab in snapshot.lab_of_passage])
        rows = np.flatnonzero(of_passage >= 0)
        belongs[rows] = np.maximum(belongs[rows], _kinship(snapshot, rows, of_passage[rows], languages))
    belongs[[row for rows in profiles.values() for row in rows]] = 1
    belongs[~np.isin(snapshot.lab_of_passage, list(profiles))] = 1
    return belongs


def _kinship(
    snapshot: Snapshot, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64], languages: npt.NDArray[np.str_]
) -> DoubleArray:
    """Return for passages how far each is of one subject with another one, 0 to 1.

    By the standard scores of their likeness: what the multilingual encoders say, and within a language their
    words, which tell far better what is foreign. A text that no such encoder was measured on is taken to belong.
    """
    total, count = np.zeros(len(rows)), np.zeros(len(rows))
    for view in snapshot.fields:
        known = background().encoders.get(view.name)
        if known is None or view.languages is not None:
            continue
        place = np.full(len(snapshot.passages), -1)
        place[view.rows] = np.arange(len(view.rows))
        vectors = view.index.rows()
        cosines = np.einsum("ij,ij->i", vectors[place[rows]], vectors[place[others]])
        usual = [known.kinship[a, b] for a, b in zip(languages[rows], languages[others], strict=True)]
        mean, deviation = np.array(usual).reshape(-1, 2).T
        total += (cosines - mean) / deviation
        count += 1
    # Two encoders agree only in part: the sum of their standard scores spreads by less than twice as much.
    spread = np.where(count > 1, JOINT_SPREAD, np.maximum(count, 1))
    spoken = np.sqrt(np.maximum(snapshot.words.likeness(rows, others), 0))
    worded = np.zeros(len(rows), dtype=bool)
    for language, (by_chance, spreads) in scale().kinship.items():
        there = (languages[rows] == language) & (languages[others] == language)
        total[there] += KINSHIP_OF_WORDS * (spoken[there] - by_chance) / spreads
        worded |= there
    kin = total / np.where(worded, np.hypot(spread, KINSHIP_OF_WORDS), spread) - np.where(worded, WORDED, 0)
    return np.where(count > 0, np.clip((kin - FOREIGN) / (OWN - FOREIGN), 0, 1), 1.0)


JOINT_SPREAD = 1.6
"""Deviation of the sum of two encoders' standard scores over passages that have nothing to do with each other."""
KINSHIP_OF_WORDS = 0.5
"""What the standard score of shared words weighs beside that of an encoder."""


FEATURE_LABELS: dict[str, Text] = {
    "words": T_("shared words"),
    "meaning": T_("meaning"),
    "ask_best": T_("best covered ask"),
    "depth": T_("several pieces of evidence"),
    "field": WISH_LABELS[Wish.FIELD],
    "offer": T_("offers what is asked"),
    "recency": T_("recent evidence"),
    "language": WISH_LABELS[Wish.LANGUAGE],
    "region": WISH_LABELS[Wish.REGION],
    "company": WISH_LABELS[Wish.COMPANY],
}
"""What each feature is called on screen."""
RETIRED_LABELS: dict[str, Text] = {
    "words_lab": T_("words, whole lab"),
    "word_parts": T_("parts of words"),
    "meaning_english": T_("meaning, second model"),
    "ask_mean": T_("all asks together"),
}
"""What earlier releases added up: proposals that were shown then keep their contributions."""
FEATURES = tuple(FEATURE_LABELS)
"""All features, in the order of the table's columns."""
RERANKER = "reranker"
"""A contribution that is there only where a second stage is switched on; it is no feature and has no learnt weight."""
HISTORY = "history"
"""A contribution that is there only where the ranker in use learned from decisions (`matcher.ranking.history`)."""
PREFERRED, ASKS_WEIGHED = "preferred", "asks_weighed"
"""Contributions only where an expert steers: by wishes of the expert's own, by how much each ask counts."""
CONTRIBUTION_LABELS = {
    **FEATURE_LABELS,
    HISTORY: T_("what experts decided on like needs"),
    PREFERRED: T_("wishes of the expert"),
    ASKS_WEIGHED: T_("asks weighed by the expert"),
    RERANKER: T_("read together"),
}
"""What each contribution is called on screen."""
N_EVIDENCE = 2
"""The first columns, words and meaning, together are what the evidence adds up to."""
_EVIDENCE = ("meaning", "ask_best", "depth")
GROUPS: dict[str, tuple[Text, tuple[str, ...]]] = {
    "words": (T_("words"), ("words",)),
    "meaning": (T_("meaning"), _EVIDENCE),
    "profile": (P_("score", "profile"), tuple(name for name in FEATURES if name not in ("words", *_EVIDENCE))),
    HISTORY: (T_("earlier decisions"), (HISTORY,)),
    "steered": (T_("steered"), (PREFERRED, ASKS_WEIGHED)),
    RERANKER: (T_("second look"), (RERANKER,)),
}
"""The sums that people are shown first, with the contributions in each; the last three only where there are any."""

RECENCY_YEARS = 10.0
"""Evidence of this age counts 1/e as much as this year's for recency."""
LEAST_FRESH = 0.3
"""What old evidence is worth at least: what was done once is known."""
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
    (row 0) and each ask (rows 1 on) the fit of every passage; `ask_scores`,
    shape (n asks, n labs), what the lab's evidence adds up to for each ask.
    """

    values: DoubleArray
    answers: DoubleArray
    ask_scores: DoubleArray


def features(query: NeedQuery, searcher: Searcher, labs: LabTable, company: Company | None = None) -> FeatureTable:
    """Compute the features of all labs in the index for one need.

    Args:
        query: the need and its queries.
        searcher: the index.
        labs: what the indexed labs state, in the order of the index.
        company: the need's, whose fields count where the need has none.
    """
    fits, *ask_fits = searcher.fits([query.whole, *query.asks])
    shown = searcher.evidence(fits, query.need.year)
    columns = {"words": shown.words, "meaning": shown.meaning, "depth": shown.depth, "recency": shown.recency}
    columns |= stated(query.need, company, labs)
    asked = [searcher.evidence(one) for one in ask_fits]
    ask_scores = [one.words + one.meaning for one in asked]
    by_ask = np.stack(ask_scores) if ask_scores else np.zeros((0, len(searcher.snapshot.lab_ids)))
    columns["ask_best"] = by_ask.max(axis=0, initial=0)
    return FeatureTable(
        np.stack([columns[name] for name in FEATURES], axis=1),
        np.stack([one.fit for one in (fits, *ask_fits)]),
        by_ask,
    )


def need_query(need: Need, texts: Sequence[str], vectors: Sequence[Mapping[str, npt.NDArray[np.float32]]]) -> NeedQuery:
    """Put a need together with the vectors of its texts, the whole first, then each ask."""
    queries = [Query(text, vector) for text, vector in zip(texts, vectors, strict=True)]
    return NeedQuery(need, queries[0], tuple(queries[1:]))
