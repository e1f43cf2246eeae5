"""A map is stored whole or not at all; it says which open needs no lab answers, and never what a need says."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, select

from api.commands.matching import redrawn
from indexer.database import open_engine, reading, writing
from indexer.records.importing import import_file, import_rows
from indexer.records.record_tables import Lab
from indexer.settings import Settings
from matcher.review.intake import NeedState, adopt, move
from matcher.review.mapped.field_map import FieldMap, MappedLab, MappedNeed, last_map, places, publish
from tests.conftest import Gloria
from tests.rig.worlds.small_world import drawing_of

NOW = datetime(2026, 11, 24, tzinfo=UTC)
RECORDS = ("schools", "companies", "labs", "needs")


@pytest.fixture
def filled(engine: Engine, slice_of_world: Path) -> Engine:
    with writing(engine) as session:
        for name in RECORDS:
            import_file(session, slice_of_world / f"{name}.jsonl")
    return engine


@pytest.fixture
def indexed(settings: Settings, filled: Engine, indexed_home: Path) -> Settings:
    """The slice of the world in either database, with its index."""
    shutil.copytree(indexed_home, settings.home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("gloria.db*"))
    return settings


def _generation(engine: Engine) -> str | None:
    with reading(engine) as session:
        found = last_map(session)
        if found is None:
            return None
        labs, needs = places(session, found)
        assert (len(labs) > 0, len(needs) > 0) == (True, True)
        return found.generation


def _published(engine: Engine, generation: str, *, plug_pulled: bool = False) -> None:
    with writing(engine) as session:
        publish(session, drawing_of(session, generation=generation), now=NOW)
        if plug_pulled:
            # Written, not committed: others see the map before, all of it.
            assert _generation(engine) == "first"
            raise RuntimeError("pulled the plug")


def test_half_a_map_is_never_seen(filled: Engine) -> None:
    _published(filled, "first")
    with pytest.raises(RuntimeError, match="pulled the plug"):
        _published(filled, "second", plug_pulled=True)
    assert _generation(filled) == "first"
    # The control: the same, committed, is seen.
    _published(filled, "second")
    assert _generation(filled) == "second"


def test_the_map_before_stays_for_whoever_reads_it_and_older_ones_go(filled: Engine) -> None:
    for generation in ("first", "second", "third"):
        _published(filled, generation)
    with reading(filled) as session:
        kept = session.exec(select(FieldMap.generation).order_by(FieldMap.generation)).all()
        of_maps = set(session.exec(select(MappedLab.map_id)).all())
        of_needs = set(session.exec(select(MappedNeed.map_id)).all())
    assert kept == ["second", "third"]
    assert (len(of_maps), of_needs) == (2, of_maps)


def _published_at(engine: Engine, x: float) -> None:
    with writing(engine) as session:
        drawing = drawing_of(session)
        lab_id = next(iter(drawing.labs))
        publish(session, replace(drawing, labs={**drawing.labs, lab_id: (x, 0.0)}), now=NOW)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e9])
def test_the_database_refuses_a_place_that_is_none(filled: Engine, wrong: float) -> None:
    with pytest.raises(IntegrityError):
        _published_at(filled, wrong)
    assert _generation(filled) is None
    # The control: any place on the map is stored.
    _published_at(filled, 17.0)
    assert _generation(filled) == "g"


def test_needs_without_a_good_lab_are_unmet_until_they_are_closed(indexed: Settings) -> None:
    engine = open_engine(indexed)
    others = redrawn(indexed).drawing.unmet
    with reading(engine) as session:
        labs = list(session.exec(select(Lab.id)).all())
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}])
        import_rows(session, "needs", [{"id": "need-lost", "title": "深海耐壓殼銲接疲勞", "excluded_labs": labs}])
        adopt(session, need_ids=["need-lost"], alliance_id="al-a", by=None, now=NOW)
    first = redrawn(indexed)
    assert sorted(first.drawing.unmet) == sorted([*others, "need-lost"])
    assert (first.drawing.new, "need-lost" in first.drawing.needs) == (1, True)
    assert first.drawing.standings["need-lost"].labs_allowed == 0
    assert {first.drawing.standings[need_id].is_unmet for need_id in first.drawing.standings} == {True, False}
    with writing(engine) as session:
        move(session, need_id="need-lost", state=NeedState.WITHDRAWN, by=None, now=NOW)
    second = redrawn(indexed)
    assert (second.drawing.unmet, second.drawing.changed, second.drawing.new) == (others, True, 0)
    with reading(engine) as session:
        drawn = last_map(session)
        assert drawn is not None
        row = session.get(MappedNeed, (drawn.id, "need-lost"))
        assert row is not None
        assert (row.labs_allowed, row.best_band) == (None, None)
    assert redrawn(indexed).drawing.changed is False
    engine.dispose()


def test_what_a_need_says_never_enters_the_map(indexed: Settings) -> None:
    engine = open_engine(indexed)
    redrawn(indexed)
    with reading(engine) as session:
        tables = SQLModel.metadata.tables
        rows = [session.connection().execute(select(tables[name])).all() for name in tables if "field_map" in name]
        titles = session.connection().execute(select(tables["need"].c.title)).scalars().all()
    engine.dispose()
    told = str(rows)
    assert [len(row) > 0 for row in rows] == [True] * 3
    assert [title for title in titles if title in told] == []
    assert "need-1-01" in told


def test_the_command_says_what_is_on_the_map(gloria: Gloria, own_home: Path) -> None:
    first: dict[str, Any] = gloria("map", "--json", home=own_home).document
    assert first["changed"] is True
    assert first["new"] == first["labs"] + first["needs"] > 20
    assert (first["without_place"], first["open_needs"]) == (0, first["needs"])
    zh, en = gloria("map", home=own_home), gloria("--lang", "en", "map", home=own_home)
    assert zh.out.startswith(f"領域地圖（無變更）：實驗室 {first['labs']}、需求 {first['needs']}，其中新位置 0")
    assert en.out.startswith(f"map of the field (nothing changed): {first['labs']} labs, {first['needs']} needs;")
    again = gloria("map", "--afresh", "--json", home=own_home).document
    assert (again["changed"], again["new"]) == (True, first["new"])


def test_without_an_index_there_is_no_map(gloria: Gloria, tmp_path: Path) -> None:
    answer = gloria("map", home=tmp_path / "home")
    assert (answer.code, answer.out) == (1, "")
    assert "gloria reindex" in answer.err
