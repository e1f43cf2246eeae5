"""A record of system calls as strace writes it, read back: which call, on which path, with which bytes.

In: the lines of `strace -f -y -xx -s 100000000`. Out: `Call` objects in the order in which the calls returned. It
exists for tests that ask what a program did to its files, call by call.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPTIONS = ("-y", "-xx", "-s", "100000000", "-e", "trace=%file,%desc", "-e", "signal=none")
"""What strace is to write so that `read_calls` can read it."""
CHANGING = frozenset(
    (
        *("creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile"),
        *("truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range"),
        *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
        *("mkdir", "mkdirat", "rmdir", "utimensat", "chmod", "fchmod", "fchmodat"),
    )
)
"""Calls that may change what is on the disk, beside those that open for writing."""
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?|0x[0-9a-f]+)(?:[ <].*)?$", re.DOTALL)
_UNFINISHED = re.compile(r"(\d+) +(\w+)\((.*?),? *<unfinished \.\.\.>$", re.DOTALL)
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_DESCRIPTOR = re.compile(r"(-?\d+|AT_FDCWD)(?:<(.*?)>(\(deleted\))?)?$", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """One system call: `arguments` as strace writes them, `result` None where the process ended in it."""

    pid: int
    name: str
    arguments: tuple[str, ...]
    result: int | None

    @property
    def opens_to_write(self) -> bool:
        """Whether it opened a file in a way that may change it or its folder."""
        return self.name in ("open", "openat") and any("O_WR" in one or "O_RDWR" in one for one in self.arguments)

    def descriptor(self, place: int = 0) -> int:
        """Return a descriptor among the arguments."""
        found = _DESCRIPTOR.match(self.arguments[place])
        assert found is not None, self
        return int(found[1])

    def path_of(self, place: int = 0) -> Path | None:
        """Return the path that a descriptor among the arguments stands for, None if that file has no name any more."""
        found = _DESCRIPTOR.match(self.arguments[place])
        assert found is not None, self
        return None if found[2] is None or found[3] else Path(os.fsdecode(_bytes(found[2])))

    def path(self, place: int) -> Path:
        """Return a path among the arguments; one that follows a folder's descriptor is seen from that folder."""
        named = Path(os.fsdecode(self.data(place)))
        before = _DESCRIPTOR.match(self.arguments[place - 1]) if place else None
        if named.is_absolute() or before is None or before[2] is None:
            return named
        return Path(os.fsdecode(_bytes(before[2]))) / named

    def data(self, place: int) -> bytes:
        """Return the bytes of a string among the arguments."""
        text = self.arguments[place]
        assert text.startswith('"'), self
        assert text.endswith('"'), f"strace cut {self.name} short"
        return _bytes(text[1:-1])

    @property
    def said(self) -> str | None:
        """What the program printed by this call, None if it is another kind of call or but the end of a line."""
        return self.data(1).decode().strip() or None if self.name == "write" and self.descriptor() == 1 else None

    def concerns(self, path: Path | str) -> bool:
        """Whether a path, one below it, or one with this part stands among the arguments."""
        return any(_hex(path) in argument for argument in self.arguments)


def read_calls(record: Path) -> list[Call]:
    """Return the calls of a record in the order in which they returned; a call that a kill ended has no result."""
    return list(_calls(record))


def _calls(record: Path) -> Iterator[Call]:
    begun: dict[str, str] = {}
    for written in record.read_text(encoding="ascii").splitlines():
        if unfinished := _UNFINISHED.match(written):
            begun[unfinished[1]] = f"{unfinished[1]} {unfinished[2]}({unfinished[3]}"
            continue
        resumed = _RESUMED.match(written)
        line = begun.pop(resumed[1]) + resumed[3] if resumed else written
        if found := _LINE.match(line):
            arguments = tuple(found[3].split(", "))
            yield Call(int(found[1]), found[2], arguments, None if found[4] == "?" else int(found[4], 0))
        else:
            # How a process ended or was signalled.
            assert "+++" in line or "---" in line, line


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _hex(path: Path | str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(path))
