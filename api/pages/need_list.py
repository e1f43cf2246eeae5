"""The list of needs: what waits, for whom, since when.

In: filters by state and text. Out: the needs that this person may see, a page at
a time, with the pairings that still wait for a verdict.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, func, select

from api.pages.menu import first_place
from api.pages.need_names import NeedNames, names_of
from api.pages.need_page import STAFF, days_waiting
from api.pages.visiting import Visit, visiting
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from api.routes.needs import list_needs
from api.visibility import unconflicted
from indexer.instants import day_in_taipei, now
from indexer.records import Need
from matcher.intake import NeedState
from matcher.people import Principal
from matcher.proposals import PairingState, StoredPairing
from matcher.roles import Role

router = APIRouter(prefix="/needs", include_in_schema=False, route_class=ThreadedRoute)

PER_PAGE = 25


@router.get("")
def show_needs(
    visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.LIST))],
    state: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show the page."""
    who = visit.who()
    if not who.holds(*STAFF, Role.OFFICE):
        return visit.go(first_place(who))
    chosen = next((one for one in NeedState if one == state), None)
    found = visit.document(list_needs, state=chosen, q=q, limit=PER_PAGE, cursor=cursor or None)
    items: list[dict[str, Any]] = found["items"]

    def read(session: Session, who: Principal) -> tuple[NeedNames, dict[str, int]]:
        return names_of(session, items), _open_pairings(session, who, [item["id"] for item in items])

    names, waiting = visit.look(read)
    kept = {name: value for name, value in (("state", chosen), ("q", q)) if value}
    return visit.show(
        "needs/list.html",
        needs=items,
        names=names,
        days={item["id"]: days_waiting(item) for item in items},
        waiting=waiting,
        states=list(NeedState),
        state=chosen or "",
        q=q,
        is_first=cursor is None,
        first="/needs?" + urlencode(kept),
        further=None if found["next"] is None else "/needs?" + urlencode({**kept, "cursor": found["next"]}),
    )


def _open_pairings(session: Session, who: Principal, need_ids: list[str]) -> dict[str, int]:
    """Count the pairings that wait for a verdict now: never decided, or deferred until a day that has come."""
    state, until = col(StoredPairing.state), col(StoredPairing.deferred_until)
    due = (state == PairingState.DEFERRED.value) & (until <= day_in_taipei(now()))
    query = (
        select(StoredPairing.need_id, func.count())
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            col(StoredPairing.need_id).in_(need_ids), unconflicted(who), (state == PairingState.PROPOSED.value) | due
        )
        .group_by(col(StoredPairing.need_id))
    )
    return dict(session.exec(query).all())
