"""How often each term occurs in each text: all that word statistics need to know of the texts.

In: texts as lists of terms, or the counts of texts that stay and of those that are new. Out: a matrix of counts over
a sorted vocabulary. It exists because finding terms costs ten times what every statistic made of them costs: with the
counts kept, an index over texts of which a few changed is computed anew in whole, as from nothing, without any text
that stayed being read again. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TermCounts:
    """`vocabulary` gives each term's column, terms sorted; `matrix` has a row per text, its columns in order.

    Equal texts in equal order have equal counts, however they were put together.
    """

    vocabulary: dict[str, int]
    matrix: sp.csr_matrix

    @classmethod
    def of(cls, documents: Sequence[Sequence[str]]) -> TermCounts:
        """Return the counts of texts given as their terms."""
        counts = [Counter(document) for document in documents]
        vocabulary = {term: i for i, term in enumerate(sorted({term for count in counts for term in count}))}
        indices: list[int] = []
        values: list[int] = []
        pointers = [0]
        for count in counts:
            known = sorted((vocabulary[term], n) for term, n in count.items())
            indices += [column for column, _ in known]
            values += [n for _, n in known]
            pointers.append(len(indices))
        return cls(vocabulary, _matrix(values, indices, pointers, (len(counts), len(vocabulary))))

    def with_fresh(self, rows: Sequence[int | None], fresh: TermCounts) -> TermCounts:
        """Return the counts of texts of which some are known.

        Args:
            rows: for each text, in order, its row here; None where it is the next of `fresh`.
            fresh: the counts of the others, in order.
        """
        words = sorted({**self.vocabulary, **fresh.vocabulary})
        columns = {word: i for i, word in enumerate(words)}
        stacked = sp.vstack([_moved(self, columns), _moved(fresh, columns)], format="csr")
        following = iter(range(self.matrix.shape[0], stacked.shape[0]))
        chosen = stacked[[next(following) if row is None else row for row in rows]]
        # Terms of texts that are gone are no terms any more.
        used = np.bincount(chosen.indices, minlength=len(words)) > 0
        places = np.cumsum(used) - 1
        kept = [word for word, is_used in zip(words, used.tolist(), strict=True) if is_used]
        shape = (len(rows), len(kept))
        matrix = _matrix(chosen.data, places[chosen.indices], chosen.indptr, shape)
        return TermCounts({word: i for i, word in enumerate(kept)}, matrix)

    def summed(self, groups: IntArray, size: int) -> TermCounts:
        """Return the counts of groups of texts put together; `groups` has each text's number below `size`."""
        members = np.argsort(groups, kind="stable")
        ends = np.searchsorted(groups[members], np.arange(size + 1))
        ones = np.ones(len(groups), dtype=np.int64)
        gathered = sp.csr_matrix((ones, members, ends), shape=(size, len(groups))) @ self.matrix.astype(np.int64)
        gathered.sort_indices()
        return TermCounts(self.vocabulary, _matrix(gathered.data, gathered.indices, gathered.indptr, gathered.shape))

    @property
    def document_frequencies(self) -> IntArray:
        """For each term in how many texts it occurs."""
        return np.bincount(self.matrix.indices, minlength=len(self.vocabulary))


def _moved(counts: TermCounts, columns: dict[str, int]) -> sp.csr_matrix:
    places = np.fromiter((columns[term] for term in counts.vocabulary), dtype=np.int64, count=len(counts.vocabulary))
    matrix, shape = counts.matrix, (counts.matrix.shape[0], len(columns))
    # Both vocabularies are sorted, so the columns of a row stay in order.
    return _matrix(matrix.data, places[matrix.indices], matrix.indptr, shape)


def _matrix(
    values: Sequence[int], columns: Sequence[int] | IntArray, pointers: Sequence[int], shape: tuple[int, int]
) -> sp.csr_matrix:
    data = np.asarray(values)
    # Counts are small: one byte each, as a rule, in the smallest type that holds the largest.
    narrow = np.min_scalar_type(int(data.max())) if data.size else np.dtype(np.uint8)
    parts = (data.astype(narrow), np.asarray(columns, dtype=np.int32), np.asarray(pointers, dtype=np.int32))
    return sp.csr_matrix(parts, shape=shape)
