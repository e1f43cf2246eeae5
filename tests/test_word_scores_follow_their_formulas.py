"""TF-IDF and BM25 give the values that their formulas and other programs give, and survive being stored."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from indexer.index.words import K1, LAB_B, LAB_K1, B, LexicalIndex, LexicalIndexError, TfIdfError, TfIdfIndex

DOCUMENTS = [
    ["perovskite", "cell", "cell", "lead"],
    ["fish", "pond", "oxygen", "oxygen", "oxygen", "sensor"],
    ["sensor", "cell"],
    [],
]
QUERIES = [["cell", "cell", "sensor"], ["oxygen"], ["unknown"], []]


def test_tfidf_agrees_with_scikit_learn() -> None:
    other = TfidfVectorizer(analyzer=lambda terms: terms, sublinear_tf=True)
    matrix = other.fit_transform(DOCUMENTS)
    index = TfIdfIndex.build(DOCUMENTS)
    for query in QUERIES:
        expected = (matrix @ other.transform([query]).T).toarray().ravel()
        np.testing.assert_allclose(index.scores(query), expected, atol=1e-6)
    assert index.inverse_frequency("cell") == pytest.approx(other.idf_[other.vocabulary_["cell"]])
    assert index.inverse_frequency("unknown") == 0


def _bm25(query: Sequence[str], document: Sequence[str], k1: float, b: float) -> float:
    average = sum(map(len, DOCUMENTS)) / len(DOCUMENTS)
    score = 0.0
    for term in query:
        frequency = sum(term in other for other in DOCUMENTS)
        rarity = log(1 + (len(DOCUMENTS) - frequency + 0.5) / (frequency + 0.5))
        count = document.count(term)
        score += rarity * count / (count + k1 * (1 - b + b * len(document) / average))
    return score


@pytest.mark.parametrize(("k1", "b"), [(K1, B), (LAB_K1, LAB_B)])
def test_bm25_follows_lucenes_formula(k1: float, b: float) -> None:
    index = LexicalIndex.build(DOCUMENTS, k1=k1, b=b)
    for query in QUERIES:
        expected = [_bm25(query, document, k1, b) for document in DOCUMENTS]
        np.testing.assert_allclose(index.scores(query), expected, atol=1e-6)
    assert [index.document_frequency(term) for term in ("cell", "oxygen", "unknown")] == [2, 1, 0]


@pytest.mark.parametrize("documents", [DOCUMENTS, [["one"]], [[], []]])
def test_both_are_read_back_as_they_were(tmp_path: Path, documents: list[list[str]]) -> None:
    TfIdfIndex.build(documents).save(tmp_path / "words.npz")
    LexicalIndex.build(documents).save(tmp_path / "words")
    tfidf = TfIdfIndex.load(tmp_path / "words.npz", len(documents))
    bm25 = LexicalIndex.load(tmp_path / "words", len(documents))
    assert tfidf.size == bm25.size == len(documents)
    for query in [*QUERIES, ["one"]]:
        np.testing.assert_array_equal(tfidf.scores(query), TfIdfIndex.build(documents).scores(query))
        np.testing.assert_array_equal(bm25.scores(query), LexicalIndex.build(documents).scores(query))


def test_an_index_of_other_documents_is_refused(tmp_path: Path) -> None:
    TfIdfIndex.build(DOCUMENTS).save(tmp_path / "words.npz")
    LexicalIndex.build(DOCUMENTS).save(tmp_path / "words")
    with pytest.raises(TfIdfError, match="does not fit"):
        TfIdfIndex.load(tmp_path / "words.npz", len(DOCUMENTS) + 1)
    with pytest.raises(LexicalIndexError, match="expected 5"):
        LexicalIndex.load(tmp_path / "words", len(DOCUMENTS) + 1)
