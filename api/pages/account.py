"""Everybody's own page: roles held, password, keys for programs, declared interests.

In: what people change about themselves. Out: the same as the API's `/api/me`, in
a page. A new key is shown on the page that answers the form, once.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from api.bodies import KeyBody, PasswordBody, StakeBody
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal
from api.request_threads import SIGNING_IN, ThreadedRoute, takes
from api.routes.me import add_key, change_password, declare_interest, end_key, list_keys, read_me

router = APIRouter(prefix="/account", include_in_schema=False, route_class=ThreadedRoute)


@router.get("")
def show_account(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))]) -> Response:
    """Show the page."""
    return _page(visit)


def _page(visit: Visit, refused: Refusal | None = None, form: str = "", new_key: str | None = None) -> Response:
    context: dict[str, Any] = {
        "account": visit.document(read_me),
        "keys": visit.document(list_keys)["items"],
        "refused": refused,
        "form": form,
        "made_key": new_key,
    }
    return visit.show("account.html", refused.status if refused else 200, **context)


@router.post("/password")
@takes(SIGNING_IN)
def set_password(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.EDIT))]) -> Response:
    """Change the password."""

    def work() -> None:
        body = visit.body(PasswordBody, visit.values("old", "new"))
        visit.reply(change_password, body=body)

    refused = visit.attempt(work)
    if refused is not None:
        return _page(visit, refused, "password")
    return visit.go("/account", N_("Your password is changed. Your other browsers are signed out."))


@router.post("/keys")
def make_key(visit: Annotated[Visit, Depends(visiting(Resource.KEY, Action.CREATE))]) -> Response:
    """Make a key and show it, this once."""

    def work() -> str:
        given: dict[str, Any] = visit.values("name", "days")
        given["may_write"] = visit.form.get("may_write") == "yes"
        return visit.reply(add_key, body=visit.body(KeyBody, given)).secret.get("key", "")

    made = visit.attempt(work)
    if isinstance(made, Refusal):
        return _page(visit, made, "key")
    return _page(visit, new_key=made)


@router.post("/keys/{prefix}/end")
def stop_key(prefix: str, visit: Annotated[Visit, Depends(visiting(Resource.KEY, Action.END))]) -> Response:
    """End a key."""
    visit.reply(end_key, prefix=prefix)
    return visit.go("/account", N_("The key no longer works."))


@router.post("/stakes")
def declare(visit: Annotated[Visit, Depends(visiting(Resource.STAKE, Action.CREATE))]) -> Response:
    """Declare an interest in a company or a lab."""
    refused = visit.attempt(
        lambda: visit.document(declare_interest, body=visit.body(StakeBody, visit.values("party", "party_id")))
    )
    if isinstance(refused, Refusal):
        return _page(visit, refused, "stake")
    return visit.go("/account", N_("Your interest is declared. That party's pairings are no longer shown to you."))
