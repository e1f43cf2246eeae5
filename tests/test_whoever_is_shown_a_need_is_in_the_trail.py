"""Every answer and every page that shows what a need says has left a row that names the need, whatever was asked for.

Every route of the policy is walked by everybody; the titles of all needs are looked for in what came back, and what was
found is compared with what the trail says of the same request.
"""

from __future__ import annotations

import html
import inspect
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from sqlmodel import select

from api.documents.matching import matches
from api.pages.shell import record_names
from api.routes import needs, pairings
from api.routes.desk import queue
from indexer.database import open_engine, reading
from indexer.records.record_tables import Need
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import session_token
from tests.rig.servers.served import Served, page_routes_of, routes_of, served
from tests.rig.worlds.audit_rows import rows_of
from tests.rig.worlds.small_world import draw_everything
from tests.test_everybody_may_do_what_the_policy_says import OWN_ALLIANCE, Things, _fill

WALKING = ("expert", "office", "company", "researcher", "committee", "stranger")
SOON_S = 30.0


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("walked") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        draw_everything(settings)
        yield server


@pytest.fixture(scope="module")
def things(server: Served) -> Things:
    found = _fill(server)
    contact = {"kind": "call", "held_on": "2020-01-02", "next_step": "call again", "next_on": "2020-01-03"}
    assert server.ask("expert", "POST", f"/api/cases/{found.own['case_id']}/contacts", json=contact).status_code == 201
    return found


@pytest.fixture(scope="module")
def engine(server: Served) -> Iterator[Engine]:
    opened = open_engine(server.settings)
    yield opened
    opened.dispose()


class Walk:
    """What requests showed of needs, by the id of the request."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        with reading(engine) as session:
            self.titles = {need.id: need.title for need in session.exec(select(Need)).all()}
        self.shown: dict[str, tuple[str, set[str]]] = {}

    def met(self, label: str, answer: httpx.Response) -> set[str]:
        """Note which needs' titles an answer has."""
        text = html.unescape(answer.text)
        found = {f"need {need_id}" for need_id, title in self.titles.items() if title in text}
        if found and answer.is_success:
            self.shown[answer.headers["x-request-id"]] = (label, found)
        return found

    def unnoted(self) -> list[str]:
        """Return what was shown and is in no row of its request, as text that was not withheld."""
        until, noted = time.monotonic() + SOON_S, dict[str, set[str]]()
        while time.monotonic() < until:
            noted = defaultdict(set)
            for row in rows_of(self.engine):
                noted[str(row.of.request_id)] |= row.subjects - row.withheld
            if all(request_id in noted for request_id in self.shown):
                break
            time.sleep(0.2)
        return sorted(
            f"{label}: {', '.join(sorted(found - noted[request_id]))}"
            for request_id, (label, found) in self.shown.items()
            if found - noted[request_id]
        )


def _path(template: str, things: Things) -> str:
    ids: Mapping[str, str] = defaultdict(lambda: "none", things.own)
    if "/alliances/" in template:
        ids = defaultdict(lambda: "none", {**things.own, "alliance_id": OWN_ALLIANCE})
    return template.format_map(ids)


def test_every_view_that_shows_a_need_is_noted(server: Served, things: Things, engine: Engine) -> None:
    walk = Walk(engine)
    routes = [path for method, path, permission in routes_of() if method == "GET" and permission is not None]
    pages = [path for method, path, permission in page_routes_of() if method == "GET" and permission is not None]
    queries: dict[str, dict[str, Any]] = {"/api/lab-names": {"q": "實驗室"}, "/api/company-names": {"q": "公司"}}
    words = {"q": next(iter(walk.titles.values()))[:4]}
    queries |= dict.fromkeys(("/search", "/search/suggestions", "/api/search"), words)
    for who in WALKING:
        for path in routes:
            answer = server.ask(who, "GET", _path(path, things), params=queries.get(path))
            walk.met(f"{who} GET {path}", answer)
        cookie = {"Cookie": f"__Host-gloria={session_token(server, who)}"}
        with httpx.Client(base_url=server.url, headers=cookie, timeout=60) as client:
            for path in pages:
                walk.met(f"{who} page {path}", client.get(_path(path, things), params=queries.get(path)))
    labels = {label.partition(" ")[2] for label, _ in walk.shown.values()}
    print(f"{len(walk.shown)} answers show needs, of {len(labels)} routes and pages: {sorted(labels)}")
    assert walk.unnoted() == []
    # The controls: what is known to show a need was met, and what stands in no row is told.
    known = {"GET /api/needs/{need_id}", "GET /api/labs/{lab_id}/matches", "GET /api/queue", "GET /api/exports/needs"}
    known |= {
        "GET /api/search",
        "page /search/suggestions",
        "page /needs/{need_id}",
        "page /companies/{company_id}",
        "page /cases",
        "GET /api/field-map",
    }
    assert known - labels == set()
    label, found = next(iter(walk.shown.values()))
    walk.shown = {next(iter(walk.shown)): (label, {*found, "need none"})}
    assert walk.unnoted() == [f"{label}: need none"]


def test_every_change_that_shows_a_need_is_noted(server: Served, things: Things, engine: Engine) -> None:
    walk, need = Walk(engine), "need-1-01"
    page = server.ask("expert", "GET", f"/api/needs/{need}/matches?top=3")
    walk.shown[page.headers["x-request-id"]] = ("matches", {f"need {need}"})
    shown = page.json()["pairings"][-1]
    text = {"title": next(title for key, title in walk.titles.items() if key == need)}
    for label, who, method, path, more in (
        ("taken up", "expert", "POST", f"/api/needs/{need}/take-up", {}),
        ("glass broken", "office", "POST", f"/api/needs/{need}/break-glass", {"params": {"reason": "a complaint"}}),
        ("decided", "expert", "POST", f"/api/pairings/{shown['pairing_id']}/decision",
         {"json": {"verdict": "defer", "proposal_id": shown["proposal_id"], "reason": "later",
                   "defer_until": str(date(2099, 1, 1))}}),
        ("submitted", "company", "POST", "/api/needs",
         {"json": {**text, "description": "拋光太慢"}, "headers": {"Idempotency-Key": "once"}}),
        ("submitted again", "company", "POST", "/api/needs",
         {"json": {**text, "description": "拋光太慢"}, "headers": {"Idempotency-Key": "once"}}),
    ):  # fmt: skip
        answer = server.ask(who, method, path, **more)
        assert answer.status_code < 500, answer.text
        if "submitted" in label:
            # Its title is that of another need; what is noted must be its own id.
            assert answer.status_code == 201, answer.text
            walk.shown[answer.headers["x-request-id"]] = (label, {f"need {answer.json()['id']}"})
        else:
            walk.met(label, answer)
    assert {"matches", "taken up", "glass broken", "submitted again"} <= {label for label, _ in walk.shown.values()}
    assert walk.unnoted() == []


def test_what_renders_a_need_asks_for_whom() -> None:
    """No argument may be left out: a new route that shows needs does not even run without saying to whom."""
    rendering = (
        needs.need_document, needs.need_documents, matches.match_document, matches.lab_document,
        pairings.pairing_document, record_names.titles, record_names.case_names,
        queue._new_needs, queue._needs_to_match, queue._needs_to_review, queue._pairings, queue._due,
    )  # fmt: skip
    lax = [one.__name__ for one in rendering if inspect.signature(one).parameters["to"].default is not inspect._empty]
    assert lax == []
