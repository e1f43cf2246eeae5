"""From reported to counted, and back: what committee, office and alliance say on an entry.

In: a person's word on an entry or a motion. Out: the entry as it stands then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel
from sqlmodel import Session, col, select

from api.answers import Page
from api.asking import Asking, asking
from api.bodies import MAX_ID
from api.idempotency import Reply
from api.ledger_answers import EntryDocumentAnswer, MotionAnswer, SaidOnEntryAnswer
from api.ledger_bodies import NoteBody, ReasonBody, SupplementBody
from api.ledger_documents import entry_document, motion_document
from api.ledger_visibility import motions as visible_motions
from api.paging import Cursor, Limit, decoded, page
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from api.routes.entries import EntryId, find_entry, usable_evidence
from matcher.ledger.closing import second_close
from matcher.ledger.motions import Motion, MotionEnd, MotionKind, end, open_motion
from matcher.ledger.recognition import (
    check,
    give_back,
    recognise,
    refuse,
    second_recognition,
    supplement,
    tell_apart,
    withdraw,
)
from matcher.ledger.reversals import move_reversal, second_reversal
from matcher.people import Principal

router = APIRouter(prefix="/api/ledger", tags=["ledger"], route_class=ThreadedRoute)

MotionId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.post("/entries/{entry_id}/check", response_model=SaidOnEntryAnswer)
def check_entry(
    entry_id: EntryId, body: NoteBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.CHECK))]
) -> Response:
    """Say as the committee that the evidence bears the claim out."""
    return _said(ask, entry_id, body, check)


@router.post("/entries/{entry_id}/return", response_model=SaidOnEntryAnswer)
def return_entry(
    entry_id: EntryId, body: ReasonBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.RETURN))]
) -> Response:
    """Return an entry to its alliance for more."""
    return _said(ask, entry_id, body, give_back)


@router.post("/entries/{entry_id}/refuse", response_model=SaidOnEntryAnswer)
def refuse_entry(
    entry_id: EntryId, body: ReasonBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.REFUSE))]
) -> Response:
    """Refuse an entry for good; the result may be reported anew."""
    return _said(ask, entry_id, body, refuse)


@router.post("/entries/{entry_id}/tell-apart", response_model=SaidOnEntryAnswer)
def tell_entry_apart(
    entry_id: EntryId, body: ReasonBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.TELL_APART))]
) -> Response:
    """Say of a held entry that it is not the claim it resembles; it is reported then."""
    return _said(ask, entry_id, body, tell_apart)


@router.post("/entries/{entry_id}/supplement", response_model=EntryDocumentAnswer)
def supplement_entry(
    entry_id: EntryId, body: SupplementBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.SUPPLEMENT))]
) -> Response:
    """Answer a returned entry with a statement and more evidence."""

    def work(session: Session, who: Principal) -> Reply:
        entry = find_entry(session, who, entry_id, Action.SUPPLEMENT)
        evidence = usable_evidence(session, who, ask, body.evidence)
        supplement(session, entry_id=entry_id, text=body.text, evidence=evidence, by=who.id, now=ask.at)
        return Reply(200, entry_document(session, who, entry), {})

    return ask.write(work, body)


@router.post("/entries/{entry_id}/withdraw", response_model=SaidOnEntryAnswer)
def withdraw_entry(
    entry_id: EntryId, body: ReasonBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.WITHDRAW))]
) -> Response:
    """Take a report of your alliance back before it is checked."""
    return _said(ask, entry_id, body, withdraw)


@router.post("/entries/{entry_id}/recognise", response_model=SaidOnEntryAnswer)
def recognise_entry(
    entry_id: EntryId, body: NoteBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.RECOGNISE))]
) -> Response:
    """Recognise a checked entry: from now on it counts. Large money waits for a second person: see `motion`."""
    return _said(ask, entry_id, body, recognise)


@router.post("/entries/{entry_id}/reverse", response_model=SaidOnEntryAnswer)
def reverse_entry(
    entry_id: EntryId, body: ReasonBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.REVERSE))]
) -> Response:
    """Move that a recognised entry be reversed; it is once a second person agrees: see `motion`."""
    return _said(ask, entry_id, body, move_reversal)


def _said(ask: Asking, entry_id: str, body: BaseModel, verb: Callable[..., Motion | None]) -> Response:
    """Carry out what somebody says on an entry, and answer with the entry and the motion that this made, if any."""

    def work(session: Session, who: Principal) -> Reply:
        entry = find_entry(session, who, entry_id, ask.action)
        motion = verb(session, entry_id=entry_id, by=who.id, now=ask.at, **body.model_dump())
        document = entry_document(session, who, entry)
        return Reply(200, {**document, "motion": None if motion is None else motion_document(session, motion)}, {})

    return ask.write(work, body)


@router.get("/motions", response_model=Page[MotionAnswer])
def list_motions(
    ask: Annotated[Asking, Depends(asking(Resource.MOTION, Action.LIST))],
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
        items = [motion_document(session, motion) for motion in session.exec(query).all()]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.post("/motions/{motion_id}/second", response_model=MotionAnswer)
def second_motion(
    motion_id: MotionId, ask: Annotated[Asking, Depends(asking(Resource.MOTION, Action.SECOND))]
) -> Response:
    """Agree to what another person moved: it is carried out now."""

    def work(session: Session, who: Principal) -> Reply:
        motion = _find_motion(session, who, motion_id, Action.SECOND)
        if motion.kind == MotionKind.RECOGNISE:
            second_recognition(session, motion_id=motion_id, by=who.id, now=ask.at)
        elif motion.kind == MotionKind.REVERSE:
            second_reversal(session, motion_id=motion_id, by=who.id, now=ask.at)
        else:
            second_close(session, motion_id=motion_id, by=who.id, now=ask.at)
        return Reply(200, motion_document(session, motion), {})

    return ask.write(work)


@router.post("/motions/{motion_id}/drop", response_model=MotionAnswer)
def drop_motion(
    motion_id: MotionId, body: ReasonBody, ask: Annotated[Asking, Depends(asking(Resource.MOTION, Action.DROP))]
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
