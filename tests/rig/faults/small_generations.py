"""Index generations of three short texts, made without an encoder, and what they answer: for tests of publishing.

In: a name and texts. Out: contents that `publish` writes, and of an opened snapshot everything that it answers to
fixed questions as one value, so that two snapshots answer alike exactly if their values are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indexer.arrays import FloatArray
from indexer.index.dictionary import Dictionary, Postings, coverage, english_words
from indexer.index.generations import POINTER, SnapshotError, generation_folders, is_intact
from indexer.index.opening import open_snapshot
from indexer.index.snapshot import Contents, Snapshot, VectorField
from indexer.index.vectors import VectorIndex
from indexer.index.words import TermCounts, WordIndex, terms
from indexer.records.passages import Passage

TEXTS = ("鈣鈦礦太陽能電池", "dissolved oxygen in ponds", "兒童語言發展")
IN_ENGLISH = "solar cells and the language of children"
"""A question that the Chinese texts answer by what their words mean."""


def small_contents(inputs: str = "first", texts: tuple[str, ...] = TEXTS) -> Contents:
    """Return the contents of a generation with one passage and one vector for each text."""
    passages = [Passage(f"lab-{i}", "profile", "profile", text, "zh", None, 1.0) for i, text in enumerate(texts)]
    vectors = np.random.default_rng(len(texts)).normal(size=(len(texts), 6)).astype(np.float32)
    mean = {"": vectors.mean(axis=0)}
    field = VectorField("any", "any-1", None, VectorIndex.build(vectors), np.arange(len(texts)), mean, mean)
    return Contents(
        inputs=inputs,
        lab_fingerprints={passage.lab_id: passage.text for passage in passages},
        passages=passages,
        fields=[field],
        words=WordIndex.build([terms(text) for text in texts]),
        senses=TermCounts.of([Dictionary().english_terms(text) for text in texts]),
    )


def translated(opened: Snapshot, text: str) -> FloatArray:
    """Return how much of an English text's words each passage of a snapshot covers by what it means in English."""
    return coverage(english_words(text), Postings(opened.senses, lambda stem: 1.0))


def left_over(index: Path) -> list[str]:
    """Return what lies in an index beside whole generations, the pointer and the lock."""
    whole = {folder.name for folder in generation_folders(index) if is_intact(folder)}
    return sorted({path.name for path in index.iterdir()} - whole - {POINTER, ".lock"})


def opened_as(index: Path, known: Mapping[str, Any]) -> str:
    """Return the name of the known answers that an index gives, "none" if there is no index, or what else is found."""
    try:
        found = answers(open_snapshot(index))
    except SnapshotError as error:
        return "none" if "there is no index" in str(error) else f"refused: {error}"
    return next((name for name, expected in known.items() if expected == found), "a mixture")


def answers(opened: Snapshot) -> tuple[Any, ...]:
    """Return all that a snapshot holds and answers to the texts as questions."""
    scores = [found.tobytes() for text in TEXTS for found in opened.words.answers(terms(text))]
    scores.append(translated(opened, IN_ENGLISH).tobytes())
    vectors = [(field.name, field.index.rows().tobytes(), field.rows.tobytes()) for field in opened.fields]
    means = [(key, mean.tobytes()) for field in opened.fields for key, mean in field.query_means.items()]
    return opened.inputs, opened.passages, tuple(opened.lab_fingerprints.items()), (*vectors, *means), tuple(scores)
