"""What people and parties in a document are called.

In: a document of the API with its ids, wherever in it they stand. Out: names in
both languages. It exists beside `record_names` because documents of the ledger
hold ids of many kinds, in lists within lists. Where there is no name, the id is
shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from api.pages.record_names import Named, names, people
from indexer.records import Alliance, Company, Lab, School

_KINDS = {
    "reporter": "account",
    "by": "account",
    "moved_by": "account",
    "seconded_by": "account",
    "noted_by": "account",
    "ended_by": "account",
    "shown_to": "account",
    "school_id": "school",
    "alliance_id": "alliance",
    "company_id": "company",
    "lab_id": "lab",
}
"""Which fields of documents hold ids, and of what."""
_TABLES: dict[str, Named] = {"school": School, "alliance": Alliance, "lab": Lab, "company": Company}


@dataclass(frozen=True)
class Names:
    """Names in Chinese and English by kind and id."""

    known: Mapping[tuple[str, str], tuple[str, str]]

    def of(self, kind: str, one: str | None) -> tuple[str, str]:
        """Return the names of an account, school, alliance, company or lab; the id twice if there is none."""
        return self.known.get((kind, one or ""), (one or "", one or ""))


def names_in(session: Session, *documents: Any) -> Names:
    """Return the names of everybody and everything that some documents mention."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        for kind, one in _mentioned(document):
            ids[kind].add(one)
    known = {("account", one): (name or one,) * 2 for one, name in people(session, ids["account"]).items()}
    for kind, table in _TABLES.items():
        known |= {(kind, one): both for one, both in names(session, table, ids[kind]).items()}
    return Names(known)


def alliances_of(session: Session, reached: frozenset[str] | None) -> list[tuple[str, str, str]]:
    """Return id and names of the alliances that somebody reaches, None for all of them, by id."""
    query = select(Alliance.id, Alliance.name, Alliance.name_en).order_by(col(Alliance.id))
    if reached is not None:
        query = query.where(col(Alliance.id).in_(reached))
    return [(one, zh, en) for one, zh, en in session.exec(query).all()]


def _mentioned(document: Any) -> Iterator[tuple[str, str]]:
    if isinstance(document, Mapping):
        for key, value in document.items():
            if key in _KINDS and isinstance(value, str):
                yield _KINDS[key], value
            elif key == "shares" and isinstance(value, Mapping):
                yield from (("alliance", one) for one in value)
            elif key == "alliances" and isinstance(value, list):
                yield from (("alliance", one) for one in value if isinstance(one, str))
            elif key not in ("details", "explanation"):
                yield from _mentioned(value)
    elif isinstance(document, list):
        for one in document:
            yield from _mentioned(one)
