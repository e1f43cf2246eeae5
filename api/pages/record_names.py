"""What the ids in documents are called: companies, labs, needs, schools, alliances, people.

In: ids as the API's documents have them. Out: names by id. It exists because a
person reads names where a program follows ids; who is shown an id by the API
may read what it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import Select, literal, select, union_all
from sqlmodel import Session, col

from api.policy import Action
from api.visibility import needs as visible_needs
from api.visibility import readable
from indexer.records import Alliance, Company, Lab, Need, School
from matcher.people import Account, Principal

Named = type[Company] | type[Lab] | type[School] | type[Alliance]
NamedOrPerson = Named | type[Account]
Names = Mapping[str, tuple[str, str]]


def names(session: Session, table: Named, ids: Iterable[str | None]) -> Names:
    """Return name and English name, which may be empty, by id."""
    return called(session, {table: ids})[table]


def called(session: Session, ids: Mapping[NamedOrPerson, Iterable[str | None]]) -> Mapping[NamedOrPerson, Names]:
    """Return name and English name, which may be empty, by id, of records of several kinds in one query."""
    wanted = {table: sorted({one for one in some if one}) for table, some in ids.items()}
    found: dict[NamedOrPerson, dict[str, tuple[str, str]]] = {table: {} for table in ids}
    queries = [_called(table, some) for table, some in wanted.items() if some]
    if queries:
        tables = {table.__name__: table for table in ids}
        for kind, key, name, name_en in session.connection().execute(union_all(*queries)):
            found[tables[kind]][str(key)] = (name, name_en or "")
    return found


def _called(table: NamedOrPerson, ids: list[str]) -> Select[Any]:
    name_en = literal("") if table is Account else cast(Named, table).name_en
    columns: tuple[Any, ...] = (literal(table.__name__).label("kind"), table.id, table.name, name_en)
    return select(*columns).where(col(table.id).in_(ids))


def every(session: Session, table: Named) -> Names:
    """Return name and English name of all records of a kind by id, in the order of their names."""
    columns: tuple[Any, ...] = (table.id, table.name, table.name_en)
    rows = session.execute(select(*columns).order_by(col(table.name)))
    return {str(key): (name, name_en or "") for key, name, name_en in rows}


def titles(session: Session, who: Principal, ids: Iterable[str | None]) -> Mapping[str, str]:
    """Return the titles of needs by id, of those that the person reads: a seal is not broken in passing."""
    wanted = sorted({one for one in ids if one})
    if not wanted:
        return {}
    query = select(col(Need.id), col(Need.title)).where(
        col(Need.id).in_(wanted), visible_needs(who, Action.READ), readable(who)
    )
    return {str(need_id): str(title) for need_id, title in session.execute(query)}


def people(session: Session, ids: Iterable[str | None]) -> Mapping[str, str]:
    """Return the names of accounts by id."""
    return without_english(called(session, {Account: ids})[Account])


def without_english(found: Names) -> Mapping[str, str]:
    """Return the names alone, for those who have no English one."""
    return {key: name for key, (name, _) in found.items()}


def all_of(documents: Iterable[Mapping[str, Any]], name: str) -> list[str | None]:
    """Return the ids that documents hold under a name."""
    return [document[name] for document in documents]
