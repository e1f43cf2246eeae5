"""The files of an index generation: everything that a search needs, written and read.

In: passages, their vectors and terms. Out: files in a folder, and the
immutable `Snapshot` read from them. Nothing is checked here beyond what
reading needs: `snapshot` does that, before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from indexer.array_files import read_arrays
from indexer.lexical import LexicalIndex
from indexer.text import Passage
from indexer.tfidf import TfIdfIndex
from indexer.vectors import VectorIndex

FloatArray = npt.NDArray[np.float32]


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
    each kind of record the number of the last change that surely is in it.
    """

    generation: str
    created_at: str
    inputs: str
    lab_ids: tuple[str, ...]
    passages: tuple[Passage, ...]
    lab_of_passage: npt.NDArray[np.int64]
    lab_fingerprints: dict[str, str]
    fields: tuple[VectorField, ...]
    words: TfIdfIndex
    word_parts: TfIdfIndex
    lab_words: LexicalIndex
    watermark: Mapping[str, int] = field(default_factory=dict)

    def field(self, name: str) -> VectorField | None:
        """Return the vector field of an encoder, None if this generation has none."""
        return next((field for field in self.fields if field.name == name), None)


@dataclass(frozen=True)
class Contents:
    """What is published; the same values as in `Snapshot`, before they have a generation.

    `inputs` is a hash of everything the values were made from: equal inputs, equal contents.
    """

    inputs: str
    lab_fingerprints: dict[str, str]
    passages: Sequence[Passage]
    fields: Sequence[VectorField]
    words: TfIdfIndex
    word_parts: TfIdfIndex
    lab_words: LexicalIndex
    watermark: Mapping[str, int] = field(default_factory=dict)


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
        word_parts=contents.word_parts,
        lab_words=contents.lab_words,
        watermark=contents.watermark,
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
    contents.words.save(folder / "words.npz")
    contents.word_parts.save(folder / "word_parts.npz")
    contents.lab_words.save(folder / "lab_words")
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
    passages = tuple(Passage(*row) for row in orjson.loads((folder / "passages.json").read_bytes()))
    lab_rows = {lab_id: i for i, lab_id in enumerate(fingerprints)}
    return Snapshot(
        generation=folder.name,
        created_at=manifest["created_at"],
        inputs=manifest["inputs"],
        lab_ids=tuple(fingerprints),
        passages=passages,
        lab_of_passage=np.array([lab_rows[p.lab_id] for p in passages], dtype=np.int64),
        lab_fingerprints=fingerprints,
        fields=tuple(_read_field(folder, i, entry) for i, entry in enumerate(manifest["encoders"])),
        words=TfIdfIndex.load(folder / "words.npz", len(passages)),
        word_parts=TfIdfIndex.load(folder / "word_parts.npz", len(passages)),
        lab_words=LexicalIndex.load(folder / "lab_words", len(fingerprints)),
        watermark={str(kind): int(n) for kind, n in manifest["watermark"].items()},
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
