"""One result as everybody may read it who has to do with it: alliance, committee and programme office.

In: the id of an entry. Out: what happened, what proves it, who said what of it
and when, where it counts, and the way back to the explanation that the expert
saw. A result's id has at least 8 characters, so no page below `/results` with a
shorter name is hidden by it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.pages.result_view import entry_view
from api.pages.visiting import Visit, visiting
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from api.routes.entries import EntryId

router = APIRouter(prefix="/results", include_in_schema=False, route_class=ThreadedRoute)


@router.get("/{entry_id}")
def show_result(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.READ))]) -> Response:
    """Show the page of an entry."""
    return visit.show("result.html", **entry_view(visit, entry_id))
