"""Rules are read and set in words: values, lists and tables in a form, what it changes shown before it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.settings import Settings
from matcher.ledger.rule_documents import DOCUMENTS
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_work import add_reviewers
from tests.rig.servers.visits import expect, visiting

PREVIEW = {"en": "See what this changes", "zh-Hant": "檢視變動"}
FORCE = {"en": "Put it in force", "zh-Hant": "公布施行"}
CHANGES = "section[aria-labelledby=h-change]"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("rules") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        add_reviewers(server)
        yield server


def _held(server: Served, name: str) -> dict[str, Any]:
    held: dict[str, Any] = server.ask("office", "GET", f"/api/configuration/{name}").json()
    return held


def _opened(somebody: Any, name: str) -> Any:
    page = somebody.open(f"/admin/configuration/{name}")
    page.locator("#set > summary").click()
    return page


def _changes(page: Any) -> dict[str, str]:
    words = [one.text_content().strip() for one in page.locator(f"{CHANGES} dt").all()]
    return dict(zip(words, (one.text_content().strip() for one in page.locator(f"{CHANGES} dd").all()), strict=True))


def _pressed(page: Any, lang: str, words: dict[str, str] = PREVIEW) -> Any:
    page.get_by_role("button", name=words[lang]).click()
    return page


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_form_that_is_sent_as_it_stands_changes_nothing(server: Served, name: str, lang: str) -> None:
    before = _held(server, name)
    with visiting(server, "office", lang) as somebody:
        page = _pressed(_opened(somebody, name), lang)
        assert _changes(page) == {}
        expect(page.locator(CHANGES)).to_contain_text({"en": "Nothing", "zh-Hant": "無：各項"}[lang])
        # No key, code or JSON is read by a person.
        text = page.locator("main").text_content()
        assert [word for word in ("{", "_bp", "ntd", 'definition":') if word in text] == []
    # What stands is what the form would store: the control to what it shows.
    assert _held(server, name) == before


def _row(page: Any, name: str) -> Any:
    return page.locator(f"[name='{name}']")


def test_a_list_is_set_row_by_row(server: Served) -> None:
    before = _held(server, "points")["document"]
    with visiting(server, "office", "zh-Hant") as somebody:
        page = _opened(somebody, "points")
        last = len(before["activities"])
        _row(page, "activities-1-2").fill("4")
        _row(page, "activities-3-gone").check()
        for place, text in enumerate(("擔任業師", "mentoring", "3")):
            _row(page, f"activities-{last}-{place}").fill(text)
        _pressed(page, "zh-Hant")
        told = [one.text_content() for one in page.locator(f"{CHANGES} dd").all()]
        assert told == ["2 → 4", "辦理工作坊或研討會、workshop or seminar given、3 → —", "— → 擔任業師、mentoring、3"]
        # What was typed stays, and there is room for one more.
        assert _row(page, f"activities-{last}-0").input_value() == "擔任業師"
        assert _row(page, f"activities-{last + 1}-0").input_value() == ""
        assert _held(server, "points")["document"] == before
        page.get_by_label("修改理由").fill("增列業師")
        _pressed(page, "zh-Hant", FORCE)
        expect(page.locator("main")).to_contain_text("增列業師")
    held = _held(server, "points")
    kept = {key: one for key, one in before["activities"].items() if key != "workshop"}
    kept["company_visit"] = kept["company_visit"] | {"points": 4}
    new = {"label_zh": "擔任業師", "label_en": "mentoring", "points": 3}
    assert (held["version"], held["document"]) == (1, before | {"activities": kept | {"activity_1": new}})
    assert list(held["document"]["activities"])[-1] == "activity_1"


def test_two_rows_are_added_at_once_after_a_look(server: Served) -> None:
    before = _held(server, "points")["document"]
    last = len(before["activities"])
    with visiting(server, "office", "en") as somebody:
        page = _opened(somebody, "points")
        for place, text in enumerate(("校外教學", "teaching outside", "2")):
            _row(page, f"activities-{last}-{place}").fill(text)
        _pressed(page, "en")
        for place, text in enumerate(("評選委員", "jury", "1")):
            _row(page, f"activities-{last + 1}-{place}").fill(text)
        page.get_by_label("Reason for the change").fill("two more")
        _pressed(page, "en", FORCE)
    after = _held(server, "points")["document"]["activities"]
    assert [one["label_en"] for one in list(after.values())[last:]] == ["teaching outside", "jury"]
    assert list(after)[:last] == list(before["activities"])


@pytest.mark.parametrize(
    ("name", "cells", "to_blame", "said"),
    [
        ("points", {"activities-0-2": "many"}, "activities-0-2", "give a number"),
        ("points", {"activities-0-2": "0"}, "activities-0-2", "greater than or equal to 1"),
        ("points", {"activities-0-0": ""}, "activities-0-0", "say something here"),
        ("subsidy_path", {"shares_bp-1-0": "2018"}, "shares_bp-1-0", "this row stands twice"),
        ("subsidy_path", {"shares_bp-1-1": "101"}, "shares_bp-1-1", "less than or equal to 10000"),
        ("target_books", {"books-0-targets-0-1": "soon"}, "books-0-targets-0-1", "give a number"),
        ("target_books", {"books-0-targets-3-2": "0"}, "books-0-targets-3-2", "greater than or equal to 1"),
        ("money_definitions", {"definitions-0-3": "Atlantis"}, "definitions-0-3", "“Atlantis” is no country"),
        ("warning_rules", {"kpis-1-2": "5"}, "kpis-1-0", "never falls"),
    ],
)
def test_what_is_wrong_is_said_beside_the_cell(
    server: Served, name: str, cells: dict[str, str], to_blame: str, said: str
) -> None:
    before = _held(server, name)
    with visiting(server, "office", "en") as somebody:
        page = _opened(somebody, name)
        for cell, text in cells.items():
            _row(page, cell).fill(text)
        page.get_by_label("Reason for the change").fill("try")
        page.locator("#set button.main").click()
        expect(page.get_by_role("alert")).to_contain_text(said)
        assert _row(page, to_blame).get_attribute("aria-invalid") == "true"
        expect(page.locator(f"#e-{to_blame}")).to_contain_text(said)
        assert {cell: _row(page, cell).input_value() for cell in cells} == cells
    assert _held(server, name) == before


def test_targets_are_moved_in_roc_years_for_a_second_person(server: Served) -> None:
    before = _held(server, "target_books")["document"]
    targets = before["books"][0]["targets"]
    with visiting(server, "office", "zh-Hant") as somebody:
        page = _opened(somebody, "target_books")
        assert _row(page, "books-0-targets-0-1").input_value() == str(targets[0]["year"] - 1911)
        new = f"books-0-targets-{len(targets)}"
        _row(page, f"{new}-0").select_option("C")
        for place, text in ((1, "110"), (2, "1,200"), (4, "第三次核定")):
            _row(page, f"{new}-{place}").fill(text)
        _row(page, f"{new}-3").select_option("annual")
        page.get_by_label("修改理由").fill("展延一年")
        page.locator("#set button.main").click()
        expect(page.locator("main")).to_contain_text("待第二人同意")
    moved = _held(server, "target_books")["motion"]["payload"]["document"]
    added = {"kpi": "C", "year": 2021, "amount": 1200, "basis": "annual", "source": "第三次核定", "definition": None}
    assert moved["books"][0]["targets"] == [*targets, added]
    assert moved | {"books": None} == before | {"books": None}
    assert moved["books"][1:] == before["books"][1:]


def test_what_somebody_set_meanwhile_is_not_lost(server: Served) -> None:
    with visiting(server, "office", "en") as one, visiting(server, "second_office", "en") as other:
        pages = [_opened(somebody, "gender") for somebody in (one, other)]
        for page, number in zip(pages, ("4", "6"), strict=True):
            _row(page, "judged_from").fill(number)
            page.get_by_label("Reason for the change").fill("count")
            page.locator("#set button.main").click()
        expect(pages[1].get_by_role("alert")).to_contain_text("changed in the meantime")
    assert _held(server, "gender")["document"]["judged_from"] == 4


def test_who_may_read_and_not_set_reads_the_same_words_without_a_form(server: Served) -> None:
    with visiting(server, "expert", "zh-Hant") as somebody:
        page = somebody.open("/admin/configuration/warning_rules")
        expect(page.locator("#set")).to_have_count(0)
        rows = [one.text_content() for one in page.locator("table.rules tbody tr").all()]
    assert rows[0] == "成立聯盟數" + "100 %" * 5
