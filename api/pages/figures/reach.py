"""Fair reach in a page: a quarter's audit, and what the rule would do before it is switched on.

In: a quarter, and whether to simulate. Out: a sentence on how well-known schools stand beside all others, tables of
groups, schools and how far rankings were read, the simulation, and both as files. The rule is set where the office's
other documents are; this page leads there and changes nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from api.access.policy import Action, Resource
from api.pages.shell.visiting import Visit, visiting
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.routes.reach import Quarter, Simulate, read_reach
from indexer.instants import day_in_taipei, now
from matcher.ledger.rows.periods import first_day, quarter_of

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

_QUARTERS_BACK = 8
FAIR = (0.8, 1.25)
"""Between these well-known schools and all others are seen alike beside what they deserve."""


@router.get("/reach")
@takes(MATCHING)
def show_reach(
    visit: Annotated[Visit, Depends(visiting(Resource.REACH, Action.READ))],
    quarter: Quarter = None,
    simulate: Simulate = False,
) -> Response:
    """Show a quarter."""
    found: dict[str, Any] = visit.document(read_reach, quarter=quarter, simulate=simulate)
    return visit.show(
        "figures/reach.html",
        found=found,
        quarters=_quarters(found["quarter"]),
        fair=FAIR,
        simulate=simulate,
    )


def _quarters(chosen: str) -> list[str]:
    """Return the quarters that can be chosen, the newest first."""
    found, day = [], day_in_taipei(now())
    for _ in range(_QUARTERS_BACK):
        found.append(quarter_of(day))
        day = first_day(found[-1]) - timedelta(days=1)
    return found if chosen in found else [*found, chosen]
