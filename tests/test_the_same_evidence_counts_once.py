"""One work under several ids is one piece of evidence: in the index, on the page, in exports; the import says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.records.mended.same_work import work_keys
from indexer.records.record_tables import load_labs
from indexer.settings import Settings
from tests.conftest import Gloria
from tests.rig.worlds.small_world import Asked, asked

WORKS: list[dict[str, Any]] = [
    {"id": "e1", "title": "化學機械拋光液之研磨粒分佈", "year": 2020},
    {"id": "e2", "title": "化學機械拋光液之研磨粒分布。", "year": 2020},
    {"id": "e3", "title": "化學 機械拋光液之研磨粒分佈", "year": 2020},
    {"id": "e4", "title": "化學機械拋光液之研磨粒分佈", "year": 2021},
    {"id": "e5", "title": "Slurry flow", "doi": "10.1234/abc"},
    {"id": "e6", "title": "Slurry flow in CMP", "doi": "10.1234/ABC", "year": 2019},
    {"id": "e7", "title": "計畫", "year": 2020},
    {"id": "e8", "title": "計畫", "year": 2020},
]
ONCE = ["e1", "e4", "e5", "e7", "e8"]


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(session, "labs", [{"id": "lab-1", "evidence": WORKS}])
        yield made


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"title": "碳化矽晶圓研磨"}, {"title": "碳化硅晶圆研磨"}, False),
        ({"title": "臺灣半導體研究"}, {"title": "台灣半導體研究"}, True),
        ({"title": "A Study of Wafers"}, {"title": "a study of wafers!"}, True),
        ({"title": "A Study of Wafers", "year": 2020}, {"title": "A Study of Wafers", "year": 2021}, False),
        ({"title": "A Study of Wafers", "kind": "paper"}, {"title": "A Study of Wafers", "kind": "patent"}, False),
        ({"title": "x", "doi": "10.1/A"}, {"title": "y", "doi": "10.1/a"}, True),
        ({"title": "Report"}, {"title": "Report"}, False),
        ({"title": ""}, {"title": ""}, False),
    ],
)
def test_what_is_one_work(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert bool(work_keys(one) & work_keys(other)) is same


def test_in_the_index_on_the_page_and_in_exports(here: Asked) -> None:
    with reading(here.engine) as session:
        (lab,) = load_labs(session, ["lab-1"])
    assert [piece.id for piece in lab.evidence] == ONCE
    assert [piece["id"] for piece in here.done("expert", "GET", "/api/labs/lab-1")["evidence"]] == ONCE
    exported = here.ask("expert", "GET", "/api/exports/labs").text.splitlines()
    (row,) = [json.loads(line) for line in exported if json.loads(line)["id"] == "lab-1"]
    assert [piece["id"] for piece in row["evidence"]] == ONCE
    pieces = [json.loads(line) for line in here.ask("expert", "GET", "/api/exports/evidence").text.splitlines()]
    assert [piece["id"] for piece in pieces if piece["lab"] == "lab-1"] == ONCE


def test_the_second_counts_once_the_first_is_retired(here: Asked) -> None:
    here.done("office", "POST", "/api/labs/lab-1/evidence/retire?piece=e1", json={"reason": "誤植"})
    with reading(here.engine) as session:
        (lab,) = load_labs(session, ["lab-1"])
    assert [piece.id for piece in lab.evidence] == ["e2", "e4", "e5", "e7", "e8"]
    assert [piece["id"] for piece in here.done("expert", "GET", "/api/labs/lab-1")["evidence"]] == [
        "e1",
        *(piece.id for piece in lab.evidence),
    ]


def test_the_researcher_loses_none(here: Asked) -> None:
    read = here.ask("researcher", "GET", "/api/labs/lab-1")
    changed = {"evidence": [{"id": "e4", "weight": 2}]}
    here.done("researcher", "PATCH", "/api/labs/lab-1", json=changed, headers={"If-Match": read.headers["ETag"]})
    with reading(here.engine) as session:
        rows = session.connection().exec_driver_sql("SELECT id FROM evidence WHERE lab_id = 'lab-1' ORDER BY position")
        assert [row[0] for row in rows] == ["e4", "e1", "e2", "e3", "e5", "e6", "e7", "e8"]


def test_the_import_says_so(gloria: Gloria, tmp_path: Path) -> None:
    row = {"id": "lab-1", "name": "拋光", "evidence": [WORKS[0], WORKS[2], WORKS[3]]}
    (tmp_path / "labs.jsonl").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    answer = gloria("import", tmp_path / "labs.jsonl", home=tmp_path / "home", lang="en")
    assert answer.code == 0
    assert "e3 of lab-1 is the same work as e1; both are stored and count once" in answer.err
    assert "e4" not in answer.err
