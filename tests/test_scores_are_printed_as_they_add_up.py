"""Contributions as printed add up to the score as printed, and marked words are whole words of escaped text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.pages.needs.cards import WIDTH, ZERO, differences, groups_of, parts_of
from api.pages.shell.templating import marked
from matcher.ranking.signals import FEATURE_LABELS, GROUPS, RETIRED_LABELS

AMOUNTS = st.lists(st.floats(-6, 9), min_size=len(FEATURE_LABELS), max_size=len(FEATURE_LABELS))


@given(AMOUNTS)
def test_printed_parts_add_up(amounts: list[float]) -> None:
    contributions = dict(zip(FEATURE_LABELS, amounts, strict=True))
    score = sum(amounts)
    parts = parts_of(contributions, score)
    assert round(sum(part.amount for part in parts), 2) == round(round(score * 100) / 100, 2)
    exact = {FEATURE_LABELS[name].both: amount for name, amount in contributions.items()}
    assert all(abs(part.amount - exact[(part.zh, part.en)]) < 0.02 for part in parts)
    assert all(part.left >= 0 and part.left + part.width <= WIDTH + 0.5 for part in parts)
    assert all((part.left < ZERO) == (part.amount < 0) for part in parts if abs(part.amount) > 0.05)


@given(AMOUNTS)
def test_three_sums_open_into_all_parts_and_still_add_up(amounts: list[float]) -> None:
    contributions = dict(zip(FEATURE_LABELS, amounts, strict=True))
    groups = groups_of(contributions, sum(amounts))
    assert len(groups) <= len(GROUPS)
    assert round(sum(group.sum.amount for group in groups), 2) == round(round(sum(amounts) * 100) / 100, 2)
    for group in groups:
        assert not group.parts or round(sum(part.amount for part in group.parts), 2) == round(group.sum.amount, 2)
    opened = [part for group in groups for part in group.parts or [group.sum]]
    assert sorted(part.amount for part in opened) == sorted(
        part.amount for part in parts_of(contributions, sum(amounts))
    )


def test_what_an_earlier_release_added_up_is_still_named() -> None:
    groups = groups_of({"words_lab": 1.5, "meaning_english": 2.25, "field": 0.5}, 4.25)
    assert [(group.sum.en, group.sum.amount) for group in groups] == [
        ("words", 1.5),
        ("meaning", 2.25),
        ("profile", 0.5),
    ]
    named = {label.both[1] for label in RETIRED_LABELS.values()}
    assert {part.en for part in parts_of({"words_lab": 1.5, "ask_mean": 1.0}, 2.5)} <= named


@given(AMOUNTS, AMOUNTS)
def test_differences_are_those_of_what_is_printed(first: list[float], second: list[float]) -> None:
    sides = [(dict(zip(FEATURE_LABELS, side, strict=True)), sum(side)) for side in (first, second)]
    for row in differences(*sides):
        assert row.by == round(row.first.amount - row.second.amount, 2)


def test_shared_words_are_marked() -> None:
    text = "CMP of SiC: 碳化矽拋光 <b>cmps</b> & CMP"
    expected = "<mark>CMP</mark> of SiC: <mark>碳化矽</mark>拋光 &lt;b&gt;cmps&lt;/b&gt; &amp; <mark>CMP</mark>"
    assert marked(text, ["cmp", "碳化矽"]) == expected
    assert marked("a < b", []) == "a &lt; b"


@given(st.text(), st.lists(st.text(max_size=5), max_size=4))
def test_marking_loses_and_opens_nothing(text: str, words: list[str]) -> None:
    shown = marked(text, words)
    assert shown.replace("<mark>", "").replace("</mark>", "") == marked(text, [])
