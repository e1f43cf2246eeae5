"""A disk that loses power: which states may be found on it then.

In: folders and files, each with what is safe and the changes that are not yet. Out: states that POSIX allows to be
found. A change of a file's content is safe once the file was synced, a name once its
folder was; of what is not yet safe any part may have reached the disk, in any order: of a write any of its sectors, of
a longer file the length without the bytes. A rename within a folder happens whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

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
