"""The database by another door: a raw connection with the product's settings, and what an attacker does who owns it.

In: a database. Out: statements past every model and check, and their refusals; tampering with rows, heads and tails
whose hashes are made anew, which no trigger, check or reference stops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Table, inspect, text
from sqlmodel import Session

from indexer.database import writing
from matcher.ledger.rows.chain import GENESIS, Chain, hash_of
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.periods import PeriodClose
from matcher.ledger.rows.steps import Step

# ruff: noqa: S608 (the SQL of these tests is put together from names of their own)


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


# ruff: noqa: S608 (the SQL of these tests is put together from names of their own)


ENTRIES: Table = Entry.__table__  # type: ignore[attr-defined]
STEPS: Table = Step.__table__  # type: ignore[attr-defined]
CHAINS = {Chain.ENTRIES: ENTRIES, Chain.STEPS: STEPS}
KNOWN_WORDS = {"L": "C", "ntd": "persons", "fact": "reversal", "reported": "checked", "checked": "reported"}
TABLES = ("ledger_entry", "ledger_step", "ledger_head", "ledger_live_fact", "ledger_period_close")


@contextmanager
def owning(engine: Engine) -> Iterator[Session]:
    """Open a transaction that nothing stops; it is undone at the end."""
    triggers = {table: triggers_of(engine, table) for table in TABLES}
    with writing(engine) as session:
        run = session.connection().exec_driver_sql
        if engine.dialect.name == "sqlite":
            run("PRAGMA defer_foreign_keys=ON")
            run("PRAGMA ignore_check_constraints=ON")
            for names in triggers.values():
                for name in names:
                    run(f"DROP TRIGGER {name}")
        else:
            run("SET LOCAL session_replication_role = replica")
            for table in TABLES:
                checks = run(
                    f"SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = '{table}'::regclass"
                )
                for name in checks.scalars().all():
                    run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        yield session
        session.rollback()
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA ignore_check_constraints=OFF")


@contextmanager
def attempt(session: Session) -> Iterator[None]:
    """Change something and undo it."""
    session.expunge_all()
    nested = session.begin_nested()
    try:
        yield
    finally:
        nested.rollback()


def other(column: str, value: Any) -> Any:
    """Return a value that a cell may hold instead of its own."""
    if column == "shares":
        return {"al-a": 9_999, "al-b": 1} if len(value) == 1 else {"al-a": 10_000}
    if value is None:
        return 1 if column in ("case_id", "decision_id", "kpi_year") else "2019Q1"
    changed: dict[type, Any] = {
        dict: lambda: {**value, "instalment": 900},
        list: lambda: [*value, {"url": "https://example.org/another", "name": "x"}],
        datetime: lambda: value + timedelta(microseconds=1),
        date: lambda: value + timedelta(days=1),
        int: lambda: value + 1_000,
        str: lambda: KNOWN_WORDS.get(value, value[:-1] + "z"),
    }
    return changed[type(value)]()


def set_cell(session: Session, table: Table, seq: int, column: str, value: Any) -> None:
    session.connection().execute(table.update().where(table.c.seq == seq).values({column: value}))


def rows_of(session: Session, table: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in session.connection().execute(table.select().order_by(table.c.seq)).mappings()]


def rewrite(session: Session) -> None:
    """Make every hash anew, of rows, heads and closed quarters, so that all fits what the rows now say."""
    for chain, table in CHAINS.items():
        n, last = 0, GENESIS
        hashes = {0: GENESIS}
        for row in rows_of(session, table):
            row["prev_hash"] = last
            n, last = row["seq"], hash_of(row)
            hashes[n] = last
            changed = {"prev_hash": row["prev_hash"], "hash": last}
            session.connection().execute(table.update().where(table.c.seq == n).values(changed))
        set_head(session, chain, n, last)
        closes: Table = PeriodClose.__table__  # type: ignore[attr-defined]
        for close in session.connection().execute(closes.select()).mappings().all():
            at = close[f"{chain.value}_n"]
            told = {f"{chain.value}_hash": hashes.get(at, last)}
            session.connection().execute(closes.update().where(closes.c.period == close["period"]).values(told))


def set_head(session: Session, chain: Chain, n: int, last: str) -> None:
    session.connection().execute(
        text("UPDATE ledger_head SET n = :n, hash = :hash WHERE chain = :chain"),
        {"n": n, "hash": last, "chain": chain.value},
    )


def drop_tail(session: Session, n_entries: int) -> None:
    """Remove the last entries with all that hangs on them, and move the heads back to where that leaves them."""
    run = session.connection().execute
    ids = [row["id"] for row in rows_of(session, ENTRIES)][-n_entries:]
    first = min(row["seq"] for row in rows_of(session, STEPS) if row["entry_id"] in ids)
    assert all(row["entry_id"] in ids for row in rows_of(session, STEPS) if row["seq"] >= first)
    run(STEPS.delete().where(STEPS.c.seq >= first))
    run(
        text("DELETE FROM ledger_live_fact WHERE entry_id IN (SELECT value FROM json_each(:ids))")
        if session.get_bind().dialect.name == "sqlite"
        else text(
            "DELETE FROM ledger_live_fact WHERE entry_id IN (SELECT json_array_elements_text(CAST(:ids AS json)))"
        ),
        {"ids": json.dumps(ids)},
    )
    run(ENTRIES.delete().where(ENTRIES.c.id.in_(ids)))
    for chain, table in CHAINS.items():
        last = rows_of(session, table)[-1]
        set_head(session, chain, last["seq"], last["hash"])
