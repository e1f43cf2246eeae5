"""Tables drawn by chance, under any headings, encoding, separator and unit: as they were, or refused; never altered."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.records.columns import COLUMNS
from indexer.records.lists.cells import is_nothing
from indexer.records.readers import read_bytes
from indexer.vocabulary import Kind

_HEADINGS = {
    "name": ("name", "名稱", "實驗室名稱", "Lab name", "研究室", "名稱 name", "实验室名称"),
    "pi": ("pi", "主持人", "計畫主持人", "Principal Investigator", "負責人"),
    "summary": ("summary", "簡介", "研究專長", "Abstract", "研究方向"),
    "keywords": ("keywords", "關鍵字", "關鍵詞", "Tags"),
}
_TITLES = ((), ("某校實驗室一覽表",), ("Labs of 2026", "更新日期：115/11/01"), ("研發處提供", "", "（內部使用）"))
_FACTORS = {"": 1, "(元)": 1, "(千元)": 10**3, "（萬元）": 10**4, "(百萬元)": 10**6, "（億元）": 10**8}
_HAN = "量子光電聲學材料製程感測研究薄膜雷射結冰葉片工程"
_TEXT = st.text(st.sampled_from(_HAN + "abcXYZ 0123456789°±μ²³，；（）「」.-/%<&"), min_size=2, max_size=24)
_WORD = st.text(st.sampled_from(_HAN + "abcXYZ"), min_size=2, max_size=8)
_NAME = st.text(st.sampled_from(_HAN), min_size=3, max_size=6)


def plain(text: str) -> bool:
    """Whether a text says something that no reader takes for nothing, a sum or a remark."""
    return not is_nothing(text) and text.strip() == text != "" and text[0] not in "=+-@'"


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": _WORD.filter(plain),
            "pi": _NAME,
            "summary": _TEXT.filter(plain),
            "keywords": st.lists(_WORD.filter(plain), max_size=3, unique=True),
        }
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row["name"],
)


@settings(deadline=None, derandomize=True, max_examples=120)
@given(
    rows=ROWS,
    titles=st.sampled_from(_TITLES),
    heads=st.fixed_dictionaries({field: st.sampled_from(words) for field, words in _HEADINGS.items()}),
    order=st.permutations(list(_HEADINGS)),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp950", "gb18030"]),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    said=st.booleans(),
)
def test_a_table_is_read_as_it_was_written_or_refused(
    rows: list[dict[str, object]],
    titles: tuple[str, ...],
    heads: dict[str, str],
    order: list[str],
    encoding: str,
    delimiter: str,
    said: bool,
) -> None:
    file = io.StringIO()
    if said:
        file.write(f"sep={delimiter}\n")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    for title in titles:
        writer.writerow([title] + [""] * 4)
    writer.writerow(["代號", *(heads[field] for field in order)])
    for n, row in enumerate(rows):
        cells = {field: "；".join(value) if isinstance(value, list) else value for field, value in row.items()}
        writer.writerow([f"lab-{n}", *(cells[field] for field in order)])
    try:
        data = file.getvalue().encode(encoding)
    except UnicodeEncodeError:
        return
    reading = read_bytes(data, "labs.csv")
    found = [
        {"name": lab.name, "pi": lab.pi, "summary": lab.summary, "keywords": lab.keywords}
        for lab in reading.records.values()
    ]
    refused = any(problem.severity == "error" for problem in reading.problems)
    assert found == rows or refused, reading.problems
    # Whatever came in of a file that was refused in part is as it was written, too.
    assert all(one in rows for one in found)
    if encoding.startswith("utf"):
        assert found == rows, reading.problems


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    number=st.decimals(min_value=0, max_value=10**6, places=3, allow_nan=False, allow_infinity=False),
    unit=st.sampled_from(list(_FACTORS)),
    grouped=st.booleans(),
    comma=st.booleans(),
)
def test_an_amount_is_what_was_written_times_its_unit_or_nothing(
    number: Decimal, unit: str, grouped: bool, comma: bool
) -> None:
    written = f"{number.normalize():,f}" if grouped else f"{number.normalize():f}"
    if comma:
        written = written.replace(",", " ").replace(".", ",")
    data = f'id,title,預算{unit}\nn1,甲,"{written}"\n'.encode()
    (need,) = read_bytes(data, "needs.csv", Kind.NEEDS).records.values()
    true = number * _FACTORS[unit]
    if comma and "," in written:
        # A decimal comma is never read as one, nor silently as thousands, unless it could only be these.
        assert need.budget_ntd in (None, Decimal(written.replace(",", "").replace(" ", "")) * _FACTORS[unit])
        assert need.budget_ntd is None or len(written.rpartition(",")[2]) == 3
    else:
        assert need.budget_ntd == (true if true == int(true) else None)


def test_every_declared_heading_is_known_whatever_its_width_or_case() -> None:
    from indexer.records.lists.headings import heading_of

    for kind in Kind:
        for column in COLUMNS[kind]:
            for heading in (column.heading, f"{column.label}*", column.field.upper(), f"  {column.label}："):
                found = heading_of(kind, heading)
                assert found is not None, (kind, heading)
                assert found.field == column.field, (kind, heading)
