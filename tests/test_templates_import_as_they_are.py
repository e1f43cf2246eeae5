"""A template's own example imports without a problem and fills every column that has an example."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from indexer.records.columns import COLUMNS
from indexer.records.readers import read
from indexer.records.writers import write_template
from indexer.vocabulary import Kind


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
@pytest.mark.parametrize("kind", list(Kind))
def test_the_example_imports(tmp_path: Path, kind: Kind, suffix: str) -> None:
    path = tmp_path / f"template{suffix}"
    write_template(path, kind)
    reading = read(path)
    assert (reading.kind, reading.problems) == (kind, [])
    if kind is Kind.EVIDENCE:
        (record,) = reading.evidence["lab-example-1"].items
    else:
        (record,) = reading.records.values()
    filled = {column.field for column in COLUMNS[kind] if column.example != ""} - {"lab"}
    assert {name for name in filled if getattr(record, name) in (None, "", [])} == set()


def test_a_template_of_labs_has_evidence_and_explains_each_column(tmp_path: Path) -> None:
    path = tmp_path / "labs.xlsx"
    write_template(path, "labs")
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["labs 實驗室", "evidence 佐證", "guide 填寫說明"]
    explained = [row[1] for row in book["guide 填寫說明"].iter_rows(min_row=2, values_only=True)]
    assert explained == [column.heading for kind in (Kind.LABS, Kind.EVIDENCE) for column in COLUMNS[kind]]
    assert [item.id for item in read(path).evidence["lab-example-1"].items] == ["ev-example-1"]


def test_cells_of_texts_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "companies.xlsx"
    write_template(path, "companies")
    sheet = openpyxl.load_workbook(path).worksheets[0]
    kept = {cell.value: (cell.data_type, cell.number_format) for cell in sheet[2] if cell.value}
    assert kept["00000016"] == ("s", "@")


@pytest.mark.parametrize("name", ["labs.txt", "labs"])
def test_another_suffix_is_wrong_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"a template is an \.xlsx or a \.csv file"):
        write_template(tmp_path / name, "labs")
