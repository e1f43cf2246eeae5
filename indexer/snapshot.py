"""An index generation on disk: published whole or not at all, opened only if every byte is right.

In: passages, their vectors and terms. Out: a folder with a manifest that names
every file's size and sha256, and the immutable `Snapshot` read from it. It
exists because a damaged vector file answers wrongly without a word (4,470 of
17,874 damaged FAISS files did) and because the night replaces the index under
people who are working with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from indexer.generation import SnapshotError, current_generation, publish_generation, verified_manifest
from indexer.lexical import LexicalIndex, LexicalIndexError
from indexer.text import Passage
from indexer.tfidf import TfIdfError, TfIdfIndex
from indexer.vectors import VectorIndex, VectorIndexError

FloatArray = npt.NDArray[np.float32]

__all__ = [
    "Contents",
    "Snapshot",
    "SnapshotError",
    "VectorField",
    "current_generation",
    "in_memory",
    "open_snapshot",
    "publish",
]


@dataclass(frozen=True)
class VectorField:
    """One encoder's view of the passages.

    `rows` are the numbers of the passages it covers, in the order of the index;
    `passage_means` and `query_means` are what was or must be subtracted per language.
    """

    name: str
    identity: str
    languages: tuple[str, ...] | None
    index: VectorIndex
    rows: npt.NDArray[np.int64]
    passage_means: dict[str, FloatArray]
    query_means: dict[str, FloatArray]


@dataclass(frozen=True)
class Snapshot:
    """Everything a search needs, of one generation. Passages are grouped by lab, in the order of `lab_ids`.

    `inputs` is a hash of what the generation was made from.
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

    def field(self, name: str) -> VectorField | None:
        """Return the vector field of an encoder, None if this generation has none."""
        return next((field for field in self.fields if field.name == name), None)


@dataclass(frozen=True)
class Contents:
    """What `publish` writes; the same values as in `Snapshot`, before they have a generation.

    `inputs` is a hash of everything the values were made from: equal inputs, equal contents.
    """

    inputs: str
    lab_fingerprints: dict[str, str]
    passages: Sequence[Passage]
    fields: Sequence[VectorField]
    words: TfIdfIndex
    word_parts: TfIdfIndex
    lab_words: LexicalIndex


def publish(index_path: Path, contents: Contents) -> Snapshot:
    """Write a generation, make it the current one, and return it as a reader opens it.

    The same contents give the same generation name. Older generations beyond
    the last three are removed.

    Raises:
        SnapshotError: what was written can't be read back.
        OSError: the disk is full or not writable; the current generation stays.
    """
    facts = {
        "inputs": contents.inputs,
        "counts": {"labs": len(contents.lab_fingerprints), "passages": len(contents.passages)},
        "encoders": [
            {
                "name": field.name,
                "identity": field.identity,
                "languages": field.languages,
                "dims": field.index.dims,
                "vectors": field.index.size,
            }
            for field in contents.fields
        ],
    }
    return publish_generation(
        index_path, fill=lambda folder: _write_files(folder, contents), facts=facts, read=_open_generation
    )


def open_snapshot(index_path: Path) -> Snapshot:
    """Return the current generation after checking every byte of it.

    Raises:
        SnapshotError: there is none, or a file of it is missing or damaged.
    """
    return _open_generation(index_path / current_generation(index_path))


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
    )


def _write_files(folder: Path, contents: Contents) -> None:
    rows = [[p.lab_id, p.source, p.kind, p.text, p.language, p.year, p.weight] for p in contents.passages]
    (folder / "passages.json").write_bytes(orjson.dumps(rows))
    (folder / "labs.json").write_bytes(orjson.dumps(contents.lab_fingerprints))
    contents.words.save(folder / "words.npz")
    contents.word_parts.save(folder / "word_parts.npz")
    contents.lab_words.save(folder / "lab_words")
    for i, field in enumerate(contents.fields):
        (folder / f"vectors-{i}.faiss").write_bytes(field.index.to_bytes())
        arrays: dict[str, Any] = {"rows": field.rows}
        arrays |= {f"passage:{key}": value for key, value in field.passage_means.items()}
        arrays |= {f"query:{key}": value for key, value in field.query_means.items()}
        np.savez(folder / f"vectors-{i}.npz", **arrays)


def _open_generation(folder: Path) -> Snapshot:
    manifest = verified_manifest(folder)
    try:
        return _read_files(folder, manifest)
    except (OSError, LexicalIndexError, TfIdfError, VectorIndexError, ValueError, LookupError, TypeError) as error:
        raise SnapshotError(f"{folder} can't be read ({error}); run: gloria reindex --full") from error


def _read_files(folder: Path, manifest: dict[str, Any]) -> Snapshot:
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
        fields=tuple(_open_field(folder, i, entry) for i, entry in enumerate(manifest["encoders"])),
        words=TfIdfIndex.load(folder / "words.npz", len(passages)),
        word_parts=TfIdfIndex.load(folder / "word_parts.npz", len(passages)),
        lab_words=LexicalIndex.load(folder / "lab_words", len(fingerprints)),
    )


def _open_field(folder: Path, number: int, entry: dict[str, Any]) -> VectorField:
    content = (folder / f"vectors-{number}.faiss").read_bytes()
    index = VectorIndex.from_bytes(content, size=entry["vectors"], dims=entry["dims"])
    with np.load(folder / f"vectors-{number}.npz", allow_pickle=False) as stored:
        means: dict[str, dict[str, FloatArray]] = {"passage": {}, "query": {}}
        for key in stored.files:
            side, _, language = key.partition(":")
            if side in means:
                means[side][language] = stored[key]
        return VectorField(
            name=entry["name"],
            identity=entry["identity"],
            languages=None if entry["languages"] is None else tuple(entry["languages"]),
            index=index,
            rows=stored["rows"],
            passage_means=means["passage"],
            query_means=means["query"],
        )
