"""What the ids in needs are called: companies, schools, alliances and the experts who took them up.

In: documents of needs as the API answers them. Out: names by id. It exists
because a person reads names where a program follows ids; who may see a need may
see what those in it are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from indexer.records import Alliance, Company, School
from matcher.people import Account


@dataclass(frozen=True)
class NeedNames:
    """Names by id; a party has its name and its English name, which may be empty."""

    companies: Mapping[str, tuple[str, str]]
    schools: Mapping[str, tuple[str, str]]
    alliances: Mapping[str, tuple[str, str]]
    accounts: Mapping[str, str]


def names_of(session: Session, needs: Iterable[Mapping[str, Any]]) -> NeedNames:
    """Return the names of everybody whom the needs mention."""
    documents = list(needs)

    def wanted(name: str) -> list[str]:
        return sorted({document[name] for document in documents if document[name]})

    allied = {*wanted("alliance"), *(one for document in documents for one in document["shared_with"])}
    return NeedNames(
        _named(session, Company, wanted("company")),
        _named(session, School, wanted("school")),
        _named(session, Alliance, sorted(allied)),
        dict(session.exec(select(Account.id, Account.name).where(col(Account.id).in_(wanted("expert")))).all()),
    )


def _named(
    session: Session, table: type[Company] | type[School] | type[Alliance], ids: list[str]
) -> dict[str, tuple[str, str]]:
    rows = session.exec(select(table.id, table.name, table.name_en).where(col(table.id).in_(ids))).all()
    return {str(key): (name, name_en or "") for key, name, name_en in rows}
