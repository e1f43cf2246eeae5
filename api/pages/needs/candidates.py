"""The labs for a need, ranked, compared and judged: a page of cards, verdicts on them, and who gets shown.

In: a need, filters, how much its wishes count; a card's forms to accept, defer, reject, undo, or release a lab to the
company; a number of days. Out: cards with the arithmetic of their scores and what the ranking rests on; for htmx the
card as it is now; a table of schools, how often their labs were proposed and accepted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import needs as visible_needs
from api.access.visibility import unconflicted
from api.documents.answers import index_is_old
from api.documents.bodies import MAX_ROW_NUMBER, DecisionBody
from api.pages.needs.cards import card_of, cards_of, differences
from api.pages.needs.need import need_context
from api.pages.needs.steering import TypedSteering, labs_of_heads, steering_form
from api.pages.shell.facets import choices_of, query_of
from api.pages.shell.record_names import Names, all_of, names
from api.pages.shell.templating import marked
from api.pages.shell.visiting import Visit, visiting, what_to_do
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import REFUSED, ProblemError, Refusal, not_found, refusal_of
from api.requests.query_parameters import ChosenFilters
from api.routes.needs import read_need
from api.routes.pairings import (
    decide_pairing,
    end_pairing_release,
    match_need,
    read_exposure,
    release_pairing,
    similar_needs,
)
from indexer.database import RETRY_AFTER_S
from indexer.records.record_tables import Company, Need
from indexer.wording import T_
from matcher.ranking.lab_table import ALL, RULE_TEXTS, STATED, Filters, Rule
from matcher.ranking.wishes import LeftOut, Steering
from matcher.review.people import Principal
from matcher.review.proposals import StoredPairing

NAMED_LABS = 30


@dataclass(frozen=True)
class SetAside:
    """The labs that one rule leaves out: how many, and the names of the first of them."""

    zh: str
    en: str
    count: int
    labs: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Notes:
    """What to know before trusting a ranking."""

    built_at: datetime
    is_old: bool
    set_aside: tuple[SetAside, ...]
    left_out: int


def labs_named(match: dict[str, Any]) -> list[str]:
    """Return the ids of the labs that the notes to a match name."""
    return [lab_id for ids in match["set_aside"].values() for lab_id in ids[:NAMED_LABS]]


def notes_of(match: dict[str, Any], known: Names) -> Notes:
    """Return the notes to a match, with the names of the labs that are set aside."""
    found = []
    for rule, ids in match["set_aside"].items():
        if ids:
            labs = tuple((lab_id, *known[lab_id]) for lab_id in ids[:NAMED_LABS] if lab_id in known)
            found.append(SetAside(*RULE_TEXTS[Rule(rule)].both, len(ids), labs))
    built_at = datetime.fromisoformat(match["created_at"])
    return Notes(built_at, index_is_old(built_at), tuple(found), sum(one.count for one in found))


router = APIRouter(prefix="/needs", include_in_schema=False, route_class=ThreadedRoute)


@router.get("/exposure")
def show_exposure(
    visit: Annotated[Visit, Depends(visiting(Resource.EXPOSURE, Action.READ))],
    days: Annotated[int, Query(ge=1, le=3_650)] = 90,
) -> Response:
    """Show the table."""
    template = "needs/exposure_table.html" if visit.by_htmx else "needs/exposure.html"
    return visit.show(template, exposure=visit.document(read_exposure, days=days), days=days)


PER_PAGE = 20
Offset = Annotated[int, Query(ge=0, le=100_000)]
LabId = Annotated[str | None, Query(max_length=200)]


@router.get("/{need_id}/similar")
@takes(MATCHING)
def show_similar(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))]) -> Response:
    """Show which needs were about the same and what came of them: as a part of the page, or as one of its own."""
    found = visit.attempt(lambda: visit.document(similar_needs, need_id=need_id, top=SIMILAR_SHOWN))
    if isinstance(found, Refusal) and found.status == 404:
        raise not_found("need")
    heading = N_("Similar needs and what came of them")
    return visit.show_part("needs/similar.html", heading, f"/needs/{need_id}", **similar_context(visit, found))


def similar_context(visit: Visit, found: dict[str, Any] | Refusal) -> dict[str, Any]:
    """Return what `needs/similar.html` shows of an answer of the API."""
    if isinstance(found, Refusal):
        return {"refused": found, "similar": None, "companies": {}, "marked": marked}
    ids = all_of(found["needs"], "company")
    companies = visit.look(lambda session, _: names(session, Company, ids))
    return {"refused": None, "similar": found, "companies": companies, "marked": marked}


SIMILAR_SHOWN = 5


@router.get("/{need_id}/ranked")
@takes(MATCHING)
def show_ranked(
    need_id: str,
    filters: ChosenFilters,
    steering: TypedSteering,
    visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))],
    offset: Offset = 0,
    narrowing: Annotated[bool, Query(description="The filter form was used: it stays open.")] = False,
    steered: Annotated[bool, Query(description="The form of steering was used: it stays open.")] = False,
) -> Response:
    """Show the cards: all of the ranking's part, only further cards after an offset, or the whole page."""
    visit.look(_admitted)
    try:
        # What is shown is stored, and belongs to the state that storing it leaves.
        with visit.storing():
            asked = {"filters": filters, "steering": steering, "top": PER_PAGE, "offset": offset}
            found = visit.document(match_need, need_id=need_id, **asked)
            context = _need(visit, need_id)
            context |= _ranked(visit, context["need"], found, filters, steering, offset)
    except REFUSED as error:
        refused = refusal_of(error)
        if refused.status not in (503, 507):
            raise
        context = _need(visit, need_id) | _unavailable(refused)
    context |= {"narrowing": narrowing, "steered": steered}
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


def _ranked(
    visit: Visit,
    need: dict[str, Any],
    found: dict[str, Any],
    filters: Filters,
    steering: Steering | None,
    offset: int,
) -> dict[str, Any]:
    chosen = asdict(filters)
    after = offset + PER_PAGE
    matcher = visit.request.app.state.live.current()
    labs = {one.id: (one.name, one.name_en) for one in matcher.labs.values()}
    schools = {one.id: (one.name, one.name_en or "") for one in matcher.schools.values()}
    form = steering_form(need, found, steering, {LeftOut.LAB: labs, LeftOut.SCHOOL: schools})
    cards = cards_of(visit, need, found["pairings"])
    heads = {card["facts"].lab.pi for card in cards}
    return {
        "ranked": found,
        "unavailable": None,
        "status": 200,
        "cards": cards,
        "choices": choices_of(found["facets"], chosen, schools),
        "steering": form,
        "chosen_filters": parse_qsl(query_of(filters)),
        "said_of_steering": parse_qsl(query_of(ALL, 0, steering)),
        "leaving_out": query_of(filters, 0, Steering.read(form.words)),
        "labs_of_heads": labs_of_heads(matcher.labs.values(), heads),
        "is_filtered": bool(query_of(filters)),
        "hides": bool(query_of(filters)) or form.hides,
        "notes": notes_of(found, labs),
        "offset": offset,
        "further": query_of(filters, after, steering) if after < found["total"] else None,
        "query": query_of(filters, offset, steering),
    }


@router.get("/{need_id}/pairings/{pairing_id}")
def show_pairing(
    need_id: str,
    pairing_id: Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)],
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


@router.get("/{need_id}/compare")
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
        raise ProblemError(422, "invalid", T_("choose two labs to compare"), "lab")
    numbers = visit.look(lambda session, who: _pairings(session, who, need_id, chosen))
    cards = [card_of(visit, context["need"], number) for number in numbers]
    first, second = cards if len(cards) == 2 else (None, None)
    if first is None or second is None:
        raise ProblemError(404, "not-found", T_("one of these labs was not shown for this need yet"), "lab")
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


PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
_SAID = {
    "accept": N_("Accepted: a case is open."),
    "defer": N_("Deferred."),
    "reject": N_("Rejected."),
    "undo": N_("Your verdict is undone."),
    "release": N_("The company sees this lab now."),
    "take_back": N_("The company no longer sees this lab."),
}
_MAX_QUERY = 2_000


@router.post("/{need_id}/pairings/{pairing_id}/verdict")
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


@router.post("/{need_id}/pairings/{pairing_id}/release")
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
    kept = [(name, value) for name, value in pairs if name in (*STATED, "wish", "unsteered", "offset")]
    return "?" + urlencode(kept) if kept else ""
