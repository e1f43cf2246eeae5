"""Unit vectors in, cosine similarities out: the only place that knows FAISS.

In: a matrix of unit vectors and the mean vector of the side it stands for.
Out: for a query vector its cosine similarity to every row, or its nearest
rows. It exists because FAISS's own files carry no checksum, its size check is
an assert and its writer does not notice a full disk: all three are handled
here and in `snapshot`.

Encoders leave an offset of language and of role in their vectors. Subtracting
each side's mean and renormalising takes it out (`centred`): between Chinese
needs and English labs the reciprocal rank rises from 0.67 to 0.76.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, digest_of
from indexer.wording import T_

LANGUAGE_MINIMUM = 20
"""Texts of one language on one side below which the side's overall mean is used."""
OWN_MEAN = 1e-4
"""Length of what centring leaves below which a vector counts as its own mean."""

MAX_DIMS = 65_536
_HEADER = struct.Struct("<4siqqqBiQ")
"""What FAISS writes before the vectors of an `IndexFlatIP`."""


class VectorIndexError(ValueError):
    """Vectors that can't be indexed or searched: wrong shape, zero or not finite."""


def language_means(vectors: FloatArray, languages: Sequence[str]) -> dict[str, FloatArray]:
    """Return the mean vector of each language with enough texts, and under "" that of all.

    Args:
        vectors: shape (n, dims).
        languages: the language of each row.
    """
    if not len(vectors):
        return {}
    means: dict[str, FloatArray] = {"": vectors.mean(axis=0, dtype=np.float64).astype(np.float32)}
    tags = np.asarray(languages)
    for language in sorted(set(languages)):
        rows = tags == language
        if rows.sum() >= LANGUAGE_MINIMUM:
            means[language] = vectors[rows].mean(axis=0, dtype=np.float64).astype(np.float32)
    return means


def centred(vectors: FloatArray, languages: Sequence[str], means: Mapping[str, FloatArray]) -> FloatArray:
    """Subtract each row's language mean and bring the rows back to length 1.

    A row that is its own mean keeps its direction: centring would leave nothing of it.
    """
    if not means:
        return vectors
    tags = np.asarray(languages)
    offsets = np.empty_like(vectors)
    for language in set(languages):
        offsets[tags == language] = means.get(language, means[""])
    shifted = vectors - offsets
    lengths = np.linalg.norm(shifted, axis=1, keepdims=True)
    return np.where(lengths > OWN_MEAN, shifted / np.maximum(lengths, OWN_MEAN), vectors)


class VectorIndex:
    """Exact inner product over unit vectors."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: FloatArray) -> VectorIndex:
        """Return an index over the rows of `vectors`, shape (n, dims).

        Raises:
            VectorIndexError: the shape is wrong, or a row is zero or not finite.
        """
        import faiss

        if vectors.ndim != 2:
            raise VectorIndexError(T_("vectors must have two dimensions, got shape %(shape)s", shape=vectors.shape))
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(lengths).all() or (lengths == 0).any():
            raise VectorIndexError(T_("a vector is zero or not finite"))
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index)

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self._index.ntotal)

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def rows(self) -> FloatArray:
        """Return a copy of the indexed vectors, shape (size, dims)."""
        return self._view().copy()

    def some_rows(self, numbers: Sequence[int]) -> FloatArray:
        """Return a copy of a few vectors, shape (len(numbers), dims)."""
        return self._view()[list(numbers)]

    def _view(self) -> FloatArray:
        # FAISS's own memory, gone with the index: never to be handed out.
        import faiss

        if not self.size:
            return np.zeros((0, self.dims), dtype=np.float32)
        flat: FloatArray = faiss.rev_swig_ptr(self._index.get_xb(), self.size * self.dims)
        return flat.reshape(self.size, self.dims)

    def scores(self, queries: FloatArray) -> FloatArray:
        """Return the inner product of each query with every row, shape (n queries, size)."""
        self._check(queries)
        return np.asarray(queries @ self._view().T, dtype=np.float32)

    def search(self, queries: FloatArray, top: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Return scores and row numbers of the `top` nearest rows, both of shape (n queries, min(top, size))."""
        self._check(queries)
        top = max(0, min(top, self.size))
        if not top:
            empty = np.zeros((len(queries), 0))
            return empty.astype(np.float32), empty.astype(np.int64)
        scores, numbers = self._index.search(np.ascontiguousarray(queries, dtype=np.float32), top)
        return scores, numbers

    def _check(self, queries: FloatArray) -> None:
        # FAISS guards the dimension with an assert, which kills the process in some builds.
        if queries.ndim != 2 or queries.shape[1] != self.dims:
            raise VectorIndexError(
                T_("queries must have shape (n, %(dims)s), got %(shape)s", dims=self.dims, shape=queries.shape)
            )
        if not np.isfinite(queries).all():
            raise VectorIndexError(T_("a query vector is not finite"))

    def digest(self) -> str:
        """Return a hash of the vectors as they lie in memory."""
        return digest_of(self._view())

    def to_bytes(self) -> bytes:
        """Return the index as FAISS serialises it; `snapshot` writes and checksums it."""
        import faiss

        return bytes(faiss.serialize_index(self._index).tobytes())

    @classmethod
    def from_bytes(cls, content: bytes, *, size: int, dims: int) -> VectorIndex:
        """Read an index, refusing one that is not `size` rows of `dims` values.

        Raises:
            VectorIndexError: the bytes are not such an index.
        """
        import faiss

        _check_header(content, size=size, dims=dims)
        try:
            index = faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8))
        except Exception as error:
            raise VectorIndexError(T_("not a FAISS index: %(error)s", error=error)) from error
        if not isinstance(index, faiss.IndexFlatIP) or (index.ntotal, index.d) != (size, dims):
            raise VectorIndexError(
                T_(
                    "expected an exact inner-product index of %(size)s vectors with %(dims)s dimensions, got "
                    "%(name)s of %(ntotal)s with %(d)s",
                    size=size,
                    dims=dims,
                    name=type(index).__name__,
                    ntotal=index.ntotal,
                    d=index.d,
                )
            )
        return cls(index)


def _check_header(content: bytes, *, size: int, dims: int) -> None:
    """Refuse what FAISS would take for more, or for something else, than `size` vectors: it allocates what it is told.

    The header: kind of index, dimensions, vectors, two fixed numbers, that it is trained, inner product, values.
    """
    if not (0 < dims <= MAX_DIMS and size >= 0 and len(content) == _HEADER.size + 4 * size * dims):
        raise VectorIndexError(
            T_(
                "not %(size)s vectors of %(dims)s dimensions: the file has %(found)s bytes",
                size=size,
                dims=dims,
                found=len(content),
            )
        )
    found = _HEADER.unpack_from(content)
    if found != (b"IxFI", dims, size, 1 << 20, 1 << 20, 1, 0, size * dims):
        raise VectorIndexError(
            T_(
                "not the header of %(size)s vectors of %(dims)s dimensions for exact inner products",
                size=size,
                dims=dims,
            )
        )
