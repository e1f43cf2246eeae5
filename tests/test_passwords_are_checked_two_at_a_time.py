"""Hashing passwords is slow and large on purpose, so a crowd waits its turn, and nobody learns who has an account."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from api.access import passwords
from api.access.passwords import AT_ONCE, STRANGERS_AT_ONCE, PasswordError, hash_password, password_fits
from indexer.database import BusyError

pytestmark = pytest.mark.alone

PASSWORD = "correct horse 電池"


class Watched:
    """The real hasher, counting how many calls it is in at once and in all."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0
        self.calls = 0

    def _counted(self, work: Any, *given: str) -> Any:
        with self._lock:
            self._inside += 1
            self.calls += 1
            self.most = max(self.most, self._inside)
        try:
            return work(*given)
        finally:
            with self._lock:
                self._inside -= 1

    def hash(self, password: str) -> Any:
        return self._counted(self._hasher.hash, password)

    def verify(self, stored: str, password: str) -> Any:
        return self._counted(self._hasher.verify, stored, password)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """The hasher in use, watched."""
    made = Watched()
    monkeypatch.setattr(passwords, "_hasher", made)
    return made


def _crowd(stored: str, *, by_stranger: bool = False) -> list[bool]:
    def fits(i: int) -> bool:
        return password_fits(PASSWORD if i % 2 else "wrong", stored, by_stranger=by_stranger)

    with ThreadPoolExecutor(8) as crowd:
        return list(crowd.map(fits, range(16)))


def test_a_crowd_is_checked_two_at_a_time(watched: Watched) -> None:
    stored = hash_password(PASSWORD)
    assert _crowd(stored) == [False, True] * 8
    assert (watched.most, watched.calls) == (AT_ONCE, 17)
    assert AT_ONCE == 2


def test_a_crowd_of_strangers_is_checked_one_at_a_time(watched: Watched) -> None:
    stored = hash_password(PASSWORD)
    assert _crowd(stored, by_stranger=True) == [False, True] * 8
    assert (watched.most, watched.calls) == (STRANGERS_AT_ONCE, 17)
    assert STRANGERS_AT_ONCE == 1


def test_strangers_who_wait_keep_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = hash_password(PASSWORD)
    monkeypatch.setattr(passwords, "DEADLINE_S", 0.01)
    with passwords._turn(by_stranger=True):
        with pytest.raises(BusyError):
            password_fits(PASSWORD, stored, by_stranger=True)
        assert password_fits(PASSWORD, stored)
    assert password_fits(PASSWORD, stored, by_stranger=True)


def test_without_the_cap_the_watch_sees_more(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_turns", threading.BoundedSemaphore(8))
    _crowd(hash_password(PASSWORD))
    assert watched.most > AT_ONCE


def test_who_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = hash_password(PASSWORD)
    monkeypatch.setattr(passwords, "DEADLINE_S", 0.01)
    full = threading.BoundedSemaphore(1)
    monkeypatch.setattr(passwords, "_turns", full)
    with full:
        with pytest.raises(BusyError):
            password_fits(PASSWORD, stored)
        with pytest.raises(BusyError):
            hash_password(PASSWORD)
    # A turn that was used is given back, also after a wrong password or one that can't be read.
    assert [password_fits(word, stored) for word in ("wrong", "\ud800", PASSWORD)] == [False, False, True]


def _work_s(stored: str | None) -> float:
    """The least processor time of a check, over all of argon2's threads."""
    least = float("inf")
    for _ in range(3):
        begun = time.process_time()
        assert not password_fits("not this one", stored)
        least = min(least, time.process_time() - begun)
    return least


def test_a_missing_account_takes_as_much_work(watched: Watched) -> None:
    stored = hash_password(PASSWORD)
    assert extract_parameters(passwords._NOBODY) == extract_parameters(stored) == RFC_9106_LOW_MEMORY
    known, missing = _work_s(stored), _work_s(None)
    assert 0.5 < missing / known < 2.0
    # The measure sees it when there is nothing to compare with.
    assert _work_s("no hash at all") < 0.1 * known
    assert watched.calls == 10


def test_nobody_signs_in_as_nobody() -> None:
    assert not password_fits("", None)
    assert not password_fits(PASSWORD, None)


def test_hashes_are_salted_argon2id() -> None:
    one, other = hash_password(PASSWORD), hash_password(PASSWORD)
    assert one != other
    assert {stored[:31] for stored in (one, other)} == {"$argon2id$v=19$m=65536,t=3,p=4$"}


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("x" * 11, "give a password of 12 to 1000 characters"),
        ("x" * 1_001, "give a password of 12 to 1000 characters"),
        ("\ud800" * 12, "the password is not valid UTF-8; type it again"),
    ],
)
def test_what_is_no_password_is_refused(password: str, told: str) -> None:
    with pytest.raises(PasswordError) as refused:
        hash_password(password)
    assert str(refused.value) == told
    # An error of the encoding would carry the password along.
    error = refused.value
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert not password_fits(password, hash_password("x" * 12))


@pytest.mark.parametrize("password", ["x" * 12, "密" * 1_000])
def test_the_shortest_and_the_longest_password_work(password: str) -> None:
    assert password_fits(password, hash_password(password))
