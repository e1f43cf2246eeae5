"""Dates, years, money, numbers and words as people write them; and nothing at all ends in a traceback."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.records import values
from indexer.records.exchange import check
from indexer.records.readers import read
from indexer.vocabulary import COUNTRIES, LANGUAGES, EvidenceKind, Kind

AUGUST = date(2019, 8, 31)
READ: list[tuple[Callable[[object], object], object, object]] = [
    *[(values.day, text, AUGUST) for text in ("2019-08-31", "2019/8/31", "2019年8月31日", "2019-08-31T00:00:00")],
    *[
        (values.day, text, AUGUST)
        for text in ("108/08/31", "108.8.31", "民國108年8月31日", "108年8月31日", " 民國 108/8/31 ")
    ],
    (values.day, "民國99年1月2日", date(2010, 1, 2)),
    *[(values.year, year, 2018) for year in (2018, 2018.0, "2018", " 2018年", "民國107年", "107年")],
    *[(values.money, money, 2_400_000) for money in (2_400_000, 2.4e6, "2,400,000", "NT$2,400,000", "240萬元")],
    (values.money, "0.1億", 10_000_000),
    (values.weight, "0.5", 0.5),
    (values.capacity, 0, 0),
    (values.language, "zh-Hant-TW", "zh"),
    (values.language, "日文", "ja"),
    (values.country, "臺灣", "TW"),
    (values.term(EvidenceKind, "a kind"), " Journal ", "paper"),
    (values.term(EvidenceKind, "a kind"), "學位 論文", "thesis"),
]
REFUSED: list[tuple[Callable[[object], object], object]] = [
    *[(values.day, text) for text in ("12/05/19", "99/08/31", "31/08/2019", "2019-13-01", "2019", 43_708, True)],
    *[(values.year, year) for year in ("20x8", 107, "107", 20_180, 2018.5, True, None, "１" * 50)],
    *[(values.money, money) for money in (-1, 0.5, "12.5", "about 3", True, 10**18, float("nan"), "1,2萬3")],
    *[(values.weight, weight) for weight in (-0.1, 10.1, float("inf"), "heavy")],
    *[
        (values.link, link)
        for link in ("ftp://a.example", "https://", "//a.example", "https://a b", "http://[", "mailto:a@b")
    ],
    (values.identifier, "a\u3000b"),
    (values.identifier, "x" * 201),
    (values.term(EvidenceKind, "a kind"), ["paper"]),
]


@pytest.mark.parametrize(("reader", "given_value", "wanted"), READ)
def test_read(reader: Callable[[object], object], given_value: object, wanted: object) -> None:
    assert reader(given_value) == wanted


@pytest.mark.parametrize(("reader", "given_value"), REFUSED)
def test_refused(reader: Callable[[object], object], given_value: object) -> None:
    with pytest.raises(ValueError, match="; "):
        reader(given_value)


def test_the_code_lists_are_whole() -> None:
    assert (len(COUNTRIES), len(LANGUAGES)) == (249, 183)


NAMES = ["id", "name", "title", "evidence", "asks", "kind", "year", "links", "partners", "since", "tax_id", "country"]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(list(Kind)), JSON)
def test_any_value_is_a_record_or_has_faults(kind: Kind, value: Any) -> None:
    checked = check(kind, value)
    assert (checked.record is not None) or checked.faults != []


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(["labs.csv", "needs.jsonl", "x.xlsx"]), st.binary(max_size=200))
def test_any_file_is_read_without_an_exception(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        assert all(str(problem) for problem in read(path).problems)
