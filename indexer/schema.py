"""Bringing a database up to this release's tables.

In: an engine. Out: the same database with every migration applied, in one
transaction, whoever opens it and however many do so at once. It exists so that
the library, the command line and the server always meet the same tables, and
so that an upgrade can never lose data unseen: an SQLite file that holds records
is copied into the backups first.

A new migration is drafted from the difference between the models and a fresh
database, then read and corrected by hand: `python -m indexer.schema "what it does"`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from indexer.disk import exclusive
from indexer.wording import T_

VERSIONS = Path(__file__).parent / "migrations" / "versions"
FIRST = "0001"
_LOCK_KEY = 106_109
_NO_RECORDS = ("alembic_version", "change_counter")
_MODELS = ("indexer.records.record_tables", "matcher.tables", "api.tables")


class SchemaError(RuntimeError):
    """The database can't be used with this release; the message says what to do."""


@cache
def head() -> str:
    """Return the newest migration of this release, known by the names of the files."""
    return max(path.stem[1:5] for path in VERSIONS.glob("r[0-9][0-9][0-9][0-9]_*.py"))


def bring_up(engine: Engine, writer: Engine, backups: Path) -> None:
    """Apply the migrations that a database lacks; nothing is loaded or written if it lacks none.

    Args:
        engine: the database.
        writer: the same, with transactions that begin as a writer's.
        backups: folder for the copy that is made of an SQLite file with records before it is changed.

    Raises:
        SchemaError: the database is newer than this program.
    """
    with engine.connect() as connection:
        if _version(connection) == head():
            return
    with _alone(writer) as connection:
        version = _version(connection)
        if version == head():
            return
        if version is not None and version > head():
            raise SchemaError(
                T_(
                    "the database is of a newer release (schema %(version)s, this program knows %(head)s); install "
                    "that release, or name another database: GLORIA_HOME or GLORIA_DATABASE_URL",
                    version=version,
                    head=head(),
                )
            )
        if version is not None:
            _back_up(connection, backups, version)
        _migrate(connection, version)


def migrate(connection: Connection, target: str) -> None:
    """Apply migrations up to `target` ("0001", or "head") in the connection's transaction."""
    from alembic import command

    command.upgrade(_config(connection), target)


def _migrate(connection: Connection, version: str | None) -> None:
    from alembic import command

    if version == FIRST and not inspect(connection).has_table("alembic_version"):
        command.stamp(_config(connection), FIRST)
    command.upgrade(_config(connection), "head")


def _config(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _version(connection: Connection) -> str | None:
    """Return the schema's version, None for an empty database. The first release did not write its version down."""
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return FIRST if tables.has_table("lab") else None


@contextmanager
def _alone(writer: Engine) -> Iterator[Connection]:
    """A transaction that no other process upgrades beside; it waits for the others, however long they take."""
    if writer.dialect.name == "postgresql":
        with writer.begin() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
            yield connection
        return
    database = writer.url.database
    in_memory = not database or database == ":memory:"
    lock = nullcontext() if in_memory else exclusive(Path(f"{database}.upgrade-lock"))
    with lock, writer.connect() as connection, _without_foreign_keys(connection), connection.begin():
        yield connection
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise SchemaError(
                T_("the upgrade was undone: it would leave references to nothing, in %(broken)s", broken=broken[0][0])
            )


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    """Rebuilding an SQLite table drops the old one, and with foreign keys on that deletes the rows below it."""
    # Only outside a transaction does the pragma do anything.
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def _back_up(connection: Connection, backups: Path, version: str) -> None:
    """Copy an SQLite file that holds anything; whole or not at all, and readable by its owner only."""
    tables = [name for name in inspect(connection).get_table_names() if name not in _NO_RECORDS]
    if connection.dialect.name != "sqlite" or not any(
        connection.exec_driver_sql(f'SELECT EXISTS (SELECT 1 FROM "{name}")').scalar()  # noqa: S608 (its own names)
        for name in tables
    ):
        return
    backups.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    path = backups / f"before-schema-{head()}-from-{version}-{moment}.db"
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600, exist_ok=False)
    connect: Any = type(connection.connection.driver_connection)
    # By connections of its own: one that has begun to write can't be copied from, it would wait for itself for ever.
    with closing(connect(connection.engine.url.database)) as original, closing(connect(str(partial))) as copy:
        original.backup(copy)
    partial.replace(path)


def models() -> Any:
    """Return the metadata of the models of every layer that is installed beside this one."""
    from sqlmodel import SQLModel

    for name in _MODELS:
        importlib.import_module(name)
    return SQLModel.metadata


def _draft(message: str) -> None:
    """Write the next migration from the difference between models and migrations; for developers."""
    from alembic import command
    from sqlalchemy import create_engine

    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrate(connection, "head")
        config = _config(connection)
        config.attributes["metadata"] = models()
        number = f"{int(head()) + 1:04}"
        made = command.revision(config, message, autogenerate=True, rev_id=number)
        sys.stdout.write(f"{getattr(made, 'path', made)}\n")


if __name__ == "__main__":
    _draft(" ".join(sys.argv[1:]) or "change")
