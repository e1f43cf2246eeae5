"""A new index is taken over whole while people match; a bad one leaves the old; without one the server recovers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from indexer.batching import EncodingBusyError
from indexer.generation import POINTER
from indexer.profiles import Need
from indexer.settings import Settings
from indexer.snapshot import SnapshotError
from indexer.vocabulary import Kind
from matcher.live import LiveMatcher
from matcher.pairings import Matcher, MatchResult
from tests.live_home import Home, build_home, until, until_used

THREADS = 16


@pytest.fixture
def home(settings: Settings, engine: Engine, slice_of_world: Path, indexed_home: Path) -> Home:
    if engine.dialect.name != "sqlite":
        pytest.skip("the index is on the disk, whatever the database")
    return build_home(settings, engine, slice_of_world, indexed_home)


@pytest.fixture
def live(home: Home) -> Iterator[LiveMatcher]:
    live = LiveMatcher(home.settings, home.engine, check_every_s=0)
    yield live
    live.close()


def _edited(home: Home, number: int) -> None:
    lab = home.record("labs", 1)
    home.store(Kind.LABS, lab | {"summary": f"{lab['summary']} 第 {number} 版，改以量測為主。"})


def _answer(matcher: Matcher, need: Need) -> tuple[str, list[tuple[str, float, object]]]:
    result = matcher.match(need, top=1000)
    return result.generation, [(p.lab_id, p.score, p.explanation) for p in result.pairings]


def test_no_answer_mixes_two_generations(home: Home, live: LiveMatcher) -> None:
    needs = [replace(home.need, id=f"need-{i}", budget_ntd=i) for i in range(THREADS)]
    expected = dict([_answer(Matcher.open(home.settings), home.need)])
    seen: set[str] = set()
    wrong: list[str] = []
    stop = threading.Event()

    def work(need: Need) -> None:
        while not stop.is_set():
            matcher = live.current()
            generation, answer = _answer(matcher, need)
            seen.add(generation)
            if generation != matcher.snapshot.generation or answer != expected.get(generation):
                wrong.append(generation)

    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(work, need) for need in needs]
        try:
            for number in range(3):
                _edited(home, number)
                made = home.reindex()
                # Known before anybody can use it: publishing and taking over are apart only here.
                expected |= dict([_answer(Matcher.open(home.settings), home.need)])
                until_used(live, made)
        finally:
            stop.set()
        for future in done:
            future.result()
    assert wrong == []
    assert seen <= expected.keys()
    assert len(seen) >= 3
    # The control: the generations do answer differently.
    assert len({str(answer) for answer in expected.values()}) == 4
