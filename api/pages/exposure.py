"""Who gets shown: a table of schools, how often their labs were proposed and accepted.

In: a number of days. Out: the page; where a ranking is open, the same table is put below it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.pages.visiting import Visit, visiting
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from api.routes.exposure import read_exposure

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)


@router.get("/needs/exposure")
def show_exposure(
    visit: Annotated[Visit, Depends(visiting(Resource.EXPOSURE, Action.READ))],
    days: Annotated[int, Query(ge=1, le=3_650)] = 90,
) -> Response:
    """Show the table."""
    template = "needs/exposure_table.html" if visit.by_htmx else "needs/exposure.html"
    return visit.show(template, exposure=visit.document(read_exposure, days=days), days=days)
