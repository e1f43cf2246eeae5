"""What the server says of cases, contacts and the queue of what waits for an expert.

In: rows, who asks, and what is looked for. Out: JSON documents and the SQL conditions of a list; models for the
description of the API. It exists apart from the routes because lists, single cases, exports and pages show the same
case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from pydantic import Field
from sqlalchemy import ColumnElement, and_, union_all
from sqlalchemy import null as sql_null
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, func, select

from api.access.policy import Action
from api.access.visibility import cases as visible
from api.documents.answers import Answer
from matcher.review.case_teams import teams_of
from matcher.review.cases import OPEN_STAGES, Case, CaseStep, Contact, ContactKind, LostReason, Stage
from matcher.review.conversation.answers import SideWord
from matcher.review.conversation.thread import Side
from matcher.review.desk.handing_on import HandOver, carrier
from matcher.review.joint.visits import VisitState
from matcher.review.people import Principal
from matcher.review.roles import STAFF


class CaseStepAnswer(Answer):
    """One move of a case; the note is missing outside of its alliance."""

    id: int
    case_id: int
    version: int
    old: Stage
    new: Stage
    reason: LostReason | None
    note: str = ""
    by: str
    at: datetime


class ContactAnswer(Answer):
    """One time that an expert was in touch; note and next step are missing outside of the alliance."""

    id: int
    case_id: int | None
    company_id: str | None
    alliance_id: str
    kind: ContactKind
    held_on: date
    note: str = ""
    next_step: str = ""
    next_on: date | None
    by: str
    at: datetime


class CaseFileAnswer(Answer):
    """A case without its history."""

    id: int
    pairing_id: int
    decision_id: int
    need_id: str
    lab_id: str
    company_id: str | None
    alliance_id: str
    owner_id: str = Field(description="Who accepted the pairing.")
    stage: Stage
    version: int
    opened_at: datetime


class TeamCaseAnswer(Answer):
    """A case of a team."""

    case_id: int
    lab_id: str
    name: str
    name_en: str
    stage: Stage
    leads: bool


class HandOverAnswer(Answer):
    """That a case was handed to a colleague."""

    given_to: str
    note: str = ""
    by: str
    at: datetime


class CaseAnswer(CaseFileAnswer):
    """A case with its steps and contacts; `team` has all cases that it is carried together with, itself too."""

    expert_id: str = Field(description="Whose it is now: its owner's, or the colleague's to whom it was handed.")
    handed_on: list[HandOverAnswer]
    team: list[TeamCaseAnswer]
    steps: list[CaseStepAnswer]
    contacts: list[ContactAnswer]


class WaitingNeedAnswer(Answer):
    """A need that nobody has taken up."""

    id: str
    title: str
    company: str | None
    company_name: str | None
    submitted_at: datetime
    shared: bool = Field(description="It is another alliance's, which takes it up; you may match it.")


class UnmatchedNeedAnswer(Answer):
    """A need of yours that was taken up and for which no lab was looked for yet."""

    id: str
    title: str
    company: str | None
    company_name: str | None
    taken_up_at: datetime
    expert: str | None


class NeedToReviewAnswer(Answer):
    """A need for which labs were proposed that nobody has said a word on; `since` is when the first was shown."""

    need_id: str
    title: str
    company: str | None
    company_name: str | None
    waiting: int
    since: datetime


class WaitingPairingAnswer(Answer):
    """A pairing that waits for a verdict."""

    id: int
    need_id: str
    need_title: str
    lab_id: str
    lab_name: str
    lab_name_en: str
    deferred_until: date | None


class FollowUpAnswer(Answer):
    """A next step whose day has come; `held_on` is when somebody was last in touch."""

    contact_id: int
    case_id: int | None
    company_id: str | None
    company_name: str | None
    need_id: str | None
    need_title: str | None
    held_on: date
    next_step: str
    next_on: date | None


class SilentCaseAnswer(Answer):
    """An open case in which nobody was in touch for long."""

    case_id: int
    need_id: str
    need_title: str | None
    lab_id: str
    lab_name: str
    lab_name_en: str
    company_id: str | None
    last_contact: date | None
    opened_at: datetime


class SilentCompanyAnswer(Answer):
    """A company of the portfolio, looked after since a moment, that was not contacted for long."""

    company_id: str
    name: str
    name_en: str
    last_contact: date | None
    since: datetime
    expert: str | None


class DueVisitAnswer(Answer):
    """A joint visit whose day has come, or that was held and has no report yet."""

    visit_id: int
    visit_state: VisitState
    company_id: str
    name: str
    name_en: str
    held_on: date
    due_on: date | None = Field(description="The day of a visit that is planned.")
    expert_id: str = Field(description="Who planned it.")


class SaidAnswer(Answer):
    """A side's answer or question that nobody of the alliance has acted on."""

    pairing_id: int
    need_id: str
    need_title: str
    lab_id: str
    lab_name: str
    lab_name_en: str
    side: Side
    word: SideWord | None = Field(description="The answer; null if it is a message that nobody answered.")
    case_id: int | None
    at: datetime


class QueueAnswer(Answer):
    """What waits for you."""

    answers: list[SaidAnswer]

    new_needs: list[WaitingNeedAnswer]
    needs_to_match: list[UnmatchedNeedAnswer]
    needs_to_review: list[NeedToReviewAnswer]
    pairings_to_review: list[WaitingPairingAnswer]
    deferred_due: list[WaitingPairingAnswer] = Field(description="Those that were deferred until a day that has come.")
    follow_ups_due: list[FollowUpAnswer]
    silent_cases: list[SilentCaseAnswer]
    silent_companies: list[SilentCompanyAnswer]
    visits_due: list[DueVisitAnswer]


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
            found.append(carrier() == who.id)
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
    contacts: dict[int | None, list[Contact]] = defaultdict(list)
    steps, handed = _moves(session, ids)
    for contact in session.exec(select(Contact).where(col(Contact.case_id).in_(ids)).order_by(col(Contact.id))):
        contacts[contact.case_id].append(contact)
    teams = teams_of(session, [case.id or 0 for case in cases])
    inside = who.scopes(*STAFF)
    hidden = {case.id: set() if case.alliance_id in inside else {"note", "next_step"} for case in cases}
    unsaid = {"id", "need_id", "case_id"}
    return [
        {
            **case.model_dump(mode="json"),
            "expert_id": handed[case.id][-1].given_to if handed[case.id] else case.owner_id,
            "handed_on": [one.model_dump(mode="json", exclude=unsaid | hidden[case.id]) for one in handed[case.id]],
            "team": [asdict(one) for one in teams.get(case.id or 0, ())],
            "steps": [step.model_dump(mode="json", exclude=hidden[case.id]) for step in steps[case.id]],
            "contacts": [one.model_dump(mode="json", exclude=hidden[case.id]) for one in contacts[case.id]],
        }
        for case in cases
    ]


def _moves(
    session: Session, ids: Sequence[int | None]
) -> tuple[Mapping[int | None, list[CaseStep]], Mapping[int | None, list[HandOver]]]:
    """Return by case its steps and to whom it was handed, each in its order; in one statement, as pages have few."""
    taken = select_columns(
        *(col(one) for one in (CaseStep.id, CaseStep.case_id, CaseStep.version, CaseStep.old, CaseStep.new)),
        *(col(one) for one in (CaseStep.reason, CaseStep.note, CaseStep.by, CaseStep.at)),
    ).where(col(CaseStep.case_id).in_(ids))
    given = select_columns(
        *(col(HandOver.id), col(HandOver.case_id), sql_null(), sql_null(), col(HandOver.given_to)),
        *(sql_null(), col(HandOver.note), col(HandOver.by), col(HandOver.at)),
    ).where(col(HandOver.case_id).in_(ids))
    steps: defaultdict[int | None, list[CaseStep]] = defaultdict(list)
    handed: defaultdict[int | None, list[HandOver]] = defaultdict(list)
    for number, case_id, version, old, new, reason, note, by, at in session.execute(union_all(taken, given)):
        if version is None:
            handed[case_id].append(HandOver(id=number, case_id=case_id, given_to=new, note=note, by=by, at=at))
        else:
            said: dict[str, Any] = {"old": old, "new": new, "reason": reason, "note": note, "by": by, "at": at}
            steps[case_id].append(CaseStep(id=number, case_id=case_id, version=version, **said))
    for one in steps.values():
        one.sort(key=lambda step: step.version)
    for row in handed.values():
        row.sort(key=lambda hand: hand.id or 0)
    return steps, handed


def case_document(session: Session, who: Principal, case: Case) -> dict[str, Any]:
    """Return one case; see `case_documents`."""
    (document,) = case_documents(session, who, [case])
    return document
