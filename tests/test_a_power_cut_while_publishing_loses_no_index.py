"""When the power goes during a publication the index is the old one or the new one, whole; once reported, the new one.

A publication's system calls are recorded and taken into account by `tests.rig.faults.power_cuts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from indexer.index.opening import publish
from tests.rig.faults.power_cuts import Cut, outcomes
from tests.rig.faults.publication import contents_of, published
from tests.rig.faults.recorded_work import WarmProcess
from tests.rig.faults.small_generations import left_over, opened_as
from tests.rig.figures import figure

OLDER = ("oldest", "older", "A")
"""As many as are kept, so that publishing B removes the first."""
FAULTS = ("without_sync_of_files", "without_sync_of_folders")
AGAIN = 10
"""After one of so many cuts the next publication is tried too."""


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmProcess]:
    """The program that publishes."""
    with WarmProcess("tests.rig.faults.publication") as process:
        yield process


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What A, B and C answer."""
    return published(tmp_path_factory.mktemp("known") / "index", "A", "B", "C")


def _check(folder: Path, cut: Cut, *, known: dict[str, Any], before: str) -> str:
    """Return what the index answers as after a cut, or what is wrong."""
    index = folder / "index"
    found = opened_as(index, known)
    if found not in ({"B"} if "published" in cut.said else {before, "B"}):
        return f"wrong: {found} after {cut.said}"
    if cut.number % AGAIN == 0:
        publish(index, contents_of("C"))
        after, left = opened_as(index, known), left_over(index)
        if after != "C" or left:
            return f"wrong: the next publication gave {after} and left {left}"
    return found


def _found(
    warm: WarmProcess, work: str, tmp_path: Path, known: dict[str, Any], wanted: int, older: tuple[str, ...] = OLDER
) -> Counter[str]:
    """Let a publication over older generations be recorded; count what is found after cuts of it."""
    home = tmp_path / "home"
    home.mkdir()
    published(home / "index", *older)
    check = partial(_check, known=known, before=older[-1] if older else "none")
    return outcomes(
        home, partial(warm.recorded, work, home / "index"), check, wanted=wanted, processes=2 if wanted >= 1_000 else 1
    )


def _wrong(found: Counter[str]) -> dict[str, int]:
    return {what: n for what, n in found.items() if what.startswith("wrong")}


@pytest.mark.parametrize(("states", "least"), [(80, 60), pytest.param(2_500, 2_000, marks=pytest.mark.long)])
def test_after_a_power_cut_the_index_is_the_old_or_the_new_one(
    warm: WarmProcess, tmp_path: Path, known: dict[str, Any], states: int, least: int
) -> None:
    found = _found(warm, "publish", tmp_path, known, states)
    wrong = _wrong(found)
    figure(
        "power cut while publishing", states=found.total(), old=found["A"], new=found["B"], wrong=sum(wrong.values())
    )
    assert not wrong
    assert found.total() >= least


@pytest.mark.parametrize("states", [40, pytest.param(1_000, marks=pytest.mark.long)])
def test_the_first_index_survives_a_power_cut_once_reported(
    warm: WarmProcess, tmp_path: Path, known: dict[str, Any], states: int
) -> None:
    found = _found(warm, "publish", tmp_path, known, states, older=())
    wrong = _wrong(found)
    figure("power cut while publishing first", states=found.total(), new=found["B"], wrong=sum(wrong.values()))
    assert not wrong


@pytest.mark.parametrize("states", [40, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize(("work", "older", "stays"), [("publish", ("older", "A", "B"), "B"), ("held_back", OLDER, "A")])
def test_publishing_the_same_again_or_what_is_held_back_is_never_seen(
    warm: WarmProcess, tmp_path: Path, known: dict[str, Any], work: str, older: tuple[str, ...], stays: str, states: int
) -> None:
    found = _found(warm, work, tmp_path, known, states, older)
    name = "the same again" if work == "publish" else "what is held back"
    figure(f"power cut while publishing {name}", states=found.total(), wrong=found.total() - found[stays])
    assert set(found) == {stays}


@pytest.mark.parametrize("states", [80, pytest.param(500, marks=pytest.mark.long)])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_dropped_sync_is_found(
    warm: WarmProcess, tmp_path: Path, known: dict[str, Any], fault: str, states: int
) -> None:
    found = _found(warm, fault, tmp_path, known, states)
    wrong = _wrong(found)
    figure(f"power cut while publishing {fault.replace('_', ' ')}", states=found.total(), wrong=sum(wrong.values()))
    assert wrong
