"""What cases name by id, as people call it.

In: cases' documents and who asks. Out: titles of needs, names of labs, schools, companies, alliances and people. It
exists because a case stores ids and a page shows names; the title of a need only to who reads it unsealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from api.pages.record_names import Names, all_of, called, titles, without_english
from indexer.records import Alliance, Company, Lab
from matcher.people import Account, Principal


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
    companies, alliances = all_of(found, "company_id"), all_of(found, "alliance_id")
    others = called(session, {Company: companies, Alliance: alliances, Account: owners})
    labs = session.exec(
        select(Lab.id, Lab.name, Lab.name_en, Lab.school).where(col(Lab.id).in_({one["lab_id"] for one in found}))
    ).all()
    return CaseNames(
        needs=titles(session, who, all_of(found, "need_id")),
        labs={lab_id: (name, name_en or "") for lab_id, name, name_en, _ in labs},
        schools={lab_id: school for lab_id, _, _, school in labs},
        companies=others[Company],
        alliances=others[Alliance],
        people=without_english(others[Account]),
    )
