"""Cases on a board and each on a page of its own: who is at which stage, what comes next, what was said.

In: what experts report of a case. Out: the same as the API's `/api/cases`, in pages. Every step is a form of its own
with the case's version in it, so that two people never move one case twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from heapq import merge
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, func, select

from api.access.policy import Action, Resource
from api.documents.bodies import ContactBody, TransitionBody
from api.documents.cases import CaseFilter, case_etag
from api.pages.conversation.case_steps import ask_before_introducing
from api.pages.desk.views import views_shown
from api.pages.desk.whose import colleagues
from api.pages.shell.record_names import CaseNames, case_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.cases import CaseId, contact_in_case, list_cases, list_cases_by_stage, move_case_on, read_case
from api.routes.ledger.entries import list_entries
from api.routes.pairings import read_pairing
from indexer.instants import day_in_taipei, now
from matcher.ledger.rows.kpis import KPI_FACTS
from matcher.ledger.rows.steps import STATE_LABELS
from matcher.review.cases import NEXT_STAGES, OPEN_STAGES, Case, ContactKind, LostReason, Stage
from matcher.review.conversation.signing import signing_of
from matcher.review.conversation.standing import TOLD, Stand, stands_of
from matcher.review.conversation.thread import Side
from matcher.review.desk.saved_views import ViewedList

router = APIRouter(prefix="/cases", include_in_schema=False, route_class=ThreadedRoute)

COLUMNS = (*OPEN_STAGES, Stage.SIGNED)
PER_COLUMN, PER_PAGE = 20, 50
_MOVED = {
    Stage.INTRODUCED: N_("The case is introduced: the lab sees the need now."),
    Stage.MEETING: N_("The case is at its meeting."),
    Stage.NEGOTIATING: N_("The case is being negotiated."),
    Stage.SIGNED: N_("The case is signed. If a result came of it, report it."),
    Stage.LOST: N_("The case is lost; its reason is kept."),
}
Cursor = Annotated[str | None, Query(max_length=500)]


@router.get("")
def show_board(
    visit: Annotated[Visit, Depends(visiting(Resource.CASE, Action.LIST))],
    stage: Stage | None = None,
    mine: bool = False,
    overdue: bool = False,
    cursor: Cursor = None,
) -> Response:
    """Show cases by stage, or those of one stage page by page."""
    return _board(visit, stage, mine, overdue, cursor)


def _board(
    visit: Visit,
    stage: Stage | None,
    mine: bool,
    overdue: bool,
    cursor: str | None = None,
    refused: Refusal | None = None,
) -> Response:
    today = today_of()
    stages = (*COLUMNS, Stage.LOST) if stage is None else (stage,)
    limit = PER_COLUMN if stage is None else PER_PAGE
    asked: dict[str, Any] = {"mine": mine, "overdue": overdue, "limit": limit}
    if stage is None:
        found = visit.document(list_cases_by_stage, stages=stages, **asked)
    else:
        found = visit.document(list_cases, stage=stage, cursor=cursor, **asked)
    every, further = found["items"], found["next"]
    names = visit.look(lambda session, who: case_names(session, who, every, to=visit))
    kept = {name: "true" for name, is_on in (("mine", mine), ("overdue", overdue)) if is_on}
    return visit.show(
        "cases/board.html",
        refused.status if refused else 200,
        columns=[
            {
                "stage": one,
                "cards": [card_of(case, today) for case in every if case["stage"] == one],
                "next": further[one] if stage is None else further,
            }
            for one in stages
        ],
        counts=_counts(visit, mine, today if overdue else None),
        names=names,
        only=stage,
        mine=mine,
        overdue=overdue,
        kept=kept,
        query=urlencode(kept),
        colleagues=colleagues(visit),
        views=views_shown(visit, ViewedList.CASES, visit.request.url.query),
        reasons=list(LostReason),
        refused=refused,
    )


def _counts(visit: Visit, mine: bool, overdue_on: date | None) -> dict[str, int]:
    wanted = CaseFilter(None, mine, overdue_on)
    return visit.look(
        lambda session, who: dict(
            session.exec(select(Case.stage, func.count()).where(wanted.condition(who)).group_by(col(Case.stage))).all()
        )
    )


def today_of() -> date:
    """Return this day in Taipei."""
    return day_in_taipei(now())


def card_of(case: Mapping[str, Any], today: date) -> dict[str, Any]:
    """Return a case with what a card says besides: what is next and when, how long ago it moved or was heard of."""
    moved = case["steps"][-1]["at"] if case["steps"] else case["opened_at"]
    newest = case["contacts"][-1] if case["contacts"] else {}
    stage = Stage(case["stage"])
    next_on = newest.get("next_on") if stage in OPEN_STAGES else None
    late_days = (today - date.fromisoformat(next_on)).days if next_on else 0
    return {
        **case,
        "etag": case_etag(case["id"], case["version"]),
        "next_step": newest.get("next_step") if stage in OPEN_STAGES else None,
        "next_on": next_on,
        "late_days": late_days,
        "last_contact": max((one["held_on"] for one in case["contacts"]), default=None),
        "days_in_stage": (today - day_in_taipei(datetime.fromisoformat(moved))).days,
        "ways": [way for way in NEXT_STAGES[stage] if way is not Stage.LOST],
        "can_be_lost": Stage.LOST in NEXT_STAGES[stage],
    }


@router.get("/{case_id}")
def show_case(case_id: CaseId, visit: Annotated[Visit, Depends(visiting(Resource.CASE, Action.READ))]) -> Response:
    """Show a case with all that stands behind it."""
    return _case_page(visit, case_id)


def _case_page(visit: Visit, case_id: int, refused: Refusal | None = None, form: str = "") -> Response:
    answered = visit.reply(read_case, case_id=case_id)
    case = answered.document
    names: CaseNames = visit.look(lambda session, who: case_names(session, who, [case], to=visit))
    results = visit.attempt(lambda: _results(visit, case_id))
    return visit.show(
        "cases/case.html",
        refused.status if refused else 200,
        case=card_of(case, today_of()),
        etag=answered.headers["ETag"],
        names=names,
        timeline=_timeline(case),
        shown=_shown(visit, case),
        signing=visit.look(lambda session, _: signing_of(session, case_id)) if case["stage"] == Stage.SIGNED else None,
        can_take_back=case["stage"] == Stage.INTRODUCED,
        stand=visit.look(lambda session, _: _stand(session, case)),
        told_of=lambda one: TOLD[one.standing][Side.EXPERT],
        results=None if isinstance(results, Refusal) else results,
        states={state: label.both for state, label in STATE_LABELS.items()},
        kpis={kpi.value: facts.label.both for kpi, facts in KPI_FACTS.items()},
        kinds=list(ContactKind),
        reasons=list(LostReason),
        colleagues=colleagues(visit),
        today=today_of().isoformat(),
        refused=refused,
        form=form,
        given=visit.form if refused is not None else {},
    )


def _stand(session: Session, case: Mapping[str, Any]) -> Stand | None:
    stands = stands_of(session, [case["need_id"]])
    return next((one for one in stands if one.pairing_id == case["pairing_id"]), None)


def _results(visit: Visit, case_id: int) -> list[dict[str, Any]]:
    asked = dict.fromkeys(("kpi", "state", "alliance", "period", "year", "cursor"))
    found: list[dict[str, Any]] = visit.document(list_entries, case=case_id, newest=True, limit=100, **asked)["items"]
    return found


def _timeline(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Steps, contacts and handings on together, the latest first; of one moment a contact stands over the step."""
    steps = [{"step": one, "at": one["at"]} for one in case["steps"]]
    contacts = [{"contact": one, "at": one["at"]} for one in case["contacts"]]
    handed = [{"handed": one, "at": one["at"]} for one in case["handed_on"]]
    # Each in its own order, whatever the clock said: only where one stands among the others is a matter of time.
    told = list(merge(steps, contacts, handed, key=lambda row: datetime.fromisoformat(row["at"])))
    return [*reversed(told), {"opened": case, "at": case["opened_at"]}]


def _shown(visit: Visit, case: Mapping[str, Any]) -> dict[str, Any] | None:
    """The proposal that was accepted, as it was shown; without its explanation for who may not read the need."""
    found = visit.attempt(lambda: visit.document(read_pairing, pairing_id=case["pairing_id"]))
    if isinstance(found, Refusal):
        return None
    decision: dict[str, Any] = next((one for one in found["decisions"] if one["id"] == case["decision_id"]), {})
    shown: dict[str, Any] | None = next(
        (one for one in found["proposals"] if one["id"] == decision.get("proposal_id")), None
    )
    return shown


@router.post("/{case_id}/stage")
def move(case_id: CaseId, visit: Annotated[Visit, Depends(visiting(Resource.CASE, Action.MOVE))]) -> Response:
    """Move a case on, from the board or from its own page."""
    wanted = visit.form.get("stage")
    if wanted == Stage.INTRODUCED and "confirmed" not in visit.form:
        asking = ask_before_introducing(visit, case_id)
        if asking is not None:
            return asking
    if wanted == Stage.SIGNED:
        return visit.go(f"/cases/{case_id}/signature")

    def work() -> Stage:
        body = visit.body(TransitionBody, visit.values("stage", "reason", "note"))
        visit.reply(move_case_on, case_id=case_id, body=body)
        return body.stage

    moved = visit.attempt(work)
    on_board = visit.form.get("back") == "board"
    mine, overdue = (visit.form.get(name) == "true" for name in ("mine", "overdue"))
    if isinstance(moved, Refusal):
        return (
            _board(visit, None, mine, overdue, None, moved) if on_board else _case_page(visit, case_id, moved, "move")
        )
    if not on_board:
        return visit.go(f"/cases/{case_id}", _MOVED[moved])
    kept = urlencode({name: "true" for name, is_on in (("mine", mine), ("overdue", overdue)) if is_on})
    return visit.go(f"/cases{'?' if kept else ''}{kept}#case-{case_id}", _MOVED[moved])


@router.post("/{case_id}/contacts")
def add_contact(case_id: CaseId, visit: Annotated[Visit, Depends(visiting(Resource.CASE, Action.CONTACT))]) -> Response:
    """Record a contact or a meeting, and what is to follow."""

    def work() -> None:
        body = visit.body(ContactBody, visit.values("kind", "held_on", "note", "next_step", "next_on"))
        visit.reply(contact_in_case, case_id=case_id, body=body)

    refused = visit.attempt(work)
    if refused is not None:
        return _case_page(visit, case_id, refused, "contact")
    return visit.go(f"/cases/{case_id}#h-timeline", N_("The contact is recorded."))
