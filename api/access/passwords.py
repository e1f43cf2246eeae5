"""Passwords: hashed with argon2id, and never many at once.

In: a password as typed. Out: its hash, or whether it fits one. It exists apart
from the accounts because hashing is slow and large on purpose (RFC 9106's
second recommended setting, 64 MiB each): without a cap a crowd at the sign-in
page would take the machine's memory. Strangers have one turn of the two, so that
together they take no more than one hash, and the other stays for who is known.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from indexer.database import BusyError
from indexer.wording import T_

AT_ONCE = 2
STRANGERS_AT_ONCE = 1
DEADLINE_S = 10.0
MIN_CHARS, MAX_CHARS = 12, 1_000

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_turns = threading.BoundedSemaphore(AT_ONCE)
_strangers_turns = threading.BoundedSemaphore(STRANGERS_AT_ONCE)
# Compared with when there is no such account, so that the time taken does not tell.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + "A" * 43


class PasswordError(ValueError):
    """A password is not good enough to be set."""


def hash_password(password: str) -> str:
    """Return the hash to store.

    Raises:
        PasswordError: it is too short or too long, or not text.
        BusyError: too many are being hashed.
    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise PasswordError(
            T_("give a password of %(min_chars)s to %(max_chars)s characters", min_chars=MIN_CHARS, max_chars=MAX_CHARS)
        )
    with _turn():
        try:
            return _hasher.hash(password)
        except UnicodeEncodeError:
            # Not chained: the error carries the password.
            raise PasswordError(T_("the password is not valid UTF-8; type it again")) from None


def password_fits(password: str, stored: str | None, *, by_stranger: bool = False) -> bool:
    """Whether a password is the one of a hash; takes as long when there is none.

    Args:
        password: as typed.
        stored: the hash, None if there is no such account.
        by_stranger: whoever asks is neither signed in nor in a browser that the account is known to.

    Raises:
        BusyError: too many are being checked.
    """
    if len(password) > MAX_CHARS:
        return False
    with _turn(by_stranger=by_stranger):
        try:
            _hasher.verify(stored or _NOBODY, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
    return stored is not None


@contextmanager
def _turn(*, by_stranger: bool = False) -> Iterator[None]:
    # A stranger who waits for the strangers' turn holds none of those that others wait for.
    with _one_of(_strangers_turns) if by_stranger else nullcontext(), _one_of(_turns):
        yield


@contextmanager
def _one_of(turns: threading.BoundedSemaphore) -> Iterator[None]:
    if not turns.acquire(timeout=DEADLINE_S):
        raise BusyError(T_("too many passwords are being checked"))
    try:
        yield
    finally:
        turns.release()
