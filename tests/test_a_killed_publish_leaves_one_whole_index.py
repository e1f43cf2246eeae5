"""Whenever a publication is killed, the index is the old one or the new one, known, and the next publication succeeds.

strace kills the publisher as it enters its n-th system call that changes files, for every n.
"""

from __future__ import annotations

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from indexer.index.generations import generation_folders
from indexer.index.opening import publish
from tests.rig.faults.publication import contents_of, published
from tests.rig.faults.recorded_work import CHANGING, KILLED, OPTIONS, Call, WarmProcess, read_calls
from tests.rig.faults.small_generations import left_over, opened_as
from tests.rig.figures import figure

MODULE = "tests.rig.faults.publication"
OLDER = ("oldest", "older", "A")
"""As many as are kept, so that publishing B removes the first."""


@dataclass(frozen=True)
class Point:
    """The n-th call of a kind; what the publisher is killed in."""

    call: str
    n: int


TRIES = 5
"""Now and then a library opens /dev/null once more or less, and the call of a number is another one."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index whose current generation is A."""
    index = tmp_path_factory.mktemp("killed") / "index"
    published(index, *OLDER)
    return index


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What A, B and C answer."""
    return published(tmp_path_factory.mktemp("known") / "index", "A", "B", "C")


def _points(warm: WarmProcess, work: str, before: Path, scratch: Path) -> list[Point]:
    """Return every call of a publication that changes the index, in their order."""
    index, record = Path(shutil.copytree(before, scratch / "traced")), scratch / "record"
    publisher, status = warm.traced(work, index, record, OPTIONS)
    assert status == 0
    counts: Counter[str] = Counter()
    found = []
    for call in read_calls(record):
        if call.pid == publisher:
            counts[call.name] += 1
            if _changes(call, index):
                found.append(Point(call.name, counts[call.name]))
    return found


def _changes(call: Call, index: Path) -> bool:
    succeeded = call.result is not None and call.result >= 0
    return succeeded and (call.name in CHANGING or call.opens_to_write) and call.concerns(index)


def _killed(warm: WarmProcess, work: str, point: Point, index: Path, record: Path) -> bool:
    """Kill a publication at a point; return whether that was the call on the index that was meant."""
    kill = f"inject={point.call}:signal=SIGKILL:when={point.n}"
    _, status = warm.traced(work, index, record, ["-y", "-e", f"trace={point.call}", "-e", kill])
    *_, last, end = record.read_text().splitlines()
    assert (status, last.endswith("= ?"), end.endswith("+++ killed by SIGKILL +++")) == (KILLED, True, True), point
    return str(index) in last


def _outcome(warm: WarmProcess, work: str, point: Point, before: Path, known: dict[str, Any], scratch: Path) -> str:
    """Kill a publication at a point; return what is found then, and what is wrong with the next publication."""
    index = scratch / f"{point.call}-{point.n}" / "index"
    for _ in range(TRIES):
        shutil.rmtree(index.parent, ignore_errors=True)
        shutil.copytree(before, index)
        if _killed(warm, work, point, index, index.parent / "record"):
            break
    else:
        raise AssertionError(f"{point} was never a call on the index")
    found = opened_as(index, known)
    if found in ("A", "B"):
        publish(index, contents_of("C"))
        after = (opened_as(index, known), len(generation_folders(index)), left_over(index))
        found += "" if after == ("C", len(OLDER), []) else f", then {after}"
    shutil.rmtree(index.parent)
    return found


def _outcomes(
    work: str, before: Path, known: dict[str, Any], scratch: Path, at_most: int, side_by_side: int
) -> Counter[str]:
    """Kill a publication at its points, or at some evenly spread; count what is found."""
    idle: Queue[WarmProcess] = Queue()

    def outcome(point: Point) -> str:
        warm = idle.get()
        try:
            return _outcome(warm, work, point, before, known, scratch)
        finally:
            idle.put(warm)

    with ExitStack() as warmed, ThreadPoolExecutor(side_by_side) as pool:
        for _ in range(side_by_side):
            idle.put(warmed.enter_context(WarmProcess(MODULE)))
        warm = idle.get()
        points = _points(warm, work, before, scratch)
        idle.put(warm)
        every = max(1, len(points) // at_most)
        return Counter(pool.map(outcome, points[::every]))


@pytest.mark.parametrize(("at_most", "least"), [(10, 8), pytest.param(10_000, 60, marks=pytest.mark.long)])
def test_a_publication_killed_anywhere_leaves_the_old_or_the_new_index(
    before: Path, known: dict[str, Any], tmp_path: Path, at_most: int, least: int
) -> None:
    found = _outcomes("publish", before, known, tmp_path, at_most, 2 if at_most > least else 1)
    figure(
        "publish killed at a system call",
        points=found.total(),
        old=found["A"],
        new=found["B"],
        neither=found.total() - found["A"] - found["B"],
    )
    assert set(found) == {"A", "B"}
    assert found.total() >= least


@pytest.mark.parametrize("at_most", [20, pytest.param(120, marks=pytest.mark.long)])
def test_writing_in_place_is_found_to_break_the_index(
    before: Path, known: dict[str, Any], tmp_path: Path, at_most: int
) -> None:
    found = _outcomes("in_place", before, known, tmp_path, at_most, 2)
    broken = {what: n for what, n in found.items() if what not in ("A", "B")}
    figure("publish in place killed at a system call", points=found.total(), broken=sum(broken.values()))
    assert broken
