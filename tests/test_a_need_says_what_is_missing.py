"""A need is read for what it states; what it leaves open becomes questions; of what says nothing all labs are weak."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from api.documents.matching.matches import match_document
from api.trail.request_trail import MACHINE
from fixtures import world_path
from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.records.passages import joined
from indexer.settings import Settings
from matcher.ranking.elements import MOST_ASKED, QUESTIONS, Element, elements_of
from matcher.ranking.lab_search import plain_need
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Band, band_columns, load_ranker
from matcher.review.intake import adopt
from tests.conftest import Databases, Gloria
from tests.rig.servers.browsers import LANGS, browsing, look_over, ranked
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

FULL_ZH = "碳化矽基板的研磨液\n拋光後移除速度只有0.6微米,用於車用功率模組的晶圓,不能含銀,預算有限。"
FULL_EN = (
    "A coating for ceramic pumps.\nAfter annealing its thickness is 3 x 2 x 1 mm and 12 percent flakes off. "
    "It is used in offshore wind farms. It must not contain silver."
)
PLACEHOLDERS = ("測試", "N/A", "test", "無", "待補", "asdf", "我們需要協助")


def said(text: str, **known: bool) -> list[tuple[str, str]]:
    """Return what a text states."""
    return [(one.element.value, one.text) for one in elements_of(text, **known).stated]


def open_elements(text: str, **known: bool) -> list[str]:
    """Return what a text leaves open."""
    return [question.element.value for question in elements_of(text, **known).questions if question.element]


def test_a_full_need_states_all_five() -> None:
    assert said(FULL_ZH) == [
        ("object", "碳化矽"),
        ("object", "基板"),
        ("object", "研磨液"),
        ("object", "功率模組"),
        ("method", "拋光"),
        ("property", "移除速度"),
        ("property", "0.6微米"),
        ("application", "用於車用功率模組的晶圓"),
        ("application", "車用"),
        ("constraint", "不能含銀"),
        ("constraint", "預算有限"),
    ]
    assert said(FULL_EN) == [
        ("object", "coating"),
        ("object", "ceramic"),
        ("object", "pumps"),
        ("method", "annealing"),
        ("property", "thickness"),
        ("property", "3 x 2 x 1 mm"),
        ("property", "12 percent"),
        ("application", "used in offshore wind farms"),
        ("application", "offshore wind"),
        ("constraint", "It must not contain silver"),
    ]
    assert open_elements(FULL_ZH) == open_elements(FULL_EN) == []


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        pytest.param("清洗液", [("object", "清洗液")], id="a word inside a longer one says nothing of its own"),
        pytest.param("能不能再用", [], id="a question is no limit"),
        pytest.param("試過一度", [], id="once is no temperature"),
        pytest.param("downtime of 5 weeks", [], id="a length of time is no property"),
        pytest.param("shellfish boardwalks", [], id="a part of a word is no word"),
        pytest.param("鋪膜不能超過三百度", [("property", "三百度"), ("constraint", "鋪膜不能超過三百度")], id="both"),
    ],
)
def test_what_only_looks_like_a_statement_is_left_out(text: str, stated: list[tuple[str, str]]) -> None:
    assert said(text) == stated


def test_spans_are_pieces_of_the_text_itself() -> None:
    for text in world_needs():
        for one in elements_of(text).stated:
            assert text[one.start : one.end].strip() == one.text


def world_needs() -> list[str]:
    """Return the texts of the demo world's needs."""
    lines = (world_path() / "needs.jsonl").read_text(encoding="utf-8").splitlines()
    needs = [json.loads(line) for line in lines]
    return [joined(need["title"], need["description"], *(ask["text"] for ask in need["asks"])) for need in needs]


def test_most_needs_of_the_demo_world_state_their_object() -> None:
    open_ones = Counter(element for text in world_needs() for element in open_elements(text))
    assert open_ones["object"] <= 6
    # The control: elements are not found everywhere.
    assert open_ones["application"] > 10


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_leaves_everything_open(text: str) -> None:
    assert said(text) == []
    assert open_elements(text) == [element.value for element in Element]


def test_a_budget_or_a_date_in_the_form_is_a_limit() -> None:
    assert open_elements("電池", has_limits=True) == ["method", "property", "application"]
    assert open_elements("電池") == ["method", "property", "application", "constraint"]


def test_a_vague_need_is_asked_which_of_the_nearest_labs_fields_it_is_about() -> None:
    vague = elements_of("我們需要協助")
    asked = vague.with_labs_told_apart(
        [["半導體", "綜合性"], ["綠能科技"], ["半導體"], ["綠能科技"], ["新農業"], []]
    ).asked
    assert [one.element for one in asked] == [Element.OBJECT, Element.METHOD, None]
    assert (asked[2].ask.zh, asked[2].ask.en) == (
        "請問與下列何者有關：半導體、綠能科技？",
        "Which of these is it about: semiconductors, green energy?",
    )
    # Where all are of one field, or of none that is named, that tells nothing apart.
    for fields in ([["半導體"], ["半導體"], ["新農業"]], [["綜合性"], ["綜合性"], ["其他"], ["其他"]], []):
        assert vague.with_labs_told_apart(fields) == vague


def test_every_question_is_there_in_both_languages() -> None:
    for element, text in QUESTIONS.items():
        zh, en = text.both
        assert (element, zh.endswith("？"), en.endswith("?")) == (element, True, True)


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    """Open the index of the demo world's first cluster."""
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_has_no_lab_above_weak(matcher: Matcher, text: str) -> None:
    answer: Any = match_document(matcher, matcher.match(plain_need(text)), to=MACHINE)
    assert {pairing["band"] for pairing in answer["pairings"]} == {"weak"}
    assert answer["facets"]["band"] == {"strong": 0, "plausible": 0, "weak": answer["allowed"]}
    assert (answer["elements"]["is_clear"], answer["elements"]["stated"]) == (False, [])
    # Three at once; of what says nothing, the last is what tells apart the labs that are nearest.
    assert [one["element"] for one in answer["elements"]["questions"]] in (
        ["object", "method", None],
        ["object", "method", "property"],
    )


def test_a_need_that_says_what_it_wants_keeps_its_bands(matcher: Matcher) -> None:
    answer: Any = match_document(matcher, matcher.match(matcher.need("need-1-01")), to=MACHINE)
    assert answer["pairings"][0]["band"] == "strong"
    assert answer["facets"]["band"]["strong"] > 0
    assert (answer["elements"]["is_clear"], answer["warnings"]) == (True, [])
    assert {"element": "object", "text": "基板"} in answer["elements"]["stated"]


def test_the_highest_score_is_weak_where_the_need_is_unclear() -> None:
    ranker, scores = load_ranker(), np.array([0.0, 100.0, np.nan])
    unclear = ranker.without_upper_bands()
    assert [unclear.band(score) for score in (0.0, 100.0)] == [Band.WEAK, Band.WEAK]
    assert {name: list(rows) for name, rows in band_columns(scores, unclear).items()} == {
        "strong": [False, False, False],
        "plausible": [False, False, False],
        "weak": [True, True, False],
    }
    # The control: the same scores of a clear need.
    assert [ranker.band(score) for score in (0.0, 100.0)] == [Band.WEAK, Band.STRONG]


def test_the_command_asks_before_it_shows_a_lab(gloria: Gloria, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "needs.jsonl").write_text(json.dumps({"id": "n1", "title": "我們需要協助"}), encoding="utf-8")
    assert gloria("import", tmp_path / "needs.jsonl", home=own_home).code == 0
    told = gloria("match", "n1", "--lang", "zh", home=own_home).out
    asked = told.index("請問要處理的材料、產品或資料是什麼？")
    assert told.index("請先詢問企業") < asked < told.index(" 1. ")


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Serve the demo world's first cluster, with a need that says nothing."""
    folder = tmp_path_factory.mktemp("vague") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            import_rows(session, "needs", [{"id": "need-1-99", "company": "co-1-1", "title": "我們需要協助"}])
            for need_id in ("need-1-02", "need-1-99"):
                adopt(session, need_ids=[need_id], alliance_id="al-a", by=None, now=datetime.now(UTC))
        engine.dispose()
        yield server


def test_the_page_of_a_need_shows_what_it_states_and_asks_the_rest(server: Served) -> None:
    with visiting(server, "expert", "en") as somebody:
        page = somebody.open("/needs/need-1-01")
        labels = [one.text_content().strip() for one in page.locator(".stated dt").elements()]
        assert labels == ["object", "process or method", "property or figure", "use", "constraint"]
        expect(page.get_by_text("question to the company")).to_have_count(0)
        page = somebody.open("/needs/need-1-99")
        expect(page.locator(".stated")).to_have_count(0)
        expect(page.locator(".elements details summary", has_text="3 questions to the company")).to_have_count(1)
        mails = [
            page.get_by_label(f"Questions in {name}").input_value().splitlines() for name in ("Chinese", "English")
        ]
    for mail, lang in zip(mails, ("zh", "en"), strict=True):
        asked = [getattr(text, lang) for text in QUESTIONS.values()][:MOST_ASKED]
        assert mail == [f"{number}. {text}" for number, text in enumerate(asked, start=1)]


@pytest.mark.parametrize("lang", LANGS)
def test_a_vague_need_is_asked_about_before_any_lab(browser: Browser, server: Served, lang: str) -> None:
    with browsing(browser, server, "expert", lang) as somebody:
        look_over(somebody, lang, {"needs-vague": "/needs/need-1-99"}, _unfold)
        assert somebody.page.locator("#ranked .notice li").count() == MOST_ASKED
        weak = "較弱" if lang == "zh-Hant" else "weak"
        assert set(somebody.page.locator(".candidate .band").all_text_contents()) == {f"●○○ {weak}"}


def _unfold(page: Page) -> None:
    ranked(page)
    for summary in page.locator(".elements > summary, .elements details > summary, .notice summary").all():
        # On a telephone the need itself is folded away.
        if summary.is_visible():
            summary.click()


def test_who_may_not_read_a_need_is_told_nothing_of_it(server: Served) -> None:
    for who, shown in (("expert", 1), ("office", 0)):
        with visiting(server, who, "en") as somebody:
            expect(somebody.open("/needs/need-1-02").get_by_text("What the need states")).to_have_count(shown)
