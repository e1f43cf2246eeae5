"""From records to a generation of the index: by the nightly job, or by a server that takes in what changed since.

In: the labs and needs, the configured encoders with the embedding cache, and if there is one an index over passages
of which most are the same. Out: from the job (`reindex`) a published generation and a report of what was reused,
encoded and dropped, with times; from a server's taking in (`overlaid`) a snapshot that answers as if the index had
just been built, named after the generation that it rests on. It exists as one module so that a lab that was edited
this morning is found this morning, and found no other way: what a server composes in memory is the very generation
that the next night would build of the same records, byte for byte.

What depends on all passages is computed anew from all (frequencies, lengths); finding terms and encoding is done for
new texts only. Needs are encoded here too, so that asking for matches does not have to load a model; nothing of them
enters the index.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import numpy as np
import orjson
from sqlmodel import Session

from indexer.arrays import FloatArray
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import Encoder, load_encoders
from indexer.encoders.encoding import Progress, covered
from indexer.index.background import background
from indexer.index.dictionary import Dictionary
from indexer.index.generations import FORMAT, UNFINISHED, HeldBackError, Listed, SnapshotError, kept_generations
from indexer.index.opening import Judge, open_snapshot, publish
from indexer.index.snapshot import Contents, Snapshot, VectorField, copies, in_memory
from indexer.index.vectors import VectorIndex, centred, language_means
from indexer.index.words import TermCounts, WordIndex, terms
from indexer.records.passages import CHINESE, Passage, fingerprint, lab_passages, language_of, need_text
from indexer.records.profiles import Lab, Need
from indexer.records.record_tables import last_changes, load_companies, load_labs, load_needs, load_terms
from indexer.settings import Settings
from indexer.wording import T_

EncoderProgress = Callable[[str, int, int], None]
"""Called with an encoder's name, how many of its texts are done, and how many there are."""


@dataclass
class EncodingCounts:
    """How many vectors were encoded, how many were known, and how long encoding took."""

    encoded: int = 0
    reused: int = 0
    encoding_s: float = 0.0


@dataclass(frozen=True)
class Material:
    """What a generation is made of: passages in the order of the index, grouped by lab. No need is among it.

    `own_terms` has for each Chinese word of an office's own terms the English ones.
    """

    fingerprints: Mapping[str, str]
    passages: Sequence[Passage]
    own_terms: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def inputs(self, encoders: Sequence[Encoder]) -> str:
        """Hash everything that decides what a generation holds, with these encoders."""
        weights, identities = [one.weights for one in encoders], [one.identity for one in encoders]
        facts = [FORMAT, background().version, list(self.fingerprints.items()), weights, identities]
        if self.own_terms:
            facts.append([[word, list(english)] for word, english in self.own_terms.items()])
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
        fields: the view of each encoder, see `EncodedMaterial.field`.
        inputs: see `Material.inputs`.
        watermark: see `Snapshot`.
        known: an index some of whose passages are the same, so that they are not read again.
    """
    own_terms = {word: tuple(english) for word, english in material.own_terms.items()}
    dictionary = Dictionary(own_terms)
    same_senses = known is not None and known.own_terms == own_terms
    numbers = {lab_id: number for number, lab_id in enumerate(material.fingerprints)}
    labs = np.array([numbers[passage.lab_id] for passage in material.passages], dtype=np.int64)
    counts = _counted(material.passages, terms, known, known.words.counts if known else None)
    return Contents(
        inputs=inputs,
        lab_fingerprints=dict(material.fingerprints),
        passages=material.passages,
        fields=fields,
        words=WordIndex(counts, copies(fields, labs)),
        senses=_counted(
            material.passages,
            lambda text: dictionary.english_terms(text) if language_of(text) == CHINESE else [],
            known if same_senses else None,
            known.senses if known else None,
        ),
        watermark=watermark,
        own_terms=own_terms,
    )


def _counted(
    passages: Sequence[Passage], read: Callable[[str], list[str]], known: Snapshot | None, counted: TermCounts | None
) -> TermCounts:
    """Return the counts of what `read` finds in each passage; those of a known index are taken from there."""
    if known is None or counted is None:
        return TermCounts.of([read(passage.text) for passage in passages])
    rows = {passage.text: row for row, passage in enumerate(known.passages)}
    found = [rows.get(passage.text) for passage in passages]
    texts = [passage.text for passage, row in zip(passages, found, strict=True) if row is None]
    return counted.with_fresh(found, TermCounts.of([read(text) for text in texts]))


@dataclass(frozen=True)
class EncodedMaterial:
    """What one encoder made of the passages it covers; `rows` are their numbers."""

    encoder: Encoder
    rows: list[int]
    vectors: FloatArray
    languages: list[str]

    def field(self) -> VectorField:
        """Return the encoder's view of the passages, ready to be searched.

        Vectors are centred by what is frozen: nobody else's lab and no need moves them. Only an encoder that the
        background does not know is centred by the passages themselves.
        """
        known = background().encoders.get(self.encoder.name)
        means = dict(known.passage_means) if known else language_means(self.vectors, self.languages)
        return VectorField(
            name=self.encoder.name,
            identity=self.encoder.identity,
            weights=self.encoder.weights,
            languages=None if self.encoder.languages is None else tuple(sorted(self.encoder.languages)),
            index=VectorIndex.build(centred(self.vectors, self.languages, means)),
            rows=np.array(self.rows, dtype=np.int64),
            passage_means=means,
            query_means=dict(known.query_means) if known else means,
        )


def embedded(
    encoder: Encoder,
    material: Material,
    cache: EmbeddingCache,
    counted: EncodingCounts,
    *,
    queries: Sequence[str] = (),
    tell: EncoderProgress | None = None,
) -> EncodedMaterial:
    """Return the vectors of all passages that an encoder covers, encoding what is not in the cache.

    Args:
        encoder: covers all languages or some.
        material: the passages.
        cache: where vectors are kept.
        counted: is added to.
        queries: texts of needs whose vectors are to be in the cache too.
        tell: follows the encoding.

    Raises:
        EncoderError: it can't be loaded.
        CacheError: the embedding cache can't be used.
    """
    passages = material.passages
    rows = [i for i, passage in enumerate(passages) if covered(passage.language, encoder.languages)]
    texts = [passages[i].text for i in rows]
    asked = [text for text in dict.fromkeys(queries) if covered(language_of(text), encoder.languages)]
    progress = _progress(encoder.name, len(set(texts)) + len(asked), tell)
    started = time.perf_counter()
    labs_side = cache.embed(texts, role="passage", encoder=encoder, progress=progress)
    needs_side = cache.embed(asked, role="query", encoder=encoder, progress=progress)
    encoded = labs_side.encoded + needs_side.encoded
    counted.encoding_s += time.perf_counter() - started if encoded else 0.0
    counted.encoded += encoded
    counted.reused += labs_side.reused + needs_side.reused
    return EncodedMaterial(encoder, rows, labs_side.vectors, [passages[i].language for i in rows])


def _progress(name: str, total: int, tell: EncoderProgress | None) -> Progress | None:
    if tell is None:
        return None
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        tell(name, done, total)

    return count


_MARK = "+"
_HASH_LENGTH = 8


def overlaid(
    base: Snapshot,
    *,
    known: Snapshot,
    labs: Mapping[str, Lab],
    fingerprints: Mapping[str, str],
    encoders: Sequence[Encoder],
    cache: EmbeddingCache,
    watermark: Mapping[str, int],
    own_terms: Mapping[str, Sequence[str]] | None = None,
) -> Snapshot:
    """Return what the index would be if it were built now: the base itself if nothing it holds has changed.

    Args:
        base: the generation on disk; it lends its name and its date.
        known: the base, or what was returned for it before: passages that it has are not read again.
        labs: all labs by id, in the order of their ids. Where there is none, the base stays.
        fingerprints: see `indexer.records.passages.fingerprint`, of each lab.
        encoders: those of the base.
        cache: gives the vectors; those of new texts are kept there, so that the night finds them.
        watermark: see `Snapshot`, of these records.
        own_terms: see `indexer.records.record_tables.load_terms`; None leaves those of `known`.

    Raises:
        EncoderError: an encoder can't be loaded.
        CacheError: the embedding cache can't be used.
    """
    if not labs:
        return base
    material = Material(
        fingerprints={lab_id: fingerprints[lab_id] for lab_id in labs},
        passages=_passages(known, labs, fingerprints),
        own_terms=known.own_terms if own_terms is None else own_terms,
    )
    inputs = material.inputs(encoders)
    for same in (base, known):
        if same.inputs == inputs:
            return same
    fields = [embedded(encoder, material, cache, EncodingCounts()).field() for encoder in encoders]
    contents = composed(material, fields, inputs=inputs, watermark=watermark, known=known)
    generation = f"{base.generation}{_MARK}{inputs[:_HASH_LENGTH]}"
    return in_memory(contents, generation=generation, created_at=base.created_at)


def on_disk(generation: str) -> str:
    """Return the name of the generation that a snapshot rests on: its own if it was opened as it is."""
    return generation.partition(_MARK)[0]


def taken_in(base: Snapshot, snapshot: Snapshot) -> int:
    """Return how many labs a snapshot has taken in over its base: new ones and changed ones."""
    before = base.lab_fingerprints
    return sum(before.get(lab_id) != found for lab_id, found in snapshot.lab_fingerprints.items())


def _passages(known: Snapshot, labs: Mapping[str, Lab], fingerprints: Mapping[str, str]) -> list[Passage]:
    """Return the passages of all labs; those of a lab that did not change are taken from where it is known."""
    ends = np.searchsorted(known.lab_of_passage, np.arange(len(known.lab_ids) + 1)).tolist()
    places = {lab_id: slice(ends[row], ends[row + 1]) for row, lab_id in enumerate(known.lab_ids)}
    found: list[Passage] = []
    for lab_id, lab in labs.items():
        same = known.lab_fingerprints.get(lab_id) == fingerprints[lab_id]
        found += known.passages[places[lab_id]] if same else lab_passages(lab)
    return found


StageProgress = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""
RENEWED_AFTER = timedelta(hours=12)
"""How old an index may be whose records have not changed before it is published again."""


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
        judge: says whether the new generation is to be held back, see `indexer.index.opening.Judge`.

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
        raise ReindexError(T_("there are no labs to index; import some first: gloria import labs.jsonl"))
    material = _material(labs, load_terms(session))
    encoders = load_encoders(settings, lambda done, total: tell("model", done, total))
    if not encoders:
        raise ReindexError(T_("GLORIA_ENCODERS is empty; name at least one encoder, such as bundled"))
    previous = _previous(settings)
    report = ReindexReport(labs=len(labs), needs=len(needs), passages=len(material.passages))
    report.encoders = [encoder.identity for encoder in encoders]
    report.dropped = _dropped(previous, material.passages)
    cache, counted = EmbeddingCache(settings.embeddings_path), EncodingCounts()
    # What companies say of themselves is asked as needs are: a chain would wait half a minute for it.
    queries = [*need_queries(needs), *(one.description for one in load_companies(session) if one.description.strip())]
    views = [embedded(encoder, material, cache, counted, queries=queries, tell=tell) for encoder in encoders]
    report.reused, report.encoded = counted.reused, counted.encoded
    inputs = material.inputs(encoders)
    held = None if full or judge is not None else _held_back(settings, inputs)
    is_same = previous is not None and previous.inputs == inputs
    if previous is not None and is_same and not full and not _is_aging(previous):
        report.generation, report.changed = previous.generation, False
    elif held is not None:
        report.generation, report.held_back, report.changed = held.name, held.held, False
    else:
        tell("index", 0, 1)
        # Whatever the night builds is read from the records alone: it rests on no index before it.
        contents = composed(material, [view.field() for view in views], inputs=inputs, watermark=watermark)
        _publish(settings, contents, judge, report)
        report.changed &= full or not is_same
        tell("index", 1, 1)
    report.total_s, report.encoding_s = round(time.perf_counter() - started, 3), round(counted.encoding_s, 3)
    report.peak_memory_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return report


def _material(labs: Sequence[Lab], own_terms: Mapping[str, Sequence[str]]) -> Material:
    by_lab = {lab.id: lab_passages(lab) for lab in labs}
    return Material(
        fingerprints={lab_id: fingerprint(items) for lab_id, items in by_lab.items()},
        passages=[passage for items in by_lab.values() for passage in items],
        own_terms=own_terms,
    )


def _is_aging(snapshot: Snapshot) -> bool:
    """Whether what has not changed is to be published again, so that its date says when it was last compared."""
    return datetime.now(UTC) - datetime.fromisoformat(snapshot.created_at) > RENEWED_AFTER


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
            for one in kept_generations(settings.index_path)
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
