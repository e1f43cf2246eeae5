"""Mixed Chinese and English text is broken into lines that fit, without loss, where a reader expects it."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from api.commands.screen import Paragraph, break_offsets

WORDS = st.lists(st.sampled_from(["翹曲", "，", "量測", "warpage", "of", "「", "」", "10 μm", " ", "。"]), max_size=40)


def lines_of(text: str, width: int) -> list[str]:
    edges = [0, *break_offsets(text, width), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@given(WORDS, st.integers(10, 40))
def test_no_line_is_too_wide_and_nothing_is_lost(words: list[str], width: int) -> None:
    text = "".join(words)
    lines = lines_of(text, width)
    assert "".join(lines) == text
    assert [line for line in lines if cell_len(line.rstrip()) > width] == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("面板翹曲量測，很快。", ["面板翹曲量", "測，很快。"]),
        ("甲乙丙丁戊。己", ["甲乙丙丁", "戊。己"]),
        ("甲乙丙丁「戊」己", ["甲乙丙丁", "「戊」己"]),
        ("see warpage now", ["see ", "warpage ", "now"]),
        ("甲乙warpage丙", ["甲乙", "warpage丙"]),
        ("incomprehensible", ["incomprehe", "nsible"]),
        ("甲乙", ["甲乙"]),
    ],
)
def test_lines_break_where_a_reader_expects_it(text: str, lines: list[str]) -> None:
    assert lines_of(text, 10) == lines


def test_all_lines_stand_in_the_column_behind_the_lead() -> None:
    console = Console(file=io.StringIO(), width=28)
    console.print(Paragraph("甲乙丙丁戊己庚辛壬癸子丑寅卯", lead="研發  ", indent=2))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "  研發  甲乙丙丁戊己庚辛壬癸\n        子丑寅卯\n"
