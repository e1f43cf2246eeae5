"""Folders that appear whole or not at all, and are known to be intact: the generations of the index.

In: a function that fills a folder, and what its manifest should say. Out: the
folder under its final name, beside earlier ones, and a pointer to the current
one. It exists because the night replaces the index under people who are
working with it, and because a damaged vector file answers wrongly without a
word: the manifest holds every file's size and sha256 and its own.

A generation is named by the hash of its manifest, so the same contents are the
same generation.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from indexer.file_lock import exclusive

FORMAT = 3
"""Raise it whenever a release would write other files for the same records: other terms, passages or layouts."""
KEPT_GENERATIONS = 3
POINTER = "CURRENT"
MANIFEST = "manifest.json"
_NAME_LENGTH = 16
_AGAIN = "run: gloria reindex --full"


Opened = TypeVar("Opened")


class SnapshotError(RuntimeError):
    """There is no usable index; the message says which file and what to do."""


def publish_generation(
    index_path: Path, *, fill: Callable[[Path], None], facts: dict[str, Any], read: Callable[[Path], Opened]
) -> Opened:
    """Write a generation, read it back, make it the current one and remove the oldest.

    Args:
        index_path: the folder of all generations; created if need be.
        fill: writes the files into the empty folder it is given.
        facts: what the manifest says beside the list of files; plain JSON values.
        read: opens the finished folder; if it raises, the current generation stays.

    Returns:
        What `read` returned.

    Raises:
        OSError: the disk is full or not writable; the current generation stays.
    """
    with exclusive(index_path / ".lock"):
        folder = _written(index_path, fill, facts)
        opened = read(folder)
        _make_current(folder)
    return opened


def _written(index_path: Path, fill: Callable[[Path], None], facts: dict[str, Any]) -> Path:
    staging = index_path / ".staging"
    # Left by a crash: nobody else writes here under the lock.
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        fill(staging)
        target = index_path / _write_manifest(staging, facts)
        if not _is_intact(target):
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
            _sync_folder(index_path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _make_current(folder: Path) -> None:
    index_path = folder.parent
    staging = index_path / f".{POINTER}"
    _write_synced(staging, folder.name.encode())
    staging.rename(index_path / POINTER)
    _sync_folder(index_path)
    # The order in which old generations go is that of becoming current, not of being written.
    os.utime(folder)
    generations = [path for path in index_path.iterdir() if path.is_dir() and not path.name.startswith(".")]
    generations.sort(key=lambda path: (path == folder, path.stat().st_mtime_ns), reverse=True)
    for old in generations[KEPT_GENERATIONS:]:
        shutil.rmtree(old, ignore_errors=True)


def forget_older(index_path: Path) -> int:
    """Delete all generations but the current one, whose texts may name somebody who was erased since; return how many.

    A server that still reads one of them keeps what it has opened.
    """
    if not (index_path / POINTER).exists():
        return 0
    with exclusive(index_path / ".lock"):
        current = current_generation(index_path)
        older = [path for path in index_path.iterdir() if path.is_dir() and path.name != current]
        for path in older:
            shutil.rmtree(path, ignore_errors=True)
    return len(older)


@dataclass(frozen=True)
class Listed:
    """A generation as its folder tells: `manifest` None where that can't be read, with `problem` saying why."""

    name: str
    is_current: bool
    manifest: dict[str, Any] | None
    problem: str | None


def generations(index_path: Path) -> list[Listed]:
    """Return all generations that are kept, the newest first, by their manifests alone: no file is read whole."""
    try:
        current = current_generation(index_path)
    except SnapshotError:
        current = ""
    found = []
    for folder in sorted(index_path.glob("[!.]*/") if index_path.is_dir() else []):
        try:
            found.append(Listed(folder.name, folder.name == current, read_manifest(folder), None))
        except SnapshotError as error:
            found.append(Listed(folder.name, folder.name == current, None, str(error)))
    return sorted(found, key=lambda one: (one.manifest or {}).get("created_at", ""), reverse=True)


def current_generation(index_path: Path) -> str:
    """Return the name of the current generation.

    Raises:
        SnapshotError: nothing was published yet, or the pointer is damaged.
    """
    pointer = index_path / POINTER
    try:
        name = pointer.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise SnapshotError(f"there is no index in {index_path}; run: gloria reindex") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{pointer} can't be read ({error}); {_AGAIN}") from error
    if len(name) != _NAME_LENGTH or not name.isalnum():
        raise SnapshotError(f"{pointer} does not name a generation; {_AGAIN}")
    if not (index_path / name).is_dir():
        raise SnapshotError(f"{pointer} names the generation {name}, which is not there; {_AGAIN}")
    return name


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a generation's manifest.

    Raises:
        SnapshotError: it is missing, damaged, of another format, or not this folder's.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = orjson.loads(path.read_bytes())
        if manifest["format"] != FORMAT:
            raise SnapshotError(f"{path} has format {manifest['format']}, this release reads {FORMAT}; {_AGAIN}")
        intact = manifest["sha256"] == _seal(manifest) and folder.name == _name(manifest)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path} can't be read ({error}); {_AGAIN}") from error
    if not intact:
        raise SnapshotError(f"{path} is damaged (it does not fit its own sha256 or its folder's name); {_AGAIN}")
    return manifest


def verified_manifest(folder: Path) -> dict[str, Any]:
    """Return a generation's manifest after checking every byte of every file it lists.

    Raises:
        SnapshotError: a file is missing or damaged; the message names it.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        try:
            size, digest = path.stat().st_size, _sha256(path)
        except OSError as error:
            raise SnapshotError(f"{path} can't be read ({error.strerror}); {_AGAIN}") from error
        if size != expected["bytes"]:
            raise SnapshotError(f"{path} has {size} bytes instead of {expected['bytes']}; {_AGAIN}")
        if digest != expected["sha256"]:
            raise SnapshotError(f"{path} is damaged (its sha256 differs from the manifest's); {_AGAIN}")
    return manifest


def _is_intact(folder: Path) -> bool:
    try:
        verified_manifest(folder)
    except SnapshotError:
        return False
    return True


def _write_manifest(folder: Path, facts: dict[str, Any]) -> str:
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
            os.fsync(file.fileno())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = {**facts, "format": FORMAT, "files": files, "created_at": now}
    manifest["sha256"] = _seal(manifest)
    _write_synced(folder / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        _sync_folder(path)
    return _name(manifest)


def _name(manifest: dict[str, Any]) -> str:
    """Hash all but the date: the same contents are the same generation, whenever they are published."""
    return _hash_without(manifest, "sha256", "created_at")[:_NAME_LENGTH]


def _seal(manifest: dict[str, Any]) -> str:
    return _hash_without(manifest, "sha256")


def _hash_without(manifest: dict[str, Any], *keys: str) -> str:
    rest = {key: value for key, value in manifest.items() if key not in keys}
    return hashlib.sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()


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
