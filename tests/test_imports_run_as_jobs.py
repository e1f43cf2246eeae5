"""A file sent over HTTP is imported in the background: followed, cancelled, resumed, and never into what is others'."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from indexer.database import open_engine, reading
from indexer.settings import Settings
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, address_of, served, started
from tests.rig.servers.served_work import companies, ended, job_of, listening, result_of, until, upload


def _jsonl(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _scalars(settings: Settings, query: str) -> list[Any]:
    engine = open_engine(settings)
    with reading(engine) as session:
        found = list(session.connection().execute(text(query)).scalars())
    engine.dispose()
    return found


@POSTGRESQL_AT_LENGTH
def test_imports_of_an_alliance(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        _a_big_one_is_followed(server)
        _bad_rows_are_reported(server)
        _a_whole_import_is_taken_back(server)
        _a_dry_run_writes_nothing(server)
        _foreign_ids_are_taken(server)
        _what_is_taken_up_stays(server)
        _who_may_import_what(server)
        _a_cancelled_one_keeps_what_it_wrote(server)
        metrics = server.ask(None, "GET", "/metrics").text
        assert 'gloria_jobs{kind="import",state="cancelled"} 1.0' in metrics


def _a_big_one_is_followed(server: Served) -> None:
    job_id = job_of(upload(server, "expert", "companies.jsonl", companies(2_000)))
    early = server.ask("expert", "GET", f"/api/jobs/{job_id}/result")
    if early.status_code != 200:
        assert (early.status_code, early.json()["type"]) == (409, "urn:gloria:problem:job")
    with listening(server, "expert", job_id) as events:
        seen = list(events)
    assert {event["event"] for event in seen[:-1]} <= {"progress"}
    last = json.loads(seen[-1]["data"])
    assert (seen[-1]["event"], last) == ("end", {"state": "done", "done": 2_000, "total": 2_000, "cancelling": False})
    done = [json.loads(event["data"])["done"] for event in seen]
    assert done == sorted(done)
    numbers = [int(event["id"]) for event in seen]
    assert numbers == sorted(set(numbers))
    # Who comes back is told what is new only.
    with listening(server, "expert", job_id, **{"Last-Event-ID": seen[-1]["id"]}) as events:
        assert [event["event"] for event in events] == ["end"]
    result = result_of(server, "expert", job_id)
    counts = {name: result[name] for name in ("kind", "created", "updated", "unchanged", "refused", "problems")}
    expected = {"kind": "companies", "created": 2_000, "updated": 0, "unchanged": 0, "refused": 0, "problems": []}
    assert counts == expected
    query = "SELECT count(*) FROM client WHERE alliance_id = 'al-a' AND company_id LIKE 'new-%' AND expert_id = '%s'"
    assert _scalars(server.settings, query.replace("%s", server.accounts["expert"])) == [2_000]
    assert _scalars(server.settings, "SELECT count(*) FROM job_file") == [0]
    again = result_of(server, "expert", job_of(upload(server, "expert", "companies.jsonl", companies(2_000))))
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 2_000)


def _a_whole_import_is_taken_back(server: Served) -> None:
    content = _jsonl({"id": "back-1", "name": "甲"}, {"id": "back-2", "name": "乙"})
    job_id = job_of(upload(server, "expert", "companies.jsonl", content))
    assert result_of(server, "expert", job_id)["created"] == 2
    assert server.ask("colleague", "POST", f"/api/jobs/{job_id}/undo").status_code == 404
    undone = server.ask("expert", "POST", f"/api/jobs/{job_id}/undo")
    assert (undone.status_code, undone.json()) == (200, {"job": job_id, "removed": 2, "restored": 0})
    assert _scalars(server.settings, "SELECT count(*) FROM company WHERE id LIKE 'back-%'") == [0]
    assert server.ask("expert", "POST", f"/api/jobs/{job_id}/undo").status_code == 409


def _bad_rows_are_reported(server: Served) -> None:
    content = _jsonl({"id": "own-1", "title": "good"}, {"id": "own-2"}, {"id": "own-3", "title": "x", "year": 1})
    result = result_of(server, "expert", job_of(upload(server, "expert", "needs.jsonl", content)))
    assert (result["created"], result["refused"], result["file"]) == (2, 1, "needs.jsonl")
    places = [(item["file"], item["row"], item["field"]) for item in result["problems"]]
    assert places == [("needs.jsonl", 2, "title"), ("needs.jsonl", 3, "year")]
    assert server.ask("colleague", "GET", "/api/needs/own-1").json()["alliance"] == "al-a"
    once = {"name": "needs.jsonl"}, {"Idempotency-Key": "k1"}, content
    ids = {
        job_of(server.ask("expert", "POST", "/api/imports", params=p, headers=h, content=c)) for p, h, c in [once] * 2
    }
    assert len(ids) == 1
    other = server.ask("expert", "POST", "/api/imports", params=once[0], headers=once[1], content=content + b"\n")
    assert (other.status_code, other.json()["type"]) == (422, "urn:gloria:problem:key-reused")
    garbage = result_of(server, "expert", job_of(upload(server, "expert", "needs.xlsx", b"PK garbage")))
    assert (garbage["created"], garbage["refused"]) == (0, 1)


def _a_dry_run_writes_nothing(server: Served) -> None:
    content = _jsonl({"id": "dry-1", "title": "t"}, {"id": "own-1", "title": "changed"})
    job_id = job_of(upload(server, "expert", "needs.jsonl", content, dry_run=True))
    result = result_of(server, "expert", job_id)
    assert (result["dry_run"], result["created"], result["updated"]) == (True, 1, 1)
    assert server.ask("expert", "GET", "/api/needs/dry-1").status_code == 404
    assert server.ask("expert", "GET", "/api/needs/own-1").json()["title"] == "good"


def _foreign_ids_are_taken(server: Served) -> None:
    theirs = server.ask("stranger", "GET", "/api/needs/need-1-03").json()
    # need-1-03 is al-b's, need-1-02 nobody's yet.
    rows = [{"id": key, "title": "overwritten"} for key in ("need-1-03", "need-1-02", "own-9")]
    result = result_of(server, "expert", job_of(upload(server, "expert", "needs.jsonl", _jsonl(*rows))))
    assert (result["created"], result["updated"], result["refused"]) == (1, 0, 2)
    told = [(item["row"], item["field"], item["wrong"]) for item in result["problems"]]
    assert told == [(1, "id", '"need-1-03" is taken'), (2, "id", '"need-1-02" is taken')]
    assert server.ask("stranger", "GET", "/api/needs/need-1-03").json() == theirs
    known = server.ask("expert", "GET", "/api/companies/co-1-1").json()
    same = {name: known[name] for name in ("id", "name", "name_en", "tax_id")}
    rows = [{**same, "description": "overwritten"}, {"id": "co-1-2", "name": "overwritten"}]
    result = result_of(server, "expert", job_of(upload(server, "expert", "companies.jsonl", _jsonl(*rows))))
    # co-1-1 is in the portfolio: the control.
    assert (result["updated"], result["refused"]) == (1, 1)
    stored = _scalars(server.settings, "SELECT description FROM company WHERE id IN ('co-1-1', 'co-1-2') ORDER BY id")
    assert (stored[0], stored[1] == "overwritten") == ("overwritten", False)
    # By what everybody knows it, a company is changed by the office only.
    for field, value in (("name", "改名"), ("name_en", "Renamed Ltd"), ("tax_id", "04595257")):
        row = _jsonl({**same, "description": "again", field: value})
        result = result_of(server, "expert", job_of(upload(server, "expert", "companies.jsonl", row)))
        assert (result["refused"], result["problems"][0]["field"]) == (1, field)


def _what_is_taken_up_stays(server: Served) -> None:
    assert server.ask("expert", "POST", "/api/needs/own-1/take-up").status_code == 200
    result = result_of(
        server, "expert", job_of(upload(server, "expert", "needs.jsonl", _jsonl({"id": "own-1", "title": "other"})))
    )
    assert (result["refused"], result["problems"][0]["field"]) == (1, "id")
    assert "until it is taken up" in result["problems"][0]["wrong"]
    same = _jsonl({"id": "own-1", "title": "good"})
    result = result_of(server, "expert", job_of(upload(server, "expert", "needs.jsonl", same)))
    assert (result["refused"], result["unchanged"]) == (0, 1)


def _who_may_import_what(server: Served) -> None:
    lab = _jsonl({"id": "lab-1-01", "name": "overwritten"})
    # Labs are an alliance's to bring in where they are of its schools and no researcher keeps them; others are named.
    result = result_of(server, "expert", job_of(upload(server, "expert", "labs.jsonl", lab)))
    told = [(one["row"], one["field"], one["wrong"]) for one in result["problems"]]
    assert (result["updated"], told) == (0, [(1, "id", '"lab-1-01" is kept by its researcher')])
    school = _jsonl({"id": "ysu", "name": "overwritten"})
    assert upload(server, "expert", "schools.jsonl", school).status_code == 403
    # Named otherwise, it is found out once it is read.
    renamed = _jsonl({"id": "ysu", "name": "overwritten", "founded": 1950, "prominence": "high"})
    job_id = job_of(upload(server, "expert", "x.jsonl", renamed))
    job = until(server, "expert", job_id, "failed")
    assert job["refusal"] == "none of your roles may import schools: ask the programme office"
    assert upload(server, "expert", "needs.jsonl", lab, alliance="al-b").status_code == 422
    assert upload(server, "office", "needs.jsonl", lab, alliance="none").status_code == 422
    assert upload(server, "expert", "a/needs.jsonl", lab).status_code == 422
    assert upload(server, "expert", "needs.jsonl", b"").status_code == 422
    office = job_of(upload(server, "office", "needs.jsonl", _jsonl({"id": "off-1", "title": "t"}), alliance="al-b"))
    ended(server, "office", office)
    assert server.ask("stranger", "GET", "/api/needs/off-1").json()["alliance"] == "al-b"
    labs = job_of(upload(server, "office", "labs.jsonl", _jsonl({"id": "lab-9", "name": "n"})))
    assert result_of(server, "office", labs)["created"] == 1
    # The office sees everybody's jobs, but what a file says is for who sent it.
    assert server.ask("office", "GET", f"/api/jobs/{job_id}").json()["parameters"].get("name") is None
    theirs = server.ask("expert", "GET", "/api/jobs", params={"state": "done"}).json()["items"][0]["id"]
    assert server.ask("office", "GET", f"/api/jobs/{theirs}").status_code == 200
    assert server.ask("office", "GET", f"/api/jobs/{theirs}/result").status_code == 404
    assert server.ask("colleague", "GET", f"/api/jobs/{theirs}").status_code == 404
    pages = server.ask("expert", "GET", "/api/jobs", params={"limit": 3}).json()
    rest = server.ask("expert", "GET", "/api/jobs", params={"cursor": pages["next"]}).json()
    ids = [item["id"] for item in (*pages["items"], *rest["items"])]
    assert ids == sorted(set(ids), reverse=True)
    assert office not in ids


def _a_cancelled_one_keeps_what_it_wrote(server: Served) -> None:
    job_id = job_of(upload(server, "expert", "companies.jsonl", companies(12_000, "mid")))
    with listening(server, "expert", job_id) as events:
        for event in events:
            if json.loads(event["data"])["done"] > 0:
                break
        assert server.ask("expert", "POST", f"/api/jobs/{job_id}/cancel").status_code == 200
        last = list(events)[-1]
    job = until(server, "expert", job_id, "cancelled")
    assert (last["event"], json.loads(last["data"])["state"]) == ("end", "cancelled")
    (stored,) = _scalars(server.settings, "SELECT count(*) FROM company WHERE id LIKE 'mid-%'")
    assert 0 < stored == job["done"] < 12_000
    assert stored % 200 == 0
    assert server.ask("expert", "POST", f"/api/jobs/{job_id}/cancel").status_code == 409
    assert server.ask("expert", "GET", f"/api/jobs/{job_id}/result").status_code == 409


@POSTGRESQL_AT_LENGTH
def test_a_killed_server_goes_on_where_it_was(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    settings = settings.model_copy(update={"job_lease_s": 2.0})
    with served(settings, indexed_home, slice_of_world) as server:
        job_id = job_of(upload(server, "expert", "companies.jsonl", companies(10_000)))
        while (before := server.ask("expert", "GET", f"/api/jobs/{job_id}").json())["done"] == 0:
            time.sleep(0.01)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        assert before["done"] < 10_000
        with started(settings) as (process, log):
            next_one = Served(address_of(process, log), server.keys, server.accounts, settings, process, log)
            with closing(next_one):
                job = ended(next_one, "expert", job_id)
                result = result_of(next_one, "expert", job_id)
    assert (job["done"], job["total"]) == (10_000, 10_000)
    # Each row is counted once, whichever process wrote it.
    assert (result["created"], result["updated"], result["unchanged"]) == (10_000, 0, 0)
    query = "SELECT count(*) FROM {} WHERE {} LIKE 'new-%'"
    assert _scalars(settings, query.format("company", "id")) == [10_000]
    assert _scalars(settings, query.format("client", "company_id")) == [10_000]
    assert _scalars(settings, "SELECT attempts FROM job") == [2]


@pytest.mark.parametrize("database_url", [pytest.param("sqlite", marks=pytest.mark.long), "postgresql"], indirect=True)
def test_two_workers_never_do_the_same(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world, workers=2) as server:
        # Of several people: those of one are done one after the other.
        people = ("expert", "colleague", "lead", "stranger") * 2
        jobs = [
            job_of(upload(server, who, "companies.jsonl", companies(1_000, f"w{n}"))) for n, who in enumerate(people)
        ]
        results = [result_of(server, who, job_id) for who, job_id in zip(people, jobs, strict=True)]
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert [result["created"] for result in results] == [1_000] * 8
    begun = [line for line in lines if line["event"] == "job begun"]
    assert sorted(line["job"] for line in begun) == sorted(jobs)
    assert len({line["worker"].partition("-")[0] for line in begun}) == 2
    assert _scalars(settings, "SELECT count(*) FROM job_part") == [8 * 6]


@POSTGRESQL_AT_LENGTH
def test_a_server_told_to_stop_gives_its_job_back(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        job_id = job_of(upload(server, "expert", "companies.jsonl", companies(20_000)))
        with listening(server, "expert", job_id) as events:
            while json.loads(next(events)["data"])["done"] == 0:
                pass
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            rest = list(events)
        assert "end" not in [event["event"] for event in rest]
        assert server.process.wait(timeout=30) in (0, -signal.SIGTERM)
        assert time.monotonic() - told < 5
    assert _scalars(settings, "SELECT state || attempts FROM job") == ["queued0"]


@POSTGRESQL_AT_LENGTH
def test_who_is_shut_out_hears_nothing_more(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        job_id = job_of(upload(server, "expert", "companies.jsonl", companies(20_000)))
        engine: Engine = open_engine(settings)
        with listening(server, "expert", job_id) as events:
            next(events)
            with engine.begin() as connection:
                shut = "UPDATE account SET disabled_at = created_at WHERE id = :id"
                connection.execute(text(shut), {"id": server.accounts["expert"]})
            told = time.monotonic()
            rest = list(events)
            assert time.monotonic() - told < 5
        assert "end" not in [event["event"] for event in rest]
        # The job does not go on for them either.
        job = until(server, "office", job_id, "failed")
        assert job["refusal"] == "the account that asked for it is disabled"
        engine.dispose()


@POSTGRESQL_AT_LENGTH
def test_a_job_whose_workers_die_is_given_up(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        job_id = job_of(upload(server, "expert", "companies.jsonl", companies(10)))
        ended(server, "expert", job_id)
        engine = open_engine(settings)
        with engine.begin() as connection:
            dead = (
                "UPDATE job SET state = 'running', worker = 'dead', lease_until = created_at, finished_at = NULL, "
                "attempts = 3 WHERE id = :id"
            )
            connection.execute(text(dead), {"id": job_id})
        engine.dispose()
        job = until(server, "expert", job_id, "failed")
    assert job["refusal"] == "the server process that worked on it ended 3 times before it was done"
