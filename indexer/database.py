"""The one place that opens the database, and the two ways to use it: reading and writing.

In: `Settings`. Out: a SQLAlchemy engine whose schema is this release's, and
sessions on it. It exists because SQLite keeps its promises only with the right
pragmas: without them foreign keys are not checked and an acknowledged commit
can be lost in a power cut. And because a server must answer "busy" after a
deadline instead of letting its clients hang.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Session

from indexer.schema import bring_up
from indexer.settings import Settings

DEADLINE_S = 5.0
"""How long a request waits for its turn to write before it is told to come back."""
RETRY_AFTER_S = 1
POOL_SIZE, POOL_OVERFLOW = 10, 40
_WRITES = "writes"
_SQLITE_BUSY = frozenset({5, 6})
_POSTGRESQL_BUSY = frozenset({"55P03", "40P01", "40001", "57014", "53300"})

# SQLite has one writer at a time. Threads queue here, in order and with a deadline, rather than in its busy loop.
_writer = threading.Lock()


class BusyError(RuntimeError):
    """The database had no turn for this work within the deadline; the same request may succeed a moment later."""


class DatabaseGoneError(RuntimeError):
    """The database can't be reached or used; the message is the driver's own."""


def open_engine(settings: Settings) -> Engine:
    """Open the configured database, creating the home folder and bringing the tables up to this release.

    Args:
        settings: `database_url`, or else the SQLite file `gloria.db` in `home`.

    Returns:
        An engine; the caller disposes of it.

    Raises:
        OSError: the home folder cannot be created.
        SchemaError: the database is newer than this program.
        sqlalchemy.exc.OperationalError: the database cannot be opened.
    """
    if settings.database_url:
        url = _with_driver(make_url(settings.database_url))
    else:
        settings.home.mkdir(parents=True, exist_ok=True)
        url = make_url(f"sqlite:///{settings.database_path}")
    engine = _connected(url)
    try:
        bring_up(engine, settings.home / "backups")
    except BaseException:
        engine.dispose()
        raise
    return engine


def _with_driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _connected(url: URL) -> Engine:
    options: dict[str, Any] = {"json_serializer": _to_json}
    in_memory = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    if not in_memory:
        options |= {"pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW, "pool_timeout": DEADLINE_S}
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, **options)
    engine = create_engine(url, module=sqlite, connect_args={"check_same_thread": False}, **options)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def wal_is_safe(version: tuple[int, ...] = sqlite.sqlite_version_info) -> bool:
    """Say whether an SQLite has the fix of the WAL-reset bug (3.51.3; backports 3.44.6 and 3.50.7)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """Open a session that sees one state of the database and writes nothing.

    Raises:
        BusyError: no connection became free within the deadline.
        DatabaseGoneError: the database can't be used.
    """
    with _told(), Session(engine) as session:
        yield session


@contextmanager
def writing(engine: Engine, deadline_s: float = DEADLINE_S) -> Iterator[Session]:
    """Open a session whose work is committed when the block ends, and undone if it raises.

    A failing commit raises here, before anybody can be told that the work is done.

    Raises:
        BusyError: there was no turn to write within `deadline_s`; nothing was stored.
        DatabaseGoneError: the database can't be used; nothing was stored.
    """
    with _told(), _turn(engine, deadline_s), Session(as_writer(engine)) as session:
        if engine.dialect.name == "postgresql":
            session.connection().exec_driver_sql(f"SET LOCAL lock_timeout = {int(deadline_s * 1000)}")
        yield session
        session.commit()


def as_writer(engine: Engine) -> Engine:
    """Return the same database with transactions that begin as a writer's, for programs with one thread."""
    return engine.execution_options(**{_WRITES: True})


@contextmanager
def _turn(engine: Engine, deadline_s: float) -> Iterator[None]:
    if engine.dialect.name != "sqlite":
        yield
        return
    if not _writer.acquire(timeout=deadline_s):
        raise BusyError(f"no turn to write within {deadline_s} s")
    try:
        yield
    finally:
        _writer.release()


@contextmanager
def _told() -> Iterator[None]:
    """Say which of the driver's errors mean "come back later" and which "gone"; others are faults of ours."""
    try:
        yield
    except PoolTimeoutError as error:
        raise BusyError("no connection became free") from error
    except DBAPIError as error:
        if _is_busy(error.orig):
            raise BusyError(str(error.orig)) from error
        if isinstance(error.orig, sqlite.IntegrityError | sqlite.ProgrammingError) or not _is_gone(error):
            raise
        raise DatabaseGoneError(str(error.orig)) from error


def _is_busy(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_BUSY
    return getattr(error, "sqlstate", None) in _POSTGRESQL_BUSY


def _is_gone(error: DBAPIError) -> bool:
    return error.connection_invalidated or type(error.orig).__name__ == "OperationalError"


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _begin(connection: Connection) -> None:
    """Begin as what the transaction is: a writer that began as a reader could find its place taken."""
    if not connection.get_execution_options().get(_WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")


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
            if not _is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
