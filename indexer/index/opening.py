"""An index generation published and opened: whole or not at all, and only if every byte is right.

In: what a generation is to hold, or the folder of all generations. Out: a folder with a manifest that names every
file's size and sha256, and the immutable `Snapshot` read from it, or a refusal that says what is wrong. It exists
because a damaged vector file answers wrongly without a word (4,470 of 17,874 damaged FAISS files did). So every
byte is compared with the manifest, no header is believed that announces more than its file holds, counts must be
those of the manifest, and the generation must give the answers that it gave when it was made.

The first time that a process opens a generation it lets another one do so, which may die of it: FAISS and its kin
are written in C++, and what they make of bytes that nobody foresaw can end the process, which must not be the
server. The child has bounds on memory and time, loads no model, and takes about a third of a second. What it opened
without harm is remembered by its name, which is the hash of its contents: equal bytes, which are compared each
time, do the same again.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from indexer.index.generations import (
    AGAIN,
    SnapshotError,
    current_generation,
    fallbacks,
    publish_generation,
    read_manifest,
    verified_manifest,
)
from indexer.index.snapshot import (
    Contents,
    Snapshot,
    check_known_answers,
    facts_of,
    known_answers,
    read_files,
    write_files,
)
from indexer.wording import T_, recognised, replaced


def open_generation(folder: Path) -> Snapshot:
    """Return a generation after checking every byte, every count and its known answers.

    Raises:
        SnapshotError: something is missing, damaged or not as it was made.
    """
    manifest = verified_manifest(folder)
    try:
        snapshot = read_files(folder, manifest)
        _check_counts(snapshot, manifest)
        check_known_answers(snapshot, manifest["canaries"])
    except Exception as error:
        # Whatever a damaged file makes a library say: it is the file.
        said = str(error) or type(error).__name__
        raise SnapshotError(
            T_("%(folder)s can't be read (%(said)s); %(again)s", folder=folder, said=said, again=AGAIN)
        ) from error
    return snapshot


def _check_counts(snapshot: Snapshot, manifest: dict[str, Any]) -> None:
    counts = {"labs": len(snapshot.lab_ids), "passages": len(snapshot.passages)}
    if counts != manifest["counts"]:
        raise ValueError(T_("it has %(counts)s instead of %(expected)s", counts=counts, expected=manifest["counts"]))
    if np.any(np.diff(snapshot.lab_of_passage) < 0):
        raise ValueError(T_("its passages do not stand lab by lab"))
    for field in snapshot.fields:
        rows = field.rows
        if rows.shape != (field.index.size,) or (
            rows.size and not 0 <= rows.min() <= rows.max() < len(snapshot.passages)
        ):
            raise ValueError(T_("the vectors of %(name)s are not those of its passages", name=field.name))


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
        facts={**facts_of(contents), "canaries": known_answers(contents)},
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
            return _opened_generation(index_path / name, first_elsewhere)
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
                snapshot = _opened_generation(index_path / one.name, first_elsewhere)
            except SnapshotError:
                continue
            problem = replaced(str(error), str(index_path), index_path.name)
            if one.held is None:
                return snapshot, problem
            return snapshot, T_("%(problem)s; the one in use was held back: %(held)s", problem=problem, held=one.held)
        raise


def _opened_generation(folder: Path, first_elsewhere: bool) -> Snapshot:
    if first_elsewhere:
        open_first_elsewhere(folder)
    return open_generation(folder)


def _in_use(index_path: Path, *, other_than: str) -> Snapshot | None:
    try:
        found, _ = open_newest_usable(index_path)
    except SnapshotError:
        return None
    return None if found.generation == other_than else found


BASE_BYTES = 2 * 2**30
"""Address space of the child beside that for the files: the interpreter and the libraries with their threads."""
PER_FILE_BYTE = 4
BASE_S = 60.0
BYTES_PER_S = 20e6
"""How quickly, at the slowest, a disk gives the files and the child reads them."""
PROGRAM = "indexer.index.opening"
_REFUSED = 3

_opened: set[str] = set()
_remembering = threading.Lock()


def open_first_elsewhere(folder: Path) -> None:
    """Let a child process open a generation, unless this process has seen one do so.

    Raises:
        SnapshotError: the child refused it, died of it or took too long.
        OSError: no process can be started.
    """
    read_manifest(folder)
    with _remembering:
        if folder.name in _opened:
            return
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    _open_elsewhere(folder, size)
    with _remembering:
        _opened.add(folder.name)


def _open_elsewhere(folder: Path, size: int) -> None:
    limit_s = BASE_S + size / BYTES_PER_S
    # One thread: each further one of the arithmetic's reserves address space.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", PROGRAM, str(folder.resolve()), str(size)]
    try:
        done = subprocess.run(  # noqa: S603 (our own program and a folder of our own)
            command,
            cwd=Path(__file__).parents[2],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SnapshotError(
            T_(
                "%(folder)s can't be opened within %(limit_s)s s; %(again)s",
                folder=folder,
                limit_s=f"{limit_s:.0f}",
                again=AGAIN,
            )
        ) from None
    if done.returncode == _REFUSED:
        told = done.stdout.decode(errors="replace").replace(str(folder.resolve()), str(folder))
        raise SnapshotError(recognised(told))
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        said = f": {last[0]}" if last else ""
        raise SnapshotError(
            T_(
                "%(folder)s can't be opened: a process ended of it (%(returncode)s%(said)s); %(again)s",
                folder=folder,
                returncode=done.returncode,
                said=said,
                again=AGAIN,
            )
        )


def main() -> int:
    """Open the folder that is named on the command line; the exit status tells."""
    folder, size = Path(sys.argv[1]), int(sys.argv[2])
    most = BASE_BYTES + PER_FILE_BYTE * size
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        open_generation(folder)
    except SnapshotError as error:
        sys.stdout.buffer.write(str(error).encode())
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
