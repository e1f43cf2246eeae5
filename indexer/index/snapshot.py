"""A snapshot: one generation of the index in memory, with its files and the answers that it must still give.

In: passages, their vectors and terms. Out: files in a folder, and the immutable `Snapshot` read from them; the
known answers of a generation, plain values that stand in its manifest: a few queries with their tops and scores,
and a hash of each part; and a refusal where an opened generation answers otherwise. It exists because a right file
is not yet a right answer: between the bytes and a score stand FAISS, statistics of terms and the rule that finds
terms, each of which a new release may change. The queries are made of what the generation itself holds, never of a
need's text.

Nothing is checked here beyond what reading needs: `opening` does that, before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson

from indexer.arrays import BoolArray, FloatArray, digest_of, read_arrays
from indexer.index.dictionary import Dictionary
from indexer.index.vectors import VectorIndex
from indexer.index.words import TermCounts, WordIndex, terms
from indexer.records.passages import Passage
from indexer.wording import T_

OWN_TERMS = "own_terms.json"
COPY_FROM = 0.9
"""Cosine of two passages of a lab from which the later is a copy: a few words apart they have 0.93, others 0.6."""


@dataclass(frozen=True)
class VectorField:
    """One encoder's view of the passages.

    `rows` are the numbers of the passages it covers, in the order of the index;
    `passage_means` and `query_means` are what was or must be subtracted per language.
    `weights` is the hash of the model that encoded them, "" where it is not known.
    """

    name: str
    identity: str
    languages: tuple[str, ...] | None
    index: VectorIndex
    rows: npt.NDArray[np.int64]
    passage_means: dict[str, FloatArray]
    query_means: dict[str, FloatArray]
    weights: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Everything a search needs, of one generation. Passages are grouped by lab, in the order of `lab_ids`.

    `inputs` is a hash of what the generation was made from; `watermark` has for
    each kind of record the number of the last change that surely is in it;
    `own_terms` has for each Chinese word of an office's own terms the English ones.
    """

    generation: str
    created_at: str
    inputs: str
    lab_ids: tuple[str, ...]
    passages: tuple[Passage, ...]
    lab_of_passage: npt.NDArray[np.int64]
    lab_fingerprints: dict[str, str]
    fields: tuple[VectorField, ...]
    words: WordIndex
    senses: TermCounts
    watermark: Mapping[str, int] = field(default_factory=dict)
    own_terms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def dictionary(self) -> Dictionary:
        """The words that cross languages, an office's own terms before all others."""
        return Dictionary(self.own_terms)

    def field(self, name: str) -> VectorField | None:
        """Return the vector field of an encoder, None if this generation has none."""
        return next((field for field in self.fields if field.name == name), None)


def copies(fields: Sequence[VectorField], labs: npt.NDArray[np.int64]) -> BoolArray:
    """Return which passages say again what an earlier one of their lab says, shape (n passages,).

    Args:
        fields: the first tells; without any there are no copies.
        labs: the number of each passage's lab, in order.
    """
    found = np.zeros(len(labs), dtype=bool)
    if not fields:
        return found
    told = fields[0]
    vectors, owners = told.index.rows(), labs[told.rows]
    start = 0
    for end in (np.flatnonzero(np.diff(owners, append=-1)) + 1).tolist():
        if end - start > 1:
            like = np.tril(vectors[start:end] @ vectors[start:end].T, -1)
            found[told.rows[start:end]] = (like >= COPY_FROM).any(axis=1)
        start = end
    return found


@dataclass(frozen=True)
class Contents:
    """What is published; the same values as in `Snapshot`, before they have a generation.

    `inputs` is a hash of everything the values were made from: equal inputs, equal contents.
    """

    inputs: str
    lab_fingerprints: dict[str, str]
    passages: Sequence[Passage]
    fields: Sequence[VectorField]
    words: WordIndex
    senses: TermCounts
    watermark: Mapping[str, int] = field(default_factory=dict)
    own_terms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def in_memory(contents: Contents, *, generation: str, created_at: str) -> Snapshot:
    """Return contents as a snapshot that answers as the published one would."""
    rows = {lab_id: row for row, lab_id in enumerate(contents.lab_fingerprints)}
    return Snapshot(
        generation=generation,
        created_at=created_at,
        inputs=contents.inputs,
        lab_ids=tuple(contents.lab_fingerprints),
        passages=tuple(contents.passages),
        lab_of_passage=np.array([rows[passage.lab_id] for passage in contents.passages], dtype=np.int64),
        lab_fingerprints=contents.lab_fingerprints,
        fields=tuple(contents.fields),
        words=contents.words,
        senses=contents.senses,
        watermark=contents.watermark,
        own_terms=contents.own_terms,
    )


def passage_rows(passages: Sequence[Passage]) -> bytes:
    """Return passages as they stand in their file."""
    return orjson.dumps([[p.lab_id, p.source, p.kind, p.text, p.language, p.year, p.weight] for p in passages])


def facts_of(contents: Contents) -> dict[str, Any]:
    """Return what the manifest says of the contents."""
    return {
        "inputs": contents.inputs,
        "watermark": dict(contents.watermark),
        "counts": {"labs": len(contents.lab_fingerprints), "passages": len(contents.passages)},
        "encoders": [
            {
                "name": one.name,
                "identity": one.identity,
                "weights": one.weights,
                "languages": one.languages,
                "dims": one.index.dims,
                "vectors": one.index.size,
            }
            for one in contents.fields
        ],
    }


def write_files(folder: Path, contents: Contents) -> None:
    """Write the contents into an empty folder, without a manifest."""
    (folder / "passages.json").write_bytes(passage_rows(contents.passages))
    (folder / "labs.json").write_bytes(orjson.dumps(contents.lab_fingerprints))
    if contents.own_terms:
        (folder / OWN_TERMS).write_bytes(orjson.dumps(contents.own_terms))
    contents.words.counts.save(folder / "words.npz")
    contents.senses.save(folder / "senses.npz")
    for i, one in enumerate(contents.fields):
        (folder / f"vectors-{i}.faiss").write_bytes(one.index.to_bytes())
        arrays: dict[str, Any] = {"rows": one.rows}
        arrays |= {f"passage:{key}": value for key, value in one.passage_means.items()}
        arrays |= {f"query:{key}": value for key, value in one.query_means.items()}
        np.savez(folder / f"vectors-{i}.npz", **arrays)


def read_files(folder: Path, manifest: dict[str, Any]) -> Snapshot:
    """Read what `write_files` wrote.

    Raises:
        Exception: of any kind, if a file is not what it should be.
    """
    fingerprints: dict[str, str] = orjson.loads((folder / "labs.json").read_bytes())
    # The manifest lists it where there are any, so that it can't be lost unseen.
    own_terms: dict[str, list[str]] = (
        orjson.loads((folder / OWN_TERMS).read_bytes()) if OWN_TERMS in manifest["files"] else {}
    )
    passages = tuple(Passage(*row) for row in orjson.loads((folder / "passages.json").read_bytes()))
    lab_rows = {lab_id: i for i, lab_id in enumerate(fingerprints)}
    labs = np.array([lab_rows[p.lab_id] for p in passages], dtype=np.int64)
    fields = tuple(_read_field(folder, i, entry) for i, entry in enumerate(manifest["encoders"]))
    return Snapshot(
        generation=folder.name,
        created_at=manifest["created_at"],
        inputs=manifest["inputs"],
        lab_ids=tuple(fingerprints),
        passages=passages,
        lab_of_passage=labs,
        lab_fingerprints=fingerprints,
        fields=fields,
        words=WordIndex(TermCounts.load(folder / "words.npz", len(passages)), copies(fields, labs)),
        senses=TermCounts.load(folder / "senses.npz", len(passages)),
        watermark={str(kind): int(n) for kind, n in manifest["watermark"].items()},
        own_terms={word: tuple(english) for word, english in own_terms.items()},
    )


def _read_field(folder: Path, number: int, entry: dict[str, Any]) -> VectorField:
    path = folder / f"vectors-{number}.faiss"
    index = VectorIndex.from_bytes(path.read_bytes(), size=entry["vectors"], dims=entry["dims"])
    stored = read_arrays(folder / f"vectors-{number}.npz")
    means: dict[str, dict[str, FloatArray]] = {"passage": {}, "query": {}}
    for key, value in stored.items():
        side, _, language = key.partition(":")
        if side in means:
            means[side][language] = value
    return VectorField(
        name=entry["name"],
        identity=entry["identity"],
        weights=entry["weights"],
        languages=None if entry["languages"] is None else tuple(entry["languages"]),
        index=index,
        rows=stored["rows"],
        passage_means=means["passage"],
        query_means=means["query"],
    )


QUERIES = 3
"""Queries for each part, made of passages spread over the generation."""
TOP = 5
TOLERANCE = 1e-4
"""How far a score may lie from what it was: processors add up in another order."""


class KnownAnswersError(ValueError):
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
    def own_terms(self) -> Mapping[str, tuple[str, ...]]:
        """An office's own terms."""

    @property
    def fields(self) -> Sequence[VectorField]:
        """The vector fields."""

    @property
    def words(self) -> WordIndex:
        """The words of the passages."""

    @property
    def senses(self) -> TermCounts:
        """What the Chinese words of the passages may mean in English."""


def known_answers(index: Searchable) -> dict[str, Any]:
    """Return a hash of each part and, for a few queries, the best rows with their scores; plain JSON values."""
    return {"digests": _digests(index), "tops": {name: _top(scores) for name, scores in _asked(index).items()}}


def check_known_answers(index: Searchable, expected: Mapping[str, Any]) -> None:
    """Ask an opened generation again.

    Args:
        index: the opened one.
        expected: what `known_answers` returned before it was written.

    Raises:
        KnownAnswersError: a part or an answer differs.
    """
    # First the parts, since a search over a damaged one may read where nothing is.
    for name, digest in _digests(index).items():
        if expected["digests"].get(name) != digest:
            raise KnownAnswersError(T_("its %(name)s are not those that were put in", name=name))
    asked = _asked(index)
    if asked.keys() != expected["tops"].keys():
        raise KnownAnswersError(T_("its known answers are those of another index"))
    for name, scores in asked.items():
        _check_top(name, scores, expected["tops"][name])


def _digests(index: Searchable) -> dict[str, str]:
    labs = "\n".join(f"{lab_id} {digest}" for lab_id, digest in index.lab_fingerprints.items())
    found = {
        "passages": digest_of(passage_rows(index.passages), labs.encode()),
        "words": index.words.counts.digest(),
        "senses of words": index.senses.digest(),
    }
    if index.own_terms:
        found["own terms"] = digest_of(orjson.dumps(list(index.own_terms.items())))
    for number, one in enumerate(index.fields):
        named = {f"passage {key}": mean for key, mean in one.passage_means.items()}
        named |= {f"query {key}": mean for key, mean in one.query_means.items()}
        languages = ",".join(one.languages or ["all"])
        said = "\n".join([one.name, one.identity, one.weights, languages, *sorted(named)]).encode()
        found[f"vectors {number}"] = one.index.digest()
        found[f"means of vectors {number}"] = digest_of(said, one.rows, *(named[key] for key in sorted(named)))
    return found


def _asked(index: Searchable) -> dict[str, FloatArray]:
    """Return the scores of all rows for each query, by the query's name."""
    found: dict[str, FloatArray] = {}
    for row in _spread(len(index.passages)):
        text = index.passages[row].text
        words = terms(text)
        cosine, covered = index.words.answers(words)
        found |= {f"words of passage {row}": cosine, f"words covered of passage {row}": covered}
    for number, one in enumerate(index.fields):
        rows = _spread(one.index.size)
        if rows:
            scores = one.index.scores(one.index.some_rows(rows))
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
        raise KnownAnswersError(T_("the best for the %(name)s are other rows", name=name))
    allowed = TOLERANCE * np.maximum(1, np.abs(wanted))
    rest = np.delete(scores, rows)
    # Equal scores may change places, so it is not the order that is compared.
    as_high = bool(rest.size) and rest.max() > wanted.min() + allowed.max()
    if as_high or not np.all(np.abs(scores[rows] - wanted) <= allowed):
        raise KnownAnswersError(T_("the best for the %(name)s have other scores", name=name))
