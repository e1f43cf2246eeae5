"""A disk that is full when a test wants it: a small file system in memory, and a file that takes up the rest of it.

In: a size. Out: a folder that is a disk of its own, which `fill` leaves so many bytes of. It exists because
a full disk can't be played: SQLite, the system and our own code each find out in their own way.
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_BLOCK = 4096
_SLACK = 64 * _BLOCK


@dataclass
class SmallDisk:
    """A mounted disk; `ballast` is the file that fills it."""

    place: Path

    @property
    def ballast(self) -> Path:
        """The file that takes up room."""
        return self.place / "ballast"

    @property
    def free(self) -> int:
        """Bytes that are left."""
        disk = os.statvfs(self.place)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leaving: int) -> None:
        """Take up all but so many bytes, as nearly as blocks allow."""
        with self.ballast.open("ab") as file:
            try:
                # Most of it at once; others write at the same time, so that the last blocks go one by one.
                coarse = self.free - leaving - _SLACK
                if coarse > 0:
                    os.posix_fallocate(file.fileno(), file.tell(), coarse)
                    file.seek(0, os.SEEK_END)
                while self.free >= leaving + _BLOCK:
                    os.write(file.fileno(), b"\1" * _BLOCK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def make_room(self) -> None:
        """Give all of it back."""
        self.ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(mib: int) -> Iterator[SmallDisk]:
    """Mount a disk of so many MiB, or skip the test where that is not permitted."""
    # Not below pytest's own folder: it could not be cleared away should this process be killed.
    place = Path(tempfile.mkdtemp(prefix="gloria-disk-"))
    options = ["-t", "tmpfs", "-o", f"size={mib}m,mode=700", "tmpfs", str(place)]
    try:
        done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        place.rmdir()
        pytest.skip("there is no mount command here")
    if done.returncode:
        place.rmdir()
        pytest.skip(f"a disk of a test's own can't be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(place)
    finally:
        # Whatever still uses it: nothing else is left of it afterwards.
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()
