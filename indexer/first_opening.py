"""The first time that a process opens a generation: in another process, which may die of it.

In: a generation's folder. Out: nothing, or a refusal. It exists because FAISS
and its kin are written in C++: what they make of bytes that nobody foresaw can
end the process, and that must not be the server. The child has bounds on memory
and time, loads no model, and takes about a third of a second. What it opened
without harm is remembered by its name, which is the hash of its contents: equal
bytes, which are compared each time, do the same again.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

from indexer.checked_opening import open_generation
from indexer.manifest import AGAIN, SnapshotError, read_manifest
from indexer.wording import T_, recognised

BASE_BYTES = 2 * 2**30
"""Address space of the child beside that for the files: the interpreter and the libraries with their threads."""
PER_FILE_BYTE = 4
BASE_S = 60.0
BYTES_PER_S = 20e6
"""How quickly, at the slowest, a disk gives the files and the child reads them."""
PROGRAM = "indexer.first_opening"
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
            cwd=Path(__file__).parent.parent,
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
