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

import numpy as np
import numpy.typing as npt
from sqlmodel import Session

from indexer.embeddings import EmbeddingCache
from indexer.encoder import Encoder, load_encoders
from indexer.lexical import LexicalIndex, terms
from indexer.loading import load_labs, load_needs
from indexer.profiles import Lab, Need
from indexer.settings import Settings
from indexer.snapshot import Contents, Snapshot, SnapshotError, VectorField, open_snapshot, publish
from indexer.text import Passage, fingerprint, lab_passages, language_of, need_text
from indexer.tfidf import TfIdfIndex, word_parts
from indexer.vectors import LANGUAGE_MINIMUM, VectorIndex, centred, language_means

FloatArray = npt.NDArray[np.float32]
StageProgress = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""


class ReindexError(RuntimeError):
    """There is nothing to index, or the encoders can't cover it."""


@dataclass
class ReindexReport:
    """What a re-index did. Counts are distinct passages per encoder; times are in seconds."""

    generation: str = ""
    changed: bool = True
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
    session: Session, settings: Settings, *, full: bool = False, progress: StageProgress | None = None
) -> ReindexReport:
    """Bring the index up to date with the database.

    Args:
        session: read only.
        settings: where the index lives and which encoders it has.
        full: build and publish anew even if nothing changed; vectors in the cache are still reused.
        progress: see `StageProgress`.

    Raises:
        ReindexError: there are no labs.
        EncoderError: an encoder can't be loaded.
        OSError: the disk is full or not writable; the current generation stays.
    """
    started = time.perf_counter()
    tell = progress or (lambda stage, done, total: None)
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
    fields = []
    for encoder in encoders:
        fields.append(_vector_field(encoder, passages, needs, cache, report, tell))
    if previous is not None and not full and _is_current(previous, fingerprints, report.encoders, report.encoded):
        report.generation, report.changed = previous.generation, False
    else:
        tell("index", 0, 1)
        report.generation = publish(
            settings.index_path, _contents(labs, passages, by_lab, fingerprints, fields)
        ).generation
        tell("index", 1, 1)
    report.total_s = round(time.perf_counter() - started, 3)
    report.encoding_s = round(report.encoding_s, 3)
    report.peak_memory_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return report


def _previous(settings: Settings) -> Snapshot | None:
    try:
        return open_snapshot(settings.index_path)
    except SnapshotError:
        return None


def _dropped(previous: Snapshot | None, passages: Sequence[Passage]) -> int:
    return len({p.text for p in previous.passages} - {p.text for p in passages}) if previous else 0


def _is_current(previous: Snapshot, fingerprints: dict[str, str], identities: list[str], encoded: int) -> bool:
    return (
        encoded == 0
        and previous.lab_fingerprints == fingerprints
        and list(previous.lab_fingerprints) == list(fingerprints)
        and [f.identity for f in previous.fields] == identities
    )


def covered(language: str, languages: Sequence[str] | frozenset[str] | None) -> bool:
    """Whether an encoder for `languages` (None: all) takes texts of a language."""
    return languages is None or language in languages


def _vector_field(
    encoder: Encoder,
    passages: Sequence[Passage],
    needs: Sequence[Need],
    cache: EmbeddingCache,
    report: ReindexReport,
    tell: StageProgress,
) -> VectorField:
    rows = [i for i, p in enumerate(passages) if covered(p.language, encoder.languages)]
    texts = [passages[i].text for i in rows]
    languages = [passages[i].language for i in rows]
    queries = [text for text in need_queries(needs) if covered(language_of(text), encoder.languages)]
    total, done = len(set(texts)) + len(set(queries)), 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        tell(encoder.name, done, total)

    started = time.perf_counter()
    embedded = cache.embed(texts, role="passage", encoder=encoder, progress=count)
    asked = cache.embed(queries, role="query", encoder=encoder, progress=count)
    report.encoding_s += time.perf_counter() - started if embedded.encoded + asked.encoded else 0.0
    report.encoded += embedded.encoded + asked.encoded
    report.reused += embedded.reused + asked.reused
    means = language_means(embedded.vectors, languages)
    return VectorField(
        name=encoder.name,
        identity=encoder.identity,
        languages=None if encoder.languages is None else tuple(sorted(encoder.languages)),
        index=VectorIndex.build(centred(embedded.vectors, languages, means)),
        rows=np.array(rows, dtype=np.int64),
        passage_means=means,
        query_means=_query_means(asked.vectors, [language_of(text) for text in queries], means),
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
    by_lab: dict[str, list[Passage]],
    fingerprints: dict[str, str],
    fields: Sequence[VectorField],
) -> Contents:
    passage_terms = [terms(passage.text) for passage in passages]
    lab_terms: list[list[str]] = []
    position = 0
    for lab in labs:
        size = len(by_lab[lab.id])
        lab_terms.append([term for items in passage_terms[position : position + size] for term in items])
        position += size
    return Contents(
        lab_fingerprints=fingerprints,
        passages=passages,
        fields=fields,
        words=TfIdfIndex.build(passage_terms),
        word_parts=TfIdfIndex.build([word_parts(passage.text) for passage in passages]),
        lab_words=LexicalIndex.build(lab_terms),
    )
