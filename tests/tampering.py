# ruff: noqa: S608 (the SQL of these tests is put together from names of their own)
"""What an attacker does who owns the database: no trigger, check or reference stops one; hashes can be made anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Table, text
from sqlmodel import Session

from indexer.database import writing
from matcher.ledger.chain import GENESIS, Chain, hash_of
from matcher.ledger.closing import PeriodClose
from matcher.ledger.entries import Entry
from matcher.ledger.steps import Step
from tests.raw_sql import triggers_of

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
