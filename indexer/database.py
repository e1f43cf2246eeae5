"""The one place that opens the database, and the two ways to use it: reading and writing.

In: `Settings`. Out: a SQLAlchemy engine whose schema is this release's, sessions on it, and of a driver's errors
three of ours: come back later, no room, gone. It exists because SQLite keeps its promises only with the right
pragmas (without them foreign keys are not checked and an acknowledged commit can be lost in a power cut), because
it goes on writing to a file that was moved away or replaced, and because a server must answer "busy" after a
deadline instead of letting its clients hang: threads that would write take turns, in the order they came. What fits
none of the three errors is a fault of ours and stays as it was.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import orjson
import psycopg
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, event, insert, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session as AnySession
from sqlmodel import Session, SQLModel

from indexer.schema import bring_up
from indexer.settings import Settings
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


class LowRoomError(StorageFullError):
    """There is room, but what is left is kept for what must go on."""


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


_FILE = "gloria_file"
"""Where a connection keeps which file it opened."""


def _sqlite_opening(path: Path) -> Callable[[], Any]:
    """Return what opens a database file; only if there is none now it is made, never again later."""
    path = path.absolute()
    if not path.exists():
        # What is wrong with the place is told by SQLite.
        with suppress(OSError):
            path.touch()
    place = f"file:{quote(str(path))}?mode=rw"
    return lambda: sqlite.connect(place, uri=True, check_same_thread=False)


def _watch_file(engine: Engine) -> None:
    """Make an engine open the file anew wherever a connection would still use one that lies there no longer."""
    event.listen(engine, "connect", _note_file)
    event.listen(engine, "checkout", _check_file)


def _note_file(driver: Any, record: Any) -> None:
    path = Path(driver.execute("PRAGMA database_list").fetchone()[2])
    record.info[_FILE] = path, _file_identity(path)


def _check_file(_driver: Any, record: Any, _pooled: Any) -> None:
    path, opened = record.info[_FILE]
    if _file_identity(path) != opened:
        raise DisconnectionError


def _file_identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


DEADLINE_S = 5.0
"""How long a request waits for its turn to write before it is told to come back."""
RETRY_AFTER_S = 1
STATEMENT_S = 30.0
"""How long one statement of a request may take on PostgreSQL."""
POOL_SIZE = 45
"""More than a server's 40 request threads, and two server processes stay below PostgreSQL's usual 100."""

# How a transaction begins; an execution option of its connection.
_MODE, _WAIT_S = "gloria_mode", "gloria_wait_s"
_READS, _WRITES = "reads", "writes"
# What was asked once in a session that only reads.
_ASKED = "gloria_asked"
Found = TypeVar("Found")

_SQLITE_DUPLICATE = "UNIQUE constraint failed"  # by its words: pysqlite3 gives no code that says which constraint

# SQLite has one writer at a time. Threads queue here rather than in its busy loop, which knows no order.
_turns: defaultdict[str, Turns] = defaultdict(Turns)


def open_engine(settings: Settings) -> Engine:
    """Open the configured database, creating the home folder and bringing the tables up to this release.

    Args:
        settings: `database_url`, or else the SQLite file `gloria.db` in `home`.

    Returns:
        An engine; the caller disposes of it.

    Raises:
        OSError: the home folder cannot be created.
        SchemaError: the database is newer than this program.
        BusyError, DatabaseGoneError: the database can't be opened now, or at all.
    """
    if settings.database_url:
        url = _with_driver(make_url(settings.database_url))
    else:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        url = make_url(f"sqlite:///{settings.database_path}")
    engine = _connected(url)
    try:
        with told(engine):
            bring_up(engine, as_writer(engine), settings.backups_path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _with_driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _connected(url: URL) -> Engine:
    options: dict[str, Any] = {"json_serializer": _to_json, "json_deserializer": orjson.loads}
    in_memory = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    if not in_memory:
        options |= {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": DEADLINE_S, "pool_use_lifo": True}
    if url.get_backend_name() != "sqlite":
        query = {"connect_timeout": str(int(DEADLINE_S)), "application_name": "gloria"} | url.query
        return create_engine(url.set(query=query), pool_pre_ping=True, **options)
    if in_memory:
        engine = create_engine(url, module=sqlite, connect_args={"check_same_thread": False}, **options)
    else:
        engine = create_engine(url, module=sqlite, creator=_sqlite_opening(Path(url.database or "")), **options)
        _watch_file(engine)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "reset", _end)
    return engine


def wal_is_safe(version: tuple[int, ...] = sqlite.sqlite_version_info) -> bool:
    """Say whether an SQLite has the fix of the WAL-reset bug (3.51.3; backports 3.44.6 and 3.50.7)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """Open a session that sees one state of the database and can't write: what it wrote would be lost unseen.

    Raises:
        BusyError: no connection became free within the deadline.
        DatabaseGoneError: the database can't be used.
    """
    with told(engine), Session(engine) as session:
        session.connection(execution_options={_MODE: _READS, **_driver_options(engine, read_only=True, one_state=True)})
        session.info[_ASKED] = session.get_transaction(), {}
        yield session


def once(session: Session, question: Hashable, work: Callable[[], Found]) -> Found:
    """Return what `work` finds out; in a transaction that only reads it asks once, since there the answer stays.

    Args:
        session: where `work` asks.
        question: tells it from everything else that is asked this way.
        work: what it is to find out; whoever gets the answer leaves it as it is.
    """
    transaction, asked = session.info.get(_ASKED, (None, {}))
    if transaction is None or transaction is not session.get_transaction():
        return work()
    if question not in asked:
        asked[question] = work()
    found: Found = asked[question]
    return found


@contextmanager
def writing(engine: Engine, deadline_s: float = DEADLINE_S, *, one_state: bool = False) -> Iterator[Session]:
    """Open a session whose work is committed when the block ends, and undone if it raises.

    A failing commit raises here, before anybody can be told that the work is done.

    Args:
        engine: the database.
        deadline_s: how long to wait for the turn to write; on PostgreSQL, for each lock.
        one_state: whether everything it reads is to belong to one state of the database, as it always does in
            SQLite; in PostgreSQL the work may then be overtaken by somebody who stores the same.

    Raises:
        BusyError: there was no turn to write within `deadline_s`; nothing was stored.
        OvertakenError: somebody else stored the same in the meantime; nothing was stored.
        StorageFullError: there is no room for it; nothing was stored.
        DatabaseGoneError: the database can't be used; nothing was stored.
    """
    until = time.monotonic() + deadline_s
    # Nothing is read after the commit, so nothing needs to be marked as to be read again.
    with told(engine), _turn(engine, deadline_s), Session(engine, expire_on_commit=False) as session:
        wait_s = max(0.0, until - time.monotonic())
        driver_options = _driver_options(engine, read_only=False, one_state=one_state)
        connection = session.connection(execution_options={_MODE: _WRITES, _WAIT_S: wait_s, **driver_options})
        if engine.dialect.name == "postgresql":
            limits = (("lock_timeout", deadline_s), ("statement_timeout", STATEMENT_S))
            set_them = ", ".join(f"set_config('{name}', '{int(value * 1000) or 1}', true)" for name, value in limits)
            connection.exec_driver_sql(f"SELECT {set_them}")
        yield session
        session.commit()


def as_writer(engine: Engine) -> Engine:
    """Return the same database with transactions that begin as a writer's, for programs with one thread."""
    return engine.execution_options(**{_MODE: _WRITES})


def _driver_options(engine: Engine, *, read_only: bool, one_state: bool) -> dict[str, Any]:
    """Return how PostgreSQL begins: by itself every statement would see a state of its own. SQLite needs no telling."""
    if engine.dialect.name != "postgresql":
        return {}
    return {"postgresql_readonly": read_only} | ({"isolation_level": "REPEATABLE READ"} if one_state else {})


@contextmanager
def _turn(engine: Engine, deadline_s: float) -> Iterator[None]:
    if engine.dialect.name != "sqlite":
        yield
        return
    turns = _turns[engine.url.database or ""]
    if not turns.take(deadline_s):
        raise BusyError(T_("no turn to write within %(deadline_s)s s", deadline_s=deadline_s))
    try:
        yield
    finally:
        turns.give()


def is_duplicate(error: DBAPIError) -> bool:
    """Whether a write was refused because a row with the same unique values is there already."""
    if isinstance(error.orig, sqlite.Error):
        return str(error.orig).startswith(_SQLITE_DUPLICATE)
    return getattr(error.orig, "sqlstate", None) == "23505"


_in_json = json.JSONEncoder(ensure_ascii=False).encode


def _to_json(value: Any) -> str:
    # Most lists of most records are empty.
    return "[]" if type(value) is list and not value else _in_json(value)


def _begin(connection: Connection) -> None:
    """Begin as what the transaction is: a writer that began as a reader could find its place taken."""
    options = connection.get_execution_options()
    mode, wait_s = options.get(_MODE), options.get(_WAIT_S, DEADLINE_S)
    # Straight to the driver: these two come before every transaction.
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA query_only={int(mode == _READS)}")
    driver.execute(f"PRAGMA busy_timeout={int(wait_s * 1000)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == _WRITES else "BEGIN")


def _end(driver: Any, _record: Any, _state: Any) -> None:
    """Let go of what a failed commit left open: it would hold the place of the only writer for ever."""
    if driver.in_transaction:
        driver.rollback()


def _set_pragmas(connection: Any, _record: Any) -> None:
    # No implicit transactions by the driver: `_begin` begins them.
    connection.isolation_level = None
    journal = "WAL" if wal_is_safe() else "TRUNCATE"
    cursor = connection.cursor()
    for pragma in (
        # First, so that the others wait for a lock of another process too.
        f"busy_timeout={int(DEADLINE_S * 1000)}",
        f"journal_mode={journal}",
        "synchronous=FULL",
        "foreign_keys=ON",
        # Without it INSERT OR REPLACE would overwrite append-only rows past their triggers.
        "recursive_triggers=ON",
        "trusted_schema=OFF",
        "secure_delete=ON",
        # Sorting in memory: a reader must not need room on a disk that may be full.
        "temp_store=MEMORY",
    ):
        _patiently(cursor, f"PRAGMA {pragma}")
    cursor.close()


def _patiently(cursor: Any, statement: str) -> None:
    """Run a pragma; switching to WAL answers "locked" at once, whatever the busy timeout, while others switch too."""
    until = time.monotonic() + DEADLINE_S
    while True:
        try:
            cursor.execute(statement)
        except sqlite.OperationalError as error:
            if not is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


Fact = TypeVar("Fact", bound=SQLModel)


def insert_fact(session: Session, fact: Fact) -> Fact:
    """Insert a row whose key is `id` and set that key; the row stays outside of the session.

    Raises:
        IntegrityError: the row breaks a rule of its table.
    """
    values = fact.model_dump(exclude={"id"})
    key = session.connection().execute(_insertion(type(fact)), values).scalar_one()
    fact.id = key
    note_written(session, str(fact.__tablename__), key, row={**values, "id": key})
    return fact


WRITTEN = "gloria_written"
"""Where a session keeps which rows its transaction wrote, by table and key, for whoever has to know at the commit."""


def note_written(session: AnySession, table: str, *keys: Hashable, row: dict[str, Any] | None = None) -> None:
    """Note that a transaction writes rows of a table: needed only where no flush of the session does it.

    Args:
        session: whose transaction it is.
        table: the table's name.
        keys: of the rows.
        row: the row as it was written, where it is known; else it is read before the commit.
    """
    session.info.setdefault(WRITTEN, {}).setdefault(table, {}).update(dict.fromkeys(keys, row))


@cache
def _insertion(model: type[SQLModel]) -> Insert:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return insert(table).returning(table.c.id)
