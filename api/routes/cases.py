"""Cases on their way, and the contacts made.

In: what experts report. Out: the case, and what was noted.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.answers import Page
from api.asking import Asking, asking
from api.bodies import MAX_ID, ContactBody, TransitionBody
from api.case_answers import CaseAnswer, ContactAnswer
from api.idempotency import Reply
from api.paging import Cursor, Limit, decoded, page
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from api.visibility import cases as visible
from api.visibility import companies as visible_companies
from indexer.records import Company
from matcher.cases import Case, CaseStep, Contact, Stage, add_contact, move_case
from matcher.people import Principal
from matcher.roles import Role

router = APIRouter(prefix="/api", tags=["cases"], route_class=ThreadedRoute)

CaseId = Annotated[int, Path(ge=1, le=MAX_ID)]
_STAFF = (Role.EXPERT, Role.LEAD)


@router.get("/cases", response_model=Page[CaseAnswer])
def list_cases(
    ask: Annotated[Asking, Depends(asking(Resource.CASE, Action.LIST))],
    stage: Annotated[Stage | None, Query(description="Only those at this stage.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List your alliance's cases, oldest first."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Case).where(visible(who, Action.LIST)).order_by(col(Case.id)).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(Case.id) > after)
        if stage is not None:
            query = query.where(Case.stage == stage.value)
        return Reply(
            200, page([case_document(session, who, case) for case in session.exec(query).all()], limit, "id"), {}
        )

    return ask.read(work)


@router.get("/cases/{case_id}", response_model=CaseAnswer)
def read_case(case_id: CaseId, ask: Annotated[Asking, Depends(asking(Resource.CASE, Action.READ))]) -> Response:
    """Read a case with its steps and contacts; its ETag is what a transition sends as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        case = _find(session, who, case_id, Action.READ)
        return Reply(200, case_document(session, who, case), {"ETag": _etag(case)})

    return ask.read(work)


@router.post("/cases/{case_id}/transition", response_model=CaseAnswer)
def move_case_on(
    case_id: CaseId, body: TransitionBody, ask: Annotated[Asking, Depends(asking(Resource.CASE, Action.MOVE))]
) -> Response:
    """Move a case on. With If-Match, only if nobody else moved it since you read it."""

    def work(session: Session, who: Principal) -> Reply:
        case = _find(session, who, case_id, Action.MOVE)
        if "If-Match" in ask.request.headers:
            ask.must_match(_etag(case))
        moved = move_case(
            session, case_id=case_id, stage=body.stage, reason=body.reason, note=body.note, by=who.id, now=ask.at
        )
        return Reply(200, case_document(session, who, moved), {"ETag": _etag(moved)})

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


def _find(session: Session, who: Principal, case_id: int, action: Action) -> Case:
    query = select(Case).where(Case.id == case_id, visible(who, action))
    case = session.exec(query if action is Action.READ else query.with_for_update()).first()
    if case is None:
        raise not_found("case")
    return case


def _etag(case: Case) -> str:
    return f'"{case.id}-{case.version}"'


def case_document(session: Session, who: Principal, case: Case) -> dict[str, Any]:
    """Return a case with its steps and contacts as a person may see it; notes stay in its alliance."""
    steps = session.exec(select(CaseStep).where(CaseStep.case_id == case.id).order_by(col(CaseStep.version))).all()
    contacts = session.exec(select(Contact).where(Contact.case_id == case.id).order_by(col(Contact.id))).all()
    inside = case.alliance_id in who.scopes(*_STAFF)
    hidden = set() if inside else {"note", "next_step"}
    return {
        **case.model_dump(mode="json"),
        "steps": [step.model_dump(mode="json", exclude=hidden) for step in steps],
        "contacts": [contact.model_dump(mode="json", exclude=hidden) for contact in contacts],
    }
