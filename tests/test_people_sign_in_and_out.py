"""Signing in over HTTP: a cookie no script reads, a CSRF token for changes, an end that holds at once, a quiet log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy import Engine
from sqlmodel import select

from api.access.credentials import LoginSession, set_password_hash
from api.access.pacing import SLOW_S
from api.access.passwords import hash_password
from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.review.people import set_disabled
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, served

PASSWORD = "correct horse 電池 staple"
WRONG = "wrong-and-never-logged"


@contextmanager
def _served(settings: Settings, indexed_home: Path, slice_of_world: Path) -> Iterator[tuple[Served, Engine]]:
    """A server on which `expert` and `lead` have a password, and its database."""
    with served(settings, indexed_home, slice_of_world) as server:
        stored = hash_password(PASSWORD)
        engine = open_engine(settings)
        with writing(engine) as session:
            for who in ("expert", "lead"):
                set_password_hash(session, account_id=server.accounts[who], stored=stored, now=datetime.now(UTC))
        try:
            yield server, engine
        finally:
            engine.dispose()


def _sign_in(server: Served, who: str, password: str = PASSWORD) -> httpx.Response:
    body = {"email": f"{who}@example.org", "password": password}
    return server.ask(None, "POST", "/api/session", json=body)


def _cookie(answer: httpx.Response) -> dict[str, str]:
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def _declare(server: Served, headers: dict[str, str]) -> int:
    stake = {"party": "company", "party_id": "co-1-2"}
    return server.ask(None, "POST", "/api/me/stakes", headers=headers, json=stake).status_code


def _me(server: Served, headers: dict[str, str]) -> int:
    return server.ask(None, "GET", "/api/me", headers=headers).status_code


@POSTGRESQL_AT_LENGTH
def test_a_session_from_sign_in_to_the_end(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with _served(settings, indexed_home, slice_of_world) as (server, engine):
        cookie, csrf_token = _signed_in(server)
        _changes_need_the_csrf_token(server, cookie, csrf_token)
        stored = _stored_session(engine, server.accounts["expert"])
        assert _me(server, {"Cookie": f"__Host-gloria={stored}"}) == 401
        assert _me(server, {"Authorization": f"Bearer {stored}"}) == 401
        assert server.ask(None, "DELETE", "/api/session", headers=cookie).status_code == 204
        assert _me(server, cookie) == 401
        _a_disabled_account_is_out_at_once(server, engine)
        log = server.log.read_text()
        # The log is there, and says who asked by id only.
        assert server.accounts["expert"] in log
        token = cookie["Cookie"].partition("=")[2]
        secrets = (PASSWORD, csrf_token, token, "expert@example.org", server.keys["expert"])
        assert [secret for secret in secrets if secret in log] == []


def _signed_in(server: Served) -> tuple[dict[str, str], str]:
    answer = _sign_in(server, "expert")
    assert (answer.status_code, set(answer.json())) == (201, {"csrf_token"})
    assert answer.headers["cache-control"] == "no-store"
    name_and_token, *attributes = answer.headers.get_list("set-cookie")[0].split("; ")
    assert name_and_token.startswith("__Host-gloria=")
    # What the prefix __Host- asks of a cookie, and that no script reads it.
    assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=lax", "Secure"}
    assert _me(server, _cookie(answer)) == 200
    return _cookie(answer), answer.json()["csrf_token"]


def _changes_need_the_csrf_token(server: Served, cookie: dict[str, str], csrf_token: str) -> None:
    assert _declare(server, cookie) == 403
    other = _sign_in(server, "lead").json()["csrf_token"]
    for wrong in (csrf_token[:-1], other):
        assert _declare(server, cookie | {"X-CSRF-Token": wrong}) == 403
    assert _declare(server, cookie | {"X-CSRF-Token": csrf_token}) == 201


def _a_disabled_account_is_out_at_once(server: Served, engine: Engine) -> None:
    cookie = _cookie(_sign_in(server, "expert"))
    other = _cookie(_sign_in(server, "lead"))
    key = {"Authorization": f"Bearer {server.keys['expert']}"}
    assert (_me(server, cookie), _me(server, key)) == (200, 200)
    with writing(engine) as session:
        set_disabled(session, account_id=server.accounts["expert"], disabled=True, now=datetime.now(UTC))
    assert (_me(server, cookie), _me(server, key), _me(server, other)) == (401, 401, 200)
    assert _sign_in(server, "expert").status_code == 401


def _stored_session(engine: Engine, account_id: str) -> str:
    with reading(engine) as session:
        return session.exec(select(LoginSession.token_hash).where(LoginSession.account_id == account_id)).one()


def test_guessing_is_slow_after_ten_and_looks_the_same_for_nobody(
    tmp_path: Path, indexed_home: Path, slice_of_world: Path
) -> None:
    settings = Settings(home=tmp_path / "home", encoders="bundled-use", database_url="")
    with _served(settings, indexed_home, slice_of_world) as (server, _):
        # The one has a password, the other no account: the answers must not tell them apart.
        for who in ("lead", "nobody"):
            answers = [_sign_in(server, who, WRONG) for _ in range(10)]
            assert [answer.status_code for answer in answers] == [401] * 10
            assert {answer.json()["detail"] for answer in answers} == {"the address or the password is wrong"}
        # From now on an attempt waits, whoever makes it; the right password gets there, others sign in at once.
        begun = time.monotonic()
        with ThreadPoolExecutor(2) as both:
            late = list(both.map(lambda given: _sign_in(server, *given), [("lead", PASSWORD), ("nobody", WRONG)]))
        assert [answer.status_code for answer in late] == [201, 401]
        assert time.monotonic() - begun >= SLOW_S
        begun = time.monotonic()
        assert _sign_in(server, "expert").status_code == 201
        assert time.monotonic() - begun < SLOW_S
        log = server.log.read_text()
        assert '"/api/session"' in log
        assert [word for word in (WRONG, "lead@example.org", '127.0.0.1"') if word in log] == []
