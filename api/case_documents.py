"""What the server says of cases, and which of them a list is about.

In: rows, who asks, and what is looked for. Out: JSON documents and SQL conditions. It exists apart from the routes
because lists, exports and pages show the same cases, and read the history of many of them at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, and_
from sqlmodel import Session, col, func, select

from api.policy import Action
from api.visibility import cases as visible
from matcher.cases import OPEN_STAGES, Case, CaseStep, Contact, Stage
from matcher.people import Principal
from matcher.roles import Role

_STAFF = (Role.EXPERT, Role.LEAD)


@dataclass(frozen=True)
class CaseFilter:
    """Which cases are looked for: at a stage, one's own, those whose next step is overdue on a day."""

    stage: Stage | None = None
    mine: bool = False
    overdue_on: date | None = None

    def condition(self, who: Principal) -> ColumnElement[bool]:
        """Return the condition on `Case`, of those that the person sees."""
        found = [visible(who, Action.LIST)]
        if self.stage is not None:
            found.append(col(Case.stage) == self.stage.value)
        if self.mine:
            found.append(col(Case.owner_id) == who.id)
        if self.overdue_on is not None:
            newest = (
                select(func.max(Contact.id)).where(col(Contact.case_id).is_not(None)).group_by(col(Contact.case_id))
            )
            late = select(Contact.case_id).where(col(Contact.id).in_(newest), col(Contact.next_on) < self.overdue_on)
            found.append(col(Case.stage).in_([stage.value for stage in OPEN_STAGES]))
            found.append(col(Case.id).in_(late))
        return and_(*found)


def case_etag(case_id: int | None, version: int) -> str:
    """Return the ETag of a case, which a transition sends as If-Match."""
    return f'"{case_id}-{version}"'


def case_documents(session: Session, who: Principal, cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Return cases with their steps and contacts as a person may see them; notes stay in their alliance."""
    ids = [case.id for case in cases]
    steps: dict[int | None, list[CaseStep]] = defaultdict(list)
    contacts: dict[int | None, list[Contact]] = defaultdict(list)
    for step in session.exec(select(CaseStep).where(col(CaseStep.case_id).in_(ids)).order_by(col(CaseStep.version))):
        steps[step.case_id].append(step)
    for contact in session.exec(select(Contact).where(col(Contact.case_id).in_(ids)).order_by(col(Contact.id))):
        contacts[contact.case_id].append(contact)
    inside = who.scopes(*_STAFF)
    hidden = {case.id: set() if case.alliance_id in inside else {"note", "next_step"} for case in cases}
    return [
        {
            **case.model_dump(mode="json"),
            "steps": [step.model_dump(mode="json", exclude=hidden[case.id]) for step in steps[case.id]],
            "contacts": [one.model_dump(mode="json", exclude=hidden[case.id]) for one in contacts[case.id]],
        }
        for case in cases
    ]


def case_document(session: Session, who: Principal, case: Case) -> dict[str, Any]:
    """Return one case; see `case_documents`."""
    (document,) = case_documents(session, who, [case])
    return document
