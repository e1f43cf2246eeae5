"""Index generations of three short texts, made without an encoder, and what they answer: for tests of publishing.

In: a name and texts. Out: contents that `publish` writes, and of an opened snapshot everything that it answers to
fixed questions as one value, so that two snapshots answer alike exactly if their values are equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from indexer.lexical import LexicalIndex, terms
from indexer.snapshot import Contents, Snapshot, VectorField
from indexer.text import Passage
from indexer.tfidf import TfIdfIndex, word_parts
from indexer.vectors import VectorIndex

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
