"""A list is sent, looked through, corrected by table, cell and row, and imported as it is then: by its owner alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from api.jobs.import_drafts import KEPT, MAX_OF_ONE, ImportDraft, forget_drafts
from api.jobs.job_queue import claim
from api.jobs.worker import JobRunner
from indexer.database import reading, writing
from indexer.instants import now
from indexer.records.importing import import_rows
from indexer.records.record_tables import Lab
from indexer.settings import Settings
from matcher.review.people import grant
from matcher.review.roles import Role
from tests.rig.worlds.office_lists import school_office
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length

PARTNERS = [{"school": "s-1"}, {"school": "s-2"}, {"school": "s-3"}]
SCHOOLS = [("s-1", "霧社科技大學"), ("s-2", "合歡大學"), ("s-3", "奇萊醫學院"), ("s-9", "別處大學")]
HEADINGS = ["實驗室名稱", "學校", "計畫主持人", "研究專長", "可承接件數"]


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(session, "schools", [{"id": key, "name": name} for key, name in SCHOOLS])
            import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟", "partners": PARTNERS}])
        yield made


def _csv(*rows: list[str]) -> bytes:
    return "".join(",".join(row) + "\n" for row in rows).encode()


def _sent(here: Asked, name: str, content: bytes, who: str = "expert", **more: Any) -> str:
    return str(here.done(who, "POST", "/api/import-drafts", params={"name": name, **more}, content=content)["id"])


def _seen(here: Asked, list_id: str, who: str = "expert") -> dict[str, Any]:
    found: dict[str, Any] = here.done(who, "GET", f"/api/import-drafts/{list_id}")
    return found


def _said(here: Asked, list_id: str, **corrections: Any) -> dict[str, Any]:
    headers = {"If-Match": "*"}
    here.done("expert", "PATCH", f"/api/import-drafts/{list_id}", json=corrections, headers=headers)
    return _seen(here, list_id)


def _plan(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["kind"], one["created"], one["updated"], one["refused"]) for one in found["plan"]]


def _errors(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (one["table"], one["row"], one["column"], one["wrong"])
        for one in found["problems"]
        if one["severity"] == "error"
    ]


def _imported(here: Asked, list_id: str, who: str = "expert") -> dict[str, Any]:
    """Begin the import and carry it out here, as a worker does."""
    job_id = here.done(who, "POST", f"/api/import-drafts/{list_id}/import")["id"]
    runner: JobRunner = here.client.app.state.jobs  # type: ignore[attr-defined]
    with writing(here.engine) as session:
        job = claim(session, worker="test", lease_s=60, now=now())
    assert job is not None
    runner._run(job)
    done: dict[str, Any] = here.done(who, "GET", f"/api/jobs/{job_id}/result")
    return {"job": job_id, **done}


def _rows(here: Asked, query: str) -> list[tuple[Any, ...]]:
    with reading(here.engine) as session:
        return [tuple(row) for row in session.execute(text(query)).all()]


def test_an_offices_workbook_is_understood_imported_and_taken_back(here: Asked, tmp_path: Path) -> None:
    before = _rows(here, "SELECT id, name, school FROM lab ORDER BY id")
    list_id = _sent(here, "師資.xlsx", school_office(tmp_path / "a.xlsx").read_bytes())
    found = _seen(here, list_id)
    tables = [(one["key"], one["title"], one["kind"], one["rows"], one["header_row"]) for one in found["tables"]]
    assert tables == [("0-3", "115年師資一覽", "labs", 12, 3), ("1-4", "企業需求", "needs", 6, 4)]
    columns = {one["heading"]: one["field"] for one in found["tables"][0]["columns"]}
    assert columns == {
        "序號": "-", "學校": "school", "實驗室名稱": "name", "計畫主持人/姓名": "pi", "計畫主持人/職稱": None,
        "研究專長": "summary", "關鍵字": "keywords", "可承接件數": "capacity", "迴避廠商": "conflicts",
    }  # fmt: skip
    assert _plan(found) == [("labs", 12, 0, 0), ("needs", 6, 0, 0)]
    result = _imported(here, list_id)
    assert (result["created"], result["refused"]) == (18, 0)
    assert _rows(here, "SELECT school, count(*) FROM lab WHERE school IS NOT NULL GROUP BY 1 ORDER BY 1") == [
        ("s-1", 4), ("s-2", 4), ("s-3", 4),
    ]  # fmt: skip
    budgets = "SELECT budget_ntd, deadline FROM need WHERE title = '冬季葉片結冰停機'"
    assert [(budget, str(day)) for budget, day in _rows(here, budgets)] == [(2_400_000, "2027-06-30")]
    # The same list again changes nothing.
    assert _plan(_seen(here, list_id)) == [("labs", 0, 0, 0), ("needs", 0, 0, 0)]
    assert here.ask("stranger", "POST", f"/api/jobs/{result['job']}/undo").status_code == 404
    undone = here.done("expert", "POST", f"/api/jobs/{result['job']}/undo")
    assert (undone["removed"], undone["restored"]) == (18, 0)
    assert _rows(here, "SELECT id, name, school FROM lab ORDER BY id") == before


@pytest.mark.postgresql_too
def test_an_import_is_not_taken_back_once_something_rests_on_it(here: Asked) -> None:
    list_id = _sent(here, "needs.csv", _csv(["需求代號 id", "需求名稱"], ["mine-1", "拋光"], ["mine-2", "除冰"]))
    result = _imported(here, list_id)
    here.done("expert", "POST", "/api/needs/mine-1/take-up")
    answer = here.ask("expert", "POST", f"/api/jobs/{result['job']}/undo")
    assert (answer.status_code, "something rests on" in answer.json()["detail"]) == (409, True)
    assert _rows(here, "SELECT need_id, new FROM need_step WHERE need_id LIKE 'mine-%' ORDER BY id") == [
        ("mine-1", "submitted"), ("mine-2", "submitted"), ("mine-1", "taken_up"),
    ]  # fmt: skip
    # A step goes with an import that is taken back, and not by itself.
    with pytest.raises(DBAPIError, match="append-only"), writing(here.engine) as session:
        session.execute(text("DELETE FROM need_step WHERE need_id = 'mine-2'"))


def test_cells_are_mended_filled_down_and_rows_left_out(here: Asked) -> None:
    rows = [
        ["甲室", "霧社科技大學", "藺若川", "除冰", "2"],
        ["乙室", "別處大學", "邵以恆", "量測", "約三件"],
        ["丙室", "", "宓雲開", "拋光", "1"],
        ["丁室", "", "尤聞溪", "水聲", "1"],
        ["", "合歡大學", "", "簡介", ""],
    ]
    list_id = _sent(here, "labs.csv", _csv(HEADINGS, *rows))
    found = _seen(here, list_id)
    assert _errors(found) == [
        ("0-1", 3, 2, '"別處大學" is no school of your alliance'),
        ("0-1", 4, 2, "no school is given"),
        ("0-1", 5, 2, "no school is given"),
        ("0-1", 6, None, "nothing in the row names it"),
    ]
    assert _plan(found) == [("labs", 1, 0, 4)]
    grid = here.done(
        "expert", "GET", f"/api/import-drafts/{list_id}/rows", params={"table": "0-1", "only_problems": True}
    )
    assert [(row["row"], row["cells"][1]) for row in grid["rows"]] == [
        (3, "別處大學"), (4, ""), (5, ""), (6, "合歡大學"),
    ]  # fmt: skip
    # Cell by cell; a cell that says the same already is no correction.
    cells = [
        {"sheet": 0, "row": 3, "column": 2, "value": "合歡大學"},
        {"sheet": 0, "row": 3, "column": 5, "value": "3"},
        {"sheet": 0, "row": 2, "column": 1, "value": "甲室"},
    ]
    found = _said(here, list_id, cells=cells, rows=[{"sheet": 0, "row": 6, "left_out": True}])
    assert (found["corrections"], found["errors"], found["tables"][0]["rows_left_out"]) == (3, 2, 1)
    down = {"table": "0-1", "row": 3, "column": 2}
    here.done("expert", "POST", f"/api/import-drafts/{list_id}/fill-down", json=down)
    found = _seen(here, list_id)
    assert (_errors(found), _plan(found)) == ([], [("labs", 4, 0, 0)])
    result = _imported(here, list_id)
    assert (result["created"], result["refused"]) == (4, 0)
    stored = _rows(here, "SELECT name, school, capacity FROM lab WHERE school IS NOT NULL ORDER BY capacity, name")
    assert sorted(stored) == [("丁室", "s-2", 1), ("丙室", "s-2", 1), ("乙室", "s-2", 3), ("甲室", "s-1", 2)]


def test_several_values_in_a_cell_are_read_and_mended_a_line_each(here: Asked) -> None:
    packed = '"[""感測；量測"", ""製程、封裝""]"'
    content = _csv([*HEADINGS, "關鍵字"], ["甲室", "霧社科技大學", "藺若川", "除冰", "約二", packed], ["乙室"])
    list_id = _sent(here, "labs.csv", content)
    (row, _) = here.done("expert", "GET", f"/api/import-drafts/{list_id}/rows", params={"table": "0-1"})["rows"]
    assert row["cells"][5] == "感測；量測\n製程、封裝"
    # What stands there already is no correction, and what is typed is kept a line each.
    same = [{"sheet": 0, "row": 2, "column": 6, "value": row["cells"][5]}]
    assert _said(here, list_id, cells=same)["corrections"] == 0
    cells = [{"sheet": 0, "row": 2, "column": 6, "value": "感測；量測\n\n 封裝、測試 \n塗裝"}]
    assert _said(here, list_id, cells=cells)["corrections"] == 1
    (row, _) = here.done("expert", "GET", f"/api/import-drafts/{list_id}/rows", params={"table": "0-1"})["rows"]
    assert row["cells"][5] == "感測；量測\n封裝、測試\n塗裝"
    down = {"table": "0-1", "row": 2, "column": 6}
    here.done("expert", "POST", f"/api/import-drafts/{list_id}/fill-down", json=down)
    down = {"table": "0-1", "row": 2, "column": 2}
    here.done("expert", "POST", f"/api/import-drafts/{list_id}/fill-down", json=down)
    assert _imported(here, list_id)["created"] == 2
    with reading(here.engine) as session:
        labs = {lab.name: lab for lab in session.exec(select(Lab)).all()}
    assert labs["甲室"].keywords == labs["乙室"].keywords == ["感測；量測", "封裝、測試", "塗裝"]


def test_a_heading_that_nobody_knows_is_told_by_its_meaning(here: Asked) -> None:
    rows = [["甲室", "霧社科技大學", "藺若川", "除冰", "2", "某某公司", "是"]]
    list_id = _sent(here, "labs.csv", _csv([*HEADINGS, "需迴避的廠商", "獨角獸"], *rows))
    columns = {one["heading"]: (one["field"], one["guessed"]) for one in _seen(here, list_id)["tables"][0]["columns"]}
    assert columns["需迴避的廠商"] == ("conflicts", True)
    assert columns["獨角獸"] == (None, False)
    # Whoever says otherwise is heard; the import does what was shown.
    tables = {"0-1": {"columns": {"獨角獸": "-"}}}
    assert _said(here, list_id, tables=tables)["errors"] == 0
    assert _imported(here, list_id)["created"] == 1
    with reading(here.engine) as session:
        (lab,) = session.exec(select(Lab).where(Lab.name == "甲室")).all()
    assert (lab.conflicts, lab.other) == (["某某公司"], {})


def test_kind_heading_row_and_columns_are_said_kept_and_used_again(here: Asked) -> None:
    content = _csv(["某處提供"], ["甲", "乙", "丙"], ["甲室", "藺若川", "除冰"], ["乙室", "邵以恆", "量測"])
    list_id = _sent(here, "名單.csv", content)
    found = _seen(here, list_id)
    assert [one["kind"] for one in found["tables"]] == [None]
    found = _said(here, list_id, headers={"0": 2})
    assert [(one["key"], one["rows"]) for one in found["tables"]] == [("0-2", 2)]
    fields = {"甲": "name", "乙": "pi", "丙": "-"}
    table = {"kind": "labs", "columns": fields, "fixed": {"school": "合歡大學"}}
    found = _said(here, list_id, tables={"0-2": table})
    assert (_errors(found), _plan(found)) == ([], [("labs", 2, 0, 0)])
    kept = here.done("expert", "POST", f"/api/import-drafts/{list_id}/mappings", json={"name": "某處", "table": "0-2"})
    assert (kept["name"], kept["kind"], kept["fields"], kept["own"]) == ("某處", "labs", fields, True)
    # A name is whose it was first; what others keep is not told.
    theirs = _sent(here, "名單.csv", _csv(["公司名稱", "統一編號"], ["甲公司", "04595257"]), "stranger")
    path = f"/api/import-drafts/{theirs}/mappings"
    assert here.ask("stranger", "POST", path, json={"name": "某處", "table": "0-1"}).status_code == 409
    assert here.done("stranger", "GET", "/api/import-mappings")["items"] == []
    wrong = {"tables": {"0-2": {"columns": {"甲": "nothing"}}}}
    answer = here.ask("expert", "PATCH", f"/api/import-drafts/{list_id}", json=wrong, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["field"]) == (422, "甲")
    for table in ({"kind": "schools"}, {"kind": "terms"}):
        body = {"tables": {"0-2": table}}
        answer = here.ask("expert", "PATCH", f"/api/import-drafts/{list_id}", json=body, headers={"If-Match": "*"})
        assert (answer.status_code, answer.json()["field"]) == (422, "kind")
    found = _said(here, list_id, tables={"0-2": {"left_out": True}})
    assert (_plan(found), found["problems"]) == ([], [])
    assert here.done("expert", "DELETE", "/api/import-mappings/某處") is None


def test_labs_of_other_schools_and_those_that_researchers_keep_stay(here: Asked) -> None:
    labs = [
        {"id": "own-1", "name": "自家", "school": "s-1", "summary": "舊"},
        {"id": "own-2", "name": "有人維護", "school": "s-2", "summary": "舊"},
        {"id": "their-1", "name": "別家", "school": "s-9", "summary": "舊"},
    ]
    with writing(here.engine) as session:
        import_rows(session, "labs", labs)
        someone = here.accounts["researcher"]
        grant(session, account_id=someone, role=Role.RESEARCHER, scope_id="own-2", by=None, now=now())
    rows = [["own-1", "新"], ["own-2", "新"], ["their-1", "新"], ["none-1", "新"]]
    list_id = _sent(here, "labs.csv", _csv(["實驗室代號 id", "研究專長"], *rows))
    found = _seen(here, list_id)
    assert {(row, wrong) for _, row, _, wrong in _errors(found)} == {
        (3, '"own-2" is kept by its researcher'),
        (4, '"their-1" is a lab of another alliance\'s school'),
        (5, "no school is given"),
    }
    (plan,) = found["plan"]
    assert plan["changes"] == [
        {"id": "own-1", "name": "自家", "field": "summary", "before": "舊", "after": "新", "empties": False}
    ]
    result = _imported(here, list_id)
    assert (result["updated"], result["created"], result["refused"]) == (1, 0, 3)
    stored = _rows(here, "SELECT id, summary FROM lab WHERE id LIKE '%own-%' OR id LIKE 'their-%' ORDER BY id")
    assert stored == [("own-1", "新"), ("own-2", "舊"), ("their-1", "舊")]
    # Their evidence goes the same way.
    evidence = _csv(
        ["lab", "題目", "年度"], ["own-1", "甲", "2020"], ["own-2", "乙", "2020"], ["their-1", "丙", "2020"]
    )
    list_id = _sent(here, "evidence.csv", evidence)
    assert [row for _, row, _, _ in _errors(_seen(here, list_id))] == [3, 4]
    assert _imported(here, list_id)["updated"] == 1
    assert _rows(
        here, "SELECT lab_id, title FROM evidence WHERE lab_id LIKE '%-%' AND title IN ('甲', '乙', '丙')"
    ) == [("own-1", "甲")]
    # The control: the office brings in anything.
    list_id = _sent(here, "labs.csv", _csv(["實驗室代號 id", "研究專長"], *rows[:3]), "office")
    assert _plan(_seen(here, list_id, "office")) == [("labs", 0, 2, 0)]


def test_needs_and_companies_of_others_stay_and_are_not_told(here: Asked) -> None:
    with writing(here.engine) as session:
        import_rows(session, "needs", [{"id": "n-9", "title": "機密的拋光問題", "description": "極機密"}])
    rows = [["n-9", "改掉"], ["", "機密的拋光問題"], ["n-1", "拋光很慢"]]
    list_id = _sent(here, "needs.csv", _csv(["需求代號 id", "需求名稱"], *rows))
    found = _seen(here, list_id)
    assert [(row, wrong) for _, row, _, wrong in _errors(found)] == [(2, '"n-9" is taken'), (3, "is missing")]
    # A row without an id is not told whose need it looks like, and what is stored of a need is never said.
    list_id = _sent(here, "needs.csv", _csv(["需求名稱"], ["機密的拋光問題"]))
    assert [one for one in _seen(here, list_id)["problems"] if "looks like" in one["wrong"]] == []
    list_id = _sent(here, "needs.csv", _csv(["需求代號 id", "需求名稱"], ["n-9", "改掉"]), "office")
    found = _seen(here, list_id, "office")
    assert [one["before"] for plan in found["plan"] for one in plan["changes"]] == [None]
    assert "極機密" not in str(found)


def test_a_list_is_its_owners_and_bounded(here: Asked) -> None:
    list_id = _sent(here, "a.csv", _csv(["需求名稱"], ["拋光"]))
    for who in ("colleague", "lead", "office", "stranger"):
        for path in ("", "/rows?table=0-1"):
            assert here.ask(who, "GET", f"/api/import-drafts/{list_id}{path}").status_code == 404
        assert here.ask(who, "POST", f"/api/import-drafts/{list_id}/import").status_code == 404
        assert here.ask(who, "DELETE", f"/api/import-drafts/{list_id}").status_code == 404
    for who in ("company", "researcher", "committee"):
        assert here.ask(who, "GET", f"/api/import-drafts/{list_id}").status_code == 403
    body = {"rows": [{"sheet": 0, "row": 2, "left_out": True}]}
    assert here.ask("expert", "PATCH", f"/api/import-drafts/{list_id}", json=body).status_code == 428
    stale = {"If-Match": '"0"'}
    assert here.ask("expert", "PATCH", f"/api/import-drafts/{list_id}", json=body, headers=stale).status_code == 412
    for n in range(MAX_OF_ONE - 1):
        _sent(here, f"{n}.csv", _csv(["需求名稱"], [f"拋光 {n}"]))
    sent = {"params": {"name": "more.csv"}, "content": b"a\nb\n"}
    answer = here.ask("expert", "POST", "/api/import-drafts", **sent)
    assert (answer.status_code, answer.json()["field"]) == (422, "file")
    large = b"a,b,c\n" + b"1,2,3\n" * 21_000
    answer = here.ask("colleague", "POST", "/api/import-drafts", params={"name": "large.csv"}, content=large)
    assert (answer.status_code, "too much to be looked through" in answer.json()["detail"]) == (422, True)
    assert here.ask("expert", "POST", "/api/import-drafts?name=x.csv&alliance=al-b", content=b"a\n").status_code == 422
    with writing(here.engine) as session:
        assert forget_drafts(session, now=now() + KEPT - timedelta(minutes=5)) == 0
        assert forget_drafts(session, now=now() + KEPT + timedelta(minutes=5)) == MAX_OF_ONE
        assert session.get(ImportDraft, list_id) is None


def test_no_file_ends_in_a_fault_of_ours(here: Asked, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0]["A1"] = "=1/0"
    book.save(tmp_path / "formula.xlsx")
    files = {
        "empty.csv": b"", "garbage.xlsx": b"PK\x03\x04 no workbook", "noise.bin": bytes(range(256)) * 8,
        "lines.csv": b"\n\n\n", "one.csv": b"x", "zero.csv": b"\0\0\0\0", "bad.json": b'{"id": ', "list.json": b"[]",
        "deep.json": b"[" * 3_000, "formula.xlsx": (tmp_path / "formula.xlsx").read_bytes(),
        "wide.csv": ",".join(f"c{n}" for n in range(1_500)).encode() + b"\n1\n", "names.csv": "姓名\n".encode() * 40,
        "nan.jsonl": b'{"id": "n", "title": NaN}\n', "old.xls": b"\xd0\xcf\x11\xe0" + b"x" * 600,
        "half.jsonl": b'{"id": "h", "name": "\\ud800"}\n{"id": "i", "capacity": 1e400, "links": ["\\udfff"]}\n[1]\n"x"',
        "heads.csv": b"id,name,pi\n", "labs.pdf.csv": b"%PDF-1.7\n", "page.xls": b"<html><table><tr><td>id</td></tr>",
        "errors.csv": b"id,name,pi\nl1,#REF!,#VALUE!\n", "nul.csv": b"id,name\nl1,a\0b\n",
    }  # fmt: skip
    told = {}
    for name, content in files.items():
        answer = here.ask("office", "POST", "/api/import-drafts", params={"name": name}, content=content)
        told[name] = answer.status_code
        if answer.status_code == 201:
            list_id = answer.json()["id"]
            for key in [*(one["key"] for one in _seen(here, list_id, "office")["tables"]), "0-1"]:
                rows = here.ask("office", "GET", f"/api/import-drafts/{list_id}/rows", params={"table": key})
                assert rows.status_code in (200, 422), (name, key)
            here.done("office", "DELETE", f"/api/import-drafts/{list_id}")
    assert set(told.values()) <= {201, 422}
    assert (told["empty.csv"], told["garbage.xlsx"], told["old.xls"]) == (422, 422, 422)


def test_objects_are_looked_through_too(here: Asked) -> None:
    content = b'{"id": "j-1", "title": "a"}\n{"id": "j-2"}\n'
    list_id = _sent(here, "needs.jsonl", content)
    found = _seen(here, list_id)
    assert (found["holds"], _plan(found)) == ("objects", [("needs", 1, 0, 1)])
    (table,) = found["tables"]
    assert [(one["heading"], one["field"]) for one in table["columns"]] == [("id", "id"), ("title", "title")]
    assert _imported(here, list_id)["created"] == 1


def test_objects_are_mended_in_the_same_grid(here: Asked) -> None:
    rows = [
        {"id": "o-1", "name": "甲室", "school": "霧社科技大學", "keywords": ["感測；量測", "塗裝"],
         "capacity": "約二", "網站": "x",
         "evidence": [{"id": "e-1", "title": "除冰"}]},
        {"id": "o-2", "name": "乙室", "school": "霧社科技大學", "keywords": "感測", "summary": "量測"},
        {"id": "o-3", "name": "丙室", "school": "別處大學"},
    ]  # fmt: skip
    list_id = _sent(here, "labs.json", json.dumps(rows, ensure_ascii=False).encode())
    found = _seen(here, list_id)
    told = {(one["row"], one["column"]) for one in found["problems"] if one["row"]}
    assert {(1, 5), (2, 4), (3, 3)} <= told
    grid = here.done("expert", "GET", f"/api/import-drafts/{list_id}/rows", params={"table": "0-0"})
    headings = [one["heading"] for one in found["tables"][0]["columns"]]
    assert headings == ["id", "name", "school", "keywords", "capacity", "網站", "summary"]
    assert grid["rows"][0]["cells"] == ["o-1", "甲室", "霧社科技大學", "感測；量測\n塗裝", "約二", "x", ""]
    # What stands there is no correction; a line for each of several; an unknown key may be a field of ours.
    cells = [
        {"sheet": 0, "row": 1, "column": 4, "value": "感測；量測\n塗裝"},
        {"sheet": 0, "row": 1, "column": 5, "value": "2"},
        {"sheet": 0, "row": 2, "column": 4, "value": "感測、封裝"},
        {"sheet": 0, "row": 1, "column": 6, "value": "https://a.example"},
    ]
    tables = {"0-0": {"columns": {"網站": "links"}}}
    out = [{"sheet": 0, "row": 3, "left_out": True}]
    _said(here, list_id, tables=tables, rows=out)
    found = _said(here, list_id, cells=cells)
    assert (found["corrections"], found["errors"], _plan(found)) == (4, 0, [("labs", 2, 0, 0)])
    columns = [(one["heading"], one["field"]) for one in found["tables"][0]["columns"]]
    assert columns[-2:] == [("網站", "links"), ("summary", "summary")]
    assert _imported(here, list_id)["created"] == 2
    with reading(here.engine) as session:
        labs = {lab.id: lab for lab in session.exec(select(Lab).where(col(Lab.id).like("o-%"))).all()}
    first, second = labs["o-1"], labs["o-2"]
    assert (first.keywords, first.capacity, first.links) == (["感測；量測", "塗裝"], 2, ["https://a.example"])
    assert (second.keywords, second.summary) == (["感測", "封裝"], "量測")
    assert _rows(here, "SELECT id, title FROM evidence WHERE lab_id = 'o-1'") == [("e-1", "除冰")]
    # An object without a key says nothing of it: what is stored stays.
    content = json.dumps([{"id": "o-2", "name": "乙室"}, {"id": "o-1", "capacity": 3}]).encode()
    again = _sent(here, "labs.json", content)
    changes = [change["field"] for plan in _seen(here, again)["plan"] for change in plan["changes"]]
    assert changes == ["capacity"]
