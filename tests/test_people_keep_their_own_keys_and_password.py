"""Own keys are shown once and stored nowhere; the own password needs the old one, and ends other sessions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from api.access.credentials import (
    FAILURES_PER_ACCOUNT,
    MAX_KEY_DAYS,
    MAX_KEYS,
    WAKE_WITHIN,
    ApiKey,
    KeyLimitError,
    forget_sleepers,
    make_key,
    open_session,
    set_password_hash,
)
from api.access.guessable import must_not_be_guessable
from api.access.passwords import PasswordError, hash_password
from api.requests.idempotency import IdempotentReply
from indexer.database import reading, writing
from indexer.settings import Settings
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length

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


def _made_in_browser(here: Asked, who: str, **body: Any) -> dict[str, Any]:
    """Make a key in a browser, with the password."""
    _set_password(here, who)
    answer = here.ask(None, "POST", "/api/me/keys", json={**body, "password": OLD}, headers=_in_browser(here, who))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_key_from_making_to_ending(here: Asked) -> None:
    made = _made_in_browser(here, "newcomer", name="筆電", days=365, may_write=True)
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
    made = _made_in_browser(here, "expert", name="reads")
    assert made["may_write"] is False
    here.keys["reads"] = made["key"]
    assert here.ask("reads", "POST", "/api/me/keys", json={"name": "n"}).status_code == 403
    assert here.ask("reads", "GET", "/api/me/keys").status_code == 200


@pytest.mark.postgresql_too
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


def test_a_key_made_without_the_password_sleeps_until_it_is_given(here: Asked) -> None:
    _set_password(here, "expert")
    browser, others = _in_browser(here, "expert"), _in_browser(here, "lead")
    for n, who in enumerate((None, "expert")):
        headers = browser if who is None else {}
        made = here.ask(who, "POST", "/api/me/keys", json={"name": "n", "may_write": True}, headers=headers).json()
        here.keys["asleep"], wake = made["key"], f"/api/me/keys/{made['prefix']}/awakening"
        assert (made["awake_at"], here.ask("asleep", "GET", "/api/me").status_code) == (None, 401)
        # Nobody wakes it with a key, from another account, without or with a wrong password; nor does it wake itself.
        for by, by_headers, password, status in (
            ("expert", {}, OLD, 422),
            ("asleep", {}, OLD, 401),
            (None, others, OLD, 404),
            (None, browser, None, 422),
            (None, browser, NEW, 422),
        ):
            answer = here.ask(by, "POST", wake, json={"password": password}, headers=by_headers)
            assert answer.status_code == status, (n, by, answer.text)
        assert here.ask("asleep", "GET", "/api/me").status_code == 401
        woken = here.ask(None, "POST", wake, json={"password": OLD}, headers=browser)
        assert (woken.status_code, here.ask("asleep", "GET", "/api/me").status_code) == (200, 200)
        assert here.ask(None, "POST", wake, json={"password": OLD}, headers=browser).status_code == 409
    wrong = here.ask(None, "POST", "/api/me/keys", json={"name": "n", "password": NEW}, headers=browser)
    by_key = here.ask("expert", "POST", "/api/me/keys", json={"name": "n", "password": OLD})
    assert [(one.status_code, one.json()["field"]) for one in (wrong, by_key)] == [(422, "password"), (422, None)]
    assert _stored_replies(here) == "[]"


def test_a_key_that_slept_too_long_is_gone(here: Asked) -> None:
    _set_password(here, "expert")
    browser = _in_browser(here, "expert")
    made = here.ask(None, "POST", "/api/me/keys", json={"name": "n"}, headers=browser).json()
    with writing(here.engine) as session:
        key = session.exec(select(ApiKey).where(ApiKey.prefix == made["prefix"])).one()
        key.created_at -= WAKE_WITHIN
        session.add(key)
    wake = f"/api/me/keys/{made['prefix']}/awakening"
    assert here.ask(None, "POST", wake, json={"password": OLD}, headers=browser).status_code == 409
    with writing(here.engine) as session:
        assert forget_sleepers(session, now=datetime.now(UTC), most=10) == 1
    assert [one["name"] for one in here.done("expert", "GET", "/api/me/keys")["items"]] == ["test"]


def test_an_account_holds_few_keys(here: Asked) -> None:
    browser = _in_browser(here, "expert")
    made = [here.ask(None, "POST", "/api/me/keys", json={"name": "n"}, headers=browser) for _ in range(MAX_KEYS)]
    assert [one.status_code for one in made] == [201] * (MAX_KEYS - 1) + [409]
    assert here.ask(None, "DELETE", f"/api/me/keys/{made[0].json()['prefix']}", headers=browser).status_code == 204
    assert here.ask(None, "POST", "/api/me/keys", json={"name": "n"}, headers=browser).status_code == 201
    of_lead: dict[str, Any] = {"account_id": here.accounts["lead"], "name": "n", "may_write": False}
    too_long = timedelta(days=MAX_KEY_DAYS, seconds=1)
    with writing(here.engine) as session, pytest.raises(KeyLimitError):
        make_key(session, **of_lead, valid=too_long, now=datetime.now(UTC))


def test_a_changed_password_ends_keys_if_its_owner_says_so(here: Asked) -> None:
    _set_password(here, "expert")
    browser = _in_browser(here, "expert")
    assert _change(here, None, browser, old=OLD, new=NEW) == (204, None)
    assert here.ask("expert", "GET", "/api/me").status_code == 200
    assert _change(here, None, browser, old=NEW, new=OLD, end_keys=True) == (204, None)
    assert here.ask("expert", "GET", "/api/me").status_code == 401
    # Nobody else's.
    assert here.ask("lead", "GET", "/api/me").status_code == 200


def test_the_own_browsers_are_listed_and_signed_out(here: Asked) -> None:
    first, second, third = (_in_browser(here, "expert") for _ in range(3))
    elses = _in_browser(here, "lead")

    def seen() -> list[int]:
        return [here.ask(None, "GET", "/api/me", headers=one).status_code for one in (first, second, third, elses)]

    listed = here.ask(None, "GET", "/api/me/sessions", headers=second).json()["items"]
    assert sorted(one["is_this"] for one in listed) == [False, False, True]
    # A name for a session opens nothing: it is no part of a token.
    assert [one["id"] for one in listed if one["id"] in str((first, second, third))] == []
    (this,) = (one["id"] for one in listed if one["is_this"])
    assert here.ask(None, "DELETE", f"/api/me/sessions/{this}", headers=elses).status_code == 404
    (gone,) = {one["id"] for one in here.ask(None, "GET", "/api/me/sessions", headers=first).json()["items"]
               if one["is_this"]}  # fmt: skip
    assert here.ask(None, "DELETE", f"/api/me/sessions/{gone}", headers=second).status_code == 204
    assert seen() == [401, 200, 200, 200]
    assert here.ask(None, "DELETE", "/api/me/sessions", headers=second).status_code == 204
    assert seen() == [401, 200, 401, 200]
    assert here.ask("expert", "DELETE", "/api/me/sessions").status_code == 204
    assert seen() == [401, 401, 401, 200]


AGENTS = {
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Mobile/15E148 Safari/604.1": "Mobile Safari, iOS",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox, Windows",
    "Notre navigateur <b>": "Notre navigateur &lt;b&gt;",
}


def test_browsers_are_told_by_their_names(here: Asked) -> None:
    with writing(here.engine) as session:
        for agent in AGENTS:
            who = here.accounts["expert"]
            token, _ = open_session(session, account_id=who, now=datetime.now(UTC), agent=agent)
    page = here.client.get("/account", headers={"Cookie": f"__Host-gloria={token}"}).text
    assert [f">{name}</span>" in page for name in AGENTS.values()] == [True] * 3


WEAK = {
    "a common word with digits": "password1234",
    "one letter": "aaaaaaaaaaaa",
    "a common word, dressed up": "Password123!",
    "a row of keys": "qwertyuiopas",
    "rows of keys, up and down": "1qaz2wsx3edc",
    "letters of the alphabet": "abcdefghijklm",
    "swapped letters": "P@ssw0rd12345",
    "a saying of everybody's": "iloveyou2024!",
    "the own address": "expert@example.org",
    "the own address with a sign": "Expert@example.org!",
    "the own name twice and a year": "expertexpert2026",
    "this product": "gloria-match-2026",
    "full-width letters": "ｐａｓｓｗｏｒｄ１２３４",
    "我的密碼 on the other keyboard": "ji32k7au4a83",
    "密碼 on the other keyboard, twice": "au4a83au4a83",
    "我的密碼 in Latin letters": "wodemima123456",
    "我的密碼 three times": "我的密碼我的密碼我的密碼",
    "the same in simplified characters": "我的密码我的密码我的密码",
    "numbers in Chinese": "一二三四五六七八九十一二",
    "the programme": "國際產學聯盟2026!!",
}


def test_passwords_that_would_soon_be_guessed_are_found() -> None:
    own, taken = ("expert", "expert@example.org", "王小明"), []
    for why, word in {**WEAK, "the own name in Chinese": "王小明王小明2026", "backwards": "org.example@expert"}.items():
        try:
            must_not_be_guessable(word, own=own)
        except PasswordError:
            continue
        taken.append(why)
    assert taken == []
    # The control: such as have nothing to do with anything are taken, also beside an own word.
    for good in ("河堤 鋼琴 薄荷 十七 號", "expert reads seven slow rivers", "Zq7-long-pass-xx1", OLD, NEW):
        must_not_be_guessable(good, own=own)


def test_a_password_that_would_soon_be_guessed_is_not_set(here: Asked) -> None:
    _set_password(here, "expert")
    browser = _in_browser(here, "expert")
    for word in ("password1234", "ji32k7au4a83", "expert@example.org"):
        assert _change(here, None, browser, old=OLD, new=word) == (422, None)
    assert _change(here, None, browser, old=OLD, new=NEW) == (204, None)
