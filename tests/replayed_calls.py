"""What a recorded program did to the simulated disk: its system calls, taken into account one after the other.

In: a folder as it lay safely on the disk, and the calls of `tests.system_calls`. Out: the disk after each. It exists
apart from the disk's rules so that these can be read alone. A call that it doesn't know stops it, so that nothing that
a program did is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.simulated_disk import File, Folder, Resized, Written, read
from tests.system_calls import Call

SHARED_MEMORY = "-shm"
"""The end of the name of SQLite's shared memory, which is a file in name only: no restart reads what is in it."""


class UnknownCallError(AssertionError):
    """The model doesn't know what a call does to the disk."""


class Disk:
    """What a program did to the folder `root`, call by call."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.top = read(root)
        self._positions: dict[tuple[int, int], int] = {}

    def apply(self, call: Call) -> bool:
        """Take the next call into account; return whether it changed what may be found after a cut.

        Raises:
            UnknownCallError: it is one that the model doesn't know.
        """
        if call.result is None or call.result < 0 or not call.concerns(self._root) or call.concerns(SHARED_MEMORY):
            return False
        if call.name in READING:
            return False
        known = CALLS.get(call.name)
        if known is None:
            raise UnknownCallError(f"{call.name}{call.arguments}")
        return known(self, call)

    def _file(self, call: Call) -> File | None:
        path = call.path_of(0)
        # A file without a name can't be found after a cut.
        if path is None or not path.is_relative_to(self._root):
            return None
        found = self._node(path)
        assert isinstance(found, File), call
        return found

    def _node(self, path: Path) -> File | Folder | None:
        found: File | Folder | None = self.top
        for part in path.relative_to(self._root).parts:
            assert isinstance(found, Folder), path
            found = found.names.get(part)
        return found

    def _parent(self, path: Path) -> Folder:
        found = self._node(path.parent)
        assert isinstance(found, Folder), path
        return found

    def open(self, call: Call) -> bool:
        """Open a file, perhaps creating or emptying it."""
        path, flags = call.path(1), call.arguments[2]
        if not path.is_relative_to(self._root):
            return False
        if "O_APPEND" in flags or "O_TMPFILE" in flags:
            raise UnknownCallError(f"{call.name}{call.arguments}")
        assert call.result is not None
        self._positions[call.pid, call.result] = 0
        found = self._node(path)
        if found is None:
            self._parent(path).change({path.name: File()})
        elif isinstance(found, File) and "O_TRUNC" in flags:
            found.pending.append(Resized(0))
        else:
            return False
        return True

    def write(self, call: Call) -> bool:
        """Write where the descriptor stands."""
        place = (call.pid, call.descriptor())
        start = self._positions[place]
        assert call.result is not None
        self._positions[place] = start + call.result
        return self._write(call, start)

    def write_at(self, call: Call) -> bool:
        """Write at a place."""
        return self._write(call, int(call.arguments[3]))

    def _write(self, call: Call, start: int) -> bool:
        file = self._file(call)
        if file is not None and call.result:
            file.pending.append(Written(start, call.data(1)[: call.result]))
        return file is not None

    def read(self, call: Call) -> bool:
        """Read on."""
        place = (call.pid, call.descriptor())
        if place in self._positions:
            self._positions[place] += call.result or 0
        return False

    def seek(self, call: Call) -> bool:
        """Go to another place."""
        self._positions[call.pid, call.descriptor()] = call.result or 0
        return False

    def resize(self, call: Call) -> bool:
        """Give a file another length."""
        file = self._file(call)
        if file is not None:
            file.pending.append(Resized(int(call.arguments[1])))
        return file is not None

    def sync(self, call: Call) -> bool:
        """Make a file's content or a folder's names safe."""
        path = call.path_of(0)
        found = None if path is None else self._node(path)
        if found is not None:
            found.sync()
        return found is not None

    def make_folder(self, call: Call) -> bool:
        """Make a folder."""
        path = call.path(int(call.name == "mkdirat"))
        self._parent(path).change({path.name: Folder()})
        return True

    def remove(self, call: Call) -> bool:
        """Take a name away."""
        path = call.path(int(call.name == "unlinkat"))
        self._parent(path).change({path.name: None})
        return True

    def rename(self, call: Call) -> bool:
        """Give a file or folder another name in its folder."""
        source, target = call.path(0), call.path(1)
        if source.parent != target.parent:
            raise UnknownCallError(f"from folder to folder: {call.name}{call.arguments}")
        self._parent(source).change({source.name: None, target.name: self._node(source)})
        return True

    def map(self, call: Call) -> bool:
        """Map a file into memory to read it."""
        if "MAP_SHARED" in call.arguments[3] and "PROT_WRITE" in call.arguments[2]:
            raise UnknownCallError(f"{call.name}{call.arguments}")
        return False


CALLS: dict[str, Callable[[Disk, Call], bool]] = {
    "openat": Disk.open,
    "write": Disk.write,
    "pwrite64": Disk.write_at,
    "read": Disk.read,
    "lseek": Disk.seek,
    "ftruncate": Disk.resize,
    "fsync": Disk.sync,
    "fdatasync": Disk.sync,
    "mkdir": Disk.make_folder,
    "mkdirat": Disk.make_folder,
    "rmdir": Disk.remove,
    "unlink": Disk.remove,
    "unlinkat": Disk.remove,
    "rename": Disk.rename,
    "mmap": Disk.map,
}
READING = frozenset(
    (
        *("access", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "getcwd"),
        *("readlink", "readlinkat", "getdents64", "pread64", "ioctl", "fcntl", "flock", "close", "fadvise64"),
        # Dates, rights and owners are no part of what is looked at.
        *("utimensat", "chmod", "fchmod", "chown", "fchown"),
    )
)
