"""What roles are held in, by name.

In: ids of alliances, companies and labs. Out: their names in both languages. It
exists because people know names, and roles store ids.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import Session, col, select

from api.pages.record_names import names
from indexer.records import Alliance, Company, Lab

Names = dict[str, tuple[str, str]]


def names_of(session: Session, ids: Iterable[str]) -> Names:
    """Return the Chinese and English names of those that exist; an id of two kinds of records is the first's."""
    wanted = list(ids)
    found: Names = {}
    for model in (Lab, Company, Alliance):
        found |= names(session, model, wanted)
    return found


def alliance_names(session: Session) -> list[tuple[str, str, str]]:
    """Return id, Chinese and English name of every alliance, for choosing one."""
    rows = session.execute(select(Alliance.id, Alliance.name, Alliance.name_en).order_by(col(Alliance.id))).all()
    return [(one, name, name_en) for one, name, name_en in rows]
