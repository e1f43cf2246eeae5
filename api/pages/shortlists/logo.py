"""The logo of an alliance: shown, put and taken away by its lead or the office.

In: a file of a form. Out: the page with the logo as it stands on the alliance's shortlists.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.access.visibility import reached_alliances
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal, not_found
from api.routes.shortlists.pictures import end_logo, picture_body, put_logo
from indexer.records.record_tables import Alliance
from matcher.handouts.pictures import MAX_SENT_BYTES
from matcher.review.people import Principal

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)


@router.get("/alliances/{alliance_id}/logo")
def show_logo(alliance_id: str, visit: Annotated[Visit, Depends(visiting(Resource.LOGO, Action.EDIT))]) -> Response:
    """Show the logo and the form to change it."""
    return _page(visit, alliance_id)


def _page(visit: Visit, alliance_id: str, refused: Refusal | None = None) -> Response:
    def read(session: Session, who: Principal) -> tuple[str, str]:
        reached = reached_alliances(who, Resource.LOGO, Action.EDIT)
        alliance = session.get(Alliance, alliance_id)
        if alliance is None or (reached is not None and alliance_id not in reached):
            raise not_found("alliance")
        return alliance.name, alliance.name_en

    return visit.show(
        "shortlists/logo.html",
        refused.status if refused else 200,
        alliance_id=alliance_id,
        name=visit.look(read),
        refused=refused,
    )


@router.post("/alliances/{alliance_id}/logo")
def change_logo(alliance_id: str, visit: Annotated[Visit, Depends(visiting(Resource.LOGO, Action.EDIT))]) -> Response:
    """Store the file as the logo, or take the logo away."""
    file = visit.form.get("picture")
    takes_away = visit.form.get("wish") == "remove"

    def work() -> Any:
        if takes_away:
            return visit.document(end_logo, alliance_id=alliance_id)
        content = b"" if file is None or isinstance(file, str) else file.file.read(MAX_SENT_BYTES + 1)
        return visit.document(put_logo, alliance_id=alliance_id, body=picture_body(content))

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        if refused.status == 404:
            raise ProblemError(404, refused.name, refused.detail)
        return _page(visit, alliance_id, refused)
    said = N_("The logo is taken away.") if takes_away else N_("The logo is stored.")
    return visit.go(f"/alliances/{alliance_id}/logo", said)
