"""The whole ledger as lines that an outsider can recompute.

In: the database. Out: one JSON line for each row of both chains, in its
canonical form, and one for each head. It exists because trust needs no
database: who has the file recomputes both chains with any SHA-256, and compares
the heads with those that reports print.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import orjson
from sqlalchemy import Table
from sqlmodel import Session, SQLModel

from matcher.ledger.chain import Chain
from matcher.ledger.entries import Entry
from matcher.ledger.heads import heads_of
from matcher.ledger.steps import Step

_ROWS_AT_ONCE = 2_000
_MODELS: dict[Chain, type[SQLModel]] = {Chain.ENTRIES: Entry, Chain.STEPS: Step}


def export_lines(session: Session, now: datetime) -> Iterator[bytes]:
    """Yield the lines of an export: `{"chain", "row"}` for each row, then `{"head"}` for each chain.

    A row's `hash` is the SHA-256 over the row without `hash`, as JSON with sorted keys, no blanks, in UTF-8.
    """
    for chain in Chain:
        for row in _rows(session, _MODELS[chain]):
            plain = {name: _plain(value) for name, value in sorted(row.items())}
            yield orjson.dumps({"chain": chain.value, "row": plain}) + b"\n"
    for head in heads_of(session, now):
        yield orjson.dumps({"head": head}) + b"\n"


def _rows(session: Session, model: type[SQLModel]) -> Iterator[dict[str, Any]]:
    table: Table = model.__table__  # type: ignore[attr-defined]
    last = 0
    while True:
        query = table.select().where(table.c.seq > last).order_by(table.c.seq).limit(_ROWS_AT_ONCE)
        found = session.connection().execute(query).mappings().all()
        yield from (dict(row) for row in found)
        if len(found) < _ROWS_AT_ONCE:
            return
        last = found[-1]["seq"]


def _plain(value: Any) -> Any:
    """Moments in UTC with microseconds, as they were hashed."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value
