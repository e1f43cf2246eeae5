"""Schools over time in pages: a new name from a day on, and labs that go to another school.

In: the programme office. Out: the record of the school, with what it was called before.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from api.access.policy import Action, Resource
from api.pages.mending.records import record_page
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.mending.schools import DivideBody, RenameBody, divide, rename
from indexer.vocabulary import Mendable

router = APIRouter(prefix="/admin/records/school", include_in_schema=False, route_class=ThreadedRoute)
Editing = Annotated[Visit, Depends(visiting(Resource.RECORD, Action.EDIT))]


@router.post("/{school_id}/rename")
def rename_school(school_id: str, visit: Editing) -> Response:
    """Give a school another name from a day on."""

    def work() -> Any:
        body = visit.body(RenameBody, visit.values("name", "name_en", "since"))
        return visit.document(rename, school_id=school_id, body=body)

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return record_page(visit, Mendable.SCHOOL, school_id, done, "rename")
    return visit.go(f"/admin/records/school/{school_id}", N_("The school has its new name."))


@router.post("/{school_id}/divide")
def divide_school(school_id: str, visit: Editing) -> Response:
    """Let the labs that are ticked belong to another school."""

    def work() -> Any:
        labs = [one for one in visit.form.getlist("labs") if isinstance(one, str)]
        body = visit.body(DivideBody, visit.values("to", "since") | {"labs": labs})
        return visit.document(divide, school_id=school_id, body=body)

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return record_page(visit, Mendable.SCHOOL, school_id, done, "divide")
    return visit.go(f"/admin/records/school/{school_id}", N_("The labs belong to the other school."))
