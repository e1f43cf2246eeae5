"""Heads of the chains, written down outside of the database.

In: the database, and files of heads. Out: heads in a file that is only ever added to, and read again. It exists
because a chain whose last rows were dropped still fits together, and one that was rewritten as a whole does too: only
who has kept its head elsewhere can tell.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import orjson
from sqlmodel import Session

from indexer.disk import exclusive
from indexer.wording import T_
from matcher.ledger.rows.chain import GENESIS, Chain, ExportedHead, heads_of
from matcher.ledger.rows.entries import LedgerError

HEADS_FILE = "ledger-heads.jsonl"


def export_heads(session: Session, path: Path, now: datetime) -> list[ExportedHead]:
    """Add the heads of all chains to a file durably and return them; what it holds already is not repeated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.with_name(path.name + ".lock")):
        known = {(one.chain, one.n, one.hash) for one in read_heads(path)}
        heads = heads_of(session, now, tuple(Chain))
        new = [one for one in heads if one.n and (one.chain, one.n, one.hash) not in known]
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
            heads.append(_checked_head(ExportedHead(**orjson.loads(line))))
        except (ValueError, TypeError) as error:
            raise LedgerError(
                T_("%(name)s:%(number)s is not an exported head", name=path.name, number=number)
            ) from error
    return heads


def _checked_head(given: ExportedHead) -> ExportedHead:
    """Refuse what no export writes: a chain of another name would be compared with nothing, and so hide a change."""
    Chain(given.chain)
    if type(given.n) is not int or given.n < 0 or len(given.hash) != len(GENESIS):
        raise ValueError(given)
    return given
