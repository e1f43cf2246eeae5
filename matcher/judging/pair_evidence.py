"""What the index and the records say of judged pairs, before anybody's grade is looked at: numbers, likenesses, groups.

In: an opened matcher and pairs of need and lab. Out: one row of numbers per pair (everything that matching computes
for it, the closeness of the need's title, whole text and asks to the lab's best passages in each vector field and by
words, and how much there is to read on either side); how alike any two of these needs are, and any two of these labs;
and the groups that pairs share (company, school, head of the lab). It exists apart from the learner so that the
learner sees numbers only: whatever features matching gains or renames, each is one more column here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from indexer.arrays import DoubleArray, FloatArray
from indexer.index.snapshot import VectorField
from indexer.index.vectors import centred
from indexer.index.words import TermCounts, terms
from indexer.records.passages import need_text
from indexer.records.profiles import Need
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Ranking
from matcher.ranking.signals import FEATURES, Query

IntArray = npt.NDArray[np.int64]
BEST_PASSAGES = 3
"""Passages of a lab whose mean closeness stands beside that of the best."""
LIKE_WORDS = 1.0
"""How much words weigh in likeness beside one vector field."""


@dataclass(frozen=True)
class PairEvidence:
    """Pairs as numbers; row i of `needs`, `labs`, `features` and of each of `groups` is pair i.

    `needs` and `labs` number the records in `need_likeness` and `lab_likeness`, which are cosines
    of what both sides hold, shape (n, n), 1 on the diagonal. `groups` gives for each kind of group a number per
    pair, -1 where the record states none.
    """

    needs: IntArray
    labs: IntArray
    columns: tuple[str, ...]
    features: DoubleArray
    need_likeness: FloatArray
    lab_likeness: FloatArray
    groups: Mapping[str, IntArray]

    def __len__(self) -> int:
        """Return how many pairs there are."""
        return len(self.needs)


def pair_evidence(
    matcher: Matcher, pairs: Sequence[tuple[str, str]], progress: Callable[[int, int], None] | None = None
) -> PairEvidence:
    """Return what is known of pairs of a need's and a lab's id, all of which must be stored and indexed.

    Args:
        matcher: the opened index with the records.
        pairs: ids of need and lab; the rows of the answer are in this order.
        progress: called with how many needs are done, and of how many.
    """
    need_ids = sorted({need for need, _ in pairs})
    lab_ids = sorted({lab for _, lab in pairs})
    need_rows = {need_id: row for row, need_id in enumerate(need_ids)}
    lab_rows = {lab_id: row for row, lab_id in enumerate(lab_ids)}
    needs = np.array([need_rows[need] for need, _ in pairs], dtype=np.int64)
    labs = np.array([lab_rows[lab] for _, lab in pairs], dtype=np.int64)
    indexed = np.array([matcher.searcher.lab_rows[lab_id] for lab_id in lab_ids], dtype=np.int64)
    stored = [matcher.needs[need_id] for need_id in need_ids]
    titles = [_title_query(matcher, need) for need in stored]
    closeness = _Closeness(matcher)
    columns: tuple[str, ...] = ()
    features = np.zeros((len(pairs), 0))
    queries: list[Query] = []
    for number, ranking in enumerate(matcher.rankings(stored)):
        mine = np.flatnonzero(needs == number)
        found = _of_need(matcher, ranking, closeness, titles[number], indexed[labs[mine]])
        if not columns:
            columns = tuple(found)
            features = np.zeros((len(pairs), len(columns)))
        features[mine] = np.stack(list(found.values()), axis=1)
        queries.append(ranking.query.whole)
        if progress is not None:
            progress(number + 1, len(stored))
    return PairEvidence(
        needs=needs,
        labs=labs,
        columns=columns,
        features=features,
        need_likeness=_need_likeness(matcher, stored, queries, titles),
        lab_likeness=_lab_likeness(matcher, indexed),
        groups=_groups(matcher, pairs),
    )


def _title_query(matcher: Matcher, need: Need) -> Query:
    text = need.title or need_text(need)
    return Query(text, matcher.queries.vectors([text])[0])


class _Closeness:
    """How close a text comes to the best passages of labs, as plain cosines."""

    def __init__(self, matcher: Matcher) -> None:
        self._snapshot = matcher.snapshot
        self._passages_of = matcher.searcher.passages_of

    def of(self, queries: Sequence[Query], labs: IntArray) -> dict[str, DoubleArray]:
        """Return for each view the closeness of the nearest query, best passage and mean of the best few."""
        found: dict[str, DoubleArray] = {}
        for view, scores in self._by_view(queries):
            rows = [np.sort(scores[:, self._passages_of(int(lab))], axis=1)[:, ::-1] for lab in labs]
            found[f"{view}, best"] = np.array([row[:, 0].max() for row in rows])
            found[f"{view}, best few"] = np.array([row[:, :BEST_PASSAGES].mean(axis=1).max() for row in rows])
        return found

    def _by_view(self, queries: Sequence[Query]) -> Iterator[tuple[str, DoubleArray]]:
        size = len(self._snapshot.passages)
        for field in self._snapshot.fields:
            scores = np.zeros((len(queries), size))
            for row, query in enumerate(queries):
                if field.name in query.vectors and field.index.size:
                    scores[row, field.rows] = field.index.scores(_centred(query, field)[None])[0]
            yield field.name, scores
        answered = [self._snapshot.words.answers(query.terms) for query in queries]
        for name, values in zip(("words", "words covered"), zip(*answered, strict=True), strict=True):
            yield name, np.stack(values).astype(np.float64)


def _centred(query: Query, field: VectorField) -> FloatArray:
    found: FloatArray = centred(query.vectors[field.name][None], [query.language], field.query_means)[0]
    return found


def _of_need(
    matcher: Matcher, ranking: Ranking, closeness: _Closeness, title: Query, labs: IntArray
) -> dict[str, DoubleArray]:
    """Return every column for one need and some of the indexed labs."""
    whole, asks = ranking.query.whole, ranking.query.asks
    found = {f"matching: {name}": ranking.table.values[labs, column] for column, name in enumerate(FEATURES)}
    found["score"] = ranking.scores[labs]
    found["share of labs below"] = np.array([(ranking.scores < ranking.scores[lab]).mean() for lab in labs])
    for name, queries in (("title", [title]), ("whole", [whole]), ("asks", list(asks) or [whole])):
        found |= {f"{name}: {view}": values for view, values in closeness.of(queries, labs).items()}
    spoken = [matcher.searcher.passages_of(int(lab)) for lab in labs]
    passages = matcher.snapshot.passages
    found["same language"] = np.array(
        [np.mean([passages[row].language == whole.language for row in rows]) for rows in spoken]
    )
    found["passages"] = np.log1p([len(rows) for rows in spoken])
    found["length of lab"] = np.log1p([sum(len(passages[row].text) for row in rows) for rows in spoken])
    found["length of need"] = np.full(len(labs), np.log1p(len(whole.text)))
    found["asks"] = np.full(len(labs), float(len(asks)))
    return found


def _need_likeness(
    matcher: Matcher, needs: Sequence[Need], wholes: Sequence[Query], titles: Sequence[Query]
) -> FloatArray:
    parts = []
    for field in matcher.snapshot.fields:
        for queries in (wholes, titles):
            rows = np.zeros((len(needs), field.index.dims), dtype=np.float32)
            for row, query in enumerate(queries):
                if field.name in query.vectors:
                    rows[row] = _centred(query, field)
            parts.append(rows / np.float32(np.sqrt(2)))
    return _likeness(parts, TermCounts.of([terms(need_text(need)) for need in needs]))


def _lab_likeness(matcher: Matcher, labs: IntArray) -> FloatArray:
    snapshot = matcher.snapshot
    places = np.full(len(snapshot.lab_ids), -1, dtype=np.int64)
    places[labs] = np.arange(len(labs))
    parts = []
    for field in snapshot.fields:
        place = places[snapshot.lab_of_passage[field.rows]]
        wanted = np.flatnonzero(place >= 0)
        rows = np.zeros((len(labs), field.index.dims), dtype=np.float32)
        np.add.at(rows, place[wanted], field.index.some_rows(wanted.tolist()))
        lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        parts.append(rows / np.maximum(lengths, np.float32(1e-9)))
    counts, size = snapshot.words.counts, (len(snapshot.lab_ids), len(snapshot.passages))
    ones = np.ones(size[1], dtype=np.int64)
    members = sp.csr_matrix((ones, (snapshot.lab_of_passage, np.arange(size[1]))), shape=size)
    return _likeness(parts, TermCounts(counts.vocabulary, (members @ counts.matrix.astype(np.int64))[labs]))


def _likeness(parts: Sequence[FloatArray], words: TermCounts) -> FloatArray:
    """Return cosines of what lies side by side: unit vectors of each view, zero where a view says nothing."""
    from sklearn.feature_extraction.text import TfidfTransformer

    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(words.matrix)
    total = LIKE_WORDS * np.asarray((weighted @ weighted.T).todense(), dtype=np.float32)
    for rows in parts:
        total += rows @ rows.T
    lengths = np.sqrt(np.maximum(np.diag(total), 1e-12))
    found = total / lengths[:, None] / lengths[None, :]
    np.fill_diagonal(found, 1)
    return np.asarray(found, dtype=np.float32)


def _groups(matcher: Matcher, pairs: Sequence[tuple[str, str]]) -> dict[str, IntArray]:
    named = {
        "company": [matcher.needs[need].company or "" for need, _ in pairs],
        "school": [matcher.labs[lab].school or "" for _, lab in pairs],
        "head": [matcher.labs[lab].pi for _, lab in pairs],
    }
    found = {}
    for kind, names in named.items():
        numbers = {name: number for number, name in enumerate(sorted(set(names) - {""}))}
        found[kind] = np.array([numbers.get(name, -1) for name in names], dtype=np.int64)
    return found
