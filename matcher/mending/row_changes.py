"""Rows that are written so that they can be put back exactly: each with what it said before, and a hash of it since.

In: the columns of rows that are to say something else, as they are and as they become. Out: the rows as they become,
then as they were, or which of them somebody has changed since. It exists because a merging touches many tables, and
taking it back must leave every row as it was, or say why it can't.

Rows of a table that holds a combination once may take each other's places: one of them is set aside for a moment.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any

from sqlalchemy import Table, select, update
from sqlmodel import Session, SQLModel, col
from sqlmodel import select as select_rows

from indexer.records.import_log import rows_in_words
from indexer.records.mended.merged import MergeChange
from indexer.wording import T_
from matcher.mending.retiring import MendingError


@dataclass(frozen=True)
class RowChange:
    """One row of which some columns become others; `key` is its primary key as it is before."""

    table: str
    key: tuple[Any, ...]
    before: dict[str, Any]
    after: dict[str, Any]
    label: str = field(default="", compare=False)

    @property
    def key_after(self) -> tuple[Any, ...]:
        """The primary key as it is afterwards."""
        names = [column.name for column in _table(self.table).primary_key]
        return tuple(self.after.get(name, part) for name, part in zip(names, self.key, strict=True))


def carry_out(session: Session, merge_id: int, changes: Sequence[RowChange]) -> None:
    """Write changes and note them under a merging; the caller commits."""
    for n, one in enumerate(changes, start=1):
        _write(session, one.table, one.key, one.after)
        session.add(
            MergeChange(
                merge_id=merge_id,
                n=n,
                table_name=one.table,
                row_key=[part.isoformat() if isinstance(part, date) else part for part in one.key_after],
                before=_plain(one.before),
                after=_digest(one.after),
            )
        )
    session.flush()


def put_back(session: Session, merge_id: int) -> set[tuple[str, str]]:
    """Put back what a merging changed, all of it or nothing; return table and first part of the key of each row.

    Raises:
        MendingError: a row is no longer as the merging left it.
    """
    query = select_rows(MergeChange).where(MergeChange.merge_id == merge_id).order_by(col(MergeChange.n).desc())
    noted = session.exec(query).all()
    changed = [one for one in noted if not _is_as_left(session, one)]
    if changed:
        what = rows_in_words(Counter(one.table_name for one in changed))
        raise MendingError(
            T_("what the merging changed was changed since: %(listed)s; correct it one by one", listed=what), "merge"
        )
    touched = set()
    for one in noted:
        before = one.before or {}
        _write(session, one.table_name, tuple(one.row_key), _typed(one.table_name, before))
        touched |= {(one.table_name, str(one.row_key[0])), (one.table_name, str(next(iter(before.values()), "")))}
    session.flush()
    session.expire_all()
    return touched


def _is_as_left(session: Session, one: MergeChange) -> bool:
    table, names = _table(one.table_name), list(one.before or {})
    row = session.connection().execute(select(*(table.c[name] for name in names)).where(*_this(table, one.row_key)))
    found = row.mappings().first()
    return found is not None and _digest(dict(found)) == one.after


def _write(session: Session, name: str, key: Sequence[Any], values: dict[str, Any]) -> None:
    table = _table(name)
    if name == "pairing" and "lab_id" in values:
        _make_room(session, key[0], values["lab_id"])
    session.connection().execute(update(table).where(*_this(table, key)).values(**values))


def _make_room(session: Session, pairing_id: int, lab_id: str) -> None:
    """Set the pairing aside that the need has with this lab already; its own change gives it its place."""
    pairing, lab = _table("pairing"), _table("lab")
    connection = session.connection()
    need_id = select(pairing.c.need_id).where(pairing.c.id == pairing_id).scalar_subquery()
    there = (pairing.c.need_id == need_id, pairing.c.lab_id == lab_id, pairing.c.id != pairing_id)
    other = connection.execute(select(pairing.c.id).where(*there)).scalar()
    if other is not None:
        taken = select(pairing.c.lab_id).where(pairing.c.need_id == need_id)
        free = connection.execute(select(lab.c.id).where(lab.c.id.not_in(taken)).limit(1)).scalar_one()
        connection.execute(update(pairing).where(pairing.c.id == other).values(lab_id=free))


def has_room(session: Session, need_id: str) -> bool:
    """Whether two pairings of a need can take each other's places: some lab has none with it."""
    pairing, lab = _table("pairing"), _table("lab")
    taken = select(pairing.c.lab_id).where(pairing.c.need_id == need_id)
    return session.connection().execute(select(lab.c.id).where(lab.c.id.not_in(taken)).limit(1)).first() is not None


def rows_where(session: Session, name: str, *conditions: Any) -> list[dict[str, Any]]:
    """Return rows of a table in the order of their keys."""
    table = _table(name)
    query = select(table).where(*conditions).order_by(*table.primary_key)
    return [dict(row) for row in session.connection().execute(query).mappings()]


def key_of(name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the primary key of a row."""
    return tuple(row[column.name] for column in _table(name).primary_key)


def _this(table: Table, key: Iterable[Any]) -> list[Any]:
    parts = zip(table.primary_key, key, strict=True)
    return [column == (_day(part) if column.type.python_type is date else part) for column, part in parts]


def _day(said: Any) -> date:
    return said if isinstance(said, date) else date.fromisoformat(said)


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, date) else one for name, one in values.items()}


def _typed(name: str, values: dict[str, Any]) -> dict[str, Any]:
    table = _table(name)
    return {
        column: date.fromisoformat(one) if isinstance(one, str) and table.c[column].type.python_type is date else one
        for column, one in values.items()
    }


def _digest(values: dict[str, Any]) -> str:
    said = json.dumps(_plain(values), ensure_ascii=False, sort_keys=True, default=str)
    return sha256(said.encode()).hexdigest()[:32]
