"""Work begun in a child of a warmed process, with strace at it: its system calls recorded, or killed at one of them.

In: a script that offers named works (`serve`), and from a test the name, an argument and strace's options. Out: how
the child ended, and strace's record. It exists because a proof by hundreds of kills can't pay for hundreds of
interpreters: a child of a process that has imported everything begins within milliseconds.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest

REPOSITORY = Path(__file__).parent.parent
PATIENCE_S = 60.0
KILLED = -signal.SIGKILL


def strace_or_skip() -> str:
    """Return the path of strace; where there is none, skip the test, or fail it if it must run here."""
    found = shutil.which("strace")
    if found is None and os.environ.get("GLORIA_STRACE_REQUIRED") == "1":
        pytest.fail("GLORIA_STRACE_REQUIRED is 1 and there is no strace")
    if found is None:
        pytest.skip("strace is not installed")
    return found


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
            assert "attached" in said, said
            self._say("go")
            status = int(self._heard())
            watching.wait(PATIENCE_S)
        finally:
            watching.kill()
            watching.wait()
            watching.stderr.close()
        return pid, status

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
        assert sys.stdin.readline() == "go\n"
        os.write(starting, b"g")
        os.close(starting)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _child(work: Callable[[Path], None], argument: Path, waiting: int) -> None:
    status = 1
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        assert os.read(waiting, 1) == b"g"
        work(argument)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
