"""Taking turns: threads that want the same thing get it one by one, in the order they came, or give up in time.

In: a thread and how long it would wait. Out: its turn. It exists because a plain
lock is not fair: under load a thread that just released it takes it again, and
others wait many times longer than the queue is long.
"""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """A lock that is handed to whoever has waited longest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    def take(self, deadline_s: float) -> bool:
        """Wait for a turn; False if none came within `deadline_s` seconds."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        try:
            mine.wait(deadline_s)
        finally:
            with self._lock:
                came = mine.is_set()
                if not came:
                    self._waiting.remove(mine)
        return came

    def give(self) -> None:
        """End the turn that was taken."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False
