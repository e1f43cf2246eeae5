"""Folders that appear whole or not at all, and which of them is used: the generations of the index.

In: a function that fills a folder, and what its manifest should say. Out: the
folder under its final name, beside earlier ones, and a pointer to the current
one. It exists because the night replaces the index under people who are
working with it: what is new is read by way of trial before the pointer names
it and read again through the pointer before anybody is told that it is there;
what turns out worse than the one before is kept, but held back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from indexer.durable_files import sync, write_synced
from indexer.file_lock import exclusive
from indexer.kept_generations import (
    POINTER,
    UNFINISHED,
    Listed,
    current_generation,
    fallbacks,
    generation_folders,
    generations,
    named_generation,
)
from indexer.manifest import (
    AGAIN,
    FORMAT,
    HELD,
    MANIFEST,
    SnapshotError,
    is_intact,
    read_manifest,
    write_manifest,
)
from indexer.wording import T_

__all__ = [
    "FORMAT",
    "MANIFEST",
    "POINTER",
    "UNFINISHED",
    "HeldBackError",
    "Listed",
    "SnapshotError",
    "current_generation",
    "fallbacks",
    "forget_older",
    "generations",
    "publish_generation",
    "read_manifest",
]

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
