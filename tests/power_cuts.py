"""Power cuts of a recorded program, many of them, each state found on the disk given to a check.

In: the folder before, strace's record, a number of states and the check. Out: how often the check found what. It
exists so that each proof says only what must hold after a cut. Cuts come after each call that changes the disk and
after each word of the program; states are sampled with a fixed seed and no state is counted twice.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

from tests.replayed_calls import Disk
from tests.simulated_disk import State, states
from tests.system_calls import Call, read_calls

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


Check = Callable[[Path, Cut], str]
"""Looks at a folder as it is found after a cut; says in a word or more what it found."""


def outcomes(before: Path, record: Path, check: Check, *, wanted: int, processes: int, seed: int = 1) -> Counter[str]:
    """Check as many states as are wanted, or as many as there are; count what was found.

    Args:
        before: the folder as it lay safely on the disk, under the path that the record names.
        record: strace's, of the program.
        check: can be pickled if there are several processes.
        wanted: how many states.
        processes: how many of them check at the same time.
        seed: of the sampling.
    """
    if processes == 1:
        return _share(before, record, check, wanted, seed, 0, 1)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        shares = [
            pool.submit(_share, before, record, check, wanted, seed, number, processes) for number in range(processes)
        ]
        return sum((share.result() for share in shares), Counter())


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
