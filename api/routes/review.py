"""The committee's review: which results wait for a word, and what to know of each before it is said.

In: filters, or an entry. Out: the queue, oldest report first, with what stands
in the way of each; and for one entry the requirements that are not met, the
school's own total, what may be said of it now, and its neighbours in the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, func, select

from api.asking import Asking, asking
from api.filtering import chosen_alliances
from api.idempotency import Reply
from api.ledger_documents import entry_rows, motion_document
from api.ledger_visibility import entries as visible
from api.ledger_visibility import shared_by
from api.paging import Cursor, Limit, decoded, page
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from api.review_answers import Bar, ReviewAnswer, Verb, WaitingPageAnswer
from api.routes.entries import AllianceId, EntryId, find_entry, standing_so
from matcher.ledger.configuration import current
from matcher.ledger.entries import Entry, EntryKind
from matcher.ledger.kpis import Kpi
from matcher.ledger.motions import MotionKind, pending
from matcher.ledger.periods import roc_year
from matcher.ledger.recognition import ConflictError, refuse_conflicted
from matcher.ledger.requirements import unmet
from matcher.ledger.rules import RecognitionRules
from matcher.ledger.school_shares import recognised_of
from matcher.ledger.school_totals import successor, total_of
from matcher.ledger.steps import NEXT_STATES, State
from matcher.people import Principal

router = APIRouter(prefix="/api/ledger", tags=["ledger"], route_class=ThreadedRoute)

WAITING = (State.HELD, State.REPORTED, State.CHECKED)
"""The states in which the committee or the office has the next word."""
_LEADS_TO = {
    Verb.CHECK: State.CHECKED,
    Verb.RECOGNISE: State.RECOGNISED,
    Verb.RETURN: State.RETURNED,
    Verb.REFUSE: State.REFUSED,
    Verb.REVERSE: State.REVERSED,
}
OfKpi = Annotated[Kpi | None, Query(description="Only of this figure.")]
Waits = Annotated[State | None, Query(description="Only those that stand so now.")]
OlderThan = Annotated[int, Query(ge=0, le=3_660, description="Only those reported at least so many days ago.")]


@router.get("/review", response_model=WaitingPageAnswer)
def list_waiting(
    ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.CHECK))],
    alliance: AllianceId = None,
    kpi: OfKpi = None,
    state: Waits = None,
    older_than_days: OlderThan = 0,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the results that wait for your committee's word, oldest report first, and what stands in the way of each."""

    def work(session: Session, who: Principal) -> Reply:
        these = _filtered(session, who, alliance, kpi, ask.at - timedelta(days=older_than_days))
        states = WAITING if state is None else (state,)
        query = select(Entry).where(*these, col(Entry.id).in_(standing_so(states)))
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(Entry.seq) > after)
        entries = session.exec(query.order_by(col(Entry.seq)).limit(limit + 1)).all()
        counts = {
            one.value: session.exec(
                select(func.count()).select_from(Entry).where(*these, col(Entry.id).in_(standing_so([one])))
            ).one()
            for one in WAITING
        }
        return Reply(200, {**page(_waiting(session, who, entries, ask.at), limit, "seq"), "by_state": counts}, {})

    return ask.read(work)


def _filtered(session: Session, who: Principal, alliance: str | None, kpi: Kpi | None, before: datetime) -> list[Any]:
    """Return the conditions on `Entry` of a queue, but that it waits."""
    alliances = chosen_alliances(session, who, Resource.ENTRY, Action.CHECK, alliance)
    these = [shared_by(alliances), Entry.kind == EntryKind.FACT.value, col(Entry.reported_at) <= before]
    return these if kpi is None else [*these, Entry.kpi == kpi.value]


def _waiting(session: Session, who: Principal, entries: Sequence[Entry], at: datetime) -> list[dict[str, Any]]:
    limit_ntd = current(session, RecognitionRules).two_people_from_ntd
    found = []
    for entry, row in zip(entries, entry_rows(session, entries), strict=True):
        motion = pending(session, MotionKind.RECOGNISE, entry.id)
        found.append(
            {
                **row,
                "age_days": (at - entry.reported_at).days,
                "missing": [one.requirement.value for one in unmet(session, entry)],
                "barred": _bar(session, who, entry),
                "takes_two": _takes_two(entry, limit_ntd),
                "motion": None if motion is None else motion_document(session, motion),
            }
        )
    return found


def _takes_two(entry: Entry, limit_ntd: int) -> bool:
    return entry.kpi == Kpi.MONEY and entry.amount > limit_ntd


def _bar(session: Session, who: Principal, entry: Entry) -> Bar | None:
    """Return why a person has no word on an entry; None if they have."""
    try:
        refuse_conflicted(session, entry, who.id)
    except ConflictError:
        return Bar.REPORTER if entry.reporter == who.id else Bar.STAKE
    return None


@router.get("/entries/{entry_id}/review", response_model=ReviewAnswer)
def read_review(
    entry_id: EntryId,
    ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.CHECK))],
    alliance: AllianceId = None,
    kpi: OfKpi = None,
    state: Waits = None,
    older_than_days: OlderThan = 0,
) -> Response:
    """Read what to know of a result before you say a word on it; the filters are those of the queue that you are in."""

    def work(session: Session, who: Principal) -> Reply:
        entry = find_entry(session, who, entry_id, Action.CHECK)
        barred = _bar(session, who, entry)
        before = ask.at - timedelta(days=older_than_days)
        these = _filtered(session, who, alliance, kpi, before)
        states = WAITING if state is None else (state,)
        document = {
            "entry_id": entry.id,
            "unmet": [
                {"requirement": one.requirement.value, "detail": str(one.error)} for one in unmet(session, entry)
            ],
            "barred": barred,
            "takes_two": _takes_two(entry, current(session, RecognitionRules).two_people_from_ntd),
            "verbs": [] if barred else _verbs(session, who, entry),
            "school": _school(session, entry, ask.at),
            "queue": _place(session, [*these, col(Entry.id).in_(standing_so(states))], entry),
        }
        return Reply(200, document, {})

    return ask.read(work)


def _verbs(session: Session, who: Principal, entry: Entry) -> list[Verb]:
    """Return what a person may say of an entry as it stands, if nothing else forbids it."""
    (row,) = entry_rows(session, [entry])
    if row["state"] is None or entry.kind != EntryKind.FACT:
        return []
    now = State(row["state"])
    said = [verb for verb, state in _LEADS_TO.items() if state in NEXT_STATES[now]]
    if now is State.HELD:
        said.append(Verb.TELL_APART)
    moved = {
        Verb.RECOGNISE: pending(session, MotionKind.RECOGNISE, entry.id),
        Verb.REVERSE: pending(session, MotionKind.REVERSE, entry.id),
    }
    return [verb for verb in said if moved.get(verb) is None and _may(session, who, entry, verb)]


def _may(session: Session, who: Principal, entry: Entry, verb: Verb) -> bool:
    query = select(Entry.id).where(Entry.id == entry.id, visible(who, Action(verb.value)))
    return session.exec(query).first() is not None


def _school(session: Session, entry: Entry, at: datetime) -> dict[str, Any] | None:
    if entry.school_id is None:
        return None
    school_id, year = successor(session, entry.school_id), entry.occurred_on.year
    total = total_of(session, school_id, year)
    return {
        "school_id": school_id,
        "year": year,
        "total": None
        if total is None
        else {**total.model_dump(mode="json"), "roc_year": roc_year(total.year), "holds": True},
        "recognised_ntd": recognised_of(session, school_id, year, as_of=at),
    }


def _place(session: Session, waits: Sequence[Any], entry: Entry) -> dict[str, Any]:
    """Return where an entry stands among those that wait, and which come before and after it."""

    def count(*more: Any) -> int:
        return session.exec(select(func.count()).select_from(Entry).where(*waits, *more)).one()

    def neighbour(condition: Any, order: Any) -> str | None:
        return session.exec(select(Entry.id).where(*waits, condition).order_by(order).limit(1)).first()

    here = count(Entry.id == entry.id)
    return {
        "place": count(col(Entry.seq) <= entry.seq) if here else None,
        "of": count(),
        "previous": neighbour(col(Entry.seq) < entry.seq, col(Entry.seq).desc()),
        "next": neighbour(col(Entry.seq) > entry.seq, col(Entry.seq)),
    }
