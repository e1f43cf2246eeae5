"""CSV files as spreadsheet programs in Taiwan save them: UTF-8, with mark, UTF-16, Big5; comma, ; or tab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures import world_path
from indexer.records.readers import read

TEXT = '代號,名稱,關鍵詞\r\nlab-1,碁鋒檢測室,"銲點、疲勞"\r\n\r\nlab-2,"換行的\n名稱",裏面\r\n'
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp950"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_and_delimiter_gives_the_same_labs(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = tmp_path / "labs.csv"
    path.write_bytes(TEXT.replace(",", delimiter).encode(encoding))
    reading = read(path)
    assert reading.problems == []
    assert [(lab.id, lab.name, lab.keywords) for lab in reading.records.values()] == [
        ("lab-1", "碁鋒檢測室", ["銲點", "疲勞"]),
        ("lab-2", "換行的 名稱", ["裏面"]),
    ]


def test_a_damaged_utf8_file_is_not_read_as_big5(tmp_path: Path) -> None:
    path = tmp_path / "labs.csv"
    path.write_bytes("代號,名稱\nlab-1,好\n".encode() + b"lab-2,\xa4\xa4\n")
    assert [str(problem) for problem in read(path).problems] == [
        "labs.csv:3: is neither UTF-8 nor UTF-16 nor Big5; save the file as CSV UTF-8"
    ]


def test_bytes_of_no_encoding_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "labs.csv"
    path.write_bytes(b"id,name\nlab-1,\xff\xff\n")
    assert [str(problem) for problem in read(path).problems] == [
        "labs.csv:2: is neither UTF-8 nor UTF-16 nor Big5; save the file as CSV UTF-8"
    ]
    path.write_bytes(b"")
    assert [str(problem) for problem in read(path).problems] == [
        "labs.csv: has no rows; give a header row and rows below it"
    ]


def test_an_open_quote_is_named_by_the_row_that_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "labs.csv"
    path.write_text('id,name\nlab-1,fine\nlab-2,"open\nlab-3,swallowed\n', encoding="utf-8")
    reading = read(path)
    assert [str(problem) for problem in reading.problems] == [
        (
            "labs.csv:3: opens a double quote that is not closed; the rows after it were not read; "
            "close it, or write it twice if it belongs to the text"
        )
    ]
    assert list(reading.records) == ["lab-1"]


def test_a_stray_quote_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "labs.csv"
    path.write_text('id,name\nlab-1,"a "b" c"\nlab-2,fine\n', encoding="utf-8")
    reading = read(path)
    assert [str(problem) for problem in reading.problems] == [
        "labs.csv:2: has a double quote inside a quoted cell; write it twice"
    ]
    assert list(reading.records) == ["lab-2"]


def test_a_simplified_chinese_file_is_not_read_as_big5(tmp_path: Path) -> None:
    path = tmp_path / "labs.csv"
    path.write_bytes("id,名称\ngb,电池实验室研究\n".encode("gbk"))
    reading = read(path)
    assert [str(problem) for problem in reading.problems] == [
        "labs.csv: was read as GB18030 (GBK); check its words; CSV UTF-8 needs no guess"
    ]
    assert [lab.name for lab in reading.records.values()] == ["电池实验室研究"]
    # The control: the same in Traditional characters is Big5, and the demo world's texts are never taken for another.
    path.write_bytes("id,名稱\nb5,電池實驗室研究\n".encode("cp950"))
    assert [lab.name for lab in read(path).records.values()] == ["電池實驗室研究"]
    for line in (world_path() / "labs.jsonl").read_text(encoding="utf-8").splitlines():
        summary = json.loads(line)["summary"].encode("cp950", errors="ignore").decode("cp950")
        path.write_bytes(f'id,summary\nx,"{summary}"\n'.encode("cp950"))
        assert read(path).problems == []
