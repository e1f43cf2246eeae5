"""The generations of the index: folders that appear whole or not at all, and which of them is used.

In: a function that fills a folder, and what its manifest should say. Out: the folder under its final name, beside
earlier ones, and a pointer to the current one; for a reader the name of the current one, the others in the order in
which they may stand in for it, and each folder checked against its manifest, byte by byte. It exists because the
night replaces the index under people who are working with it: what is new is read by way of trial before the
pointer names it and read again through the pointer before anybody is told that it is there; what turns out worse
than the one before is kept, but held back.

The manifest has the size and sha256 of every other file and of itself, because a damaged vector file answers
wrongly without a word, and because a manifest may be damaged as well: nothing it says is believed before it fits
its own hash and the name of its folder. A folder is named by the hash of its manifest, so the same contents have
the same name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from indexer.disk import exclusive, sync, write_synced
from indexer.wording import T_

FORMAT = 6
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


POINTER = "CURRENT"
UNFINISHED = "the run that wrote it did not finish"
"""Why a generation is held back that nobody judged."""


@dataclass(frozen=True)
class Listed:
    """A generation as its folder tells.

    `manifest` is None where that can't be read, with `problem` saying why;
    `held` says why it is held back, None for one that is or was current.
    """

    name: str
    is_current: bool
    manifest: dict[str, Any] | None
    problem: str | None
    held: str | None = None

    @property
    def created_at(self) -> str:
        """When it was published, "" if its manifest can't be read."""
        return str((self.manifest or {}).get("created_at", ""))


def kept_generations(index_path: Path) -> list[Listed]:
    """Return all generations that are kept, the newest first, by their manifests alone: no file is read whole."""
    current = named_generation(index_path)
    found = []
    for folder in sorted(generation_folders(index_path)) if index_path.is_dir() else []:
        held = None if folder.name == current else held_reason(folder)
        try:
            found.append(Listed(folder.name, folder.name == current, read_manifest(folder), None, held))
        except SnapshotError as error:
            found.append(Listed(folder.name, folder.name == current, None, str(error), held))
    return sorted(found, key=lambda one: one.created_at, reverse=True)


def fallbacks(index_path: Path) -> list[Listed]:
    """Return what may stand in for the current generation: those that were current, newest first, then held ones."""
    others = [one for one in kept_generations(index_path) if not one.is_current and one.manifest is not None]
    return sorted(others, key=lambda one: one.held is not None)


def judged_worse(index_path: Path, *, since: str) -> Listed | None:
    """Return the newest generation that was judged and held back, if it is no older than `since`; else None."""
    held = (one for one in kept_generations(index_path) if one.held not in (None, UNFINISHED))
    return next((one for one in held if one.created_at >= since), None)


def holds(index_path: Path) -> tuple[tuple[str, int], ...]:
    """Return what changes whenever a generation is judged and held back, or released, without reading any of them."""
    found = []
    for path in sorted(index_path.glob(f"[!.]*/{HELD}")):
        with suppress(FileNotFoundError):
            state = path.stat()
            found.append((path.parent.name, state.st_mtime_ns))
    return tuple(found)


def generation_folders(index_path: Path) -> list[Path]:
    """Return the folders of all generations, in no order."""
    return [path for path in index_path.iterdir() if path.is_dir() and not path.name.startswith(".")]


def held_reason(folder: Path) -> str | None:
    """Return why a generation that is not the current one is held back, None if it was current before."""
    try:
        return (folder / HELD).read_text(encoding="utf-8", errors="replace") or UNFINISHED
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error.strerror)


def current_generation(index_path: Path) -> str:
    """Return the name of the current generation.

    Raises:
        SnapshotError: nothing was published yet, or the pointer is damaged.
    """
    pointer = index_path / POINTER
    try:
        name = pointer.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise SnapshotError(
            T_("there is no index in %(index_path)s; run: gloria reindex", index_path=index_path)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SnapshotError(
            T_("%(pointer)s can't be read (%(error)s); %(again)s", pointer=pointer, error=error, again=AGAIN)
        ) from error
    if len(name) != NAME_LENGTH or not name.isalnum():
        raise SnapshotError(T_("%(pointer)s does not name a generation; %(again)s", pointer=pointer, again=AGAIN))
    if not (index_path / name).is_dir():
        raise SnapshotError(
            T_(
                "%(pointer)s names the generation %(name)s, which is not there; %(again)s",
                pointer=pointer,
                name=name,
                again=AGAIN,
            )
        )
    return name


def named_generation(index_path: Path) -> str | None:
    """Return the name of the current generation, None where `current_generation` raises."""
    try:
        return current_generation(index_path)
    except SnapshotError:
        return None


KEPT_GENERATIONS = 3
_REMOVED = ".removed-"
_MAX_REASON = 2_000

Opened = TypeVar("Opened")


class HeldBackError(RuntimeError):
    """A new generation is whole but not to be used; it is kept and listed with the reason."""

    def __init__(self, generation: str, reason: str) -> None:
        super().__init__(
            T_(
                "generation %(generation)s is held back: %(reason)s; to use it all the same, %(again)s",
                generation=generation,
                reason=reason,
                again=AGAIN,
            )
        )
        self.generation = generation
        self.reason = reason


def publish_generation(
    index_path: Path,
    *,
    fill: Callable[[Path], None],
    facts: dict[str, Any],
    read: Callable[[Path], Opened],
    check: Callable[[Path, bool], str | None] | None = None,
) -> Opened:
    """Write a generation, try it, make it the current one, read it through the pointer, and remove the oldest.

    Args:
        index_path: the folder of all generations; created if need be.
        fill: writes the files into the empty folder it is given.
        facts: what the manifest says beside the list of files; plain JSON values.
        read: opens a generation's folder; if it raises, the pointer stays, or is put back, where it was.
        check: is given the finished folder before the pointer names it, and whether it is the current generation's
            already; raises if it can't be used, returns why it is to be held back, or None. Default: `read`.

    Returns:
        What `read` returned for the folder that the pointer names.

    Raises:
        HeldBackError: `check` gave a reason; the current generation stays.
        SnapshotError: what was written can't be read; the current generation stays.
        OSError: the disk is full or not writable; the current generation stays.
    """
    with exclusive(index_path / ".lock"):
        before = named_generation(index_path)
        if before is not None:
            _release(index_path / before)
        folder = _written(index_path, fill, facts)
        if check is None:
            read(folder)
        else:
            reason = check(folder, folder.name == before)
            if reason is not None:
                _hold_back(folder, reason)
                _prune(index_path)
                raise HeldBackError(folder.name, reason)
        _make_current(index_path, folder.name)
        try:
            opened = read(index_path / current_generation(index_path))
        except BaseException:
            _put_back(index_path, before)
            raise
        _release(folder)
        # The order in which old generations go is that of becoming current, not of being written.
        os.utime(folder)
        _prune(index_path)
    return opened


def _written(index_path: Path, fill: Callable[[Path], None], facts: dict[str, Any]) -> Path:
    staging = index_path / ".staging"
    # Left by a crash: nobody else writes here under the lock.
    _clear_away(index_path)
    staging.mkdir()
    try:
        fill(staging)
        # Until the pointer has named it, nobody may fall back to it.
        write_synced(staging / HELD, b"")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        target = index_path / write_manifest(staging, facts, created_at=now)
        if is_intact(target):
            # The same contents, published again today: only date and watermark differ.
            (staging / MANIFEST).replace(target / MANIFEST)
            sync(target)
        else:
            if target.exists():
                target.rename(_hidden(target))
            staging.rename(target)
            sync(index_path)
    finally:
        _clear_away(index_path)
    return target


def _clear_away(index_path: Path) -> None:
    for left in (index_path / ".staging", *index_path.glob(f"{_REMOVED}*")):
        shutil.rmtree(left, ignore_errors=True)


def _hidden(folder: Path) -> Path:
    return folder.with_name(f"{_REMOVED}{folder.name}")


def _make_current(index_path: Path, name: str) -> None:
    staging = index_path / f".{POINTER}"
    write_synced(staging, name.encode())
    staging.rename(index_path / POINTER)
    # The folder of all generations too may be new, and its name must be safe before success is reported.
    for path in (index_path, index_path.parent):
        sync(path)


def _put_back(index_path: Path, before: str | None) -> None:
    if before is not None:
        _make_current(index_path, before)
    else:
        (index_path / POINTER).unlink(missing_ok=True)
        sync(index_path)


def _hold_back(folder: Path, reason: str) -> None:
    # Beside the folder first: a half-written file inside would make it one that is not whole.
    staging = folder.parent / f".{HELD}"
    write_synced(staging, reason.strip()[:_MAX_REASON].encode())
    staging.rename(folder / HELD)
    sync(folder)


def _release(folder: Path) -> None:
    """Note that a generation has been the current one."""
    try:
        (folder / HELD).unlink()
    except FileNotFoundError:
        return
    sync(folder)


def _prune(index_path: Path) -> None:
    """Keep the current generation, the last one before it that was current, and one more."""
    current = named_generation(index_path)
    found = sorted(generation_folders(index_path), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found.sort(key=lambda path: path.name != current)
    once_current = [path for path in found if not (path / HELD).exists()]
    found.sort(key=lambda path: path not in once_current[:2])
    _remove(found[KEPT_GENERATIONS:])


def _remove(folders: Sequence[Path]) -> None:
    """Delete generations, each at once: half of one, left by a crash, would take the place of one that is kept."""
    for folder in folders:
        # What can't be deleted is no reason to call a publication failed.
        with suppress(OSError):
            folder.rename(_hidden(folder))
    for parent in {folder.parent for folder in folders}:
        sync(parent)
        _clear_away(parent)


def forget_older(index_path: Path) -> int:
    """Delete all generations but the current one, whose texts may name somebody who was erased since; return how many.

    A server that still reads one of them keeps what it has opened.
    """
    if not (index_path / POINTER).exists():
        return 0
    with exclusive(index_path / ".lock"):
        current = current_generation(index_path)
        older = [path for path in generation_folders(index_path) if path.name != current]
        _remove(older)
        # What a crash left may name somebody as well.
        _clear_away(index_path)
    return len(older)
