"""A company's needs: what became of each, which labs were released, and editing until one is taken up.

In: somebody of a company. Out: pages of the own needs, as far as a company may
know: never a ranking, another company, or a lab that was not released.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session, col, func, select

from api.bodies import NeedBody, NeedMoveBody
from api.pages.form_fields import as_body, shown, typed
from api.pages.need_fields import KINDS, NEED_FACTS, NEED_FIELDS, asks_wished
from api.pages.scopes import names_of
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal, not_found
from api.request_threads import ThreadedRoute
from api.routes.companies import read_company
from api.routes.needs import edit_need, list_needs, move_need, read_need
from api.routes.pairings import list_released_labs
from api.visibility import needs as visible_needs
from indexer.records import Need
from matcher.drafts import drafts_of
from matcher.people import Principal
from matcher.releases import Release
from matcher.roles import Role

router = APIRouter(prefix="/company", include_in_schema=False, route_class=ThreadedRoute)

NEXT = {
    "submitted": N_("An expert of your alliance will read it and take it up. Until then you can still change it."),
    "taken_up": N_("An expert looks for labs. The ones that fit appear here once the expert releases them to you."),
    "closed": N_("The work on this need is done."),
    "withdrawn": N_("You withdrew it. Nobody works on it any more."),
}
"""What a company is told about what happens next, by the state of its need."""


@router.get("")
def show_needs(visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.CREATE))]) -> Response:
    """Show the own needs and drafts."""
    companies = visit.look(lambda _, who: sorted(who.scopes(Role.COMPANY)))
    needs = [need for need in visit.document(list_needs, limit=200)["items"] if need["company"] in companies]
    released = visit.look(lambda session, who: _released(session, who, [need["id"] for need in needs]))
    for need in needs:
        need["released"] = released.get(need["id"], 0)
    return visit.show(
        "company/needs.html",
        companies=[visit.document(read_company, company_id=one) for one in companies],
        alliances=visit.look(lambda session, _: names_of(session, [need["alliance"] or "" for need in needs])),
        needs=sorted(needs, key=lambda need: str(need["submitted_at"]), reverse=True),
        drafts=visit.look(lambda session, _: drafts_of(session, companies)),
        what_next=NEXT,
    )


def _released(session: Session, who: Principal, need_ids: list[str]) -> dict[str, int]:
    """Count the labs that were released for each need, as `list_released_labs` lists them."""
    query = (
        select(Release.need_id, func.count())
        .join(Need, col(Need.id) == Release.need_id)
        .where(
            col(Release.need_id).in_(need_ids),
            col(Release.ended_at).is_(None),
            visible_needs(who, Action.LIST, Resource.RELEASED_LAB),
        )
        .group_by(col(Release.need_id))
    )
    return dict(session.exec(query).all())


@router.get("/needs/new")
def show_begin(visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.CREATE))]) -> Response:
    """Show what submitting a need takes, and the button that begins."""
    companies = visit.look(lambda session, who: names_of(session, who.scopes(Role.COMPANY)))
    return visit.show("company/begin.html", companies=companies)


@router.get("/needs/{need_id}")
def show_need(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.READ))]) -> Response:
    """Show a need, how far it has come, and the labs that were released."""
    return _need_page(visit, need_id)


def _need_page(visit: Visit, need_id: str, refused: Refusal | None = None) -> Response:
    need = _own(visit, visit.document(read_need, need_id=need_id))
    return visit.show(
        "company/need.html",
        refused.status if refused else 200,
        need=need,
        facts=NEED_FACTS,
        labs=visit.document(list_released_labs, need_id=need_id)["items"],
        names=visit.look(lambda session, _: names_of(session, [need["alliance"] or ""])),
        what_next=NEXT,
        refused=refused,
    )


def _own(visit: Visit, need: dict[str, Any]) -> dict[str, Any]:
    """Return a need of the person's own company: for everybody else there are the pages of needs."""
    if need["company"] not in visit.who().scopes(Role.COMPANY):
        raise not_found("need")
    return need


@router.get("/needs/{need_id}/edit")
def show_edit(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.EDIT))]) -> Response:
    """Show the form that changes a need."""
    return _edit_page(visit, need_id)


def _edit_page(visit: Visit, need_id: str, refused: Refusal | None = None, given: Any = None) -> Response:
    reply = visit.reply(read_need, need_id=need_id)
    _own(visit, reply.document)
    return visit.show(
        "company/edit.html",
        refused.status if refused else 200,
        need=reply.document,
        asked=NEED_FIELDS,
        form=shown(NEED_FIELDS, reply.document if given is None else given),
        etag=reply.headers["ETag"],
        kinds=KINDS,
        refused=refused,
    )


@router.post("/needs/{need_id}/edit")
def change_need(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.EDIT))]) -> Response:
    """Change a need that nobody has taken up."""
    given = typed(visit.form, NEED_FIELDS)
    asks = asks_wished(str(visit.form.get("do", "")), given["asks"])
    if asks is not None:
        return _edit_page(visit, need_id, given={**given, "asks": asks})
    body = as_body(NEED_FIELDS, given)
    refused = visit.attempt(lambda: visit.document(edit_need, need_id=need_id, body=visit.body(NeedBody, body)))
    if isinstance(refused, Refusal):
        return _edit_page(visit, need_id, refused, given)
    return visit.go(f"/company/needs/{need_id}", N_("Your need is changed."))


@router.post("/needs/{need_id}/withdraw")
def withdraw(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.WITHDRAW))]) -> Response:
    """Withdraw a need."""
    given = {"state": "withdrawn", **visit.values("note")}
    refused = visit.attempt(lambda: visit.document(move_need, need_id=need_id, body=visit.body(NeedMoveBody, given)))
    if isinstance(refused, Refusal):
        return _need_page(visit, need_id, refused)
    return visit.go(f"/company/needs/{need_id}", N_("Your need is withdrawn."))
