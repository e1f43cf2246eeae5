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
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from indexer.changes import last_changes
from indexer.composing import Encoded, Material, composed, embedded, need_queries
from indexer.embeddings import EmbeddingCache
from indexer.encoder import load_encoders
from indexer.generation import UNFINISHED, HeldBackError, Listed, generations
from indexer.loading import load_labs, load_needs
from indexer.profiles import Lab, Need
from indexer.settings import Settings
from indexer.snapshot import Contents, Judge, Snapshot, SnapshotError, open_snapshot, publish
from indexer.text import Passage, fingerprint, lab_passages
from indexer.wording import T_

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
        raise ReindexError(T_("there are no labs to index; import some first: gloria import labs.jsonl"))
    material = _material(labs, needs)
    encoders = load_encoders(settings, lambda done, total: tell("model", done, total))
    if not encoders:
        raise ReindexError(T_("GLORIA_ENCODERS is empty; name at least one encoder, such as bundled"))
    previous = _previous(settings)
    report = ReindexReport(labs=len(labs), needs=len(needs), passages=len(material.passages))
    report.encoders = [encoder.identity for encoder in encoders]
    report.dropped = _dropped(previous, material.passages)
    cache, counted = EmbeddingCache(settings.embeddings_path), Encoded()
    views = [embedded(encoder, material, cache, counted, tell=tell) for encoder in encoders]
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


def _material(labs: Sequence[Lab], needs: Sequence[Need]) -> Material:
    by_lab = {lab.id: lab_passages(lab) for lab in labs}
    return Material(
        fingerprints={lab_id: fingerprint(items) for lab_id, items in by_lab.items()},
        passages=[passage for items in by_lab.values() for passage in items],
        queries=need_queries(needs),
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
