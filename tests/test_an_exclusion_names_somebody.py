"""What a need excludes is somebody: found by any of its names while it is typed, or refused with what is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from indexer.vocabulary import Mendable
from matcher.mending.merging import merge
from tests.conftest import Gloria
from tests.rig.worlds.small_world import MORNING, Asked, asked

LABS = [
    {"id": "wafer", "name": "晶圓加工實驗室", "name_en": "Wafer Lab"},
    {"id": "wafer-2", "name": "晶圓 加工實驗室"},
    {"id": "battery", "name": "電池實驗室", "pi": "溫若川"},
]


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(session, "labs", LABS)
        yield made


def _submit(here: Asked, *excluded: str) -> dict[str, object]:
    body = {"title": "拋光太慢", "excluded_labs": list(excluded)}
    found: dict[str, object] = here.ask("company", "POST", "/api/needs", json=body).json()
    return found


def test_a_name_becomes_the_labs_that_have_it(here: Asked) -> None:
    assert _submit(here, "wafer lab", "battery")["excluded_labs"] == ["wafer", "battery"]
    # Two labs of one name: whichever was meant, neither hears of it.
    assert _submit(here, "晶圓加工實驗室")["excluded_labs"] == ["wafer", "wafer-2"]
    # By its head too, whom nobody is told that did not name them.
    assert _submit(here, "溫若川")["excluded_labs"] == ["battery"]
    assert "溫若川" not in str(_submit(here, "溫若水")["detail"])
    assert _submit(here)["excluded_labs"] == []


def test_a_name_of_nobody_is_refused_with_what_was_meant(here: Asked) -> None:
    refused = _submit(here, "battery", "電池實驗事")
    assert (refused["field"], refused["detail"]) == (
        "excluded_labs",
        "number 2 is the name of no lab and of no lab's head; perhaps: 電池實驗室",
    )
    assert "write the whole name, or leave it out" in str(_submit(here, "zzzz")["detail"])
    need = here.ask("company", "GET", "/api/needs/n-1")
    changed = {"If-Match": need.headers["ETag"]}
    refused = here.ask("company", "PATCH", "/api/needs/n-1", json={"excluded_labs": ["誰"]}, headers=changed).json()
    assert refused["field"] == "excluded_labs"
    kept = here.done("company", "PATCH", "/api/needs/n-1", json={"excluded_labs": ["電池實驗室"]}, headers=changed)
    assert kept["excluded_labs"] == ["battery"]


def test_the_name_of_a_lab_that_was_merged_away_is_the_kept_ones(here: Asked) -> None:
    with writing(here.engine) as session:
        merge(session, kind=Mendable.LAB, gone_id="battery", kept_id="lab-2", reason="r", by=None, now=MORNING)
    assert _submit(here, "電池實驗室", "battery")["excluded_labs"] == ["lab-2"]


@pytest.mark.parametrize(("lang", "said"), [("zh-Hant", ("排除", "查無此實驗室")), ("en", ("excluded", "no such lab"))])
def test_it_is_said_while_it_is_typed(here: Asked, lang: str, said: tuple[str, str]) -> None:
    answer = here.ask(
        "company",
        "GET",
        "/company/excluded",
        params={"excluded_labs": "電池實驗室, 電池實驗事"},
        headers={"HX-Request": "true", "Cookie": f"gloria-lang={lang}"},
    )
    assert answer.status_code == 200
    assert all(word in answer.text for word in said)
    assert answer.text.count("<li>") == 2


def test_a_file_and_the_doctor(gloria: Gloria, tmp_path: Path) -> None:
    home = tmp_path / "home"
    labs = [{"id": "a", "name": "電池實驗室", "conflicts": ["甲公司", "無此公司"]}]
    needs = [
        {"id": "n-1", "title": "電池", "company": "co", "excluded_labs": ["電池實驗室"]},
        {"id": "n-2", "title": "電池", "company": "co", "excluded_labs": ["電池實驗事"]},
    ]
    for name, rows in (("companies", [{"id": "co", "name": "甲股份有限公司"}]), ("labs", labs), ("needs", needs)):
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    files = [tmp_path / f"{name}.jsonl" for name in ("companies", "labs", "needs")]
    answer = gloria("import", *files, home=home, lang="en")
    assert answer.code == 1
    assert 'no stored lab is called "電池實驗事"; give the id or the whole name' in answer.err
    gloria("export", "needs", "--out", tmp_path / "out.jsonl", home=home)
    (need,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (need["id"], need["excluded_labs"]) == ("n-1", ["a"])
    gloria("reindex", home=home)
    found = {one["name"]: one for one in gloria("doctor", "--json", home=home, lang="en").document["findings"]}
    assert found["conflicts"]["level"] == "note"
    assert found["conflicts"]["facts"] == {"unknown": ["a → 無此公司"]}
    assert found["exclusions"]["level"] == "fine"
