"""One lab by itself, and many needs as one table: which needs to hold against a lab without ranking any other lab.

In: an opened index and the number of one of its labs; needs with the vectors of their texts. Out: an index of that
lab alone, in which a need has the score that it has among all labs; and of many needs those that say most of what
the lab does. It exists because a fit rests on the frozen background and on no other lab: who asks what a lab should
hear of among two thousand needs wants twenty needs ranked, not two thousand.

The table is a first look only, and says nothing that anybody sees: meaning is the one of `matcher.ranking.signals`,
words are those within a language, and between languages words are taken to say what meaning says. What it lets
through is then scored in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from indexer.arrays import DoubleArray, FloatArray, IntArray
from indexer.index.background import USUAL_SPREAD, background
from indexer.index.snapshot import Snapshot
from indexer.index.vectors import VectorIndex, centred
from indexer.index.words import TermCounts, WordIndex, terms
from indexer.records.passages import CHINESE, ENGLISH
from matcher.ranking.opened.opened_index import OpenedIndex
from matcher.ranking.signals import (
    SECOND_ENGLISH,
    USUAL_TYPICAL,
    WORDS_ACROSS,
    WORDS_WITHIN,
    NeedQuery,
    Searcher,
    scale,
)

_TEXTS_KEPT = 16_384


def only(index: OpenedIndex, row: int) -> OpenedIndex:
    """Return an index of one lab, in which terms weigh what they weigh among all.

    Args:
        index: of all labs.
        row: the lab's number.
    """
    whole = index.snapshot
    rows = np.array(index.searcher.passages_of(row), dtype=np.int64)
    fields = []
    for view in whole.fields:
        held = np.flatnonzero(np.isin(view.rows, rows))
        vectors = VectorIndex.build(view.index.some_rows(held.tolist()))
        fields.append(replace(view, index=vectors, rows=np.searchsorted(rows, view.rows[held])))
    counts = whole.words.counts.only(rows)
    return OpenedIndex.of(
        replace(
            whole,
            lab_ids=(whole.lab_ids[row],),
            passages=tuple(whole.passages[one] for one in rows),
            lab_of_passage=np.zeros(len(rows), dtype=np.int64),
            fields=tuple(fields),
            words=WordIndex(counts, whole.words.copies[rows], weighed_by=whole.words),
            senses=whole.senses.only(rows),
        )
    )


@dataclass(frozen=True)
class NeedTable:
    """What many needs say: a row for each whole need and each of its asks, those of a need beside each other.

    `starts` has each need's first row; `vectors` for each encoder the rows that it covers and their vectors, centred.
    """

    languages: npt.NDArray[np.str_]
    starts: IntArray
    clarity: DoubleArray
    vectors: dict[str, tuple[IntArray, FloatArray]]
    words: WordIndex

    @classmethod
    def of(cls, needs: Sequence[NeedQuery], searcher: Searcher) -> NeedTable:
        """Put needs into one table.

        Args:
            needs: one at least.
            searcher: of the index whose labs they will be held against.
        """
        queries = [query for need in needs for query in (need.whole, *need.asks)]
        languages = [query.language for query in queries]
        vectors = {}
        for view in searcher.snapshot.fields:
            held = [row for row, query in enumerate(queries) if view.name in query.vectors]
            if held:
                raw = np.stack([queries[row].vectors[view.name] for row in held])
                middle = centred(raw, [languages[row] for row in held], view.query_means)
                vectors[view.name] = (np.array(held), middle)
        return cls(
            languages=np.array(languages),
            starts=np.cumsum([0, *(1 + len(need.asks) for need in needs[:-1])]),
            clarity=np.array([searcher.clarity(query) for query in queries]),
            vectors=vectors,
            words=WordIndex(
                TermCounts.of([_terms(query.text) for query in queries]), weighed_by=searcher.snapshot.words
            ),
        )

    def nearest(self, lab: Searcher, most: int) -> list[int]:
        """Return the numbers of the needs that say most of what a lab does, best first.

        Args:
            lab: the index of that lab alone.
            most: how many at most.
        """
        passages = np.array([passage.language for passage in lab.snapshot.passages])
        meaning = self._meaning(lab.snapshot, passages)
        words, measured = meaning.copy(), scale().words.get("cosine", {})
        for column, passage in enumerate(lab.snapshot.passages):
            same = self.languages == passage.language
            low, high = measured.get(f"{passage.language}-{passage.language}", (0.0, 1.0))
            cosine, _ = self.words.answers(terms(passage.text))
            words[same, column] = (np.sqrt(np.maximum(cosine[same], 0)) - low) / (high - low)
        weight = np.where(self.languages[:, None] == passages[None, :], WORDS_WITHIN, WORDS_ACROSS)
        fits = self.clarity[:, None] * (meaning + weight * words) / (1 + weight)
        fits[:, lab.snapshot.words.copies] = -np.inf
        best = fits.max(axis=1)
        # A lab may be asked for one part: the best ask counts as the whole does.
        score = best[self.starts] + np.maximum.reduceat(best, self.starts)
        return [int(one) for one in np.argsort(-score, kind="stable")[:most]]

    def _meaning(self, lab: Snapshot, passages: npt.NDArray[np.str_]) -> DoubleArray:
        """Return what the encoders say of each row and passage, as `Searcher` does, shape (n rows, n passages)."""
        said, good = np.zeros((len(self.languages), len(passages))), np.zeros((len(self.languages), len(passages)))
        for view in lab.fields:
            if view.name not in self.vectors or not view.index.size:
                continue
            held, vectors = self.vectors[view.name]
            cosines, known = view.index.scores(vectors), background().encoders.get(view.name)
            for asked in (CHINESE, ENGLISH):
                rows = np.flatnonzero(self.languages[held] == asked)
                for language in (CHINESE, ENGLISH):
                    columns = np.flatnonzero(passages[view.rows] == language)
                    spread, mean = USUAL_SPREAD, np.zeros((len(rows), 1), dtype=np.float32)
                    if known and (asked, language) in known.spread:
                        spread = known.spread[asked, language]
                        mean = (vectors[rows] @ known.reference[language])[:, None]
                    weight = SECOND_ENGLISH.get(view.name, 1.0) if asked == language == ENGLISH else 1.0
                    place = np.ix_(held[rows], view.rows[columns])
                    said[place] += weight * (cosines[np.ix_(rows, columns)] - mean) / spread
                    pair = f"{asked}-{language}"
                    good[place] += weight * scale().meaning.get(view.name, {}).get(pair, USUAL_TYPICAL)
        return np.where(good > 0, said / np.where(good > 0, good, 1), 0.0)


@lru_cache(maxsize=_TEXTS_KEPT)
def _terms(text: str) -> tuple[str, ...]:
    return tuple(terms(text))
