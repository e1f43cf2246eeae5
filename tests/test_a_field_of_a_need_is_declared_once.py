"""What is declared of a need, a lab or a company is in every place that shows or takes it, and nothing else is.

No field is named here: the fields are those of the declarations, so a new one is tested from its first day.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from html import unescape
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import MaxLen
from pydantic import BaseModel, Field
from sqlmodel import SQLModel
from starlette.testclient import TestClient

from api.documents.answers import Answer, AskAnswer, NeedAnswer, answer_of
from api.documents.bodies import LabBody, NeedBody, body_of
from api.documents.matching.matches import LabAnswer
from api.documents.people import CompanyAnswer
from api.pages.my_company import STEPS
from api.pages.shell.form_fields import asked_fields
from api.pages.shell.wording import LANG_COOKIE, Lang
from indexer.records import profiles, record_tables
from indexer.records.columns import COLUMNS, json_value
from indexer.records.exchange import MODELS, CompanyIn, LabIn, NeedIn
from indexer.records.field_notes import Audience, Cell, DeclaredField, FieldNote, Question, Widget, declared
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.conftest import Databases
from tests.rig.servers.served import fill
from tests.rig.servers.warmed_application import application

ENGLISH = {LANG_COOKIE: Lang.EN.value}
"""In which days are written as they are sent."""
CJK = re.compile("[\u4e00-\u9fff]")


class LongerNeed(NeedIn):
    """A control: a need with one field more, declared as any other, and one that was declared without a note."""

    extra: Annotated[
        str | None,
        FieldNote(
            ("加欄", "Extra"),
            ("加填。", "Something more."),
            body=Field(default=None, max_length=7),
            question=Question("limits", Widget.LINE, ("加欄", "Extra")),
        ),
    ] = None
    forgotten: str | None = None


def _without_note(record: type[BaseModel]) -> set[str]:
    return set(record.model_fields) - {one.name for one in declared(record)}


@pytest.mark.parametrize("kind", list(Kind))
def test_every_field_is_declared_with_its_words(kind: Kind) -> None:
    # The evidence of a lab has a sheet of its own; what is not ours is kept, and has no column.
    other = set() if kind in (Kind.EVIDENCE, Kind.TERMS) else {"other"}
    assert _without_note(MODELS[kind]) == ({"evidence"} if kind is Kind.LABS else set()) | other
    for one in declared(MODELS[kind]):
        words = [one.note.label, *([one.asked.label] if one.note.question else [])]
        assert [CJK.search(text.zh) is not None and text != "" and CJK.search(text) is None for text in words] == [
            True
        ] * len(words), one.name


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.EVIDENCE])
def test_files_and_tables_have_every_field(kind: Kind) -> None:
    names = [one.name for one in declared(MODELS[kind])]
    assert [column.field for column in COLUMNS[kind]] == names
    table: type[SQLModel] = {
        Kind.LABS: record_tables.Lab,
        Kind.NEEDS: record_tables.Need,
        Kind.COMPANIES: record_tables.Company,
        Kind.SCHOOLS: record_tables.School,
        Kind.ALLIANCES: record_tables.Alliance,
        Kind.TERMS: record_tables.Term,
    }[kind]
    apart = {one.name for one in declared(MODELS[kind]) if one.shape.cell in (Cell.ASKS, Cell.PARTNERS)}
    assert set(table.model_fields) - {"other"} == set(names) - apart


@pytest.mark.parametrize(
    ("record", "profile"), [(NeedIn, profiles.Need), (LabIn, profiles.Lab), (CompanyIn, profiles.Company)]
)
def test_matching_reads_nothing_that_is_not_declared(record: type[BaseModel], profile: Any) -> None:
    assert {one.name for one in fields(profile)} - set(record.model_fields) == set()


@pytest.mark.parametrize(("record", "answer"), [(NeedIn, NeedAnswer), (LabIn, LabAnswer), (CompanyIn, CompanyAnswer)])
def test_answers_describe_every_field(record: type[BaseModel], answer: type[BaseModel]) -> None:
    assert {one.name for one in declared(record)} - set(answer.model_fields) == set()


@pytest.mark.parametrize(("record", "body", "more"), [(NeedIn, NeedBody, set()), (LabIn, LabBody, {"evidence"})])
def test_bodies_and_forms_take_the_same_fields(record: type[BaseModel], body: type[BaseModel], more: set[str]) -> None:
    taken = {one.name for one in declared(record) if one.note.body is not None}
    assert set(body.model_fields) - more == taken
    assert {one.name for one in asked_fields(record)} == taken


def test_every_field_of_a_need_is_asked_for_on_one_step() -> None:
    on_steps = [one.name for step in STEPS for one in step.fields]
    assert sorted(on_steps) == sorted(one.name for one in asked_fields(NeedIn))


def test_a_declaration_with_one_field_more_carries_it_everywhere() -> None:
    """Control: nothing but the declaration changes, and the field that was declared without a note is found."""

    @answer_of(LongerNeed, withheld=True, asks=list[AskAnswer])
    class LongerAnswer(Answer):
        """A need with one field more."""

    @body_of(LongerNeed, asks=list[dict[str, str]])
    class LongerBody(NeedBody):
        """What says it."""

    assert _without_note(LongerNeed) == {"forgotten", "other"}
    assert "extra" in LongerAnswer.model_fields
    assert "forgotten" not in LongerAnswer.model_fields
    assert LongerBody.model_validate({"extra": "x", "title": "y"}).model_dump(exclude_unset=True) == {
        "extra": "x",
        "title": "y",
    }
    with pytest.raises(ValueError, match="at most 7"):
        LongerBody.model_validate({"extra": "x" * 8})
    with pytest.raises(ValueError, match="forgotten"):
        LongerBody.model_validate({"forgotten": "x"})
    assert [one.name for one in asked_fields(LongerNeed, "limits") if one.name not in NeedIn.model_fields] == ["extra"]
    # Who says nothing of its readers gets the fewest.
    assert declared(LongerNeed)[-1].note.audience is Audience.INSIDE


@dataclass
class Site:
    """The application with everybody's keys, no server, and a need in which every field that may be said is."""

    client: TestClient
    keys: dict[str, str]
    need_id: str
    said: dict[str, Any]

    def get(self, who: str, path: str) -> Any:
        """Return what somebody is answered."""
        answer = self.client.get(path, headers={"Authorization": f"Bearer {self.keys[who]}"})
        assert answer.status_code == 200, f"{path}: {answer.text[:500]}"
        return answer.json() if answer.headers["content-type"].startswith("application/json") else answer.text


def _example(one: DeclaredField) -> Any:
    """Return something to say in a field: the example of its body."""
    assert one.note.body is not None
    return one.note.body.examples[0] if one.note.body.examples else None


@pytest.fixture(scope="module")
def site(databases: Databases, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("declared") / "home"
    home.mkdir()
    settings = Settings(home=home, database_url=databases.at_head("sqlite", home), encoders="bundled-use")
    keys, _ = fill(settings, slice_of_world)
    app = application(settings)
    # Not entered: nothing is to be warmed up in the background.
    client = TestClient(app, cookies=ENGLISH)
    said = {one.name: _example(one) for one in asked_fields(NeedIn)}
    headers = {"Authorization": f"Bearer {keys['company']}"}
    answer = client.post("/api/needs", json=said, headers=headers)
    assert answer.status_code == 201, answer.text
    yield Site(client, keys, answer.json()["id"], said)
    app.state.engine.dispose()


def test_what_is_said_in_every_field_is_stored_and_exported(site: Site) -> None:
    assert None not in site.said.values()
    need = site.get("company", f"/api/needs/{site.need_id}")
    assert {name: need[name] for name in site.said} == site.said
    lines = [json.loads(line) for line in site.get("company", "/api/exports/needs").splitlines()]
    (exported,) = [line for line in lines if line["id"] == site.need_id]
    assert exported == {one.name: need[one.name] for one in declared(NeedIn)}
    sheet = csv.DictReader(io.StringIO(site.get("company", "/api/exports/needs?format=csv").removeprefix("\ufeff")))
    (row,) = [row for row in sheet if row["id 代號"] == site.need_id]
    again = {column.field: json_value(column, row[column.heading]) for column in COLUMNS[Kind.NEEDS]}
    # There is nothing of it that is not ours.
    assert NeedIn.model_validate(again).model_dump(mode="json", exclude={"other"}) == exported


def test_forms_ask_for_every_field_and_pages_show_it(site: Site) -> None:
    form = site.get("company", f"/company/needs/{site.need_id}/edit")
    for one in asked_fields(NeedIn):
        names = ("ask_kind", "ask_text") if one.asked.widget is Widget.ASKS else (one.name,)
        for name in names:
            assert f'name="{name}"' in form, name
    shown = site.get("company", f"/company/needs/{site.need_id}")
    beside = site.get("expert", f"/needs/{site.need_id}")
    labs = [site.get("office", f"/api/labs/{lab_id}") for lab_id in site.said["excluded_labs"]]
    called = [lab["name"] for lab in labs]
    assert all(called)
    for one in asked_fields(NeedIn):
        # People are shown names, no codes and no ids.
        said = {"languages": "Chinese", "excluded_labs": called}.get(one.name, site.said[one.name])
        for text in _texts(said) if one.shape.terms is None else []:
            assert text in unescape(shown).replace(",", ""), one.name
            assert text in unescape(beside).replace(",", ""), one.name


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value["text"].replace(",", "")] if isinstance(value, dict) else [str(value).replace(",", "")]


def test_what_is_longer_than_declared_is_refused(site: Site) -> None:
    headers = {"Authorization": f"Bearer {site.keys['company']}"}
    bounded = 0
    for one in asked_fields(NeedIn):
        assert one.note.body is not None
        longest = next((bound.max_length for bound in one.note.body.metadata if isinstance(bound, MaxLen)), None)
        if longest is not None and not one.is_list:
            bounded += 1
            for length, status in ((longest, 201), (longest + 1, 422)):
                said = {"title": "x", one.name: "字" * length}
                answer = site.client.post("/api/needs", json=said, headers=headers)
                assert answer.status_code == status, f"{one.name}: {answer.text[:500]}"
    assert bounded > 0


def test_everybody_reads_what_is_declared_for_them(site: Site) -> None:
    office = site.get("office", f"/api/needs/{site.need_id}")
    for one in declared(NeedIn):
        everybody = one.note.audience is Audience.EVERYBODY
        assert (office[one.name] is None) or everybody, one.name
        if everybody and one.name in site.said:
            assert office[one.name] == site.said[one.name]
    page = unescape(site.get("office", f"/needs/{site.need_id}"))
    for one in asked_fields(NeedIn):
        if one.note.audience is not Audience.EVERYBODY:
            assert [text for text in _texts(site.said[one.name]) if text in page.replace(",", "")] == [], one.name


def test_a_lab_is_asked_for_and_shown_as_it_is_declared(site: Site) -> None:
    lab = site.get("researcher", "/api/labs/lab-1-01")
    assert set(lab) == {*(one.name for one in declared(LabIn)), "evidence"}
    form = site.get("researcher", "/my-lab/lab-1-01")
    for one in asked_fields(LabIn):
        assert f'name="{one.name}"' in form, one.name
    assert set(site.get("expert", "/api/companies/co-1-1")) >= {one.name for one in declared(CompanyIn)}
