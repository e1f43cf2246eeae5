"""Single sign-on against a real provider: who is let in as whom, and what a stolen or forged way back is worth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from sqlmodel import func, select
from starlette.testclient import TestClient

from api.access.credentials import LoginSession
from api.access.identities import AccountIdentity
from api.access.known_browsers import KNOWN_COOKIE, KNOWN_FOR
from api.app import create_app
from api.requests.permitted_request import COOKIE
from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.review.people import Account, set_disabled
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, served
from tests.rig.servers.sign_on_provider import CALLBACK, PUBLIC, Browser, RunningProvider, provider

AT_HOME = {"GLORIA_OIDC_ALLOWED_DOMAINS": "School.example, @other.example"}
PEOPLE: dict[str, dict[str, Any]] = {
    "lin": {"email": "Lin@school.example", "email_verified": True, "name": "林小姐"},
    "expert": {"email": "expert@example.org", "email_verified": True, "name": "E"},
    "second": {"email": "expert@example.org", "email_verified": True, "name": "E2"},
    "pretender": {"email": "office@example.org", "email_verified": False, "name": "P"},
    "says_so": {"email": "office@example.org", "email_verified": "true", "name": "P"},
    "elsewhere": {"email": "somebody@elsewhere.example", "email_verified": True, "name": "S"},
    "nobody": {"name": "N"},
    "lead": {"email": "lead@example.org", "email_verified": True, "name": "L"},
}


@pytest.fixture
def running() -> Iterator[RunningProvider]:
    with provider(PEOPLE) as started:
        yield started


@pytest.fixture
def server(running: RunningProvider, settings: Settings, indexed_home: Path, slice_of_world: Path) -> Iterator[Served]:
    with served(settings, indexed_home, slice_of_world, more=running.settings(**AT_HOME)) as started:
        yield started


def _counts(engine: Engine) -> tuple[int, int, int]:
    with reading(engine) as session:
        tables = (Account, AccountIdentity, LoginSession)
        accounts, links, sessions = (int(session.exec(select(func.count()).select_from(one)).one()) for one in tables)
    return accounts, links, sessions


def _refused(answer: httpx.Response, status: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["type"] == "urn:gloria:problem:sign-on"
    assert "__Host-gloria=" not in str(answer.headers)


def _attributes(answer: httpx.Response, name: str) -> set[str]:
    """Return what is said of the one cookie of a name, beside its value."""
    (handed_over,) = (one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{name}="))
    return {part.strip() for part in handed_over.split(";")[1:]}


@POSTGRESQL_AT_LENGTH
def test_from_the_first_time_to_a_claim(server: Served, engine: Engine) -> None:
    accounts, *_ = _counts(engine)
    with Browser(server.url) as browser, Browser(server.url) as other, Browser(server.url) as third:
        assert browser.get("/api/oidc").json() == {"name": "甲大學", "login": "/api/oidc/login"}
        answer = browser.sign_in("lin")
        assert (answer.status_code, answer.headers["location"]) == (303, "/api/me")
        closed = {"HttpOnly", "Path=/", "SameSite=lax", "Secure"}
        assert _attributes(answer, COOKIE) == closed
        # Whoever came by the provider is known to this browser as whoever came with a password is.
        assert _attributes(answer, KNOWN_COOKIE) == {*closed, f"Max-Age={KNOWN_FOR.days * 24 * 3600}"}
        # What belonged to this sign-in is used up.
        assert browser.cookies() == {COOKIE, KNOWN_COOKIE}
        me = browser.get("/api/me").json()
        assert (me["name"], me["roles"]) == ("林小姐", [])
        assert browser.get("/api/needs").status_code == 403
        claims = f"{PUBLIC}/api/labs/lab-1-01/claims"
        assert browser.client.post(claims, json={"statement": "mine"}).status_code == 403
        csrf = {"X-CSRF-Token": me["csrf_token"]}
        assert browser.client.post(claims, json={"statement": "mine"}, headers=csrf).status_code == 201
        # A second time, in another browser: the same account, and no other was made.
        assert other.sign_in("lin", "/api/oidc/login?then=/api/me/claims").headers["location"] == "/api/me/claims"
        assert other.get("/api/me").json()["id"] == me["id"]
        assert _counts(engine) == (accounts + 1, 1, 2)
        # An account that was made for the address is linked, and keeps its roles.
        assert third.sign_in("expert").status_code == 303
        assert third.get("/api/me").json()["id"] == server.accounts["expert"]
        assert third.get("/api/me").json()["roles"] == [{"role": "expert", "scope": "al-a"}]
        assert _counts(engine) == (accounts + 1, 2, 3)
        assert browser.get("/api/me").json()["id"] == me["id"]
        log = server.log.read_text()
        assert me["id"] in log
        assert [word for word in ("Lin@", "lin@", me["csrf_token"], "code=") if word in log] == []


@POSTGRESQL_AT_LENGTH
def test_who_is_not_let_in(server: Served, engine: Engine) -> None:
    before = _counts(engine)
    for name in ("pretender", "says_so", "nobody", "elsewhere"):
        with Browser(server.url) as browser:
            _refused(browser.sign_in(name), 403)
            assert browser.cookies() == set()
    assert _counts(engine) == before
    with Browser(server.url) as browser:
        assert browser.sign_in("expert").status_code == 303
    # The address went to somebody new at the provider: not let in as the one before.
    with Browser(server.url) as browser:
        _refused(browser.sign_in("second"), 403)
    with Browser(server.url) as browser:
        assert browser.sign_in("lead").status_code == 303
    with writing(engine) as session:
        set_disabled(session, account_id=server.accounts["lead"], disabled=True, now=datetime.now(UTC))
    with Browser(server.url) as browser:
        _refused(browser.sign_in("lead"), 403)
    with Browser(server.url) as browser:
        back = browser.way_back("lin", abort=True)
        assert "error=access_denied" in back
        _refused(browser.client.get(back), 400)
    # The control: by the same way somebody who belongs here is let in.
    with Browser(server.url) as browser:
        assert browser.sign_in("expert").status_code == 303


@POSTGRESQL_AT_LENGTH
def test_a_way_back_is_good_once_and_in_its_own_browser_only(
    server: Served, engine: Engine, running: RunningProvider
) -> None:
    with Browser(server.url) as attacker, Browser(server.url) as victim:
        stolen = attacker.way_back("lin")
        kept = attacker.client.cookies.get("__Host-gloria-sign-on", domain="gloria.example.org")
        # Login CSRF: a victim is sent to the attacker's way back, without or with a sign-in of the victim's own.
        _refused(victim.client.get(stolen), 400)
        victim.get("/api/oidc/login")
        _refused(victim.client.get(stolen), 400)
        own = victim.way_back("expert")
        for changed in (own.replace("state=", "state=x"), own.replace("iss=http", "iss=https"), CALLBACK):
            with Browser(server.url) as copy:
                copy.client.cookies.update(victim.client.cookies)
                _refused(copy.client.get(changed), 400)
        assert victim.client.get(own).status_code == 303
        assert victim.get("/api/me").json()["id"] == server.accounts["expert"]
        sessions = _counts(engine)[2]
        # Sent again: this browser's sign-in is used up, and a copy of the cookie does not help, since the code is too.
        _refused(victim.client.get(own), 400)
        assert attacker.client.get(stolen).status_code == 303
        with Browser(server.url) as copy:
            copy.client.cookies.set("__Host-gloria-sign-on", kept or "", domain="gloria.example.org")
            _refused(copy.client.get(stolen), 400)
        assert _counts(engine)[2] == sessions + 1
        for place in ("//evil.example", "https://evil.example", "/\\evil.example", "evil"):
            assert attacker.client.get(f"{PUBLIC}/api/oidc/login", params={"then": place}).status_code == 422
        # The provider goes away in the middle: come back later, and nobody is signed in.
        late = attacker.way_back("lin")
        running.process.kill()
        running.process.wait()
        answer = attacker.client.get(late)
        _refused(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0


def test_without_a_provider_there_is_nothing(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path, database_url=""))
    client = TestClient(app)
    for path in ("", "/login", "/callback"):
        assert client.get(f"/api/oidc{path}", follow_redirects=False).status_code == 404
    app.state.engine.dispose()


def test_a_provider_that_is_down_is_come_back_later(tmp_path: Path) -> None:
    asleep = RunningProvider("http://127.0.0.1:1", None)  # type: ignore[arg-type]
    given = {name.removeprefix("GLORIA_").lower(): value for name, value in asleep.settings().items()}
    app = create_app(Settings(home=tmp_path, database_url="", **given))  # type: ignore[arg-type]
    answer = TestClient(app).get("/api/oidc/login", follow_redirects=False)
    _refused(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    app.state.engine.dispose()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"oidc_issuer": "https://id.example.org"}, "also needs GLORIA_OIDC_CLIENT_ID, GLORIA_OIDC_CLIENT_SECRET"),
        (
            {
                "oidc_issuer": "http://id.example.org",
                "oidc_client_id": "c",
                "oidc_client_secret": "s",
                "oidc_redirect_url": CALLBACK,
            },
            "GLORIA_OIDC_ISSUER: give an https:// address",
        ),
    ],
)
def test_half_a_setting_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**given)
