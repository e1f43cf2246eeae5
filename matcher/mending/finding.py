"""Finding a record by what it is called, whatever has become of it.

In: words. Out: labs, companies, schools and people that these words name, retired ones too. It exists
because every other search leaves out what is retired, and whoever mends has to find just that.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Table, select
from sqlmodel import Session

from indexer.folding import for_search
from indexer.records.mended.retired import retired_ids
from indexer.vocabulary import Mendable
from matcher.mending.retiring import MODELS

_SEARCHED = {
    Mendable.LAB: ("id", "name", "name_en", "pi", "orcid"),
    Mendable.COMPANY: ("id", "name", "name_en", "tax_id"),
    Mendable.SCHOOL: ("id", "name", "name_en", "ror"),
    Mendable.PERSON: ("id", "name", "email"),
}


@dataclass(frozen=True)
class FoundRecord:
    """One record; `beside` is what tells it from others of its name: a lab's school, a company's tax id, an address."""

    kind: Mendable
    id: str
    name: str
    name_en: str
    beside: str
    is_retired: bool


_BESIDE = {Mendable.LAB: "school", Mendable.COMPANY: "tax_id", Mendable.SCHOOL: "city", Mendable.PERSON: "email"}


def find_records(session: Session, kind: Mendable, words: str, *, limit: int = 20) -> list[FoundRecord]:
    """Return records of a kind that have the words, in the order of their ids.

    Args:
        session: read only.
        kind: a lab, a company, a school or a person; nothing else is found here.
        words: as they stand in the name, in any script and width; without any nothing is found.
        limit: how many at most.
    """
    wanted = for_search(words)
    if kind not in _SEARCHED or not wanted:
        return []
    table: Table = MODELS[kind].__table__  # type: ignore[attr-defined]
    columns = [table.c[name] for name in _SEARCHED[kind]]
    rows = session.connection().execute(select(*columns, table.c[_BESIDE[kind]].label("beside")).order_by(table.c.id))
    found = [row for row in rows if any(wanted in for_search(str(said)) for said in row[: len(columns)] if said)]
    retired = retired_ids(session, kind)
    return [
        FoundRecord(kind, row.id, row.name, getattr(row, "name_en", ""), row.beside or "", row.id in retired)
        for row in found[:limit]
    ]
