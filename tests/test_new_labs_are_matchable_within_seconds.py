"""A new, changed or deleted lab is matched as it is now within seconds, in every process, without a re-index."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.database import open_engine, writing
from indexer.encoders.embeddings import CacheError, EmbeddingCache
from indexer.index.building import reindex
from indexer.index.generations import POINTER
from indexer.records.importing import import_rows
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.pairings import Matcher, MatchResult
from tests.rig.servers.served_here import Home, build_home, until, until_used
from tests.rig.worlds.edits_of_a_day import delete_lab

WITHIN_S = 5.0
NEW = "質子交換膜的鹽霧老化試驗"


def _built(settings: Settings, engine: Engine, folder: Path, indexed_home: Path) -> Home:
    # A cache of the test's own: what is encoded here must not be known to others.
    cache = settings.home.parent / "cache"
    cache.mkdir()
    (cache / "embeddings.db").write_bytes((indexed_home / "embeddings.db").read_bytes())
    return build_home(settings, engine, folder, cache)


@pytest.fixture
def home(slice_of_world: Path, indexed_home: Path, tmp_path: Path) -> Iterator[Home]:
    settings = Settings(home=tmp_path / "home", database_url="", encoders="bundled-use")
    engine = open_engine(settings)
    yield _built(settings, engine, slice_of_world, indexed_home)
    engine.dispose()


@pytest.fixture
def on_either_database(settings: Settings, engine: Engine, slice_of_world: Path, indexed_home: Path) -> Home:
    return _built(settings, engine, slice_of_world, indexed_home)


Opened = Callable[..., LiveMatcher]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Live matchers over a home, as processes of one server have them; each is ready."""
    made: list[LiveMatcher] = []

    def one(home: Home, **arguments: Any) -> LiveMatcher:
        live = LiveMatcher(home.settings, home.engine, check_every_s=0, **arguments)
        made.append(live)
        live.warm()
        return live

    yield one
    for live in made:
        live.close()


def _shown(live: LiveMatcher, home: Home) -> list[str]:
    return [p.lab_id for p in live.current().match(home.need, top=1000).pairings]


def _until_taken_in(live: LiveMatcher) -> float:
    """Wait until the index knows all records; return how long it took."""
    started = time.monotonic()
    until(lambda: live.current().stale == () and live._renewal.knows(live._wanted()))
    return time.monotonic() - started


def _as_built_anew(home: Home, live: LiveMatcher) -> None:
    """Check that what a need is answered is what an index built now answers."""

    def told(result: MatchResult) -> MatchResult:
        return replace(result, generation="", created_at="")

    now = told(live.current().match(home.need, top=1000))
    home.reindex()
    assert now == told(Matcher.open(home.settings).match(home.need, top=1000))


def test_a_new_lab_is_proposed(on_either_database: Home, opened: Opened) -> None:
    home = on_either_database
    live, other = opened(home), opened(home)
    before = _shown(live, home)
    model = home.lab(before[0])
    home.store(Kind.LABS, model | {"id": "lab-new", "name": "全新實驗室", "evidence": []})
    assert max(_until_taken_in(live), _until_taken_in(other)) < WITHIN_S
    assert sorted(_shown(live, home)) == sorted(_shown(other, home)) == sorted([*before, "lab-new"])
    state = live.state()
    assert (state.not_indexed, state.taken_in, state.problem) == (0, 1, None)
    assert live.current().match_lab("lab-new", [home.need])
    _as_built_anew(home, live)


def test_a_changed_lab_is_ranked_and_quoted_by_its_new_text(home: Home, opened: Opened) -> None:
    live = opened(home)
    last = _shown(live, home)[-1]
    home.store(Kind.LABS, home.lab(last) | {"summary": f"{home.need.title}。{home.need.description} {NEW}"})
    assert _until_taken_in(live) < WITHIN_S
    found = live.current().match(home.need, top=3)
    assert found.pairings[0].lab_id == last
    assert not any(p.changed_since_index for p in found.pairings)
    assert found.warnings == ()
    assert live.current().search_labs(NEW).labs[0].lab.id == last
    _as_built_anew(home, live)


def test_a_deleted_lab_no_longer_counts_in_anything(home: Home, opened: Opened) -> None:
    live = opened(home)
    gone, *rest = _shown(live, home)
    with writing(home.engine) as session:
        delete_lab(session, gone)
    assert _shown(live, home) == rest
    assert _until_taken_in(live) < WITHIN_S
    assert gone not in live.current().snapshot.lab_ids
    _as_built_anew(home, live)


def test_a_changed_school_and_a_full_lab_need_no_new_index(home: Home, opened: Opened) -> None:
    live = opened(home)
    _until_taken_in(live)
    before = live.current().index
    first, *rest = _shown(live, home)
    home.store(Kind.SCHOOLS, home.record("schools") | {"city": "新城"})
    home.store(Kind.LABS, home.lab(first) | {"capacity": 0})
    assert _shown(live, home) == rest
    _until_taken_in(live)
    assert live.current().index is before
    _as_built_anew(home, live)


def test_new_needs_move_no_other_needs_ranking(home: Home, opened: Opened) -> None:
    live = opened(home)
    _until_taken_in(live)
    index, before = live.current().index, live.current().match(home.need, top=1000)
    for number in range(30):
        need = home.record("needs", number % 3) | {"id": f"need-new-{number}", "title": f"第 {number} 項：{NEW}"}
        home.store(Kind.NEEDS, need)
    assert _until_taken_in(live) < WITHIN_S
    assert live.current().index is index
    assert live.current().match(home.need, top=1000) == before
    _as_built_anew(home, live)
    # The control: a lab does move something.
    home.store(Kind.LABS, home.lab(before.pairings[0].lab_id) | {"summary": NEW})
    _until_taken_in(live)
    assert live.current().index is not index
    assert live.current().match(home.need, top=1000).pairings != before.pairings


def test_without_taking_in_it_takes_a_reindex(home: Home, opened: Opened) -> None:
    """The control."""
    live = opened(home, takes_in=False)
    before = _shown(live, home)
    home.store(Kind.LABS, home.lab(before[0]) | {"id": "lab-new", "name": "全新實驗室", "evidence": []})
    for _ in range(20):
        assert _shown(live, home) == before
        time.sleep(0.05)
    assert live.state().not_indexed == 1
    until_used(live, home.reindex())
    assert sorted(_shown(live, home)) == sorted([*before, "lab-new"])


def test_the_next_generation_absorbs_it(home: Home, opened: Opened) -> None:
    live = opened(home)
    built = live.state()
    home.store(Kind.LABS, home.lab(_shown(live, home)[0]) | {"summary": NEW})
    _until_taken_in(live)
    state = live.state()
    assert state.generation is not None
    assert state.generation.startswith(f"{built.generation}+")
    assert (state.on_disk, state.created_at, state.taken_in) == (built.generation, built.created_at, 1)
    pairings = live.current().match(home.need, top=1000).pairings
    made = home.reindex()
    until_used(live, made)
    state = live.state()
    assert (state.generation, state.on_disk, state.taken_in) == (made, made, 0)
    assert live.current().match(home.need, top=1000).pairings == pairings


def test_nothing_is_taken_in_while_what_it_makes_is_held_back(home: Home, opened: Opened) -> None:
    live = opened(home)
    base = live.state().generation
    lab = home.record("labs", 1)
    home.store(Kind.LABS, lab | {"summary": f"{lab['summary']} {NEW}"})
    _until_taken_in(live)
    # The control: it was taken in before anybody judged it.
    assert live.state().generation != base
    with writing(home.engine) as session:
        held = reindex(session, home.settings, judge=lambda new, current: "ranks worse").generation
    until(lambda: live.current().snapshot.generation == base)
    assert live.state().problem == f"nothing is taken in while generation {held} is held back: ranks worse"
    home.store(Kind.LABS, lab | {"summary": f"{lab['summary']} {NEW} {NEW}"})
    # Nobody is told to wait for what will not come by itself.
    until(lambda: any("run: gloria reindex" in one.en for one in live.current().stale))
    # Generations are dated to the second, and one of the very second of the one held back would not be newer.
    time.sleep(1)
    with writing(home.engine) as session:
        used = reindex(session, home.settings, full=True).generation
    until(lambda: live.current().snapshot.generation == used)
    until(lambda: live.state().problem is None)


def test_an_edit_during_the_night_is_not_lost_when_the_night_publishes(home: Home, opened: Opened) -> None:
    live = opened(home)
    made = home.reindex()
    home.store(Kind.LABS, home.lab(_shown(live, home)[0]) | {"id": "lab-new", "name": "全新實驗室", "evidence": []})
    _until_taken_in(live)
    seen, stop = set(), threading.Event()

    def look() -> None:
        while not stop.wait(0.01):
            seen.add("lab-new" in live.current().snapshot.lab_ids)

    thread = threading.Thread(target=look)
    thread.start()
    # Published again: another pointer to what the day began with.
    (home.settings.index_path / POINTER).write_text(made)
    time.sleep(1)
    _until_taken_in(live)
    stop.set()
    thread.join()
    assert seen == {True}


def test_a_server_that_starts_late_takes_in_what_it_missed(home: Home, opened: Opened) -> None:
    shown = _shown(opened(home, takes_in=False), home)
    home.store(Kind.LABS, home.lab(shown[0]) | {"id": "lab-new", "name": "全新實驗室", "evidence": []})
    live = opened(home)
    # Ready at once with what there is; the rest follows in the background.
    assert live.state().models_ready
    assert _until_taken_in(live) < WITHIN_S
    assert "lab-new" in _shown(live, home)


def test_edits_within_a_moment_are_taken_in_together(home: Home, opened: Opened) -> None:
    live = opened(home)
    generations = {live.current().snapshot.generation}
    lab = home.lab(_shown(live, home)[0])
    for number in range(25):
        home.store(Kind.LABS, lab | {"summary": f"{NEW}，第 {number} 版"})
        generations.add(live.current().snapshot.generation)
    _until_taken_in(live)
    generations.add(live.current().snapshot.generation)
    assert len(generations) < 12
    assert any("第 24 版" in passage.text for passage in live.current().snapshot.passages)


def test_what_goes_wrong_leaves_the_old_and_is_told(
    home: Home, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = opened(home)
    before = _shown(live, home)
    _until_taken_in(live)

    def full(*_: Any, **__: Any) -> None:
        raise CacheError("the embedding cache can't be used: disk is full")

    monkeypatch.setattr("matcher.ranking.opened.opened_index.AGAIN_AFTER_S", 0.2)
    with monkeypatch.context() as broken:
        broken.setattr(EmbeddingCache, "embed", full)
        home.store(Kind.LABS, home.lab(before[0]) | {"id": "lab-new", "name": "全新實驗室", "evidence": []})
        until(lambda: live.current() is not None and live.state().problem is not None)
        told = (
            "what changed since the index was built can't be taken in: the embedding cache can't be used: disk is full"
        )
        assert live.state().problem == told
        assert (_shown(live, home), live.state().not_indexed) == (before, 1)
        assert (
            "just taking in what changed in the records (1 new labs)" in live.current().match(home.need).warnings[0].en
        )
    _until_taken_in(live)
    assert live.state().problem is None
    assert "lab-new" in _shown(live, home)


def test_a_request_does_not_wait_for_an_import(home: Home, opened: Opened) -> None:
    live = opened(home)
    _until_taken_in(live)
    lab = home.lab(_shown(live, home)[0])
    many = [
        lab | {"id": f"lab-new-{n:03}", "summary": f"第 {n} 個。{lab['summary']}", "evidence": []} for n in range(40)
    ]
    with writing(home.engine) as session:
        assert import_rows(session, Kind.LABS, many).problems == []
    waits = []
    while live.state().taken_in < len(many):
        started = time.monotonic()
        # A text that nobody knows: it is encoded beside what the import brought.
        live.current().match(replace(home.need, title=f"{NEW} {len(waits)}"), top=3)
        waits.append(time.monotonic() - started)
    assert waits
    assert statistics.median(waits) < WITHIN_S
