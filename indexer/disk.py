"""Files that are there after a power cut, and locks that a crash releases.

In: paths and contents. Out: what was written and the names under which it was written, known to be on the disk when
the function returns; and a context in which no other process or thread holds the lock of a path, waited for or
refused at once with who holds it. It exists because a write and a new name are two promises of a file system, each
of which has to be asked for, and because rebuilding a model and publishing an index replace folders: whatever
half-written folder is found under the lock can only be what a crash left behind.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from indexer.wording import T_


class DiskReserve:
    """How much of a disk is kept free of all that can wait: so many MB, of a small disk a tenth."""

    def __init__(self, folder: Path, reserve_mb: int) -> None:
        self._folder, self._bytes = folder, reserve_mb * 1_000_000
        self._looked_at, self._free, self._kept = float("-inf"), 0, 0

    def holds(self, more: int = 0, part: float = 1.0) -> bool:
        """Whether the reserve is whole, also with so many bytes more; with `part` whether that much of it is.

        The disk is looked at once a second; one that can't be looked at is taken for good.
        """
        if not self._bytes:
            return True
        at = time.monotonic()
        if at - self._looked_at > _LOOK_EVERY_S:
            try:
                disk = os.statvfs(self._folder)
            except OSError:
                return True
            self._free = disk.f_bavail * disk.f_frsize
            self._kept = min(self._bytes, disk.f_blocks * disk.f_frsize // 10)
            self._looked_at = at
        if self._free - more < self._kept * part:
            return False
        # What is written until then is not seen before the next look.
        self._free -= more
        return True

    @property
    def kept_mb(self) -> int:
        """How many MB are kept, as of the last look."""
        return round(self._kept / 1e6)


_LOOK_EVERY_S = 1.0


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


_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, and since when; None where whoever holds it has not written that down yet."""

    process: int | None
    since: datetime | None


class HeldError(RuntimeError):
    """Another process holds the lock; `holder` says which."""

    def __init__(self, path: Path, holder: Holder) -> None:
        super().__init__(
            T_(
                "%(path)s is held by process %(process)s since %(since)s",
                path=path,
                process=holder.process,
                since=holder.since,
            )
        )
        self.holder = holder


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


@contextmanager
def exclusive_now(path: Path, *, patience_s: float = 1.0) -> Iterator[None]:
    """Hold the lock file `path` and write into it who does; never waits for whoever works under it.

    Args:
        path: the lock file; created beside its folder, and stays.
        patience_s: for how long to try, because whoever asks for the holder holds it for a moment too.

    Raises:
        HeldError: another process holds it.
        OSError: the folder is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        until = time.monotonic() + patience_s
        while not _taken(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise HeldError(path, _written(path))
            time.sleep(_LOOK_EVERY_S)
        file.truncate(0)
        file.write(f"{os.getpid()} {datetime.now(UTC).isoformat(timespec='seconds')}\n")
        file.flush()
        yield


def holder(path: Path) -> Holder | None:
    """Return who holds a lock taken by `exclusive_now`, None if nobody does."""
    try:
        with path.open("r") as file:
            return None if _taken(file.fileno(), fcntl.LOCK_SH) else _written(path)
    except FileNotFoundError:
        return None


def _taken(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written(path: Path) -> Holder:
    process, _, since = path.read_text().strip().partition(" ")
    try:
        return Holder(int(process), datetime.fromisoformat(since))
    except ValueError:
        return Holder(None, None)
