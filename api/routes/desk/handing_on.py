"""Needs and cases handed to a colleague over HTTP.

In: a need or a case, and to whom. Out: the document as it is now; the colleague is told. It exists because work that
only ends with whoever began it stands still when they are away. Companies are handed on by `look_after`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session, select

from api.access.policy import Action, Resource
from api.access.visibility import cases as visible_cases
from api.documents.answers import NeedAnswer
from api.documents.bodies import HandOverBody
from api.documents.cases import CaseAnswer, case_document, case_etag
from api.letters.telling import tell_of_handed_on
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from api.routes.cases import CaseId
from api.routes.needs import find_need, must_own, need_document
from matcher.review.cases import Case
from matcher.review.desk.handing_on import hand_case, hand_need
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["queue"], route_class=ThreadedRoute)


@router.put("/needs/{need_id}/expert", response_model=NeedAnswer)
def hand_need_on(
    need_id: str, body: HandOverBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.HAND_ON))]
) -> Response:
    """Hand a need that was taken up to a colleague of the alliance, with the open cases that go with it."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.HAND_ON, lock=True)
        must_own(session, who, need_id)
        hand_need(session, need_id=need_id, to=body.expert, note=body.note, by=who.id, now=ask.at)
        tell_of_handed_on(session, need_id=need_id, case_id=None, to=body.expert, by=who.id, now=ask.at)
        return Reply(200, need_document(session, who, need_id, to=ask), {})

    return ask.write(work, body)


@router.put("/cases/{case_id}/expert", response_model=CaseAnswer)
def hand_case_on(
    case_id: CaseId,
    body: HandOverBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CASE, Action.HAND_ON))],
) -> Response:
    """Hand an open case to a colleague of the alliance; who accepted the pairing stays who accepted it."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Case).where(Case.id == case_id, visible_cases(who, Action.HAND_ON)).with_for_update()
        case = session.exec(query).first()
        if case is None:
            raise not_found("case")
        if hand_case(session, case=case, to=body.expert, note=body.note, by=who.id, now=ask.at):
            tell_of_handed_on(session, need_id=case.need_id, case_id=case.id, to=body.expert, by=who.id, now=ask.at)
        return Reply(200, case_document(session, who, case), {"ETag": case_etag(case.id, case.version)})

    return ask.write(work, body)
