"""One process at a time: a lock that a crash releases.

In: a path. Out: a context in which no other process or thread holds the lock
of that path. It exists because rebuilding a model and publishing an index
replace folders, and whatever half-written folder is found under the lock can
only be what a crash left behind.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, which is created beside its folder and stays; waits until it is free.

    Raises:
        OSError: the folder is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # The system releases it when the file is closed, also by a crash.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
