"""Cases on their way, the contacts made, and the queue of who to turn to next.

In: what experts report. Out: the case, and what is due.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, func, select

from api.answers import Page
from api.asking import Asking, asking
from api.bodies import MAX_ID, ContactBody, TransitionBody
from api.case_answers import CaseAnswer, ContactAnswer, QueueAnswer
from api.case_documents import CaseFilter, case_document, case_documents, case_etag
from api.idempotency import Reply
from api.paging import Cursor, Limit, decoded, page
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from api.visibility import cases as visible
from api.visibility import companies as visible_companies
from api.visibility import needs as visible_needs
from api.visibility import unconflicted
from indexer.instants import day_in_taipei
from indexer.records import Company, Need
from matcher.cases import OPEN_STAGES, Case, Contact, Stage, add_contact, move_case
from matcher.intake import NeedIntake, NeedState
from matcher.people import Principal
from matcher.proposals import PairingState, StoredPairing
from matcher.roles import Role

router = APIRouter(prefix="/api", tags=["cases"], route_class=ThreadedRoute)

CaseId = Annotated[int, Path(ge=1, le=MAX_ID)]
_STAFF = (Role.EXPERT, Role.LEAD)


@router.get("/cases", response_model=Page[CaseAnswer])
def list_cases(
    ask: Annotated[Asking, Depends(asking(Resource.CASE, Action.LIST))],
    stage: Annotated[Stage | None, Query(description="Only those at this stage.")] = None,
    mine: Annotated[bool, Query(description="Only those that you own.")] = False,
    overdue: Annotated[bool, Query(description="Only open ones whose next step was due before today.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List your alliance's cases, oldest first."""
    wanted = CaseFilter(stage, mine, day_in_taipei(ask.at) if overdue else None)

    def work(session: Session, who: Principal) -> Reply:
        query = select(Case).where(wanted.condition(who)).order_by(col(Case.id)).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(Case.id) > after)
        return Reply(200, page(case_documents(session, who, session.exec(query).all()), limit, "id"), {})

    return ask.read(work)


@router.get("/cases/{case_id}", response_model=CaseAnswer)
def read_case(case_id: CaseId, ask: Annotated[Asking, Depends(asking(Resource.CASE, Action.READ))]) -> Response:
    """Read a case with its steps and contacts; its ETag is what a transition sends as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        case = _find(session, who, case_id, Action.READ)
        return Reply(200, case_document(session, who, case), {"ETag": case_etag(case.id, case.version)})

    return ask.read(work)


@router.post("/cases/{case_id}/transition", response_model=CaseAnswer)
def move_case_on(
    case_id: CaseId, body: TransitionBody, ask: Annotated[Asking, Depends(asking(Resource.CASE, Action.MOVE))]
) -> Response:
    """Move a case on. With If-Match, only if nobody else moved it since you read it."""

    def work(session: Session, who: Principal) -> Reply:
        case = _find(session, who, case_id, Action.MOVE)
        if ask.sent("If-Match") is not None:
            ask.must_match(case_etag(case.id, case.version))
        moved = move_case(
            session, case_id=case_id, stage=body.stage, reason=body.reason, note=body.note, by=who.id, now=ask.at
        )
        return Reply(200, case_document(session, who, moved), {"ETag": case_etag(moved.id, moved.version)})

    return ask.write(work, body)


@router.post("/cases/{case_id}/contacts", status_code=201, response_model=ContactAnswer)
def contact_in_case(
    case_id: CaseId, body: ContactBody, ask: Annotated[Asking, Depends(asking(Resource.CASE, Action.CONTACT))]
) -> Response:
    """Record an introduction, a meeting or another contact within a case."""

    def work(session: Session, who: Principal) -> Reply:
        case = _find(session, who, case_id, Action.CONTACT)
        contact = add_contact(
            session,
            alliance_id=case.alliance_id,
            case=case,
            company_id=case.company_id,
            by=who.id,
            now=ask.at,
            **body.model_dump(),
        )
        return Reply(201, contact.model_dump(mode="json"), {})

    return ask.write(work, body)


@router.post("/companies/{company_id}/contacts", status_code=201, response_model=ContactAnswer)
def contact_company(
    company_id: str, body: ContactBody, ask: Annotated[Asking, Depends(asking(Resource.COMPANY, Action.CONTACT))]
) -> Response:
    """Record a contact with a company of your portfolio, without a case."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Company.id).where(Company.id == company_id, visible_companies(who, Action.CONTACT))
        if session.exec(query).first() is None or ("company", company_id) in who.stakes:
            raise not_found("company")
        contact = add_contact(
            session,
            alliance_id=min(who.scopes(*_STAFF)),
            case=None,
            company_id=company_id,
            by=who.id,
            now=ask.at,
            **body.model_dump(),
        )
        return Reply(201, contact.model_dump(mode="json"), {})

    return ask.write(work, body)


@router.get("/queue", response_model=QueueAnswer)
def read_queue(
    ask: Annotated[Asking, Depends(asking(Resource.QUEUE, Action.READ))],
    silent_days: Annotated[int, Query(ge=1, le=3_650, description="A company is silent after so many days.")] = 60,
    limit: Limit = 50,
) -> Response:
    """Show what waits for you: new needs, pairings to review, follow-ups due, companies not contacted for long."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, _queue(session, who, ask, silent_days, limit), {})

    return ask.read(work)


def _queue(session: Session, who: Principal, ask: Asking, silent_days: int, limit: int) -> dict[str, Any]:
    today = day_in_taipei(ask.at)
    seen = visible_needs(who, Action.READ)
    new = session.exec(
        select(Need.id, Need.title, Need.company, NeedIntake.submitted_at)
        .join(NeedIntake, col(NeedIntake.need_id) == Need.id)
        .where(seen, NeedIntake.state == NeedState.SUBMITTED.value)
        .order_by(col(NeedIntake.submitted_at), col(Need.id))
        .limit(limit)
    ).all()
    waiting = session.exec(
        select(StoredPairing)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            seen,
            unconflicted(who),
            (col(StoredPairing.state) == PairingState.PROPOSED.value)
            | (
                (col(StoredPairing.state) == PairingState.DEFERRED.value) & (col(StoredPairing.deferred_until) <= today)
            ),
        )
        .order_by(col(StoredPairing.id))
        .limit(limit)
    ).all()
    return {
        "new_needs": [
            {"id": row[0], "title": row[1], "company": row[2], "submitted_at": row[3].isoformat()} for row in new
        ],
        "pairings_to_review": [
            row.model_dump(mode="json", include={"id", "need_id", "lab_id", "deferred_until"}) for row in waiting
        ],
        "follow_ups_due": _due(session, who, today, limit),
        "silent_companies": _silent(session, who, ask.at - timedelta(days=silent_days), limit),
    }


def _due(session: Session, who: Principal, today: Any, limit: int) -> list[dict[str, Any]]:
    """The next steps whose day has come, each until the case or the company had a later contact."""
    newest = (
        select(func.max(Contact.id))
        .where(col(Contact.alliance_id).in_(who.scopes(*_STAFF)))
        .group_by(col(Contact.case_id), col(Contact.company_id))
    )
    rows = session.exec(
        select(Contact, Case.stage, Case.lab_id)
        .join(Case, col(Case.id) == Contact.case_id, isouter=True)
        .where(col(Contact.id).in_(newest), col(Contact.next_on) <= today)
        .order_by(col(Contact.next_on), col(Contact.id))
        .limit(limit)
    ).all()
    return [
        {
            "contact_id": contact.id,
            "case_id": contact.case_id,
            "company_id": contact.company_id,
            "next_step": contact.next_step,
            "next_on": contact.next_on.isoformat() if contact.next_on else None,
        }
        for contact, stage, lab_id in rows
        if (contact.case_id is None or stage in OPEN_STAGES)
        and not who.has_stake(company_id=contact.company_id, lab_id=lab_id)
    ]


def _silent(session: Session, who: Principal, before: Any, limit: int) -> list[dict[str, Any]]:
    last = (
        select(Contact.company_id, func.max(Contact.held_on).label("last"))
        .where(col(Contact.alliance_id).in_(who.scopes(*_STAFF)))
        .group_by(col(Contact.company_id))
        .subquery()
    )
    rows = session.execute(
        select(Company.id, Company.name, last.c.last)
        .join(last, last.c.company_id == Company.id, isouter=True)
        .where(visible_companies(who, Action.LIST), last.c.last.is_(None) | (last.c.last < before.date()))
        .order_by(last.c.last.is_not(None), last.c.last, col(Company.id))
        .limit(limit)
    ).all()
    return [{"company_id": i, "name": name, "last_contact": day and day.isoformat()} for i, name, day in rows]


def _find(session: Session, who: Principal, case_id: int, action: Action) -> Case:
    query = select(Case).where(Case.id == case_id, visible(who, action))
    case = session.exec(query if action is Action.READ else query.with_for_update()).first()
    if case is None:
        raise not_found("case")
    return case
