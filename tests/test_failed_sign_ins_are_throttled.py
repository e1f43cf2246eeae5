"""Guessing is slowed down, then ended: so many failures per account and per client address, forgotten after a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session, func, select

from api.access.credentials import (
    FAILURES_PER_ACCOUNT,
    FAILURES_PER_ADDRESS,
    WINDOW,
    LoginFailure,
    ThrottledError,
    check_throttle,
    note_failure,
)
from indexer.database import reading, writing

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MOMENT = timedelta(seconds=1)


def _may_try(engine: Engine, email: str, address: str, at: datetime = NOW) -> bool:
    """Whether a password is looked at without waiting."""
    return _told(engine, email, address, at) == "at once"


def _told(engine: Engine, email: str, address: str, at: datetime = NOW, browser: str | None = None) -> str:
    with reading(engine) as session:
        try:
            is_slow = check_throttle(session, email=email, address=address, now=at, browser=browser)
        except ThrottledError:
            return "not now"
    return "later" if is_slow else "at once"


def _fail(session: Session, count: int, email: str, address: str, at: datetime = NOW) -> None:
    for i in range(count):
        note_failure(session, email=email.format(i), address=address.format(i), now=at)


def test_an_account_takes_ten_failures_from_anywhere(engine: Engine) -> None:
    assert FAILURES_PER_ACCOUNT == 10
    with writing(engine) as session:
        _fail(session, 9, "a@example.org", "192.0.2.{}")
    assert _may_try(engine, "a@example.org", "203.0.113.1")
    with writing(engine) as session:
        # The same account, however it is written.
        _fail(session, 1, " A@Example.ORG ", "192.0.2.99")
    assert not _may_try(engine, "a@example.org", "203.0.113.1")
    assert not _may_try(engine, " A@EXAMPLE.org", "203.0.113.1")
    assert _may_try(engine, "b@example.org", "192.0.2.99")


def test_an_address_takes_fifty_failures_over_all_accounts(engine: Engine) -> None:
    assert FAILURES_PER_ADDRESS == 50
    with writing(engine) as session:
        _fail(session, 49, "p{}@example.org", "192.0.2.1")
    assert _may_try(engine, "new@example.org", "192.0.2.1")
    with writing(engine) as session:
        _fail(session, 1, "last@example.org", "192.0.2.1")
    assert not _may_try(engine, "new@example.org", "192.0.2.1")
    assert _may_try(engine, "new@example.org", "192.0.2.2")


def test_ten_times_as_many_end_it_for_all_but_known_browsers(engine: Engine) -> None:
    with writing(engine) as session:
        _fail(session, 10, "a@example.org", "192.0.2.{}")
    assert _told(engine, "a@example.org", "203.0.113.1") == "later"
    with writing(engine) as session:
        _fail(session, 89, "a@example.org", "192.0.2.{}")
    assert _told(engine, "a@example.org", "203.0.113.1") == "later"
    with writing(engine) as session:
        _fail(session, 1, "a@example.org", "192.0.2.100")
    assert _told(engine, "a@example.org", "203.0.113.1") == "not now"
    assert _told(engine, "a@example.org", "203.0.113.1", browser="mine") == "at once"
    # The browser's own failures are counted for itself, and lock nobody else out.
    with writing(engine) as session:
        for _ in range(10):
            note_failure(session, email="b@example.org", address="203.0.113.1", now=NOW, browser="mine")
    told = [_told(engine, "b@example.org", "203.0.113.1", browser=one) for one in ("mine", "other", None)]
    assert told == ["later", "at once", "at once"]


def test_an_address_ends_at_five_hundred(engine: Engine) -> None:
    with writing(engine) as session:
        _fail(session, 499, "p{}@example.org", "192.0.2.1")
    assert _told(engine, "new@example.org", "192.0.2.1") == "later"
    with writing(engine) as session:
        _fail(session, 1, "last@example.org", "192.0.2.1")
    assert _told(engine, "new@example.org", "192.0.2.1") == "not now"
    assert _told(engine, "new@example.org", "192.0.2.2") == "at once"


def test_an_account_and_an_address_of_the_same_letters_are_counted_apart(engine: Engine) -> None:
    with writing(engine) as session:
        _fail(session, 10, "same", "192.0.2.{}")
    assert _may_try(engine, "else@example.org", "same")
    assert not _may_try(engine, "same", "203.0.113.1")


def test_failures_stop_counting_after_the_window_and_are_removed(engine: Engine) -> None:
    with writing(engine) as session:
        _fail(session, 10, "a@example.org", "192.0.2.1")
    assert not _may_try(engine, "a@example.org", "203.0.113.1", NOW + WINDOW - MOMENT)
    assert _may_try(engine, "a@example.org", "203.0.113.1", NOW + WINDOW)
    with writing(engine) as session:
        count = select(func.count()).select_from(LoginFailure)
        assert session.exec(count).one() == 20
        note_failure(session, email="b@example.org", address="192.0.2.1", now=NOW + WINDOW + MOMENT)
        assert session.exec(count).one() == 2
