"""What changed since the index was built, taken in without building it: the next generation, composed in memory.

In: the generation on disk, the labs and needs of this moment, the encoders and the embedding cache. Out: a snapshot
that answers as if the index had just been built, named after the generation that it rests on. It exists because a lab
that was edited this morning should be found this morning. It is no second way to rank: `composing` makes it, as it
makes what the night publishes, and the published generation of the same records has the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from indexer.composing import Encoded, Material, composed, embedded, need_queries
from indexer.embeddings import EmbeddingCache
from indexer.encoder import Encoder
from indexer.profiles import Lab, Need
from indexer.snapshot_files import Snapshot, in_memory
from indexer.text import Passage, lab_passages

_MARK = "+"
_HASH_LENGTH = 8


def overlaid(
    base: Snapshot,
    *,
    known: Snapshot,
    labs: Mapping[str, Lab],
    fingerprints: Mapping[str, str],
    needs: Sequence[Need],
    encoders: Sequence[Encoder],
    cache: EmbeddingCache,
    watermark: Mapping[str, int],
) -> Snapshot:
    """Return what the index would be if it were built now: the base itself if nothing it holds has changed.

    Args:
        base: the generation on disk; it lends its name and its date.
        known: the base, or what was returned for it before: passages that it has are not read again.
        labs: all labs by id, in the order of their ids. Where there is none, the base stays.
        fingerprints: see `indexer.text.fingerprint`, of each lab.
        needs: all needs, in the order of their ids.
        encoders: those of the base.
        cache: gives the vectors; those of new texts are kept there, so that the night finds them.
        watermark: see `Snapshot`, of these records.

    Raises:
        EncoderError: an encoder can't be loaded.
        CacheError: the embedding cache can't be used.
    """
    if not labs:
        return base
    material = Material(
        fingerprints={lab_id: fingerprints[lab_id] for lab_id in labs},
        passages=_passages(known, labs, fingerprints),
        queries=need_queries(needs),
    )
    inputs = material.inputs(encoders)
    for same in (base, known):
        if same.inputs == inputs:
            return same
    fields = [embedded(encoder, material, cache, Encoded()).field() for encoder in encoders]
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
