"""The embedding cache: no text is encoded twice, no damaged vector is used, and a damaged file is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from indexer.arrays import FloatArray
from indexer.encoders.embeddings import CacheError, EmbeddingCache
from indexer.encoders.encoder import load_encoder
from indexer.encoders.encoding import Progress, Role
from indexer.settings import Settings

USE = load_encoder("bundled-use", Settings())
TEXTS = ["鈣鈦礦太陽能電池", "dissolved oxygen in ponds", "鈣鈦礦太陽能電池"]


@dataclass
class Counting:
    """The real USE encoder, which notes what it was asked to encode; `identity` can be changed."""

    identity: str = "use-1"
    name: str = "bundled-use"
    languages: frozenset[str] | None = None
    dims: int = 512
    asked: list[str] = field(default_factory=list)

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        self.asked += texts
        return USE.encode(texts, role=role, progress=progress)


def test_a_text_is_encoded_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    path, encoder = tmp_path / "embeddings.db", Counting()
    first = EmbeddingCache(path).embed(TEXTS, role="passage", encoder=encoder)
    again = EmbeddingCache(path).embed([*TEXTS, "new"], role="passage", encoder=encoder)
    assert sorted(encoder.asked) == sorted({*TEXTS, "new"})
    assert (first.encoded, first.reused, again.encoded, again.reused) == (2, 0, 1, 2)
    np.testing.assert_array_equal(first.vectors, again.vectors[:3])
    np.testing.assert_array_equal(first.vectors[0], first.vectors[2])


def test_role_and_encoder_keep_vectors_apart(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.db")
    text = TEXTS[:1]
    assert cache.embed(text, role="passage", encoder=Counting()).encoded == 1
    assert cache.embed(text, role="query", encoder=Counting()).encoded == 1
    assert cache.embed(text, role="passage", encoder=Counting(identity="use-2")).encoded == 1
    assert cache.embed(text, role="passage", encoder=Counting()).encoded == 0


@pytest.mark.parametrize("damage", ["UPDATE vector SET value = zeroblob(2048)", "UPDATE vector SET value = x'00'"])
def test_a_damaged_row_is_encoded_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "embeddings.db"
    good = EmbeddingCache(path).embed(TEXTS, role="passage", encoder=Counting()).vectors
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    healed = EmbeddingCache(path).embed(TEXTS, role="passage", encoder=Counting())
    assert healed.encoded == 2
    np.testing.assert_allclose(healed.vectors, good, atol=1e-6)


def test_no_texts_are_no_rows(tmp_path: Path) -> None:
    nothing = EmbeddingCache(tmp_path / "embeddings.db").embed([], role="query", encoder=Counting())
    assert (nothing.vectors.shape, nothing.encoded, nothing.reused) == ((0, 512), 0, 0)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at" * 40, None])
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "embeddings.db"
    EmbeddingCache(path).embed(TEXTS, role="passage", encoder=Counting())
    # None: the file is real, with its inner pages overwritten.
    whole = path.read_bytes()
    path.write_bytes(content if content is not None else whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(CacheError, match=f"{path}.*delete it and run: gloria reindex"):
        EmbeddingCache(path).embed(TEXTS, role="passage", encoder=Counting())


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=f"{tmp_path} can't be used"):
        EmbeddingCache(tmp_path)
