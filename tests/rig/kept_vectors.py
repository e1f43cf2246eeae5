"""The vectors of the test collections, so that a fresh clone doesn't spend minutes on encoding them.

In: `kept_vectors.npz`, which holds for each slow encoder the hashes of texts, as the embedding cache names them, and
their vectors at a byte a number; no text. Out: an embedding cache that has them. It exists because the figures of the
ranking are wanted at every run, while the encoders change hardly ever; that they still give these vectors is tested by
encoding some again (`test_ranking_reaches_its_targets`). An encoder of another release has another identity, finds
nothing here and encodes all anew; `python -m tests.rig.kept_vectors` then writes the file from what that left.
"""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.encoders.embeddings import EmbeddingCache

FILE = Path(__file__).with_name("kept_vectors.npz")
HOME = Path(__file__).parents[2] / ".test-home"
ENCODERS = ("bundled:", "bundled-minilm:")
"""The slow ones, by the beginning of their identities; the third encodes all of it in seconds."""
_HASH_BYTES = 32


@dataclass(frozen=True)
class Kept:
    """The vectors of one encoder: its identity, hashes, and for each hash a vector of length 1."""

    identity: str
    hashes: list[str]
    vectors: NDArray[np.float32]


def kept() -> list[Kept]:
    """Return the vectors of each encoder."""
    with np.load(FILE) as file:
        return [
            Kept(
                str(identity),
                [row.tobytes().hex() for row in file[f"hashes_{n}"]],
                _unit(file[f"values_{n}"].astype(np.float32)),
            )
            for n, identity in enumerate(file["identities"])
        ]


def seed(cache: Path = HOME / "embeddings.db") -> None:
    """Put the vectors into an embedding cache, but for those that it has already."""
    EmbeddingCache(cache)
    with closing(sqlite3.connect(cache, timeout=60)) as connection, connection:
        for one in kept():
            values = (row.astype("<f4").tobytes() for row in one.vectors)
            rows = (
                (one.identity, name, zlib.crc32(value), value) for name, value in zip(one.hashes, values, strict=True)
            )
            connection.executemany("INSERT OR IGNORE INTO vector VALUES (?, ?, ?, ?)", rows)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _write(cache: Path = HOME / "embeddings.db") -> None:
    arrays: dict[str, NDArray[np.generic]] = {}
    identities = []
    with closing(sqlite3.connect(cache)) as connection:
        known = [str(name) for (name,) in connection.execute("SELECT DISTINCT encoder FROM vector ORDER BY encoder")]
        for identity in (name for name in known if name.startswith(ENCODERS)):
            query = "SELECT content_hash, value FROM vector WHERE encoder = ? ORDER BY content_hash"
            rows = connection.execute(query, [identity]).fetchall()
            vectors = np.stack([np.frombuffer(value, dtype="<f4") for _, value in rows])
            scale = 127 / np.abs(vectors).max(axis=1, keepdims=True)
            names = b"".join(bytes.fromhex(name) for name, _ in rows)
            arrays[f"hashes_{len(identities)}"] = np.frombuffer(names, dtype=np.uint8).reshape(-1, _HASH_BYTES)
            arrays[f"values_{len(identities)}"] = np.round(vectors * scale).astype(np.int8)
            identities.append(identity)
    np.savez_compressed(FILE, identities=np.array(identities), **arrays)


if __name__ == "__main__":
    _write()
