"""Publishes generation B over an index, as a program that may be killed at any moment.

In: requests of `tests.rig.faults.recorded_work`. Out: the publication, and "published" once it is reported as done. It
exists to be traced and killed; beside the product's own way it offers ways with one promise taken out, which a proof
must find.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from indexer.index.generations import HeldBackError
from indexer.index.opening import publish
from indexer.index.snapshot import Contents
from tests.rig.faults.recorded_work import serve
from tests.rig.faults.small_generations import TEXTS, answers, small_contents


def contents_of(name: str) -> Contents:
    """Return the contents of a generation by its name; B has a text more than all others."""
    return small_contents(name, (*TEXTS, "離岸風電的疲勞監測") if name == "B" else TEXTS)


def published(index: Path, *names: str) -> dict[str, Any]:
    """Publish generations one after the other; return the answers of each by its name."""
    return {name: answers(publish(index, contents_of(name))) for name in names}


def publish_b(index: Path) -> None:
    """Publish B and say so."""
    publish(index, contents_of("B"))
    print("published", flush=True)


def _held_back(index: Path) -> None:
    """Publish B, which is judged not good enough."""
    try:
        publish(index, contents_of("B"), judge=lambda new, current: "it is worse")
    except HeldBackError:
        print("held back", flush=True)


def _in_place(index: Path) -> None:
    """Publish without renames: what has a name already is written over."""

    def copy(source: Path, target: Any) -> None:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            Path(target).write_bytes(source.read_bytes())

    Path.rename = Path.replace = copy  # type: ignore[assignment,method-assign]
    publish_b(index)


def _without_sync_of_files(index: Path) -> None:
    _drop_syncs(stat.S_ISREG)
    publish_b(index)


def _without_sync_of_folders(index: Path) -> None:
    _drop_syncs(stat.S_ISDIR)
    publish_b(index)


def _drop_syncs(of_kind: Any) -> None:
    fsync = os.fsync

    def chosen(descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        if not of_kind(os.fstat(number).st_mode):
            fsync(descriptor)

    os.fsync = chosen


WORKS = {
    "publish": publish_b,
    "held_back": _held_back,
    "in_place": _in_place,
    "without_sync_of_files": _without_sync_of_files,
    "without_sync_of_folders": _without_sync_of_folders,
}


def main() -> None:
    """Publish once, so that all is imported, and wait for requests."""
    with tempfile.TemporaryDirectory() as scratch:
        published(Path(scratch) / "index", "B")
    serve(WORKS)


if __name__ == "__main__":
    main()
