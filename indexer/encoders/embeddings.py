"""The embedding cache: a text that was encoded once is never encoded again.

In: texts, their role and an encoder. Out: their vectors, taken from one SQLite
file where they are known and encoded where not. It exists because encoding
costs three orders of magnitude more than everything else in a re-index. The
key is the encoder's identity and the hash of role and text, so that a changed
model or a changed text can never be served a stale vector; each row carries a
checksum and a damaged row is encoded anew.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.arrays import FloatArray
from indexer.encoders.encoder import Encoder
from indexer.encoders.encoding import Progress, Role
from indexer.folding import for_encoders
from indexer.wording import T_

CHUNK = 256
"""Texts encoded between two commits: what a crash can lose."""
READ_TIMEOUT_S = 1.0
"""How long a request may wait for a cache that a re-index is writing; encoding anew takes less."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vector (
    encoder TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (encoder, content_hash)
)
"""


class CacheError(RuntimeError):
    """The cache file can't be used; the message says why and what to do."""


def content_hash(text: str, role: Role) -> str:
    """Return the hash that names a text in its role; texts that encoders read alike share one vector."""
    return hashlib.sha256(f"{role}\0{for_encoders(text)}".encode()).hexdigest()


@dataclass(frozen=True)
class Embedded:
    """Vectors in the order of the texts asked for, and how many texts had to be encoded."""

    vectors: FloatArray
    encoded: int
    reused: int


class EmbeddingCache:
    """Vectors on disk, keyed by encoder identity and content hash; several processes may use the file at once.

    Raises:
        CacheError: at any use, if the file is damaged, locked for a minute, or can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.execute(_SCHEMA)

    @contextmanager
    def _connection(self, timeout_s: float = 60) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=timeout_s)) as connection, connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise CacheError(
                T_("the embedding cache %(path)s can't be used: %(error)s", path=self.path, error=error)
            ) from error
        except sqlite3.DatabaseError as error:
            raise CacheError(
                T_(
                    "the embedding cache %(path)s is damaged (%(error)s); delete it and run: gloria reindex (all "
                    "texts will be encoded anew)",
                    path=self.path,
                    error=error,
                )
            ) from error

    def __len__(self) -> int:
        """Number of vectors kept, of all encoders."""
        with self._connection() as connection:
            return int(connection.execute("SELECT count(*) FROM vector").fetchone()[0])

    def embed(
        self, texts: Sequence[str], *, role: Role, encoder: Encoder, progress: Progress | None = None
    ) -> Embedded:
        """Return the vectors of `texts`, encoding only those not in the cache.

        Args:
            texts: may repeat; a text is encoded once.
            role: see `Encoder.encode`.
            encoder: gives the vectors that are missing.
            progress: called with the number of distinct texts finished since the last call.
        """
        hashes = [content_hash(text, role) for text in texts]
        known = self._read(encoder, set(hashes))
        missing = {h: text for h, text in zip(hashes, texts, strict=True) if h not in known}
        reused = len(set(hashes)) - len(missing)
        if progress is not None:
            progress(reused)
        # Sorted by length, so that a chunk holds texts that batch well together.
        todo = sorted(missing, key=lambda h: (len(missing[h]), h))
        for start in range(0, len(todo), CHUNK):
            chunk = todo[start : start + CHUNK]
            vectors = encoder.encode([missing[h] for h in chunk], role=role, progress=progress)
            self._write(encoder, chunk, vectors)
            known.update(zip(chunk, vectors, strict=True))
        # Asking the encoder for its dimensions may load the model, which a warm cache makes needless.
        rows = np.stack([known[key] for key in hashes]) if hashes else np.zeros((0, encoder.dims), dtype=np.float32)
        return Embedded(vectors=rows, encoded=len(missing), reused=reused)

    def known(
        self, texts: Sequence[str], *, role: Role, encoder: Encoder, timeout_s: float = READ_TIMEOUT_S
    ) -> dict[str, FloatArray]:
        """Return the vectors of those texts that are in the cache, encoding and writing nothing.

        Args:
            texts: may repeat.
            role: see `Encoder.encode`.
            encoder: only its identity is used.
            timeout_s: how long to wait while a re-index writes.
        """
        hashes = {text: content_hash(text, role) for text in texts}
        found = self._read(encoder, set(hashes.values()), timeout_s)
        return {text: found[key].copy() for text, key in hashes.items() if key in found}

    def _read(self, encoder: Encoder, wanted: set[str], timeout_s: float = 60) -> dict[str, FloatArray]:
        found: dict[str, FloatArray] = {}
        keys = sorted(wanted)
        with self._connection(timeout_s) as connection:
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                rows = connection.execute(
                    f"SELECT content_hash, checksum, value FROM vector WHERE encoder = ? AND content_hash IN ({marks})",  # noqa: S608
                    (encoder.identity, *part),
                )
                for key, checksum, value in rows:
                    if zlib.crc32(value) == checksum:
                        found[key] = np.frombuffer(value, dtype="<f4")
        return found

    def _write(self, encoder: Encoder, keys: Sequence[str], vectors: FloatArray) -> None:
        values = [row.astype("<f4").tobytes() for row in vectors]
        with self._connection() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?)",
                [(encoder.identity, key, zlib.crc32(value), value) for key, value in zip(keys, values, strict=True)],
            )
