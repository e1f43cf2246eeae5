"""Who gets shown: how often the labs of each school were proposed for your needs, and accepted.

In: a number of days. Out: counts per school, and shares by the schools' prominence.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session

from api.asking import Asking, asking
from api.idempotency import Reply
from api.match_answers import ExposuresAnswer
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from api.visibility import needs as visible
from indexer.instants import day_in_taipei
from matcher.exposure import exposures, shares
from matcher.people import Principal

router = APIRouter(prefix="/api", tags=["pairings"], route_class=ThreadedRoute)


@router.get("/exposure", response_model=ExposuresAnswer)
def read_exposure(
    ask: Annotated[Asking, Depends(asking(Resource.EXPOSURE, Action.READ))],
    days: Annotated[int, Query(ge=1, le=3_650, description="What was shown within so many days.")] = 90,
) -> Response:
    """Count how often each school's labs were shown and accepted, over the pairings of all needs that you may see."""

    def work(session: Session, who: Principal) -> Reply:
        since = ask.at - timedelta(days=days)
        needs = visible(who, Action.READ, Resource.EXPOSURE)
        found = exposures(session, needs=needs, since=since, today=day_in_taipei(ask.at))
        document = {
            "since": since.isoformat(),
            "schools": [asdict(one) for one in found],
            "by_prominence": [asdict(share) for share in shares(found)],
        }
        return Reply(200, document, {})

    return ask.read(work)
