"""A chain on one line: the need, the lab that can build it, the companies that would make it, each with its words.

In: which lab was chosen; then the form that keeps the chain with the need. Out: the page. Nothing is done by it: from
each link one goes where it is introduced, the lab on the need's own ranking, a company on its page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session

from api.access.policy import Action, Resource, admits
from api.documents.bodies import ChainBody
from api.pages.shell.record_names import Names, names
from api.pages.shell.templating import marked
from api.pages.shell.visiting import Visit, visiting, what_to_do
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import REFUSED, ProblemError, Refusal, not_found, refusal_of
from api.routes.joint.chains import find_chain, put_chain
from api.routes.needs import read_need
from indexer.database import RETRY_AFTER_S
from indexer.records.record_tables import School
from matcher.review.people import Principal

router = APIRouter(prefix="/needs", include_in_schema=False, route_class=ThreadedRoute)


def _admitted(_: Session, who: Principal) -> Principal:
    """Look at nothing: whoever may not enter the page at all is told so before anything is looked for."""
    return who


@router.get("/{need_id}/chain")
@takes(MATCHING)
def show_chain(
    need_id: str,
    visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))],
    lab: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Show the chain that begins with a need."""
    visit.look(_admitted)
    try:
        # The labs that are shown are stored, and belong to the state that storing them leaves.
        with visit.storing():
            found = visit.document(find_chain, need_id=need_id, lab=lab)
            need = visit.document(read_need, need_id=need_id)
            schools = _schools(visit, found)
    except REFUSED as error:
        refused = refusal_of(error)
        if refused.status not in (422, 503, 507):
            raise
        need = visit.document(read_need, need_id=need_id)
        refusal = {"refused": refused, "what_to_do": what_to_do(refused.name), "chain": None}
        response = visit.show("joint/chain.html", refused.status, need=need, **refusal)
        if refused.status == 503:
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response
    chosen = next((one for one in found["labs"] if one["lab_id"] == found["lab_id"]), None)
    return visit.show(
        "joint/chain.html",
        refused=None,
        need=need,
        chain=found,
        lab=chosen,
        other_labs=[one for one in found["labs"] if one is not chosen],
        schools=schools,
        marked=marked,
        may_keep=admits(visit.who(), Resource.MATCH, Action.EDIT),
    )


def _schools(visit: Visit, found: Mapping[str, Any]) -> Names:
    ids = {one["school"] for one in found["labs"] if one["school"]} | ({found["school"]} if found["school"] else set())
    return visit.look(lambda session, _: names(session, School, sorted(ids)))


@router.post("/{need_id}/chain")
def keep_chain(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.EDIT))]) -> Response:
    """Keep the chain with the need."""
    visit.look(_admitted)
    given = {
        "lab": str(visit.form.get("lab", "")) or None,
        "companies": [str(one) for one in visit.form.getlist("company")],
    }
    done = visit.attempt(lambda: visit.document(put_chain, need_id=need_id, body=visit.body(ChainBody, given)))
    if isinstance(done, Refusal):
        if done.status == 404:
            raise not_found("need")
        raise ProblemError(done.status, done.name, done.detail, done.field, dict(done.headers))
    said = N_("The chain is kept: you are told of the next link once a case is signed.")
    if not done["companies"]:
        said = N_("No chain is kept with this need any more.")
    return visit.go(f"/needs/{need_id}/chain", said)
