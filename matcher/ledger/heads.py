"""The heads of the chains, written down outside of the database.

In: the heads as they stand. Out: a line in a file that is only ever added to.
It exists because a chain whose last rows were dropped still fits together: only
who has kept its head elsewhere can tell. Reports print the heads too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
from sqlmodel import Session

from indexer.database import once
from indexer.file_lock import exclusive
from indexer.wording import T_
from matcher.ledger.chain import GENESIS, Chain, head
from matcher.ledger.entries import LedgerError

FILE = "ledger-heads.jsonl"


@dataclass(frozen=True)
class ExportedHead:
    """The number and hash of a chain's last row at a moment."""

    chain: str
    n: int
    hash: str
    at: str


def heads_of(session: Session, now: datetime) -> list[ExportedHead]:
    """Return the heads of both chains."""
    heads = once(session, heads_of, lambda: [(chain.value, *head(session, chain)) for chain in Chain])
    return [ExportedHead(*one, now.isoformat()) for one in heads]


def export_heads(session: Session, path: Path, now: datetime) -> list[ExportedHead]:
    """Add the heads to a file durably and return them; heads that it ends with already are not repeated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(path.name + ".lock")):
        known = {(one.chain, one.n, one.hash) for one in read_heads(path)}
        heads = heads_of(session, now)
        new = [one for one in heads if (one.chain, one.n, one.hash) not in known]
        with path.open("ab") as file:
            file.writelines(orjson.dumps(one) + b"\n" for one in new)
            file.flush()
            os.fsync(file.fileno())
    return heads


def read_heads(path: Path) -> list[ExportedHead]:
    """Return the heads that a file holds; none if there is no file.

    Raises:
        LedgerError: a line is not a head, so somebody changed the file.
    """
    if not path.exists():
        return []
    heads = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            heads.append(_checked(ExportedHead(**orjson.loads(line))))
        except (ValueError, TypeError) as error:
            raise LedgerError(
                T_("%(name)s:%(number)s is not an exported head", name=path.name, number=number)
            ) from error
    return heads


def _checked(given: ExportedHead) -> ExportedHead:
    """Refuse what no export writes: a chain of another name would be compared with nothing, and so hide a change."""
    Chain(given.chain)
    if type(given.n) is not int or given.n < 0 or len(given.hash) != len(GENESIS):
        raise ValueError(given)
    return given
