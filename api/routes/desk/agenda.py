"""The agenda: what waits for the office, a committee, a lead or an expert by their roles, beside an expert's queue.

In: who asks. Out: each kind of thing that waits for a role of theirs, counted whole, with the first few and their
days; for a lead the load of each expert, for the office what waits in each alliance. It exists because a day of the
office begins with what nobody else can do, and only the kinds here say what that is. Counts are those of the pages
on which the things are done and of the night's report: all ask `matcher.ledger.figures.waiting`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, func, select

from api.access.policy import Action, Resource
from api.access.visibility import claims as visible_claims
from api.access.visibility import entries as visible_entries
from api.access.visibility import motions as visible_motions
from api.access.visibility import readable
from api.documents.desk.agenda import (
    AgendaAnswer,
    entry_line,
    finding_line,
    line,
    motion_line,
    rung_line,
    total_line,
)
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.routes.companies import requests_answered_by
from api.trail.request_trail import NeedReader
from indexer.instants import day_in_taipei
from indexer.records.record_tables import Need
from matcher.ledger.figures.ladder import FindingKind
from matcher.ledger.figures.waiting import (
    ENTRY_STATES,
    Waiting,
    claims_waiting,
    entries_waiting,
    motions_waiting,
    needs_unassigned,
    plans_behind,
    quarter_to_close,
    totals_missing,
    warnings_standing,
)
from matcher.ledger.rows.periods import last_day
from matcher.ledger.rules.recognition import months_since, with_committee
from matcher.review.clients import ClientRequest
from matcher.review.desk.reminders import UNASSIGNED, Reminder, loads, reminders
from matcher.review.people import Account, Grant, Principal
from matcher.review.roles import STAFF, Role

router = APIRouter(prefix="/api", tags=["queue"], route_class=ThreadedRoute)

Found = tuple[int, list[dict[str, Any]]]

_DECIDERS = (Role.OFFICE, Role.COMMITTEE)
FOR_WHOM: dict[Waiting, tuple[Role, ...]] = {
    Waiting.UNASSIGNED_NEEDS: (Role.OFFICE,),
    Waiting.PLANS_OVERDUE: (Role.OFFICE,),
    Waiting.PLANS_MISSING: (Role.OFFICE,),
    Waiting.HELD_ENTRIES: _DECIDERS,
    Waiting.MOTIONS: _DECIDERS,
    Waiting.RETURNED_ENTRIES: STAFF,
    Waiting.LAB_CLAIMS: (Role.OFFICE, Role.LEAD),
    Waiting.CLIENT_REQUESTS: STAFF,
    Waiting.WARNINGS: (Role.LEAD, Role.COMMITTEE),
    Waiting.TOTALS_MISSING: (Role.OFFICE,),
    Waiting.QUARTERS_TO_CLOSE: (Role.OFFICE,),
    Waiting.MONTHS_UNSET: (Role.OFFICE,),
    Waiting.REPORTED_ENTRIES: _DECIDERS,
    Waiting.CHECKED_ENTRIES: _DECIDERS,
}
"""Whose word each kind waits for, in the order in which they are told of it: what nobody else can move comes first."""


@router.get("/agenda", response_model=AgendaAnswer)
def read_agenda(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.AGENDA, Action.READ))],
    limit: Annotated[int, Query(ge=1, le=50, description="So many of each kind are listed; all are counted.")] = 5,
    kind: Annotated[list[Waiting] | None, Query(description="Only of these kinds.")] = None,
) -> Response:
    """Show what waits for you by your roles, each kind counted, with the longest waiting of each."""

    def work(session: Session, who: Principal) -> Reply:
        groups = []
        for one, roles in FOR_WHOM.items():
            if who.holds(*roles) and (kind is None or one in kind):
                total, items = _FOUND[one](session, who, ask.at, limit, ask)
                groups.append({"kind": one.value, "total": total, "items": items[:limit]})
        experts = _experts(session, who, ask.at) if who.holds(Role.LEAD) else []
        alliances = _alliances(session, ask.at) if who.holds(Role.OFFICE) else []
        return Reply(200, {"groups": groups, "experts": experts, "alliances": alliances}, {})

    return ask.read(work)


def _unassigned(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
    total, found = needs_unassigned(session, limit=limit)
    ids = [one.need_id for one in found]
    query = select(Need.id, Need.title, Need.company).where(col(Need.id).in_(ids), readable(who))
    said = {need_id: (title, company) for need_id, title, company in session.exec(query).all()}
    items = []
    for one in found:
        title, company = said.get(one.need_id, (None, None))
        to.reads(one.need_id, withheld=one.need_id not in said)
        items.append(line(one.submitted_at, need_id=one.need_id, title=title, company_id=company))
    return total, items


def _entries(kind: Waiting) -> Callable[..., Found]:
    def found(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
        action = Action.SUPPLEMENT if kind is Waiting.RETURNED_ENTRIES else Action.RETURN
        # A committee's member sees a result once its month is confirmed.
        hidden = action is Action.RETURN and not who.holds(Role.OFFICE)
        these = (visible_entries(who, action), *([with_committee(session)] if hidden else ()))
        total, rows = entries_waiting(session, ENTRY_STATES[kind], *these, limit=limit)
        return total, [entry_line(one) for one in rows]

    return found


def _motions(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
    total, rows = motions_waiting(session, visible_motions(who, Action.LIST), limit=limit)
    return total, [motion_line(one) for one in rows]


def _plans(finding: FindingKind) -> Callable[..., Found]:
    def found(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
        rows = [one for one in plans_behind(session, at) if one.finding is finding]
        return len(rows), [finding_line(one, day_in_taipei(at)) for one in rows]

    return found


def _totals(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
    rows = totals_missing(session)
    return len(rows), [total_line(one) for one in rows]


def _quarters(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
    period = quarter_to_close(session, day_in_taipei(at))
    items = [] if period is None else [line(last_day(period), period=period)]
    return len(items), items


def _months_unset(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
    items = [] if months_since(session) else [line(day_in_taipei(at), period=None)]
    return len(items), items


def _claims(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
    mine = visible_claims(who, Action.DECIDE, day_in_taipei(at))
    total, rows = claims_waiting(session, mine, limit=limit)
    return total, [line(one.asked_at, lab_id=one.lab_id, by=one.account_id) for one in rows]


def _requests(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
    query = select(ClientRequest, func.count().over()).where(
        col(ClientRequest.answer).is_(None), requests_answered_by(who)
    )
    rows = session.exec(query.order_by(col(ClientRequest.id)).limit(limit)).all()
    return rows[0][1] if rows else 0, [
        line(one.asked_at, company_id=one.company_id, alliances=[one.alliance_id], by=one.asked_by) for one, _ in rows
    ]


def _warnings(session: Session, who: Principal, at: datetime, limit: int, to: NeedReader) -> Found:
    rows = warnings_standing(session, at, who.scopes(Role.LEAD, Role.COMMITTEE))
    return len(rows), [rung_line(one) for one in rows]


_FOUND: dict[Waiting, Callable[..., Found]] = {
    Waiting.UNASSIGNED_NEEDS: _unassigned,
    Waiting.MOTIONS: _motions,
    Waiting.PLANS_OVERDUE: _plans(FindingKind.PLAN_OVERDUE),
    Waiting.PLANS_MISSING: _plans(FindingKind.PLAN_MISSING),
    Waiting.TOTALS_MISSING: _totals,
    Waiting.QUARTERS_TO_CLOSE: _quarters,
    Waiting.MONTHS_UNSET: _months_unset,
    Waiting.LAB_CLAIMS: _claims,
    Waiting.CLIENT_REQUESTS: _requests,
    Waiting.WARNINGS: _warnings,
    **{kind: _entries(kind) for kind in ENTRY_STATES},
}


def _experts(session: Session, who: Principal, at: datetime) -> list[dict[str, Any]]:
    """Return how much waits for each expert of a lead's alliances, those without anything too, the busiest first."""
    led = who.scopes(Role.LEAD)
    waiting = loads(session, led, now=at)
    working = session.exec(
        select(Account.id)
        .join(Grant, col(Grant.account_id) == col(Account.id))
        .where(
            col(Grant.role).in_([role.value for role in STAFF]),
            col(Grant.scope_id).in_(led),
            col(Grant.revoked_at).is_(None),
            col(Account.disabled_at).is_(None),
        )
    ).all()
    return _rows("account_id", waiting, {*working, *waiting})


def _alliances(session: Session, at: datetime) -> list[dict[str, Any]]:
    """Return what waits in each alliance, as the night counts it; those in which nothing does are left out."""
    waiting = reminders(session, now=at)
    return _rows("alliance_id", waiting, waiting)


def _rows(name: str, waiting: Mapping[str, Mapping[Reminder, int]], ids: Collection[str]) -> list[dict[str, Any]]:
    def total(one: str) -> int:
        return sum(waiting.get(one, {}).values())

    order: Iterable[str] = sorted(ids, key=lambda one: (-total(one), one))
    return [
        {
            "account_id": None,
            "alliance_id": None,
            name: None if one == UNASSIGNED else one,
            "waiting": {reminder.value: waiting.get(one, {}).get(reminder, 0) for reminder in Reminder},
        }
        for one in order
    ]
