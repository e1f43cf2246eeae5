"""The chain of links: what else a figure or a right rests on, held in place by the transaction that wrote it.

In: the rows of some tables that a transaction wrote, as its flushes and writers noted them. Out: at its commit one
link with the hash of each such row and the heads of the other chains at that moment, in a hash chain of its own. It
exists because entries and steps prove themselves, but a motion, a closing, a total, a rule or a role could be
changed, added or removed by who holds the file, and every figure with it. A link is written by construction: whatever
session flushes or inserts a row of these tables gets it, and a row that came in by another door has none.

The heads inside a link tie the chains together: none can be rewritten or cut off without all later links. A row's
hash leaves out what is empty, so that a column that a later release adds changes no older hash, and names, addresses
and other texts that an erasure may take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Integer,
    MetaData,
    Select,
    Table,
    bindparam,
    event,
    insert,
    update,
)
from sqlalchemy import select as select_columns
from sqlalchemy.orm import Session as AnySession
from sqlmodel import Field, SQLModel

from indexer import instants
from indexer.database import WRITTEN, note_written
from indexer.instants import Instant
from matcher.ledger.rows.chain import LEDGER_CHAINS, Chain, ChainHead, hash_of

ROWS_AT_MOST = 500
"""How many rows one link holds; a transaction with more writes several."""


class Link(SQLModel, table=True):
    """One link: `rows` are `[table, key, hash]`, `heads` number and hash by chain. Never updated, never deleted."""

    __tablename__ = "ledger_link"
    __table_args__ = (CheckConstraint("length(hash) = 64 AND length(prev_hash) = 64", name="hashes_are_sha256"),)

    seq: int = Field(
        primary_key=True,
        sa_type=BigInteger().with_variant(Integer, "sqlite"),
        sa_column_kwargs={"autoincrement": False},
    )
    at: datetime = Field(sa_type=Instant)
    rows: list[list[str]] = Field(sa_column=Column(JSON, nullable=False))
    heads: dict[str, list[Any]] = Field(sa_column=Column(JSON, nullable=False))
    prev_hash: str
    hash: str


@dataclass(frozen=True)
class Linked:
    """How rows of a table are linked: their key, what their hash leaves out, and whether every row is linked."""

    key: str = "id"
    without: frozenset[str] = frozenset()
    every: bool = True


LINKED: dict[str, Linked] = {
    "account": Linked(without=frozenset({"email", "name", "phone"})),
    "account_tie": Linked(),
    "aspect_score": Linked(),
    "break_glass_read": Linked(),
    "case_step": Linked(),
    "configuration_version": Linked(),
    "decision": Linked(),
    "erasure": Linked(),
    "external_claim": Linked(),
    "gender_analysis": Linked(),
    "gender_count": Linked(),
    "lab_claim": Linked(),
    "ladder_step": Linked(),
    "ledger_duties_start": Linked(),
    "ledger_months_start": Linked(),
    "ledger_motion": Linked(),
    "ledger_motion_end": Linked(key="motion_id"),
    "ledger_period_close": Linked(key="period"),
    "ledger_person": Linked(key="pseudonym", without=frozenset({"name", "contact"})),
    "ledger_person_key": Linked(key="fingerprint"),
    "ledger_similarity": Linked(),
    "month_report": Linked(),
    "point_row": Linked(),
    # Only what somebody decided on is evidence of anything.
    "proposal": Linked(every=False),
    "role_grant": Linked(),
    "school_total": Linked(),
    "stake": Linked(without=frozenset({"end_reason"})),
    "sufficiency_row": Linked(),
}
"""The tables whose rows are linked."""

START = "start"
"""Among the heads of a link that a migration wrote: its rows were there before anything was linked."""
_INSERTION = insert(Link)
_HEAD: Table = ChainHead.__table__  # type: ignore[attr-defined]
_MINE = _HEAD.c.chain == Chain.LINKS.value
_HEADS = select_columns(_HEAD.c.chain, _HEAD.c.n, _HEAD.c.hash)
_LOCK = select_columns(_HEAD.c.n).where(_MINE).with_for_update()
_SET = update(_HEAD).where(_MINE).values(n=bindparam("linked"), hash=bindparam("content"))


def row_hash(table: str, row: Mapping[str, Any]) -> str:
    """Return the hash of a row of a linked table: over what is not empty and not left out."""
    without = LINKED[table].without
    # A table that was read from the database has names that are more than texts.
    return hash_of({str(name): value for name, value in row.items() if value is not None and name not in without})


def linked_rows(session: AnySession, table: str, keys: Iterable[Any] | None = None) -> Iterator[tuple[str, str]]:
    """Yield key and hash of rows of a linked table: of these keys, or of all."""
    of, connection = LINKED[table].key, session.connection()
    whole = _table(connection, table)
    if keys is None:
        for row in connection.execute(_columns(whole)).mappings():
            yield str(row[of]), row_hash(table, dict(row))
        return
    said = int if isinstance(whole.c[of].type, Integer) else str
    for part in _parts(said(key) for key in keys):
        for row in connection.execute(_of_keys(whole), {"keys": part}).mappings():
            yield str(row[of]), row_hash(table, dict(row))


def _table(connection: Connection, name: str) -> Table:
    """Return a table; one of a layer above that this process did not load is read from the database."""
    known = SQLModel.metadata.tables.get(name)
    return Table(name, MetaData(), autoload_with=connection, resolve_fks=False) if known is None else known


@cache
def _columns(table: Table) -> Select[Any]:
    return select_columns(*(column for column in table.c if column.name not in LINKED[table.name].without))


@cache
def _of_keys(table: Table) -> Select[Any]:
    key = table.c[LINKED[table.name].key]
    return _columns(table).where(key.in_(bindparam("keys", expanding=True))).order_by(key)


@event.listens_for(AnySession, "after_flush")
def _note_flushed(session: AnySession, _context: Any) -> None:
    changed = (row for row in session.dirty if session.is_modified(row))
    for row in (*session.new, *changed):
        table = getattr(type(row), "__tablename__", "")
        if table in LINKED:
            note_written(session, table, getattr(row, LINKED[table].key))


@event.listens_for(AnySession, "before_commit")
def _link(session: AnySession) -> None:
    if session.in_nested_transaction() or not (session.info.get(WRITTEN) or session.new or session.dirty):
        return
    session.flush()
    noted: dict[str, dict[Any, dict[str, Any] | None]] = session.info.pop(WRITTEN, {})
    tables = sorted(noted.keys() & LINKED.keys())
    if not tables and not any(chain.value in noted for chain in LEDGER_CHAINS):
        return
    rows: list[list[str]] = []
    for table in tables:
        rows += [[table, str(key), row_hash(table, row)] for key, row in noted[table].items() if row is not None]
        unread = [key for key, row in noted[table].items() if row is None]
        rows += [[table, *one] for part in _parts(unread) for one in linked_rows(session, table, part)]
    for part in _parts(rows) or [[]]:
        append_link(session, part)


@event.listens_for(AnySession, "after_rollback")
def _forget(session: AnySession) -> None:
    session.info.pop(WRITTEN, None)


def _parts(items: Iterable[Any]) -> list[list[Any]]:
    listed = sorted(items)
    return [listed[start : start + ROWS_AT_MOST] for start in range(0, len(listed), ROWS_AT_MOST)]


def append_link(session: AnySession, rows: list[list[str]]) -> None:
    """Write a link over rows and over the other chains as they stand now, as the last thing before a commit."""
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCK)
    heads: dict[str, list[Any]] = {chain: [n, content] for chain, n, content in connection.execute(_HEADS)}
    n, previous = heads.pop(Chain.LINKS.value)
    link: dict[str, Any] = {"seq": n + 1, "at": instants.now(), "rows": rows, "heads": heads, "prev_hash": previous}
    link["hash"] = hash_of(link)
    connection.execute(_INSERTION, link)
    connection.execute(_SET, {"linked": n + 1, "content": link["hash"]})
