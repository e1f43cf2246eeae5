"""Word scores and BM25 give the values that their formulas give, and what they are made of survives being stored."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest

from indexer.index.background import FILE, background
from indexer.index.words import K1, B, LexicalIndex, TermCounts, TermCountsError, WordIndex

DOCUMENTS = [
    ["perovskite", "cell", "cell", "lead"],
    ["fish", "pond", "oxygen", "oxygen", "oxygen", "sensor"],
    ["sensor", "cell", "電", "电池", "qzxv"],
    [],
]
QUERIES = [
    ["cell", "cell", "sensor"],
    ["oxygen"],
    ["电", "电池", "develop", "qzxv"],
    ["cell", "unknownx"],
    ["unknownx"],
    [],
]
"""`develop` is in the background only and asked for often, `unknownx` nowhere, `电` a lone character of one text."""
LONE, SATURATION, LEAST_DAMPING = 0.3, 0.6, 0.02


class Plain:
    """The formulas of `WordIndex`, term by term, with the background read from its file."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self._documents = documents
        with np.load(FILE) as stored:
            hashes = stored["hashes"].tolist()
            self._elsewhere = dict(zip(hashes, stored["frequencies"].tolist(), strict=True))
            self._asked = dict(zip(hashes, stored["asked"].tolist(), strict=True))
        self._total = len(documents) + background().passages

    def df(self, term: str) -> int:
        """In how many texts a term occurs, here and in the background."""
        number = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")
        return sum(term in document for document in self._documents) + int(self._elsewhere.get(number, 0))

    def weight(self, term: str) -> float:
        """What a term weighs."""
        number = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")
        asked = max(1, int(self._asked.get(number, 0)))
        damping = max(LEAST_DAMPING, 1 - log(asked) / log(1 + background().needs))
        idf = log((self._total + 1) / (self.df(term) + 0.5)) / log((self._total + 1) / 0.5)
        is_lone = len(term) == 1 and "\u4e00" <= term <= "\u9fff"
        return max(0.0, idf) * damping * (LONE if is_lone else 1)

    def _vector(self, document: Sequence[str]) -> dict[str, float]:
        return {term: (1 + log(n)) * self.weight(term) for term, n in Counter(document).items()}

    def cosine(self, query: Sequence[str], document: Sequence[str]) -> float:
        """The cosine of the two TF-IDF vectors."""
        one, other = self._vector(query), self._vector(document)
        both = sqrt(sum(w * w for w in one.values())) * sqrt(sum(w * w for w in other.values()))
        return sum(w * other.get(term, 0.0) for term, w in one.items()) / both if both else 0.0

    def covered(self, query: Sequence[str], document: Sequence[str]) -> float:
        """The share of the query's weight that the document has, each term by its saturated count."""
        asked = self._vector(query)
        found = sum(w * document.count(t) / (document.count(t) + SATURATION) for t, w in asked.items())
        return found / sum(asked.values()) if asked else 0.0


def test_cosine_and_coverage_follow_their_formulas() -> None:
    plain, index = Plain(DOCUMENTS), WordIndex.build(DOCUMENTS)
    for query in QUERIES:
        cosine, covered = index.answers(query)
        np.testing.assert_allclose(cosine, [plain.cosine(query, one) for one in DOCUMENTS], atol=1e-6)
        np.testing.assert_allclose(covered, [plain.covered(query, one) for one in DOCUMENTS], atol=1e-6)


def test_a_terms_weight_follows_its_formula() -> None:
    plain, index = Plain(DOCUMENTS), WordIndex.build(DOCUMENTS)
    asked = sorted({term for texts in (DOCUMENTS, QUERIES) for text in texts for term in text})
    np.testing.assert_allclose(index.weights(asked), [plain.weight(term) for term in asked], rtol=1e-5)
    # Only what occurs nowhere weighs whole; a lone character less than a pair, what needs share less than all.
    weights = dict(zip(asked, index.weights(asked).tolist(), strict=True))
    assert weights["unknownx"] == pytest.approx(1)
    assert weights["电"] < weights["电池"] < weights["qzxv"] < 1
    assert weights["develop"] < weights["sensor"]
    total, df = len(DOCUMENTS) + background().passages, plain.df("cell")
    assert index.inverse_frequency("cell") == pytest.approx(1 + log((1 + total) / (1 + df)))
    assert index.inverse_frequency("unknownx") == 0


def test_a_text_of_all_words_asked_is_covered_and_one_of_nothing_else_is_nearest() -> None:
    long = ["cell", "sensor", *(f"word{n}" for n in range(40))]
    cosine, covered = WordIndex.build([["cell", "sensor"], long, ["cell"]]).answers(["cell", "sensor"])
    assert cosine[0] == pytest.approx(1)
    assert cosine[0] > cosine[1]
    assert covered[0] == covered[1] > covered[2]


def _bm25(query: Sequence[str], document: Sequence[str], k1: float, b: float) -> float:
    average = sum(map(len, DOCUMENTS)) / len(DOCUMENTS)
    score = 0.0
    for term in query:
        frequency = sum(term in other for other in DOCUMENTS)
        rarity = log(1 + (len(DOCUMENTS) - frequency + 0.5) / (frequency + 0.5))
        count = document.count(term)
        score += rarity * count / (count + k1 * (1 - b + b * len(document) / average))
    return score


@pytest.mark.parametrize(("k1", "b"), [(K1, B), (0.9, 0.3)])
def test_bm25_follows_lucenes_formula(k1: float, b: float) -> None:
    index = LexicalIndex.build(DOCUMENTS, k1=k1, b=b)
    for query in QUERIES:
        expected = [_bm25(query, document, k1, b) for document in DOCUMENTS]
        np.testing.assert_allclose(index.scores(query), expected, atol=1e-6)


@pytest.mark.parametrize("documents", [DOCUMENTS, [["one"]], [[], []], []])
def test_counts_are_read_back_as_they_were(tmp_path: Path, documents: list[list[str]]) -> None:
    counts = TermCounts.of(documents)
    counts.save(tmp_path / "words.npz")
    found = TermCounts.load(tmp_path / "words.npz", len(documents))
    assert (found.vocabulary, found.digest()) == (counts.vocabulary, counts.digest())
    np.testing.assert_array_equal(found.matrix.toarray(), counts.matrix.toarray())
    again, index = WordIndex(found), WordIndex.build(documents)
    assert again.size == index.size == len(documents)
    for query in [*QUERIES, ["one"]]:
        for one, other in zip(again.answers(query), index.answers(query), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("documents", [[[], []], [["", "！"]]])
def test_texts_without_terms_answer_nothing(documents: list[list[str]]) -> None:
    for query in QUERIES:
        for found in WordIndex.build(documents).answers(query):
            np.testing.assert_array_equal(found, np.zeros(len(documents)))
        np.testing.assert_array_equal(LexicalIndex.build(documents).scores(query), np.zeros(len(documents)))


def test_counts_of_other_texts_are_refused(tmp_path: Path) -> None:
    TermCounts.of(DOCUMENTS).save(tmp_path / "words.npz")
    with pytest.raises(TermCountsError, match="an index of 4 texts, expected 5"):
        TermCounts.load(tmp_path / "words.npz", len(DOCUMENTS) + 1)


def test_damaged_counts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    with pytest.raises(TermCountsError, match=r"words\.npz"):
        TermCounts.load(path, len(DOCUMENTS))
    TermCounts.of(DOCUMENTS).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TermCountsError, match=r"words\.npz"):
        TermCounts.load(path, len(DOCUMENTS))
    # A column that no word has: looked up, it would be read from where nothing is.
    path.write_bytes(whole)
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays | {"indices": arrays["indices"] + 2**20})
    with pytest.raises(TermCountsError, match=r"words\.npz"):
        TermCounts.load(path, len(DOCUMENTS))
