"""One vector for each lab and each need, of one space, whatever language they are written in.

In: an index generation, and the vectors of needs' texts. Out: a matrix with a
row for each lab and each need whose directions can be compared. It exists
because encoders leave an offset of language and of role in what they give: in a
map made of their vectors as they are, Chinese labs would lie with Chinese labs
and needs with needs. Pure.

A lab is the mean of its passages. Measured on the demo world, of the ten nearest
of a lab or need 53 % have the same first field (chance: 16 %); with the index's own
centring only it is 49 %, with the profile alone 50 %, with the first encoder alone
51 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from indexer.profiles import Need
from indexer.query_vectors import Vectors
from indexer.snapshot import Snapshot, VectorField
from indexer.text import language_of, need_text
from indexer.vectors import centred, language_means

FloatArray = npt.NDArray[np.float32]

_NO_LENGTH = 1e-12


def map_vectors(snapshot: Snapshot, needs: Sequence[Need], vectors: Sequence[Vectors]) -> FloatArray:
    """Return a row for each lab, in the order of the index, then one for each need, in the order given.

    Args:
        snapshot: the index generation.
        needs: the needs.
        vectors: those of each need's whole text (`indexer.text.need_text`).

    The encoders that cover every language are joined, each with the same weight: their rows are of one length.
    """
    lab_languages = _lab_languages(snapshot)
    need_languages = [language_of(need_text(need)) for need in needs]
    fields = [field for field in snapshot.fields if field.languages is None] or [snapshot.fields[0]]
    parts = []
    for field in fields:
        labs = _of_one_mind(_lab_means(snapshot, field), lab_languages)
        asked = _of_one_mind(_need_vectors(field, vectors, need_languages), need_languages)
        parts.append(np.concatenate([labs, asked]))
    return np.concatenate(parts, axis=1)


def _lab_languages(snapshot: Snapshot) -> list[str]:
    """Return the language that most passages of each lab are in."""
    counts: list[Counter[str]] = [Counter() for _ in snapshot.lab_ids]
    for passage, row in zip(snapshot.passages, snapshot.lab_of_passage.tolist(), strict=True):
        counts[row][passage.language] += 1
    return [min(count, key=lambda name: (-count[name], name), default="") for count in counts]


def _lab_means(snapshot: Snapshot, field: VectorField) -> FloatArray:
    summed = np.zeros((len(snapshot.lab_ids), field.index.dims), dtype=np.float32)
    np.add.at(summed, snapshot.lab_of_passage[field.rows], field.index.rows())
    return _unit(summed)


def _need_vectors(field: VectorField, vectors: Sequence[Vectors], languages: Sequence[str]) -> FloatArray:
    found = np.zeros((len(vectors), field.index.dims), dtype=np.float32)
    for row, known in enumerate(vectors):
        if field.name in known:
            found[row] = known[field.name]
    return centred(found, languages, field.query_means) if len(found) else found


def _of_one_mind(vectors: FloatArray, languages: Sequence[str]) -> FloatArray:
    """Take out what the rows of one language have in common: the means of passages do not cancel it for whole labs."""
    sound = np.isfinite(vectors).all(axis=1) & (np.linalg.norm(vectors, axis=1) > _NO_LENGTH)
    out = np.zeros_like(vectors)
    if sound.any():
        spoken = [language for language, kept in zip(languages, sound.tolist(), strict=True) if kept]
        out[sound] = centred(vectors[sound], spoken, language_means(vectors[sound], spoken))
    return out


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > _NO_LENGTH, vectors / np.maximum(lengths, _NO_LENGTH), vectors)
