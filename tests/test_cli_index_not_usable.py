"""An index that is missing, stale, damaged or built otherwise is never used without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NEED = "need-1-04"


def add_lab(gloria: Any, home: Path) -> None:
    path = home / "more_labs.jsonl"
    path.write_text(json.dumps({"id": "lab-new", "name": "新實驗室", "summary": "面板翹曲"}), encoding="utf-8")
    assert gloria("import", path, home=home).code == 0


def test_a_stale_index_is_warned_about_on_top(gloria: Any, own_home: Path) -> None:
    assert gloria("match", NEED, home=own_home).err == ""
    add_lab(gloria, own_home)
    answer = gloria("match", NEED, home=own_home, columns=400)
    assert answer.code == 0
    assert answer.err.startswith("注意: ")
    assert "（實驗室：1 個新增）；請執行：gloria reindex" in answer.err
    english = gloria("match", NEED, "--lang", "en", home=own_home, columns=400)
    assert english.err.endswith("is older than the records (1 new labs); run: gloria reindex\n")
    assert len(gloria("match", NEED, "--json", home=own_home).document["warnings"]) == 1
    assert gloria("run", "--top", 5, "--out", own_home / "run.txt", home=own_home, columns=400).err.startswith("注意: ")


def test_reindexing_ends_the_warning_and_encodes_only_what_is_new(gloria: Any, own_home: Path) -> None:
    add_lab(gloria, own_home)
    report = gloria("reindex", "--json", home=own_home).document
    assert (report["encoded"], report["changed"], report["labs"]) == (1, True, 28)
    assert gloria("match", NEED, home=own_home).err == ""
    again = gloria("reindex", "--json", home=own_home).document
    assert (again["encoded"], again["changed"], again["generation"]) == (0, False, report["generation"])


@pytest.mark.parametrize("name", ["passages.json", "vectors-0.faiss"])
def test_a_damaged_index_is_refused(gloria: Any, own_home: Path, name: str) -> None:
    assert gloria("match", NEED, "--json", home=own_home).code == 0
    path = next((own_home / "index").glob(f"*/{name}"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x41
    path.write_bytes(content)
    answer = gloria("match", NEED, home=own_home)
    assert (answer.code, answer.out) == (1, "")
    assert name in answer.err
    assert "gloria reindex --full" in answer.err
    assert gloria("reindex", "--full", home=own_home).code == 0
    assert gloria("match", NEED, home=own_home).code == 0


def test_no_index_says_what_to_do(gloria: Any, slice_of_world: Path, tmp_path: Path) -> None:
    # The labs too, since needs exclude some of them, and an exclusion that names nobody is refused.
    files = [slice_of_world / f"{kind}.jsonl" for kind in ("schools", "labs", "companies", "needs")]
    assert gloria("import", *files, home=tmp_path).code == 0
    answer = gloria("match", NEED, home=tmp_path, lang="en")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"there is no index in {tmp_path}/index; run: gloria reindex\n"


def test_nothing_to_index_says_what_to_do(gloria: Any, tmp_path: Path) -> None:
    answer = gloria("reindex", home=tmp_path, lang="en")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.endswith("there are no labs to index; import some first: gloria import labs.jsonl\n")


def test_other_encoders_than_the_index_has_are_refused(gloria: Any, indexed_home: Path) -> None:
    answer = gloria("match", NEED, home=indexed_home, encoders="bundled", lang="en")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == ("the index has the encoders bundled-use, the settings name bundled; run: gloria reindex\n")
