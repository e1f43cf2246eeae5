"""Drop folders: what was put there is imported once, what is wrong is named by its place, nothing stops the rest."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from api.trail.nights import Night
from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.records.record_tables import Company, Lab
from indexer.settings import Settings
from matcher.review.clients import Client
from tests.rig.worlds.nights import carried_out, only

STEPS = only("backup", "import", "reminders")


@pytest.fixture
def dropped(tmp_path: Path) -> Path:
    folder = tmp_path / "dropped"
    folder.mkdir()
    return folder


def _put(folder: Path, name: str, *rows: dict[str, Any], age_s: float = 120.0, content: bytes | None = None) -> Path:
    path = folder / name
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(lines.encode() if content is None else content)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def _night(settings: Settings, *folders: object) -> Night:
    watched = settings.model_copy(update={"drop_folders": ",".join(map(str, folders))})
    return carried_out(watched, STEPS)


def _files(night: Night) -> dict[str, dict[str, Any]]:
    return {one["file"]: one for one in night.step("import").details["files"]}


def test_files_are_imported_in_order_for_their_alliance(settings: Settings, engine: Engine, dropped: Path) -> None:
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}])
    kept = _put(dropped, "companies.jsonl", {"id": "co-new", "name": "新來的公司"})
    _put(dropped, "needs.jsonl", {"id": "n-new", "title": "新需求", "company": "co-new"})
    night = _night(settings, f"al-a={dropped}")
    assert night.step("import").figures["created"] == 2
    assert [one["file"] for one in night.step("import").details["files"]] == ["companies.jsonl", "needs.jsonl"]
    assert kept.exists()
    with reading(engine) as session:
        assert session.exec(select(Client.alliance_id, Client.company_id)).all() == [("al-a", "co-new")]
    # The need waits in its alliance, and the night already says so.
    assert night.step("reminders").details["rows"][0]["alliance"] == "al-a"
    assert night.step("reminders").figures["new_needs"] == 1


def test_what_is_wrong_is_named_by_place_and_not_quoted(settings: Settings, engine: Engine, dropped: Path) -> None:
    rows = [
        {"id": "co-1", "name": "甲"},
        {"id": "co-2", "name": "乙", "tier": "祕密等級"},
        {"id": "co-3", "name": "丙"},
    ]
    _put(dropped, "companies.jsonl", *rows)
    night = _night(settings, dropped)
    told = _files(night)["companies.jsonl"]
    assert (told["state"], told["created"], told["refused"]) == ("imported", 2, 1)
    (problem,) = told["problems"]
    assert problem.startswith("companies.jsonl:2 tier: ")
    assert "祕密等級" not in night.model_dump_json()
    # Rows that are refused are no fault of the night.
    assert night.outcome == "done"
    with reading(engine) as session:
        assert sorted(session.exec(select(Company.id)).all()) == ["co-1", "co-3"]


def test_a_file_of_yesterday_does_not_undo_what_was_edited_since(
    settings: Settings, engine: Engine, dropped: Path
) -> None:
    path = _put(dropped, "labs.jsonl", {"id": "lab-1", "name": "昨天的名字"})
    assert _night(settings, dropped).step("import").figures["created"] == 1
    with writing(engine) as session:
        import_rows(session, "labs", [{"id": "lab-1", "name": "今天的名字"}])
    again = _night(settings, dropped)
    assert (again.step("import").figures["files_same"], again.step("import").figures["updated"]) == (1, 0)
    with reading(engine) as session:
        assert session.exec(select(Lab.name)).all() == ["今天的名字"]
    # The control: the same file with one more byte is a new one, and a row is the whole record.
    _put(dropped, "labs.jsonl", content=path.read_bytes() + b"\n")
    assert _night(settings, dropped).step("import").figures["updated"] == 1


def test_a_file_that_is_being_written_waits(settings: Settings, dropped: Path) -> None:
    path = _put(dropped, "companies.jsonl", {"id": "co-1", "name": "甲"}, age_s=5)
    night = _night(settings, dropped)
    assert _files(night)["companies.jsonl"] == {"file": path.name, "alliance": None, "state": "waiting"}
    assert night.outcome == "done"
    os.utime(path, (time.time() - 120,) * 2)
    assert _night(settings, dropped).step("import").figures["created"] == 1


def test_what_cant_be_read_stops_no_other(settings: Settings, dropped: Path, tmp_path: Path) -> None:
    _put(dropped, "labs.xlsx", content=b"PK\x03\x04 no workbook")
    _put(dropped, "companies.jsonl", {"id": "co-1", "name": "甲"})
    _put(dropped, ".companies.jsonl.swp", content=b"x")
    missing = tmp_path / "not-there"
    night = _night(settings, dropped, missing, f"al-none={dropped}")
    step = night.step("import")
    assert (step.state, step.figures["files_imported"], step.figures["created"]) == ("failed", 1, 1)
    assert [problem.startswith(str(missing)) for problem in step.details["folders"]] == [True]
    failed = [(one["file"], one["alliance"]) for one in step.details["files"] if one["state"] == "failed"]
    assert failed == [("companies.jsonl", "al-none"), ("labs.xlsx", None), ("labs.xlsx", "al-none")]
    assert night.step("reminders").state == "done"
    # It is tried again every night until somebody takes it away.
    assert _night(settings, dropped).step("import").figures["files_failed"] == 1
    (dropped / "labs.xlsx").unlink()
    assert _night(settings, dropped).outcome == "done"
