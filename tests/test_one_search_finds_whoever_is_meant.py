"""One field finds whoever is meant: by tax id, id, name in any order, title, short name or a slip; then by meaning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.clients import take_on
from matcher.review.finding import Called, Naming, meant, wished_languages
from tests.conftest import Databases
from tests.rig.worlds.small_world import Asked, asked

COMPANIES: list[dict[str, Any]] = [
    {"id": "co-8", "name": "嶺風電力股份有限公司", "name_en": "Ridgewind Power Co., Ltd.", "tax_id": "04595257"},
    {"id": "co-9", "name": "嶺風電機有限公司", "description": "替 04595257 代工"},
]
SCHOOLS = [
    {"id": "yu", "name": "國立玉山大學", "name_en": "Yushan University"},
    {"id": "gu", "name": "國立關山科技大學"},
]
LABS: list[dict[str, Any]] = [
    {"id": "lab-8", "name": "精密雷射加工實驗室", "name_en": "Laser Machining Lab", "pi": "溫秉崧", "school": "yu"},
    {"id": "lab-9", "name": "電池材料實驗室", "pi": "Tsou, Hsiang-Yun", "members": ["溫若蘭"], "school": "gu"},
]


@pytest.fixture(scope="module")
def here(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("search") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with asked(settings) as made:
        with writing(made.engine) as session:
            for kind, rows in (("schools", SCHOOLS), ("companies", COMPANIES), ("labs", LABS)):
                report = import_rows(session, kind, rows)
                assert (report.refused, report.problems) == (0, [])
            for one in COMPANIES:
                take_on(
                    session,
                    company_id=one["id"],
                    alliance_id="al-a",
                    expert_id=made.accounts["expert"],
                    now=datetime.now(UTC),
                )
        yield made


def found(here: Asked, who: str, words: str) -> list[tuple[str, str, str]]:
    """Return kind, id and sureness of all that somebody finds."""
    groups = here.done(who, "GET", "/api/search", params={"q": words})["groups"]
    assert [group["total"] for group in groups] == [len(group["items"]) for group in groups]
    return [(group["kind"], one["id"], one["sureness"]) for group in groups for one in group["items"]]


QUERIES: dict[str, list[tuple[str, str, str]]] = {
    "０４５９５２５７": [("company", "co-8", "number"), ("company", "co-9", "text")],
    "CO-8": [("company", "co-8", "number")],
    "n-1": [("need", "n-1", "number")],
    "嶺風電力": [("company", "co-8", "name")],
    "ridgewind": [("company", "co-8", "part")],
    "岭风": [("company", "co-9", "part"), ("company", "co-8", "part")],
    "嶺峰電力": [("company", "co-8", "slip")],
    "玉大": [("school", "yu", "part")],
    "關科大": [("school", "gu", "part")],
    "laser 加工": [("lab", "lab-8", "part")],
    "溫教授": [("person", "lab-8", "part"), ("person", "lab-9", "part")],
    "溫": [],
    "Hsiang-Yun Tsou": [("person", "lab-9", "name")],
    "prof. tsou": [("person", "lab-9", "part")],
    "温秉菘": [("person", "lab-8", "slip")],
    "Wen, Ping-Sung": [("person", "lab-8", "slip")],
    "拋光太慢": [("need", "n-1", "name")],
    "要更快": [("need", "n-1", "text")],
    "教授": [],
    "🙂": [],
}


@pytest.mark.parametrize("words", QUERIES)
def test_whoever_is_meant_is_found(here: Asked, words: str) -> None:
    assert found(here, "expert", words) == QUERIES[words]


def test_nobody_finds_what_is_not_theirs_to_see(here: Asked) -> None:
    words = ("嶺風電力", "拋光太慢", "溫秉崧", "玉山大學")
    seen = {
        who: [one[1] for word in words for one in found(here, who, word)] for who in ("stranger", "company", "rival")
    }
    # A company finds its own need, and of the programme's records nothing.
    assert seen == {"stranger": ["lab-8", "yu"], "company": ["n-1"], "rival": []}
    # The office knows that there is a need, by its number and not by its text.
    assert [found(here, "office", word) for word in ("拋光太慢", "要更快")] == [[], []]
    [group] = here.done("office", "GET", "/api/search", params={"q": "n-1"})["groups"]
    assert [(one["id"], one["name"], one["said"]) for one in group["items"]] == [("n-1", None, "n-1")]
    page = here.ask("office", "GET", "/search?q=n-1").text
    assert "保密需求" in page
    assert "拋光太慢" not in page
    # The control: its expert reads the title there.
    assert "拋光太慢" in here.ask("expert", "GET", "/search?q=n-1").text


def test_without_an_index_names_are_found_all_the_same_and_said(here: Asked) -> None:
    page = here.ask("expert", "GET", "/search?q=溫教授").text
    assert [text in page for text in ("溫秉崧", "國立玉山大學", "目前無法排序實驗室")] == [True, True, True]
    # A number is one thing: nothing is ranked for it.
    assert "目前無法排序實驗室" not in here.ask("expert", "GET", "/search?q=04595257").text


def test_pages_are_found_by_their_names(here: Asked) -> None:
    for words in ("案件", "cases", "CASE"):
        part = here.ask(
            "expert", "GET", "/search/suggestions", params={"q": words}, headers={"HX-Request": "true"}
        ).text
        assert '<a href="/cases">' in part
    assert '<a href="/admin">' not in here.ask("expert", "GET", "/search?q=管理").text
    assert '<a href="/admin">' in here.ask("office", "GET", "/search?q=管理").text


@pytest.mark.parametrize(
    ("words", "rest", "languages"),
    [
        ("能用日文溝通的雷射實驗室", "雷射實驗室", ["ja"]),
        ("英文溝通 電池", "電池", ["en"]),
        ("laser lab speaking Japanese", "laser lab", ["ja"]),
        ("English-speaking team for coatings, meetings in German", "team for coatings,", ["en", "de"]),
        # The controls: a language may be the topic.
        ("日文手寫辨識", "日文手寫辨識", []),
        ("English grammar checking", "English grammar checking", []),
        ("", "", []),
    ],
)
def test_a_wish_for_a_language_is_told_from_a_topic(words: str, rest: str, languages: list[str]) -> None:
    assert wished_languages(words) == (rest, languages)


def test_a_slip_is_forgiven_only_where_nobody_has_that_name() -> None:
    both = [Called("a", ("陳美玲",), naming=Naming.PERSON), Called("b", ("陳美鈴",), naming=Naming.PERSON)]
    assert [one.id for one in meant("陳美玲", both)] == ["a"]
    assert [one.id for one in meant("陳美齡", both)] == ["a", "b"]
    assert meant("王大明", both) == []
