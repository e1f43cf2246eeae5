"""Which generations of the index there are, and which one is used.

In: the folder of all generations. Out: the name of the current one, the others
in the order in which they may stand in for it, and what each manifest says. It
exists apart from publishing because a server only ever reads.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.manifest import AGAIN, HELD, NAME_LENGTH, SnapshotError, read_manifest
from indexer.wording import T_

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


def generations(index_path: Path) -> list[Listed]:
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
    others = [one for one in generations(index_path) if not one.is_current and one.manifest is not None]
    return sorted(others, key=lambda one: one.held is not None)


def judged_worse(index_path: Path, *, since: str) -> Listed | None:
    """Return the newest generation that was judged and held back, if it is no older than `since`; else None."""
    held = (one for one in generations(index_path) if one.held not in (None, UNFINISHED))
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
