"""The change feed: which labs, schools and companies were written since a moment.

In: the ids of records, noted by whoever writes them, in the same transaction.
Out: the ids changed after a number already seen. It exists so that a running
server reloads only what changed. The number is counted up under its row's
lock, so numbers appear in the order of commits and a reader that has seen n
never misses a change numbered less; a plain sequence would not promise that.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import BigInteger, Integer, Table, func, insert, select, update
from sqlmodel import Field, Session, SQLModel

from indexer.vocabulary import Kind


class ChangeCounter(SQLModel, table=True):
    """The number of the last change of one kind of record."""

    __tablename__ = "change_counter"

    kind: str = Field(primary_key=True)
    n: int = Field(sa_type=BigInteger)


class Change(SQLModel, table=True):
    """One record that one transaction wrote; several share its number."""

    __tablename__ = "change"

    kind: str = Field(primary_key=True)
    n: int = Field(primary_key=True, sa_type=BigInteger().with_variant(Integer, "sqlite"))
    record_id: str = Field(primary_key=True)


def note_changes(session: Session, kind: Kind, ids: Iterable[str]) -> None:
    """Note that records were created, updated or deleted in this transaction; the caller commits."""
    changed = sorted(set(ids))
    if not changed:
        return
    counter, change = _table(ChangeCounter), _table(Change)
    connection = session.connection()
    n = connection.execute(
        update(counter).where(counter.c.kind == kind.value).values(n=counter.c.n + 1).returning(counter.c.n)
    ).scalar_one()
    connection.execute(insert(change), [{"kind": kind.value, "n": n, "record_id": id_} for id_ in changed])


def last_change(session: Session, kind: Kind) -> int:
    """Return the number of the last change of a kind; 0 before the first."""
    counter = _table(ChangeCounter)
    n = session.connection().execute(select(counter.c.n).where(counter.c.kind == kind.value)).scalar()
    return int(n or 0)


def last_changes(session: Session) -> dict[str, int]:
    """Return the number of the last change of every kind, by the kind's name."""
    counter = _table(ChangeCounter)
    rows = session.connection().execute(select(counter.c.kind, counter.c.n).order_by(counter.c.kind))
    return {str(kind): int(n) for kind, n in rows}


def changes_since(session: Session, kind: Kind, n: int) -> tuple[int, list[str]]:
    """Return the number of the last change, and the ids changed after the `n`-th, sorted."""
    change = _table(Change)
    found = session.connection().execute(
        select(change.c.record_id, func.max(change.c.n))
        .where(change.c.kind == kind.value, change.c.n > n)
        .group_by(change.c.record_id)
    )
    rows = sorted((str(id_), int(number)) for id_, number in found)
    return max((number for _, number in rows), default=n), [id_ for id_, _ in rows]


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table
