"""What a folder of files says of itself, so that it is known to be whole: its manifest.

In: a folder and what is to be said of it. Out: a file with the size and sha256
of every other file and of itself, and the folder checked against it, byte by
byte. It exists because a damaged vector file answers wrongly without a word,
and because a manifest may be damaged as well: nothing it says is believed
before it fits its own hash and the name of its folder.

A folder is named by the hash of its manifest, so the same contents have the
same name.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from indexer.durable_files import sync, write_synced
from indexer.wording import T_

FORMAT = 4
"""Raise it whenever a release would write other files for the same records: other terms, passages or layouts."""
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 16 * 2**20
NAME_LENGTH = 16
AGAIN = T_("run: gloria reindex --full")
HELD = "HELD"
"""The file that says why a folder is not to be used; it comes and goes after the contents are sealed."""
_UNNAMED = ("sha256", "created_at", "watermark")
"""What the manifest says beside the contents; it leaves the name as it is."""


class SnapshotError(RuntimeError):
    """There is no usable index; the message says which file and what to do."""


def write_manifest(folder: Path, facts: dict[str, Any], *, created_at: str) -> str:
    """Write the manifest of a folder's files, bring all of it onto the disk, and return the name due to the folder.

    Args:
        folder: what is in it is listed as it is.
        facts: what the manifest says beside the list of files; plain JSON values.
        created_at: ISO 8601.
    """
    files = {}
    for path in _files(folder):
        with path.open("rb") as file:
            files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
            os.fsync(file.fileno())
    manifest = {**facts, "format": FORMAT, "files": files, "created_at": created_at}
    manifest["sha256"] = _seal(manifest)
    write_synced(folder / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync(path)
    return _name(manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a folder's manifest.

    Raises:
        SnapshotError: it is missing, damaged, of another format, or not this folder's.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise SnapshotError(T_("%(path)s is larger than a manifest can be; %(again)s", path=path, again=AGAIN))
        manifest: dict[str, Any] = orjson.loads(path.read_bytes())
        if manifest["format"] != FORMAT:
            raise SnapshotError(
                T_(
                    "%(path)s has format %(format)s, this release reads %(known)s; %(again)s",
                    path=path,
                    format=manifest["format"],
                    known=FORMAT,
                    again=AGAIN,
                )
            )
        intact = manifest["sha256"] == _seal(manifest) and folder.name == _name(manifest)
    except (OSError, orjson.JSONDecodeError, orjson.JSONEncodeError, LookupError, TypeError) as error:
        raise SnapshotError(
            T_("%(path)s can't be read (%(error)s); %(again)s", path=path, error=_told(error), again=AGAIN)
        ) from error
    if not intact:
        raise SnapshotError(
            T_(
                "%(path)s is damaged (it does not fit its own sha256 or its folder's name); %(again)s",
                path=path,
                again=AGAIN,
            )
        )
    if not _is_one(manifest):
        raise SnapshotError(
            T_("%(path)s does not say what the manifest of an index says; %(again)s", path=path, again=AGAIN)
        )
    return manifest


def verified_manifest(folder: Path) -> dict[str, Any]:
    """Return a folder's manifest after checking every byte of every file.

    Raises:
        SnapshotError: a file is missing, damaged or not listed; the message names it.
    """
    manifest = read_manifest(folder)
    try:
        found = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
        for name, said in manifest["files"].items():
            _check_file(folder / name, found.pop(name, None), said["bytes"], said["sha256"])
    except OSError as error:
        raise SnapshotError(
            T_(
                "%(folder)s can't be read (%(strerror)s); %(again)s",
                folder=folder,
                strerror=error.strerror,
                again=AGAIN,
            )
        ) from error
    if found:
        raise SnapshotError(
            T_(
                "%(place)s is not listed in %(manifest)s; %(again)s",
                place=min(found.values()),
                manifest=MANIFEST,
                again=AGAIN,
            )
        )
    return manifest


def is_intact(folder: Path) -> bool:
    """Whether a folder is whole."""
    try:
        verified_manifest(folder)
    except SnapshotError:
        return False
    return True


def _is_one(manifest: dict[str, Any]) -> bool:
    """Whether what others read of a manifest is there and of its kind, however it came to fit its own hash."""
    try:
        aware = datetime.fromisoformat(manifest["created_at"]).tzinfo is not None
        numbers = [*manifest["watermark"].values(), manifest["counts"]["labs"], manifest["counts"]["passages"]]
        numbers += [file["bytes"] for file in manifest["files"].values()]
        texts = [manifest["inputs"], *(file["sha256"] for file in manifest["files"].values())]
        for one in manifest["encoders"]:
            numbers += [one["dims"], one["vectors"]]
            texts += [one["name"], one["identity"], one["weights"], *(one["languages"] or ())]
    except (LookupError, TypeError, ValueError, AttributeError):
        return False
    return aware and all(type(n) is int and n >= 0 for n in numbers) and all(isinstance(text, str) for text in texts)


def _check_file(listed: Path, path: Path | None, size: object, digest: object) -> None:
    if path is None:
        raise SnapshotError(
            T_("%(listed)s can't be read (there is no such file); %(again)s", listed=listed, again=AGAIN)
        )
    if path.stat().st_size != size:
        raise SnapshotError(
            T_(
                "%(path)s has %(found)s bytes instead of %(size)s; %(again)s",
                path=path,
                found=path.stat().st_size,
                size=size,
                again=AGAIN,
            )
        )
    if _sha256(path) != digest:
        raise SnapshotError(
            T_("%(path)s is damaged (its sha256 differs from the manifest's); %(again)s", path=path, again=AGAIN)
        )


def _files(folder: Path) -> list[Path]:
    """Return all files that a manifest lists; nothing outside of the folder is ever among them."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path for path in found if path.parent != folder or path.name not in (MANIFEST, HELD))


def _name(manifest: dict[str, Any]) -> str:
    """Hash all but date and watermark: the same contents are the same folder, whenever they are published."""
    return _hash_without(manifest, *_UNNAMED)[:NAME_LENGTH]


def _seal(manifest: dict[str, Any]) -> str:
    return _hash_without(manifest, "sha256")


def _hash_without(manifest: dict[str, Any], *keys: str) -> str:
    rest = {key: value for key, value in manifest.items() if key not in keys}
    return hashlib.sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _told(error: Exception) -> str:
    """An error in words; a `KeyError` alone would be the name that is missing."""
    return f"{type(error).__name__}: {error}"
