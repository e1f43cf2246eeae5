"""The pace at which passwords are tried: slower after many wrong ones, and never many of one account at a time.

In: an account's address with each attempt. Out: how long that one has to wait before it is checked, or that there is no
place for it now. It exists because both other answers harm somebody: to check every attempt lets a stranger guess, and
to refuse all of them after some lets a stranger lock anybody out. An address that no account has is paced like any
other and answered as late as a wrong password, yet never hashed: it takes no turn from those who have an account.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from indexer.wording import T_

SLOW_S = 5.0
"""Between two attempts at an account after many wrong passwords."""
PATIENCE_S = 15.0
"""The longest that an attempt waits; whoever would wait longer is told to come back."""
AT_ONCE = 4
"""Attempts at one account that are being checked, or wait for that."""
_KEPT_TIMES = 20
_MAX_KEPT = 10_000


class CrowdedError(RuntimeError):
    """Too many try this account's password just now."""

    def __init__(self) -> None:
        super().__init__(T_("too many sign-ins of this account at a time; try again in a moment"))


class Pace:
    """The attempts of one server process; any thread may use it."""

    def __init__(self, slow_s: float = SLOW_S) -> None:
        self._slow_s = slow_s
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        # Of each account, until when its attempts count.
        self._trying: dict[str, list[float]] = {}
        self._times: deque[float] = deque(maxlen=_KEPT_TIMES)

    def wait_s(self, subject: str) -> float:
        """Return how long a slow attempt has to wait, and keep its place.

        Raises:
            CrowdedError: it would have to wait too long.
        """
        at = time.monotonic()
        with self._lock:
            if len(self._next) > _MAX_KEPT:
                self._next = {name: when for name, when in self._next.items() if when > at}
            due = max(at, self._next.get(subject, at)) + self._slow_s
            if due - at > PATIENCE_S:
                raise CrowdedError
            self._next[subject] = due
        return due - at

    @contextmanager
    def trying(self, subject: str) -> Iterator[None]:
        """Count an attempt while its password is checked, and note how long that takes.

        Raises:
            CrowdedError: too many are.
        """
        begun = time.monotonic()
        until = begun + PATIENCE_S
        self._begin(subject, until)
        try:
            yield
        finally:
            with self._lock:
                self._times.append(time.monotonic() - begun)
                left = self._trying.get(subject, [])
                with suppress(ValueError):
                    left.remove(until)
                if not left:
                    self._trying.pop(subject, None)

    def pretended(self, subject: str) -> float | None:
        """Count an attempt at an account that there is not; return how long checking it would take these days.

        None before the first password was checked.

        Raises:
            CrowdedError: as for an account that there is.
        """
        with self._lock:
            taken_s = random.choice(self._times) if self._times else None  # noqa: S311 (a delay, no secret)
        if taken_s is not None:
            self._begin(subject, time.monotonic() + taken_s)
        return taken_s

    def _begin(self, subject: str, until: float) -> None:
        at = time.monotonic()
        with self._lock:
            if len(self._trying) > _MAX_KEPT:
                self._trying = {name: some for name, some in self._trying.items() if max(some) > at}
            now = [one for one in self._trying.get(subject, ()) if one > at]
            if len(now) >= AT_ONCE:
                raise CrowdedError
            self._trying[subject] = [*now, until]
