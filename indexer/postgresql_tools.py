"""PostgreSQL's own tools for a copy of a database: found, checked, and run without a password on the command line.

In: the URL of a database. Out: an archive of one state of it, or a database
filled from one. It exists because only `pg_dump` of the server's version or a
newer one writes a copy that can be relied on, and because a machine often has
an older one first on its path.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from indexer.wording import T_

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
