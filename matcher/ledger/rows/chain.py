"""The hash chain that makes every later change of a row visible.

In: rows in the order in which they are written. Out: for each its number and
the SHA-256 over its canonical form, which includes the hash of the row before.
It exists because triggers stop a program but not who owns the file: a changed,
removed or inserted row breaks the chain, and a dropped tail no longer ends in
the head that was exported.

Two chains run beside each other: `entries` (what was reported) and `steps`
(what was decided about it). Whoever writes to both takes `entries` first, so
that two writers never wait for each other. What else a figure or a right rests on
(motions, closings, rules, totals of schools, decisions, roles ...) joins a third one,
`links`, in the transaction that writes it (`matcher.ledger.rows.links`); the audit
trail is the fourth, and notes its head here, so that an emptied one is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import BigInteger, CheckConstraint, Table, bindparam, update
from sqlalchemy.orm import Session as AnySession
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import note_written, once

GENESIS = "0" * 64
"""What the first row of a chain names as the hash before it."""


class Chain(StrEnum):
    """Which chain."""

    ENTRIES = "entries"
    STEPS = "steps"
    AUDIT = "audit"
    LINKS = "links"


LEDGER_CHAINS = (Chain.ENTRIES, Chain.STEPS)
"""The chains of the ledger itself, which are exported and printed in reports."""


class ChainHead(SQLModel, table=True):
    """The number and hash of a chain's last row; its lock gives writers their order."""

    __tablename__ = "ledger_head"
    __table_args__ = (
        CheckConstraint("n >= 0", name="counts_from_0"),
        CheckConstraint("length(hash) = 64", name="hash_is_sha256"),
    )

    chain: str = Field(primary_key=True)
    n: int = Field(sa_type=BigInteger)
    hash: str


# Built once: every entry and every step asks them, and every proof.
_HEAD: Table = ChainHead.__table__  # type: ignore[attr-defined]
_OF_CHAIN = _HEAD.c.chain == bindparam("of_chain")
_NEXT = update(_HEAD).where(_OF_CHAIN).values(n=_HEAD.c.n + bindparam("more")).returning(_HEAD.c.n, _HEAD.c.hash)
_LOCKED = select(ChainHead.chain).where(col(ChainHead.chain).in_([chain.value for chain in LEDGER_CHAINS]))
_LAST = select(ChainHead.n, ChainHead.hash).where(_OF_CHAIN)
_SET = update(_HEAD).where(_OF_CHAIN).values(hash=bindparam("content_hash"))


def next_place(session: AnySession, chain: Chain, more: int = 1) -> tuple[int, str]:
    """Take the next numbers of a chain; others wait until this is committed.

    Returns:
        The last of the numbers taken, and the hash before the first.
    """
    n, previous = session.connection().execute(_NEXT, {"of_chain": chain.value, "more": more}).one()
    return int(n), str(previous)


def set_head(session: AnySession, chain: Chain, content_hash: str) -> None:
    """Make a new row's hash the head; the row is written by the caller, and a link to it when it is committed."""
    session.connection().execute(_SET, {"of_chain": chain.value, "content_hash": content_hash})
    if chain in LEDGER_CHAINS:
        note_written(session, chain.value)


def head(session: Session, chain: Chain) -> tuple[int, str]:
    """Return the number and hash of a chain's last row; -1 and nothing if the database lost them."""
    found = session.execute(_LAST, {"of_chain": chain.value}).first()
    return (-1, "") if found is None else (int(found[0]), str(found[1]))


@dataclass(frozen=True)
class ExportedHead:
    """The number and hash of a chain's last row at a moment."""

    chain: str
    n: int
    hash: str
    at: str


def heads_of(session: Session, now: datetime, chains: Sequence[Chain] = LEDGER_CHAINS) -> list[ExportedHead]:
    """Return the heads of the ledger's chains, or of others."""
    heads = once(session, (heads_of, *chains), lambda: [(chain.value, *head(session, chain)) for chain in chains])
    return [ExportedHead(*one, now.isoformat()) for one in heads]


def lock_heads(session: Session) -> None:
    """Keep every other writer away from the ledger's chains until this transaction ends.

    Every verb that writes begins with it: what it reads before it writes (who has a key, what looks alike, which
    quarter is open) is then still so when it writes. On SQLite the transaction has that place from its beginning.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    # Not the other heads: those are taken at the end of a transaction, after these.
    session.exec(_LOCKED.order_by(col(ChainHead.chain)).with_for_update()).all()


LATER_COLUMNS = frozenset({"school_shares", "company_shares"})
"""Came after the first release: part of a row where they say something, so that what was written before stays so."""


def canonical(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is hashed and exported: moments in UTC with microseconds, later columns where they are set."""
    return {name: _plain(value) for name, value in row.items() if value is not None or name not in LATER_COLUMNS}


def hash_of(row: Mapping[str, Any]) -> str:
    """Return the SHA-256 over a row's canonical form, as JSON with sorted keys; all but `hash` is part of it."""
    said = {name: value for name, value in canonical(row).items() if name != "hash"}
    return sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        # Without a zone it comes straight from SQLite, which holds UTC.
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return value
