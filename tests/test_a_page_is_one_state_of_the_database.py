"""A page is one state of the database, however many routes of the API it asks; what it stores is one transaction.

Counted through the events of the engine, and shown by content: somebody else commits before each of the statements of
a page in turn, and no page has half of it. Both databases.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from starlette.testclient import TestClient

from api.trail.view_buffer import ViewBuffer
from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.pairings import Matcher
from matcher.review.intake import adopt
from tests.conftest import Databases
from tests.rig.servers.served import existing, fill, page_routes_of
from tests.rig.servers.warmed_application import application
from tests.rig.worlds.audit_rows import rows_of
from tests.rig.worlds.small_world import asking

NEED, COMPANY = "need-1-01", "co-1-1"
OLD, NEW = "舊名實業", "新名實業"
MOST_STATEMENTS = 25
SHOWING = ("/needs/{need_id}/ranked", "/needs/{need_id}/team", "/portfolio/needs/{need_id}/labs/{lab_id}")
"""Pages that keep as shown what they show, or what they lead to."""
NEVER_S = 1e9
_BEGINS = ("BEGIN", "BEGIN IMMEDIATE")


@dataclass
class Seen:
    """What a request asked of the database: its transactions, by what they are, and its statements in order."""

    transactions: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None

    def began(self, connection: Connection) -> None:
        """Note a transaction."""
        self.transactions.append(str(connection.get_execution_options().get("gloria_mode")))

    def asks(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """Note a statement, or what is about to be one."""
        if statement not in _BEGINS:
            self.before(statement)
            self.statements.append(statement)


@dataclass
class Pages:
    """The application in this process, with keys for everybody, and a second way to its database."""

    client: TestClient
    engine: Engine
    keys: dict[str, str]
    settings: Settings
    other: Engine

    def ask(self, who: str, path: str, method: str = "GET", **more: Any) -> Any:
        """Send one request; nobody is sent on to another page."""
        headers = {"Authorization": f"Bearer {self.keys[who]}", **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, follow_redirects=False, **more)

    @contextmanager
    def watched(self) -> Iterator[Seen]:
        """Note what is asked of the database meanwhile."""
        seen = Seen()
        event.listen(self.engine, "begin", seen.began)
        event.listen(self.engine, "before_cursor_execute", seen.asks)
        try:
            yield seen
        finally:
            event.remove(self.engine, "begin", seen.began)
            event.remove(self.engine, "before_cursor_execute", seen.asks)

    def elsewhere(self, statement: str, **values: str) -> None:
        """Let somebody else change something, committed at once."""
        with writing(self.other) as session:
            session.connection().execute(text(statement), values)

    def call(self, name: str) -> None:
        """Let somebody else give the company of the need a name."""
        self.elsewhere("UPDATE company SET name = :name WHERE id = :id", name=name, id=COMPANY)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pages(
    request: pytest.FixtureRequest,
    databases: Databases,
    indexed_home: Path,
    slice_of_world: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pages]:
    """Serve a slice of the demo world in which something was decided, reported and noted."""
    home = tmp_path_factory.mktemp("one-state") / "home"
    shutil.copytree(indexed_home, home, ignore=shutil.ignore_patterns("gloria.db*"))
    settings = Settings(
        home=home,
        database_url=databases.at_head(request.param, home),
        encoders="bundled-use",
        requests_per_minute=1_000_000,
    )
    keys, _ = fill(settings, slice_of_world)
    app = application(settings)
    engine, other = app.state.engine, open_engine(settings)
    # Looking for news of the index is no page's work, and comes in between at times of its own.
    app.state.live = LiveMatcher(settings, engine, check_every_s=NEVER_S, takes_in=False)
    app.state.live.warm()
    try:
        with asking(app) as client:
            made = Pages(client, engine, keys, settings, other)
            _work(made)
            yield made
    finally:
        app.state.live.close()
        other.dispose()
        engine.dispose()


def _work(pages: Pages) -> None:
    """Let the expert work, so that every list has several rows."""

    def done(who: str, path: str, **body: Any) -> Any:
        answer = pages.ask(who, path, "POST", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    shown = pages.ask("expert", f"/api/needs/{NEED}/matches").json()["pairings"]
    for place, one in enumerate(shown[:6]):
        path, proposal = f"/api/pairings/{one['pairing_id']}/decision", one["proposal_id"]
        case_id = done("expert", path, verdict="accept", proposal_id=proposal)["case_id"]
        note = {"held_on": "2026-11-20", "note": "談過", "next_step": "再談", "next_on": "2026-11-21"}
        done("expert", f"/api/cases/{case_id}/contacts", kind="meeting", **note)
        if place < 3:
            done("expert", f"/api/cases/{case_id}/transition", stage="introduced")
    assert pages.ask("expert", f"/api/pairings/{shown[7]['pairing_id']}/release", "PUT").is_success
    later = {
        "verdict": "defer",
        "reason": "too_early",
        "defer_until": "2099-01-01",
        "proposal_id": shown[8]["proposal_id"],
    }
    done("expert", f"/api/pairings/{shown[8]['pairing_id']}/decision", **later)


READS = [
    ("expert", "/desk"),
    ("expert", "/needs"),
    ("expert", f"/needs/{NEED}"),
    ("expert", "/cases"),
    ("expert", "/cases/1"),
    ("expert", "/companies"),
    ("expert", f"/companies/{COMPANY}"),
    ("expert", "/kpi"),
    ("office", "/kpi"),
    ("office", "/review"),
    ("committee", "/review"),
    ("expert", "/labs?q=%E6%8B%8B%E5%85%89"),
    ("company", "/company"),
]


@pytest.mark.parametrize(("who", "path"), READS)
def test_a_page_that_stores_nothing_is_one_transaction(pages: Pages, who: str, path: str) -> None:
    with pages.watched() as seen:
        answer = pages.ask(who, path)
    assert answer.status_code == 200
    assert seen.transactions == ["reads"]
    assert len(seen.statements) <= MOST_STATEMENTS, seen.statements


STORING = [
    (f"/api/needs/{NEED}/matches", {}),
    (f"/needs/{NEED}/ranked", {}),
    (f"/needs/{NEED}/ranked", {"HX-Request": "true"}),
]


@pytest.mark.parametrize(("path", "headers"), STORING)
def test_what_ranks_reads_the_need_and_then_stores_and_reads_in_one_transaction(
    pages: Pages, path: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    rank = Matcher.match

    def ranked(self: Matcher, *given: Any, **more: Any) -> Any:
        held.append(pages.engine.pool.checkedout())  # type: ignore[attr-defined]
        return rank(self, *given, **more)

    monkeypatch.setattr(Matcher, "match", ranked)
    with pages.watched() as seen:
        answer = pages.ask("expert", path, headers=headers)
    assert answer.status_code == 200
    assert seen.transactions == ["reads", "writes"]
    assert len(seen.statements) <= MOST_STATEMENTS, seen.statements
    assert held == [0]


@pytest.mark.postgresql_at_length
def test_every_page_is_at_most_one_transaction_of_each_kind(pages: Pages) -> None:
    """Whoever sees it: every page that can be opened without a form, with the first record that its address fits."""
    paths = [path for method, path, permission in page_routes_of() if method == "GET" and permission]
    ids = existing(pages.settings, paths)
    opened: set[str] = set()
    for path in paths:
        address = path
        for name, values in ids.items():
            address = address.replace(f"{{{name}}}", str(values[0]) if values else "none")
        for who in pages.keys:
            with pages.watched() as seen:
                answer = pages.ask(who, address)
            if answer.status_code == 200:
                opened.add(path)
            stores = path in SHOWING
            assert seen.transactions in (["reads"], ["reads", "writes"] if stores else ["reads"], []), (who, address)
    assert len(opened) > 40, sorted(set(paths) - opened)


def test_a_form_is_the_one_transaction_of_its_verb(pages: Pages) -> None:
    with pages.watched() as seen:
        answer = pages.ask("stranger", "/needs/need-1-03/take-up", "POST")
    assert (answer.status_code, seen.transactions) == (303, ["writes"])
    # Refused, and so shown again: the page is the state after it.
    with pages.watched() as seen:
        answer = pages.ask("stranger", "/needs/need-1-03/take-up", "POST")
    assert (answer.status_code, seen.transactions) == (409, ["writes", "reads"])


def _halves(pages: Pages, path: str) -> list[int]:
    """Rename the company before each statement of a page in turn; return before which the page has both names."""
    pages.call(OLD)
    with pages.watched() as seen:
        assert OLD in pages.ask("expert", path).text
    found = []
    for place in range(len(seen.statements)):
        pages.call(OLD)
        with pages.watched() as seen:
            seen.before = _once_at(seen, place, pages)
            shown = pages.ask("expert", path).text
        assert OLD in shown or NEW in shown
        if OLD in shown and NEW in shown:
            found.append(place)
    return found


def _once_at(seen: Seen, place: int, pages: Pages) -> Callable[[str], None]:
    def change(_statement: str) -> None:
        # In SQLite nobody else can write while the page does, so that there is nothing to see.
        is_alone = pages.engine.dialect.name == "sqlite" and seen.transactions[-1] == "writes"
        if len(seen.statements) == place and not is_alone:
            pages.call(NEW)

    return change


@pytest.mark.parametrize("path", ["/desk", f"/companies/{COMPANY}", f"/needs/{NEED}/ranked"])
def test_no_page_has_half_of_what_somebody_else_changed_meanwhile(pages: Pages, path: str) -> None:
    assert _halves(pages, path) == []


def test_control_without_the_shared_state_a_page_has_half_of_it(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.requests.permitted_request.state_of", lambda _request: None)
    assert _halves(pages, "/desk")


def test_a_ranking_is_of_the_need_beside_it(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The need is changed while it is ranked: it is ranked again, and the page shows one and the same text."""
    titles: list[str] = []
    rank = Matcher.match

    def ranked(self: Matcher, need: Any, *given: Any, **more: Any) -> Any:
        if not titles:
            pages.elsewhere("UPDATE need SET title = :title WHERE id = :id", title="改過的題目", id=NEED)
        titles.append(need.title)
        return rank(self, need, *given, **more)

    monkeypatch.setattr(Matcher, "match", ranked)
    answer = pages.ask("expert", f"/needs/{NEED}/ranked")
    assert answer.status_code == 200
    assert "改過的題目" in answer.text
    assert len(titles) == 2
    assert titles[0] != titles[1] == "改過的題目"
    titles[:] = ["again"]
    answer = pages.ask("expert", f"/api/needs/{NEED}/matches")
    assert (answer.status_code, titles) == (200, ["again", "改過的題目"])


def test_two_who_look_at_a_need_for_the_first_time_both_see_it(pages: Pages) -> None:
    """The other stores the same pairings after this page's transaction began, and before it stores them."""
    if pages.engine.dialect.name == "sqlite":
        pytest.skip("in SQLite the other waits until this one is through")
    with writing(pages.other) as session:
        import_rows(session, "needs", [{"id": "n-new", "title": "晶圓拋光太慢"}])
        adopt(session, need_ids=["n-new"], alliance_id="al-a", by=None, now=datetime.now(UTC))
    others: list[int] = []

    def look(statement: str) -> None:
        if statement.startswith("INSERT INTO pairing") and not others:
            others.append(0)
            other = threading.Thread(
                target=lambda: others.append(pages.ask("colleague", "/api/needs/n-new/matches").status_code)
            )
            other.start()
            other.join()

    with pages.watched() as seen:
        seen.before = look
        answer = pages.ask("expert", "/needs/n-new/ranked")
    assert (answer.status_code, others) == (200, [0, 200])
    assert "晶圓拋光太慢" in answer.text
    assert seen.transactions.count("writes") == 3


def test_a_state_that_broke_gives_no_second_one(pages: Pages) -> None:
    """What can't be read is refused, not made up for with what holds a moment later."""
    if pages.engine.dialect.name != "postgresql":
        pytest.skip("told by a statement that takes too long")

    def stop(statement: str) -> None:
        if "FROM job" in statement:
            with pages.other.connect() as connection:
                connection.execute(
                    text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
                )

    with pages.watched() as seen:
        seen.before = stop
        answer = pages.ask("expert", "/desk")
    assert answer.status_code == 503
    assert seen.transactions == ["reads"]
    assert pages.ask("expert", "/desk").status_code == 200


def test_whose_needs_a_lab_was_matched_with_is_noted(pages: Pages) -> None:
    """The address names a lab only; whose needs were shown for it stands in the answer, of the API and of the page."""
    answers = [pages.ask("expert", path) for path in ("/api/labs/lab-1-01/matches", "/labs/lab-1-01/needs")]
    shown = {f"need {one['need_id']}" for one in answers[0].json()["needs"]}
    assert f"need {NEED}" in shown
    views: ViewBuffer = pages.client.app.state.views  # type: ignore[attr-defined]
    views.start()
    views.stop()
    rows = {row.of.request_id: row.subjects for row in rows_of(pages.other)}
    assert [rows[one.headers["x-request-id"]] for one in answers] == [shown | {"lab lab-1-01"}] * 2
