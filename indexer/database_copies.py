"""Copies of a database while others write to it: of SQLite by its own backup, of PostgreSQL by its own tools.

In: the path or the URL of a database in use. Out: one file that holds one state of it, whole, or a database filled
from one; and the checks that SQLite has for a database. It exists because copying the file is not copying the
database: what was committed may still lie in the write-ahead log alone, and a page can change between two reads;
and because only `pg_dump` of the server's version or a newer one writes a copy that can be relied on, while a
machine often has an older one first on its path. No password stands on a command line.

With SQLite's write-ahead log one state is held from the first page to the last, and nobody waits. Without it
whoever writes would have to wait for the whole copy; so the lock is given up between steps, and a write in between
makes SQLite begin again: after a few such restarts the state is held none the less.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import make_url

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


LOCK_WAIT_S = 60
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


class PostgresqlToolError(RuntimeError):
    """A tool of PostgreSQL is missing, too old, or failed; the message says which and why."""


def dump(database_url: str, target: Path) -> None:
    """Write one state of a database into an archive; others may write meanwhile.

    Raises:
        PostgresqlToolError: there is no pg_dump of the server's version or newer, or it failed.
        psycopg.OperationalError: the server can't be reached.
    """
    tool = _tool("pg_dump", at_least=_server_version(database_url))
    # Fast compression: at night the processor is wanted for encoding.
    limits = (f"--lock-wait-timeout={LOCK_WAIT_S}s", "--compress=1")
    _run([tool, "--format=custom", *limits, "--no-owner", "--no-privileges", f"--file={target}"], database_url)


def fill(database_url: str, archive: Path) -> None:
    """Fill an empty database from an archive, wholly or not at all.

    Raises:
        PostgresqlToolError: there is no fitting pg_restore, or it failed.
        psycopg.OperationalError: the server can't be reached.
    """
    tool = _tool("pg_restore", at_least=_server_version(database_url))
    how = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
    _run([tool, *how, str(archive)], database_url)


def tables_in(database_url: str, archive: Path) -> int:
    """Return of how many tables an archive holds the rows.

    Raises:
        PostgresqlToolError: there is no fitting pg_restore, or the archive can't be read.
        psycopg.OperationalError: the server can't be reached.
    """
    tool = _tool("pg_restore", at_least=_server_version(database_url))
    listed = _run([tool, "--list", str(archive)])
    return sum(" TABLE DATA " in line for line in listed.splitlines())


def is_empty(database_url: str) -> bool:
    """Whether a database holds no table of anybody.

    Raises:
        psycopg.OperationalError: the server can't be reached.
    """
    with psycopg.connect(_conninfo(database_url)) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        ).fetchone()
    return found is None


@contextmanager
def scratch_database(database_url: str) -> Iterator[str]:
    """Make an empty database beside the given one and drop it at the end; one left by a crash is dropped first.

    Raises:
        psycopg.Error: the server can't be reached, or does not let this account make databases.
    """
    url = make_url(database_url)
    # One name for each database, so that what a crash left is found again.
    name = f"gloria_rehearsal_{sha256((url.database or '').encode()).hexdigest()[:12]}"
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    create = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
    with psycopg.connect(_conninfo(database_url), autocommit=True) as connection:
        connection.execute(drop)
        connection.execute(create)
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(_conninfo(database_url), autocommit=True) as connection:
            connection.execute(drop)


def _conninfo(database_url: str) -> str:
    return make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


def _server_version(database_url: str) -> int:
    with psycopg.connect(_conninfo(database_url)) as connection:
        return connection.info.server_version // 10_000


def _tool(name: str, *, at_least: int) -> str:
    """Return the first of the tools on this machine that is new enough."""
    seen = []
    for path in _candidates(name):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
        found = _VERSION.search(said)
        if found is not None and int(found[1]) >= at_least:
            return path
        seen.append(f"{path} is {said.strip() or 'broken'}")
    raise PostgresqlToolError(
        T_(
            "the server is PostgreSQL %(at_least)s and needs %(name)s %(at_least)s or newer; found %(seen)s; "
            "install postgresql-client-%(at_least)s and put it on PATH",
            at_least=at_least,
            name=name,
            seen="; ".join(seen) or T_("none"),
        )
    )


def _candidates(name: str) -> Iterator[str]:
    on_path = shutil.which(name)
    if on_path is not None:
        yield on_path
    wheel = find_spec("pgserver")
    if wheel is not None and wheel.origin is not None:
        path = Path(wheel.origin).parent / "pginstall" / "bin" / name
        if path.is_file():
            yield str(path)


def _run(command: list[str], database_url: str | None = None) -> str:
    environment = dict(os.environ)
    if database_url is not None:
        url = make_url(database_url).set(drivername="postgresql")
        # The command line is open to everybody on the machine, the environment is not.
        if url.password is not None:
            environment["PGPASSWORD"] = str(url.password)
        command = [*command, f"--dbname={url.set(password=None).render_as_string(hide_password=False)}"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise PostgresqlToolError(
            T_(
                "%(name)s: %(said)s",
                name=Path(command[0]).name,
                said=said[0] if said else T_("exit code %(code)s", code=done.returncode),
            )
        )
    return done.stdout.decode(errors="replace")
