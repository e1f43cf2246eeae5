"""Own keys are shown once and stored nowhere; the own password needs the old one, and ends other sessions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import select

from api.access.credentials import FAILURES_PER_ACCOUNT, open_session, set_password_hash
from api.access.passwords import hash_password
from api.requests.idempotency import IdempotentReply
from indexer.database import reading, writing
from indexer.settings import Settings
from tests.rig.worlds.small_world import Asked, asked

OLD, NEW = "old horse 電池 staple", "new horse 電池 staple"


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _stored_replies(here: Asked) -> str:
    with reading(here.engine) as session:
        return str([(row.body, row.headers, row.request_hash) for row in session.exec(select(IdempotentReply)).all()])


def _in_browser(here: Asked, who: str) -> dict[str, str]:
    with writing(here.engine) as session:
        token, csrf_token = open_session(session, account_id=here.accounts[who], now=datetime.now(UTC))
    return {"Cookie": f"__Host-gloria={token}", "X-CSRF-Token": csrf_token}


def _set_password(here: Asked, who: str) -> None:
    stored = hash_password(OLD)
    with writing(here.engine) as session:
        set_password_hash(session, account_id=here.accounts[who], stored=stored, now=datetime.now(UTC))


def _change(here: Asked, who: str | None, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, str | None]:
    answer = here.ask(who, "PUT", "/api/me/password", json=body, headers=headers or {})
    return answer.status_code, None if answer.status_code == 204 else answer.json()["field"]


def _signs_in(here: Asked, who: str, password: str) -> int:
    body = {"email": f"{who}@example.org", "password": password}
    answer = here.ask(None, "POST", "/api/session", json=body)
    here.client.cookies.clear()
    return int(answer.status_code)


def test_a_key_from_making_to_ending(here: Asked) -> None:
    made = here.done("newcomer", "POST", "/api/me/keys", json={"name": "筆電", "days": 365, "may_write": True})
    here.keys["laptop"] = made["key"]
    assert here.done("laptop", "GET", "/api/me")["id"] == here.accounts["newcomer"]
    assert "csrf_token" not in here.done("laptop", "GET", "/api/me")
    listed = here.done("newcomer", "GET", "/api/me/keys")
    shown = {name: value for name, value in made.items() if name != "key"}
    assert listed["items"][-1] == shown
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lasts.days == 365
    # Somebody else's key is not there to be ended.
    assert here.ask("expert", "DELETE", f"/api/me/keys/{made['prefix']}").status_code == 404
    assert here.ask("newcomer", "DELETE", f"/api/me/keys/{made['prefix']}").status_code == 204
    assert here.ask("laptop", "GET", "/api/me").status_code == 401
    for body in ({"name": ""}, {"name": "n", "days": 366}, {"name": "n", "days": 0}, {}):
        assert here.ask("newcomer", "POST", "/api/me/keys", json=body).status_code == 422


def test_a_key_that_reads_makes_none(here: Asked) -> None:
    made = here.done("expert", "POST", "/api/me/keys", json={"name": "reads"})
    assert made["may_write"] is False
    here.keys["reads"] = made["key"]
    assert here.ask("reads", "POST", "/api/me/keys", json={"name": "n"}).status_code == 403
    assert here.ask("reads", "GET", "/api/me/keys").status_code == 200


def test_a_key_sent_for_twice_is_made_once_and_shown_once(here: Asked) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = here.ask("expert", "POST", "/api/me/keys", json={"name": "n"}, headers=headers)
    again = here.ask("expert", "POST", "/api/me/keys", json={"name": "n"}, headers=headers)
    assert first.json()["key"].startswith(f"glm_{first.json()['prefix']}_")
    assert again.json() == {**first.json(), "key": None}
    assert again.headers["Idempotent-Replay"] == "true"
    assert len(here.done("expert", "GET", "/api/me/keys")["items"]) == 2
    stored = _stored_replies(here)
    # The search sees what is stored, and the secret is not among it.
    assert first.json()["prefix"] in stored
    assert first.json()["key"] not in stored


def test_a_password_is_changed_with_the_old_one(here: Asked) -> None:
    _set_password(here, "expert")
    mine, other, elses = (_in_browser(here, who) for who in ("expert", "expert", "lead"))
    assert _change(here, None, mine, new=NEW) == (422, "old")
    assert _change(here, None, mine, old=NEW, new=NEW) == (422, "old")
    assert _change(here, None, mine, old=OLD, new="short") == (422, None)
    assert _signs_in(here, "expert", OLD) == 201
    headers = {**mine, "Idempotency-Key": "k-2"}
    assert _change(here, None, headers, old=OLD, new=NEW) == (204, None)
    assert (_signs_in(here, "expert", OLD), _signs_in(here, "expert", NEW)) == (401, 201)
    # The browser in which it was changed stays signed in, the account's others do not.
    seen = [here.ask(None, "GET", "/api/me", headers=one).status_code for one in (mine, other, elses)]
    assert seen == [200, 401, 200]
    # Not even a hash of the request is kept: a fast one of a password could be guessed.
    assert _stored_replies(here) == "[]"
    assert _change(here, "expert", old=NEW, new=OLD) == (204, None)
    assert here.ask(None, "GET", "/api/me", headers=mine).status_code == 401


def test_a_first_password_is_set_in_a_browser_only(here: Asked) -> None:
    answer = here.ask("newcomer", "PUT", "/api/me/password", json={"new": NEW})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:gloria:problem:password")
    browser = _in_browser(here, "newcomer")
    assert here.ask(None, "GET", "/api/me", headers=browser).json()["csrf_token"] == browser["X-CSRF-Token"]
    assert (
        here.ask(None, "PUT", "/api/me/password", json={"new": NEW}, headers={"Cookie": browser["Cookie"]}).status_code
        == 403
    )
    assert _change(here, None, browser, new=NEW) == (204, None)
    assert _signs_in(here, "newcomer", NEW) == 201


def test_guessing_the_old_password_is_slowed_down(here: Asked) -> None:
    _set_password(here, "expert")
    answers = [_change(here, "expert", old=f"guess number {i}", new=NEW)[0] for i in range(FAILURES_PER_ACCOUNT + 1)]
    assert answers == [422] * FAILURES_PER_ACCOUNT + [429]
    assert _change(here, "expert", old=OLD, new=NEW)[0] == 429
    # Whoever holds a key guesses at that door alone: its owner still signs in, at once.
    assert _signs_in(here, "expert", OLD) == 201
