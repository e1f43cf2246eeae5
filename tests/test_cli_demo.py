"""`gloria demo` goes from an empty folder to explained matches, twice to the same, and never into real records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlmodel import func, select

from api.access.credentials import password_hash
from api.access.passwords import password_fits
from indexer.database import open_engine, reading
from indexer.settings import Settings
from matcher.ledger.rows.entries import Entry

NEEDS = ("need-2-01", "need-1-10", "need-4-06")


def test_an_empty_folder_becomes_explained_matches(gloria: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = gloria("demo", "--no-serve", home=home)
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert [need for need in NEEDS if any(line.startswith(f"{need}  ") for line in lines)] == list(NEEDS)
    assert sum(line.startswith(" 1. ") for line in lines) == 3
    assert gloria("doctor", home=home).code == 0
    password = next(line.partition("：")[2] for line in lines if "只顯示這一次" in line)
    emails = [line.split()[0] for line in lines if "@gloria.example" in line and "gloria " not in line]
    assert len(emails) == 7
    engine = open_engine(Settings(home=home))
    with reading(engine) as session:
        stored = [password_hash(session, email) for email in emails]
        assert [one is not None and password_fits(password, one[1]) for one in stored] == [True] * 7
        assert session.exec(select(func.count()).select_from(Entry)).one() > 100
    engine.dispose()
    second = gloria("demo", home=home)
    assert second.code == 0
    assert password not in second.out
    start = next(n for n, line in enumerate(lines) if line.startswith(NEEDS[0]))
    again = second.out.splitlines()
    end = lines.index(next(line for line in lines if "只顯示這一次" in line))
    begin = again.index(lines[start])
    assert again[begin : begin + end - start] == lines[start:end]


def test_real_records_are_never_mixed_with_invented_ones(gloria: Any, tmp_path: Path) -> None:
    path = tmp_path / "labs.jsonl"
    path.write_text(json.dumps({"id": "lab-own", "name": "自己的實驗室"}, ensure_ascii=False), encoding="utf-8")
    home = tmp_path / "home"
    assert gloria("import", path, home=home).code == 0
    answer = gloria("demo", home=home, lang="en")
    assert (answer.code, answer.out) == (1, "")
    assert "holds other records; choose an empty folder" in answer.err
    assert gloria("import", path, home=home).out == "labs.jsonl labs：新增 0、更新 0、不變 1、拒收 0\n"
    facts = {f["name"]: f["facts"] for f in gloria("doctor", "--json", home=home).document["findings"]}
    assert (facts["database"]["lab"], facts["database"]["need"]) == (1, 0)
