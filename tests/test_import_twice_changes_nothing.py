"""Importing is an upsert by id: what is the same stays untouched, what differs is updated, nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session

from indexer.records.importing import import_file, import_rows
from indexer.records.record_tables import load_companies, load_labs, load_needs, load_schools
from indexer.records.writers import write_template

LABS: list[dict[str, Any]] = [
    {
        "id": "lab-frost",
        "name": "霜害監測室",
        "evidence": [
            {"id": "f-2", "title": "Dew point forecast for tea terraces", "year": 2021},
            {"id": "f-1", "kind": "patent", "title": "防霜風扇控制器", "weight": 2},
        ],
    },
    {"id": "lab-kiln", "name": "Kiln Emissions Group", "capacity": 0, "evidence": [{"title": "Tile kiln dust"}]},
]
NEEDS: list[dict[str, Any]] = [
    {
        "id": "need-1",
        "title": "茶園霜害預警",
        "asks": [{"kind": "technology", "text": "前一晚就知道"}, {"kind": "人才", "text": "一名實習生"}],
        "deadline": "民國115年6月30日",
    }
]


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on either database that counts the rows it writes, as the driver reports them."""
    with Session(engine) as opened:
        opened.info["written"] = 0

        def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith(("INSERT", "UPDATE", "DELETE")):
                opened.info["written"] += cursor.rowcount

        event.listen(engine, "after_cursor_execute", count)
        yield opened


def rows_written(session: Session) -> int:
    return int(session.info["written"])


def counts(report: Any) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, report.refused


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "rows"), [("labs.jsonl", LABS), ("needs.jsonl", NEEDS)])
def test_second_import_of_lines_writes_no_row(session: Session, tmp_path: Path, name: str, rows: Any) -> None:
    path = write_lines(tmp_path / name, rows)
    assert counts(import_file(session, path)) == (len(rows), 0, 0, 0)
    session.commit()
    before = rows_written(session)
    assert counts(import_file(session, path)) == (0, 0, len(rows), 0)
    assert rows_written(session) == before


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
@pytest.mark.parametrize("kind", ["labs", "needs", "companies", "schools", "alliances"])
def test_second_import_of_a_sheet_writes_no_row(session: Session, tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    write_template(path, kind)
    assert counts(import_file(session, path, kind)) == (1, 0, 0, 0)
    session.commit()
    before = rows_written(session)
    assert counts(import_file(session, path, kind)) == (0, 0, 1, 0)
    assert rows_written(session) == before


def test_only_the_row_that_differs_is_written(session: Session) -> None:
    import_rows(session, "labs", LABS)
    before = rows_written(session)
    changed = [LABS[0], {**LABS[1], "capacity": 3}]
    assert counts(import_rows(session, "labs", changed)) == (0, 1, 1, 0)
    # The lab, and that it changed: a row and its counter.
    assert rows_written(session) == before + 3
    assert [lab.capacity for lab in load_labs(session)] == [None, 3]


def test_an_order_of_evidence_is_kept_and_a_new_one_is_an_update(session: Session) -> None:
    import_rows(session, "labs", LABS)
    assert [item.id for item in load_labs(session)[0].evidence] == ["f-2", "f-1"]
    swapped = [{**LABS[0], "evidence": LABS[0]["evidence"][::-1]}]
    assert counts(import_rows(session, "labs", swapped)) == (0, 1, 0, 0)
    assert [item.id for item in load_labs(session)[0].evidence] == ["f-1", "f-2"]


def test_absent_evidence_stays_and_a_given_list_replaces_it(session: Session) -> None:
    import_rows(session, "labs", LABS)
    for absent in ({}, {"evidence": None}):
        import_rows(session, "labs", [{"id": "lab-frost", "name": "霜害監測室", **absent}])
        assert [item.id for item in load_labs(session)[0].evidence] == ["f-2", "f-1"]
    import_rows(session, "labs", [{"id": "lab-frost", "name": "霜害監測室", "evidence": []}])
    assert load_labs(session)[0].evidence == ()
    assert [item.id for item in load_labs(session)[1].evidence] == ["lab-kiln#1"]


def test_one_paper_may_belong_to_two_labs(session: Session) -> None:
    paper = {"id": "shared-paper", "title": "Joint field trial"}
    import_rows(session, "labs", [{"id": "a", "evidence": [paper]}, {"id": "b", "evidence": [paper]}])
    assert [(lab.id, lab.evidence[0].id) for lab in load_labs(session)] == [
        ("a", "shared-paper"),
        ("b", "shared-paper"),
    ]


def test_flat_evidence_replaces_that_of_its_labs_only(session: Session, tmp_path: Path) -> None:
    import_rows(session, "labs", LABS)
    path = tmp_path / "evidence.csv"
    path.write_text("lab,title,year\nlab-frost,Frost fan trial,2024\nlab-frost,Leaf wetness,\n", encoding="utf-8")
    assert counts(import_file(session, path)) == (0, 1, 0, 0)
    assert counts(import_file(session, path)) == (0, 0, 1, 0)
    assert [[item.id for item in lab.evidence] for lab in load_labs(session)] == [
        ["lab-frost#1", "lab-frost#2"],
        ["lab-kiln#1"],
    ]


def test_a_dry_run_reports_the_same_and_writes_nothing(session: Session) -> None:
    before = rows_written(session)
    rehearsed = import_rows(session, "labs", LABS, dry_run=True)
    assert rows_written(session) == before
    assert load_labs(session) == []
    assert import_rows(session, "labs", LABS) == rehearsed


def test_what_was_imported_is_what_is_loaded(session: Session) -> None:
    import_rows(session, "needs", NEEDS)
    import_rows(session, "companies", [{"id": "co-1", "name": "霧社茶業", "tax_id": 16, "size": "小型"}])
    import_rows(session, "schools", [{"id": "sch-1", "name_en": "Hehuan University", "region": "中部"}])
    (need,), (company,), (school,) = load_needs(session), load_companies(session), load_schools(session)
    assert [(ask.kind, ask.text) for ask in need.asks] == [("technology", "前一晚就知道"), ("talent", "一名實習生")]
    assert (str(need.deadline), need.confidentiality, need.company) == ("2026-06-30", "confidential", None)
    assert astuple(company) == ("co-1", "霧社茶業", "", "00000016", "TW", "small", "none", (), "", "")
    assert (school.name, school.region) == ("Hehuan University", "central")


def test_ids_differ_by_case_and_labs_come_in_order_of_id(session: Session) -> None:
    import_rows(session, "labs", [{"id": "b"}, {"id": "B"}, {"id": "實"}, {"id": "a"}])
    assert [(lab.id, lab.name) for lab in load_labs(session)] == [("B", "B"), ("a", "a"), ("b", "b"), ("實", "實")]
