"""How tests make a faulty product: a rule taken from a fresh database, or a line changed in a function."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine


def change_code(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], old: str, new: str) -> None:
    """Change a text in a function, once, wherever the function was imported to.

    Raises:
        AssertionError: the function does not hold the text exactly once, so the mutant is none any more.
    """
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{function.__qualname__} holds {source.count(old)} times: {old}"
    source = "from __future__ import annotations\n" + source.replace(old, new)
    changed = compile(source, f"mutant of {function.__name__}", "exec")
    namespace = dict(function.__globals__)
    exec(changed, namespace)  # noqa: S102 (the product's own source with one line changed)
    monkeypatch.setattr(function, "__code__", namespace[function.__name__].__code__)


def drop_trigger(engine: Engine, table: str, trigger: str) -> None:
    """Take a trigger from a table."""
    on = "" if engine.dialect.name == "sqlite" else f" ON {table}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger}{on}")


def drop_index(engine: Engine, index: str) -> None:
    """Take an index, and with it its uniqueness."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP INDEX {index}")


def drop_constraint(engine: Engine, table: str, name: str, sqlite_text: str) -> None:
    """Take a constraint from an empty table; `sqlite_text` is a pattern for it in SQLite's CREATE TABLE."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        return
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        found = driver.execute("SELECT type, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL", (table,))
        parts = dict[str, list[str]]()
        for kind, sql in found.fetchall():
            parts.setdefault(kind, []).append(sql)
        less, n = re.subn(rf",\s*{sqlite_text}", "", parts["table"][0])
        assert n == 1, parts["table"][0]
        driver.execute("PRAGMA foreign_keys=OFF")
        for statement in (f"DROP TABLE {table}", less, *parts.get("index", []), *parts.get("trigger", [])):
            driver.execute(statement)
        driver.execute("PRAGMA foreign_keys=ON")
