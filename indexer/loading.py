"""From the tables to plain values, all at once.

In: a session. Out: every lab, need, company or school as frozen dataclasses,
ordered by id, so that two runs on the same data see the same order whatever
the database's collation. It exists because building mapped objects one by one
is too slow for a whole collection.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Table, select
from sqlmodel import Session, SQLModel

from indexer import profiles, records

Profile = TypeVar("Profile", profiles.Company, profiles.School)


def load_labs(session: Session) -> list[profiles.Lab]:
    """Return all labs by id, each with its evidence in the order given."""
    evidence = defaultdict(list)
    for row in _rows(session, records.Evidence, "position"):
        evidence[row["lab_id"]].append(profiles.Evidence(**_picked(profiles.Evidence, row)))
    return [
        profiles.Lab(**_picked(profiles.Lab, row), evidence=tuple(evidence[row["id"]]))
        for row in _by_id(_rows(session, records.Lab))
    ]


def load_needs(session: Session) -> list[profiles.Need]:
    """Return all needs by id, each with its asks in the order given."""
    asks = defaultdict(list)
    for row in _rows(session, records.Ask, "position"):
        asks[row["need_id"]].append(profiles.Ask(**_picked(profiles.Ask, row)))
    return [
        profiles.Need(**_picked(profiles.Need, row), asks=tuple(asks[row["id"]]))
        for row in _by_id(_rows(session, records.Need))
    ]


def load_companies(session: Session) -> list[profiles.Company]:
    """Return all companies by id."""
    return [profiles.Company(**_picked(profiles.Company, row)) for row in _by_id(_rows(session, records.Company))]


def load_schools(session: Session) -> list[profiles.School]:
    """Return all schools by id."""
    return [profiles.School(**_picked(profiles.School, row)) for row in _by_id(_rows(session, records.School))]


def _rows(session: Session, model: type[SQLModel], order: str | None = None) -> list[dict[str, Any]]:
    table: Table = model.__table__  # type: ignore[attr-defined]
    query = select(table)
    if order is not None:
        query = query.order_by(table.c[order])
    return [dict(row) for row in session.connection().execute(query).mappings()]


def _by_id(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: str(row["id"]))


def _picked(profile: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a profile has, lists as tuples."""
    names = [field.name for field in fields(profile) if field.name in row]
    return {name: tuple(row[name]) if isinstance(row[name], list) else row[name] for name in names}
