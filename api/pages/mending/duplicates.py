"""Likely duplicates in pages: each pair with its reasons, to be compared and merged, or told apart for good.

In: the programme office. Out: the pairs of one kind of record, and the form that says that two are two.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.problems import Refusal
from api.routes.mending.duplicates import ApartBody, Doubled, list_duplicates, say_apart

router = APIRouter(prefix="/admin/records/duplicates", include_in_schema=False, route_class=ThreadedRoute)
SHOWN = 100


@router.get("")
@takes(REPORTING)
def show_duplicates(
    visit: Annotated[Visit, Depends(visiting(Resource.RECORD, Action.LIST))],
    kind: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show the pairs of a kind that are probably one."""
    return _page(visit, Doubled(kind) if kind in set(Doubled) else Doubled.LAB)


def _page(visit: Visit, kind: Doubled, refused: Refusal | None = None) -> Response:
    return visit.show(
        "mending/duplicates.html",
        refused.status if refused else 200,
        kind=kind.value,
        kinds=[one.value for one in Doubled],
        pairs=visit.document(list_duplicates, kind=kind, limit=SHOWN)["items"],
        most=SHOWN,
        refused=refused,
    )


@router.post("/apart")
def tell_two_apart(visit: Annotated[Visit, Depends(visiting(Resource.RECORD, Action.EDIT))]) -> Response:
    """Say that two records are two."""
    given = visit.values("kind", "first", "second")
    done = visit.attempt(lambda: visit.document(say_apart, body=visit.body(ApartBody, given)))
    if isinstance(done, Refusal):
        kind = given.get("kind", "")
        return _page(visit, Doubled(kind) if kind in set(Doubled) else Doubled.LAB, done)
    said = N_("Remembered: these are two, and are proposed no more.")
    return visit.go(f"/admin/records/duplicates?kind={done['kind']}", said)
