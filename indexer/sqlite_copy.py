"""A copy of an SQLite database while others write to it, and the checks that SQLite has for a database.

In: the path of a database in use. Out: one file that holds one state of it,
whole. It exists because copying the file is not copying the database: what was
committed may still lie in the write-ahead log alone, and a page can change
between two reads.

With the write-ahead log one state is held from the first page to the last, and
nobody waits. Without it whoever writes would have to wait for the whole copy;
so the lock is given up between steps, and a write in between makes SQLite begin
again: after a few such restarts the state is held none the less.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite

from indexer.database import BusyError
from indexer.wording import T_

PAGES_AT_ONCE = 2_048
MOST_RESTARTS = 3
WAIT_S = 60.0
"""How long to wait for a lock that somebody else holds."""
_BETWEEN_STEPS_S = 0.005


class _RestartedError(Exception):
    """Others wrote between two steps once too often."""


def copy_sqlite(source: Path, target: Path, *, pages: int = PAGES_AT_ONCE) -> int:
    """Copy one state of a database into a new file, which needs no log beside it; return how often it began again.

    Args:
        source: the database; others may write to it.
        target: the new file; the caller makes it durable.
        pages: how many pages are copied in a step.

    Raises:
        BusyError: somebody held the database for longer than `WAIT_S`.
        pysqlite3.DatabaseError: the source can't be read, or the target can't be written.
    """
    with closing(_connected(source)) as original, closing(sqlite.connect(str(target))) as copy:
        # The caller makes the whole file durable at once, before anybody may rely on it.
        copy.execute("PRAGMA synchronous=OFF")
        watch = _Watch()
        if original.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            _copy_held(original, copy, pages, watch)
        else:
            try:
                original.backup(copy, pages=pages, progress=watch.between_steps, sleep=_BETWEEN_STEPS_S)
            except _RestartedError:
                _copy_held(original, copy, pages, watch)
        copy.execute("PRAGMA journal_mode=DELETE")
        return watch.restarts


def _copy_held(original: Any, copy: Any, pages: int, watch: _Watch) -> None:
    original.execute("BEGIN")
    # A transaction sees a state only from its first read on.
    original.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    original.backup(copy, pages=pages, progress=watch.while_held, sleep=_BETWEEN_STEPS_S)
    original.execute("ROLLBACK")


class _Watch:
    """Counts restarts, and ends a copy that nobody lets on."""

    def __init__(self) -> None:
        self.restarts = 0
        self._left: int | None = None
        self._moved_at = time.monotonic()

    def while_held(self, status: int, left: int, _total: int) -> None:
        """End the copy if it has not moved for too long."""
        if status in (sqlite.SQLITE_BUSY, sqlite.SQLITE_LOCKED):
            if time.monotonic() - self._moved_at > WAIT_S:
                raise BusyError(T_("somebody held the database for more than %(wait_s)s s", wait_s=f"{WAIT_S:.0f}"))
            return
        self._left, self._moved_at = left, time.monotonic()

    def between_steps(self, status: int, left: int, total: int) -> None:
        """Let writers on; end the copy if they made it begin again too often."""
        before = self._left
        self.while_held(status, left, total)
        if before is not None and left >= before and left == self._left:
            self.restarts += 1
            if self.restarts > MOST_RESTARTS:
                raise _RestartedError
        time.sleep(_BETWEEN_STEPS_S)


def sqlite_problems(path: Path) -> list[str]:
    """Return what SQLite's own checks find wrong with a file that nobody writes: pages, indexes, references to nothing.

    Nothing is written, not beside the file either.

    Raises:
        pysqlite3.DatabaseError: it can't be read at all.
    """
    with closing(_connected(path, "mode=ro&immutable=1")) as connection:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)") if row[0] != "ok"]
        broken = connection.execute("PRAGMA foreign_key_check").fetchmany(10)
    return found + [f"{row[0]}: row {row[1]} refers to nothing in {row[2]}" for row in broken]


def close_sqlite(path: Path) -> None:
    """Write all of a database's log back into its file, so that it can be moved.

    Raises:
        BusyError: somebody else has it open.
    """
    with closing(_connected(path)) as connection:
        connection.execute("PRAGMA busy_timeout=1000")
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite.OperationalError as error:
            raise BusyError(
                T_("%(path)s is in use (%(error)s); stop gloria serve first", path=path, error=error)
            ) from error
        connection.execute("ROLLBACK")


def _connected(path: Path, how: str = "mode=rw") -> Any:
    # Neither way makes a file where there is none.
    return sqlite.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
