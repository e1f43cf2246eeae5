"""What the ids in documents are called: companies, labs, needs, schools, alliances, people.

In: ids as the API's documents have them. Out: names by id. It exists because a
person reads names where a program follows ids; who is shown an id by the API
may read what it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlmodel import Session, col, select

from api.policy import Action
from api.visibility import needs as visible_needs
from api.visibility import readable
from indexer.records import Alliance, Company, Lab, Need, School
from matcher.people import Account, Principal

Named = type[Company] | type[Lab] | type[School] | type[Alliance]
Names = Mapping[str, tuple[str, str]]


def names(session: Session, table: Named, ids: Iterable[str | None]) -> Names:
    """Return name and English name, which may be empty, by id."""
    wanted = sorted({one for one in ids if one})
    rows = session.exec(select(table.id, table.name, table.name_en).where(col(table.id).in_(wanted))).all()
    return {str(key): (name, name_en or "") for key, name, name_en in rows}


def every(session: Session, table: Named) -> Names:
    """Return name and English name of all records of a kind by id, in the order of their names."""
    rows = session.exec(select(table.id, table.name, table.name_en).order_by(col(table.name))).all()
    return {str(key): (name, name_en or "") for key, name, name_en in rows}


def titles(session: Session, who: Principal, ids: Iterable[str | None]) -> Mapping[str, str]:
    """Return the titles of needs by id, of those that the person reads: a seal is not broken in passing."""
    wanted = sorted({one for one in ids if one})
    query = select(Need.id, Need.title).where(col(Need.id).in_(wanted), visible_needs(who, Action.READ), readable(who))
    return dict(session.exec(query).all())


def people(session: Session, ids: Iterable[str | None]) -> Mapping[str, str]:
    """Return the names of accounts by id."""
    wanted = sorted({one for one in ids if one})
    return dict(session.exec(select(Account.id, Account.name).where(col(Account.id).in_(wanted))).all())


def all_of(documents: Iterable[Mapping[str, Any]], name: str) -> list[str | None]:
    """Return the ids that documents hold under a name."""
    return [document[name] for document in documents]
