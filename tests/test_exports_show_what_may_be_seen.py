"""An export has exactly the rows that a person may see, as the single routes show them; files import again."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest
from sqlalchemy import Engine

from indexer.database import writing
from indexer.records.importing import import_file, import_rows
from indexer.records.readers import read_bytes
from indexer.records.writers import in_exchange_format
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.conftest import POSTGRESQL_AT_LENGTH, Gloria
from tests.rig.servers.served import PEOPLE, Served, served

EXPORTS = ("labs", "needs", "companies", "pairings", "cases")


def _export(server: Served, who: str, name: str, file_format: str = "jsonl") -> bytes:
    answer = server.ask(who, "GET", f"/api/exports/{name}", params={"format": file_format})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].endswith(f'.{file_format}"')
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.content


def _rows(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def _history(server: Served) -> None:
    """Two shown needs, a verdict with a note in each alliance, a case with a note; one need shared."""
    for who, need_id, note in (("expert", "need-1-01", "ours"), ("stranger", "need-1-03", "theirs")):
        page = server.ask(who, "GET", f"/api/needs/{need_id}/matches", params={"top": 3}).json()
        for shown, verdict in zip(page["pairings"], ("accept", "reject"), strict=False):
            reason = {} if verdict == "accept" else {"reason": "budget"}
            word = {"verdict": verdict, "proposal_id": shown["proposal_id"], "note": note, **reason}
            done = server.ask(who, "POST", f"/api/pairings/{shown['pairing_id']}/decision", json=word)
            assert done.status_code == 201, done.text
            case_id = done.json()["case_id"]
            if case_id is not None:
                step = {"stage": "introduced", "note": note}
                assert server.ask(who, "POST", f"/api/cases/{case_id}/transition", json=step).status_code == 200
                contact = {"kind": "call", "held_on": "2026-11-20", "note": note}
                assert server.ask(who, "POST", f"/api/cases/{case_id}/contacts", json=contact).status_code == 201
    share = {"alliance": "al-b", "consent": "yes"}
    need = {"title": "分享的需求", "company": "co-1-1", "confidentiality": "confidential"}
    shared = server.ask("expert", "POST", "/api/needs", json=need).json()["id"]
    assert server.ask("expert", "POST", f"/api/needs/{shared}/shares", json=share).status_code == 201


def _single(client: httpx.Client, name: str, row: dict[str, Any]) -> dict[str, Any]:
    answer = client.get(f"/api/{name}/{row['id']}")
    assert answer.status_code == 200, f"{name} {row['id']}: {answer.text}"
    document: dict[str, Any] = answer.json()
    return in_exchange_format(Kind.NEEDS, document) if name == "needs" else document


def _listed(client: httpx.Client, name: str) -> set[Any]:
    """The ids that the lists show, or that can be read one by one where there is no list."""
    possible = {"pairings": range(1, 20), "labs": [f"lab-1-{n:02}" for n in range(1, 31)]}.get(name)
    if possible is not None:
        return {one for one in possible if client.get(f"/api/{name}/{one}").status_code == 200}
    return {item["id"] for item in client.get(f"/api/{name}", params={"limit": 100}).json()["items"]}


@POSTGRESQL_AT_LENGTH
def test_every_role_gets_what_the_single_routes_show(
    settings: Settings, indexed_home: Path, slice_of_world: Path
) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        _history(server)
        sizes: dict[str, set[int]] = {name: set() for name in EXPORTS}
        for who in PEOPLE:
            headers = {"Authorization": f"Bearer {server.keys[who]}"}
            # One connection for all: making one for each takes longer than the answers.
            with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
                for name in EXPORTS:
                    answer = client.get(f"/api/exports/{name}")
                    if answer.status_code == 403:
                        continue
                    rows = _rows(answer.content)
                    sizes[name].add(len(rows))
                    # There is no route for a single company.
                    if name != "companies":
                        assert {row["id"] for row in rows} == _listed(client, name), f"{who} {name}"
                        assert rows == [_single(client, name, row) for row in rows], f"{who} {name}"
        # The control: people do not all see the same.
        assert {name: len(found) > 1 for name, found in sizes.items()} == dict.fromkeys(EXPORTS, True)
        mine = _rows(_export(server, "expert", "companies"))
        assert [row["id"] for row in mine] == ["co-1-1"]
        assert [row["id"] for row in _rows(_export(server, "rival", "companies"))] == ["co-1-2"]
        _the_office_gets_no_text(server)
        _flat_files_say_the_same(server)
        _labs_and_schools_are_for_whom_the_policy_says(server, slice_of_world)


def _the_office_gets_no_text(server: Served) -> None:
    for name in ("pairings", "cases"):
        for file_format in ("jsonl", "csv"):
            assert b"ours" in _export(server, "expert", name, file_format)
            assert b"theirs" not in _export(server, "expert", name, file_format)
            assert b"ours" not in _export(server, "office", name, file_format)
    titles = {row["id"]: row["title"] for row in _rows(_export(server, "office", "needs"))}
    assert titles["need-1-01"] is None
    # Whatever it is shared with: the office reads what is sealed by breaking the glass alone.
    assert "分享的需求" not in titles.values()
    stranger = {row["title"] for row in _rows(_export(server, "stranger", "needs"))}
    assert "分享的需求" in stranger


def _flat_files_say_the_same(server: Served) -> None:
    for name in EXPORTS:
        rows = _rows(_export(server, "lead", name))
        text = _export(server, "lead", name, "csv").decode("utf-8")
        assert text.startswith("\ufeff")
        grid = list(csv.reader(io.StringIO(text[1:], newline="")))
        book = openpyxl.load_workbook(io.BytesIO(_export(server, "lead", name, "xlsx")))
        sheet = list(book.worksheets[0].iter_rows(values_only=True))
        assert [row[0] for row in grid[1:]] == [str(row["id"]) for row in rows]
        assert [row[0] for row in sheet[1:]] == [row["id"] for row in rows]
        assert [str(cell or "") for cell in sheet[0]] == grid[0]


def _labs_and_schools_are_for_whom_the_policy_says(server: Served, world: Path) -> None:
    labs = sorted(json.loads(line)["id"] for line in (world / "labs.jsonl").read_text().splitlines())
    for name in ("schools", "alliances"):
        seen = [_export(server, who, name) for who in ("expert", "office", "committee")]
        assert (len(_rows(seen[0])) > 0, seen) == (True, seen[:1] * 3), name
        refused = [server.ask(who, "GET", f"/api/exports/{name}").status_code for who in ("company", "researcher")]
        assert refused == [403, 403]
    everybodys = {row["lab"] for row in _rows(_export(server, "expert", "evidence"))}
    own = {row["lab"] for row in _rows(_export(server, "researcher", "evidence"))}
    assert (len(own), own < everybodys) == (1, True)
    (lab,) = own
    for form, begins in (("cerif", b"<?xml"), ("schema-org", b'{"@context"'), ("bibtex", b"@")):
        path = f"/api/exports/labs/{lab}/published"
        answers = {who: server.ask(who, "GET", path, params={"format": form}) for who in ("researcher", "expert")}
        assert [one.status_code for one in answers.values()] == [200, 200]
        assert answers["researcher"].content == answers["expert"].content
        assert answers["expert"].content.startswith(begins)
        other = next(iter(everybodys - own))
        path = f"/api/exports/labs/{other}/published"
        codes = [server.ask(who, "GET", path, params={"format": form}).status_code for who in ("researcher", "company")]
        assert codes == [404, 403]
        whole = server.ask("researcher", "GET", "/api/exports/labs/published", params={"format": form})
        assert (whole.status_code, other.encode() in whole.content) == (200, False)
    book = read_bytes(_export(server, "expert", "labs", "ods"), "labs.ods")
    assert sorted(book.records) == labs


ODD = {
    "keywords": ["a;b", "c、d", "=1+1", '["x"]', "plain"],
    "will_not_do": ["不接受；獨家", "@home", "- none"],
    "links": ["https://example.org/?a=1;b=2", "https://example.org"],
}
ASKS = [{"kind": "technology", "text": "first\nsecond: line"}, {"kind": "talent", "text": "=two"}]
LABS: list[dict[str, Any]] = [
    {
        "id": "lab-x",
        "name": "'=quoted",
        "pi": "''",
        "summary": "line 1\nline 2",
        "capacity": 0,
        "fields": ["智慧製造", "綠能科技"],
        "evidence": [{"id": "e", "title": "+1", "year": 2020, "weight": 2.5}, {"id": "f", "abstract": "-"}],
        **ODD,
    },
    {
        "id": "lab-y",
        "name": "同上",
        "name_en": "'n/a",
        "pi": "王小明／林小華",
        "orcid": "0000-0002-1825-0097",
        "school": "無",
        "keywords": ['["only', "無"],
        "will_not_do": ["〃"],
        "links": ["https://example.org/a;"],
        "evidence": [{"id": "e", "title": "t", "doi": "10.5555/rime.2023.14"}],
        "other": {"電話": "=1", "note": "無"},
    },
]
NEEDS: list[dict[str, Any]] = [
    {
        "id": "n-x",
        "title": "=SUM(A1)",
        "description": "d\r\ne",
        "asks": ASKS,
        "budget_ntd": 2_400_000,
        "year": 2026,
        "other": {"x": "1"},
    },
    {"id": "n-y", "title": "t", "deadline": "2027-06-30", "asks": [{"kind": "talent", "text": "one"}]},
]
COMPANIES: list[dict[str, Any]] = [
    {"id": "c-x", "name": "@甲", "tax_id": "04595257", "description": "\t=1", "other": {"x": "1"}},
    {"id": "c-y", "country": "JP"},
]


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "xlsx", "ods"])
def test_what_was_exported_imports_again_unchanged(
    settings: Settings, engine: Engine, file_format: str, gloria: Gloria, tmp_path: Path
) -> None:
    given: dict[str, list[dict[str, Any]]] = {"labs": LABS, "needs": NEEDS, "companies": COMPANIES}
    with writing(engine) as session:
        for kind, rows in given.items():
            report = import_rows(session, kind, rows)
            assert (report.created, report.problems) == (2, []), report.problems
    for kind, rows in given.items():
        path = tmp_path / f"{kind}.{file_format}"
        answer = gloria("export", kind, "--out", path, "--json", home=settings.home, database_url=settings.database_url)
        assert (answer.code, answer.document["rows"]) == (0, 2), answer.err
        assert path.stat().st_mode & 0o777 == 0o600
        with writing(engine) as session:
            report = import_file(session, path)
        # Of companies too: nothing changed, nothing was unknown.
        assert (report.unchanged, report.updated, report.created, report.problems) == (2, 0, 0, []), kind
        # The control: another value is seen.
        found = read_bytes(path.read_bytes(), path.name)
        # What is not ours comes out too: an import adds to it, so that a lost one would not be seen above.
        others = {key: getattr(record, "other") for key, record in found.records.items()}  # noqa: B009
        assert others == {row["id"]: row.get("other", {}) for row in rows}
        key, record = next(iter(found.records.items()))
        found.records[key] = record.model_copy(update={"fields": ["新農業"]})
        with writing(engine) as session:
            assert import_rows(session, kind, [found.records[key].model_dump(mode="json")]).updated == 1


@POSTGRESQL_AT_LENGTH
def test_operators_export_everything(
    settings: Settings, indexed_home: Path, slice_of_world: Path, gloria: Gloria, tmp_path: Path
) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        _history(server)
    where = {"home": settings.home, "database_url": settings.database_url}
    for kind in EXPORTS:
        assert gloria("export", kind, "--out", tmp_path / f"{kind}.jsonl", **where).code == 0
    needs = {row["id"]: row for row in _rows((tmp_path / "needs.jsonl").read_bytes())}
    assert len(needs) == len((slice_of_world / "needs.jsonl").read_text().splitlines()) + 1
    assert None not in {row["title"] for row in needs.values()}
    text = (tmp_path / "cases.jsonl").read_text() + (tmp_path / "pairings.jsonl").read_text()
    assert ("ours" in text, "theirs" in text, "explanation" in text) == (True, True, True)
    again = gloria("export", "cases", "--out", tmp_path / "cases.jsonl", "--lang", "en", **where)
    assert (again.code, "exists already" in again.err) == (1, True)
    assert gloria("export", "cases", "--out", tmp_path / "cases.txt", **where).code == 2
