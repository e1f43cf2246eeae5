"""Small files that unfold into gigabytes, and paths without an end: refused in words, soon, in little memory."""

from __future__ import annotations

import multiprocessing
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from indexer.database import open_engine
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.rig.faults.damaged_files import QUICK, SHEET, SLOW, Bomb, book, sheet_of
from tests.rig.faults.imports_apart import LIMIT_MB, LIMIT_S, Outcome, attempt_path
from tests.rig.figures import figure


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    open_engine(Settings(home=home, database_url="")).dispose()
    return home / "gloria.db"


def _imported(path: Path, template: Path) -> Outcome:
    """Import in a process of its own, begun small, so that its memory is what the import took."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.rig.faults.imports_apart"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(attempt_path, path, template, Kind.COMPANIES).result()


@pytest.mark.parametrize("bombs", [QUICK, pytest.param(QUICK + SLOW, marks=pytest.mark.long)], ids=["quick", "all"])
def test_bombs(bombs: tuple[Bomb, ...], template: Path, tmp_path: Path) -> None:
    outcomes: dict[str, Outcome] = {}
    crashes = 0
    for bomb in bombs:
        folder = tmp_path / bomb.__name__
        folder.mkdir()
        path, words = bomb(folder)
        outcomes[bomb.__name__] = outcome = _imported(path, template)
        if path.is_file():
            path.unlink()
        told = " ".join((*outcome.messages, *(fault for fault in outcome.faults if fault.startswith("raised OSError"))))
        assert words in told, (bomb.__name__, outcome)
        faults = [fault for fault in outcome.faults if not fault.startswith("raised OSError")]
        crashes += sum(fault.startswith("raised") for fault in faults)
        assert faults == [], bomb.__name__
    assert len(outcomes) >= 12
    longest, most = max(o.seconds for o in outcomes.values()), max(o.peak_mb for o in outcomes.values())
    assert (longest < LIMIT_S, most < LIMIT_MB) == (True, True)
    figure("import bombs", bombs=len(outcomes), crashes=crashes, longest_cpu_s=round(longest, 1), most_mb=round(most))


@pytest.mark.long
def test_a_reader_without_its_limits_is_found(tmp_path: Path) -> None:
    """The same measurement sees what a parser takes that builds the elements before it counts them."""
    path = book(tmp_path, xl__worksheets__sheet1_xml=sheet_of("", '<x a=""/>', 1_700_000, ""))
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(_peak_of_tree, path).result() > LIMIT_MB


def _peak_of_tree(path: Path) -> float:
    from xml.etree import ElementTree

    from tests.rig.faults.imports_apart import peak_mb

    with zipfile.ZipFile(path) as archive, archive.open(SHEET) as file:
        ElementTree.parse(file)  # noqa: S314 (what must not be done with strangers' files, to see what it takes)
    return peak_mb()
