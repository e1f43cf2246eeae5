"""An index generation on disk: published whole or not at all, opened only if every byte is right.

In: passages, their vectors and terms. Out: a folder with a manifest that names
every file's size and sha256, and the immutable `Snapshot` read from it. It
exists because a damaged vector file answers wrongly without a word (4,470 of
17,874 damaged FAISS files did) and because the night replaces the index under
people who are working with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from indexer.canaries import canaries
from indexer.checked_opening import open_generation
from indexer.first_opening import open_first_elsewhere
from indexer.generation import current_generation, fallbacks, publish_generation
from indexer.manifest import SnapshotError
from indexer.snapshot_files import Contents, Snapshot, VectorField, facts_of, write_files
from indexer.wording import T_, replaced

__all__ = [
    "Contents",
    "Judge",
    "Snapshot",
    "SnapshotError",
    "VectorField",
    "current_generation",
    "open_newest_usable",
    "open_snapshot",
    "publish",
]

Judge = Callable[[Snapshot, Snapshot | None], str | None]
"""Is given a new generation and the one in use, None if there is none; returns why the new one is to be held back."""


def publish(index_path: Path, contents: Contents, *, judge: Judge | None = None) -> Snapshot:
    """Write a generation, make it the current one, and return it as a reader opens it.

    The same contents give the same generation name. A child process opens it
    first. Older generations beyond the last three are removed.

    Args:
        index_path: the folder of all generations.
        contents: what is published.
        judge: see `Judge`; without one, what can be read is used. It is not asked about the current generation.

    Raises:
        HeldBackError: the judge had a reason; the generation is kept, the current one stays.
        SnapshotError: what was written can't be read back; the current generation stays.
        OSError: the disk is full or not writable; the current generation stays.
    """

    def check(folder: Path, is_current: bool) -> str | None:
        open_first_elsewhere(folder)
        if judge is None or is_current:
            return None
        return judge(open_generation(folder), _in_use(index_path, other_than=folder.name))

    return publish_generation(
        index_path,
        fill=lambda folder: write_files(folder, contents),
        facts={**facts_of(contents), "canaries": canaries(contents)},
        read=open_generation,
        check=check,
    )


def open_snapshot(index_path: Path, *, first_elsewhere: bool = False) -> Snapshot:
    """Return the current generation after checking every byte of it.

    Args:
        index_path: the folder of all generations.
        first_elsewhere: let a child process open it before this one does, as a server must that is to outlive it.

    Raises:
        SnapshotError: there is none, or a file of it is missing or damaged.
    """
    name = current_generation(index_path)
    while True:
        try:
            return _opened(index_path / name, first_elsewhere)
        except SnapshotError:
            # What was current may have been removed meanwhile.
            newer = current_generation(index_path)
            if newer == name:
                raise
            name = newer


def open_newest_usable(index_path: Path, *, first_elsewhere: bool = False) -> tuple[Snapshot, str | None]:
    """Return the current generation, or if it can't be used the newest that was current before, and why.

    One that was held back comes last: it is better than none. The reason names
    files by their place in the index, so that it may be shown to anybody.

    Raises:
        SnapshotError: no generation can be used; what is wrong with the current one.
    """
    try:
        return open_snapshot(index_path, first_elsewhere=first_elsewhere), None
    except SnapshotError as error:
        for one in fallbacks(index_path):
            try:
                snapshot = _opened(index_path / one.name, first_elsewhere)
            except SnapshotError:
                continue
            problem = replaced(str(error), str(index_path), index_path.name)
            if one.held is None:
                return snapshot, problem
            return snapshot, T_("%(problem)s; the one in use was held back: %(held)s", problem=problem, held=one.held)
        raise


def _opened(folder: Path, first_elsewhere: bool) -> Snapshot:
    if first_elsewhere:
        open_first_elsewhere(folder)
    return open_generation(folder)


def _in_use(index_path: Path, *, other_than: str) -> Snapshot | None:
    try:
        found, _ = open_newest_usable(index_path)
    except SnapshotError:
        return None
    return None if found.generation == other_than else found
