"""A new index is taken over whole while people match; a bad one leaves the old; without one the server recovers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.database import open_engine
from indexer.encoders.query_vectors import EncodingBusyError
from indexer.index.generations import POINTER, SnapshotError
from indexer.records.profiles import Need
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.pairings import Matcher
from tests.rig.servers.served_here import Home, build_home, until, until_used

THREADS = 16


@pytest.fixture
def home(slice_of_world: Path, indexed_home: Path, tmp_path: Path) -> Iterator[Home]:
    settings = Settings(home=tmp_path / "home", database_url="", encoders="bundled-use")
    engine = open_engine(settings)
    yield build_home(settings, engine, slice_of_world, indexed_home)
    engine.dispose()


@pytest.fixture
def live(home: Home) -> Iterator[LiveMatcher]:
    live = LiveMatcher(home.settings, home.engine, check_every_s=0)
    yield live
    live.close()


def _edited(home: Home, number: int) -> None:
    lab = home.record("labs", 1)
    home.store(Kind.LABS, lab | {"summary": f"{lab['summary']} 第 {number} 版，改以量測為主。"})


def _answer(matcher: Matcher, need: Need) -> str:
    result = matcher.match(need, top=8)
    assert result.generation == matcher.snapshot.generation
    return str([(p.lab_id, p.score, p.explanation) for p in result.pairings])


def test_no_answer_mixes_two_generations(home: Home, live: LiveMatcher) -> None:
    # The same words for each thread, but needs that the memory of recent rankings keeps apart.
    needs = [replace(home.need, budget_ntd=i) for i in range(THREADS)]
    first = Matcher.open(home.settings)
    # By what an index was made of: what was taken in before is the next generation already, under another name.
    expected = {first.snapshot.inputs: _answer(first, home.need)}
    seen: set[tuple[str, str]] = set()
    stop = threading.Event()

    def work(need: Need) -> None:
        # A pause, or sixteen busy threads would keep the interpreter from the one that opens the index.
        while not stop.wait(0.2):
            matcher = live.current()
            seen.add((matcher.snapshot.inputs, _answer(matcher, need)))

    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(work, need) for need in needs]
        try:
            for number in range(3):
                _edited(home, number)
                made = home.reindex()
                published = Matcher.open(home.settings)
                expected[published.snapshot.inputs] = _answer(published, home.need)
                until_used(live, made)
        finally:
            stop.set()
        for future in done:
            future.result()
    assert seen <= set(expected.items())
    assert len(seen) >= 3
    # The control: the four generations do answer differently.
    assert len(set(expected.values())) == 4


def _damage(home: Home, generation: str) -> Path:
    path = home.settings.index_path / generation / "vectors-0.faiss"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return path


def test_a_bad_generation_leaves_the_old_one_until_it_is_mended(home: Home, live: LiveMatcher) -> None:
    old = live.current().snapshot.generation
    answer = _answer(live.current(), home.need)
    pointer = home.settings.index_path / POINTER
    _edited(home, 1)
    made = home.reindex()
    _damage(home, made)
    # The damage was there before the server could look: it opens every byte of what it takes over.
    until(lambda: live.current() is not None and live.state().problem is not None)
    assert f"{made}/vectors-0.faiss is damaged" in str(live.state().problem)
    assert (live.current().snapshot.generation, _answer(live.current(), home.need)) == (old, answer)
    assert pointer.read_text() == made
    assert home.reindex() == made
    until_used(live, made)
    assert live.state().problem is None


def test_a_pointer_to_nothing_leaves_the_old_one(home: Home, live: LiveMatcher) -> None:
    old = live.current()
    (home.settings.index_path / POINTER).write_text("0123456789abcdef")
    wrong = "names the generation 0123456789abcdef, which is not there"
    until(lambda: live.current() is not None and wrong in str(live.state().problem))
    assert live.current().index.searcher is old.index.searcher


def test_a_server_without_an_index_finds_it_once_there_is_one(home: Home, live: LiveMatcher) -> None:
    generation = live.current().snapshot.generation
    shutil.rmtree(home.settings.index_path)
    # One that runs goes on; one that starts has nothing to go on with.
    assert live.current().snapshot.generation == generation
    late = LiveMatcher(home.settings, home.engine, check_every_s=0)
    for _ in range(2):
        with pytest.raises(SnapshotError, match="there is no index"):
            late.current()
    assert late.state().generation is None
    assert "there is no index" in str(late.state().problem)
    assert home.reindex() == generation
    assert late.current().snapshot.generation == generation
    assert (late.state().problem, late.state().generation) == (None, generation)
    late.close()


def test_an_index_of_other_encoders_is_refused(home: Home) -> None:
    other = home.settings.model_copy(update={"encoders": "bundled-use,bundled-minilm"})
    late = LiveMatcher(other, home.engine, check_every_s=0)
    with pytest.raises(SnapshotError, match="the settings name bundled-use, bundled-minilm"):
        late.current()
    late.close()


def test_warming_makes_everything_ready(home: Home, live: LiveMatcher) -> None:
    assert live.state().models_ready is False
    live.warm()
    state = live.state()
    assert (state.models_ready, state.problem, state.labs) == (True, None, len(live.current().snapshot.lab_ids))


def test_a_closing_server_answers_no_new_need(home: Home, live: LiveMatcher) -> None:
    matcher = live.current()
    live.close()
    with pytest.raises(EncodingBusyError):
        matcher.match(replace(home.need, title="全新的題目"))
