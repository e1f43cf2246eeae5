"""Requests made up from the API's own description, sent by everybody, break nothing and are answered as described."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.responses import JSONResponse
from sqlalchemy import select

from api.access.credentials import open_session, open_sessions, set_password_hash
from api.access.passwords import hash_password
from api.access.policy import POLICY
from api.documents.answers import AliveAnswer
from api.requests.permitted_request import COOKIE
from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.review.proposals import Proposal
from matcher.review.roles import Role
from tests.rig.servers.served import PEOPLE, Served, existing, holder, routes_of, served
from tests.rig.servers.signed_in import signed_in
from tests.rig.servers.warmed_application import application
from tests.rig.worlds.audit_rows import stored_rows, wrongly_kept
from tests.rig.worlds.made_up_requests import EACH, LEASE_S, Run, Sent, Things, loaded, names_of, store_things

MOST_TRIES = 5
LEAST_PER_ROUTE = 18
STEPS = 700
"""Of the sequences, in all."""
WANTED_OF_BOTH_DATABASES = 5_000
OF = 3
"""Every time a third of all that is sent to SQLite; the whole, and PostgreSQL, in `make test-long`."""
CHANGES_PER_ROLE = 3
"""How many changes everybody must at least have got done: otherwise only the refusals would be tested."""
SEED = int(os.environ.get("GLORIA_TEST_SEED", "1"))
PASSWORD = "correct horse battery"
_SCOPES = {Role.RESEARCHER: ("lab_id",), Role.COMPANY: ("company_id", "company")}
OWN = {
    name: dict.fromkeys(_SCOPES.get(role, ("alliance_id", "alliance")), scope)
    for name, (role, scope) in PEOPLE.items()
    if scope
}
"""What is everybody's own, so that half of what they ask for is."""
OTHER_BROWSER = "DELETE /api/me/sessions/{session_id}"
NEVER_DONE = {
    # Without a sign-on provider they answer 404; with one they answer by leading there, which is tested by itself.
    "GET /api/oidc",
    "GET /api/oidc/callback",
    "GET /api/oidc/login",
    # They take a code of an authenticator, which nobody can make up.
    "POST /api/me/second-factor/end",
    "POST /api/me/second-factor/enrolment",
    "POST /api/me/second-factor/recovery-codes",
    "POST /api/session/second-factor",
    # It takes a file whose bytes are what its name says; files are attached in a test of their own.
    "POST /api/attachments",
}
"""Routes of which no made-up request succeeds, each with its reason."""


def _prepared(server: Served) -> Things:
    """Make needs, pairings, cases and more, so that there is something of every kind and of both alliances."""
    for _ in range(6):
        assert server.ask("company", "POST", "/api/needs", json={"title": "拋光"}).status_code == 201
    for who, need_id in (("expert", "need-1-01"), ("stranger", "need-1-03")):
        page = server.ask(who, "GET", f"/api/needs/{need_id}/matches?top=8").json()
        for item in page["pairings"][:1]:
            word = {"verdict": "accept", "proposal_id": item["proposal_id"]}
            assert server.ask(who, "POST", f"/api/pairings/{item['pairing_id']}/decision", json=word).is_success
    engine = open_engine(server.settings)
    with writing(engine) as session:
        stored, now = hash_password(PASSWORD), datetime.now(UTC)
        set_password_hash(session, account_id=server.accounts["expert"], stored=stored, now=now)
    engine.dispose()
    things = store_things(server)
    of_need, clients = "/api/needs/{need_id}", _clients(server)
    asked = _asked(server, clients)
    things.there.update(
        {
            f"PATCH {of_need}": {"need_id": _needs(server)},
            f"POST {of_need}/take-up": {"need_id": _needs(server)},
            f"POST {of_need}/state": {"need_id": _needs(server, "take-up"), "state": ["closed"]},
            f"POST {of_need}/shares": {"need_id": _needs(server, "take-up"), "alliance": ["al-b"]},
            f"DELETE {of_need}/shares/{{alliance_id}}": {
                "need_id": _needs(server, "take-up", "shares"),
                "alliance_id": ["al-b"],
            },
            "DELETE /api/companies/{company_id}/client": {"company_id": clients, "alliance": ["al-a"]},
            "POST /api/company-requests/{request_id}/answer": {"request_id": asked[: EACH // 2]},
            "DELETE /api/company-requests/{request_id}": {"request_id": asked[EACH // 2 :]},
            OTHER_BROWSER: {"session_id": _browsers(server)},
        }
    )
    return things


def _needs(server: Served, *steps: str) -> list[str]:
    """Return needs of al-a that went through some steps."""
    found = []
    for _ in range(EACH):
        found.append(str(server.ask("company", "POST", "/api/needs", json={"title": "拋光"}).json()["id"]))
        for step in steps:
            body = {"alliance": "al-b", "consent": "電話確認"} if step == "shares" else None
            assert server.ask("expert", "POST", f"/api/needs/{found[-1]}/{step}", json=body).is_success
    return found


def _clients(server: Served) -> list[str]:
    """Return companies that al-a looks after."""
    found: list[str] = existing(server.settings, ["company_id"])["company_id"][1:]
    for company_id in found:
        assert server.ask("expert", "PUT", f"/api/companies/{company_id}/client", json={}).is_success
    return found


def _asked(server: Served, clients: list[str]) -> list[int]:
    """Let another alliance ask for companies of al-a; return the requests."""
    for company_id in clients:
        body = {"reason": "同一集團"}
        assert server.ask("stranger", "PUT", f"/api/companies/{company_id}/client", json=body).is_success
    items = server.ask("stranger", "GET", "/api/company-requests").json()["items"]
    return [item["id"] for item in items]


def _browsers(server: Served) -> list[str]:
    """Let somebody sign in elsewhere; return by what those browsers are named."""
    engine = open_engine(server.settings)
    for _ in range(EACH):
        signed_in(engine, server.accounts["expert"])
    with reading(engine) as session:
        now = datetime.now(UTC)
        found = [one.handle for one in open_sessions(session, account_id=server.accounts["expert"], now=now)]
    engine.dispose()
    return found


def _known(server: Served, names: set[str], browsers: list[str]) -> tuple[dict[str, list[Any]], dict[int, int]]:
    """Return for every name that stands for rows of a table some that are there, and each pairing's last proposal."""
    known: dict[str, list[Any]] = {"email": ["expert@example.org"], "password": [PASSWORD], "party": ["lab"]}
    known |= existing(server.settings, names)
    engine = open_engine(server.settings)
    with reading(engine) as session:
        proposals = dict(session.execute(select(Proposal.pairing_id, Proposal.id).order_by(Proposal.id)).all())
    engine.dispose()
    known["party_id"], known["session_id"] = known["lab_id"], browsers
    return known, proposals


def _there() -> dict[str, dict[str, list[Any]]]:
    """Return what some routes can succeed with though others mean something else by the same name."""
    return {
        "PUT /api/me/password": {"old": [PASSWORD], "new": [PASSWORD]},
        "POST /api/accounts": {"email": [f"new-{number}@example.org" for number in range(100)]},
        "POST /api/accounts/{account_id}/roles": {"role": ["expert"], "scope": ["al-a"]},
        "GET /api/lab-names": {"q": ["實驗室"]},
        "GET /api/search": {"q": ["實驗室"]},
        "POST /api/imports": {"name": ["needs.csv"], "kind": ["needs"]},
        "POST /api/import-drafts": {"name": ["needs.csv"]},
    }


def _allowed(routes: list[tuple[str, str, Any]]) -> dict[str, list[str]]:
    found = {}
    for method, path, permission in routes:
        roles = POLICY.get(permission, {}) if permission else {}
        found[f"{method} {path}"] = [name for name in PEOPLE if holder(name) in roles]
    # Only a browser has something to sign out of.
    found["DELETE /api/session"] = ["browser"]
    # Only one person here has a password to change.
    found["PUT /api/me/password"] = ["browser", "expert"]
    # What is done in a browser with that password, and that browser itself.
    awakening = "POST /api/me/keys/{prefix}/awakening"
    for label in ("POST /api/me/second-factor", "POST /api/session/confirm", awakening, OTHER_BROWSER):
        found[label] = ["browser"]
    return found


class Browser:
    """Somebody who signed in; signs in again once the session was ended."""

    def __init__(self, server: Served) -> None:
        self.server, self.engine = server, open_engine(server.settings)

    def headers(self) -> dict[str, str]:
        """Return a session's cookie with its CSRF token."""
        with writing(self.engine) as session:
            account_id = self.server.accounts["expert"]
            token, csrf_token = open_session(session, account_id=account_id, now=datetime.now(UTC))
        return {"Cookie": f"{COOKIE}={token}", "X-CSRF-Token": csrf_token}


def _proofs(server: Served, browser: Browser) -> dict[str, Any]:
    keys = {name: {"Authorization": f"Bearer {key}"} for name, key in server.keys.items()}
    fixed = {name: (lambda headers=headers: headers) for name, headers in [*keys.items(), ("nobody", {})]}
    return {**fixed, "browser": browser.headers}


def _persons(server: Served, browser: Browser) -> dict[str, Any]:
    """Return the same people as they prove themselves where no key is taken."""
    there = {
        name: (lambda account_id=server.accounts[name]: signed_in(browser.engine, account_id)) for name in server.keys
    }
    return {**there, "nobody": dict, "browser": there["expert"]}


def _behind(sent: Sent) -> set[str]:
    """Return who has got too few changes done."""
    return {who for who in sent.by_role if who != "nobody" and sent.done_by_role[who] < CHANGES_PER_ROLE}


@pytest.mark.parametrize(
    ("database_url", "of"),
    [
        ("sqlite", OF),
        pytest.param("sqlite", 1, marks=pytest.mark.long),
        pytest.param("postgresql", 1, marks=pytest.mark.long),
    ],
    indirect=["database_url"],
)
def test_made_up_requests(settings: Settings, of: int, indexed_home: Path, slice_of_world: Path) -> None:
    kind = "sqlite" if settings.database_url.startswith("sqlite") else "postgresql"
    allowed, begun = _allowed(routes_of()), time.monotonic()
    with served(settings.model_copy(update={"job_lease_s": LEASE_S}), indexed_home, slice_of_world) as server:
        things = _prepared(server)
        browser = Browser(server)
        schema = loaded(server.ask(None, "GET", "/api/openapi.json").json())
        operations = [found.ok() for found in schema.get_all_operations()]
        assert sorted(one.label for one in operations) == sorted(allowed)
        names = {name for operation in operations for name in names_of(operation)}
        known, proposals = _known(server, names, things.there[OTHER_BROWSER]["session_id"])
        known |= things.known
        # A new kind of object in a path needs values that exist, or only "not found" would be tested.
        assert {one.name for operation in operations for one in operation.path_parameters} - known.keys() == set()
        # Another seed for each database, so that they do not get the same requests.
        seed = SEED * 2 + (kind == "sqlite")
        own = {who: {**OWN.get(who, {}), **things.own.get(who, {})} for who in PEOPLE}
        proofs, there = _proofs(server, browser), {**things.there, **_there()}
        persons = _persons(server, browser)
        run = Run(server.url, proofs, persons, allowed, known, seed, own, there, things.shielded, proposals)
        # While there are browsers to sign out: later everybody has signed out all others.
        run.explore(next(one for one in operations if one.label == OTHER_BROWSER), LEAST_PER_ROUTE)
        # Then the sequences, while there is something left to decide and to move.
        run.walk(schema, STEPS // of)
        walked = run.sent.by_role.total()
        cases = max(LEAST_PER_ROUTE, (WANTED_OF_BOTH_DATABASES // 2 - STEPS) // len(operations) + 3)
        for operation in operations:
            run.explore(operation, cases // of)
            # What none of the few got done is tried as often as in the whole, and where chance was against it, again.
            for turn in range(MOST_TRIES):
                if run.sent.succeeded[operation.label] or operation.label in NEVER_DONE:
                    break
                run.explore(operation, cases, turn)
        # Nor may anybody only have been refused.
        for operation in operations * 3:
            if operation.method != "get" and _behind(run.sent) & {*allowed[operation.label]}:
                run.explore(operation, cases)
        browser.engine.dispose()
        faults = [line for line in server.log.read_text().splitlines() if '"level": "error"' in line]
    sent = run.sent
    kept = stored_rows(settings)
    print(f"{kind}, seed {seed}: {sent.by_role.total()} cases, {walked} of them in sequences, ", end="")
    print(
        f"{time.monotonic() - begun:.0f} s; by role {dict(sent.by_role)}; changes done {dict(sent.done_by_role)}; ",
        end="",
    )
    print(f"by status {dict(sorted(sent.statuses.items()))}; successes {dict(sent.succeeded)}")
    assert (sent.wrong, faults) == ([], [])
    # Of whatever was seen or done there is one row in the audit trail, by whichever route.
    assert wrongly_kept(kept, sent.answered, routes_of()) == []
    assert sent.by_role.total() * 2 * of >= WANTED_OF_BOTH_DATABASES
    assert sent.by_role.keys() == {*PEOPLE, "nobody", "browser"}
    assert _behind(sent) == set()
    assert {one.label for one in operations if not sent.succeeded[one.label]} == NEVER_DONE


@contextmanager
def _in_a_thread(app: Any) -> Iterator[str]:
    """Serve an application on a socket; nothing is warmed up in the background."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def _planted(settings: Settings) -> Any:
    """Return the application with three faults: it breaks on some numbers, says too much, refuses in another shape."""
    app = application(settings)

    @app.get("/planted/breaks")
    def breaks(number: int) -> AliveAnswer:
        if number > 1_000:
            raise RuntimeError("planted")
        return AliveAnswer(status="ok")

    @app.get("/planted/says-too-much", response_model=AliveAnswer)
    def says_too_much() -> JSONResponse:
        return JSONResponse({"status": "ok", "note": "not described"})

    @app.get("/planted/other-shape", response_model=AliveAnswer)
    def other_shape() -> JSONResponse:
        return JSONResponse({"message": "no"}, 409)

    return app


def test_the_same_run_finds_planted_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = _planted(Settings(home=tmp_path))
    description = app.openapi()
    description["paths"] = {
        path: of for path, of in description["paths"].items() if "planted" in path or path == "/healthz"
    }
    schema = loaded(description)
    operations = [found.ok() for found in schema.get_all_operations()]
    allowed = {one.label: [] for one in operations}
    with _in_a_thread(app) as url:
        run = Run(url, {"nobody": dict}, {"nobody": dict}, allowed, {}, SEED)
        for operation in operations:
            run.explore(operation, 40)
    app.state.engine.dispose()
    capsys.readouterr()
    found = {wrong.split(":")[0] for wrong in run.sent.wrong}
    assert found == {f"nobody GET /planted/{name}" for name in ("breaks", "says-too-much", "other-shape")}
    assert run.sent.succeeded["GET /healthz"] > 0
    # Most numbers do not break it: it takes many to find one that does.
    assert run.sent.succeeded["GET /planted/breaks"] > 0
