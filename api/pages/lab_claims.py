"""Claims of labs: a researcher says which lab is theirs, and somebody who knows says yes or no.

In: a part of a lab's name and what shows that it is theirs; a verdict. Out: the
claim as the API keeps it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import ClaimBody, ClaimVerdictBody
from api.pages.scopes import names_of
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal
from api.request_threads import ThreadedRoute
from api.routes.claims import claim_lab, decide_on_claim, find_lab_names, list_own_claims, list_waiting_claims

router = APIRouter(prefix="/claims", include_in_schema=False, route_class=ThreadedRoute)

_FEWEST_LETTERS = 2


@router.get("/new")
def show_claim_form(
    visit: Annotated[Visit, Depends(visiting(Resource.CLAIM, Action.LIST))],
    q: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Show the search for a lab, and the own claims with what became of them."""
    return _new_page(visit, q)


def _new_page(visit: Visit, q: str, refused: Refusal | None = None) -> Response:
    long_enough = len(q.strip()) >= _FEWEST_LETTERS
    found = visit.document(find_lab_names, q=q.strip(), limit=20)["items"] if long_enough else []
    claims = visit.document(list_own_claims)["items"]
    ids = [one["lab_id"] for one in claims]
    return visit.show(
        "claims/new.html",
        refused.status if refused else 200,
        q=q,
        found=found,
        searched=long_enough,
        claims=claims,
        names=visit.look(lambda session, _: names_of(session, ids)),
        refused=refused,
        chosen=str(visit.form.get("lab_id", "")),
        statement=str(visit.form.get("statement", "")),
    )


@router.post("")
def ask_for_lab(visit: Annotated[Visit, Depends(visiting(Resource.CLAIM, Action.CREATE))]) -> Response:
    """Claim a lab."""
    lab_id = str(visit.form.get("lab_id", ""))

    def work() -> Any:
        body = visit.body(ClaimBody, {"statement": visit.form.get("statement", "")})
        return visit.document(claim_lab, lab_id=lab_id, body=body)

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _new_page(visit, str(visit.form.get("q", "")), refused)
    return visit.go("/claims/new", N_("Your claim is sent. The alliance on the spot or the programme office decides."))


@router.get("")
def show_waiting(visit: Annotated[Visit, Depends(visiting(Resource.CLAIM, Action.DECIDE))]) -> Response:
    """Show the claims that wait for a word."""
    return _waiting_page(visit)


def _waiting_page(visit: Visit, refused: Refusal | None = None, blamed: int = 0) -> Response:
    return visit.show(
        "claims/waiting.html",
        refused.status if refused else 200,
        claims=visit.document(list_waiting_claims)["items"],
        refused=refused,
        blamed=blamed,
    )


@router.post("/{claim_id}/verdict")
def decide(claim_id: int, visit: Annotated[Visit, Depends(visiting(Resource.CLAIM, Action.DECIDE))]) -> Response:
    """Approve or refuse a claim."""

    def work() -> Any:
        given = {"verdict": visit.form.get("verdict", ""), "reason": visit.form.get("reason", "")}
        return visit.document(decide_on_claim, claim_id=claim_id, body=visit.body(ClaimVerdictBody, given))

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _waiting_page(visit, refused, claim_id)
    return visit.go("/claims", N_("The claim is decided, and who made it can see so."))
