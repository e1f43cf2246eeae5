"""What a database says when it can't do something, as one of three things: come back later, no room, gone.

In: an error of a driver, or of the system while a file was written. Out: the
same as an error of ours, which tells a client what to do; what fits none of
them is a fault of ours and stays as it was. It exists because the drivers say
"the disk is full" in half a dozen ways, and somebody whose work could not be
stored must hear that, not that the database is away.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from indexer.wording import T_

LITTLE_ROOM = 256 * 2**10
"""With fewer free bytes an input or output error of SQLite is put down to the full disk."""

_SQLITE_BUSY = frozenset({5, 6})
_SQLITE_FULL = 13
_SQLITE_FAILED = frozenset({10, 14})  # I/O, can't open: with a full disk, for want of a place for its side files
_SQLITE_GONE = frozenset({10, 11, 14, 15, 26})  # I/O, corrupt, can't open, locking protocol, not a database
_POSTGRESQL_OVERTAKEN = "40001"
_POSTGRESQL_BUSY = frozenset({"55P03", "40P01", _POSTGRESQL_OVERTAKEN, "57014", "53300"})
_POSTGRESQL_FULL = "53100"
_POSTGRESQL_GONE = ("08", "53", "57P", "58", "XX")  # connection, resources, shutdown, system, damage
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ROOM_IN_WORDS = tuple(os.strerror(number) for number in _NO_ROOM)


class BusyError(RuntimeError):
    """The database had no turn for this work within the deadline; the same request may succeed a moment later."""


class OvertakenError(BusyError):
    """Somebody else stored the same first; the same work, done again on what is stored now, may succeed at once."""


class DatabaseGoneError(RuntimeError):
    """The database can't be reached or used; the message is the driver's own."""


class StorageFullError(DatabaseGoneError):
    """There is no room for what was to be stored, and nothing of it was; what is stored can still be read."""


@contextmanager
def told(engine: Engine | None = None) -> Iterator[None]:
    """Say which errors of the driver mean "come back later", "no room" and "gone"; others are faults of ours.

    Raises:
        BusyError, StorageFullError, DatabaseGoneError: as each says.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise BusyError(T_("no connection became free")) from error
    except DBAPIError as error:
        if is_busy(error.orig):
            overtaken = getattr(error.orig, "sqlstate", None) == _POSTGRESQL_OVERTAKEN
            raise (OvertakenError if overtaken else BusyError)(str(error.orig)) from error
        if is_full(error.orig, None if engine is None else _folder(engine)):
            raise StorageFullError(str(error.orig)) from error
        if not (error.connection_invalidated or _is_gone(error.orig)):
            raise
        raise DatabaseGoneError(str(error.orig)) from error


@contextmanager
def storing_file() -> Iterator[None]:
    """Say of a file that can't be written whether that is for want of room; other errors stay as they are.

    Raises:
        StorageFullError: the disk is full, or what this account may use of it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFullError(error.strerror) from error
        raise


def is_busy(error: BaseException | None) -> bool:
    """Whether the same work may succeed a moment later."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_BUSY
    return getattr(error, "sqlstate", None) in _POSTGRESQL_BUSY


def is_full(error: BaseException | None, folder: Path | None = None) -> bool:
    """Whether there was no room; where SQLite can't tell, the disk is asked on which the database's `folder` lies."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF == _SQLITE_FULL or (code & 0xFF in _SQLITE_FAILED and _has_little_room(folder))
    # An input or output error of PostgreSQL names its cause in words only.
    state = getattr(error, "sqlstate", None)
    return state == _POSTGRESQL_FULL or (state == "58030" and any(words in str(error) for words in _NO_ROOM_IN_WORDS))


def _folder(engine: Engine) -> Path | None:
    return Path(engine.url.database).parent if engine.dialect.name == "sqlite" and engine.url.database else None


def _has_little_room(folder: Path | None) -> bool:
    if folder is None:
        return False
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    # A file system that makes inodes as it needs them has a total of none.
    return disk.f_bavail * disk.f_frsize < LITTLE_ROOM or (disk.f_files > 0 and disk.f_favail == 0)


def _is_gone(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_GONE
    state = getattr(error, "sqlstate", None)
    if state is None:
        # psycopg's own: the server did not answer at all.
        return isinstance(error, psycopg.OperationalError)
    return str(state).startswith(_POSTGRESQL_GONE)
