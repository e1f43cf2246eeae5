"""What cases name by id, as people call it.

In: cases' documents and who asks. Out: titles of needs, names of labs, schools, companies, alliances and people. It
exists because a case stores ids and a page shows names; the title of a need only to who reads it unsealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from api.pages.record_names import Names, all_of, names, people, titles
from indexer.records import Alliance, Company, Lab
from matcher.people import Principal


@dataclass(frozen=True)
class CaseNames:
    """Names by id; what is missing is not for this person to read, or does not exist."""

    needs: Mapping[str, str]
    labs: Names
    schools: Mapping[str, str | None]
    companies: Names
    alliances: Names
    people: Mapping[str, str]


def names_in(session: Session, who: Principal, cases: Iterable[Mapping[str, Any]]) -> CaseNames:
    """Return the names of what cases name."""
    found = list(cases)
    owners = {one["owner_id"] for one in found}
    owners |= {row["by"] for one in found for row in (*one["steps"], *one["contacts"])}
    labs = {one["lab_id"] for one in found}
    return CaseNames(
        needs=titles(session, who, all_of(found, "need_id")),
        labs=names(session, Lab, labs),
        schools=dict(session.exec(select(Lab.id, Lab.school).where(col(Lab.id).in_(labs))).all()),
        companies=names(session, Company, all_of(found, "company_id")),
        alliances=names(session, Alliance, all_of(found, "alliance_id")),
        people=people(session, owners),
    )
