"""An index generation on disk: published whole or not at all, opened only if every byte is right.

In: passages, their vectors and terms. Out: a folder with a manifest that names
every file's size and sha256, and the immutable `Snapshot` read from it. It
exists because a damaged vector file answers wrongly without a word (4,470 of
17,874 damaged FAISS files did) and because the night replaces the index under
people who are working with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from indexer.lexical import LexicalIndex, LexicalIndexError
from indexer.text import Passage
from indexer.tfidf import TfIdfError, TfIdfIndex
from indexer.vectors import VectorIndex, VectorIndexError

FloatArray = npt.NDArray[np.float32]

FORMAT = 1
KEPT_GENERATIONS = 3
POINTER = "CURRENT"
MANIFEST = "manifest.json"


class SnapshotError(RuntimeError):
    """There is no usable index; the message says which file and what to do."""


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
    """Everything a search needs, of one generation. Passages are grouped by lab, in the order of `lab_ids`."""

    generation: str
    created_at: str
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
    """What `publish` writes; the same values as in `Snapshot`, before they have a generation."""

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
    index_path.mkdir(parents=True, exist_ok=True)
    staging = index_path / f".staging-{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        _write_files(staging, contents)
        generation = _write_manifest(staging, contents)
        target = index_path / generation
        if target.exists() and _damage(target) is not None:
            shutil.rmtree(target)
        if not target.exists():
            staging.rename(target)
            _sync_folder(index_path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    opened = _open_generation(target)
    _write_synced(index_path / f".{POINTER}", generation.encode())
    (index_path / f".{POINTER}").rename(index_path / POINTER)
    _sync_folder(index_path)
    _prune(index_path, generation)
    return opened


def open_snapshot(index_path: Path) -> Snapshot:
    """Return the current generation after checking every byte of it.

    Raises:
        SnapshotError: there is none, or a file of it is missing or damaged.
    """
    return _open_generation(index_path / current_generation(index_path))


def current_generation(index_path: Path) -> str:
    """Return the name of the current generation.

    Raises:
        SnapshotError: nothing was published yet.
    """
    try:
        name = (index_path / POINTER).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise SnapshotError(f"there is no index in {index_path}; run: gloria reindex") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{index_path / POINTER} can't be read ({error}); run: gloria reindex --full") from error
    if not name.isalnum():
        raise SnapshotError(f"{index_path / POINTER} does not name a generation; run: gloria reindex --full")
    return name


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a generation's manifest.

    Raises:
        SnapshotError: it is missing, not JSON, or of another format.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = orjson.loads(path.read_bytes())
        version = manifest["format"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path} can't be read ({error}); run: gloria reindex --full") from error
    if version != FORMAT:
        raise SnapshotError(f"{path} has format {version}, this release reads {FORMAT}; run: gloria reindex --full")
    return manifest


def _write_files(folder: Path, contents: Contents) -> None:
    rows = [[p.lab_id, p.source, p.kind, p.text, p.language, p.year, p.weight] for p in contents.passages]
    (folder / "passages.json").write_bytes(orjson.dumps(rows))
    (folder / "labs.json").write_bytes(orjson.dumps(contents.lab_fingerprints))
    contents.words.save(folder / "words.npz")
    contents.word_parts.save(folder / "word_parts.npz")
    contents.lab_words.save(folder / "lab_words")
    for i, field in enumerate(contents.fields):
        (folder / f"vectors-{i}.faiss").write_bytes(field.index.to_bytes())
        np.savez(
            folder / f"vectors-{i}.npz",
            rows=field.rows,
            **{f"passage:{key}": value for key, value in field.passage_means.items()},
            **{f"query:{key}": value for key, value in field.query_means.items()},
        )


def _write_manifest(folder: Path, contents: Contents) -> str:
    files = {}
    for path in _files(folder):
        with path.open("rb") as file:
            files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
            os.fsync(file.fileno())
    manifest: dict[str, Any] = {
        "format": FORMAT,
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
        "files": files,
    }
    # The date stays out of the name: the same contents are the same generation.
    generation = hashlib.sha256(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    manifest["created_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    _write_synced(folder / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        _sync_folder(path)
    return generation


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prune(index_path: Path, current: str) -> None:
    generations = [path for path in index_path.iterdir() if path.is_dir() and not path.name.startswith(".")]
    generations.sort(key=lambda path: (path.name == current, path.stat().st_mtime), reverse=True)
    for old in generations[KEPT_GENERATIONS:]:
        shutil.rmtree(old, ignore_errors=True)


def _damage(folder: Path) -> str | None:
    """Return what is wrong with a generation's files, None if every byte is as published."""
    listed = read_manifest(folder)["files"]
    for name, expected in listed.items():
        path = folder / name
        if not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != expected["bytes"]:
            return f"{path} has {path.stat().st_size} bytes instead of {expected['bytes']}"
        if _sha256(path) != expected["sha256"]:
            return f"{path} is damaged (its sha256 differs from the manifest's)"
    return None


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, LexicalIndexError, TfIdfError, VectorIndexError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{folder} can't be read ({error}); run: gloria reindex --full") from error


def _open_generation(folder: Path) -> Snapshot:
    manifest = read_manifest(folder)
    with _readable(folder):
        damage = _damage(folder)
        if damage is not None:
            raise SnapshotError(f"{damage}; run: gloria reindex --full")
        fingerprints: dict[str, str] = orjson.loads((folder / "labs.json").read_bytes())
        passages = tuple(Passage(*row) for row in orjson.loads((folder / "passages.json").read_bytes()))
        lab_rows = {lab_id: i for i, lab_id in enumerate(fingerprints)}
        return Snapshot(
            generation=folder.name,
            created_at=manifest["created_at"],
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
