"""The programme's side of the review: quarters, schools' totals, and what other programmes claim.

In: what the programme office supplies and decides. Out: quarters with what is
open in each, closed by two people; the totals that recognition needs; claims
of other programmes, noted and ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session, col, select

from api.ledger_bodies import ExternalClaimBody, ReasonBody, SchoolTotalBody
from api.pages.mentioned_names import names_in
from api.pages.refused import what_to_do
from api.pages.result_view import LABELS
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal
from api.request_threads import ThreadedRoute
from api.routes.entries import read_entry
from api.routes.ledger import (
    ClaimId,
    close_period,
    end_external_claim,
    list_external_claims,
    list_periods,
    list_school_totals,
    note_external_claim,
    read_heads,
    supply_school_total,
)
from indexer.instants import day_in_taipei, now
from indexer.records import School
from matcher.ledger.kpis import RECOGNISED_KPIS
from matcher.ledger.periods import last_day
from matcher.people import Principal

router = APIRouter(prefix="/review", include_in_schema=False, route_class=ThreadedRoute)

_CLAIM_FIELDS = ("programme", "kpi", "claimant", "reference", "party", "amount", "occurred_on")
_TOTAL_FIELDS = ("school_id", "year", "amount_ntd", "source")


def _shown(visit: Visit, template: str, refused: Refusal | None, **context: Any) -> Response:
    """Show a page of the programme's side, with what was typed if a form was refused."""

    def named(session: Session, who: Principal) -> dict[str, Any]:
        schools = session.exec(select(School.id, School.name, School.name_en).order_by(col(School.id))).all()
        return {"names": names_in(session, context), "schools": [tuple(row) for row in schools]}

    typed = {name: value for name, value in visit.form.items() if isinstance(value, str)} if refused else {}
    more = {
        "labels": LABELS,
        "kpis": [kpi.value for kpi in RECOGNISED_KPIS],
        "refused": refused,
        "what_to_do": None if refused is None else what_to_do(refused.name),
        "typed": typed,
        "heads": visit.document(read_heads)["items"],
    }
    return visit.show(template, refused.status if refused else 200, **context, **more, **visit.look(named))


@router.get("/periods")
def show_quarters(visit: Annotated[Visit, Depends(visiting(Resource.PERIOD, Action.LIST))]) -> Response:
    """Show the quarters, newest first."""
    return _quarters(visit)


def _quarters(visit: Visit, refused: Refusal | None = None) -> Response:
    document = visit.document(list_periods)
    quarters = document["items"]
    closed = [one for one in quarters if one["closed"]]
    following = closed[-1]["after"] if closed else quarters[0]["period"]
    over = last_day(following) < day_in_taipei(now())
    return _shown(
        visit,
        "review_periods.html",
        refused,
        quarters=quarters[::-1],
        open_period=document["open"],
        following=following if over else None,
    )


@router.post("/periods/{period}/close")
def close(
    period: Annotated[str, Path(max_length=20)],
    visit: Annotated[Visit, Depends(visiting(Resource.PERIOD, Action.CLOSE))],
) -> Response:
    """Move that a quarter be closed."""
    body = {"reason": str(visit.form.get("reason", ""))}
    done = visit.attempt(lambda: visit.document(close_period, period=period, body=visit.body(ReasonBody, body)))
    if isinstance(done, Refusal):
        return _quarters(visit, done if done.field == "reason" else replace(done, field=None))
    return visit.go("/review/periods", N_("Moved. It takes effect once a second person agrees."))


@router.get("/totals")
def show_totals(visit: Annotated[Visit, Depends(visiting(Resource.SCHOOL_TOTAL, Action.LIST))]) -> Response:
    """Show what schools cooperate in as a whole."""
    return _totals(visit)


def _totals(visit: Visit, refused: Refusal | None = None) -> Response:
    given = visit.request.query_params
    chosen = {"school": given.get("school") or "", "year": given.get("year") or ""}
    year = int(chosen["year"]) if chosen["year"].isascii() and chosen["year"].isdigit() else None
    page = visit.document(
        list_school_totals,
        school=chosen["school"][:200] or None,
        year=year if year and year <= 3_000 else None,
        cursor=given.get("cursor") or None,
    )
    wanted = {name: given.get(name, "") for name in ("school_id", "for_year")}
    return _shown(visit, "review_totals.html", refused, page=page, chosen=chosen, wanted=wanted)


@router.post("/totals")
def supply(visit: Annotated[Visit, Depends(visiting(Resource.SCHOOL_TOTAL, Action.CREATE))]) -> Response:
    """Supply a school's total of a year."""
    done = visit.attempt(
        lambda: visit.document(supply_school_total, body=visit.body(SchoolTotalBody, visit.values(*_TOTAL_FIELDS)))
    )
    if isinstance(done, Refusal):
        return _totals(visit, done)
    return visit.go("/review/totals", N_("The total is stored. Results of this school and year can be recognised."))


@router.get("/claims")
def show_claims(visit: Annotated[Visit, Depends(visiting(Resource.EXTERNAL_CLAIM, Action.LIST))]) -> Response:
    """Show what other programmes claim."""
    return _claims(visit)


def _claims(visit: Visit, refused: Refusal | None = None) -> Response:
    given = visit.request.query_params
    ended_too = given.get("all") == "yes"
    page = visit.document(list_external_claims, active=not ended_too, cursor=given.get("cursor") or None)
    entry_id = given.get("entry") or str(visit.form.get("entry", ""))
    entry = visit.document(read_entry, entry_id=entry_id) if entry_id else None
    return _shown(visit, "review_claims.html", refused, page=page, ended_too=ended_too, entry=entry)


@router.post("/claims")
def note(visit: Annotated[Visit, Depends(visiting(Resource.EXTERNAL_CLAIM, Action.CREATE))]) -> Response:
    """Note a claim of another programme, to a result of ours or to something that one may resemble."""

    def work() -> Any:
        given: dict[str, Any] = visit.values(*_CLAIM_FIELDS)
        entry_id = str(visit.form.get("entry", ""))
        if entry_id:
            given |= _same_as(visit.document(read_entry, entry_id=entry_id))
        return visit.document(note_external_claim, body=visit.body(ExternalClaimBody, given))

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return _claims(visit, done)
    if done["entries"]:
        return visit.go("/review/claims", N_("Noted. A result here claims the same: it can't be recognised any more."))
    return visit.go("/review/claims", N_("Noted. What resembles it will be held until a person has looked."))


def _same_as(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a claim one to exactly the same result as an entry."""
    details = {name: value for name, value in entry["details"].items() if name != "kpi"}
    return {"kpi": entry["kpi"], "details": details}


@router.post("/claims/{claim_id}/end")
def end(claim_id: ClaimId, visit: Annotated[Visit, Depends(visiting(Resource.EXTERNAL_CLAIM, Action.END))]) -> Response:
    """Note that a claim was withdrawn."""
    visit.document(end_external_claim, claim_id=claim_id)
    return visit.go("/review/claims", N_("The claim is ended."))
