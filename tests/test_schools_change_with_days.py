"""A school is called what it was called on a day, and a lab belongs to the school that it belonged to on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.figures.school_shares import school_shares
from matcher.mending.schools import rename_school
from tests.conftest import Gloria
from tests.rig.worlds.ledger_world import build_ledger_world
from tests.rig.worlds.small_world import Asked, asked

NOW = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
LABS = [{"id": f"l{n}", "name": f"{n}號", "school": "nu"} for n in range(3)]


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            schools = [{"id": "nu", "name": "北方學院", "name_en": "North College"}, {"id": "hu", "name": "新校"}]
            import_rows(session, "schools", schools)
            import_rows(session, "labs", LABS)
        yield made


def _on(here: Asked, day: str, school: str = "nu") -> tuple[str, list[str]]:
    found = here.done("office", "GET", f"/api/schools/{school}/on?day={day}")
    return found["name"], found["labs"]


def _rename(here: Asked, **said: Any) -> Any:
    return here.ask("office", "POST", "/api/schools/nu/rename", json=said)


def test_a_name_has_its_time(here: Asked) -> None:
    assert _rename(here, name="北方科技大學", since="2019-08-01").status_code == 200
    assert _rename(here, name="北方大學", name_en="North University", since="2023-02-01").status_code == 200
    names = {
        "2019-07-31": "北方學院",
        "2019-08-01": "北方科技大學",
        "2023-01-31": "北方科技大學",
        "2023-02-01": "北方大學",
    }
    assert {day: _on(here, day)[0] for day in names} == names
    for said, field in (
        ({"name": "北方大學", "name_en": "North University", "since": "2024-01-01"}, "name"),
        ({"name": "又一名", "since": "2023-02-01"}, "since"),
        ({"name": "又一名", "since": "2199-01-01"}, "since"),
        ({"name": "  ", "since": "2024-01-01"}, "name"),
    ):
        refused = _rename(here, **said)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert (
        here.ask("expert", "POST", "/api/schools/nu/rename", json={"name": "x", "since": "2024-01-01"}).status_code
        == 403
    )


def test_labs_go_to_another_school_on_a_day(here: Asked) -> None:
    def divide(**said: Any) -> Any:
        return here.ask("office", "POST", "/api/schools/nu/divide", json={"to": "hu", "since": "2024-08-01"} | said)

    assert divide(labs=["l0", "l2"]).json() == {"labs": ["l0", "l2"], "to": "hu", "since": "2024-08-01"}
    assert _on(here, "2024-07-31") == ("北方學院", ["l0", "l1", "l2"])
    assert _on(here, "2024-08-01") == ("北方學院", ["l1"])
    assert _on(here, "2024-08-01", "hu") == ("新校", ["l0", "l2"])
    assert here.done("expert", "GET", "/api/labs/l0")["school"] == "hu"
    for said, field in (
        ({"labs": ["l0"]}, "labs"),
        ({"labs": []}, "labs"),
        ({"labs": ["l1"], "to": "none"}, "to"),
        ({"labs": ["l1"], "to": "nu"}, "to"),
        ({"labs": ["l1"], "since": "2199-01-01"}, "since"),
    ):
        refused = divide(**said)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert _on(here, "2026-01-01")[1] == ["l1"]


def test_a_report_of_a_year_uses_the_name_of_then(engine: Engine) -> None:
    build_ledger_world(engine)

    def named(session: Session, year: int) -> dict[str, str]:
        found = school_shares(session, alliances=["al-a"], year=year, as_of=NOW)
        return {one.school: one.name for one in found}

    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "center": "sc-1"}])
        assert named(session, 2019) == {"sc-1": "一號大學"}
        rename_school(session, school_id="sc-1", name="更名大學", name_en="", since=date(2020, 8, 1), now=NOW)
        assert named(session, 2019) == {"sc-1": "一號大學"}
        assert named(session, 2020) == {"sc-1": "更名大學"}


def test_by_command(gloria: Gloria, tmp_path: Path) -> None:
    (tmp_path / "schools.csv").write_text("id,name\nnu,北方學院\nhu,新校\n", encoding="utf-8")
    (tmp_path / "labs.csv").write_text("id,name,school\nl1,一號,nu\n", encoding="utf-8")

    def run(*arguments: object, code: int = 0) -> str:
        answer = gloria(*arguments, home=tmp_path / "home", lang="en")
        assert answer.code == code, answer.err
        return answer.out if code == 0 else answer.err

    run("import", tmp_path / "schools.csv", tmp_path / "labs.csv")
    said = run("school", "rename", "nu", "--name", "北方大學", "--since", "2024-08-01")
    assert said == "nu is called 北方大學 from 2024-08-01 on\n"
    assert run("school", "divide", "nu", "--to", "hu", "--lab", "l1", "--since", "2024-08-01") == (
        "1 labs belong to hu from 2024-08-01 on\n"
    )
    assert "is no lab of this school" in run(
        "school", "divide", "nu", "--to", "hu", "--lab", "l1", "--since", "2024-08-01", code=1
    )
