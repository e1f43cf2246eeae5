"""Tables drawn by chance, under any headings, encoding, separator and unit: as they were, or refused; never altered."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from indexer.records.columns import COLUMNS
from indexer.records.exchange import Record, check
from indexer.records.lists.cells import is_nothing
from indexer.records.readers import Reading, read_bytes
from indexer.records.writers import (
    BOOKS,
    Format,
    TooMuchForSheetError,
    csv_header,
    csv_rows,
    jsonl,
    sheets_of,
    write_book,
)
from indexer.vocabulary import AskKind, Kind

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


# No Latin letters with accents: a reader that finds those of a wrong encoding repairs them, and says so.
_LINE = st.text(
    st.sampled_from(_HAN + "abcXYZ 0123456789°±μ²³，；（）「」.-/%=+-@';；、,|\t\"[]{}_𠮷"), min_size=1, max_size=30
).map(lambda text: f"{text}_x003D_" if text.startswith("X") else text)
_PROSE = st.lists(_LINE, min_size=1, max_size=3).map("\n".join)
_DAY = st.dates(min_value=date(1960, 1, 1), max_value=date(2090, 12, 31)).map(str)
_MAYBE_YEAR = st.none() | st.integers(1950, 2090)
_EVIDENCE = st.fixed_dictionaries(
    {
        "title": _LINE,
        "abstract": st.just("") | _PROSE,
        "year": _MAYBE_YEAR,
        "weight": st.sampled_from([0.0, 0.5, 1, 10]),
    }
)
_ANY: dict[Kind, st.SearchStrategy[dict[str, object]]] = {
    Kind.LABS: st.fixed_dictionaries(
        {
            "name": _LINE,
            "name_en": st.just("") | _LINE,
            "pi": st.just("") | _LINE,
            "summary": st.just("") | _PROSE,
            "keywords": st.lists(_LINE, max_size=3),
            "will_not_do": st.lists(_LINE, max_size=2),
            "conflicts": st.lists(_LINE, max_size=2),
            "capacity": st.none() | st.integers(0, 50),
            "evidence": st.lists(_EVIDENCE, max_size=2),
        }
    ),
    Kind.NEEDS: st.fixed_dictionaries(
        {
            "title": _LINE,
            "description": st.just("") | _PROSE,
            "asks": st.lists(st.fixed_dictionaries({"kind": st.sampled_from(AskKind), "text": _PROSE}), max_size=2),
            "budget_ntd": st.none() | st.integers(0, 10**12),
            "deadline": st.none() | _DAY,
            "company": st.none() | _LINE,
        }
    ),
    Kind.COMPANIES: st.fixed_dictionaries({"name": _LINE, "city": st.just("") | _LINE, "description": _PROSE}),
    Kind.SCHOOLS: st.fixed_dictionaries({"name": _LINE, "founded": _MAYBE_YEAR, "merged_on": st.none() | _DAY}),
    Kind.ALLIANCES: st.fixed_dictionaries(
        {
            "name": _LINE,
            "since": st.none() | _DAY,
            "partners": st.lists(
                st.fixed_dictionaries({"school": _LINE, "since": st.none() | _DAY, "until": st.none()}), max_size=3
            ),
        }
    ),
}


def _written(kind: Kind, file_format: Format, documents: list[dict[str, object]]) -> bytes:
    sheets = sheets_of(kind)
    if file_format in BOOKS:
        file = io.BytesIO()
        write_book(file, file_format, sheets, documents)
        return file.getvalue()
    return jsonl(documents) if file_format is Format.JSONL else csv_header(sheets[0]) + csv_rows(sheets[0], documents)


@pytest.mark.parametrize("file_format", list(Format))
@pytest.mark.parametrize("kind", list(_ANY))
def test_whatever_a_record_holds_is_written_and_read_the_same(kind: Kind, file_format: Format) -> None:
    @settings(
        deadline=None,
        derandomize=True,
        max_examples=12,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(rows=st.lists(_ANY[kind], min_size=1, max_size=4))
    def holds(rows: list[dict[str, object]]) -> None:
        given_rows = [{"id": f"{kind}-{n}", **row} for n, row in enumerate(rows)]
        checked = [check(kind, row).record for row in given_rows]
        stored = {one.id: one for one in checked if one is not None}
        documents = [one.model_dump(mode="json") for one in stored.values()]
        if not documents:
            return
        try:
            data = _written(kind, file_format, documents)
        except TooMuchForSheetError:
            return
        found = read_bytes(data, f"{kind}.{file_format}", kind)
        whole = {key: _whole(kind, found, key, file_format) for key in found.records}
        assert whole == {key: _shown(kind, one, file_format) for key, one in stored.items()}, found.problems
        assert [problem for problem in found.problems if problem.severity == "error"] == []

    holds()


def _whole(kind: Kind, reading: Reading, key: str, file_format: Format) -> dict[str, object]:
    said = reading.records[key].model_dump(mode="json")
    if kind is Kind.LABS and file_format in BOOKS:
        said["evidence"] = [
            one.model_dump(mode="json") for one in (reading.evidence[key].items if key in reading.evidence else [])
        ]
    return _plain_document(kind, said, file_format)


def _shown(kind: Kind, record: Record, file_format: Format) -> dict[str, object]:
    return _plain_document(kind, record.model_dump(mode="json"), file_format)


def _plain_document(kind: Kind, said: dict[str, object], file_format: Format) -> dict[str, object]:
    """Leave out what a format has no place for: evidence in CSV, what is not ours."""
    left_out = {"other", "evidence"} if kind is Kind.LABS and file_format is Format.CSV else {"other"}
    if said.get("evidence") is None:
        said = {**said, "evidence": []} if kind is Kind.LABS else said
    return {name: value for name, value in said.items() if name not in left_out}


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


_DAY_FORMS = (
    lambda one: one.isoformat(),
    lambda one: f"{one.year}/{one.month}/{one.day}",
    lambda one: f"{one.year}年{one.month}月{one.day}日",
    lambda one: f"{one.year - 1911}/{one.month:02}/{one.day:02}",
    lambda one: f"{one.year - 1911}.{one.month}.{one.day}",
    lambda one: f"民國{one.year - 1911}年{one.month}月{one.day}日",
    lambda one: f"中華民國 {one.year - 1911} 年 {one.month} 月 {one.day} 日",
    lambda one: f"{one.year - 1911}{one.month:02}{one.day:02}",
    lambda one: str((one - date(1899, 12, 30)).days),
)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(day=st.dates(min_value=date(2011, 1, 1), max_value=date(2099, 12, 31)), form=st.sampled_from(_DAY_FORMS))
def test_a_day_is_the_one_that_was_written(day: date, form: Callable[[date], str]) -> None:
    reading = read_bytes(f"id,title,截止日\nn1,題目,{form(day)}\n".encode(), "needs.csv")
    assert [(one.deadline, reading.problems) for one in reading.records.values()] == [(day, [])]
