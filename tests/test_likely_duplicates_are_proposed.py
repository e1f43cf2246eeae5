"""Records that are probably one are proposed with the reasons; what a person told apart is proposed no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from indexer.vocabulary import Mendable
from matcher.mending.duplicates import likely_duplicates
from tests.conftest import Gloria
from tests.rig.worlds.small_world import Asked, asked

WORKS = [
    {"id": f"w{n}", "title": title, "year": 2024}
    for n, title in enumerate(["碳化矽晶圓之化學機械拋光", "研磨墊壽命之線上預測", "拋光液流場之數值模擬"])
]
OTHER_ID = WORKS[2] | {"id": "other"}
LABS: list[dict[str, Any]] = [
    {"id": "a", "name": "精密拋光實驗室", "pi": "陳大文", "school": "nu", "orcid": "0000-0002-1825-0097"},
    {"id": "b", "name": "Polishing", "pi": "Ta-Wen Chen", "school": "hu", "orcid": "0000-0002-1825-0097"},
    {"id": "c", "name": "自動化研究室", "pi": "Lin, Mei-Hua", "school": "nu"},
    {"id": "d", "name": "生產自動化", "pi": "Mei-Hua Lin", "school": "nu"},
    {"id": "e", "name": "自動化研究室", "pi": "王小明", "school": "hu"},
    {"id": "f", "name": "超精密拋光實驗室", "pi": "", "school": "nu"},
    {"id": "g", "name": "晶圓研究群", "pi": "張一", "school": "nu", "evidence": WORKS},
    {
        "id": "h",
        "name": "半導體加工",
        "pi": "張一平",
        "school": "hu",
        "evidence": [WORKS[0], WORKS[2] | {"id": "other"}],
    },
    {"id": "i", "name": "只有一篇相同", "pi": "李二", "school": "hu", "evidence": [WORKS[1]]},
]
COMPANIES: list[dict[str, Any]] = [
    {"id": "c1", "name": "東方精密股份有限公司", "tax_id": "12345675"},
    {"id": "c2", "name": "東方精機", "tax_id": "12345675"},
    {"id": "c3", "name": "東方精密(股)公司"},
    {"id": "c4", "name": "西方精密股份有限公司"},
]


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(
                session, "schools", [{"id": "nu", "name": "台灣北方大學"}, {"id": "hu", "name": "臺灣北方大學"}]
            )
            for kind, rows in (("labs", LABS), ("companies", COMPANIES)):
                report = import_rows(session, kind, rows)
                assert (report.refused, report.errors) == (0, [])
        yield made


def _pairs(here: Asked, kind: Mendable) -> dict[str, list[str]]:
    with reading(here.engine) as session:
        return {f"{one.first} {one.second}": list(one.reasons) for one in likely_duplicates(session, kind)}


def test_labs_by_identifier_head_name_and_works(here: Asked) -> None:
    assert _pairs(here, Mendable.LAB) == {
        "a b": ["the same ORCID iD of the head"],
        "c d": ["the same head at the same school"],
        "a f": ["names that are alike: 93 of 100"],
        "g h": ["2 pieces of evidence are the same works"],
    }


def test_companies_and_schools(here: Asked) -> None:
    found = _pairs(here, Mendable.COMPANY)
    assert found.pop("c1 c3") == ["the same name"]
    assert found.pop("c1 c2") == ["the same tax id (統一編號)"]
    assert found == {}
    assert _pairs(here, Mendable.SCHOOL) == {"hu nu": ["the same name"]}


def test_people(here: Asked) -> None:
    before = _pairs(here, Mendable.PERSON)
    with writing(here.engine) as session:
        from datetime import UTC, datetime

        from matcher.review.people import add_account

        for email, name in (("mh.lin@a.example", "Lin, Mei-Hua"), ("meihua@b.example", "Mei Hua Lin")):
            add_account(session, email=email, name=name, now=datetime.now(UTC))
    assert before == {}
    assert list(_pairs(here, Mendable.PERSON).values()) == [["the same name"]]


def test_told_apart_is_remembered(here: Asked) -> None:
    listed = here.done("office", "GET", "/api/duplicates?kind=lab")["items"]
    assert next((one["first"], one["second"], one["score"]) for one in listed) == ("a", "b", 100)
    said = {"kind": "lab", "first": "b", "second": "a"}
    assert here.done("office", "POST", "/api/duplicates/apart", json=said) == {
        "kind": "lab",
        "first": "a",
        "second": "b",
    }
    here.done("office", "POST", "/api/duplicates/apart", json=said)
    assert "a b" not in _pairs(here, Mendable.LAB)
    assert here.ask("office", "POST", "/api/duplicates/apart", json=said | {"first": "none"}).status_code == 422
    for who in ("expert", "lead"):
        assert here.ask(who, "GET", "/api/duplicates").status_code == 403
        assert here.ask(who, "POST", "/api/duplicates/apart", json=said).status_code == 403


def test_what_is_retired_or_merged_is_no_duplicate(here: Asked) -> None:
    here.done("office", "POST", "/api/labs/b/merge", json={"kept": "a", "reason": "同一位主持人"})
    here.done("office", "POST", "/api/labs/d/retire", json={"reason": "重複"})
    assert set(_pairs(here, Mendable.LAB)) == {"a f", "g h"}


def test_by_command(gloria: Gloria, tmp_path: Path) -> None:
    (tmp_path / "labs.jsonl").write_text("\n".join(json.dumps(row) for row in LABS), encoding="utf-8")

    def run(*arguments: str) -> str:
        answer = gloria(*arguments, home=tmp_path / "home", lang="en")
        assert answer.code == 0, answer.err
        return answer.out

    run("import", str(tmp_path / "labs.jsonl"))
    assert run("duplicates").splitlines()[0] == "a  b  the same ORCID iD of the head"
    assert "proposed no more" in run("duplicates", "lab", "a", "b", "--two")
    assert [(one["first"], one["second"]) for one in json.loads(run("duplicates", "--json"))["items"]] == [
        ("c", "d"),
        ("a", "f"),
        ("g", "h"),
    ]
    assert run("duplicates", "company") == "no two of them look like one\n"
