"""Cases on their way, and the contacts made.

In: what experts report. Out: the case, and what was noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, or_, select

from api.access.policy import Action, Resource
from api.access.visibility import cases as visible
from api.access.visibility import companies as visible_companies
from api.documents.answers import Page
from api.documents.bodies import MAX_ROW_NUMBER, ContactBody, SigningBody, TransitionBody
from api.documents.cases import CaseAnswer, CaseFilter, ContactAnswer, case_document, case_documents, case_etag
from api.letters.caring import holders
from api.letters.telling import tell_of_moved_case, tell_of_next_in_chain
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import Cursor, Limit, decoded, page
from api.trail.audit_trail import was_seen
from indexer.instants import day_in_taipei
from indexer.records.record_tables import Company
from indexer.wording import T_
from matcher.ledger.rows.evidence import files_sent
from matcher.review.cases import Case, Stage, add_contact, introduced_at, move_case, take_introduction
from matcher.review.conversation.answers import answers_of
from matcher.review.conversation.signing import sign
from matcher.review.conversation.thread import Side
from matcher.review.people import Principal
from matcher.review.roles import STAFF, Role

router = APIRouter(prefix="/api", tags=["cases"], route_class=ThreadedRoute)

CaseId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.get("/cases", response_model=Page[CaseAnswer])
def list_cases(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CASE, Action.LIST))],
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


def list_cases_by_stage(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CASE, Action.LIST))],
    *,
    stages: Sequence[Stage],
    mine: bool,
    overdue: bool,
    limit: int,
) -> Response:
    """List the first cases of each of several stages, as `list_cases` lists those of one."""
    day = day_in_taipei(ask.at) if overdue else None

    def work(session: Session, who: Principal) -> Reply:
        firsts = [
            select(Case.id)
            .where(CaseFilter(stage, mine, day).condition(who))
            .order_by(col(Case.id))
            .limit(limit + 1)
            .correlate(None)
            for stage in stages
        ]
        query = select(Case).where(or_(*(col(Case.id).in_(first) for first in firsts))).order_by(col(Case.id))
        items = case_documents(session, who, session.exec(query).all())
        pages = {stage: page([one for one in items if one["stage"] == stage], limit, "id") for stage in stages}
        shown = [one for column in pages.values() for one in column["items"]]
        return Reply(200, {"items": shown, "next": {stage: column["next"] for stage, column in pages.items()}}, {})

    return ask.read(work)


@router.get("/cases/{case_id}", response_model=CaseAnswer)
def read_case(
    case_id: CaseId, ask: Annotated[PermittedRequest, Depends(requires(Resource.CASE, Action.READ))]
) -> Response:
    """Read a case with its steps and contacts; its ETag is what a transition sends as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        case = _find(session, who, case_id, Action.READ)
        return Reply(200, case_document(session, who, case), {"ETag": case_etag(case.id, case.version)})

    return ask.read(work)


@router.post("/cases/{case_id}/transition", response_model=CaseAnswer)
def move_case_on(
    case_id: CaseId,
    body: TransitionBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CASE, Action.MOVE))],
) -> Response:
    """Move a case on. With If-Match, only if nobody else moved it since you read it."""

    def work(session: Session, who: Principal) -> Reply:
        case = _find(session, who, case_id, Action.MOVE)
        if ask.sent("If-Match") is not None:
            ask.must_match(case_etag(case.id, case.version))
        moved = move_case(
            session, case_id=case_id, stage=body.stage, reason=body.reason, note=body.note, by=who.id, now=ask.at
        )
        if body.signing is not None:
            _signed(session, ask, who, moved, body.signing)
        tell_of_moved_case(session, moved, by=who.id, now=ask.at)
        tell_of_next_in_chain(session, moved, now=ask.at)
        return Reply(200, case_document(session, who, moved), {"ETag": case_etag(moved.id, moved.version)})

    return ask.write(work, body)


def _signed(session: Session, ask: PermittedRequest, who: Principal, case: Case, said: SigningBody) -> None:
    if said.document is not None and not files_sent(session, who.id, [said.document.sha256]):
        raise ProblemError(422, "invalid", T_("no file with this sha256 was stored; send the file first"), "document")
    given = said.model_dump(mode="python", exclude={"instalments"})
    parts = [one.model_dump(mode="json") for one in said.instalments]
    sign(session, case=case, by=who.id, now=ask.at, today=day_in_taipei(ask.at), instalments=parts, **given)


@router.delete("/cases/{case_id}/introduction", response_model=CaseAnswer)
def take_introduction_back(
    case_id: CaseId, ask: Annotated[PermittedRequest, Depends(requires(Resource.CASE, Action.MOVE))]
) -> Response:
    """Take an introduction back, as long as nobody of the lab has opened the need or said a word."""
    # What was seen is written down a moment after it was shown.
    is_known = ask.request.app.state.views.settle()

    def work(session: Session, who: Principal) -> Reply:
        case = _find(session, who, case_id, Action.MOVE)
        opened = not is_known or _opened(session, case)
        taken = take_introduction(session, case=case, opened=opened, by=who.id, now=ask.at)
        return Reply(200, case_document(session, who, taken), {"ETag": case_etag(taken.id, taken.version)})

    return ask.write(work)


def _opened(session: Session, case: Case) -> bool:
    """Whether anybody of the lab has met the need since the lab was introduced, in any answer, or has said a word."""
    since = introduced_at(session, case)
    if since is None:
        return False
    spoken = [row for row in answers_of(session, case.pairing_id, Side.LAB) if row.at >= since]
    people = holders(session, [Role.RESEARCHER], [case.lab_id])
    return bool(spoken) or was_seen(session, kind="need", subject_id=case.need_id, by=people, since=since)


@router.post("/cases/{case_id}/contacts", status_code=201, response_model=ContactAnswer)
def contact_in_case(
    case_id: CaseId,
    body: ContactBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CASE, Action.CONTACT))],
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
    company_id: str,
    body: ContactBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.COMPANY, Action.CONTACT))],
) -> Response:
    """Record a contact with a company of your portfolio, without a case."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Company.id).where(Company.id == company_id, visible_companies(who, Action.CONTACT))
        if session.exec(query).first() is None or ("company", company_id) in who.stakes:
            raise not_found("company")
        contact = add_contact(
            session,
            alliance_id=min(who.scopes(*STAFF)),
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
