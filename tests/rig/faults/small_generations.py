"""Index generations of three short texts, made without an encoder, and what they answer: for tests of publishing.

In: a name and texts. Out: contents that `publish` writes, and of an opened snapshot everything that it answers to
fixed questions as one value, so that two snapshots answer alike exactly if their values are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indexer.index.generations import POINTER, SnapshotError, generation_folders, is_intact
from indexer.index.opening import open_snapshot
from indexer.index.snapshot import Contents, Snapshot, VectorField
from indexer.index.vectors import VectorIndex
from indexer.index.words import LexicalIndex, TfIdfIndex, terms, word_parts
from indexer.records.passages import Passage

TEXTS = ("鈣鈦礦太陽能電池", "dissolved oxygen in ponds", "兒童語言發展")


def small_contents(inputs: str = "first", texts: tuple[str, ...] = TEXTS) -> Contents:
    """Return the contents of a generation with one passage and one vector for each text."""
    passages = [Passage(f"lab-{i}", "profile", "profile", text, "zh", None, 1.0) for i, text in enumerate(texts)]
    vectors = np.random.default_rng(len(texts)).normal(size=(len(texts), 6)).astype(np.float32)
    mean = {"": vectors.mean(axis=0)}
    field = VectorField("any", "any-1", None, VectorIndex.build(vectors), np.arange(len(texts)), mean, mean)
    found = [terms(text) for text in texts]
    return Contents(
        inputs=inputs,
        lab_fingerprints={passage.lab_id: passage.text for passage in passages},
        passages=passages,
        fields=[field],
        words=TfIdfIndex.build(found),
        word_parts=TfIdfIndex.build([word_parts(text) for text in texts]),
        lab_words=LexicalIndex.build(found),
    )


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
    scores = [
        index.scores(asked).tobytes()
        for text in TEXTS
        for index, asked in (
            (opened.words, terms(text)),
            (opened.word_parts, word_parts(text)),
            (opened.lab_words, terms(text)),
        )
    ]
    vectors = [(field.name, field.index.rows().tobytes(), field.rows.tobytes()) for field in opened.fields]
    means = [(key, mean.tobytes()) for field in opened.fields for key, mean in field.query_means.items()]
    return opened.inputs, opened.passages, tuple(opened.lab_fingerprints.items()), (*vectors, *means), tuple(scores)
