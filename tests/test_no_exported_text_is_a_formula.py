"""Texts that begin like formulas, in CSV and XLSX: none is a live cell, all come back as they were."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from indexer.records.readers import read_bytes
from indexer.records.writers import MAX_CELL_CHARS, TooMuchForSheetError, csv_header, csv_rows, sheets_of, write_xlsx
from indexer.vocabulary import Kind

PAYLOADS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    '=HYPERLINK("https://example.org","x")',
    "=cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "＝1+1",
    "＠SUM(1)",
    "'=1+1",
    "a;=1+1",
    'a";=1+1',
    'a\n"=1+1',
    '=1+1","=2+2',
    "1,=1+1",
]
_LIVE = tuple("=+-@\t\r\n＝＋－＠")


def _document(payload: str) -> dict[str, Any]:
    return {"id": "c-1", "name": payload, "name_en": "n", "country": "TW", "fields": [], "description": payload}


def _live_in_csv(content: str) -> list[str]:
    """The cells that a spreadsheet program would compute."""
    cells = (cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row)
    return [cell for cell in cells if cell.startswith(_LIVE)]


def _live_in_xlsx(content: bytes) -> list[str]:
    """The cells of a workbook that hold a formula, and texts that would become one in a CSV made of it."""
    found = []
    book = openpyxl.load_workbook(io.BytesIO(content))
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type == "f" or (isinstance(cell.value, str) and cell.value.startswith(_LIVE)):
                    found.append(str(cell.value))
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        for name in packed.namelist():
            found += re.findall(r"<f>.*?</f>", packed.read(name).decode())
    return found


def _csv(payload: str) -> bytes:
    (sheet,) = sheets_of(Kind.COMPANIES)
    return csv_header(sheet) + csv_rows(sheet, [_document(payload)])


def _xlsx(payload: str) -> bytes:
    file = io.BytesIO()
    write_xlsx(file, sheets_of(Kind.COMPANIES), [_document(payload)])
    return file.getvalue()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_csv(payload: str) -> None:
    content = _csv(payload)
    assert _live_in_csv(content.decode("utf-8-sig")) == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_xlsx(payload: str) -> None:
    assert _live_in_xlsx(_xlsx(payload)) == []


def test_the_control_sees_live_cells() -> None:
    for payload in PAYLOADS[:6]:
        plain = io.StringIO(newline="")
        csv.writer(plain).writerow(["c-1", payload])
        assert _live_in_csv(plain.getvalue()) != [], payload
    book = openpyxl.Workbook()
    book.worksheets[0].append(["c-1", "=1+1"])
    file = io.BytesIO()
    book.save(file)
    assert _live_in_xlsx(file.getvalue()) == ["=1+1", "<f>1+1</f>"]


@pytest.mark.parametrize("payload", [p for p in PAYLOADS if p.strip() == p and p.isascii()])
@pytest.mark.parametrize("write", [_csv, _xlsx])
def test_the_text_comes_back(payload: str, write: Any) -> None:
    name = "companies.csv" if write is _csv else "companies.xlsx"
    reading = read_bytes(write(payload), name)
    assert (reading.problems, reading.records["c-1"].description) == ([], payload)


def test_numbers_are_numbers(tmp_path: Path) -> None:
    (sheet,) = sheets_of(Kind.NEEDS)
    need = {"id": "n-1", "title": "t", "budget_ntd": 5, "year": 2026, "asks": []}
    assert b",5," in csv_rows(sheet, [need])
    with (tmp_path / "needs.xlsx").open("wb") as file:
        write_xlsx(file, [sheet], [need])
    (row,) = list(openpyxl.load_workbook(tmp_path / "needs.xlsx").worksheets[0].iter_rows(min_row=2, values_only=True))
    assert (5 in row, 2026 in row) == (True, True)


def test_a_text_that_no_cell_can_hold_is_refused_not_cut() -> None:
    with pytest.raises(TooMuchForSheetError, match="take csv or jsonl"):
        _xlsx("x" * (MAX_CELL_CHARS + 1))
    assert _live_in_xlsx(_xlsx("x" * MAX_CELL_CHARS)) == []
