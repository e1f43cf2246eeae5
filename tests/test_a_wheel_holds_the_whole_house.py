"""A wheel built of the tree holds every module, and every file of data that lies beside one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROOMS = ("api", "fixtures", "indexer", "matcher")
_FOR_READERS = "fixtures/screenshots/"
"""Pictures of the README, which no installed program shows."""
_MADE = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "*.egg-info")
_BUILD = "import sys, setuptools.build_meta as made; made.build_wheel(sys.argv[1])"


def _files(tree: Path) -> set[str]:
    found = {path.relative_to(tree).as_posix() for room in ROOMS for path in (tree / room).rglob("*") if path.is_file()}
    return {path for path in found if not path.startswith(_FOR_READERS)}


def _wheel(tree: Path, out: Path) -> set[str]:
    """Build a wheel, without a network, and return what it holds beside its own papers."""
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(out)], cwd=tree, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        return {name for name in held.namelist() if ".dist-info/" not in name}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what is built from, since building leaves folders behind."""
    made = tmp_path / "tree"
    for room in ROOMS:
        shutil.copytree(REPOSITORY / room, made / room, ignore=_MADE)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, made)
    return made


def test_the_wheel_holds_what_the_tree_holds(tree: Path, tmp_path: Path) -> None:
    before = _files(tree)
    assert _wheel(tree, tmp_path / "out") == before


def test_a_new_room_comes_along_and_a_kind_of_data_that_nobody_declared_is_missed(tree: Path, tmp_path: Path) -> None:
    """Control: the comparison sees a file that a wheel lacks."""
    room = tree / "matcher" / "a_new_room"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "idea.py").touch()
    (room / "table.parquet").touch()
    before = _files(tree)
    assert before - _wheel(tree, tmp_path / "out") == {"matcher/a_new_room/table.parquet"}
