"""What cases name by id, as people call it.

In: cases' documents and who asks. Out: titles of needs, names of labs, schools, companies, alliances and people. It
exists because a case stores ids and a page shows names; the title of a need only to who reads it unsealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from api.pages.scopes import Names
from api.policy import Action
from api.visibility import needs as visible_needs
from api.visibility import readable
from indexer.records import Alliance, Company, Lab, Need, School
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
    people = {one["owner_id"] for one in found}
    people |= {row["by"] for one in found for row in (*one["steps"], *one["contacts"])}
    labs = {one["lab_id"] for one in found}
    rows = session.exec(
        select(Need.id, Need.title).where(
            col(Need.id).in_({one["need_id"] for one in found}), visible_needs(who, Action.READ), readable(who)
        )
    ).all()
    return CaseNames(
        needs=dict(rows),
        labs=named(session, Lab, labs),
        schools=dict(session.exec(select(Lab.id, Lab.school).where(col(Lab.id).in_(labs))).all()),
        companies=named(session, Company, {one["company_id"] for one in found if one["company_id"]}),
        alliances=named(session, Alliance, {one["alliance_id"] for one in found}),
        people=people_named(session, people),
    )


def named(session: Session, model: type[Alliance | Company | Lab | School], ids: Iterable[str] | None = None) -> Names:
    """Return the Chinese and English names of records of one kind by id; without ids of all of them."""
    query = select(model.id, model.name, model.name_en).order_by(col(model.name))
    if ids is not None:
        query = query.where(col(model.id).in_(list(ids)))
    return {one: (name, name_en) for one, name, name_en in session.execute(query).all()}


def people_named(session: Session, ids: Iterable[str]) -> dict[str, str]:
    """Return what accounts are called."""
    rows = session.exec(select(Account.id, Account.name).where(col(Account.id).in_(list(ids)))).all()
    return {one: name for one, name in rows if name}
