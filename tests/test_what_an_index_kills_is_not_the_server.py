"""An index that ends or blocks whoever opens it is opened by a process of its own first: the server outlives it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import Session

from indexer.database import open_engine
from indexer.index import opening
from indexer.index.building import reindex
from indexer.index.generations import SnapshotError, current_generation
from indexer.index.opening import open_newest_usable, open_snapshot, publish
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher
from tests.rig.faults.damaged_indexes import make_fit
from tests.rig.faults.small_generations import TEXTS, small_contents
from tests.rig.servers.served_here import Home, build_home, until, until_used

KILLED = r"can't be opened: a process ended of it \(-11\)"


@pytest.fixture
def home(slice_of_world: Path, indexed_home: Path, tmp_path: Path) -> Iterator[Home]:
    settings = Settings(home=tmp_path / "home", database_url="", encoders="bundled-use")
    engine = open_engine(settings)
    yield build_home(settings, engine, slice_of_world, indexed_home)
    engine.dispose()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    made = tmp_path / "index"
    publish(made, small_contents())
    return made


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From now on nothing has been opened before, and the process that opens first dies as `DYING` says."""
    monkeypatch.setattr(opening, "_opened", set())
    monkeypatch.setattr(opening, "PROGRAM", "tests.rig.faults.dying_reader")
    return monkeypatch


def test_a_crash_is_a_stated_refusal(index: Path, dying: pytest.MonkeyPatch) -> None:
    dying.setenv("DYING", "crash")
    name = current_generation(index)
    for _ in range(2):
        with pytest.raises(SnapshotError, match=f"{index / name} {KILLED}; run: gloria reindex --full"):
            open_snapshot(index, first_elsewhere=True)
    with pytest.raises(SnapshotError, match=KILLED):
        publish(index, small_contents("second", TEXTS[:2]))
    # What can't be opened never becomes the current one.
    assert current_generation(index) == name
    # A command that opens its index once takes no second process.
    assert open_snapshot(index).generation == name


def test_one_that_takes_too_long_is_given_up(index: Path, dying: pytest.MonkeyPatch) -> None:
    dying.setenv("DYING", "hang")
    dying.setattr(opening, "BASE_S", 0.5)
    with pytest.raises(SnapshotError, match="can't be opened within"):
        open_snapshot(index, first_elsewhere=True)


def test_one_that_takes_too_much_memory_is_refused(index: Path, dying: pytest.MonkeyPatch) -> None:
    folder = index / current_generation(index)
    path = folder / "vectors-0.faiss"
    content = bytearray(path.read_bytes())
    # 64 gigabytes, in a file of a hundred bytes.
    content[37:45] = struct.pack("<Q", 2**34)
    path.write_bytes(content)
    make_fit(index, folder)
    with pytest.raises(SnapshotError, match="not the header of 3 vectors of 6 dimensions"):
        open_snapshot(index)
    # The control: without that look the child is what it ends, or what says so.
    dying.setenv("DYING", "no look at the header")
    with pytest.raises(SnapshotError, match=r"bad_alloc|MemoryError|ended of it"):
        open_snapshot(index, first_elsewhere=True)


def test_it_is_asked_once_for_each_generation(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_opened", set())
    name = open_snapshot(index, first_elsewhere=True).generation
    monkeypatch.setattr(opening, "PROGRAM", "tests.rig.faults.dying_reader")
    monkeypatch.setenv("DYING", "crash")
    assert open_snapshot(index, first_elsewhere=True).generation == name
    found, problem = open_newest_usable(index, first_elsewhere=True)
    assert (found.generation, problem) == (name, None)
    # The control: in a process that has not seen it open, the child would be asked, and die.
    monkeypatch.setattr(opening, "_opened", set())
    with pytest.raises(SnapshotError, match="ended of it"):
        open_snapshot(index, first_elsewhere=True)


def test_a_server_goes_on_with_what_it_has(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveMatcher(home.settings, home.engine, check_every_s=0)
    first = live.current().snapshot.generation
    home.store(Kind.LABS, home.record("labs", 1) | {"summary": "面板翹曲"})
    made = home.reindex()
    with monkeypatch.context() as dying:
        # As if another program had published it.
        dying.setattr(opening, "_opened", set())
        dying.setattr(opening, "PROGRAM", "tests.rig.faults.dying_reader")
        dying.setenv("DYING", "crash")
        until(lambda: live.current() is not None and live.state().newest_problem is not None)
        assert live.current().snapshot.generation == first
        assert "a process ended of it" in str(live.state().newest_problem)
        assert live.current().match(home.need).pairings
    with Session(home.engine) as session:
        reindex(session, home.settings, full=True)
    until_used(live, made)
    live.close()
