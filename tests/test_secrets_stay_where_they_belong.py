"""A telltale in every secret field: everybody finds exactly what is theirs, in all that is answered, logged, stored."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import select
from sqlmodel import SQLModel
from starlette.testclient import TestClient

from indexer.database import open_engine, reading
from indexer.records.record_tables import Need
from indexer.settings import Settings
from tests.conftest import POSTGRESQL_AT_LENGTH, Gloria
from tests.rig.servers.served import PEOPLE, Served, existing, routes_of, served
from tests.rig.servers.warmed_application import application
from tests.rig.worlds.ledger_world import MISSING
from tests.rig.worlds.planted_secrets import (
    CREDENTIALS,
    FILED,
    SECRETS,
    STEM,
    History,
    Search,
    chinese,
    forms,
    latin,
    telltale,
    told,
)

Route = tuple[str, str, Any]
ECHO = telltale("echo", len(SECRETS))
"""What is sent in requests that are refused: no answer repeats it, nor does the log."""
NOT_THERE = {"need_id": "none", "lab_id": "none", "company_id": "none", "pairing_id": "999999", "case_id": "999999"}
NOT_THERE |= MISSING | {"request_id": "999999", "meeting_id": "999999", "attachment_id": "999999", "word_id": "999999"}
FIRST_BODIES, ENOUGH = 3, 2
"""What is refused by a model before anybody looks who asks: two people who get that far are asked every time, and all
in `make test-long`."""
GIVEN_BACK = {"POST /api/drafts"}
"""What answers with the document that it was sent, read into a draft."""
# Bodies that pass the models but are refused by what is stored, so that refusals come from every depth.
_REFUSED = {
    "/decision": {"verdict": "accept", "proposal_id": 1},
    "/transition": {"stage": "signed"},
    "/contacts": {"kind": "call", "held_on": "2026-11-20", "next_on": "2026-11-01"},
    "/contact": {"contact_phone": "no number"},
    "/shares": {"alliance": "al-a", "consent": "by telephone"},
    "/alliance": {"alliance": "al-b"},
    "/state": {"state": "submitted"},
    "/stakes": {"party": "lab", "party_id": "none"},
    "/client": {"alliance": "none"},
    "/session": {"email": "expert@example.org", "password": "wrong"},
}


@dataclass
class Tour:
    """What somebody met, in which answers; `cells` counts the answers that were searched."""

    met: dict[str, set[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    """Refusals that quote something stored or sent."""
    places: set[str] = field(default_factory=set)
    answers: int = 0


def _paths(template: str, ids: dict[str, list[str]]) -> Iterator[str]:
    """Yield a path with each of the rows that its parameters can name."""
    before, brace, rest = template.partition("{")
    if not brace:
        yield template
        return
    name, _, after = rest.partition("}")
    # A new kind of row: `existing` finds it in its table, else it has to be given here.
    assert name in ids, f"{template}: say which {name} there are"
    for known in ids[name]:
        for end in _paths(after, ids):
            yield f"{before}{known}{end}"


def _bodies(template: str, description: dict[str, Any], method: str) -> Iterator[dict[str, Any]]:
    """Yield what to send: what is refused by what is stored, as no JSON, under unknown names, and by the models."""
    operation = description["paths"].get(template, {}).get(method.lower(), {})
    yield {"json": next((value for end, value in _REFUSED.items() if template.endswith(end)), {})}
    yield {"json": {"unknown": ECHO}}
    yield {"content": json.dumps({"title": ECHO}).encode() + b"{"}
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    model = description["components"]["schemas"].get(content.get("schema", {}).get("$ref", "").rpartition("/")[2], {})
    for name in model.get("properties", {}):
        yield {"json": {name: {ECHO: ECHO}}}
    if "party_id" in model.get("properties", {}):
        yield {"json": {"party": "lab", "party_id": ECHO}}
        yield {"json": {"party": ECHO, "party_id": "lab-1-01"}}
    if "alliance" in model.get("properties", {}):
        yield {"json": {"alliance": ECHO}}


def _changes(
    route: Route,
    ids: dict[str, list[str]],
    who: str | None,
    description: dict[str, Any],
    asked_by: Counter[str] | None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield paths and what to send; what only the models look at not after `ENOUGH` came that far, if it is counted."""
    method, template, _ = route
    paths = list(_paths(template, ids))
    if template.endswith("/break-glass") and who == "office":
        # A reason would open the need, as it should: without one it is refused.
        yield from ((path, {}) for path in paths)
        return
    if template == "/api/import-drafts/{import_id}/import":
        # Otherwise the list would become needs that the whole alliance reads, as it should: one not there is tried.
        yield (paths[-1], {"json": {}})
        return
    if template == "/api/attachments/{attachment_id}":
        # Otherwise the files would be taken away, as they should, and those who come later would find none.
        yield (paths[-1], {})
        return
    if template.endswith("/client") and method == "DELETE":
        # Otherwise the company would be let go, as it should.
        yield from ((path, {"params": {"alliance": "none"}}) for path in paths)
        return
    bodies = list(_bodies(template, description, method))
    yield from ((path, bodies[0]) for path in (*paths[:2], paths[-1]))
    yield from ((paths[0], body) for body in bodies[1:FIRST_BODIES])
    if asked_by is None or asked_by[f"{method} {template}"] < ENOUGH:
        yield from ((paths[0], body) for body in bodies[FIRST_BODIES:])


_PROBES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/openapi.json", {}),
    ("/api/labs", {"params": {"q": STEM}}),
    ("/api/needs", {"params": {"state": "taken_up"}}),
    ("/api/company-requests", {"params": {"waiting": False}}),
    (f"/api/needs/{ECHO}", {}),
    (f"/{ECHO}", {}),
    ("/api/needs", {"params": {"cursor": ECHO}}),
    ("/api/needs", {"params": {"state": ECHO}}),
    ("/api/labs", {"params": {"field": ECHO}}),
    (f"/api/cases/{ECHO}", {}),
    ("/api/me", {"headers": {"Authorization": f"Bearer {latin('echo')}"}}),
    ("/api/me", {"headers": {"Authorization": "", "Cookie": f"__Host-gloria={latin('echo')}"}}),
    (
        "/api/me",
        {
            "headers": {
                "X-Request-Id": f"{latin('echo')}!",
                "If-Match": latin("echo"),
                "Origin": f"http://{latin('echo')}",
            }
        },
    ),
)
"""Further looks, and requests that carry a telltale in every place that an address or a header has."""


def _toured(
    client: httpx.Client,
    who: str | None,
    routes: list[Route],
    ids: dict[str, list[str]],
    search: Search,
    asked_by: Counter[str] | None = None,
) -> Tour:
    """Ask every route for everything and return what was met; count in `asked_by` who got as far as the models.

    Where that is counted, a route that the policy closes to somebody is asked by them once: what belongs to others is
    not found, and not forbidden, so that it stays closed whatever is asked for.
    """
    tour = Tour()
    description = client.get("/api/openapi.json").json()
    asked: list[tuple[str, str, str, dict[str, Any]]] = []
    for method, template, _ in routes:
        if method == "GET":
            asked += [(method, path, template, {}) for path in _paths(template, ids)]
    asked += [("GET", path, "probes", more) for path, more in _PROBES]
    for route in routes:
        method, template, permission = route
        # Signing in and out is nobody's, so once is enough.
        if method != "GET" and (permission is not None or who is None):
            asked += [(method, path, template, more) for path, more in _changes(route, ids, who, description, asked_by)]
    closed: set[str] = set()
    for number, (method, path, template, more) in enumerate(asked):
        place = f"{method} {template}"
        if asked_by is not None and place in closed:
            continue
        headers = {} if method == "GET" else {"If-Match": '"stale"', "Idempotency-Key": f"{latin('echo')} {number}"}
        answer = client.request(method, path, **{"headers": headers, **more})
        assert answer.status_code < 500, f"{method} {path}: {answer.text}"
        _note(tour, answer, place, search)
        if answer.status_code == 403 and template != "probes":
            closed.add(place)
        if asked_by is not None and more.get("json") == {"unknown": ECHO} and answer.status_code == 422:
            asked_by[place] += 1
    return tour


def _note(tour: Tour, answer: httpx.Response, place: str, search: Search) -> None:
    tour.answers += 1
    tour.places.add(place)
    head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    for word in search.found(answer.content + head.encode()) - _given_back(answer, place):
        if answer.status_code >= 400 or word == "echo":
            # A refusal quotes nothing that is stored, not even to those who may read it, nor what was sent.
            tour.refusals.append(f"{place}: {word} in {answer.text[:300]}")
        tour.met.setdefault(word, set()).add(place)


def _given_back(answer: httpx.Response, place: str) -> set[str]:
    return {"echo"} if place in GIVEN_BACK and answer.status_code == 200 else set()


def _leaks(who: str | None, tour: Tour) -> list[str]:
    found = []
    for word, places in sorted(tour.met.items()):
        secret = SECRETS.get(word)
        if secret is None or who not in secret.must | secret.may:
            found.append(f"{who} met {word} in {sorted(places)[:3]}")
    return found


def _stored(settings: Settings) -> bytes:
    engine = open_engine(settings)
    with reading(engine) as session:
        rows = [str(session.execute(select(table)).all()) for table in SQLModel.metadata.sorted_tables]
    engine.dispose()
    return "\n".join(rows).encode()


@dataclass
class Planted:
    """A server after the history, and what finds its secrets."""

    server: Served
    history: History
    search: Search

    def ids(self, routes: list[Route], others: int = 3) -> dict[str, list[str]]:
        """Return the rows to ask for: those of the history, some others at both ends, one that is not there."""
        found = existing(self.server.settings, [path for _, path, _ in routes])
        ids = {}
        for name in (*found, *(name for name in self.history.ids if name not in found)):
            there = found.get(name, [])
            asked = [*self.history.ids.get(name, []), *there[:others], *there[-others:], NOT_THERE.get(name, "none")]
            ids[name] = list(dict.fromkeys(asked))
        return ids

    def client(self, who: str | None) -> httpx.Client:
        """Return one connection for all requests: making one for each takes longer than the answers."""
        headers = {} if who is None else {"Authorization": f"Bearer {self.server.keys[who]}"}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=60)


@pytest.fixture
def plant(settings: Settings, indexed_home: Path, slice_of_world: Path) -> Iterator[Planted]:
    """A server after the history."""
    with served(settings, indexed_home, slice_of_world) as server:
        history = told(server)
        yield Planted(server, history, Search({**history.words, "echo": [latin("echo"), chinese(len(SECRETS))]}))


def _log_faults(plant: Planted) -> set[str]:
    log = plant.server.log.read_bytes()
    assert log.count(b'"route"') > 20
    return plant.search.found(log)


def _said(mail: bytes) -> bytes:
    """Return all that a mail says: its headers, and every part unpacked."""
    message = message_from_bytes(mail, policy=default)
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    headers = "\n".join(f"{name}: {value}" for name, value in message.items())
    return b"\n".join([headers.encode(), *(part for part in parts if isinstance(part, bytes))])


@pytest.mark.parametrize(
    ("database_url", "others"),
    [
        ("sqlite", 1),
        pytest.param("sqlite", 3, marks=pytest.mark.long),
        pytest.param("postgresql", 3, marks=pytest.mark.long),
    ],
    indirect=["database_url"],
)
def test_everybody_finds_what_is_theirs_and_nothing_else(
    plant: Planted, settings: Settings, gloria: Gloria, others: int
) -> None:
    # Every secret is really there to be found, but for what proves who somebody is; a list's cells lie packed.
    stored = plant.search.found(_stored(settings))
    assert stored == set(SECRETS) - {*CREDENTIALS, *FILED, "wrongpassword", "listcell"}
    routes = routes_of()
    assert {method for method, _, _ in routes} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    ids, tours = plant.ids(routes, others), {}
    asked_by = Counter[str]() if others == 1 else None
    for who in (*PEOPLE, None):
        with plant.client(who) as client:
            tours[who] = _toured(client, who, routes, ids, plant.search, asked_by)
    assert [refusal for tour in tours.values() for refusal in tour.refusals] == []
    assert [leak for who, tour in tours.items() for leak in _leaks(who, tour)] == []
    # The control: by the same search, those whose secrets they are find every single one.
    must = {who: {name for name, secret in SECRETS.items() if who in secret.must} for who in tours}
    assert {who: must[who] - set(tour.met) for who, tour in tours.items() if must[who] - set(tour.met)} == {}

    # Neither what was stored nor what was sent is in the log, nor in what lies beside the database.
    assert _log_faults(plant) == set()
    answer = gloria("reindex", home=settings.home, database_url=settings.database_url)
    assert answer.code == 0, answer.err
    assert plant.search.found((answer.out + answer.err).encode()) == set()
    files = plant.search.in_files(settings.home, but_not="gloria.db")
    # A lab's own profile is what an index is made of; its name says which lab it is.
    assert {name: words - {"willnot", "rejected", "proposed"} for name, words in files.items() if "index/" in name} == {
        name: set() for name in files if "index/" in name
    }
    # Files of evidence and those of talks hold what was sent, and nothing else does.
    kept = {name: words for name, words in files.items() if name.startswith(("evidence/", "attachments/"))}
    assert set().union(*kept.values()) - {"echo"} == set(FILED)
    # A mail names whom it goes to, and nothing else that is confidential.
    # Looked for in what it says, not in how that is packed: in base64 one lab's id begins as another's.
    mails = {
        name: plant.search.found(_said((settings.home / name).read_bytes()))
        for name in files
        if name.startswith("mail/")
    }
    # And that it is found there, unpacked, is seen by whom a mail names.
    assert "labaddress" in set().union(*mails.values())
    assert set().union(*mails.values()) <= {
        "addresses",
        "labaddress",
        "contactaddress",
        "claimaddress",
        "liaisonaddress",
    }
    assert {name for name in files if "index/" not in name} == {*kept, *mails}
    assert any(name.endswith("passages.json") for name in files)
    places = sum(len(tour.places) for tour in tours.values()) + 2 + len(list(settings.home.rglob("*")))
    answers = sum(tour.answers for tour in tours.values())
    print(
        f"{len(plant.history.words)} secrets x {len(tours)} people, {answers} answers of {len(routes)} routes; ", end=""
    )
    print(f"{len(plant.history.words) * places} cells of secret x role x place")


@POSTGRESQL_AT_LENGTH
def test_the_same_search_finds_planted_leaks(
    plant: Planted, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    app = application(settings)

    @app.get("/planted/titles")
    def titles() -> list[str]:
        with reading(app.state.engine) as session:
            found = [str(title) for title in session.execute(select(Need.title)).scalars()]
        # One of them in the clear, all others as nobody would look for them.
        structlog.get_logger("gloria").info("planted", text=found)
        return [base64.b64encode(title.encode()).decode() for title in found]

    # Not entered: nothing is to be warmed up in the background.
    client = TestClient(app, headers={"Authorization": f"Bearer {plant.server.keys['rival']}"})
    capfd.readouterr()
    tour = _toured(client, "rival", [("GET", "/planted/titles", None), ("GET", "/api/me", None)], {}, plant.search)
    app.state.engine.dispose()
    seen = {"title", "sharedtitle"}
    places = "['GET /planted/titles']"
    assert _leaks("rival", tour) == [f"rival met {name} in {places}" for name in sorted(seen)]
    assert plant.search.found(capfd.readouterr().err.encode()) == seen
    (settings.home / "models").mkdir(exist_ok=True)
    (settings.home / "models" / "planted").write_bytes("…".encode("utf-16-le") + latin("title").encode("utf-16-le"))
    assert plant.search.in_files(settings.home, but_not="gloria.db")["models/planted"] == {"title"}


def test_a_telltale_is_found_in_every_form() -> None:
    search = Search({"a": [latin("a")], "b": [chinese(1)]})
    for name, word in (("a", latin("a")), ("b", chinese(1))):
        missed = [form for form in forms(word) if search.found(b"<" + form + b">") != {name}]
        assert missed == []
        for before in ("", "x", "xy"):
            coded = base64.b64encode(f"{before}{word} and more".encode())
            assert search.found(coded) == {name}
    assert search.found("nothing of it: zqx 祕".encode()) == set()
