"""Publishes generation B over an index, as a program that may be killed at any moment.

In: requests of `tests.warm_process`. Out: the publication, and "published" once it is reported as done. It exists to
be traced and killed; beside the product's own way it offers ways with one promise taken out, which a proof must find.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from indexer.snapshot import publish
from tests.small_generations import TEXTS, small_contents
from tests.warm_process import serve

B_TEXTS = (*TEXTS, "離岸風電的疲勞監測")


def publish_b(index: Path) -> None:
    """Publish B and say so."""
    publish(index, small_contents("B", B_TEXTS))
    print("published", flush=True)


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
    "in_place": _in_place,
    "without_sync_of_files": _without_sync_of_files,
    "without_sync_of_folders": _without_sync_of_folders,
}


def main() -> None:
    """Publish once, so that all is imported, and wait for requests."""
    with tempfile.TemporaryDirectory() as scratch:
        publish(Path(scratch) / "index", small_contents("B", B_TEXTS))
    serve(WORKS)


if __name__ == "__main__":
    main()
