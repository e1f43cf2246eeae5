"""What every encoder shares: roles, errors, batches of about equal work, and windows over long texts.

In: token counts, token sequences, vectors of windows. Out: batches, windows,
one unit vector per text. It exists because these rules decide speed and
quality for any model and can be tested without one: sorting by characters
pads mixed Chinese and English text to 1.75 times its tokens, sorting by
tokens to less than 1.1 times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray
from indexer.wording import T_

Role = Literal["query", "passage"]
Progress = Callable[[int], None]
"""Called with the number of texts finished since the last call."""

BATCH_TOKENS = 1024


class EncoderError(RuntimeError):
    """An encoder can't be loaded or gave something that is not a vector."""


def covered(language: str, languages: Sequence[str] | frozenset[str] | None) -> bool:
    """Whether an encoder for `languages` (None: all) takes texts of a language."""
    return languages is None or language in languages


def batches_by_tokens(lengths: Sequence[int], budget: int = BATCH_TOKENS) -> list[list[int]]:
    """Group positions into batches of at most `budget` padded tokens, longest first.

    Args:
        lengths: token count of each text.
        budget: padded tokens in a batch; a single longer text is a batch of its own.

    Returns:
        lists of positions; every position occurs once.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    width = 0
    for position in order:
        if batches and (len(batches[-1]) + 1) * width <= budget:
            batches[-1].append(position)
        else:
            batches.append([position])
            width = max(1, lengths[position])
    return batches


def windows(tokens: Sequence[int], size: int) -> list[Sequence[int]]:
    """Cut a token sequence into the fewest windows of at most `size`, of near-equal length.

    Every token is in exactly one window; no tokens at all are one empty window.
    """
    count = max(1, -(-len(tokens) // size))
    edges = [i * len(tokens) // count for i in range(count + 1)]
    return [tokens[start:end] for start, end in pairwise(edges)]


def joined_windows(vectors: npt.NDArray[Any], owners: Sequence[int], lengths: Sequence[int]) -> FloatArray:
    """Return one unit vector per text: the mean of its windows' vectors, weighted by their token counts.

    Args:
        vectors: shape (n windows, dims).
        owners: for each window the number of its text, in ascending order, none left out.
        lengths: token count of each window; an empty one still counts, or its text would have no direction.

    Raises:
        EncoderError: a text's vector is zero or not finite.
    """
    weights = np.maximum(1, np.asarray(lengths, dtype=np.float32))
    starts = np.searchsorted(owners, np.arange(owners[-1] + 1))
    totals = np.add.reduceat(np.asarray(vectors, dtype=np.float32) * weights[:, None], starts, axis=0)
    norms = np.linalg.norm(totals, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise EncoderError(T_("the encoder gave a zero or non-finite vector"))
    return np.ascontiguousarray(totals / norms, dtype=np.float32)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
