"""What takes long to make and is the same for all tests of a process: routes, the quick encoder, compiled statements.

In: settings. Out: what `create_app` returns for them; encoders that read weights and tokenizer once; templates,
and databases that take each other's statements, as they were compiled; databases made as the first one was. It exists
because building 250 routes takes a third of a second of processor time, loading the encoder half a second, compiling a
statement half a millisecond and all migrations a second, and hundreds of tests want an application, an index and a
database of their own. The first application of each process is built in
full, with the check of every route against the policy.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import jinja2
import pytest
from fastapi import FastAPI
from httpx._transports import default
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

from indexer import database, schema
from indexer.encoders.bundled_encoders import UniversalSentenceEncoder
from indexer.settings import Settings

COMPILED_TEMPLATES = Path(__file__).parents[3] / ".test-home" / f"templates-{jinja2.__version__}"


@cache
def _create_app() -> Callable[[Settings | None], FastAPI]:
    """Return the product's own, whatever stands in its place later."""
    from api.app import create_app

    share_the_compiled_templates()
    return create_app


@cache
def _routes() -> tuple[Any, ...]:
    with TemporaryDirectory() as home:
        first = _create_app()(Settings(home=Path(home)))
        first.state.engine.dispose()
    return tuple(first.router.routes)


def application(settings: Settings | None = None) -> FastAPI:
    """Build the application, sharing its routes with the first of this process."""
    # Not with this module, which every run of tests loads: it takes seconds.
    import api.app

    create_app, routes = _create_app(), _routes()
    with pytest.MonkeyPatch.context() as patch:
        for parts in ("_PARTS", "PAGES"):
            patch.setattr(api.app, parts, ())
        app = create_app(settings)
    # Its own are those that the framework makes, as that of the description.
    own = {getattr(route, "path", None) for route in app.router.routes}
    app.router.routes += [route for route in routes if getattr(route, "path", None) not in own]
    return app


def share_the_encoder() -> None:
    """Let all encoders of this process that use as many threads have the same weights and tokenizer in memory."""
    for name in ("_tokenizer", "_backend"):
        read = getattr(UniversalSentenceEncoder, name)
        read.func = _once_for_each_number_of_threads(read.func)


def share_the_compiled_templates() -> None:
    """Let this process and all others take templates as they were compiled once; a template that changes is again.

    Compiling all takes five seconds of processor time, in every process that begins.
    """
    from api.pages.shell import templating

    COMPILED_TEMPLATES.mkdir(parents=True, exist_ok=True)
    templating.COMPILED = jinja2.FileSystemBytecodeCache(str(COMPILED_TEMPLATES))


def share_the_compiled_statements() -> None:
    """Let all databases of one kind in this process have the same statements in memory, however they were opened.

    A compiled statement is kept by the dialect of the engine that first asked it, and by no more of that engine. What
    of a dialect says how values are written and read, and which server it talks to, is compared.
    """
    statements: LRUCache[Any, Any] = LRUCache(5_000)

    def what_compiles(dialect: DefaultDialect) -> tuple[Any, ...]:
        values = (dialect._json_serializer, dialect._json_deserializer)
        return type(dialect), dialect.dbapi, *values, getattr(dialect, "server_version_info", None)

    def is_alike(dialect: DefaultDialect, other: object) -> bool:
        return isinstance(other, DefaultDialect) and what_compiles(dialect) == what_compiles(other)

    def connected(url: Any, **options: Any) -> Engine:
        engine = create_engine(url, **options)
        engine._compiled_cache = statements
        return engine

    for kind in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        kind.__eq__ = is_alike  # type: ignore[method-assign, assignment]
        kind.__hash__ = lambda dialect: hash(type(dialect))  # type: ignore[method-assign]
    database.create_engine = connected  # type: ignore[attr-defined]


def share_the_schema() -> None:
    """Let this process make new SQLite databases of what the migrations made of the first one.

    Thirty migrations take a second of processor time, what they made of an empty database a twentieth.
    """
    migrate, made = schema._migrate, list[tuple[str, list[tuple[Any, ...]]]]()

    def shared(connection: Connection, version: str | None) -> None:
        if version is not None or connection.dialect.name != "sqlite":
            migrate(connection, version)
        elif made:
            for statement, rows in made:
                for row in rows or [()]:
                    connection.exec_driver_sql(statement, row)
        else:
            migrate(connection, version)
            made.extend(_made_of(connection))

    schema._migrate = shared


def _made_of(connection: Connection) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Yield the statements that make an SQLite database again, each with the rows to carry it out with."""
    found = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    tables = [(name, sql) for kind, name, sql in found if kind == "table"]
    yield from ((sql, []) for name, sql in tables if not name.startswith("sqlite_"))
    for name, _ in tables:
        rows = [tuple(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"')]  # noqa: S608 (our own)
        if rows:
            yield f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(rows[0]))})', rows  # noqa: S608
    yield from ((sql, []) for kind, _, sql in found if kind != "table")


def share_the_certificates() -> None:
    """Let all clients of this process that trust the usual authorities read their certificates once."""
    usual, create = httpx.create_ssl_context(), default.create_ssl_context

    def shared(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        return usual if verify is True and cert is None else create(verify, cert, trust_env)

    default.create_ssl_context = shared  # type: ignore[attr-defined]


def _once_for_each_number_of_threads(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    made: dict[int, Any] = {}

    def shared(encoder: UniversalSentenceEncoder) -> Any:
        if encoder.threads not in made:
            made[encoder.threads] = read(encoder)
        return made[encoder.threads]

    return shared
