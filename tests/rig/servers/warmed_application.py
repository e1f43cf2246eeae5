"""What takes long to make and is the same for all tests of a process: routes, the quick encoder, compiled statements.

In: settings. Out: what `create_app` returns for them; encoders that read weights and tokenizer once; and databases
that take each other's statements as they were compiled. It exists because building 250 routes takes a third of a
second of processor time, loading the encoder half a second and compiling a statement half a millisecond, and hundreds
of tests want an application, an index and a database of their own. The first application of each process is built in
full, with the check of every route against the policy.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from httpx._transports import default
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

from indexer import database
from indexer.encoders.bundled_encoders import UniversalSentenceEncoder
from indexer.settings import Settings


@cache
def _create_app() -> Callable[[Settings | None], FastAPI]:
    """Return the product's own, whatever stands in its place later."""
    from api.app import create_app

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
