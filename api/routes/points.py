"""Points: what faculty and staff of an alliance did for it, and what that pays.

In: activities of people, by pseudonym. Out: rows of points, and the payout of a
subsidy year, which sums exactly to its pot.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session, col, select

from api.asking import Asking, asking
from api.bodies import MAX_ID
from api.filtering import chosen_alliances
from api.idempotency import Reply
from api.ledger_visibility import reached_alliances
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from api.routes.entries import KpiYear
from api.routes.standing import ThisAlliance
from api.routes.sufficiency import chosen_subsidy_year
from api.standing_answers import PointRowAnswer, PointsAnswer
from api.standing_bodies import PointBody, TakeBackBody
from indexer.instants import day_in_taipei
from matcher.ledger.periods import roc_year, subsidy_days
from matcher.ledger.points import PointRow, earn, payout, take_points_back
from matcher.people import Principal

router = APIRouter(prefix="/api", tags=["alliances"], route_class=ThreadedRoute)

PointRowId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.post("/alliances/{alliance_id}/points", status_code=201, response_model=PointRowAnswer)
def earn_points(
    alliance_id: ThisAlliance, body: PointBody, ask: Annotated[Asking, Depends(asking(Resource.POINT, Action.CREATE))]
) -> Response:
    """Note an activity of a registered person; it earns what the document `points` gives for it now."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        row = earn(session, alliance_id=alliance_id, by=who.id, now=ask.at, **dict(body))
        return Reply(201, row.model_dump(mode="json"), {})

    return ask.write(work, body)


@router.get("/alliances/{alliance_id}/points", response_model=PointsAnswer)
def read_points(
    alliance_id: ThisAlliance,
    ask: Annotated[Asking, Depends(asking(Resource.POINT, Action.READ))],
    year: KpiYear = None,
) -> Response:
    """Read the points of a subsidy year, the running one if none is named, and what each person is paid for them."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        chosen = chosen_subsidy_year(year, day_in_taipei(ask.at))
        paid = payout(session, alliance_id=alliance_id, year=chosen, as_of=ask.at)
        these = (PointRow.alliance_id == alliance_id, col(PointRow.occurred_on).between(*subsidy_days(chosen)))
        rows = session.exec(select(PointRow).where(*these).order_by(col(PointRow.id))).all()
        document = {
            "alliance": alliance_id,
            "year": chosen,
            "roc_year": roc_year(chosen),
            "closed": paid.closed,
            "pot_ntd": paid.pot_ntd,
            "payout": [
                {"person": person, "points": points, "ntd": paid.ntd[person]} for person, points in paid.points.items()
            ],
            "rows": [row.model_dump(mode="json") for row in rows],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/point-rows/{point_row_id}/reverse", status_code=201, response_model=PointRowAnswer)
def reverse_point_row(
    point_row_id: PointRowId,
    body: TakeBackBody,
    ask: Annotated[Asking, Depends(asking(Resource.POINT, Action.REVERSE))],
) -> Response:
    """Take points back, once."""

    def work(session: Session, who: Principal) -> Reply:
        row = session.get(PointRow, point_row_id)
        reached = reached_alliances(who, ask.resource, ask.action)
        if row is None or (reached is not None and row.alliance_id not in reached):
            raise not_found("row")
        reversal = take_points_back(session, row_id=point_row_id, reason=body.reason, by=who.id, now=ask.at)
        return Reply(201, reversal.model_dump(mode="json"), {})

    return ask.write(work, body)
