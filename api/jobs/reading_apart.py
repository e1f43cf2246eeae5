"""Reading an uploaded file in a process of its own, so that whatever it holds takes nothing from those who wait.

In: the bytes of a file, its name and what its rows are. Out: the same as `read_bytes` finds, in portions: what kind it
is and how much, then its problems, then its records; or its sheets alone, to be looked through before. It exists
because a small workbook can hold work for a minute, in which a thread beside the requests would take the interpreter
from all of them: a process has its own, goes behind the server where processors are few, has bounds of memory and time,
and can be ended. Run as a program it is that process: the file comes on its standard input, and what it found goes out
as pickles, since both ends are ours and the same.
"""

from __future__ import annotations

import pickle
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from api.jobs.bounds import bound
from api.jobs.job_queue import JobRefusedError
from api.jobs.opened_apart import MOST_BYTES, WITHIN_S
from indexer.records.exchange import RowProblem
from indexer.records.lists.grids import Grid
from indexer.records.lists.sheets import is_workbook, read_sheets
from indexer.records.readers import Reading, read_bytes
from indexer.vocabulary import Kind
from indexer.wording import T_

RECORDS_PER_PART = 200
PROBLEMS_PER_PART = 2_000
SMALL_BYTES = 256 * 2**10
"""A file of lines or rows of text that is no larger is read here: that takes less than a process's start."""
_LOOK_EVERY_S = 0.2
_PICKLES = pickle.HIGHEST_PROTOCOL


@dataclass(frozen=True)
class ReadApart:
    """What a file holds; its problems are to be gone through before its records."""

    kind: Kind | None
    kinds: tuple[Kind | None, ...]
    refused: int
    total: int
    problems: Callable[[], Iterator[list[RowProblem]]]
    portions: Callable[[], Iterator[Reading]]


@contextmanager
def read_apart(content: bytes, name: str, kind: Kind | None, check: Callable[[], None]) -> Iterator[ReadApart]:
    """Read the content of a file, as long as the block runs.

    Args:
        content: the file.
        name: what it is called.
        kind: what its rows are; None infers it.
        check: called now and then; what it raises ends the reading.

    Raises:
        JobRefusedError: it takes too long, or too much memory.
    """
    if len(content) <= SMALL_BYTES and not is_workbook(content):
        yield in_portions(read_bytes(content, name, kind))
        return
    program = ["api.jobs.reading_apart", name, "" if kind is None else kind.value]
    with _apart(content, program, check) as frames:
        yield _told(next(frames), frames)


def in_portions(found: Reading) -> ReadApart:
    """Return what was read here in the form of what was read apart."""
    head, *frames = _frames(found)
    return _told(head, iter(frames))


def sheets_apart(content: bytes, name: str) -> tuple[list[Grid], list[RowProblem]]:
    """Return the sheets of a file of tables, or what keeps it from being read.

    Raises:
        JobRefusedError: it takes too long, or too much memory.
    """
    if len(content) <= SMALL_BYTES and not is_workbook(content):
        return read_sheets(content, name)
    with _apart(content, ["api.jobs.opened_apart", name], lambda: None) as frames:
        found: tuple[list[Grid], list[RowProblem]] = next(frames)
        return found


@contextmanager
def _apart(content: bytes, program: list[str], check: Callable[[], None]) -> Iterator[Iterator[Any]]:
    # A group of its own: what a terminal sends to the server's is not for it, which ends when its input does.
    arguments = [sys.executable, "-m", *program]
    process = subprocess.Popen(  # noqa: S603 (our own program)
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    try:
        threading.Thread(target=_send, args=(process, content), name="reading-apart", daemon=True).start()
        del content
        yield _received(process, check)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _told(head: dict[str, Any], frames: Iterator[Any]) -> ReadApart:
    def taken(n: int) -> Iterator[Any]:
        for _ in range(n):
            yield next(frames)

    return ReadApart(
        head["kind"],
        head["kinds"],
        head["refused"],
        head["total"],
        lambda: taken(head["lists_of_problems"]),
        lambda: taken(head["portions"]),
    )


def _frames(found: Reading) -> list[Any]:
    """Return what is told of a reading: its head, lists of problems, portions."""
    readings = found.all()
    problems = [problem for one in readings for problem in one.problems]
    lists = [problems[at : at + PROBLEMS_PER_PART] for at in range(0, max(1, len(problems)), PROBLEMS_PER_PART)]
    portions = [portion for one in readings for portion in one.portions(RECORDS_PER_PART)]
    for portion in portions:
        # Each carries what is said of its own records only, or all would be sent with every one.
        keys = portion.records.keys() | portion.evidence.keys()
        portion.first_rows = {key: portion.first_rows[key] for key in keys if key in portion.first_rows}
        portion.files = {key: portion.files[key] for key in keys if key in portion.files}
        portion.given = {key: portion.given[key] for key in keys if key in portion.given}
        portion.made_ids = portion.made_ids & keys
    head = {
        "kind": found.kind,
        "kinds": tuple(one.kind for one in readings),
        "refused": sum(one.refused for one in readings),
        "total": sum(len(one.records.keys() | one.evidence.keys()) for one in readings),
        "lists_of_problems": len(lists),
        "portions": len(portions),
    }
    return [head, *lists, *portions]


def _send(process: subprocess.Popen[bytes], content: bytes) -> None:
    # One that ended before it had read all is told of by its end.
    with suppress(OSError), _open(process.stdin) as stream:
        stream.write(content)


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OSError("no pipe")
    return stream


def _received(process: subprocess.Popen[bytes], check: Callable[[], None]) -> Iterator[Any]:
    until = time.monotonic() + WITHIN_S
    stream = _open(process.stdout)
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while not selector.select(_LOOK_EVERY_S):
            check()
            if time.monotonic() > until:
                raise JobRefusedError(
                    T_("reading the file takes more than %(seconds)s s; split it", seconds=f"{WITHIN_S:.0f}")
                )
    while True:
        try:
            yield pickle.load(stream)  # noqa: S301 (our own process wrote it)
        except EOFError as error:
            raise JobRefusedError(T_("reading the file takes too much memory; split it")) from error


def _main(name: str, kind: str) -> None:
    bound(int(WITHIN_S), MOST_BYTES)
    found = read_bytes(sys.stdin.buffer.read(), name, Kind(kind) if kind else None)
    for frame in _frames(found):
        pickle.dump(frame, sys.stdout.buffer, _PICKLES)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
