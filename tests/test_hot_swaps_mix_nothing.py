"""While the index is swapped again and again under many searches, each answer is of one index from start to end."""

from __future__ import annotations

import gc
import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from indexer.database import open_engine, writing
from indexer.index.building import reindex
from indexer.records.importing import import_rows
from indexer.records.profiles import Need
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.opened.opened_index import OpenedIndex
from matcher.ranking.pairings import Matcher
from tests.rig.figures import figure

THREADS = 4
SHOWN = 3
GROWTH_MB = 50
WARM_UP_SHARE = 0.2
WORDS = ("量測", "薄膜", "水質", "馬達", "電池", "影像")
"""Each lab's own word; in every edition another lab has said it more often."""
_EDITION = re.compile(r"第 (\d+) 版")

Answer = tuple[tuple[str, int, float, str], ...]
"""For each lab shown its id, rank, score and explanation."""


@dataclass
class World:
    """A database with a few labs, all of one edition, and the index of it."""

    settings: Settings
    engine: Engine
    need: Need = field(init=False)

    def edit(self, edition: int) -> None:
        """Rewrite all labs in one transaction."""
        rows = [_lab(place, edition) for place in range(len(WORDS))]
        with writing(self.engine) as session:
            assert import_rows(session, Kind.LABS, rows).problems == []

    def publish(self) -> str:
        """Build the index anew."""
        with writing(self.engine) as session:
            return reindex(session, self.settings).generation


def _lab(place: int, edition: int) -> dict[str, object]:
    more = WORDS[(place + edition) % len(WORDS)]
    summary = f"第 {edition} 版：{WORDS[place]}與{'、'.join([more] * (1 + edition % 4))}的研究。"
    return {"id": f"lab-{place}", "name": f"實驗室 {place}", "summary": summary}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = Settings(home=tmp_path / "home", database_url="", encoders="bundled-use", threads=1)
    engine = open_engine(settings)
    asks = [{"kind": "technology", "text": "薄膜 水質 馬達"}]
    with writing(engine) as session:
        need = {"id": "need-1", "title": "量測薄膜", "description": "電池的影像量測", "asks": asks}
        assert import_rows(session, Kind.NEEDS, [need]).problems == []
    made = World(settings, engine)
    made.edit(0)
    made.publish()
    made.need = Matcher.open(settings).need("need-1")
    yield made
    engine.dispose()


@dataclass
class Searches:
    """What many threads that search over one live matcher have seen."""

    live: LiveMatcher
    need: Need
    seen: dict[str, Counter[Answer]] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    done: int = 0
    due: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Searches:
        self._threads = [threading.Thread(target=self._search, args=[start]) for start in range(THREADS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _search(self, start: int) -> None:
        # Every other need was asked before: both what is ranked now and what is remembered must be of one index.
        for number in itertools.count(start, THREADS):
            if self._stop.is_set():
                return
            if self.done >= self.due:
                # Enough for now: searching goes on while the index is swapped, but leaves it a core to be built on.
                time.sleep(0.005)
            try:
                self._one(replace(self.need, budget_ntd=number // 2 if number % 2 else number % 64))
            except BaseException as error:
                self.errors.append(error)
                return

    def _one(self, need: Need) -> None:
        matcher = self.live.current()
        result = matcher.match(need, top=SHOWN)
        answer = tuple((p.lab_id, p.rank, p.score, str(p.explanation)) for p in result.pairings)
        editions = {edition for *_, told in answer for edition in _EDITION.findall(told)}
        with self._lock:
            self.done += 1
            if len(editions) != 1 or len(answer) != SHOWN:
                self.mixed.append(f"{result.generation}: editions {sorted(editions)}")
            self.seen.setdefault(result.generation, Counter())[answer] += 1

    def wait_for(self, generation: str, searches: int) -> None:
        """Wait until a generation (or what rests on it, given with its `+`) is used and so many searches were done."""
        until = time.monotonic() + 60
        self.due = searches
        while self.done < searches or not self.live.state().generation.startswith(generation):
            assert not self.errors, self.errors
            assert time.monotonic() < until, (self.done, searches, generation, self.live.state())
            time.sleep(0.005)


def _resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def _swapped(world: World, live: LiveMatcher, swaps: int, each: int) -> tuple[Searches, dict[str, Answer], float]:
    """Swap again and again under searches: what was taken in and what was published in turn.

    Returns what was seen, what each published generation answers in peace, and the growth of memory in megabytes.
    """
    live.warm()
    peace: dict[str, Answer] = {}
    on_disk, warm_mb = live.current().snapshot.generation, 0.0
    with Searches(live, world.need) as searches:
        for swap in range(swaps):
            if swap % 2 == 0:
                world.edit(swap + 1)
                searches.wait_for(f"{on_disk}+", (swap + 1) * each)
            else:
                on_disk = world.publish()
                searches.wait_for(on_disk, (swap + 1) * each)
            if swap == int(swaps * WARM_UP_SHARE):
                warm_mb = _resident_mb()
        grown_mb = _resident_mb() - warm_mb
    for name in searches.seen:
        if (world.settings.index_path / name).is_dir():
            (world.settings.index_path / "CURRENT").write_text(name)
            result = Matcher.open(world.settings).match(world.need, top=SHOWN)
            peace[name] = tuple((p.lab_id, p.rank, p.score, str(p.explanation)) for p in result.pairings)
    return searches, peace, grown_mb


@pytest.mark.parametrize(("swaps", "each"), [(6, 60), pytest.param(100, 1_000, marks=pytest.mark.long)])
def test_no_answer_mixes_two_indexes(world: World, swaps: int, each: int) -> None:
    live = LiveMatcher(world.settings, world.engine, check_every_s=0.05)
    searches, peace, grown_mb = _swapped(world, live, swaps, each)
    live.close()
    mixed = [*searches.mixed, *(name for name, answers in searches.seen.items() if len(answers) != 1)]
    figure(
        "hot swaps",
        swaps=len(searches.seen) - 1,
        searches=searches.done,
        threads=THREADS,
        mixed=len(mixed),
        errors=len(searches.errors),
        memory_growth_mb=round(grown_mb, 1),
    )
    assert (mixed, searches.errors) == ([], [])
    assert searches.done >= swaps * each
    assert len(searches.seen) > swaps
    assert grown_mb <= GROWTH_MB
    # The generations that are still there answer alone as they answered under load, and each otherwise.
    assert len(peace) >= 2
    assert {name: next(iter(searches.seen[name])) for name in peace} == peace
    assert len({answer for answers in searches.seen.values() for answer in answers}) >= swaps // 2


class Torn(LiveMatcher):
    """Swaps in two steps, as a matcher that is changed in place would be."""

    def _swap_in(self, index: OpenedIndex) -> None:
        matcher = self._matcher
        if matcher is not None and index is not matcher.index:
            matcher.index = index
            # Long enough for searches to be begun and ended also where other tests run beside.
            time.sleep(0.5)
            with self._changing:
                if self._matcher is not None:
                    self._put(index, self._matcher.catalogue, self._seen)


def test_a_swap_in_two_steps_is_noticed(world: World) -> None:
    """The control."""
    live = Torn(world.settings, world.engine, check_every_s=0.05)
    searches, _, _ = _swapped(world, live, 4, 60)
    live.close()
    assert searches.mixed or any(len(answers) != 1 for answers in searches.seen.values())
