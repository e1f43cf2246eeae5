"""A forgotten password: a letter, a link that opens once, and nothing for an outsider to learn; tried as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from sqlmodel import select

from api.access.credentials import Password, set_password_hash
from api.access.passwords import hash_password
from api.letters.renewal import HOLDS_FOR, MOST_FOR_ADDRESS, MOST_FROM_CLIENT, PasswordRenewal, forget_renewals
from api.letters.sending.delivering import Deliverer
from indexer.database import reading, writing
from indexer.settings import Settings
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.worlds.small_world import Asked, asked

pytestmark = POSTGRESQL_AT_LENGTH
OLD, NEW = "correct horse battery staple", "a quite different long phrase"


@pytest.fixture(scope="module")
def stored() -> str:
    return hash_password(OLD)


@pytest.fixture
def here(settings: Settings, stored: str) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            account_id = made.accounts["expert"]
            set_password_hash(session, account_id=account_id, stored=stored, now=datetime.now(UTC))
        yield made


def ask_for(here: Asked, email: str) -> int:
    return int(here.ask(None, "POST", "/forgotten", data={"email": email}).status_code)


def links(here: Asked, settings: Settings) -> list[str]:
    """Deliver, and return the links of all letters for a new password, in the order in which they were asked for."""
    Deliverer(here.engine, settings).deliver()
    found = []
    for path in settings.mail_path.glob("*.eml"):
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        if link := re.search(r"http://127\.0\.0\.1:8000(/forgotten/\S+)", body.get_content()):
            assert message["To"] == "expert@example.org"
            assert message["List-Unsubscribe"] is None
            found.append((path.stat().st_mtime_ns, link[1]))
    return [link for _, link in sorted(found)]


def signs_in(here: Asked, password: str) -> bool:
    body = {"email": "expert@example.org", "password": password}
    return bool(here.ask(None, "POST", "/api/session", json=body).status_code == 201)


def test_a_link_opens_once(here: Asked, settings: Settings) -> None:
    assert ask_for(here, " Expert@Example.org") == 200
    (link,) = links(here, settings)
    # A scanner opens it, twice, and so may whoever it is forwarded to: nothing is used up.
    for _ in range(2):
        assert here.ask(None, "GET", link).status_code == 200
    assert signs_in(here, OLD)
    # What is guessed soon is refused, and the link still holds.
    assert here.ask(None, "POST", link, data={"new": "password1234"}).status_code == 422
    done = here.ask(None, "POST", link, data={"new": NEW})
    assert done.status_code == 200
    assert (signs_in(here, OLD), signs_in(here, NEW)) == (False, True)
    # Used twice: nothing, by page and by API.
    assert here.ask(None, "POST", link, data={"new": OLD}).status_code == 410
    again = link.replace("/forgotten/", "/api/password-renewals/")
    assert here.ask(None, "POST", again, json={"new": OLD}).status_code == 410
    assert here.ask(None, "GET", link).status_code == 410
    assert signs_in(here, NEW)
    # The owner is told, and nobody can choose not to be.
    told = here.done("expert", "GET", "/api/me/notices")["items"]
    assert [one["kind"] for one in told] == ["account_changed"]


def test_an_outsider_learns_nothing_of_which_addresses_there_are(here: Asked, settings: Settings) -> None:
    answers = [
        here.ask(None, "POST", "/api/password-renewals", json={"email": f"{who}@example.org"})
        for who in ("expert", "nobody", "company")
    ]
    assert [(one.status_code, one.content) for one in answers] == [(202, b"")] * 3
    pages = {here.ask(None, "POST", "/forgotten", data={"email": f"{who}@example.org"}).text for who in ("lead", "x")}
    assert len(pages) == 1
    # What was stored is of the same kind: which account it is was not looked up yet.
    with reading(here.engine) as session:
        assert {one.account_id for one in session.exec(select(PasswordRenewal)).all()} == {None}
    # Who has no password of their own signs in elsewhere, and gets none this way.
    assert len(links(here, settings)) == 1
    with reading(here.engine) as session:
        assert len(session.exec(select(Password)).all()) == 1


def test_only_the_newest_link_opens_and_only_within_the_hour(here: Asked, settings: Settings) -> None:
    assert ask_for(here, "expert@example.org") == 200
    (first,) = links(here, settings)
    assert ask_for(here, "expert@example.org") == 200
    first, second = links(here, settings)
    assert [here.ask(None, "GET", one).status_code for one in (first, second)] == [410, 200]
    with writing(here.engine) as session:
        for asked_for in session.exec(select(PasswordRenewal)).all():
            asked_for.asked_at -= HOLDS_FOR
            session.add(asked_for)
    assert here.ask(None, "POST", second, data={"new": NEW}).status_code == 410
    assert here.ask(None, "GET", second[:-3]).status_code == 410
    with writing(here.engine) as session:
        assert forget_renewals(session, now=datetime.now(UTC) + timedelta(days=1), most=10) == 2


def test_nobody_is_flooded(here: Asked, settings: Settings) -> None:
    for _ in range(MOST_FOR_ADDRESS + 2):
        assert ask_for(here, "expert@example.org") == 200
    assert len(links(here, settings)) == MOST_FOR_ADDRESS
    for n in range(MOST_FROM_CLIENT - MOST_FOR_ADDRESS - 2):
        assert ask_for(here, f"n{n}@example.org") == 200
    # Refused alike, whoever's address it is.
    refused = [here.ask(None, "POST", "/forgotten", data={"email": f"{who}@example.org"}) for who in ("expert", "x")]
    assert [one.status_code for one in refused] == [429, 429]
    assert refused[0].text == refused[1].text
