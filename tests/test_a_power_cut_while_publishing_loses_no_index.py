"""When the power goes during a publication the index is the old one or the new one, whole; once reported, the new one.

A publication's system calls are recorded and taken into account by `tests.simulated_disk`.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from indexer.snapshot import SnapshotError, open_snapshot, publish
from tests.figures import figure
from tests.power_cuts import Cut, outcomes
from tests.publishing_once import B_TEXTS
from tests.small_generations import answers, small_contents
from tests.system_calls import OPTIONS
from tests.warm_process import WarmProcess

OLDER = ("oldest", "older", "A")
"""As many as are kept, so that publishing B removes the first."""
FAULTS = ("without_sync_of_files", "without_sync_of_folders")
AGAIN = 10
"""After one of so many cuts the next publication is tried too."""


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmProcess]:
    """The program that publishes."""
    with WarmProcess("tests.publishing_once") as process:
        yield process


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What A, B and C answer."""
    index = tmp_path_factory.mktemp("whole") / "index"
    made = {"A": small_contents("A"), "B": small_contents("B", B_TEXTS), "C": small_contents("C")}
    return {name: answers(publish(index, contents)) for name, contents in made.items()}


def _opened(index: Path, whole: dict[str, Any]) -> str:
    try:
        found = answers(open_snapshot(index))
    except SnapshotError as error:
        return "none" if "there is no index" in str(error) else f"refused: {error}"
    return next((name for name, expected in whole.items() if expected == found), "a mixture")


def _check(folder: Path, cut: Cut, *, whole: dict[str, Any], before: str) -> str:
    """Return what the index answers as after a cut, or what is wrong."""
    index = folder / "index"
    found = _opened(index, whole)
    if found not in ({"B"} if "published" in cut.said else {before, "B"}):
        return f"wrong: {found} after {cut.said}"
    if cut.number % AGAIN == 0:
        publish(index, small_contents("C"))
        left = sorted(path.name for path in index.iterdir() if path.name.startswith("."))
        if _opened(index, whole) != "C" or left != [".lock"]:
            return f"wrong: the next publication left {left}"
    return found


def _found(
    warm: WarmProcess, work: str, tmp_path: Path, whole: dict[str, Any], wanted: int, older: tuple[str, ...] = OLDER
) -> Counter[str]:
    """Record a publication over older generations; count what is found after cuts of it."""
    home, safe, record = tmp_path / "home", tmp_path / "safe", tmp_path / "record"
    home.mkdir()
    for name in older:
        publish(home / "index", small_contents(name))
    shutil.copytree(home, safe)
    assert warm.traced(work, home / "index", record, OPTIONS)[1] == 0
    shutil.rmtree(home)
    safe.rename(home)
    check = partial(_check, whole=whole, before=older[-1] if older else "none")
    return outcomes(home, record, check, wanted=wanted, processes=2 if wanted >= 1_000 else 1)


def _wrong(found: Counter[str]) -> dict[str, int]:
    return {what: n for what, n in found.items() if what.startswith("wrong")}


@pytest.mark.parametrize(("states", "least"), [(80, 60), pytest.param(2_500, 2_000, marks=pytest.mark.long)])
def test_after_a_power_cut_the_index_is_the_old_or_the_new_one(
    warm: WarmProcess, tmp_path: Path, whole: dict[str, Any], states: int, least: int
) -> None:
    found = _found(warm, "publish", tmp_path, whole, states)
    wrong = _wrong(found)
    figure(
        "power cut while publishing", states=found.total(), old=found["A"], new=found["B"], wrong=sum(wrong.values())
    )
    assert not wrong
    assert found.total() >= least


@pytest.mark.parametrize("states", [40, pytest.param(1_000, marks=pytest.mark.long)])
def test_the_first_index_survives_a_power_cut_once_reported(
    warm: WarmProcess, tmp_path: Path, whole: dict[str, Any], states: int
) -> None:
    found = _found(warm, "publish", tmp_path, whole, states, older=())
    wrong = _wrong(found)
    figure("power cut while publishing first", states=found.total(), new=found["B"], wrong=sum(wrong.values()))
    assert not wrong


@pytest.mark.parametrize("states", [80, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_dropped_sync_is_found(
    warm: WarmProcess, tmp_path: Path, whole: dict[str, Any], fault: str, states: int
) -> None:
    found = _found(warm, fault, tmp_path, whole, states)
    wrong = _wrong(found)
    figure(f"power cut while publishing {fault}", states=found.total(), wrong=sum(wrong.values()))
    assert wrong
