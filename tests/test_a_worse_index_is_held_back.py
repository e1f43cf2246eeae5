"""An index that is judged worse is kept with the reason but not used, until somebody says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session

from indexer.database import open_engine
from indexer.index.building import ReindexReport, reindex
from indexer.index.generations import HELD, UNFINISHED, HeldBackError, Listed, current_generation, kept_generations
from indexer.index.opening import Judge, open_newest_usable, open_snapshot, publish
from indexer.index.snapshot import Contents, Snapshot
from indexer.records.record_tables import last_changes
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.conftest import Gloria
from tests.rig.faults.small_generations import small_contents
from tests.rig.servers.served_here import Home, build_home
from tests.rig.worlds.small_world import asked

REASON = "nDCG@10 0.41 instead of 0.63"


@pytest.fixture
def home(slice_of_world: Path, indexed_home: Path, tmp_path: Path) -> Iterator[Home]:
    settings = Settings(home=tmp_path / "home", database_url="", encoders="bundled-use")
    engine = open_engine(settings)
    yield build_home(settings, engine, slice_of_world, indexed_home)
    engine.dispose()


def _edited(home: Home, text: str) -> None:
    lab = home.record("labs", 1)
    home.store(Kind.LABS, lab | {"summary": f"{lab['summary']} {text}"})


def _reindexed(home: Home, judge: Judge | None = None, *, full: bool = False) -> ReindexReport:
    with Session(home.engine) as session:
        return reindex(session, home.settings, judge=judge, full=full)


def _worse(new: Snapshot, current: Snapshot | None) -> str | None:
    return REASON


def _fine(new: Snapshot, current: Snapshot | None) -> str | None:
    return None


def _listed(index: Path, name: str) -> Listed:
    return next(one for one in kept_generations(index) if one.name == name)


def test_it_is_kept_with_its_reason_and_the_one_before_stays(home: Home) -> None:
    index = home.settings.index_path
    old = current_generation(index)
    seen: list[tuple[str, str | None]] = []

    def judge(new: Snapshot, current: Snapshot | None) -> str | None:
        seen.append((new.generation, current.generation if current else None))
        return REASON

    _edited(home, "改以量測為主。")
    report = _reindexed(home, judge)
    assert (report.held_back, report.changed) == (REASON, False)
    assert report.generation != old
    assert seen == [(report.generation, old)]
    assert current_generation(index) == open_snapshot(index).generation == old
    assert _listed(index, report.generation).held == REASON
    assert _listed(index, old).held is None


def test_only_a_full_run_uses_it_in_spite_of_that(home: Home) -> None:
    index = home.settings.index_path
    old = current_generation(index)
    _edited(home, "改以量測為主。")
    held = _reindexed(home, _worse).generation
    again = _reindexed(home)
    assert (again.generation, again.held_back, again.changed) == (held, REASON, False)
    assert current_generation(index) == old
    used = _reindexed(home, full=True)
    assert (used.generation, used.held_back, used.changed) == (held, None, True)
    assert (current_generation(index), _listed(index, held).held) == (held, None)


def test_other_records_make_another_index_that_is_used(home: Home) -> None:
    _edited(home, "改以量測為主。")
    held = _reindexed(home, _worse).generation
    _edited(home, "再改一次。")
    report = _reindexed(home)
    assert (report.held_back, report.generation != held) == (None, True)
    assert current_generation(home.settings.index_path) == report.generation


def test_a_better_verdict_uses_it(home: Home) -> None:
    _edited(home, "改以量測為主。")
    held = _reindexed(home, _worse).generation
    assert _reindexed(home, _fine).generation == held
    assert current_generation(home.settings.index_path) == held
    # What is in use already is not judged again.
    assert _reindexed(home, _worse, full=True).held_back is None


def _damage(index: Path, generation: str) -> None:
    path = index / generation / "labs.json"
    path.write_bytes(path.read_bytes()[:-1])


def _held(index: Path, contents: Contents) -> str:
    with pytest.raises(HeldBackError, match=REASON) as held:
        publish(index, contents, judge=_worse)
    return held.value.generation


def test_what_was_in_use_once_stands_in_before_it(tmp_path: Path) -> None:
    index = tmp_path / "index"
    first, second = (publish(index, small_contents(name)).generation for name in ("first", "second"))
    held = _held(index, small_contents("third"))
    _damage(index, second)
    size = (index / second / "labs.json").stat().st_size
    found, problem = open_newest_usable(index)
    assert found.generation == first
    expected = f"index/{second}/labs.json has {size} bytes instead of {size + 1}; run: gloria reindex --full"
    assert problem == expected
    # Better than none at all.
    _damage(index, first)
    found, problem = open_newest_usable(index)
    assert found.generation == held
    assert str(problem).endswith(f"the one in use was held back: {REASON}")


def test_many_held_ones_never_push_out_what_may_stand_in(tmp_path: Path) -> None:
    index = tmp_path / "index"
    used = [publish(index, small_contents(name)).generation for name in ("first", "second")]
    held = [_held(index, small_contents(f"poor {number}")) for number in range(3)]
    assert {path.name for path in index.glob("[!.]*/")} == {*used, held[-1]}


def test_a_run_that_died_before_the_verdict_leaves_what_nobody_falls_back_to(home: Home) -> None:
    index = home.settings.index_path
    old = current_generation(index)

    def die(new: Snapshot, current: Snapshot | None) -> str | None:
        raise KeyboardInterrupt

    _edited(home, "改以量測為主。")
    with pytest.raises(KeyboardInterrupt):
        _reindexed(home, die)
    (left,) = [one for one in kept_generations(index) if not one.is_current]
    assert (current_generation(index), left.held) == (old, UNFINISHED)
    # It was never judged, so a plain run does not take it for held back.
    report = _reindexed(home)
    assert (report.generation, report.held_back) == (left.name, None)
    assert not (index / left.name / HELD).exists()


def test_the_watermark_is_that_of_the_records_read(home: Home) -> None:
    with Session(home.engine) as session:
        before = last_changes(session)
    assert before["labs"] >= 1
    assert open_snapshot(home.settings.index_path).watermark == before
    _edited(home, "改以量測為主。")
    _reindexed(home)
    assert open_snapshot(home.settings.index_path).watermark == before | {"labs": before["labs"] + 1}


def test_same_contents_published_again_are_of_today(home: Home) -> None:
    index = home.settings.index_path
    name = current_generation(index)
    lab = home.record("labs", 1)
    _edited(home, "改以量測為主。")
    home.store(Kind.LABS, lab)
    _reindexed(home, full=True)
    opened = open_snapshot(index)
    with Session(home.engine) as session:
        assert (opened.generation, opened.watermark) == (name, last_changes(session))


def test_the_command_line_says_so(home: Home, gloria: Gloria, indexed_home: Path) -> None:
    _edited(home, "改以量測為主。")
    held = _reindexed(home, _worse).generation
    answer = gloria("reindex", home=home.settings.home, cache=str(indexed_home), columns=400)
    assert answer.code == 0
    assert f"索引 {held}（暫不啟用）" in answer.out
    assert f"此索引暫不啟用，繼續使用先前的索引：{REASON}\n仍要啟用，請執行：gloria reindex --full\n" in answer.out
    english = gloria("reindex", "--full", "--lang", "en", home=home.settings.home, cache=str(indexed_home))
    assert (english.code, f"index {held} (published)" in english.out) == (0, True)


def test_the_office_sees_why(home: Home) -> None:
    _edited(home, "改以量測為主。")
    held = _reindexed(home, _worse).generation
    home.engine.dispose()
    home.settings.database_path.unlink()
    with asked(home.settings) as here:
        items = here.done("office", "GET", "/api/generations")["items"]
        assert {one["name"]: one["held"] for one in items}[held] == REASON
        page = here.ask("office", "GET", "/admin/index").text
        assert "暫不啟用" in page
        assert REASON in page
        here.client.cookies.set("gloria-lang", "en")
        assert "held back" in here.ask("office", "GET", "/admin/index").text


def test_an_index_of_unchanged_records_gets_a_new_date_every_night(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_snapshot(home.settings.index_path)
    assert not _reindexed(home).changed
    # The control: on the same day nothing is written.
    assert open_snapshot(home.settings.index_path).created_at == before.created_at
    monkeypatch.setattr("indexer.index.building.RENEWED_AFTER", timedelta(0))
    # A date has seconds.
    time.sleep(1.1)
    report = _reindexed(home, _worse)
    now = open_snapshot(home.settings.index_path)
    assert (report.generation, report.changed, report.held_back) == (before.generation, False, None)
    assert now.generation == before.generation
    assert now.created_at > before.created_at
