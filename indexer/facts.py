"""Rows that are written once: one statement each, and the row knows its number.

In: a new row that nobody will change. Out: the same row with the number that the
database gave it. It exists because such rows are most of what a request writes,
and following their changes, as a session does, takes longer than storing them.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from sqlalchemy import Insert, Table, insert
from sqlmodel import Session, SQLModel

Fact = TypeVar("Fact", bound=SQLModel)


def store(session: Session, fact: Fact) -> Fact:
    """Insert a row whose key is `id` and set that key; the row stays outside of the session.

    Raises:
        IntegrityError: the row breaks a rule of its table.
    """
    values = fact.model_dump(exclude={"id"})
    fact.id = session.connection().execute(_insertion(type(fact)), values).scalar_one()
    return fact


@cache
def _insertion(model: type[SQLModel]) -> Insert:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return insert(table).returning(table.c.id)
