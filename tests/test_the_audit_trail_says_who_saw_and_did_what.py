"""The audit trail says who saw and did what, whoever asks in whichever way, and nobody rewrites it.

That every route leaves its row is shown where every route is made to succeed: in
`test_made_up_requests_break_nothing`, by `wrongly_kept`. Here: what rows say, who reads them, and what happens to them
when the database can't be written, a change is undone, a server ends, or somebody lays hands on the table.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from api.access.policy import POLICY
from api.trail.audit_trail import Act, How, Outcome, Subject, write_down
from api.trail.request_trail import NAMED, NOT_WATCHED
from api.trail.view_buffer import COLUMNS, ViewBuffer
from indexer.database import as_writer, open_engine, writing
from indexer.settings import Settings
from tests.conftest import Databases, Gloria
from tests.rig.figures import figure
from tests.rig.servers.browsers import session_token
from tests.rig.servers.served import Served, page_routes_of, routes_of, served
from tests.rig.worlds.audit_rows import Row, rows_of, stored_rows, verdict_of, wrongly_kept

AT = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
NEED, ELSES = "need-1-01", "need-1-03"
SOON_S = 15.0


def act(number: int = 0, **more: Any) -> Act:
    """One view, as a server would note it."""
    subjects = (Subject("need", NEED), Subject("case", str(number)))
    given: dict[str, Any] = {"request_id": f"r-{number}", "subjects": subjects, "outcome": Outcome.SEEN} | more
    return Act(at=AT, resource="need", action="read", how=How.API, operation="read_need", **given)


def until_kept(engine: Engine, request_ids: set[str]) -> list[Row]:
    """Return the rows of these requests, once all of them are stored."""
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        found = [row for row in rows_of(engine) if row.of.request_id in request_ids]
        if {row.of.request_id for row in found} == request_ids:
            return found
        time.sleep(0.1)
    raise AssertionError("rows are missing")


class Asked:
    """Requests to a server, of which the ids are remembered."""

    def __init__(self, server: Served) -> None:
        self.server, self.ids = server, list[str]()

    def __call__(self, who: str, method: str, path: str, status: int = 200, **more: Any) -> httpx.Response:
        answer = self.server.ask(who, method, path, **more)
        assert answer.status_code == status, answer.text
        self.ids.append(answer.headers["x-request-id"])
        return answer


@pytest.mark.postgresql_at_length
def test_who_saw_and_did_what_with_a_need(
    settings: Settings, engine: Engine, indexed_home: Path, slice_of_world: Path
) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        ask = Asked(server)
        ask("expert", "GET", f"/api/needs/{NEED}")
        page = ask("expert", "GET", f"/api/needs/{NEED}/matches?top=3").json()
        shown = page["pairings"][0]
        word = {"verdict": "accept", "proposal_id": shown["proposal_id"]}
        path, once = f"/api/pairings/{shown['pairing_id']}/decision", {"headers": {"Idempotency-Key": "k"}}
        case_id = ask("expert", "POST", path, 201, json=word, **once).json()["case_id"]
        ask("expert", "POST", path, 201, json=word, **once)
        ask("colleague", "POST", path, 409, json=word)
        items = ask("office", "GET", "/api/needs").json()["items"]
        ask("stranger", "GET", f"/api/needs/{NEED}", 404)
        ask("rival", "POST", f"/api/needs/{NEED}/take-up", 403)
        ask("expert", "GET", "/api/needs/telltale-that-is-no-id", 404)
        ask("office", "POST", f"/api/needs/{NEED}/break-glass", params={"reason": "telltale of a complaint"})
        ask("job", "GET", "/api/me")
        rows = {row.of.request_id: row for row in until_kept(engine, set(ask.ids[:-1]))}
        told = [
            (*(getattr(row.of, name) for name in ("operation", "outcome", "status", "rights")), row.subjects)
            for row in (rows[one] for one in ask.ids[:-1])
        ]
        pairing, case = f"pairing {shown['pairing_id']}", f"case {case_id}"
        lists = {f"need {one['id']}" for one in items}
        assert told == [
            ("read_need", "seen", 200, "expert al-a", {f"need {NEED}"}),
            ("match_need", "seen", 200, "expert al-a", {f"need {NEED}"}),
            ("decide_pairing", "done", 201, "expert al-a", {f"need {NEED}", pairing, case}),
            ("decide_pairing", "repeated", 201, "expert al-a", {pairing, case}),
            ("decide_pairing", "refused", 409, "expert al-a", {f"need {NEED}", pairing}),
            ("list_needs", "seen", 200, "office", lists),
            ("read_need", "refused", 404, "expert al-b", {f"need {NEED}"}),
            ("take_up_need", "refused", 403, "signed_in", {f"need {NEED}"}),
            ("read_need", "refused", 404, "expert al-a", set()),
            ("break_glass", "done", 200, "office", {f"need {NEED}"}),
        ]
        assert rows[ask.ids[5]].withheld == {f"need {one['id']}" for one in items if one["redacted"]}
        assert {row.of.account_id for row in rows.values() if row.of.rights == "office"} == {server.accounts["office"]}
        assert all(row.of.key_id for row in rows.values())
        assert wrongly_kept(rows.values(), [("GET /api/me", ask.ids[-1])], routes_of()) == []
        # Controls: the comparison sees a row too few and one too many.
        assert len(wrongly_kept(rows.values(), [("GET /api/needs", "r-none")], routes_of())) == 1
        assert len(wrongly_kept(rows.values(), [("GET /api/me", ask.ids[0])], routes_of())) == 1
        _read_by_whom_it_concerns(ask, engine)
        _seen_in_pages(server, engine)
        _done_by_jobs(ask, engine)
        assert verdict_of(engine).findings == ()
        _holds_ids_only(engine)


def _read_by_whom_it_concerns(ask: Asked, engine: Engine) -> None:
    seen = ask("company", "GET", f"/api/needs/{NEED}/audit").json()["items"]
    assert [(one["name"], one["rights"], one["seen"], one["withheld"], one["changed"]) for one in seen] == [
        ("office", "office", 0, 1, 1),
        ("expert", "expert al-a", 2, 0, 1),
    ]
    assert [one["what"] for one in seen] == [
        ["need.break_glass", "need.list"],
        ["match.read", "need.read", "pairing.decide"],
    ]
    for who, status in (("expert", 200), ("office", 200), ("rival", 404), ("stranger", 404), ("researcher", 403)):
        ask(who, "GET", f"/api/needs/{NEED}/audit", status)
    for who in ("expert", "company", "researcher", "committee", "newcomer"):
        ask(who, "GET", "/api/audit", 403)
    found: list[Any] = []
    cursor = ""
    while True:
        page = ask("office", "GET", f"/api/audit?subject={NEED}&kind=need&limit=4{cursor}").json()
        found += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    numbers = [one["seq"] for one in found]
    assert numbers == sorted(numbers, reverse=True)
    about = [row for row in rows_of(engine) if f"need {NEED}" in row.subjects and row.of.seq <= numbers[0]]
    assert numbers == [row.of.seq for row in reversed(about)]
    chosen = "resource=pairing&action=decide&outcome=refused&from=2020-01-01&to=2190-01-01"
    (refused,) = ask("office", "GET", f"/api/audit?{chosen}").json()["items"]
    assert (refused["name"], refused["status"]) == ("colleague", 409)
    assert ask("office", "GET", f"/api/audit?account={refused['account_id']}&to=2001-01-01").json()["items"] == []
    # A lead sees what concerns the own alliance's needs, and of a list of several only those.
    rows = ask("lead", "GET", "/api/audit?limit=100").json()["items"]
    assert {subject["id"] for row in rows for subject in row["subjects"]} == {NEED}
    whole = ask("office", "GET", "/api/audit?limit=100").json()["items"]
    assert {subject["id"] for row in whole for subject in row["subjects"]} > {NEED, ELSES}
    lines = ask("office", "GET", "/api/exports/audit?format=csv").text.splitlines()
    assert lines[0].removeprefix("\ufeff").startswith("seq 序號,at 時間,")
    assert len(lines) > len(whole)
    ask("expert", "GET", "/api/exports/audit", 403)
    # Who reads the trail is in it too.
    (own,) = until_kept(engine, {ask.ids[-2]})
    assert (own.of.operation, own.of.resource, own.of.outcome) == ("export_audit", "audit", "seen")


def _seen_in_pages(server: Served, engine: Engine) -> None:
    cookie = {"Cookie": f"__Host-gloria={session_token(server, 'expert')}"}
    answers = [httpx.get(server.url + path, headers=cookie) for path in (f"/needs/{NEED}", "/account", "/desk")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    token = re.search(r'name="csrf_token" value="([^"]+)"', answers[1].text)
    assert token is not None
    form = {"csrf_token": token[1], "name": "k", "days": "1"}
    answers.append(httpx.post(server.url + "/account/keys", data=form, headers=cookie))
    form = {"csrf_token": token[1], "alliance": "al-b", "consent": "telltale"}
    answers.append(httpx.post(f"{server.url}/needs/{ELSES}/shares", data=form, headers=cookie))
    assert [answer.status_code for answer in answers[3:]] == [200, 404]
    ids = [answer.headers["x-request-id"] for answer in answers]
    rows = until_kept(engine, {*ids} - {ids[1]})
    told = {
        row.of.request_id: (row.of.how, row.of.operation, row.of.outcome, "need " + NEED in row.subjects)
        for row in rows
    }
    assert len(rows) == len(told)
    assert told == {
        ids[0]: ("page", "show_need", "seen", True),
        ids[2]: ("page", "show_desk", "seen", True),
        ids[3]: ("page", "add_key", "done", False),
        ids[4]: ("page", "share_need", "refused", False),
    }


def _done_by_jobs(ask: Asked, engine: Engine) -> None:
    job = ask("expert", "POST", "/api/match-batches", 202, json={"needs": [NEED], "top": 1}).json()
    until = time.monotonic() + 60
    while ask("expert", "GET", f"/api/jobs/{job['id']}").json()["state"] != "done":
        assert time.monotonic() < until
        time.sleep(0.1)
    ranked = [row for row in rows_of(engine) if row.of.how == "job"]
    assert [(row.of.operation, row.of.outcome, row.of.rights, row.subjects) for row in ranked] == [
        ("match_batch", "seen", "expert al-a", {f"need {NEED}", f"job {job['id']}"})
    ]


def _holds_ids_only(engine: Engine) -> None:
    """Nothing that was written in a request is in the trail; the control is what must be there."""
    with engine.connect() as connection:
        both = (text("SELECT * FROM audit"), text("SELECT * FROM audit_subject"))
        dump = "".join(str(row) for query in both for row in connection.execute(query))
    assert "telltale" not in dump
    assert NEED in dump


@pytest.mark.postgresql_at_length
def test_commands_are_written_down(settings: Settings, gloria: Gloria) -> None:
    kept = {"home": settings.home, "database_url": settings.database_url}
    assert gloria("user", "add", "e@example.org", "--role", "office", **kept).code == 0
    key = gloria("user", "key", "e@example.org", "--name", "k", "--json", **kept).document
    assert gloria("user", "key", "e@example.org", "--revoke", key["prefix"], **kept).code == 0
    assert gloria("user", "disable", "e@example.org", **kept).code == 0
    # Nothing was changed, so nothing is written down.
    assert gloria("user", "disable", "nobody@example.org", **kept).code == 1
    rows = stored_rows(settings)
    (account,) = rows[0].subjects
    assert [(row.of.how, row.of.operation, f"{row.of.resource}.{row.of.action}", row.subjects) for row in rows] == [
        ("command", "user add", "account.create", {account}),
        ("command", "user key", "key.create", {account, f"key {key['prefix']}"}),
        ("command", "user key --revoke", "key.end", {account, f"key {key['prefix']}"}),
        ("command", "user disable", "account.edit", {account}),
    ]
    proof = gloria("audit", "verify", "--json", **kept)
    assert (proof.code, proof.document) == (0, {"rows": 4, "head": rows[-1].of.hash, "findings": []})


def test_every_name_in_an_address_has_its_meaning() -> None:
    routes = [*routes_of(), *page_routes_of()]
    names = {name for _, path, permission in routes if permission for name in re.findall(r"\{(\w+)\}", path)}
    assert names == NAMED.keys()
    assert POLICY.keys() > NOT_WATCHED
    tables = SQLModel.metadata.tables
    places = [place.split(".") for place in COLUMNS.values()]
    assert [column for table, column in places if column not in tables[table].c] == []


@pytest.mark.parametrize("table", ["audit", "audit_subject"])
@pytest.mark.parametrize("change", ["UPDATE {} SET seq = seq + 100", "DELETE FROM {}"])
def test_the_database_refuses_to_rewrite_the_trail(engine: Engine, table: str, change: str) -> None:
    with writing(engine) as session:
        write_down(session, [act()])
    before = rows_of(engine)
    with pytest.raises(DBAPIError, match="append-only"), as_writer(engine).begin() as connection:
        connection.execute(text(change.format(table)))
    assert rows_of(engine) == before
    # The control: without its triggers the same statement goes through, and the proof finds what it did.
    _without_triggers(engine, "audit", "audit_subject")
    with as_writer(engine).begin() as connection:
        connection.execute(text("DELETE FROM audit_subject" if table == "audit" else "SELECT 1"))
        connection.execute(text(change.format(table) if "DELETE" in change or table == "audit" else "SELECT 1"))
    assert (rows_of(engine) == before) == ("UPDATE" in change and table == "audit_subject")


def _without_triggers(engine: Engine, *tables: str) -> None:
    with as_writer(engine).begin() as connection:
        for table in tables:
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
                continue
            named = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = :table"
            for (name,) in connection.execute(text(named), {"table": table}).all():
                connection.execute(text(f"DROP TRIGGER {name}"))


TAMPERED = {
    "UPDATE audit SET rights = 'office' WHERE seq = 2": ["row 2 is not what was written"],
    "UPDATE audit SET at = '2026-11-23 00:00:00+00:00' WHERE seq = 2": ["row 2 is not what was written"],
    "DELETE FROM audit_subject WHERE seq = 2 AND kind = 'need'": ["row 2 is not what was written"],
    "INSERT INTO audit_subject VALUES (3, 'need', 'x', false)": ["row 3 is not what was written"],
    "UPDATE audit_subject SET withheld = true WHERE seq = 1 AND kind = 'need'": ["row 1 is not what was written"],
}


@pytest.mark.parametrize("statement", TAMPERED)
def test_what_was_rewritten_is_found(engine: Engine, statement: str) -> None:
    with writing(engine) as session:
        write_down(session, [act(number) for number in range(4)])
    # The control: as it was written everything fits.
    assert (verdict_of(engine).rows, verdict_of(engine).findings) == (4, ())
    _without_triggers(engine, "audit", "audit_subject")
    with as_writer(engine).begin() as connection:
        connection.execute(text(statement))
    assert list(verdict_of(engine).findings) == TAMPERED[statement]


def test_a_row_that_was_taken_out_leaves_a_gap(engine: Engine) -> None:
    with writing(engine) as session:
        write_down(session, [act(number) for number in range(4)])
    _without_triggers(engine, "audit", "audit_subject")
    with as_writer(engine).begin() as connection:
        connection.execute(text("DELETE FROM audit_subject WHERE seq = 2"))
        connection.execute(text("DELETE FROM audit WHERE seq = 2"))
    assert list(verdict_of(engine).findings) == ["rows 2 to 2 are missing"]


def test_a_change_that_is_undone_leaves_no_row(engine: Engine) -> None:
    def undone() -> None:
        with writing(engine) as session:
            write_down(session, [act(1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    assert rows_of(engine) == []
    # The control: committed, the same row is there, and takes the number that was not used.
    with writing(engine) as session:
        write_down(session, [act(1)])
    assert [row.of.seq for row in rows_of(engine)] == [1]


@pytest.mark.parametrize("each", [25, pytest.param(250, marks=pytest.mark.long)])
def test_many_writers_leave_no_gap(engine: Engine, each: int) -> None:
    writers, undone = 8, 0

    def write(writer: int) -> None:
        nonlocal undone
        for number in range(each):
            try:
                with writing(engine, 30) as session:
                    write_down(session, [act(writer * each + number)])
                    if number % 5 == 4:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                undone += 1

    threads = [threading.Thread(target=write, args=(one,)) for one in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = verdict_of(engine)
    assert (verdict.rows, verdict.findings) == (writers * each - undone, ())
    assert undone == writers * each // 5
    figure(f"audit trail, {engine.dialect.name}", writers=writers, rows=verdict.rows, undone=undone, gaps=0)


def test_an_act_with_many_subjects_is_several_rows(engine: Engine) -> None:
    subjects = tuple(Subject("need", f"n-{number}") for number in range(1_200))
    twice = (Subject("need", "n-0", withheld=True), *subjects)
    with writing(engine) as session:
        write_down(session, [act(7, subjects=twice)])
    rows = rows_of(engine)
    assert [len(row.subjects) for row in rows] == [500, 500, 200]
    assert {row.of.request_id for row in rows} == {"r-7"}
    # Seen once with its text, it was seen.
    assert [row.withheld for row in rows] == [frozenset()] * 3
    assert verdict_of(engine).findings == ()


@contextmanager
def held(engine: Engine) -> Iterator[None]:
    """Let nobody else write into the trail while the block runs."""
    with as_writer(engine).connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE audit IN EXCLUSIVE MODE"))
        else:
            connection.execute(text("SELECT 1"))
        yield
        connection.rollback()


def test_views_wait_in_memory_while_nothing_can_be_written(settings: Settings, engine: Engine) -> None:
    mine = open_engine(settings)
    views = ViewBuffer(mine, room=12)
    views.start()
    with held(engine):
        begun = time.monotonic()
        for number in range(10):
            views.put(act(number))
        took_s = time.monotonic() - begun
        time.sleep(1.5)
        # Three weigh 1 and their two subjects: of ten four fit, six are lost, and nobody waited.
        assert (views.state().waiting, views.state().lost) == (4, 6)
        assert took_s < 0.5
        assert rows_of(engine) == []
    views.stop()
    rows = rows_of(engine)
    assert [(row.of.outcome, row.of.request_id, row.of.lost) for row in rows] == [
        *(("seen", f"r-{number}", 0) for number in range(4)),
        ("lost", None, 6),
    ]
    assert (views.state().waiting, verdict_of(engine).findings) == (0, ())
    mine.dispose()


def test_one_view_that_cannot_be_stored_does_not_keep_the_others(settings: Settings, engine: Engine) -> None:
    mine = open_engine(settings)
    views = ViewBuffer(mine)
    views.start()
    for number in (1, 2, 3):
        views.put(act(number, account_id="nobody" if number == 2 else None))
    views.stop()
    mine.dispose()
    assert [(row.of.request_id, row.of.outcome) for row in rows_of(engine) if row.of.outcome != "lost"] == [
        ("r-1", "seen"),
        ("r-3", "seen"),
    ]
    assert views.state().lost == 1


@pytest.fixture(scope="module")
def quiet(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, Path, Path]:
    """Settings of a database file of the module's own, and what a server starts from."""
    home = tmp_path_factory.mktemp("audit") / "home"
    return (
        Settings(home=home, database_url=f"sqlite:///{home}/gloria.db", encoders="bundled-use"),
        indexed_home,
        slice_of_world,
    )


def test_reads_go_on_while_nothing_can_be_written_and_nothing_is_lost(
    quiet: tuple[Settings, Path, Path],
) -> None:
    settings, indexed_home, slice_of_world = quiet
    with served(settings, indexed_home, slice_of_world) as server:
        ask, engine = Asked(server), open_engine(settings)
        with held(engine):
            for _ in range(5):
                ask("expert", "GET", f"/api/needs/{NEED}")
            time.sleep(1.5)
            ask("expert", "GET", f"/api/needs/{NEED}")
            views = server.ask(None, "GET", "/readyz").json()["views"]
            assert (views["waiting"], views["lost"]) == (6, 0)
            assert "gloria_audit_views_lost_total 0.0" in server.ask(None, "GET", "/metrics").text
        assert len(until_kept(engine, set(ask.ids))) == 6
        # Asked right before the end: a server that is told to stop stores what it has.
        ask("expert", "GET", f"/api/needs/{NEED}")
        last = ask.ids[-1]
        engine.dispose()
    assert [row.of.request_id for row in stored_rows(settings)][-1] == last
    _killed(settings, last)


def _killed(settings: Settings, last: str) -> None:
    """The control: killed in the same moment it can't, and its last view is missing. That is the stated limit."""
    from tests.rig.servers.served import address_of, started

    with started(settings) as (process, log):
        url = address_of(process, log)
        engine = open_engine(settings)
        account = rows_of(engine)[-1].of.account_id
        with writing(engine) as session:
            from datetime import timedelta

            from api.access.credentials import make_key

            _, key = make_key(
                session,
                account_id=str(account),
                name="n",
                may_write=True,
                valid=timedelta(days=1),
                now=datetime.now(UTC),
            )
        proof = {"Authorization": f"Bearer {key}"}
        changed = httpx.post(f"{url}/api/needs/{NEED}/take-up", headers=proof)
        seen = httpx.get(f"{url}/api/needs/{NEED}", headers=proof)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (changed.status_code, seen.status_code) == (200, 200)
    ids = [row.of.request_id for row in rows_of(engine)]
    engine.dispose()
    # What was changed is there, whatever becomes of the server.
    assert ids[-1] == changed.headers["x-request-id"]
    assert seen.headers["x-request-id"] not in ids
