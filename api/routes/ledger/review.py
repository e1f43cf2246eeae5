"""The committee's review: which results wait for a word, what to know of each, and every word that moves one.

In: filters, an entry, or a person's word on an entry or a motion. Out: the queue, oldest first; the entry with its
neighbours and what it would count; the entry as it is after the word. It exists because what is read before a word
and the word itself are one piece of work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel
from sqlmodel import Session, col, func, select

from api.access.policy import Action, Resource
from api.access.visibility import entries as visible
from api.access.visibility import motions as visible_motions
from api.access.visibility import shared_by
from api.documents.answers import Page
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.ledger import (
    EntryDocumentAnswer,
    MotionAnswer,
    ReviewAnswer,
    SaidOnEntryAnswer,
    Verb,
    WaitingPageAnswer,
    entry_document,
    entry_rows,
    motion_document,
    total_document,
)
from api.documents.ledger_bodies import NoteBody, ReasonBody, ScoresBody, SupplementBody
from api.letters.telling import tell_of_motion, tell_of_results, tell_of_said_result, tell_of_seconded
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from api.requests.query_parameters import Cursor, Limit, chosen_alliances, decoded, page
from api.routes.ledger.entries import (
    AllianceId,
    EntryId,
    find_entry,
    must_not_name_oneself,
    standing_so,
    usable_evidence,
)
from matcher.ledger.figures.school_shares import recognised_of
from matcher.ledger.rows.entries import Entry, EntryKind
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.motions import Motion, MotionEnd, MotionKind, end, open_motion, pending
from matcher.ledger.rows.periods import second_close
from matcher.ledger.rows.school_totals import COMPARED, successor, total_of
from matcher.ledger.rows.steps import NEXT_STATES, State
from matcher.ledger.rule_documents import second_document
from matcher.ledger.rules.duties import Act, Bar, bar_on
from matcher.ledger.rules.granting import second_grant
from matcher.ledger.rules.model_cases import Scored
from matcher.ledger.rules.months import month_of
from matcher.ledger.rules.recognition import (
    check,
    give_back,
    is_with_committee,
    move_reversal,
    recognise,
    refuse,
    score,
    second_recognition,
    second_reversal,
    supplement,
    takes_two,
    tell_apart,
    with_committee,
    withdraw,
)
from matcher.ledger.rules.requirements import unmet
from matcher.review.people import Principal
from matcher.review.roles import Role

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
_ACTS = {Verb.CHECK: Act.CHECK, Verb.RECOGNISE: Act.RECOGNISE, Verb.REVERSE: Act.REVERSE}
OfKpi = Annotated[Kpi | None, Query(description="Only of this figure.")]
Waits = Annotated[State | None, Query(description="Only those that stand so now.")]
OlderThan = Annotated[int, Query(ge=0, le=3_660, description="Only those reported at least so many days ago.")]


@router.get("/review", response_model=WaitingPageAnswer)
def list_waiting(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.RETURN))],
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
    alliances = chosen_alliances(session, who, Resource.ENTRY, Action.RETURN, alliance)
    these = [shared_by(alliances), Entry.kind == EntryKind.FACT.value, col(Entry.reported_at) <= before]
    if not who.holds(Role.OFFICE):
        these.append(with_committee(session))
    return these if kpi is None else [*these, Entry.kpi == kpi.value]


def _waiting(session: Session, who: Principal, entries: Sequence[Entry], at: datetime) -> list[dict[str, Any]]:
    found = []
    for entry, row in zip(entries, entry_rows(session, entries), strict=True):
        motion = pending(session, MotionKind.RECOGNISE, entry.id)
        found.append(
            {
                **row,
                "age_days": (at - entry.reported_at).days,
                "missing": [one.requirement.value for one in unmet(session, entry)],
                "barred": _bar(session, who, entry, row["state"]),
                "takes_two": takes_two(session, entry),
                "motion": None if motion is None else motion_document(session, motion),
            }
        )
    return found


def _bar(session: Session, who: Principal, entry: Entry, state: str | None) -> Bar | None:
    """Return why a person has no word that takes an entry onward from where it stands; None if they have."""
    act = {State.REPORTED.value: Act.CHECK, State.CHECKED.value: Act.RECOGNISE}.get(state or "", Act.DECIDE)
    return bar_on(session, entry, who.id, act)


@router.get("/entries/{entry_id}/review", response_model=ReviewAnswer)
def read_review(
    entry_id: EntryId,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.RETURN))],
    alliance: AllianceId = None,
    kpi: OfKpi = None,
    state: Waits = None,
    older_than_days: OlderThan = 0,
) -> Response:
    """Read what to know of a result before you say a word on it; the filters are those of the queue that you are in."""

    def work(session: Session, who: Principal) -> Reply:
        entry = find_entry(session, who, entry_id, Action.RETURN)
        (row,) = entry_rows(session, [entry])
        barred = _bar(session, who, entry, row["state"])
        before = ask.at - timedelta(days=older_than_days)
        these = _filtered(session, who, alliance, kpi, before)
        states = WAITING if state is None else (state,)
        document = {
            "entry_id": entry.id,
            "unmet": [
                {"requirement": one.requirement.value, "detail": str(one.error), "blocks": one.blocks}
                for one in unmet(session, entry)
            ],
            "barred": barred,
            "takes_two": takes_two(session, entry),
            "verbs": _verbs(session, who, entry),
            "awaits_month": None if is_with_committee(session, entry) else month_of(entry.reported_at),
            "schools": _schools(session, entry, ask.at),
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
    if entry.kpi == Kpi.MODEL_CASES and now in (State.REPORTED, State.CHECKED):
        said.append(Verb.SCORE)
    said = [verb for verb in said if bar_on(session, entry, who.id, _ACTS.get(verb, Act.DECIDE)) is None]
    if Verb.CHECK in said and not is_with_committee(session, entry):
        said.remove(Verb.CHECK)
    moved = {
        Verb.RECOGNISE: pending(session, MotionKind.RECOGNISE, entry.id),
        Verb.REVERSE: pending(session, MotionKind.REVERSE, entry.id),
    }
    return [verb for verb in said if moved.get(verb) is None and _may(session, who, entry, verb)]


def _may(session: Session, who: Principal, entry: Entry, verb: Verb) -> bool:
    action = Action.CHECK if verb is Verb.SCORE else Action(verb.value)
    query = select(Entry.id).where(Entry.id == entry.id, visible(who, action))
    return session.exec(query).first() is not None


def _schools(session: Session, entry: Entry, at: datetime) -> list[dict[str, Any]]:
    """Return each school of an entry beside its own total of money, and of the entry's figure if that is another."""
    kpi, year = Kpi(entry.kpi), entry.occurred_on.year
    figures = [one for one in COMPARED if one in (Kpi.MONEY, kpi)]
    return [
        _beside(session, successor(session, school), year, figure, share_bp, at)
        for school, share_bp in entry.by_school().items()
        for figure in figures
    ]


def _beside(session: Session, school_id: str, year: int, kpi: Kpi, share_bp: int, at: datetime) -> dict[str, Any]:
    total = total_of(session, school_id, year, kpi)
    holding = None if total is None else {**total_document(total), "holds": True}
    recognised = float(recognised_of(session, school_id, year, as_of=at, kpi=kpi))
    known = {"school_id": school_id, "share_bp": share_bp, "year": year, "kpi": kpi.value}
    return {**known, "unit": KPI_FACTS[kpi].unit.value, "total": holding, "recognised": recognised}


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


MotionId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.post("/entries/{entry_id}/check", response_model=SaidOnEntryAnswer)
def check_entry(
    entry_id: EntryId, body: NoteBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.CHECK))]
) -> Response:
    """Say as the committee that the evidence bears the claim out."""
    return _said(ask, entry_id, body, check)


@router.post("/entries/{entry_id}/scores", response_model=EntryDocumentAnswer)
def score_entry(
    entry_id: EntryId,
    body: ScoresBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.CHECK))],
) -> Response:
    """Score aspects of a model case as the committee, each with its reason; the newest score of an aspect holds."""

    def work(session: Session, who: Principal) -> Reply:
        entry = find_entry(session, who, entry_id, Action.CHECK)
        scores = {aspect: Scored(**one.model_dump()) for aspect, one in body.scores.items()}
        score(session, entry_id=entry.id, scores=scores, by=who.id, now=ask.at)
        return Reply(200, entry_document(session, who, entry), {})

    return ask.write(work, body)


@router.post("/entries/{entry_id}/return", response_model=SaidOnEntryAnswer)
def return_entry(
    entry_id: EntryId,
    body: ReasonBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.RETURN))],
) -> Response:
    """Return an entry to its alliance for more."""
    return _said(ask, entry_id, body, give_back)


@router.post("/entries/{entry_id}/refuse", response_model=SaidOnEntryAnswer)
def refuse_entry(
    entry_id: EntryId,
    body: ReasonBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.REFUSE))],
) -> Response:
    """Refuse an entry for good; the result may be reported anew."""
    return _said(ask, entry_id, body, refuse)


@router.post("/entries/{entry_id}/tell-apart", response_model=SaidOnEntryAnswer)
def tell_entry_apart(
    entry_id: EntryId,
    body: ReasonBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.TELL_APART))],
) -> Response:
    """Say of a held entry that it is not the claim it resembles; it is reported then."""
    return _said(ask, entry_id, body, tell_apart)


@router.post("/entries/{entry_id}/supplement", response_model=EntryDocumentAnswer)
def supplement_entry(
    entry_id: EntryId,
    body: SupplementBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.SUPPLEMENT))],
) -> Response:
    """Answer a returned entry with a statement and more evidence."""

    def work(session: Session, who: Principal) -> Reply:
        entry = find_entry(session, who, entry_id, Action.SUPPLEMENT)
        must_not_name_oneself(session, who, [body.text, *(one.item() for one in body.evidence)])
        evidence = usable_evidence(session, who, ask, body.evidence)
        supplement(session, entry_id=entry_id, text=body.text, evidence=evidence, by=who.id, now=ask.at)
        tell_of_results(session, [entry], by=who.id, now=ask.at, again=True)
        return Reply(200, entry_document(session, who, entry), {})

    return ask.write(work, body)


@router.post("/entries/{entry_id}/withdraw", response_model=SaidOnEntryAnswer)
def withdraw_entry(
    entry_id: EntryId,
    body: ReasonBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.WITHDRAW))],
) -> Response:
    """Take a report of your alliance back before it is checked."""
    return _said(ask, entry_id, body, withdraw)


@router.post("/entries/{entry_id}/recognise", response_model=SaidOnEntryAnswer)
def recognise_entry(
    entry_id: EntryId,
    body: NoteBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.RECOGNISE))],
) -> Response:
    """Recognise a checked entry: from now on it counts. Large money waits for a second person: see `motion`."""
    return _said(ask, entry_id, body, recognise)


@router.post("/entries/{entry_id}/reverse", response_model=SaidOnEntryAnswer)
def reverse_entry(
    entry_id: EntryId,
    body: ReasonBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.REVERSE))],
) -> Response:
    """Move that a recognised entry be reversed; it is once a second person agrees: see `motion`."""
    return _said(ask, entry_id, body, move_reversal)


_TOLD = (Action.RETURN, Action.REFUSE, Action.RECOGNISE)


def _said(ask: PermittedRequest, entry_id: str, body: BaseModel, verb: Callable[..., Motion | None]) -> Response:
    """Carry out what somebody says on an entry, and answer with the entry and the motion that this made, if any."""

    def work(session: Session, who: Principal) -> Reply:
        entry = find_entry(session, who, entry_id, ask.action)
        motion = verb(session, entry_id=entry_id, by=who.id, now=ask.at, **body.model_dump())
        if motion is not None:
            tell_of_motion(session, motion, now=ask.at)
        elif ask.action in _TOLD:
            tell_of_said_result(session, entry, ask.action.value, by=who.id, now=ask.at)
        document = entry_document(session, who, entry)
        return Reply(200, {**document, "motion": None if motion is None else motion_document(session, motion)}, {})

    return ask.write(work, body)


@router.get("/motions", response_model=Page[MotionAnswer])
def list_motions(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MOTION, Action.LIST))],
    waiting: Annotated[bool, Query(description="Only those that wait for a second person.")] = True,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List what was moved and takes a second person."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Motion).where(visible_motions(who, Action.LIST)).order_by(col(Motion.id)).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(Motion.id) > after)
        if waiting:
            query = query.where(col(Motion.id).not_in(select(MotionEnd.motion_id)))
        items = [motion_document(session, motion, who) for motion in session.exec(query).all()]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.post("/motions/{motion_id}/second", response_model=MotionAnswer)
def second_motion(
    motion_id: MotionId, ask: Annotated[PermittedRequest, Depends(requires(Resource.MOTION, Action.SECOND))]
) -> Response:
    """Agree to what another person moved: it is carried out now."""

    def work(session: Session, who: Principal) -> Reply:
        motion = _find_motion(session, who, motion_id, Action.SECOND)
        if motion.kind == MotionKind.RECOGNISE:
            second_recognition(session, motion_id=motion_id, by=who.id, now=ask.at)
        elif motion.kind == MotionKind.REVERSE:
            second_reversal(session, motion_id=motion_id, by=who.id, now=ask.at)
        elif motion.kind == MotionKind.CONFIGURE:
            second_document(session, motion_id=motion_id, by=who.id, now=ask.at)
        elif motion.kind == MotionKind.GRANT:
            second_grant(session, motion_id=motion_id, by=who.id, now=ask.at)
            ask.about("account", motion.payload["account"])
        else:
            second_close(session, motion_id=motion_id, by=who.id, now=ask.at)
        tell_of_seconded(session, motion, by=who.id, now=ask.at)
        return Reply(200, motion_document(session, motion), {})

    return ask.write(work)


@router.post("/motions/{motion_id}/drop", response_model=MotionAnswer)
def drop_motion(
    motion_id: MotionId,
    body: ReasonBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MOTION, Action.DROP))],
) -> Response:
    """Drop a motion: nothing is carried out, and the same may be moved anew."""

    def work(session: Session, who: Principal) -> Reply:
        motion = _find_motion(session, who, motion_id, Action.DROP)
        end(session, open_motion(session, motion_id), seconded=False, by=who.id, now=ask.at, reason=body.reason)
        return Reply(200, motion_document(session, motion), {})

    return ask.write(work, body)


def _find_motion(session: Session, who: Principal, motion_id: int, action: Action) -> Motion:
    motion = session.exec(select(Motion).where(Motion.id == motion_id, visible_motions(who, action))).first()
    if motion is None:
        raise not_found("motion")
    return motion
