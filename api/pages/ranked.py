"""The labs for a need, ranked: a page of cards, one pairing alone, and two beside each other.

In: a need and filters. Out: cards with the arithmetic of each score, and what
the ranking rests on. Asked by htmx it is the part that the open page waits for,
else the whole page, so that it works without JavaScript too. Without a usable
index the need is still shown.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.bodies import MAX_ID
from api.filtering import Chosen
from api.pages.cards import card_of, cards_of
from api.pages.facet_choices import choices_of, query_of, schools_of
from api.pages.need_page import need_context
from api.pages.ranking_notes import labs_named, notes_of
from api.pages.record_names import NamedOrPerson, called
from api.pages.refused import what_to_do
from api.pages.score_parts import differences
from api.pages.visiting import Visit, visiting
from api.policy import Action, Resource
from api.problems import REFUSED, ProblemError, Refusal, not_found, refusal_of
from api.request_threads import MATCHING, ThreadedRoute, takes
from api.routes.needs import read_need
from api.routes.pairings import match_need
from api.visibility import needs as visible_needs
from api.visibility import unconflicted
from indexer.database import RETRY_AFTER_S
from indexer.records import Lab, Need, School
from matcher.facets import Filters
from matcher.people import Principal
from matcher.proposals import StoredPairing

router = APIRouter(prefix="/needs/{need_id}", include_in_schema=False, route_class=ThreadedRoute)

PER_PAGE = 20
Offset = Annotated[int, Query(ge=0, le=100_000)]
LabId = Annotated[str | None, Query(max_length=200)]


@router.get("/ranked")
@takes(MATCHING)
def show_ranked(
    need_id: str,
    filters: Chosen,
    visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))],
    offset: Offset = 0,
    narrowing: Annotated[bool, Query(description="The filter form was used: it stays open.")] = False,
) -> Response:
    """Show the cards: all of the ranking's part, only further cards after an offset, or the whole page."""
    visit.look(_admitted)
    try:
        # What is shown is stored, and belongs to the state that storing it leaves.
        with visit.storing():
            found = visit.document(match_need, need_id=need_id, filters=filters, top=PER_PAGE, offset=offset)
            context = _need(visit, need_id)
            context |= _ranked(visit, context["need"], found, filters, offset)
    except REFUSED as error:
        refused = refusal_of(error)
        if refused.status not in (503, 507):
            raise
        context = _need(visit, need_id) | _unavailable(refused)
    context["narrowing"] = narrowing
    available = context["unavailable"] is None
    part = "needs/candidates.html" if offset and available else "needs/ranked.html"
    response = visit.show(part if visit.by_htmx else "needs/need.html", context["status"], **context)
    if context["status"] == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _admitted(_: Session, who: Principal) -> Principal:
    """Look at nothing: whoever may not enter the page at all is told so before anything is looked for."""
    return who


def _need(visit: Visit, need_id: str) -> dict[str, Any]:
    return {"need": visit.document(read_need, need_id=need_id)} if visit.by_htmx else need_context(visit, need_id)


def _unavailable(refused: Refusal) -> dict[str, Any]:
    return {
        "ranked": None,
        "unavailable": refused,
        "status": refused.status,
        "what_to_do": what_to_do(refused.name),
    }


def _ranked(visit: Visit, need: dict[str, Any], found: dict[str, Any], filters: Filters, offset: int) -> dict[str, Any]:
    query, chosen = query_of(filters), asdict(filters)
    after = offset + PER_PAGE
    ids: dict[NamedOrPerson, list[str]] = {School: schools_of(found["facets"], chosen), Lab: labs_named(found)}
    known = visit.look(lambda session, _: called(session, ids))
    return {
        "ranked": found,
        "unavailable": None,
        "status": 200,
        "cards": cards_of(visit, need, found["pairings"]),
        "choices": choices_of(found["facets"], chosen, known[School]),
        "is_filtered": bool(query),
        "notes": notes_of(found, known[Lab]),
        "offset": offset,
        "further": query_of(filters, after) if after < found["total"] else None,
        "query": query_of(filters, offset),
    }


@router.get("/pairings/{pairing_id}")
def show_pairing(
    need_id: str,
    pairing_id: Annotated[int, Path(ge=1, le=MAX_ID)],
    visit: Annotated[Visit, Depends(visiting(Resource.PAIRING, Action.READ))],
) -> Response:
    """Show one pairing as it was shown last, beside its need; nothing is ranked."""
    visit.look(_admitted)
    context = need_context(visit, need_id)
    if not context["can_match"]:
        raise not_found("pairing")
    card = card_of(visit, context["need"], pairing_id)
    if card is None:
        raise not_found("pairing")
    return visit.show("needs/need.html", **context, single=card, query="")


@router.get("/compare")
def compare(
    need_id: str,
    visit: Annotated[Visit, Depends(visiting(Resource.PAIRING, Action.READ))],
    a: LabId = None,
    b: LabId = None,
    lab: Annotated[list[str] | None, Query(max_length=10)] = None,
) -> Response:
    """Show two labs beside each other, each as it was shown last for this need."""
    visit.look(_admitted)
    context = need_context(visit, need_id)
    if not context["can_match"]:
        raise not_found("need")
    chosen = [one for one in (a, b, *(lab or ())) if one]
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise ProblemError(422, "invalid", "choose two labs to compare", "lab")
    numbers = visit.look(lambda session, who: _pairings(session, who, need_id, chosen))
    cards = [card_of(visit, context["need"], number) for number in numbers]
    first, second = cards if len(cards) == 2 else (None, None)
    if first is None or second is None:
        raise ProblemError(404, "not-found", "one of these labs was not shown for this need yet", "lab")
    sides = ((one["contributions"], one["score"]) for one in (first, second))
    template = "needs/comparison.html" if visit.by_htmx else "needs/comparison_page.html"
    return visit.show(template, **context, first=first, second=second, differences=differences(*sides))


def _pairings(session: Session, who: Principal, need_id: str, lab_ids: list[str]) -> list[int]:
    query = (
        select(StoredPairing.lab_id, StoredPairing.id)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            StoredPairing.need_id == need_id,
            col(StoredPairing.lab_id).in_(lab_ids),
            visible_needs(who, Action.READ, Resource.PAIRING),
            unconflicted(who),
        )
    )
    found = {lab_id: number or 0 for lab_id, number in session.exec(query).all()}
    return [found[lab_id] for lab_id in lab_ids if lab_id in found]
