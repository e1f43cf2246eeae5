"""Work begun in a child of a warmed process, with strace at it: its system calls recorded, or killed at one of them.

In: a script that offers named works (`serve`), and from a test the name, an argument and strace's options. Out: how
the child ended, and its calls, each with its path and bytes, in the order in which they returned. It exists because
a proof by hundreds of kills can't pay for hundreds of interpreters: a child of a process that has imported
everything begins within milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import pytest

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


REPOSITORY = Path(__file__).parents[3]
PATIENCE_S = 60.0
_PR_SET_PTRACER = 0x59616D61
_GO = "go"
KILLED = -signal.SIGKILL


def strace_or_skip() -> str:
    """Return the path of strace; where there is none, skip the test, or fail it if it must run here."""
    found = shutil.which("strace")
    return found if found is not None else _leave_out("strace is not installed")


def _leave_out(reason: str) -> NoReturn:
    if os.environ.get("GLORIA_STRACE_REQUIRED") == "1":
        pytest.fail(f"GLORIA_STRACE_REQUIRED is 1, and {reason}")
    pytest.skip(reason)


class WarmProcess:
    """A process of `python -m MODULE` that begins works on request; to be used by one thread at a time."""

    def __init__(self, module: str) -> None:
        self._strace = strace_or_skip()
        # One thread of arithmetic: the threads of a pool don't survive a fork.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._heard() == "ready"

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.kill()
        self._server.wait()
        for stream in (self._server.stdin, self._server.stdout):
            assert stream is not None
            stream.close()

    def traced(self, work: str, argument: Path, record: Path, options: Sequence[str]) -> tuple[int, int]:
        """Run a work with strace at it.

        Args:
            work: its name.
            argument: what it is given.
            record: where strace writes its record; each line begins with a process id.
            options: what strace is to record or to do.

        Returns:
            The child's process id and how it ended: 0, another exit status, or minus the number of a signal.
        """
        self._say(f"{work} {argument}")
        pid = int(self._heard())
        watching = subprocess.Popen(
            [self._strace, "-f", "-p", str(pid), "-o", str(record), *options], stderr=subprocess.PIPE
        )
        assert watching.stderr is not None
        try:
            said = _line(watching.stderr.fileno())
            if "attached" not in said:
                _leave_out(f"strace can't watch a process here: {said}")
            self._say(_GO)
            status = int(self._heard())
            watching.wait(PATIENCE_S)
        finally:
            watching.kill()
            watching.wait()
            watching.stderr.close()
        return pid, status

    def recorded(self, work: str, argument: Path, record: Path) -> None:
        """Run a work to its end and write all its system calls to `record`, for `tests.rig.faults.recorded_work`."""
        _, status = self.traced(work, argument, record, OPTIONS)
        assert status == 0, f"{work} ended with {status}"

    def _say(self, line: str) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(line.encode() + b"\n")
        self._server.stdin.flush()

    def _heard(self) -> str:
        assert self._server.stdout is not None
        return _line(self._server.stdout.fileno())


def _line(descriptor: int) -> str:
    """Read one line without reading further, however long it takes to come, up to the limit."""
    until, found = time.monotonic() + PATIENCE_S, b""
    while not found.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
        assert readable, f"nothing more was said after {found!r}"
        piece = os.read(descriptor, 1)
        assert piece, f"ended after {found!r}"
        found += piece
    return found.decode().strip()


def serve(works: Mapping[str, Callable[[Path], None]]) -> None:
    """Begin works in children as standard input asks for them, until it ends.

    What a child prints goes nowhere, but is seen by strace as a write to descriptor 1.
    """
    print("ready", flush=True)
    while line := sys.stdin.readline():
        work, _, argument = line.strip().partition(" ")
        waiting, starting = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(starting)
            _child(works[work], Path(argument), waiting)
        os.close(waiting)
        print(pid, flush=True)
        assert sys.stdin.readline().strip() == _GO
        os.write(starting, b"g")
        os.close(starting)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _child(work: Callable[[Path], None], argument: Path, waiting: int) -> None:
    status = 1
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        # Where only a parent may watch its children, strace is allowed to all the same.
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
        assert os.read(waiting, 1) == b"g"
        work(argument)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
