"""Workbooks and headings as people make them, and workbooks made to do harm."""

from __future__ import annotations

import re
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from indexer.records.columns import COLUMNS, field_of
from indexer.records.lists import xlsx
from indexer.records.readers import read
from indexer.vocabulary import Kind


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize("kind", list(Kind))
def test_a_heading_is_known_in_english_chinese_or_both(kind: Kind) -> None:
    for column in COLUMNS[kind]:
        for heading in (
            column.field,
            column.label,
            column.heading,
            f" {column.field.upper().replace('_', ' ')} ",
            f"{column.label}({column.field})",
            f"{column.field}\n{column.label}",
        ):
            assert field_of(kind, heading) == column.field, heading
    assert field_of(kind, "心情") is None
    assert field_of(kind, "") is None


def test_numbers_and_dates_of_cells_become_what_the_fields_hold(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "book.xlsx",
        {
            "需求": [
                ["id", "title", "budget_ntd 預算", "deadline", "year", "asks"],
                [
                    17,
                    5.0,
                    2400000.0,
                    datetime(2027, 6, 30),  # noqa: DTZ001 (a spreadsheet knows no time zone)
                    2026.0,
                    "研發：快\nTalent: 兩名",
                ],
                [18, "t", "240萬", "108/08/31", "民國107年", None],
            ]
        },
    )
    reading = read(path)
    assert reading.problems == []
    assert [
        (
            need.id,
            need.title,
            need.budget_ntd,
            str(need.deadline),
            need.year,
            [(ask.kind, ask.text) for ask in need.asks],
        )
        for need in reading.records.values()
    ] == [
        ("17", "5", 2400000, "2027-06-30", 2026, [("technology", "快"), ("talent", "兩名")]),
        ("18", "t", 2400000, "2019-08-31", 2018, []),
    ]


def test_rows_are_numbered_as_the_sheet_shows_them(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "labs.xlsx",
        {
            "labs": [[], ["id", "capacity"], [], ["lab-1", -1], ["lab-2", 1]],
            "evidence": [["lab", "title", "year"], ["lab-2", "t", "20x8"], ["lab-2", "u", 2018]],
            "needs": [["id", "title"], ["n", "t"]],
        },
    )
    reading = read(path)
    assert [str(problem) for problem in reading.problems] == [
        "labs.xlsx:4 capacity: -1 is not a number of projects; give 0, 1, 2 … or leave it empty",
        'labs.xlsx[evidence]:2 year: "20x8" is not a year; give four digits such as 2018',
    ]
    assert list(reading.records) == ["lab-2"]
    assert [(item.id, item.year) for item in reading.evidence["lab-2"].items] == [("lab-2#1", None), ("lab-2#2", 2018)]
    assert [(one.kind, list(one.records)) for one in reading.others] == [(Kind.NEEDS, ["n"])]


def test_a_repeated_or_missing_column_is_reported(tmp_path: Path) -> None:
    path = workbook(tmp_path / "labs.xlsx", {"Sheet1": [["id", "name", "名稱"], ["lab-1", "first", "second"]]})
    reading = read(path)
    assert [str(problem) for problem in reading.problems] == [
        "labs.xlsx:1 名稱: is a second column for name; its cells are kept as other information; keep one of them"
    ]
    assert reading.records["lab-1"].name == "first"
    path = workbook(tmp_path / "labs.xlsx", {"Sheet1": [["name"], ["first"]]})
    reading = read(path)
    assert [str(problem) for problem in reading.problems] == [
        (
            "labs.xlsx:1 id: is in no column; ids were made from name; "
            "they stay the same however the list is sorted; give ids to choose your own"
        )
    ]
    assert [lab.name for lab in reading.records.values()] == ["first"]


def test_a_formula_without_a_value_is_told_and_costs_the_lab_whose_name_it_is(tmp_path: Path) -> None:
    path = workbook(tmp_path / "labs.xlsx", {"labs": [["id", "name"], ["lab-1", '=HYPERLINK("https://x.example")']]})
    reading = read(path)
    assert [str(problem) for problem in reading.problems] == [
        "labs.xlsx:2 name: a formula without a value (open the workbook and save it once) is not a text; give a text"
    ]
    assert reading.records == {}


def test_a_cell_that_cannot_be_read_costs_its_row_only(tmp_path: Path) -> None:
    path = workbook(tmp_path / "labs.xlsx", {"labs": [["id", "name"], ["lab-1", "a"], ["lab-2", "b"], ["lab-3", "c"]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    for cell, told in (
        ('t="e"><v>#N/A</v>', "#N/A"),
        ('t="s"><v>99</v>', "a text that the workbook does not have"),
        ("><v>12 apples</v>", "12 apples"),
        ('t="d"><v>9999-99-99</v>', "9999-99-99"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                changed = re.sub(r'<c r="B3".*?</c>', f'<c r="B3" {cell}</c>', content) if name == sheet else content
                archive.writestr(name, changed)
        reading = read(path)
        assert [str(problem) for problem in reading.problems] == [
            f"labs.xlsx:3 name: {told} is not a text; give a text"
        ]
        assert list(reading.records) == ["lab-1", "lab-3"]


def test_dates_that_count_from_1904_are_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    book.worksheets[0].append(["id", "title", "deadline"])
    book.worksheets[0].append(["n", "t", datetime(2027, 6, 30)])  # noqa: DTZ001 (a spreadsheet knows no time zone)
    book.save(tmp_path / "needs.xlsx")
    (need,) = read(tmp_path / "needs.xlsx").records.values()
    assert str(need.deadline) == "2027-06-30"


def test_files_that_are_no_workbooks_are_reported(tmp_path: Path) -> None:
    good = workbook(tmp_path / "labs.xlsx", {"labs": [["id"], ["lab-1"]]}).read_bytes()
    path = tmp_path / "labs.xlsx"
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    faults = {
        good[: len(good) // 2]: "is not a readable XLSX workbook; save it again as .xlsx",
        (tmp_path / "other.zip").read_bytes(): "is not a readable XLSX workbook (KeyError); save it again as .xlsx",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "is not a readable XLS workbook (CalamineError); save it again as .xlsx",
    }
    for data, message in faults.items():
        path.write_bytes(data)
        assert [str(problem) for problem in read(path).problems] == [f"labs.xlsx: {message}"]
    path.write_bytes(good)
    assert read(path).problems == []


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "labs.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/sheet.xml", "w") as file:
        for _ in range(xlsx.MAX_UNZIPPED_BYTES // 10_000_000 + 1):
            file.write(bytes(10_000_000))
    assert [str(problem) for problem in read(path).problems] == [
        "labs.xlsx: unpacks to 210 MB; split it into workbooks under 200 MB"
    ]


def test_partners_take_names_with_blanks_and_dates(tmp_path: Path) -> None:
    path = tmp_path / "alliances.csv"
    path.write_text(
        'id,partners\na-1,"hehuan\nCedar Valley College 2017-08-01\n霧社學院 108/08/31 民國110年1月31日"\n',
        encoding="utf-8",
    )
    (alliance,) = read(path).records.values()
    assert [(p.school, p.since and str(p.since), p.until and str(p.until)) for p in alliance.partners] == [
        ("hehuan", None, None),
        ("Cedar Valley College", "2017-08-01", None),
        ("霧社學院", "2019-08-31", "2021-01-31"),
    ]
