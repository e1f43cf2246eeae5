"""Power cuts of a recorded program on a disk that loses what was not safe, each state found given to a check.

In: the folder before, the recorded calls, a number of states and the check. Out: the states that POSIX allows to be
found, and how often the check found what. It exists so that each proof by power cuts says only what it runs and
what must hold.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from tests.rig.faults.recorded_work import Call, read_calls

SECTORS = (512, 4096)
State = dict[str, bytes | None]
"""What is found: for each path below the root its bytes, or None for a folder."""


@dataclass(frozen=True)
class Written:
    """Bytes that were written to a file."""

    start: int
    data: bytes


@dataclass(frozen=True)
class Resized:
    """A new length."""

    size: int


@dataclass(frozen=True)
class Lengthened:
    """At least this length: room was made for bytes that did not reach the disk."""

    size: int


Change = Written | Resized | Lengthened


@dataclass
class File:
    """A file: what is safe, and what was done to it since."""

    safe: bytes = b""
    pending: list[Change] = field(default_factory=list)

    def sync(self) -> None:
        """Make everything safe."""
        self.safe, self.pending = changed(self.safe, self.pending), []


Renaming = dict[str, "File | Folder | None"]
"""Names that are given, or taken (None), together."""


@dataclass
class Folder:
    """A folder: its names as programs see them, those that are safe, and each change since."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    safe: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[Renaming] = field(default_factory=list)

    def change(self, changes: Renaming) -> None:
        """Give and take names, all together."""
        self.pending.append(changes)
        _apply(self.names, changes)

    def sync(self) -> None:
        """Make the names safe; not what lies under them."""
        self.safe, self.pending = dict(self.names), []


def states(top: Folder, chance: Random) -> Iterator[State]:
    """Yield states that may be found if the power goes now: the plain ones first, then at random without end."""
    pending = _unsafe(top)
    yield _found(top, lambda node: [])
    yield _found(top, lambda node: node.pending)
    changes = [change for node in pending for change in node.pending]
    chance.shuffle(changes)
    for one in changes:
        yield _found(top, lambda node, one=one: [change for change in node.pending if change is one])
        yield _found(top, lambda node, one=one: [change for change in node.pending if change is not one])
    while changes:
        share = chance.choice((0.2, 0.5, 0.8))
        yield _found(top, lambda node, share=share: _some(node, share, chance))


Fate = Callable[[File | Folder], "list[Any]"]
"""Which of a file's or folder's changes reached the disk."""


def changed(content: bytes, changes: Sequence[Change]) -> bytes:
    """Return a content after changes; what lies between its end and a later write is zero."""
    found = bytearray(content)
    for change in changes:
        if isinstance(change, Written):
            end = change.start + len(change.data)
            found = found.ljust(end, b"\0")
            found[change.start : end] = change.data
        else:
            found = found[: change.size] if isinstance(change, Resized) else found
            found = found.ljust(change.size, b"\0")
    return bytes(found)


def _some(node: File | Folder, share: float, chance: Random) -> Sequence[Change | Renaming]:
    """Return changes of a node that reached the disk, chosen in one of several ways."""
    if isinstance(node, Folder):
        return [change for change in node.pending if chance.random() < share]
    way = chance.choice(("any", "first", "torn", "lengths"))
    if way == "any":
        return [change for change in node.pending if chance.random() < share]
    if way == "lengths":
        return [change if chance.random() < share else _length_of(change) for change in node.pending]
    first = chance.randrange(len(node.pending) + 1)
    torn = node.pending[first : first + 1] if way == "torn" else []
    return [*node.pending[:first], *(part for change in torn for part in _sectors(change, share, chance))]


def _length_of(change: Change) -> Change:
    return Lengthened(change.start + len(change.data)) if isinstance(change, Written) else change


def _sectors(change: Change, share: float, chance: Random) -> Iterator[Change]:
    """Yield a part of a write's sectors."""
    if not isinstance(change, Written):
        return
    sector = chance.choice(SECTORS)
    at, end = change.start, change.start + len(change.data)
    while at < end:
        until = min(end, (at // sector + 1) * sector)
        if chance.random() < share:
            yield Written(at, change.data[at - change.start : until - change.start])
        at = until


def _apply(names: dict[str, File | Folder], changes: Renaming) -> None:
    for name, node in changes.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def read(path: Path) -> Folder:
    names: dict[str, File | Folder] = {}
    for below in path.iterdir():
        names[below.name] = read(below) if below.is_dir() else File(below.read_bytes())
    return Folder(names, dict(names))


def _unsafe(folder: Folder) -> list[File | Folder]:
    """Return everything with changes that are not safe, also under names that are not."""
    met: dict[int, File | Folder] = {}
    waiting: list[File | Folder | None] = [folder]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in met:
            continue
        met[id(node)] = node
        if isinstance(node, Folder):
            waiting += [*node.safe.values(), *(one for change in node.pending for one in change.values())]
    return [node for node in met.values() if node.pending]


def _found(top: Folder, fate: Fate) -> State:
    state: State = {}
    waiting: list[tuple[str, Folder]] = [("", top)]
    while waiting:
        path, folder = waiting.pop()
        names = dict(folder.safe)
        for change in fate(folder):
            _apply(names, change)
        for name, node in names.items():
            if isinstance(node, Folder):
                state[path + name] = None
                waiting.append((f"{path}{name}/", node))
            else:
                state[path + name] = changed(node.safe, fate(node)) if node.pending else node.safe
    return state


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
        """Give a file or folder another name; in another folder one change may become safe without the other."""
        source, target = call.path(0), call.path(1)
        node = self._node(source)
        if source.parent == target.parent:
            self._parent(source).change({source.name: None, target.name: node})
        else:
            self._parent(target).change({target.name: node})
            self._parent(source).change({source.name: None})
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


AT_A_POINT = 6
"""States at one cut at least; if few are wanted, points are left out instead."""
IN_VAIN = 40
"""States in a row that were met before; after so many there is nothing new at this point."""
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Cut:
    """What the program had said when the power went, and what is found on the disk."""

    number: int
    said: tuple[str, ...]
    state: State


Work = Callable[[Path], None]
Check = Callable[[Path, Cut], str]
"""Looks at a folder as it is found after a cut; says in a word or more what it found."""


def outcomes(folder: Path, work: Work, check: Check, *, wanted: int, processes: int, seed: int = 1) -> Counter[str]:
    """Record a program, check as many states as are wanted, or as many as there are, and count what was found.

    Args:
        folder: as it lies safely on the disk; what the program does to it is undone.
        work: runs the program and has strace write the record that it is given the path of.
        check: can be pickled if there are several processes.
        wanted: how many states.
        processes: how many of them check at the same time.
        seed: of the sampling.
    """
    record, safe = folder.with_name(f"{folder.name}.calls"), folder.with_name(f"{folder.name}.safe")
    shutil.copytree(folder, safe)
    work(record)
    after = _state(folder)
    shutil.rmtree(folder)
    safe.rename(folder)
    assert _replayed(folder, record) == after, "the simulated disk is not what the program left"
    if processes == 1:
        return _share(folder, record, check, wanted, seed, 0, 1)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        shares = [
            pool.submit(_share, folder, record, check, wanted, seed, number, processes) for number in range(processes)
        ]
        return sum((share.result() for share in shares), Counter())


def _state(folder: Path) -> State:
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")
    }


def _replayed(before: Path, record: Path) -> State:
    """Return what is found if everything reaches the disk, which is what programs see."""
    disk = Disk(before)
    for call in read_calls(record):
        disk.apply(call)
    _, everything = islice(states(disk.top, Random(0)), 2)
    return everything


def _share(
    before: Path, record: Path, check: Check, wanted: int, seed: int, number: int, processes: int
) -> Counter[str]:
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        for cut in cuts(before, read_calls(record), wanted, Random(seed)):
            if cut.number % processes == number:
                folder = Path(scratch) / str(cut.number)
                _lay(folder, cut.state)
                found[check(folder, cut)] += 1
                shutil.rmtree(folder)
    return found


def _lay(folder: Path, state: State) -> None:
    folder.mkdir()
    # A folder stands before what is in it, since it is found first.
    for name, content in state.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


def cuts(before: Path, calls: list[Call], wanted: int, chance: Random) -> Iterator[Cut]:
    """Yield cuts spread evenly over the program's run, no state twice for the same words."""
    points = sum(1 for _ in _points(before, calls))
    every = max(1, points * AT_A_POINT // wanted)
    found, met = 0, set[str]()
    for number, (said, disk) in enumerate(_points(before, calls), start=1):
        # Counted from the end, so that the last one is among them.
        points_left = (points - number) // every + 1
        if (points - number) % every:
            continue
        here, in_vain = -(-(wanted - found) // points_left), 0
        for state in states(disk.top, chance):
            if not here or in_vain == IN_VAIN:
                break
            mark = _mark(state, said)
            if mark in met:
                in_vain += 1
                continue
            met.add(mark)
            yield Cut(found, said, state)
            found, here, in_vain = found + 1, here - 1, 0


def _points(before: Path, calls: list[Call]) -> Iterator[tuple[tuple[str, ...], Disk]]:
    """Yield where the power may go: at the beginning, after each change, and after each word."""
    disk, said = Disk(before), list[str]()
    yield (), disk
    for call in calls:
        word = call.said
        if word is not None:
            said.append(word)
        if disk.apply(call) or word is not None:
            yield tuple(said), disk


def _mark(state: State, said: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr(said).encode())
    for name, content in sorted(state.items()):
        digest.update(f"{name} {None if content is None else len(content)}\n".encode())
        digest.update(content or b"")
    return digest.hexdigest()
