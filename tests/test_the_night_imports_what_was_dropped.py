"""Drop folders: what was put there is imported once, what is wrong is named by its place, nothing stops the rest."""

from __future__ import annotations

import json
import os
import pwd
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from api.trail.nights import Night
from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.records.record_tables import Company, Lab, Need
from indexer.settings import Settings
from matcher.review.clients import Client, take_on
from matcher.review.intake import adopt
from tests.rig.worlds.ledger_world import NOON as MORNING
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


def _world_of_two(session: Session) -> None:
    import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}, {"id": "al-b", "name": "乙聯盟"}])
    import_rows(
        session, "companies", [{"id": "co-a", "name": "甲"}, {"id": "co-b", "name": "乙", "tax_id": "04595257"}]
    )
    import_rows(session, "labs", [{"id": "lab-1", "name": "實驗室"}])
    import_rows(session, "needs", [{"id": "n-a", "title": "甲的"}, {"id": "n-b", "title": "乙的"}])
    for name in ("a", "b"):
        take_on(session, company_id=f"co-{name}", alliance_id=f"al-{name}", expert_id=None, now=MORNING)
        adopt(session, need_ids=[f"n-{name}"], alliance_id=f"al-{name}", by=None, now=MORNING)


def test_an_alliances_folder_has_its_experts_rights(settings: Settings, engine: Engine, dropped: Path) -> None:
    with writing(engine) as session:
        _world_of_two(session)
    taken = {"id": "n-b", "title": "搶來的", "confidentiality": "public"}
    needs = [taken, {"id": "n-a", "title": "改過"}, {"id": "n-new", "title": "新的"}]
    companies = [{"id": "co-b", "name": "搶來的"}, {"id": "co-a", "name": "改名"}, {"id": "co-new", "name": "新的"}]
    _put(dropped, "needs.jsonl", *needs)
    _put(dropped, "companies.jsonl", *companies)
    _put(dropped, "labs.jsonl", {"id": "lab-1", "name": "搶來的實驗室"}, {"id": "lab-2", "name": "新的實驗室"})
    _put(dropped, "alliances.jsonl", {"id": "al-b", "name": "改名聯盟"})
    _put(dropped, "evidence.jsonl", {"lab": "lab-1", "id": "e-1", "title": "論文", "kind": "paper"})
    night = _night(settings, f"al-a={dropped}")
    named = {file: [(row["row"], row["id"]) for row in one["not_own"]] for file, one in _files(night).items()}
    assert named == {
        "alliances.jsonl": [(1, "al-b")],
        "companies.jsonl": [(1, "co-b"), (2, "co-a")],
        "labs.jsonl": [(1, "lab-1"), (2, "lab-2")],
        "evidence.jsonl": [(1, "lab-1")],
        "needs.jsonl": [(1, "n-b")],
    }
    assert (night.step("import").figures["not_own"], night.step("import").figures["refused"]) == (7, 7)
    assert "needs.jsonl:1 n-b" in str(night.step("import").message)
    with reading(engine) as session:
        titles = dict(session.exec(select(Need.id, Need.title)).all())
        assert titles == {"n-a": "改過", "n-b": "乙的", "n-new": "新的"}
        assert dict(session.exec(select(Company.id, Company.name)).all()) == {
            "co-a": "甲",
            "co-b": "乙",
            "co-new": "新的",
        }
        assert session.exec(select(Lab.id, Lab.name)).all() == [("lab-1", "實驗室")]
    # The control: the programme's own folder brings in anything.
    _put(dropped, "more-labs.jsonl", {"id": "lab-1", "name": "改名的實驗室"})
    assert _night(settings, dropped).step("import").figures["not_own"] == 0
    with reading(engine) as session:
        assert session.get_one(Lab, "lab-1").name == "改名的實驗室"


def test_nothing_but_a_file_is_opened(settings: Settings, engine: Engine, dropped: Path, tmp_path: Path) -> None:
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}])
    elsewhere = _put(tmp_path, "elsewhere.jsonl", {"id": "n-elsewhere", "title": "別人的"})
    (dropped / "needs-symbolic.jsonl").symlink_to(elsewhere)
    (dropped / "needs-hard.jsonl").hardlink_to(elsewhere)
    (dropped / "needs-nowhere.jsonl").symlink_to(tmp_path / "none")
    os.mkfifo(dropped / "needs-pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(dropped / "needs-socket.jsonl"))
    _put(dropped, "needs.jsonl", {"id": "n-own", "title": "自己的"})
    told = _files(_night(settings, f"al-a={dropped}"))
    failed = {f"needs-{kind}.jsonl": "failed" for kind in ("symbolic", "hard", "nowhere", "pipe", "socket")}
    assert {file: one["state"] for file, one in told.items()} == {**failed, "needs.jsonl": "imported"}
    said = "a link, a pipe or a file of two names is not opened; put the file itself there"
    assert [told[file]["why"] for file in failed] == [[said]] * len(failed)
    with reading(engine) as session:
        assert session.exec(select(Need.id)).all() == ["n-own"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can let a file belong to somebody else")
def test_a_file_counts_if_it_is_of_the_folders_own_people(
    settings: Settings, engine: Engine, dropped: Path, tmp_path: Path
) -> None:
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}, {"id": "al-b", "name": "乙聯盟"}])
    nobody, somebody, group = pwd.getpwnam("nobody"), pwd.getpwnam("daemon"), tmp_path / "group"
    group.mkdir()
    for folder in (dropped, group):
        os.chown(folder, somebody.pw_uid, nobody.pw_gid)
        for name, user in (("nobody", nobody.pw_uid), ("owner", somebody.pw_uid), ("unknown", 54_321)):
            row = {"id": f"n-{folder.name}-{name}", "title": name}
            os.chown(_put(folder, f"needs-{name}-{folder.name}.jsonl", row), user, -1)
        _put(folder, f"needs-root-{folder.name}.jsonl", {"id": f"n-{folder.name}-root", "title": "以系統帳號放入"})
    # The one is its owner's; to the other the owner's group may write, which "nobody" is of.
    dropped.chmod(0o755)
    group.chmod(0o775)
    _put(dropped, "needs-open.jsonl", {"id": "n-open", "title": "誰都能改"}).chmod(0o666)
    night = _night(settings, f"al-a={dropped}", f"al-b={group}")
    states = {file.removeprefix("needs-").removesuffix(".jsonl"): one["state"] for file, one in _files(night).items()}
    assert {name for name, state in states.items() if state == "failed"} == {
        "nobody-dropped", "unknown-dropped", "unknown-group", "open"
    }  # fmt: skip
    why = _files(night)["needs-nobody-dropped.jsonl"]["why"][0]
    assert why.startswith("it belongs to nobody, and the folder to daemon: ")
    assert _files(night)["needs-unknown-group.jsonl"]["why"][0].startswith("it belongs to 54321, and")
    assert "everybody on this machine may write to it" in _files(night)["needs-open.jsonl"]["why"][0]
    with reading(engine) as session:
        wanted = ["n-dropped-owner", "n-dropped-root", "n-group-nobody", "n-group-owner", "n-group-root"]
        assert sorted(session.exec(select(Need.id)).all()) == wanted


def test_a_folder_that_everybody_may_write_to_is_not_read(
    settings: Settings, engine: Engine, dropped: Path, tmp_path: Path
) -> None:
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}])
    _put(dropped, "needs.jsonl", {"id": "n-own", "title": "自己的"})
    dropped.chmod(0o1777)
    night = _night(settings, f"al-a={dropped}", tmp_path / "none").step("import")
    assert night.details["folders"] == [
        f"{dropped}: everybody on this machine may write there; take that right away: chmod o-w",
        f"{tmp_path / 'none'}: No such file or directory",
    ]
    assert (night.state, night.details["files"]) == ("failed", [])
    # The control: once that right is gone.
    dropped.chmod(0o755)
    assert _night(settings, f"al-a={dropped}").step("import").figures["created"] == 1


def test_what_is_wrong_is_named_by_place_and_not_quoted(settings: Settings, engine: Engine, dropped: Path) -> None:
    rows = [
        {"id": "co-1", "name": "甲"},
        {"id": "co-2", "name": "乙", "tier": "祕密等級"},
        {"id": "co-3", "name": "丙"},
        {"id": "co-4", "name": "祕密名稱" * 500},
    ]
    _put(dropped, "companies.jsonl", *rows)
    night = _night(settings, dropped)
    told = _files(night)["companies.jsonl"]
    assert (told["state"], told["created"], told["refused"]) == ("imported", 3, 1)
    # What costs a row comes before what costs a cell.
    row, cell = told["problems"]
    assert row.startswith("companies.jsonl:4 name: ")
    assert cell.startswith("companies.jsonl:2 tier: ")
    assert "祕密" not in night.model_dump_json()
    # Rows that are refused are no fault of the night.
    assert night.outcome == "done"
    with reading(engine) as session:
        stored = dict(session.exec(select(Company.id, Company.tier)).all())
    assert stored == {"co-1": "none", "co-2": "none", "co-3": "none"}


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
    # The control: the same file with one more byte is a new one.
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
