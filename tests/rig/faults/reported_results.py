"""Reports results to a ledger one after the other, as a program that may lose its power at any moment.

In: requests of `tests.rig.faults.recorded_work`, a home with the ledger world in it. Out: entries, and the id of each
once it is committed. It exists to be traced; beside the product's own way it offers one that promises less, which a
proof must find.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool
from sqlmodel import col, select

from indexer import database
from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.ledger.rows.evidence import keep
from matcher.ledger.rules.reporting import report
from matcher.review.people import Account
from tests.rig.faults.recorded_work import serve
from tests.rig.worlds.ledger_world import NOON, build_ledger_world, money

RESULTS = 24
PAGES_IN_LOG = 60
"""After so many the log is carried over to the database: many times during a run, instead of every thousand pages."""


def build(home: Path) -> None:
    """Make a home with the ledger world in it and nothing in the ledger."""
    engine = open_engine(Settings(home=home))
    build_ledger_world(engine)
    engine.dispose()


def report_results(home: Path) -> None:
    """Report results with a file each, every one in a transaction of its own, and say the id once it is committed."""
    _set_at_checkout(f"wal_autocheckpoint={PAGES_IN_LOG}")
    engine = open_engine(Settings(home=home))
    by = _reporter(engine)
    for number in range(RESULTS):
        proof = {"sha256": keep(home, f"contract {number}".encode()), "name": "合約.pdf"}
        details = {"contract": f"C-{number}", "payer": f"公司 {number}"}
        given = money(f"money-{number:04}", details=details, evidence=[proof])
        with writing(engine) as session:
            report(session, given, by=by, now=NOON)
        print(given.id, flush=True)
    engine.dispose()


def _reporter(engine: Engine) -> str:
    with reading(engine) as session:
        return session.exec(select(Account.id).where(col(Account.email) == "reporter@example.org")).one()


def _with_less_sync(home: Path) -> None:
    _set_at_checkout("synchronous=NORMAL")
    report_results(home)


def _without_log(home: Path) -> None:
    """As on an SQLite whose log isn't to be trusted."""
    database.wal_is_safe = lambda: False  # type: ignore[assignment]
    report_results(home)


def _set_at_checkout(pragma: str) -> None:
    def set_it(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA {pragma}")

    event.listen(Pool, "checkout", set_it)


WORKS = {"report": report_results, "with_less_sync": _with_less_sync, "without_log": _without_log}

if __name__ == "__main__":
    serve(WORKS)
