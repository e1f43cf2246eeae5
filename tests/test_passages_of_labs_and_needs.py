"""What of a lab and of a need is searched, and in which language it counts as written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from indexer.records.passages import fingerprint, lab_passages, language_of, languages_in, need_text, sentences
from indexer.records.profiles import Ask, Evidence, Lab, Need

PAPER = Evidence("ev-1", "paper", "魚塭溶氧預測", "以感測器量測。", 2023, 1.0)
PATENT = Evidence("ev-2", "patent", "Low-power buoy", "", None, 2.5)
LAB = Lab(
    id="lab-1",
    name="養殖水質實驗室",
    name_en="Pond Lab",
    pi="",
    school=None,
    fields=(),
    summary="量測溶氧。",
    summary_en="We measure oxygen.",
    keywords=("溶氧", "氨氮"),
    offers=(),
    will_not_do=(),
    capacity=None,
    languages=(),
    conflicts=(),
    links=(),
    evidence=(PAPER, PATENT),
)
NEED = Need("need-1", None, None, "缺氧預警", "想提早知道。", (), (), None, None, "open", None, (), (), None)


def test_a_lab_is_its_profile_in_each_language_and_each_piece_of_evidence() -> None:
    assert [(p.source, p.kind, p.language, p.year, p.weight, p.text) for p in lab_passages(LAB)] == [
        ("profile", "profile", "zh", None, 1.0, "養殖水質實驗室\n量測溶氧。\n溶氧, 氨氮"),
        ("profile", "profile", "en", None, 1.0, "Pond Lab\nWe measure oxygen."),
        ("ev-1", "paper", "zh", 2023, 1.0, "魚塭溶氧預測\n以感測器量測。"),
        ("ev-2", "patent", "en", None, 2.5, "Low-power buoy"),
    ]


def test_retired_evidence_is_left_out() -> None:
    retired = replace(LAB, evidence=(replace(PAPER, weight=0.0), PATENT))
    assert [passage.source for passage in lab_passages(retired)] == ["profile", "profile", "ev-2"]


def test_a_lab_with_nothing_but_names_is_its_names() -> None:
    bare = replace(LAB, summary="", summary_en="", keywords=(), evidence=())
    assert [passage.text for passage in lab_passages(bare)] == ["養殖水質實驗室\nPond Lab"]


def test_every_change_that_the_index_holds_changes_the_fingerprint() -> None:
    changed = [
        LAB,
        replace(LAB, summary="量測氨氮。"),
        replace(LAB, evidence=(PATENT, PAPER)),
        replace(LAB, evidence=(replace(PAPER, year=2022), PATENT)),
        replace(LAB, evidence=(replace(PAPER, weight=3.0), PATENT)),
    ]
    assert len({fingerprint(lab_passages(lab)) for lab in changed}) == len(changed)
    assert fingerprint(lab_passages(replace(LAB, capacity=3))) == fingerprint(lab_passages(LAB))


def test_a_need_says_its_title_description_and_asks() -> None:
    asked = replace(NEED, asks=(Ask("technology", "溶氧預測"), Ask("talent", "實習生")))
    assert need_text(asked) == "缺氧預警\n想提早知道。\n溶氧預測\n實習生"
    assert need_text(NEED) == "缺氧預警\n想提早知道。"


@pytest.mark.parametrize(
    ("text", "main", "spoken"),
    [
        ("以感測器量測魚塭的溶氧", "zh", {"zh"}),
        ("Dissolved oxygen in ponds", "en", {"en"}),
        ("AI 與 IoT 用於 5G", "zh", {"zh"}),
        ("鈣鈦礦。" + "Lead-free absorbers for thin solar cells are made and tested here every day.", "en", {"en"}),
        (
            "以感測器量測魚塭的溶氧與氨氮，並預測缺氧。" + "We measure dissolved oxygen and predict it " * 2,
            "zh",
            {"zh", "en"},
        ),
        ("", "en", {"en"}),
        ("2024 !!! 😀", "en", {"en"}),
    ],
)
def test_languages(text: str, main: str, spoken: set[str]) -> None:
    assert language_of(text) == main
    assert languages_in(text) == spoken


def test_sentences_of_both_languages() -> None:
    text = "我們量測溶氧。缺氧時會示警！We forecast oxygen. It works\n短句。另有低功耗的浮標"
    assert sentences(text) == [
        "我們量測溶氧。",
        "缺氧時會示警！",
        "We forecast oxygen.",
        "It works",
        "另有低功耗的浮標",
    ]
