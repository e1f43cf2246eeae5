"""`gloria import`: what was done is said, bad rows are named, and a second import changes nothing."""

from __future__ import annotations

import json
import random
import re
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
from api.commands.imports import one_file
from api.commands.imports.one_file import Way
from api.commands.screen import Screen
from api.home import open_session
from indexer.records.readers import ReadAs
from indexer.settings import Settings
from indexer.vocabulary import Kind
from indexer.wording import Language


def counts(document: Any) -> list[tuple[int, int, int, int]]:
    return [(f["created"], f["updated"], f["unchanged"], f["refused"]) for f in document["files"]]


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_counts_are_said_in_both_languages(gloria: Any, slice_of_world: Path, tmp_path: Path) -> None:
    labs = slice_of_world / "labs.jsonl"
    counted, undo = gloria("import", labs, home=tmp_path / "zh").out.splitlines()
    assert counted == "labs.jsonl labs：新增 27、更新 0、不變 0、拒收 0"
    assert re.fullmatch(r"要撤回：gloria import --undo \d{8}-[0-9a-f]{8}", undo)
    english = gloria("--lang", "en", "import", labs, home=tmp_path / "en")
    counted, undo = english.out.splitlines()
    assert counted == "labs.jsonl labs: 27 created, 0 updated, 0 unchanged, 0 refused"
    assert re.fullmatch(r"to take it back: gloria import --undo \d{8}-[0-9a-f]{8}", undo)
    assert (english.code, english.err) == (0, "")


def test_a_second_import_changes_nothing(gloria: Any, slice_of_world: Path, own_home: Path) -> None:
    before = (own_home / "gloria.db").read_bytes()
    answer = gloria("import", slice_of_world / "labs.jsonl", slice_of_world / "needs.jsonl", "--json", home=own_home)
    assert counts(answer.document) == [(0, 0, 27, 0), (0, 0, 12, 0)]
    assert (own_home / "gloria.db").read_bytes() == before


def test_a_dry_run_writes_nothing(gloria: Any, slice_of_world: Path, tmp_path: Path) -> None:
    for _ in range(2):
        answer = gloria("import", "--dry-run", "--json", slice_of_world / "labs.jsonl", home=tmp_path)
        assert (answer.code, counts(answer.document)) == (0, [(27, 0, 0, 0)])
    assert counts(gloria("import", slice_of_world / "labs.jsonl", "--json", home=tmp_path).document) == [(27, 0, 0, 0)]


def test_a_bad_cell_is_named_and_costs_itself_a_bad_row_costs_the_row(gloria: Any, tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "labs.jsonl", {"id": "lab-a", "name": "甲", "capacity": -1}, {"id": "lab b", "name": "乙"}
    )
    answer = gloria("import", path, home=tmp_path / "home")
    assert answer.code == 1
    assert answer.out.splitlines()[0] == "labs.jsonl labs：新增 1、更新 0、不變 0、拒收 1"
    assert [line.partition(": ")[0] for line in answer.err.splitlines()] == ["labs.jsonl:1 capacity", "labs.jsonl:2 id"]
    good = write_lines(tmp_path / "good_labs.jsonl", {"id": "lab-b", "name": "乙", "capacity": 1})
    assert gloria("import", good, home=tmp_path / "home").code == 0


def test_json_lists_every_problem(gloria: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "labs.jsonl", {"id": "lab-b", "name": "乙", "capacity": -1}, {"id": "", "name": "丙"})
    document = gloria("import", path, "--json", home=tmp_path / "home").document
    assert [(p["file"], p["row"], p["field"], p["severity"]) for p in document["files"][0]["problems"]] == [
        ("labs.jsonl", 1, "capacity", "warning"),
        ("labs.jsonl", 2, "id", "error"),
    ]


def test_a_missing_file_does_not_stop_the_others(gloria: Any, slice_of_world: Path, tmp_path: Path) -> None:
    answer = gloria("import", tmp_path / "none.jsonl", slice_of_world / "labs.jsonl", home=tmp_path / "home")
    assert answer.code == 1
    assert answer.err == f"{tmp_path}/none.jsonl: 沒有這個檔案或資料夾\n"
    assert answer.out.splitlines()[0] == "labs.jsonl labs：新增 27、更新 0、不變 0、拒收 0"


@pytest.mark.parametrize(
    ("name", "content"),
    [("labs.jsonl", b"\x00\xff\xfe garbage \x80"), ("labs.xlsx", b"PK\x03\x04 no workbook"), ("labs.csv", b"")],
)
def test_a_file_of_garbage_is_refused(gloria: Any, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    answer = gloria("import", tmp_path / name, home=tmp_path / "home")
    assert (answer.code, answer.out) == (1, f"{name} labs：新增 0、更新 0、不變 0、拒收 1\n")
    assert answer.err.startswith(name)
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("name", ["labs.xlsx", "需求.csv", "companies.xlsx"])
def test_a_template_imports_as_it_is(gloria: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert gloria("import", "--template", path).code == 0
    answer = gloria("import", path, home=tmp_path / "home")
    assert (answer.code, answer.err) == (0, "")


def test_a_template_never_replaces_a_file(gloria: Any, tmp_path: Path) -> None:
    path = tmp_path / "labs.xlsx"
    path.write_bytes(b"filled in")
    answer = gloria("import", "--template", path)
    assert (answer.code, path.read_bytes()) == (1, b"filled in")
    assert gloria("import", "--template", tmp_path / "new_labs.xlsx").code == 0


def test_a_template_can_be_asked_for_by_kind(gloria: Any, tmp_path: Path) -> None:
    assert gloria("import", "--template", tmp_path / "leer.csv").code == 1
    answer = gloria("import", "--template", tmp_path / "leer.csv", "--kind", "schools", "--json")
    assert answer.document == {"template": str(tmp_path / "leer.csv"), "kind": "schools"}


def test_synthetic_records_import_without_a_problem(gloria: Any, tmp_path: Path) -> None:
    written = gloria("synth", "--labs", 3, "--needs", 2, "--out", tmp_path / "synth")
    assert (written.code, written.err) == (0, "")
    paths = [path for path in written.out.splitlines() if path.endswith(".jsonl")]
    answer = gloria("import", *paths, "--json", home=tmp_path / "home")
    assert (answer.code, answer.err, counts(answer.document)) == (0, "", [(3, 0, 0, 0), (2, 0, 0, 0)])


def _list_of(path: Path, labs: int) -> Path:
    rows = [
        f"lab-{n},第{n}實驗室,國立第{n % 60}大學,藺若川,以 10⁻³ mol/L 量測薄膜,薄膜、感測、電池,{n % 4},無"
        for n in range(labs)
    ]
    heading = "實驗室編號,實驗室名稱,學校,主持人,研究摘要,關鍵字,可承接量,利益迴避"
    path.write_text("\n".join([heading, *rows, ""]), encoding="utf-8")
    return path


def test_a_stopped_import_says_what_is_kept_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, way = _list_of(tmp_path / "labs.csv", 250), Way(dry_run=False, alliance=None, quiet=True)
    real, calls = one_file._store_portion, Counter[str]()

    def stopped(*given: Any) -> Any:
        calls["portions"] += 1
        if calls["portions"] == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(one_file, "RECORDS_PER_PART", 100)
    monkeypatch.setattr(one_file, "_store_portion", stopped)
    with open_session(Settings(home=tmp_path / "home"), writes=True) as session:
        with pytest.raises(typer.Exit) as ended:
            one_file.import_one(Screen(Language.EN), session, path, ReadAs(Kind.LABS), way)
        said = capsys.readouterr().err
        assert ended.value.exit_code == 130
        assert "200 of 250 records of labs.csv are stored" in said
        assert "import the same file again to go on, or take back what is stored: gloria import --undo" in said
        (again,) = one_file.import_one(Screen(Language.EN), session, path, ReadAs(Kind.LABS), way)
        assert (again["created"], again["unchanged"], again["refused"]) == (50, 200, 0)


def test_an_import_tells_how_far_it_is_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, way = _list_of(tmp_path / "labs.csv", 20), Way(dry_run=False, alliance=None, quiet=False)
    screen = Screen(Language.EN)
    screen.err = Console(file=sys.stderr, force_terminal=True, width=100)
    with open_session(Settings(home=tmp_path / "home"), writes=True) as session:
        one_file.import_one(screen, session, path, ReadAs(Kind.LABS), way)
    said = capsys.readouterr().err
    assert [stage in said for stage in ("labs.csv reading", "labs.csv comparing", "labs.csv storing")] == [True] * 3
    assert "vectors" not in said


def _short_list(path: Path, kind: str, rows: int) -> Path:
    """Write a list of short cells without ids, as a ministry's register has it: the hardest to read and to compare."""
    chance = random.Random(kind)
    letters = "光電量測減振水下聲學結冰偵測碳化矽拋光發酵製程影像復健感測微針陶瓷燒結膜淡化香氣霧社合歡奇萊能高"
    words = ["".join(chance.choices(letters, k=6)) for _ in range(rows)]
    lines = {
        "companies": ("公司名稱,縣市,會員等級,簡介", "{0}股份有限公司,南投縣,國內會員,{1}"),
        "needs": ("公司,需求名稱,需求說明,預算(萬元),截止日期", "{0}公司,{1},改善{0}與{1},150,116/3/1"),
        "evidence": ("實驗室,類別,題目,年度,摘要", "lab-{2},論文,{0}{1},112,{1}"),
    }[kind]
    written = [lines[1].format(word, words[n - 1], n % 2_000) for n, word in enumerate(words)]
    path.write_text("\n".join([lines[0], *written, ""]), encoding="utf-8")
    return path


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.parametrize("kind", ["companies", "needs", "evidence"])
def test_twenty_thousand_rows_without_ids_take_twelve_seconds_at_most(
    gloria_from_cold: Any, tmp_path: Path, kind: str
) -> None:
    home = tmp_path / "home"
    if kind == "evidence":
        labs = _list_of(tmp_path / "labs.csv", 2_000)
        assert gloria_from_cold("import", labs, "--kind", "labs", home=home).code == 0
    path = _short_list(tmp_path / f"{kind}.csv", kind, 20_000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = gloria_from_cold("import", path, "--kind", kind, "--json", home=home)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{kind}: {took_s:.1f} s, {after.ru_maxrss // 1024} MB")
    (found,) = answer.document["files"]
    assert found["created"] + found["updated"] == (2_000 if kind == "evidence" else 20_000)
    assert (found["refused"], took_s < 12) == (0, True)


@pytest.mark.long
@pytest.mark.alone
def test_twenty_thousand_labs_take_twelve_seconds_at_most(gloria_from_cold: Any, tmp_path: Path) -> None:
    """In seconds of the processor, which a loaded machine does not change."""
    path = _list_of(tmp_path / "labs.csv", 20_000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = gloria_from_cold("import", path, "--kind", "labs", "--json", home=tmp_path / "home")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{took_s:.1f} s, {after.ru_maxrss // 1024} MB")
    assert (answer.code, answer.document["files"][0]["created"]) == (0, 20_000)
    assert took_s < 12
    assert after.ru_maxrss < 600 * 1024
