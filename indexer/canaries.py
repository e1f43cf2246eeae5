"""What an opened generation must still answer: a few queries with their tops and scores, and a hash of each part.

In: passages, vector fields and term indexes, before they are written or after
they were read. Out: canaries, plain values that stand in the manifest; and a
refusal where an opened generation answers otherwise. It exists because a right
file is not yet a right answer: between the bytes and a score stand FAISS, two
term indexes and the rule that finds terms, each of which a new release may
change. The queries are made of what the generation itself holds, never of a
need's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from indexer.array_files import digest_of
from indexer.lexical import LexicalIndex, terms
from indexer.snapshot_files import VectorField, passage_rows
from indexer.text import Passage
from indexer.tfidf import TfIdfIndex, word_parts
from indexer.wording import T_

QUERIES = 3
"""Queries for each part, made of passages spread over the generation."""
TOP = 5
TOLERANCE = 1e-4
"""How far a score may lie from what it was: processors add up in another order."""

FloatArray = npt.NDArray[np.float32]


class CanaryError(ValueError):
    """A generation does not answer as it did when it was made; the message says what."""


class Searchable(Protocol):
    """What answers rest on, written or not."""

    @property
    def lab_fingerprints(self) -> Mapping[str, str]:
        """The labs, in order."""

    @property
    def passages(self) -> Sequence[Passage]:
        """The passages, by lab."""

    @property
    def fields(self) -> Sequence[VectorField]:
        """The vector fields."""

    @property
    def words(self) -> TfIdfIndex:
        """The words of the passages."""

    @property
    def word_parts(self) -> TfIdfIndex:
        """The parts of words of the passages."""

    @property
    def lab_words(self) -> LexicalIndex:
        """The words of the labs."""


def canaries(index: Searchable) -> dict[str, Any]:
    """Return a hash of each part and, for a few queries, the best rows with their scores; plain JSON values."""
    return {"digests": _digests(index), "tops": {name: _top(scores) for name, scores in _asked(index).items()}}


def check_canaries(index: Searchable, expected: Mapping[str, Any]) -> None:
    """Ask an opened generation again.

    Args:
        index: the opened one.
        expected: what `canaries` returned before it was written.

    Raises:
        CanaryError: a part or an answer differs.
    """
    # First the parts, since a search over a damaged one may read where nothing is.
    for name, digest in _digests(index).items():
        if expected["digests"].get(name) != digest:
            raise CanaryError(T_("its %(name)s are not those that were put in", name=name))
    asked = _asked(index)
    if asked.keys() != expected["tops"].keys():
        raise CanaryError(T_("its canaries are those of another index"))
    for name, scores in asked.items():
        _check_top(name, scores, expected["tops"][name])


def _digests(index: Searchable) -> dict[str, str]:
    labs = "\n".join(f"{lab_id} {digest}" for lab_id, digest in index.lab_fingerprints.items())
    found = {
        "passages": digest_of(passage_rows(index.passages), labs.encode()),
        "words": index.words.digest(),
        "word parts": index.word_parts.digest(),
        "words of labs": index.lab_words.digest(),
    }
    for number, field in enumerate(index.fields):
        named = {f"passage {key}": mean for key, mean in field.passage_means.items()}
        named |= {f"query {key}": mean for key, mean in field.query_means.items()}
        languages = ",".join(field.languages or ["all"])
        said = "\n".join([field.name, field.identity, field.weights, languages, *sorted(named)]).encode()
        found[f"vectors {number}"] = field.index.digest()
        found[f"means of vectors {number}"] = digest_of(said, field.rows, *(named[key] for key in sorted(named)))
    return found


def _asked(index: Searchable) -> dict[str, FloatArray]:
    """Return the scores of all rows for each query, by the query's name."""
    found: dict[str, FloatArray] = {}
    for row in _spread(len(index.passages)):
        text = index.passages[row].text
        words = terms(text)
        found[f"words of passage {row}"] = index.words.scores(words)
        found[f"word parts of passage {row}"] = index.word_parts.scores(word_parts(text, words))
        found[f"labs for passage {row}"] = index.lab_words.scores(words)
    for number, field in enumerate(index.fields):
        rows = _spread(field.index.size)
        if rows:
            scores = field.index.scores(field.index.some_rows(rows))
            found |= {f"vector {row} of {number}": of_row for row, of_row in zip(rows, scores, strict=True)}
    return found


def _spread(size: int) -> list[int]:
    return sorted({(2 * i + 1) * size // (2 * QUERIES) for i in range(QUERIES)}) if size else []


def _top(scores: FloatArray) -> list[list[float]]:
    best = np.argsort(-scores, kind="stable")[:TOP]
    return [[int(row), round(float(scores[row]), 6)] for row in best]


def _check_top(name: str, scores: FloatArray, expected: Sequence[Sequence[float]]) -> None:
    rows = [int(row) for row, _ in expected]
    wanted = np.array([score for _, score in expected])
    if len(set(rows)) != min(TOP, len(scores)) or not all(0 <= row < len(scores) for row in rows):
        raise CanaryError(T_("the best for the %(name)s are other rows", name=name))
    allowed = TOLERANCE * np.maximum(1, np.abs(wanted))
    rest = np.delete(scores, rows)
    # Equal scores may change places, so it is not the order that is compared.
    as_high = bool(rest.size) and rest.max() > wanted.min() + allowed.max()
    if as_high or not np.all(np.abs(scores[rows] - wanted) <= allowed):
        raise CanaryError(T_("the best for the %(name)s have other scores", name=name))
