"""A need in one language covers a passage in the other, and is shown by which words, as each text writes them."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from indexer.index.dictionary import (
    Dictionary,
    Postings,
    Sense,
    Translation,
    Weight,
    coverage,
    english_words,
    senses_of,
)
from indexer.index.words import TermCounts, terms

DICTIONARY = Dictionary()
CHINESE = ["自閉症兒童的早期診斷", "碳化矽晶圓的化學機械拋光", "以無人機監測稻田水位"]
ENGLISH = [
    "Early diagnosis of autism in children",
    "Chemical mechanical polishing of silicon carbide wafers",
    "Watching the water level of rice fields by drone",
]


def alike(stem: str) -> float:
    return 1.0


def english_postings(weight: Weight = alike) -> Postings:
    return Postings(TermCounts.of([terms(text) for text in ENGLISH]), weight)


def chinese_postings(weight: Weight = alike, dictionary: Dictionary = DICTIONARY) -> Postings:
    return Postings(TermCounts.of([dictionary.english_terms(text) for text in CHINESE]), weight)


def found(text: str, dictionary: Dictionary = DICTIONARY) -> list[str]:
    return [word.word for word in dictionary.plan(text)]


def pairs(
    need: str, passage: str, weight: Weight = alike, dictionary: Dictionary = DICTIONARY
) -> list[tuple[str, str]]:
    return [(one.need.word, one.passage.word) for one in dictionary.pairs(need, passage, weight)]


def test_a_chinese_word_has_its_english_meaning_at_the_place_where_it_stands() -> None:
    assert DICTIONARY.plan("治療自閉症。") == (
        Translation("治療", 0, 2, (("treat",), ("medic", "treatment"), ("therapi",))),
        Translation("自閉症", 2, 5, (("autism",),)),
    )


def test_taiwans_words_are_found_where_they_are_written_though_the_mainlands_are_longer_or_shorter() -> None:
    text = "用網際網路連上的軟體把隨身碟和計程車的螢幕連起來"
    words = {word.word: word for word in DICTIONARY.plan(text)}
    assert {word: words[word].senses[0] for word in ("網際網路", "軟體", "隨身碟", "計程車", "螢幕")} == {
        "網際網路": ("internet",),
        "軟體": ("softwar",),
        "隨身碟": ("usb", "flash", "drive"),
        "計程車": ("taxi",),
        "螢幕": ("screen",),
    }
    assert all(text[word.start : word.end] == word.word for word in words.values())


def test_both_scripts_have_the_same_meanings() -> None:
    traditional, simplified = DICTIONARY.plan("神經網路與資料庫"), DICTIONARY.plan("神经网络与数据库")
    assert [word.senses for word in traditional] == [word.senses for word in simplified]
    assert [word.word for word in simplified] == ["神经网络", "数据库"]


def test_the_longest_word_is_taken_and_each_word_once() -> None:
    assert found("神經網路，神經，神經網路") == ["神經網路", "神經"]


def test_single_characters_say_nothing_unless_they_are_elements() -> None:
    assert found("把矽與的") == ["矽"]


def test_texts_without_chinese_have_no_chinese_words() -> None:
    assert (DICTIONARY.plan("autism"), DICTIONARY.plan(""), DICTIONARY.english_terms("3D")) == ((), (), [])


@pytest.mark.parametrize(
    ("gloss", "senses"),
    [
        ("to polish (a surface)", (("polish",),)),
        ("laser; light beam", (("laser",), ("light", "beam"))),
        ("surname Zhang", ()),
        ("CL:個|个[ge4]", ()),
        ("variant of 抛光[pao1 guang1]", ()),
        ("old variant of 抛光[pao1 guang1]", ()),
        ("see 抛光[pao1 guang1]", ()),
        ("Taiwan pr. [ping2]", ()),
        (
            "abbr. for 中國科學院|中国科学院[Zhong1 guo2 Ke1 xue2 yuan4], Chinese Academy of Sciences",
            (("chines", "academi", "scienc"),),
        ),
        ("the same thing that all of the people here say about any long story of theirs told", ()),
    ],
)
def test_what_only_points_elsewhere_is_no_meaning(gloss: str, senses: tuple[Sense, ...]) -> None:
    assert senses_of([gloss]) == senses


def test_a_word_has_at_most_six_meanings() -> None:
    assert senses_of(["a cat", "dogs", "dog", "cow/", "hen; owl", "fox", "bee"]) == (
        ("cat",), ("dog",), ("cow",), ("hen",), ("owl",), ("fox",),
    )  # fmt: skip


@pytest.mark.parametrize("n", range(3))
def test_a_need_covers_the_passage_of_the_other_language_that_speaks_of_it(n: int) -> None:
    there = coverage(DICTIONARY.plan(CHINESE[n]), english_postings())
    back = coverage(english_words(ENGLISH[n]), chinese_postings())
    assert (int(there.argmax()), int(back.argmax())) == (n, n)
    assert all(0 <= one <= 1 for one in (*there, *back))


def test_coverage_is_the_share_of_the_words_weight_each_by_its_best_sense_and_the_less_the_more_it_has() -> None:
    worth = {"autism": 0.9, "therapi": 0.1, "treat": 0.3, "medic": 0.4, "treatment": 0.2}
    postings = Postings(
        TermCounts.of([["autism"], ["treat", "treat"], ["treatment", "x"], ["x"]]), lambda stem: worth[stem]
    )
    once, twice = 1 / 1.6, 2 / 2.6
    sure = 1 / math.sqrt(3)
    covered = np.array([0.9 * once, sure * 0.3 * twice, sure * 0.4 * 0.2 / 0.6 * once, 0])
    expected = covered / (0.9 + sure * 0.4)
    assert coverage(DICTIONARY.plan("治療自閉症"), postings) == pytest.approx(expected, abs=1e-6)


def test_an_english_word_is_covered_by_a_chinese_word_as_far_as_the_need_has_all_its_meaning() -> None:
    counts = TermCounts.of([["machin learn"], ["machin"], ["learn disord clinic"], ["x"]])
    postings = Postings(counts, alike)
    once = 1 / 1.6
    assert coverage(english_words("machine learning"), postings) == pytest.approx([once, once / 2, 0, 0])
    assert coverage(english_words("machine"), postings) == pytest.approx([once / 2, once, 0, 0])


def test_words_that_are_worth_nothing_cover_nothing() -> None:
    nothing = Postings(TermCounts.of([["autism"]]), lambda stem: 0.0)
    assert coverage(DICTIONARY.plan("自閉症"), nothing).tolist() == [0.0]
    assert coverage((), english_postings()).tolist() == [0.0, 0.0, 0.0]
    assert coverage(DICTIONARY.plan("自閉症"), Postings(TermCounts.of([]), alike)).tolist() == []


def test_pairs_are_shown_as_each_text_writes_them_in_either_direction() -> None:
    there = pairs("碳化矽基板的化學機械拋光", "Chemical-mechanical polishing (CMP) of wafers")
    assert sorted(there) == [("化學", "Chemical"), ("拋光", "polishing"), ("機械", "mechanical")]
    assert sorted(pairs("polishing of wafers", "化学机械抛光")) == [("polishing", "抛光")]


def test_the_rarest_pair_comes_first_and_six_are_enough() -> None:
    rare = {"autism": 1.0, "story": 0.5, "stori": 0.5}
    shown = pairs("故事、小孩與自閉症", "A story of a child with autism", lambda stem: rare.get(stem, 0.1))
    assert shown == [("自閉症", "autism"), ("故事", "story"), ("小孩", "child")]
    many = pairs("蘋果、香蕉、葡萄、西瓜、鳳梨、草莓、芒果", "apple banana grape watermelon pineapple strawberry mango")
    assert len(many) == 6


def test_words_of_one_meaning_that_lie_together_are_one_phrase() -> None:
    assert pairs("神經網路", "A network of sensors, and a neural network") == [("神經網路", "neural network")]


def test_an_offices_own_terms_come_first_and_are_not_needed_for_the_rest() -> None:
    own = Dictionary({"斷詞": ["word segmentation"], "馬可夫": ["Markov"], "鏈": ["chain"]})
    text = "馬可夫鏈斷詞程式"
    assert found(text) == ["程式"]
    assert found(text, own) == ["馬可夫", "鏈", "斷詞", "程式"]
    assert own.plan("斷詞")[0].senses == (("word", "segment"),)
    assert own.plan("断词")[0].senses == (("word", "segment"),)
    assert pairs("斷詞", "Chinese word segmentation", dictionary=own) == [("斷詞", "word segmentation")]


def test_an_own_term_replaces_what_the_dictionary_says_but_not_a_longer_word() -> None:
    own = Dictionary({"程式": ["program"], "神經": ["nerves"]})
    assert [(word.word, word.senses) for word in own.plan("程式")] == [("程式", (("program",),))]
    assert found("神經網路", own) == ["神經網路"]


def test_threads_find_the_same_words() -> None:
    with ThreadPoolExecutor(8) as pool:
        plans = list(pool.map(Dictionary().plan, CHINESE * 20))
    assert plans == [DICTIONARY.plan(text) for text in CHINESE] * 20


def test_weights_are_asked_for_once_a_stem() -> None:
    asked: list[str] = []

    def weight(stem: str) -> float:
        asked.append(stem)
        return math.log(2)

    postings = chinese_postings(weight)
    for text in ENGLISH * 3:
        coverage(english_words(text), postings)
    assert len(asked) == len(set(asked))
