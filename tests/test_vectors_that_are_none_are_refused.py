"""Vector search is exact, and vectors of the wrong shape, without direction or not finite never get in."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.arrays import FloatArray
from indexer.index.vectors import LANGUAGE_MINIMUM, VectorIndex, VectorIndexError, centred, language_means

CHANCE = np.random.default_rng(106)


def _units(n: int, dims: int = 8, shift: float = 0.0) -> FloatArray:
    vectors = CHANCE.normal(size=(n, dims)).astype(np.float32)
    vectors[:, 0] += shift
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_scores_are_inner_products_and_search_finds_the_largest() -> None:
    rows, queries = _units(30), _units(3)
    index = VectorIndex.build(rows)
    assert (index.size, index.dims) == (30, 8)
    np.testing.assert_allclose(index.scores(queries), queries @ rows.T, atol=1e-6)
    scores, numbers = index.search(queries, 5)
    np.testing.assert_array_equal(numbers, np.argsort(-(queries @ rows.T), axis=1)[:, :5])
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ rows.T, numbers, axis=1), atol=1e-6)


@pytest.mark.parametrize(("rows", "top", "found"), [(3, 10, 3), (3, 0, 0), (3, -1, 0), (0, 5, 0)])
def test_search_gives_no_more_than_there_is(rows: int, top: int, found: int) -> None:
    scores, numbers = VectorIndex.build(_units(rows)).search(_units(2), top)
    assert scores.shape == numbers.shape == (2, found)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_one_bad_row_keeps_all_out(value: float) -> None:
    rows = _units(5)
    VectorIndex.build(rows)
    rows[3] = value
    with pytest.raises(VectorIndexError, match="zero or not finite"):
        VectorIndex.build(rows)


def test_shapes_are_checked_before_faiss_sees_them() -> None:
    index = VectorIndex.build(_units(5))
    bad = _units(1)
    bad[0, 0] = np.nan
    with pytest.raises(VectorIndexError, match="two dimensions"):
        VectorIndex.build(_units(1)[0])
    for queries, message in ((_units(1, dims=9), "shape"), (_units(1)[0], "shape"), (bad, "not finite")):
        with pytest.raises(VectorIndexError, match=message):
            index.scores(queries)
        with pytest.raises(VectorIndexError, match=message):
            index.search(queries, 1)


def test_rows_outlive_the_index_and_do_not_change_it() -> None:
    vectors = _units(4)
    index = VectorIndex.build(vectors)
    index.rows()[0, 0] = 1
    np.testing.assert_array_equal(index.rows(), vectors)
    rows = index.rows()
    del index
    np.testing.assert_array_equal(rows, vectors)


def test_bytes_are_read_back_and_others_refused() -> None:
    rows = _units(4)
    content = VectorIndex.build(rows).to_bytes()
    np.testing.assert_array_equal(VectorIndex.from_bytes(content, size=4, dims=8).rows(), rows)
    for size, dims in ((5, 8), (4, 9)):
        with pytest.raises(VectorIndexError, match=f"not {size} vectors of {dims} dimensions: the file has"):
            VectorIndex.from_bytes(content, size=size, dims=dims)
    with pytest.raises(VectorIndexError, match="not the header of 4 vectors of 8 dimensions"):
        VectorIndex.from_bytes(b"none" + content[4:], size=4, dims=8)


def test_centring_takes_the_languages_apart_and_joins_the_topics() -> None:
    chinese, english = _units(LANGUAGE_MINIMUM, shift=9.0), _units(LANGUAGE_MINIMUM, shift=-9.0)
    vectors = np.concatenate([chinese, english])
    languages = ["zh"] * LANGUAGE_MINIMUM + ["en"] * LANGUAGE_MINIMUM
    means = language_means(vectors, languages)
    assert set(means) == {"", "zh", "en"}
    out = centred(vectors, languages, means)
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    expected = chinese[0] - chinese.mean(axis=0)
    np.testing.assert_allclose(out[0], expected / np.linalg.norm(expected), atol=1e-4)
    assert chinese.mean(axis=0) @ english.mean(axis=0) < -0.5
    assert abs(out[:LANGUAGE_MINIMUM].mean(axis=0) @ out[LANGUAGE_MINIMUM:].mean(axis=0)) < 0.1


def test_too_few_texts_of_a_language_use_the_mean_of_all() -> None:
    vectors = _units(LANGUAGE_MINIMUM)
    means = language_means(vectors, ["zh"] * (LANGUAGE_MINIMUM - 1) + ["en"])
    assert set(means) == {""}
    np.testing.assert_allclose(means[""], vectors.mean(axis=0), atol=1e-6)


def test_a_vector_that_is_its_own_mean_keeps_its_direction() -> None:
    alone = _units(1)
    np.testing.assert_array_equal(centred(alone, ["zh"], language_means(alone, ["zh"])), alone)


def test_no_vectors_have_no_means() -> None:
    nothing = np.zeros((0, 8), dtype=np.float32)
    assert language_means(nothing, []) == {}
    assert centred(nothing, [], {}).shape == (0, 8)
