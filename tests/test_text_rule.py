"""The one text rule: what it repairs, what it refuses, and that it never takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.plain_text import TextError, clean, shown

REPAIRED = {
    "already clean": ("半導體 lab", "半導體 lab"),
    "blanks at the ends": ("  \u3000晶圓\n ", "晶圓"),
    "full width as typed": ("ＡＩ晶片（２吋）", "ＡＩ晶片（２吋）"),
    "exponents, units and punctuation as typed": ("5×10⁻³ m²，㎜；「②」", "5×10⁻³ m²，㎜；「②」"),
    "rare characters as typed": ("𠮷\uf9d1", "𠮷\uf9d1"),
    "accents as typed": ("Universite\u0301", "Universite\u0301"),
    "as long as it was typed": ("\ufdfa" * 50, "\ufdfa" * 50),
    "marks of direction around": ("\u2068\u200f晶圓\u2069 \u202c", "晶圓"),
    "windows quotes decoded as latin-1": ("\x93smart\x94 caf\x80", "“smart” caf€"),
    "windows bytes without meaning": ("low\x9dcost", "low cost"),
    "byte order mark": ("\ufeffRime", "Rime"),
    "break in one line": ("two \r\n\tlines", "two lines"),
    "line separator": ("two\u2028lines", "two lines"),
    "private use": ("\ue000字", "\ue000字"),
    "only blanks": (" \t\n", ""),
    "joined emoji": ("👩\u200d🔬", "👩\u200d🔬"),
}

REFUSED = {
    "nul": ("a\x00b", "contains the control character U+0000 at character 2; remove it"),
    "escape": ("\x1b[31m", "contains the control character U+001B at character 1; remove it"),
    "delete": ("字\x7f", "contains the control character U+007F at character 2; remove it"),
    "right-to-left override": (
        "abc\u202etxt.exe",
        "contains a character that reverses the writing direction (U+202E at character 4); remove it",
    ),
    "isolate": (
        "x\u2066y",
        "contains a character that reverses the writing direction (U+2066 at character 2); remove it",
    ),
    "half a character": (
        "x\ud800",
        "contains half a character (U+D800 at character 2); save the text again as UTF-8",
    ),
    "too long": ("x" * 101, "has 101 characters; give at most 100"),
    "too long in wide characters": ("\ufdfa" * 101, "has 101 characters; give at most 100"),
    "stacked accents": ("a" + "\u0301" * 31, "has more than 30 accents on one letter; remove them"),
}


@pytest.mark.parametrize("case", REPAIRED)
def test_repaired(case: str) -> None:
    given_text, wanted = REPAIRED[case]
    assert clean(given_text, max_chars=100, multiline=False) == wanted


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    given_text, message = REFUSED[case]
    with pytest.raises(TextError) as caught:
        clean(given_text, max_chars=100, multiline=False)
    assert str(caught.value) == message


def test_many_lines_keep_their_breaks() -> None:
    assert clean("one\r\ntwo\rthree\u2029\tfour ", max_chars=100, multiline=True) == "one\ntwo\nthree\n\tfour"


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    try:
        once = clean(text, max_chars=2_000, multiline=True)
    except TextError:
        return
    assert clean(once, max_chars=2_000, multiline=True) == once


@pytest.mark.parametrize("pair", ["\u0f72\u0f71", "\u0f73\u0f73", "\u0301\u0316", "\t ", "\n\u3000", "  ", "\u200f "])
def test_a_hostile_text_costs_no_time(pair: str) -> None:
    start = time.perf_counter()
    try:
        clean("a" + pair * 24_999 + "a", max_chars=50_000, multiline=False)
    except TextError as error:
        assert str(error) == "has more than 30 accents on one letter; remove them"  # noqa: PT017 (either outcome is right)
    assert time.perf_counter() - start < 1.0


def test_messages_show_no_unprintable_character_and_stay_short() -> None:
    assert shown("a\x1b[2J\u202e") == '"a\\u001b[2J\\u202e"'
    assert shown("字" * 100) == '"' + "字" * 59 + '…"'
    assert shown({"a": 1}) == "an object"
