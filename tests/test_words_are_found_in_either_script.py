"""What counts as a word: Traditional and Simplified are one, English words are stems, and spans point into the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.index.words import WordIndex, located_terms, terms


def test_chinese_gives_characters_and_pairs_in_order() -> None:
    assert terms("多機協") == ["多", "多机", "机", "机协", "协"]


@pytest.mark.parametrize(
    ("traditional", "simplified"), [("多機協同排程", "多机协同排程"), ("鈣鈦礦電池", "钙钛矿电池")]
)
def test_both_scripts_give_the_same_terms(traditional: str, simplified: str) -> None:
    assert terms(traditional) == terms(simplified)
    assert terms(traditional) != terms("水產養殖")


def test_english_gives_stems_without_stop_words() -> None:
    assert terms("The Sensors are sensing") == terms("sensor sense")
    assert terms("sensor") != terms("censor")


def test_joined_words_give_their_parts() -> None:
    assert terms("lead-free") == terms("lead free") == ["lead", "free"]


def test_scripts_may_touch() -> None:
    assert terms("AI晶片5G") == ["ai", "晶", "晶片", "片", "5g"]


@pytest.mark.parametrize("text", ["", " \n", "!?…、。", "😀😀", "the of and"])
def test_a_text_may_have_no_terms(text: str) -> None:
    assert terms(text) == []


def test_spans_point_at_what_was_written() -> None:
    text = "İstanbul 的 Photovoltaics：無鉛電池"
    assert [(text[t.start : t.end], t.term) for t in located_terms(text)] == [
        ("İstanbul", "İstanbul"),
        ("的", "的"),
        ("Photovoltaics", "photovolta"),
        ("無", "无"),
        ("無鉛", "无铅"),
        ("鉛", "铅"),
        ("鉛電", "铅电"),
        ("電", "电"),
        ("電池", "电池"),
        ("池", "池"),
    ]


@given(st.text())
def test_spans_lie_inside_any_text(text: str) -> None:
    for term in located_terms(text):
        assert 0 <= term.start < term.end <= len(text)
        assert term.term


def test_one_script_finds_the_other_in_an_index() -> None:
    index = WordIndex.build([terms("鈣鈦礦太陽能電池"), terms("水產養殖")])
    for found, same in zip(index.answers(terms("钙钛矿电池")), index.answers(terms("鈣鈦礦電池")), strict=True):
        assert found[0] > 0
        assert found[1] == 0
        assert found.tolist() == same.tolist()
