"""From query texts to their vectors, one caller at a time: what a command or a notebook needs.

In: texts and the configured encoders. Out: for each text the vector of every
encoder that covers its language, taken from the embedding cache where it is
known there and kept in it where not. It exists beside `batching`, which does
the same for many threads: a command must not pay for a thread, and what it
encodes once should be there the next time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from indexer.embeddings import EmbeddingCache
from indexer.encoder import Encoder, load_encoder
from indexer.encoding import FloatArray, covered
from indexer.settings import Settings
from indexer.text import language_of

Vectors = Mapping[str, FloatArray]
"""The vectors of one text under the names of the encoders; those that do not cover its language are missing."""


class QueryVectors(Protocol):
    """Turns query texts into vectors."""

    def identity(self, name: str) -> str:
        """Return the identity of a configured encoder (see `Encoder.identity`)."""

    def vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """Return the vectors of each text, in order; texts may repeat.

        Raises:
            EncoderError: an encoder can't be loaded or gave something that is not a vector.
        """


class DirectQueries:
    """Encodes in the calling thread; an encoder is loaded when it is first asked for. Not for several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._encoders: dict[str, Encoder] = {}

    def _encoder(self, name: str) -> Encoder:
        if name not in self._encoders:
            self._encoders[name] = load_encoder(name, self._settings)
        return self._encoders[name]

    def identity(self, name: str) -> str:
        """See `QueryVectors.identity`."""
        return self._encoder(name).identity

    def vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """See `QueryVectors.vectors`.

        Raises:
            CacheError: the embedding cache can't be used.
        """
        found: dict[str, dict[str, FloatArray]] = {text: {} for text in texts}
        cache = EmbeddingCache(self._settings.embeddings_path)
        for name in self._settings.encoder_names():
            encoder = self._encoder(name)
            asked = [text for text in found if covered(language_of(text), encoder.languages)]
            if not asked:
                continue
            for text, vector in zip(asked, cache.embed(asked, role="query", encoder=encoder).vectors, strict=True):
                found[text][name] = vector
        return [found[text] for text in texts]
