"""Researchers claim their labs; the programme office and the alliance on the spot say yes or no.

In: a lab's name, a statement, a verdict. Out: claims; of labs that are not the own one the name and the school only.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, or_, select

from api.answers import Page
from api.asking import Asking, asking
from api.bodies import MAX_ID, ClaimBody, ClaimVerdictBody
from api.idempotency import Reply
from api.paging import Cursor, Limit, decoded, page
from api.people_answers import ClaimAnswer, LabNameAnswer, WaitingClaimAnswer
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from api.visibility import claims as visible
from indexer.instants import day_in_taipei
from indexer.records import Lab, School
from matcher.claims import LabClaim, claim, decide_claim
from matcher.people import Account, Principal

router = APIRouter(prefix="/api", tags=["claims"], route_class=ThreadedRoute)

ClaimId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.get("/lab-names", response_model=Page[LabNameAnswer])
def find_lab_names(
    q: Annotated[str, Query(min_length=2, max_length=100, description="Part of the lab's name, at least two letters.")],
    ask: Annotated[Asking, Depends(asking(Resource.LAB_NAME, Action.LIST))],
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Find a lab by a part of its name, to claim it: its id, name and school, nothing else."""

    def work(session: Session, _who: Principal) -> Reply:
        alike = or_(col(Lab.name).icontains(q, autoescape=True), col(Lab.name_en).icontains(q, autoescape=True))
        query = (
            select(Lab, School.name)
            .join(School, col(School.id) == col(Lab.school), isouter=True)
            .where(alike)
            .order_by(col(Lab.id))
            .limit(limit + 1)
        )
        after = decoded(cursor, str)
        if after is not None:
            query = query.where(col(Lab.id) > after)
        items = [
            {"id": lab.id, "name": lab.name, "name_en": lab.name_en, "school": school or lab.school}
            for lab, school in session.exec(query).all()
        ]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.post("/labs/{lab_id}/claims", status_code=201, response_model=ClaimAnswer)
def claim_lab(
    lab_id: str, body: ClaimBody, ask: Annotated[Asking, Depends(asking(Resource.CLAIM, Action.CREATE))]
) -> Response:
    """Ask for a lab that is yours; say what shows it."""

    def work(session: Session, who: Principal) -> Reply:
        if session.exec(select(Lab.id).where(Lab.id == lab_id)).first() is None:
            raise not_found("lab")
        asked = claim(session, account_id=who.id, lab_id=lab_id, statement=body.statement, now=ask.at)
        return Reply(201, _document(asked), {})

    return ask.write(work, body)


@router.get("/me/claims", response_model=Page[ClaimAnswer])
def list_own_claims(
    ask: Annotated[Asking, Depends(asking(Resource.CLAIM, Action.LIST))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List your claims with what became of them, oldest first."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(LabClaim).where(LabClaim.account_id == who.id).order_by(col(LabClaim.id)).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(LabClaim.id) > after)
        return Reply(200, page([_document(asked) for asked in session.exec(query).all()], limit, "id"), {})

    return ask.read(work)


@router.get("/claims", response_model=Page[WaitingClaimAnswer])
def list_waiting_claims(
    ask: Annotated[Asking, Depends(asking(Resource.CLAIM, Action.DECIDE))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the claims that wait for you, oldest first: of labs at your alliance's schools, or all for the office."""

    def work(session: Session, who: Principal) -> Reply:
        query = (
            select(LabClaim, Lab, Account)
            .join(Lab, col(Lab.id) == col(LabClaim.lab_id))
            .join(Account, col(Account.id) == col(LabClaim.account_id))
            .where(visible(who, Action.DECIDE, _today(ask)), col(LabClaim.verdict).is_(None))
            .order_by(col(LabClaim.id))
            .limit(limit + 1)
        )
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(LabClaim.id) > after)
        items = [
            {
                **_document(asked),
                "lab_name": lab.name,
                "school": lab.school,
                "claimant": {"name": claimant.name, "email": claimant.email},
            }
            for asked, lab, claimant in session.exec(query).all()
        ]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.post("/claims/{claim_id}/verdict", response_model=ClaimAnswer)
def decide_on_claim(
    claim_id: ClaimId, body: ClaimVerdictBody, ask: Annotated[Asking, Depends(asking(Resource.CLAIM, Action.DECIDE))]
) -> Response:
    """Approve a claim, which makes the claimant a researcher of the lab at once, or refuse it with a reason."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(LabClaim.id).where(LabClaim.id == claim_id, visible(who, Action.DECIDE, _today(ask)))
        if session.exec(query).first() is None:
            raise not_found("claim")
        decided = decide_claim(
            session, claim_id=claim_id, verdict=body.verdict, reason=body.reason, by=who.id, now=ask.at
        )
        return Reply(200, _document(decided), {})

    return ask.write(work, body)


def _today(ask: Asking) -> Any:
    return day_in_taipei(ask.at)


def _document(asked: LabClaim) -> dict[str, Any]:
    return asked.model_dump(mode="json", exclude={"decided_by"}) | {"state": asked.verdict or "waiting"}
