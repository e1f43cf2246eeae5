"""From the tables to plain values, all at once or the few that changed.

In: a session, and the ids if not all are wanted. Out: labs, needs, companies
or schools as frozen dataclasses, ordered by id, so that two runs on the same
data see the same order whatever the database's collation. It exists because
building mapped objects one by one is too slow for a whole collection.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, select
from sqlmodel import Session, SQLModel

from indexer import profiles, records

_KEYS_AT_ONCE = 500
"""Ids in one query; databases bound how many values a statement may have."""


def load_labs(session: Session, ids: Collection[str] | None = None) -> list[profiles.Lab]:
    """Return labs by id, each with its evidence in the order given.

    Args:
        session: read only.
        ids: those to return, None for all; an id without a lab gives none.
    """
    evidence = defaultdict(list)
    for row in _rows(session, records.Evidence, "position", of=("lab_id", ids)):
        evidence[row["lab_id"]].append(profiles.Evidence(**_picked(profiles.Evidence, row)))
    return [
        profiles.Lab(**_picked(profiles.Lab, row), evidence=tuple(evidence[row["id"]]))
        for row in _by_id(_rows(session, records.Lab, of=("id", ids)))
    ]


def load_needs(session: Session, ids: Collection[str] | None = None) -> list[profiles.Need]:
    """Return needs by id, each with its asks in the order given; `ids` as in `load_labs`."""
    asks = defaultdict(list)
    for row in _rows(session, records.Ask, "position", of=("need_id", ids)):
        asks[row["need_id"]].append(profiles.Ask(**_picked(profiles.Ask, row)))
    return [
        profiles.Need(**_picked(profiles.Need, row), asks=tuple(asks[row["id"]]))
        for row in _by_id(_rows(session, records.Need, of=("id", ids)))
    ]


def load_need(session: Session, need_id: str, *conditions: ColumnElement[bool]) -> profiles.Need | None:
    """Return one need in one query, if it is there and fulfils the conditions."""
    need: Table = records.Need.__table__  # type: ignore[attr-defined]
    ask: Table = records.Ask.__table__  # type: ignore[attr-defined]
    asked = [ask.c[field.name].label(f"ask_{field.name}") for field in fields(profiles.Ask)]
    query = select(need, *asked).join(ask, ask.c.need_id == need.c.id, isouter=True)
    rows = _fetched(session, query.where(need.c.id == need_id, *conditions).order_by(ask.c.position))
    if not rows:
        return None
    asks = tuple(
        profiles.Ask(**{field.name: row[f"ask_{field.name}"] for field in fields(profiles.Ask)})
        for row in rows
        if row["ask_kind"] is not None
    )
    return profiles.Need(**_picked(profiles.Need, rows[0]), asks=asks)


def load_companies(session: Session, ids: Collection[str] | None = None) -> list[profiles.Company]:
    """Return companies by id; `ids` as in `load_labs`."""
    rows = _by_id(_rows(session, records.Company, of=("id", ids)))
    return [profiles.Company(**_picked(profiles.Company, row)) for row in rows]


def load_schools(session: Session, ids: Collection[str] | None = None) -> list[profiles.School]:
    """Return schools by id; `ids` as in `load_labs`."""
    rows = _by_id(_rows(session, records.School, of=("id", ids)))
    return [profiles.School(**_picked(profiles.School, row)) for row in rows]


def _rows(
    session: Session, model: type[SQLModel], order: str | None = None, *, of: tuple[str, Collection[str] | None]
) -> list[dict[str, Any]]:
    """Return the rows of a table, or those whose column `of[0]` has one of the values `of[1]`."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    query = select(table)
    if order is not None:
        query = query.order_by(table.c[order])
    column, wanted = of
    if wanted is None:
        return _fetched(session, query)
    keys = sorted(wanted)
    parts = [keys[start : start + _KEYS_AT_ONCE] for start in range(0, len(keys), _KEYS_AT_ONCE)]
    return [row for part in parts for row in _fetched(session, query.where(table.c[column].in_(part)))]


def _fetched(session: Session, query: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in session.connection().execute(query).mappings()]


def _by_id(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: str(row["id"]))


def _picked(profile: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a profile has, lists as tuples."""
    names = [field.name for field in fields(profile) if field.name in row]
    return {name: tuple(row[name]) if isinstance(row[name], list) else row[name] for name in names}
