"""What a generation of the index holds, as a function of labs, needs and vectors.

In: labs' passages, the texts by which needs are searched, the encoders with the embedding cache, and if there is one
an index over passages of which most are the same. Out: the contents of a generation, not published. It exists apart
from the indexing job so that a server that takes in what changed since last night composes the very generation that
the next night would build: nothing is found by another path. What depends on all passages is computed anew from all
(frequencies, means, lengths); finding terms and encoding is done for new texts only. Pure, but for the cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import orjson

from indexer.embeddings import EmbeddingCache
from indexer.encoder import Encoder
from indexer.encoding import FloatArray, Progress, covered
from indexer.lexical import LAB_B, LAB_K1, LexicalIndex, terms
from indexer.manifest import FORMAT
from indexer.profiles import Need
from indexer.snapshot_files import Contents, Snapshot, VectorField
from indexer.term_counts import TermCounts
from indexer.text import Passage, language_of, need_text
from indexer.tfidf import TfIdfIndex, word_parts
from indexer.vectors import LANGUAGE_MINIMUM, VectorIndex, centred, language_means

EncoderProgress = Callable[[str, int, int], None]
"""Called with an encoder's name, how many of its texts are done, and how many there are."""


@dataclass
class Encoded:
    """How many vectors were encoded, how many were known, and how long encoding took."""

    encoded: int = 0
    reused: int = 0
    encoding_s: float = 0.0


@dataclass(frozen=True)
class Material:
    """What a generation is made of, in the order of the index: passages, grouped by lab, and the needs' texts."""

    fingerprints: Mapping[str, str]
    passages: Sequence[Passage]
    queries: Sequence[str]
    asked: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "asked", {text: language_of(text) for text in self.queries})

    def inputs(self, encoders: Sequence[Encoder]) -> str:
        """Hash everything that decides what a generation holds, with these encoders."""
        weights, identities = [one.weights for one in encoders], [one.identity for one in encoders]
        facts = [FORMAT, list(self.fingerprints.items()), weights, identities, list(self.queries)]
        return sha256(orjson.dumps(facts)).hexdigest()


def need_queries(needs: Sequence[Need]) -> list[str]:
    """Return every text by which needs are searched: each whole need, then each of its asks."""
    return [text for need in needs for text in (need_text(need), *(ask.text for ask in need.asks))]


def composed(
    material: Material,
    fields: Sequence[VectorField],
    *,
    inputs: str,
    watermark: Mapping[str, int],
    known: Snapshot | None = None,
) -> Contents:
    """Return the contents of a generation.

    Args:
        material: what it is made of.
        fields: the view of each encoder, see `Embedded.field`.
        inputs: see `Material.inputs`.
        watermark: see `Snapshot`.
        known: an index some of whose passages are the same, so that they are not read again.
    """
    words, parts = _counted(material.passages, known)
    lab_rows = {lab_id: row for row, lab_id in enumerate(material.fingerprints)}
    lab_of_passage = np.array([lab_rows[passage.lab_id] for passage in material.passages], dtype=np.int64)
    return Contents(
        inputs=inputs,
        lab_fingerprints=dict(material.fingerprints),
        passages=material.passages,
        fields=fields,
        words=TfIdfIndex.of(words),
        word_parts=TfIdfIndex.of(parts),
        lab_words=LexicalIndex.of(words.summed(lab_of_passage, len(lab_rows)), k1=LAB_K1, b=LAB_B),
        watermark=watermark,
    )


def _counted(passages: Sequence[Passage], known: Snapshot | None) -> tuple[TermCounts, TermCounts]:
    """Return the counts of each passage's words and parts of words."""
    rows = {passage.text: row for row, passage in enumerate(known.passages)} if known else {}
    found = [rows.get(passage.text) for passage in passages]
    texts = [passage.text for passage, row in zip(passages, found, strict=True) if row is None]
    read = [terms(text) for text in texts]
    words = TermCounts.of(read)
    parts = TermCounts.of([word_parts(text, known_terms) for text, known_terms in zip(texts, read, strict=True)])
    if known is None:
        return words, parts
    return known.words.counts().with_fresh(found, words), known.word_parts.counts().with_fresh(found, parts)


@dataclass(frozen=True)
class Embedded:
    """What one encoder made of the passages it covers (`rows` are their numbers) and of the needs' texts."""

    encoder: Encoder
    rows: list[int]
    vectors: FloatArray
    languages: list[str]
    query_vectors: FloatArray
    query_languages: list[str]

    def field(self) -> VectorField:
        """Return the encoder's view of the passages, ready to be searched."""
        means = language_means(self.vectors, self.languages)
        return VectorField(
            name=self.encoder.name,
            identity=self.encoder.identity,
            weights=self.encoder.weights,
            languages=None if self.encoder.languages is None else tuple(sorted(self.encoder.languages)),
            index=VectorIndex.build(centred(self.vectors, self.languages, means)),
            rows=np.array(self.rows, dtype=np.int64),
            passage_means=means,
            query_means=_query_means(self.query_vectors, self.query_languages, means),
        )


def embedded(
    encoder: Encoder,
    material: Material,
    cache: EmbeddingCache,
    counted: Encoded,
    *,
    tell: EncoderProgress | None = None,
) -> Embedded:
    """Return the vectors of all texts that an encoder covers, encoding what is not in the cache.

    Args:
        encoder: covers all languages or some.
        material: the passages and the needs' texts.
        cache: where vectors are kept.
        counted: is added to.
        tell: follows the encoding.

    Raises:
        EncoderError: it can't be loaded.
        CacheError: the embedding cache can't be used.
    """
    passages, asked = material.passages, material.asked
    rows = [i for i, passage in enumerate(passages) if covered(passage.language, encoder.languages)]
    texts = [passages[i].text for i in rows]
    queries = [text for text in material.queries if covered(asked[text], encoder.languages)]
    progress = _progress(encoder.name, len(set(texts)) + len(set(queries)), tell)
    started = time.perf_counter()
    labs_side = cache.embed(texts, role="passage", encoder=encoder, progress=progress)
    needs_side = cache.embed(queries, role="query", encoder=encoder, progress=progress)
    encoded = labs_side.encoded + needs_side.encoded
    counted.encoding_s += time.perf_counter() - started if encoded else 0.0
    counted.encoded += encoded
    counted.reused += labs_side.reused + needs_side.reused
    return Embedded(
        encoder=encoder,
        rows=rows,
        vectors=labs_side.vectors,
        languages=[passages[i].language for i in rows],
        query_vectors=needs_side.vectors,
        query_languages=[asked[text] for text in queries],
    )


def _progress(name: str, total: int, tell: EncoderProgress | None) -> Progress | None:
    if tell is None:
        return None
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        tell(name, done, total)

    return count


def _query_means(
    vectors: FloatArray, languages: Sequence[str], passage_means: dict[str, FloatArray]
) -> dict[str, FloatArray]:
    """Means of the needs' side; where needs are too few to have one, the passages' mean stands in."""
    own = language_means(vectors, languages)
    if len(vectors) < LANGUAGE_MINIMUM:
        return passage_means
    return {**passage_means, **own}
