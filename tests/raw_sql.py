# ruff: noqa: S608 (the SQL of these tests is put together from names of their own)
"""What tests share that come to a database by another door: a raw driver connection with the product's settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, inspect, text


@contextmanager
def raw(engine: Engine) -> Iterator[Any]:
    """Open a transaction on a driver's own connection; it is undone at the end."""
    pooled = engine.raw_connection()
    try:
        driver: Any = pooled.driver_connection
        if engine.dialect.name == "sqlite":
            # The pool's last user may have been a reader.
            driver.execute("PRAGMA query_only=0")
            driver.execute("BEGIN IMMEDIATE")
        yield driver
        driver.rollback()
    finally:
        pooled.close()


def refusal(driver: Any, statements: list[str] | str) -> str | None:
    """Run statements; return what the database says against them, None if it takes them. Either way undone."""
    driver.execute("SAVEPOINT here")
    try:
        for statement in [statements] if isinstance(statements, str) else statements:
            driver.execute(statement)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    finally:
        driver.execute("ROLLBACK TO here")
    return None


def triggers_of(engine: Engine, table: str) -> list[str]:
    """Return the names of a table's triggers."""
    if engine.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
    else:
        query = "SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:table AS regclass) AND NOT tgisinternal"
    with engine.connect() as connection:
        return sorted(connection.execute(text(query), {"table": table}).scalars().all())


def without(engine: Engine, driver: Any, table: str, trigger: str | None = None) -> None:
    """Take a trigger, or all of them, from a table as only its owner can; in the driver's transaction."""
    if engine.dialect.name == "sqlite":
        for name in [trigger] if trigger else triggers_of(engine, table):
            driver.execute(f"DROP TRIGGER {name}")
    else:
        driver.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger or 'ALL'}")


def copied(engine: Engine, table: str, where: str, **changed: Any) -> str:
    """Return the statement that inserts a row like another one, with some columns changed."""
    columns = [column["name"] for column in inspect(engine).get_columns(table)]
    values = ", ".join(literal(changed[name]) if name in changed else f'"{name}"' for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} WHERE {where}"


def literal(value: Any) -> str:
    """Return a value as SQL says it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, date | datetime):
        value = value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return "'" + str(value).replace("'", "''") + "'"
