"""Files that are there after a power cut: what was written, and the names under which it was written.

In: paths and contents. Out: the same, known to be on the disk when the function returns. It exists because a write
and a new name are two promises of a file system, each of which has to be asked for: a file whose folder was not
synced may be gone with all its synced bytes.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until the disk has a file's bytes, or a folder's list of files.

    Raises:
        OSError: the disk is full or fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has its bytes; its name is safe once its folder is synced.

    Raises:
        OSError: the disk is full or not writable.
    """
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or as it was before, whatever happens meanwhile.

    Raises:
        OSError: the disk is full or not writable.
    """
    partial = path.with_name(f".{path.name}.partial")
    write_synced(partial, content)
    partial.replace(path)
    sync(path.parent)
