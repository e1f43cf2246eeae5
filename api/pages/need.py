"""One need: what it says, who has it, and what is done with it.

In: forms to take it up, withdraw or close it, share it, give it to an alliance
or, for the office, read its text for a stated reason. Out: the need's page; its
ranked labs come by themselves from `ranked`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from api.bodies import AssignBody, NeedMoveBody, ShareBody
from api.pages.menu import first_place
from api.pages.need_page import STAFF, need_context
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import ProblemError, Refusal
from api.request_threads import ThreadedRoute
from api.routes.needs import (
    assign_need,
    break_glass,
    end_need_share,
    move_need,
    share_need,
    take_up_need,
)
from indexer.wording import T_
from matcher.roles import Role

router = APIRouter(prefix="/needs/{need_id}", include_in_schema=False, route_class=ThreadedRoute)

_MIN_REASON, _MAX_REASON = 10, 500
_MOVED = {
    "withdrawn": N_("The need is withdrawn."),
    "closed": N_("The need is closed."),
}


@router.get("")
def show_need(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.READ))]) -> Response:
    """Show the need; the browser then asks for its labs."""
    who = visit.who()
    if not who.holds(*STAFF, Role.OFFICE):
        return visit.go(f"/company/needs/{need_id}" if who.holds(Role.COMPANY) else first_place(who))
    return visit.show("needs/need.html", **need_context(visit, need_id))


def _done(visit: Visit, need_id: str, form: str, work: Callable[[], Any], said: str) -> Response:
    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        if refused.status == 404:
            raise ProblemError(404, refused.name, refused.detail)
        return visit.show("needs/need.html", refused.status, **need_context(visit, need_id, refused=refused, form=form))
    return visit.go(f"/needs/{need_id}", said)


@router.post("/take-up")
def take_up(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.TAKE_UP))]) -> Response:
    """Take the need up."""
    said = N_("You have taken up this need.")
    return _done(visit, need_id, "take-up", lambda: visit.document(take_up_need, need_id=need_id), said)


@router.post("/state")
def move_on(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.WITHDRAW))]) -> Response:
    """Withdraw or close the need."""
    given = visit.values("state", "note")

    def work() -> None:
        visit.document(move_need, need_id=need_id, body=visit.body(NeedMoveBody, given))

    said = _MOVED.get(given.get("state", ""), _MOVED["closed"])
    return _done(visit, need_id, given.get("state", ""), work, said)


@router.post("/shares")
def share_it(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.SHARE))]) -> Response:
    """Share the need with another alliance."""

    def work() -> None:
        visit.document(share_need, need_id=need_id, body=visit.body(ShareBody, visit.values("alliance", "consent")))

    return _done(visit, need_id, "share", work, N_("The need is shared."))


@router.post("/shares/{alliance_id}/end")
def end_sharing(
    need_id: str, alliance_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.SHARE))]
) -> Response:
    """Stop sharing it."""

    def work() -> None:
        visit.reply(end_need_share, need_id=need_id, alliance_id=alliance_id)

    return _done(visit, need_id, "share", work, N_("The need is no longer shared with that alliance."))


@router.post("/alliance")
def give_to_alliance(
    need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.ASSIGN))]
) -> Response:
    """Give the need to an alliance."""

    def work() -> None:
        visit.document(assign_need, need_id=need_id, body=visit.body(AssignBody, visit.values("alliance")))

    return _done(visit, need_id, "assign", work, N_("The alliance has the need now."))


@router.post("/break-glass")
def read_withheld(
    need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.BREAK_GLASS))]
) -> Response:
    """Show the withheld text on this one page, for a reason that is kept."""
    reason = str(visit.form.get("reason", "")).strip()
    if not _MIN_REASON <= len(reason) <= _MAX_REASON:
        wrong = Refusal(
            422,
            "invalid",
            T_("give a reason of %(least)s to %(most)s characters", least=_MIN_REASON, most=_MAX_REASON),
            "reason",
        )
        return visit.show("needs/need.html", 422, **need_context(visit, need_id, refused=wrong, form="break-glass"))
    need = visit.document(break_glass, need_id=need_id, reason=reason)
    return visit.show("needs/need.html", **need_context(visit, need_id, need=need), unlocked=True)
