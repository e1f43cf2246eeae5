"""The indexing job: records in the database in, a new index generation out.

In: the labs and needs of the database, the configured encoders, the embedding
cache. Out: a published generation and a report of what was reused, encoded and
dropped, with times. It exists as one job, because only the whole of it may be
published. Needs are encoded here too, so that asking for matches does not have
to load a model; only the mean of their vectors enters the index, never a
need's text.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256

import numpy as np
import orjson
from sqlmodel import Session

from indexer.changes import last_changes
from indexer.embeddings import EmbeddingCache
from indexer.encoder import Encoder, load_encoders
from indexer.encoding import FloatArray, covered
from indexer.generation import FORMAT, UNFINISHED, HeldBackError, Listed, generations
from indexer.lexical import LAB_B, LAB_K1, LexicalIndex, terms
from indexer.loading import load_labs, load_needs
from indexer.profiles import Lab, Need
from indexer.settings import Settings
from indexer.snapshot import Contents, Judge, Snapshot, SnapshotError, VectorField, open_snapshot, publish
from indexer.text import Passage, fingerprint, lab_passages, language_of, need_text
from indexer.tfidf import TfIdfIndex, word_parts
from indexer.vectors import LANGUAGE_MINIMUM, VectorIndex, centred, language_means

StageProgress = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""


class ReindexError(RuntimeError):
    """There is nothing to index, or the encoders can't cover it."""


@dataclass
class ReindexReport:
    """What a re-index did.

    `reused` and `encoded` count vectors: distinct texts of labs and needs, once
    for each encoder. `dropped` counts distinct passages that the generation
    before had and this one has not. `held_back` says why the generation is kept
    but not used; then the index in use is the one before. Times are in seconds, memory in megabytes.
    """

    generation: str = ""
    changed: bool = True
    held_back: str | None = None
    labs: int = 0
    needs: int = 0
    passages: int = 0
    reused: int = 0
    encoded: int = 0
    dropped: int = 0
    encoding_s: float = 0.0
    total_s: float = 0.0
    peak_memory_mb: float = 0.0
    encoders: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain values, with the encoding rate in vectors per second."""
        rate = self.encoded / self.encoding_s if self.encoded and self.encoding_s else 0.0
        return {**asdict(self), "encoded_per_s": round(rate, 1)}


def reindex(
    session: Session,
    settings: Settings,
    *,
    full: bool = False,
    progress: StageProgress | None = None,
    judge: Judge | None = None,
) -> ReindexReport:
    """Bring the index up to date with the database.

    Args:
        session: read only.
        settings: where the index lives and which encoders it has.
        full: build and publish anew even if nothing changed, or if what is built was held back before; vectors in the
            cache are still reused.
        progress: see `StageProgress`.
        judge: says whether the new generation is to be held back, see `indexer.snapshot.Judge`.

    Raises:
        ReindexError: there are no labs.
        EncoderError: an encoder can't be loaded.
        CacheError: the embedding cache can't be used.
        OSError: the disk is full or not writable; the current generation stays.
    """
    started = time.perf_counter()
    tell = progress or (lambda stage, done, total: None)
    # Before the records: what is written in between is then seen as newer than the index, never missed.
    watermark = last_changes(session)
    labs, needs = load_labs(session), load_needs(session)
    if not labs:
        raise ReindexError("there are no labs to index; import some first: gloria import labs.jsonl")
    by_lab = {lab.id: lab_passages(lab) for lab in labs}
    passages = [passage for lab in labs for passage in by_lab[lab.id]]
    fingerprints = {lab_id: fingerprint(items) for lab_id, items in by_lab.items()}
    encoders = load_encoders(settings, lambda done, total: tell("model", done, total))
    if not encoders:
        raise ReindexError("GLORIA_ENCODERS is empty; name at least one encoder, such as bundled")
    previous = _previous(settings)
    report = ReindexReport(labs=len(labs), needs=len(needs), passages=len(passages))
    report.encoders = [encoder.identity for encoder in encoders]
    report.dropped = _dropped(previous, passages)
    cache = EmbeddingCache(settings.embeddings_path)
    queries = need_queries(needs)
    embedded = [_embedded(encoder, passages, queries, cache, report, tell=tell) for encoder in encoders]
    inputs = _inputs(fingerprints, [encoder.weights for encoder in encoders], report.encoders, queries)
    held = None if full or judge is not None else _held_back(settings, inputs)
    if previous is not None and previous.inputs == inputs and not full:
        report.generation, report.changed = previous.generation, False
    elif held is not None:
        report.generation, report.held_back, report.changed = held.name, held.held, False
    else:
        tell("index", 0, 1)
        fields = [_vector_field(item) for item in embedded]
        contents = _contents(labs, passages, fields, inputs=inputs, fingerprints=fingerprints, watermark=watermark)
        _publish(settings, contents, judge, report)
        tell("index", 1, 1)
    report.total_s = round(time.perf_counter() - started, 3)
    report.encoding_s = round(report.encoding_s, 3)
    report.peak_memory_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return report


def _publish(settings: Settings, contents: Contents, judge: Judge | None, report: ReindexReport) -> None:
    try:
        report.generation = publish(settings.index_path, contents, judge=judge).generation
    except HeldBackError as held:
        report.generation, report.held_back, report.changed = held.generation, held.reason, False


def _held_back(settings: Settings, inputs: str) -> Listed | None:
    """Return the generation made of these inputs that was judged and held back, if there is one."""
    return next(
        (
            one
            for one in generations(settings.index_path)
            if one.held not in (None, UNFINISHED) and one.manifest is not None and one.manifest["inputs"] == inputs
        ),
        None,
    )


def _previous(settings: Settings) -> Snapshot | None:
    try:
        return open_snapshot(settings.index_path)
    except SnapshotError:
        return None


def _dropped(previous: Snapshot | None, passages: Sequence[Passage]) -> int:
    return len({p.text for p in previous.passages} - {p.text for p in passages}) if previous else 0


def _inputs(
    fingerprints: dict[str, str], weights: Sequence[str], identities: Sequence[str], queries: Sequence[str]
) -> str:
    """Hash everything that decides what a generation holds."""
    return sha256(orjson.dumps([FORMAT, list(fingerprints.items()), weights, identities, queries])).hexdigest()


@dataclass(frozen=True)
class _Embedded:
    """What one encoder made of the passages it covers (`rows` are their numbers) and of the needs."""

    encoder: Encoder
    rows: list[int]
    vectors: FloatArray
    languages: list[str]
    query_vectors: FloatArray
    query_languages: list[str]


def _embedded(
    encoder: Encoder,
    passages: Sequence[Passage],
    queries: Sequence[str],
    cache: EmbeddingCache,
    report: ReindexReport,
    *,
    tell: StageProgress,
) -> _Embedded:
    rows = [i for i, passage in enumerate(passages) if covered(passage.language, encoder.languages)]
    texts = [passages[i].text for i in rows]
    asked = {text: language_of(text) for text in queries}
    asked_here = [text for text in queries if covered(asked[text], encoder.languages)]
    total, done = len(set(texts)) + len(set(asked_here)), 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        tell(encoder.name, done, total)

    started = time.perf_counter()
    labs_side = cache.embed(texts, role="passage", encoder=encoder, progress=count)
    needs_side = cache.embed(asked_here, role="query", encoder=encoder, progress=count)
    encoded = labs_side.encoded + needs_side.encoded
    report.encoding_s += time.perf_counter() - started if encoded else 0.0
    report.encoded += encoded
    report.reused += labs_side.reused + needs_side.reused
    return _Embedded(
        encoder=encoder,
        rows=rows,
        vectors=labs_side.vectors,
        languages=[passages[i].language for i in rows],
        query_vectors=needs_side.vectors,
        query_languages=[asked[text] for text in asked_here],
    )


def _vector_field(embedded: _Embedded) -> VectorField:
    encoder = embedded.encoder
    means = language_means(embedded.vectors, embedded.languages)
    return VectorField(
        name=encoder.name,
        identity=encoder.identity,
        weights=encoder.weights,
        languages=None if encoder.languages is None else tuple(sorted(encoder.languages)),
        index=VectorIndex.build(centred(embedded.vectors, embedded.languages, means)),
        rows=np.array(embedded.rows, dtype=np.int64),
        passage_means=means,
        query_means=_query_means(embedded.query_vectors, embedded.query_languages, means),
    )


def need_queries(needs: Sequence[Need]) -> list[str]:
    """Return every text by which needs are searched: each whole need, then each of its asks."""
    return [text for need in needs for text in (need_text(need), *(ask.text for ask in need.asks))]


def _query_means(
    vectors: FloatArray, languages: Sequence[str], passage_means: dict[str, FloatArray]
) -> dict[str, FloatArray]:
    """Means of the needs' side; where needs are too few to have one, the passages' mean stands in."""
    own = language_means(vectors, languages)
    if len(vectors) < LANGUAGE_MINIMUM:
        return passage_means
    return {**passage_means, **own}


def _contents(
    labs: Sequence[Lab],
    passages: Sequence[Passage],
    fields: Sequence[VectorField],
    *,
    inputs: str,
    fingerprints: dict[str, str],
    watermark: dict[str, int],
) -> Contents:
    passage_terms = [terms(passage.text) for passage in passages]
    lab_terms: dict[str, list[str]] = {lab.id: [] for lab in labs}
    for passage, found in zip(passages, passage_terms, strict=True):
        lab_terms[passage.lab_id] += found
    return Contents(
        inputs=inputs,
        lab_fingerprints=fingerprints,
        passages=passages,
        fields=fields,
        words=TfIdfIndex.build(passage_terms),
        word_parts=TfIdfIndex.build([word_parts(passage.text) for passage in passages]),
        lab_words=LexicalIndex.build(list(lab_terms.values()), k1=LAB_K1, b=LAB_B),
        watermark=watermark,
    )
