"""Requests made up from the API's own description, sent by people of every role: none ends in a server error."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.schemas import APIOperation
from starlette.testclient import TestClient

from api.app import create_app
from api.policy import POLICY
from indexer.database import open_engine, writing
from indexer.settings import Settings
from tests.ledger_things import store_ledger_things
from tests.serving import PEOPLE, Served, routes_of, served

CASES_PER_ROUTE = 95
WANTED_OF_BOTH_DATABASES = 5_000
SEEDS = {"sqlite": 1, "postgresql": 2}
"""Another seed for each database, so that they do not get the same requests."""
KNOWN: dict[str, list[Any]] = {
    "need_id": ["need-1-01", "need-1-02", "need-1-03"],
    "lab_id": ["lab-1-01", "lab-1-02"],
    "company_id": ["co-1-1", "co-1-2"],
    "pairing_id": [1, 2, 3, 4, 5],
    "case_id": [1, 2],
    "entry_id": ["money-al-a", "money-al-b", "acceptance-1"],
    "motion_id": [1, 2],
    "claim_id": [1, 2],
    "kpi": ["L", "C", "acceptances"],
    "name": ["entries"],
    "period": ["2019Q2", "2019Q3"],
}


@dataclass
class Sent:
    """What was sent so far, and what broke the server."""

    by_role: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def _prepared(server: Served) -> None:
    """Make pairings and cases, so that numbers in a path find something."""
    page = server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=5").json()
    for item in page["pairings"][:2]:
        word = {"verdict": "accept", "proposal_id": item["proposal_id"]}
        assert server.ask("expert", "POST", f"/api/pairings/{item['pairing_id']}/decision", json=word).is_success
    engine = open_engine(server.settings)
    reporters = {"al-a": server.accounts["expert"], "al-b": server.accounts["stranger"]}
    with writing(engine) as session:
        store_ledger_things(
            session,
            server.settings.home,
            school_id="ysu",
            accounts=server.accounts,
            reporters=reporters,
            now=datetime.now(UTC),
        )
    engine.dispose()


def _made_up(operation: APIOperation) -> st.SearchStrategy[Case]:
    kinds = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return st.one_of([operation.as_strategy(kind) for kind in kinds])


def _roles_allowed(settings: Settings) -> dict[str, list[str]]:
    """Return by route the people whose roles may use it: half of the requests are theirs."""
    allowed = {}
    for method, path, permission in routes_of(settings):
        roles = POLICY.get(permission, {}) if permission else {}
        allowed[f"{method} {path}"] = [name for name, (role, _) in PEOPLE.items() if role in roles]
    return allowed


def _send(server: Served, session: requests.Session, case: Case, who: str, known: dict[str, Any], sent: Sent) -> None:
    case.path_parameters = {**(case.path_parameters or {}), **known}
    headers = {"If-Match": "*"}
    if who in server.keys:
        headers["Authorization"] = f"Bearer {server.keys[who]}"
    response = case.call(base_url=server.url, session=session, headers=headers, timeout=60)
    sent.by_role[who] += 1
    sent.statuses[response.status_code] += 1
    broken = _broken(case, response)
    if broken:
        sent.broken.append(broken)


def _broken(case: Case, response: Any) -> str:
    try:
        case.validate_response(response, checks=[not_a_server_error])
    except (Failure, FailureGroup) as failure:
        return f"{case.method} {case.formatted_path}: {failure}"[:1_000]
    return ""


def _explore(server: Served, operation: APIOperation, allowed: list[str], kind: str, sent: Sent) -> None:
    names = [one.name for one in operation.path_parameters]
    known = {name: st.sampled_from(KNOWN[name]) for name in names if name in KNOWN}
    places = st.just({}) if not known else st.one_of(st.just({}), st.fixed_dictionaries(known))
    # In turn rather than drawn: everybody gets a share of every route.
    everybody, those_who_may = cycle([*PEOPLE, "nobody"]), cycle(allowed or [*PEOPLE])
    turns = cycle([everybody, those_who_may])
    with requests.Session() as session:

        @seed(SEEDS[kind])
        @hypothesis.settings(
            max_examples=CASES_PER_ROUTE,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(_made_up(operation), places)
        def explore(case: Case, found: dict[str, Any]) -> None:
            _send(server, session, case, next(next(turns)), found, sent)

        explore()


def test_made_up_requests(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    sent = Sent()
    kind = "sqlite" if settings.database_url.startswith("sqlite") else "postgresql"
    with served(settings, indexed_home, slice_of_world) as server:
        _prepared(server)
        allowed = _roles_allowed(settings)
        schema = schemathesis.openapi.from_dict(server.ask(None, "GET", "/api/openapi.json").json())
        operations = [found.ok() for found in schema.get_all_operations()]
        assert sorted(one.label for one in operations) == sorted(allowed)
        for operation in operations:
            _explore(server, operation, allowed[operation.label], kind, sent)
    print(f"{kind}: {sent.by_role.total()} cases; by role {dict(sent.by_role)}; by status {dict(sent.statuses)}")
    assert sent.broken == []
    assert sent.by_role.total() * 2 >= WANTED_OF_BOTH_DATABASES
    assert sent.by_role.keys() == {*PEOPLE, "nobody"}


def test_the_control_sees_a_route_that_breaks(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path))

    @app.get("/api/broken")
    async def broken() -> None:
        raise RuntimeError("planted")

    schema = schemathesis.openapi.from_dict(app.openapi())
    # Not entered: nothing is to be warmed up in the background.
    client = TestClient(app, raise_server_exceptions=False)
    faults = {path: _broken(schema[path]["GET"].Case(), client.get(path)) for path in ("/api/broken", "/healthz")}
    app.state.engine.dispose()
    assert ("Server error" in faults["/api/broken"], faults["/healthz"]) == (True, "")
