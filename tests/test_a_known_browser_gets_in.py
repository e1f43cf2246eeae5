"""Strangers' wrong guesses slow an account down and lock it at last; a browser in which it signed in before gets in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from api.access.credentials import FAILURES_PER_ACCOUNT, note_failure, set_password_hash
from api.access.known_browsers import KNOWN_COOKIE, KNOWN_FOR
from api.access.pacing import CrowdedError, Pace
from api.access.passwords import hash_password
from indexer.database import writing
from indexer.settings import Settings
from tests.rig.worlds.small_world import Asked, asked

PASSWORD = "correct horse 電池 staple"
WRONG = "wrong-password-1"


class _Watched(Pace):
    """The pace, noting who had to wait, for a moment only."""

    def __init__(self) -> None:
        super().__init__(slow_s=0.05)
        self.waited: list[str] = []

    def wait_s(self, subject: str) -> float:
        self.waited.append(subject)
        return super().wait_s(subject)


@pytest.fixture
def here(sqlite_settings: Settings) -> Iterator[Asked]:
    with asked(sqlite_settings) as made:
        made.client.app.state.pace = _Watched()  # type: ignore[attr-defined]
        stored = hash_password(PASSWORD)
        with writing(made.engine) as session:
            for who in ("expert", "stranger"):
                set_password_hash(session, account_id=made.accounts[who], stored=stored, now=datetime.now(UTC))
        yield made


@pytest.fixture
def sqlite_settings(databases: Any, tmp_path: Any) -> Settings:
    home = tmp_path / "home"
    return Settings(home=home, database_url=databases.at_head("sqlite", home), encoders="bundled-use")


def _sign_in(here: Asked, who: str = "expert", password: str = PASSWORD, cookie: str = "") -> Any:
    here.client.cookies.clear()
    headers = {"Cookie": f"{KNOWN_COOKIE}={cookie}"} if cookie else {}
    given = {"email": f"{who}@example.org", "password": password}
    answer = here.ask(None, "POST", "/api/session", json=given, headers=headers)
    here.client.cookies.clear()
    return answer


def _known(answer: Any) -> str:
    """Return the cookie that lets a browser be known again."""
    assert answer.is_success or answer.is_redirect, answer.text
    (found,) = (one for one in answer.headers.get_list("set-cookie") if one.startswith(KNOWN_COOKIE))
    name_and_value, *attributes = found.split("; ")
    lasting = f"Max-Age={int(KNOWN_FOR.total_seconds())}"
    assert set(attributes) == {lasting, "Path=/", "HttpOnly", "Secure", "SameSite=lax"}
    return str(name_and_value.partition("=")[2])


def _fail(here: Asked, who: str, times: int) -> None:
    with writing(here.engine) as session:
        for _ in range(times):
            note_failure(session, email=f"{who}@example.org", address="192.0.2.1", now=datetime.now(UTC))


def _waits(here: Asked, *given: str) -> tuple[int, bool]:
    """Sign in; return the status, and whether that had to wait."""
    pace: Any = here.client.app.state.pace  # type: ignore[attr-defined]
    before = len(pace.waited)
    status = _sign_in(here, *given).status_code
    return status, len(pace.waited) > before


def test_strangers_keep_nobody_from_a_browser_that_is_known(here: Asked) -> None:
    known, others = _known(_sign_in(here)), _known(_sign_in(here, "stranger"))
    _fail(here, "expert", FAILURES_PER_ACCOUNT)
    assert _waits(here, "expert", PASSWORD, known) == (201, False)
    # Without it, or with one that is another's or nobody's, the right password waits and then is right.
    assert _waits(here, "expert", PASSWORD) == (201, True)
    assert _waits(here, "expert", PASSWORD, others) == (201, True)
    assert _waits(here, "expert", PASSWORD, known[:-2] + "xx") == (201, True)
    _fail(here, "expert", 9 * FAILURES_PER_ACCOUNT)
    assert _waits(here, "expert", PASSWORD) == (429, False)
    assert _waits(here, "expert", PASSWORD, others) == (429, False)
    assert _waits(here, "expert", PASSWORD, known) == (201, False)
    # One more account in the same browser, and both are known there.
    both = _known(_sign_in(here, "stranger", cookie=known))
    assert _waits(here, "expert", PASSWORD, both) == (201, False)


def test_the_page_knows_browsers_too(here: Asked) -> None:
    form = {"email": "expert@example.org", "password": PASSWORD, "then": "/desk"}
    first = here.client.post("/sign-in", data=form, follow_redirects=False)
    known = _known(first)
    _fail(here, "expert", 10 * FAILURES_PER_ACCOUNT)
    here.client.cookies.clear()
    refused = here.client.post("/sign-in", data=form, follow_redirects=False)
    again = here.client.post(
        "/sign-in", data=form, follow_redirects=False, headers={"Cookie": f"{KNOWN_COOKIE}={known}"}
    )
    assert (refused.status_code, again.status_code, again.headers["Location"]) == (429, 303, "/desk")


def test_a_known_browser_is_no_way_to_guess(here: Asked) -> None:
    known = _known(_sign_in(here))
    answers = [_sign_in(here, "expert", WRONG, known).status_code for _ in range(FAILURES_PER_ACCOUNT)]
    assert answers == [401] * FAILURES_PER_ACCOUNT
    # Its owner is slowed down there, and nowhere else.
    assert _waits(here, "expert", PASSWORD, known) == (201, True)
    assert _waits(here, "expert", PASSWORD) == (201, False)


def test_a_known_browser_opens_nothing(here: Asked) -> None:
    known = _known(_sign_in(here))
    assert here.ask(None, "GET", "/api/me", headers={"Cookie": f"{KNOWN_COOKIE}={known}"}).status_code == 401
    assert _sign_in(here, "expert", WRONG, known).status_code == 401


def test_an_address_without_account_waits_alike(here: Asked) -> None:
    for who in ("expert", "nobody"):
        _fail(here, who, FAILURES_PER_ACCOUNT)
        assert _waits(here, who, WRONG) == (401, True)
        _fail(here, who, 9 * FAILURES_PER_ACCOUNT)
        assert _waits(here, who, WRONG) == (429, False)


def test_slow_attempts_stand_in_a_row_that_is_not_long() -> None:
    pace = Pace(5.0)
    waits = [pace.wait_s("a"), pace.wait_s("a"), pace.wait_s("a"), pace.wait_s("b")]
    assert [round(wait) for wait in waits] == [5, 10, 15, 5]
    with pytest.raises(CrowdedError):
        pace.wait_s("a")


def test_an_account_and_none_are_crowded_alike() -> None:
    pace = Pace()
    # Before the first password was looked at nobody knows how long that takes.
    assert pace.pretended("nobody") is None
    with pace.trying("somebody"):
        time.sleep(0.05)
    taken = [pace.pretended("nobody") for _ in range(4)]
    assert all(one is not None and one >= 0.05 for one in taken)
    with pytest.raises(CrowdedError):
        pace.pretended("nobody")
    with pace.trying("somebody"), pace.trying("somebody"), pace.trying("somebody"), pace.trying("somebody"):
        with pytest.raises(CrowdedError), pace.trying("somebody"):
            pass
        with pace.trying("another"):
            pass
    time.sleep(0.06)
    assert pace.pretended("nobody") is not None
    with pace.trying("somebody"):
        pass
