"""The file of an SQLite database, which must be the same from a connection's first use to its last.

In: a path. Out: connections to the file that lies there now. It exists because SQLite goes on writing to a file that
was moved away or replaced, as by somebody who puts a backup back, and makes an empty one where there is none: both
would lose what a client was told is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

_FILE = "gloria_file"
"""Where a connection keeps which file it opened."""


def opening(path: Path) -> Callable[[], Any]:
    """Return what opens a database file; only if there is none now it is made, never again later."""
    path = path.absolute()
    if not path.exists():
        # What is wrong with the place is told by SQLite.
        with suppress(OSError):
            path.touch()
    place = f"file:{quote(str(path))}?mode=rw"
    return lambda: sqlite.connect(place, uri=True, check_same_thread=False)


def watch_file(engine: Engine) -> None:
    """Make an engine open the file anew wherever a connection would still use one that lies there no longer."""
    event.listen(engine, "connect", _note)
    event.listen(engine, "checkout", _check)


def _note(driver: Any, record: Any) -> None:
    path = Path(driver.execute("PRAGMA database_list").fetchone()[2])
    record.info[_FILE] = path, _identity(path)


def _check(_driver: Any, record: Any, _pooled: Any) -> None:
    path, opened = record.info[_FILE]
    if _identity(path) != opened:
        raise DisconnectionError


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
