"""Verdicts on pairings: accept, defer, reject, undo, and what the company gets to see.

In: a card's forms. Out: for htmx the card as it is now, what was done for
those who can't see it, and a way to undo it; else the page of ranked labs.
Where somebody else was quicker, the card shows their word.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import APIRouter, Depends, Path, Response

from api.bodies import MAX_ID, DecisionBody
from api.pages.cards import card_of
from api.pages.need_page import need_context
from api.pages.refused import what_to_do
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import ProblemError, Refusal, not_found
from api.request_threads import ThreadedRoute
from api.routes.needs import read_need
from api.routes.pairings import decide_pairing, end_pairing_release, release_pairing
from matcher.facets import STATED

router = APIRouter(prefix="/needs/{need_id}/pairings/{pairing_id}", include_in_schema=False, route_class=ThreadedRoute)

PairingId = Annotated[int, Path(ge=1, le=MAX_ID)]
_SAID = {
    "accept": N_("Accepted: a case is open."),
    "defer": N_("Deferred."),
    "reject": N_("Rejected."),
    "undo": N_("Your verdict is undone."),
    "release": N_("The company sees this lab now."),
    "take_back": N_("The company no longer sees this lab."),
}
_MAX_QUERY = 2_000


@router.post("/verdict")
def give_verdict(
    need_id: str,
    pairing_id: PairingId,
    visit: Annotated[Visit, Depends(visiting(Resource.PAIRING, Action.DECIDE))],
) -> Response:
    """Store a verdict."""
    given = visit.values("verdict", "proposal_id", "reason", "note", "defer_until")

    def work() -> Any:
        return visit.document(decide_pairing, pairing_id=pairing_id, body=visit.body(DecisionBody, given))

    return _answered(visit, need_id, pairing_id, given.get("verdict", ""), visit.attempt(work))


@router.post("/release")
def set_release(
    need_id: str,
    pairing_id: PairingId,
    visit: Annotated[Visit, Depends(visiting(Resource.PAIRING, Action.RELEASE))],
) -> Response:
    """Let the company see the lab, or no longer."""
    takes_back = visit.form.get("released") == "no"
    endpoint = end_pairing_release if takes_back else release_pairing
    done = visit.attempt(lambda: visit.document(endpoint, pairing_id=pairing_id))
    return _answered(visit, need_id, pairing_id, "take_back" if takes_back else "release", done)


def _answered(visit: Visit, need_id: str, pairing_id: int, what: str, done: Any) -> Response:
    refused = done if isinstance(done, Refusal) else None
    if refused is None and not visit.by_htmx:
        query = _kept_query(str(visit.form.get("query", "")))
        return visit.go(f"/needs/{need_id}/ranked{query}#card-{pairing_id}", _SAID.get(what))
    if refused is not None and refused.status not in (409, 422):
        raise ProblemError(refused.status, refused.name, refused.detail, refused.field, dict(refused.headers))
    context = {"need": visit.document(read_need, need_id=need_id)} if visit.by_htmx else need_context(visit, need_id)
    card = card_of(visit, context["need"], pairing_id)
    if card is None:
        raise not_found("pairing")
    context |= {
        "query": str(visit.form.get("query", ""))[:_MAX_QUERY],
        "told": _SAID.get(what),
        "done": what,
        "problem": refused,
        "what_to_do": None if refused is None else what_to_do(refused.name),
        "typed": visit.values("reason", "note", "defer_until"),
    }
    if not visit.by_htmx:
        return visit.show("needs/need.html", refused.status if refused else 200, **context, single=card)
    response = visit.show("needs/verdict.html", refused.status if refused else 200, **context, card=card)
    told = {"gloria:decided": {"card": f"card-{pairing_id}", "done": "" if refused else what}}
    response.headers["HX-Trigger-After-Settle"] = orjson.dumps(told).decode()
    return response


def _kept_query(written: str) -> str:
    """Return the filters that a page was narrowed by, as they stand in an address, and nothing else."""
    pairs = parse_qsl(written[:_MAX_QUERY])
    kept = [(name, value) for name, value in pairs if name in (*STATED, "offset")]
    return "?" + urlencode(kept) if kept else ""
