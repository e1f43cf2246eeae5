"""Texts of many threads become the vectors they would be alone; who waits for a failure or too long is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer.arrays import FloatArray
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import load_encoder
from indexer.encoders.encoding import EncoderError, Progress, Role
from indexer.encoders.query_vectors import WAITING_TEXTS, BatchedQueries, DirectQueries, EncodingBusyError
from indexer.settings import Settings
from tests.rig.servers.served_here import until

TEXTS = [f"第 {i} 條產線的振動監測" if i % 2 else f"vibration monitoring of line {i}" for i in range(48)]
LONG_S = 30.0


class StandIn:
    """An encoder that can be held up and can fail."""

    name = "stand-in"
    languages: frozenset[str] | None = None
    identity = "stand-in:1"
    dims = 3

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.started = threading.Event()
        self.batches: list[list[str]] = []
        self.failing: set[str] = set()

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        self.started.set()
        assert self.open.wait(LONG_S)
        self.batches.append(list(texts))
        if self.failing & set(texts):
            raise EncoderError("the stand-in fails")
        return np.array([[len(text), hash(text) % 97 + 1, 1] for text in texts], dtype=np.float32)


@pytest.fixture
def encoder() -> StandIn:
    return StandIn()


@pytest.fixture
def queries(encoder: StandIn) -> Iterator[BatchedQueries]:
    with closing(BatchedQueries([encoder], deadline_s=LONG_S)) as queries:
        yield queries


def test_vectors_are_those_of_one_text_at_a_time(indexed_home: Path) -> None:
    settings = Settings(home=indexed_home, encoders="bundled-use")
    alone = load_encoder("bundled-use", settings)
    expected = [alone.encode([text], role="query")[0] for text in TEXTS]
    with closing(BatchedQueries([load_encoder("bundled-use", settings)])) as queries, ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda text: queries.vectors([text, TEXTS[0]]), TEXTS))
    cosines = [float(vectors[0]["bundled-use"] @ vector) for vectors, vector in zip(found, expected, strict=True)]
    assert min(cosines) >= 0.9999
    # The control: other texts are further apart than that.
    assert max(float(expected[0] @ vector) for vector in expected[1:]) < 0.9999


def test_what_waits_together_is_encoded_together_and_once(encoder: StandIn, queries: BatchedQueries) -> None:
    encoder.open.clear()
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(queries.vectors, ["first"])
        assert encoder.started.wait(LONG_S)
        others = [pool.submit(queries.vectors, [f"text {i % 5}", "shared"]) for i in range(15)]
        until(lambda: queries.waiting == 6)
        encoder.open.set()
        vectors = [future.result() for future in others]
        first.result()
    assert [sorted(batch) for batch in encoder.batches] == [
        ["first"],
        sorted([*(f"text {i}" for i in range(5)), "shared"]),
    ]
    assert all(np.array_equal(found[1]["stand-in"], vectors[0][1]["stand-in"]) for found in vectors)
    queries.vectors(["shared"])
    assert len(encoder.batches) == 2


def test_a_failing_model_is_told_to_everybody_who_waits(encoder: StandIn, queries: BatchedQueries) -> None:
    encoder.failing = {"a", "b", "c", "d"}
    encoder.open.clear()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(queries.vectors, [text]) for text in "abcd"]
        until(encoder.started.is_set)
        encoder.open.set()
        for future in waiting:
            with pytest.raises(EncoderError, match="the stand-in fails"):
                future.result(LONG_S)
    # What failed is not remembered: the next one who asks finds the model mended.
    encoder.failing = set()
    assert queries.vectors(["a"])[0]["stand-in"][0] == 1


def test_one_bad_text_fails_alone_once_the_models_have_worked(encoder: StandIn, queries: BatchedQueries) -> None:
    queries.warm()
    encoder.failing = {"bad"}
    encoder.open.clear()
    encoder.started.clear()
    with ThreadPoolExecutor(4) as pool:
        held = pool.submit(queries.vectors, ["held"])
        assert encoder.started.wait(LONG_S)
        good, bad = pool.submit(queries.vectors, ["good"]), pool.submit(queries.vectors, ["bad"])
        until(lambda: queries.waiting == 2)
        encoder.open.set()
        assert held.result()[0]["stand-in"][0] == good.result()[0]["stand-in"][0] == 4
        with pytest.raises(EncoderError):
            bad.result()


def test_a_deadline_is_kept_and_an_abandoned_text_is_not_encoded(encoder: StandIn, queries: BatchedQueries) -> None:
    encoder.open.clear()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(queries.vectors, ["held"])
        assert encoder.started.wait(LONG_S)
        with pytest.raises(EncodingBusyError) as busy:
            queries.vectors(["late"], deadline_s=0.05)
        assert busy.value.retry_after_s > 0
        encoder.open.set()
        held.result()
    queries.vectors(["next"])
    assert [text for batch in encoder.batches for text in batch] == ["held", "next"]


def test_more_than_can_be_answered_is_refused_at_once(encoder: StandIn, queries: BatchedQueries) -> None:
    with pytest.raises(EncodingBusyError):
        queries.vectors([str(i) for i in range(WAITING_TEXTS + 1)])
    assert len(queries.vectors([str(i) for i in range(100)])) == 100
    assert max(map(len, encoder.batches)) <= 64


def test_closing_wakes_everybody(encoder: StandIn) -> None:
    queries = BatchedQueries([encoder], deadline_s=LONG_S)
    encoder.open.clear()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(queries.vectors, [text]) for text in "abc"]
        until(encoder.started.is_set)
        queries.close()
        for future in waiting:
            with pytest.raises(EncodingBusyError):
                future.result(LONG_S)
        encoder.open.set()
    with pytest.raises(EncodingBusyError):
        queries.vectors(["d"])


def test_the_embedding_cache_is_read_and_never_written(encoder: StandIn, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.db")
    stored = cache.embed(["known"], role="query", encoder=encoder).vectors[0]
    encoder.batches.clear()
    with closing(BatchedQueries([encoder], cache)) as queries:
        found = queries.vectors(["known", "new"])
    assert encoder.batches == [["new"]]
    assert np.array_equal(found[0]["stand-in"], stored)
    assert len(cache) == 1


def test_a_damaged_cache_costs_only_the_encoding(encoder: StandIn, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.db")
    cache.path.write_bytes(b"not a database " * 100)
    with closing(BatchedQueries([encoder], cache)) as queries:
        assert queries.vectors(["text"])[0]["stand-in"][0] == 4


def test_a_command_encodes_what_the_server_encodes(indexed_home: Path, tmp_path: Path) -> None:
    settings = Settings(home=indexed_home, cache=tmp_path, encoders="bundled-use")
    direct = DirectQueries(settings).vectors(TEXTS[:3])
    with closing(BatchedQueries([load_encoder("bundled-use", settings)])) as queries:
        batched = queries.vectors(TEXTS[:3])
    for one, other in zip(direct, batched, strict=True):
        assert float(one["bundled-use"] @ other["bundled-use"]) >= 0.9999
