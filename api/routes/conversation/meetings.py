"""Meetings: proposed, accepted, moved, called off; one's own list of them, and the feed that a calendar subscribes to.

In: times, a choice among them, a place. Out: the meeting as one's own side has it; the address of the feed, and what it
holds for whoever knows that address.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import conversations as visible
from api.documents.answers import Page
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.conversation.meetings import (
    AcceptanceBody,
    CalendarAnswer,
    MeetingAnswer,
    MeetingBody,
    PlaceBody,
    meeting_document,
)
from api.letters.conversation.invitations import feed
from api.letters.conversation.meeting_letters import entry_of, party_of, title_of
from api.letters.signed_links import LinkError, LinkSigner
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from api.routes.conversation.meeting_links import MeetingAtHand
from api.routes.conversation.talks import find_conversation
from api.routes.conversation.telling import tell_meeting
from indexer.records.record_tables import Need
from matcher.review.cases import Case
from matcher.review.conversation.meetings import (
    CalendarFeed,
    Meeting,
    Taker,
    end_feed,
    meetings_of,
    propose,
    renew_feed,
    state_to_return_to,
)
from matcher.review.conversation.thread import Side
from matcher.review.desk.handing_on import carrier
from matcher.review.people import Principal, principal
from matcher.review.proposals import StoredPairing

router = APIRouter(prefix="/api", tags=["meetings"], route_class=ThreadedRoute)

PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
MeetingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
PURPOSE = "calendar"
_HOLDS_FOR = timedelta(days=3_650)
"""An address of a feed holds until it is renewed or ended; so long at most."""
_KEPT_FOR = timedelta(days=90)
"""For so long a meeting stays in lists and feeds after it was held."""
_MOST = 200


@router.get("/pairings/{pairing_id}/meetings", response_model=Page[MeetingAnswer])
def list_meetings(
    pairing_id: PairingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.MEETING, Action.READ))]
) -> Response:
    """List what was proposed and agreed for a pairing, the newest first."""

    def work(session: Session, who: Principal) -> Reply:
        side, about = find_conversation(session, who, pairing_id, Action.READ, Resource.MEETING)
        items = [_document(session, one, side, who, ask) for one in meetings_of(session, about.pairing_id)]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)


@router.get("/meetings", response_model=Page[MeetingAnswer])
def list_own_meetings(ask: Annotated[PermittedRequest, Depends(requires(Resource.MEETING, Action.LIST))]) -> Response:
    """List the agreed meetings that you take part in, the next first; experts those of their own cases."""

    def work(session: Session, who: Principal) -> Reply:
        since = ask.at - timedelta(days=1)
        items = [_document(session, one, side, who, ask) for one, side in own_meetings(session, who, since=since)]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)


def own_meetings(session: Session, who: Principal, *, since: Any) -> list[tuple[Meeting, Side]]:
    """Return the meetings that somebody takes part in and that were fixed, from a moment on, with their side."""
    found: dict[int | None, tuple[Meeting, Side]] = {}
    for side in Side:
        mine = [carrier() == who.id] if side is Side.EXPERT else []
        query = (
            select(Meeting)
            .join(Case, col(Case.id) == Meeting.case_id)
            .join(StoredPairing, col(StoredPairing.id) == Meeting.pairing_id)
            .join(Need, col(Need.id) == StoredPairing.need_id)
            .where(visible(who, Action.LIST, side, Resource.MEETING), col(Meeting.starts_at) >= since, *mine)
            .order_by(col(Meeting.starts_at), col(Meeting.id))
            .limit(_MOST)
        )
        for meeting in session.exec(query).all():
            found.setdefault(meeting.id, (meeting, side))
    return sorted(found.values(), key=lambda one: (one[0].starts_at or since, one[0].id or 0))


@router.post("/pairings/{pairing_id}/meetings", status_code=201, response_model=MeetingAnswer)
def propose_meeting(
    pairing_id: PairingId,
    body: MeetingBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MEETING, Action.CREATE))],
) -> Response:
    """Propose times; either of the others accepts one. What was proposed before and not accepted is called off."""

    def work(session: Session, who: Principal) -> Reply:
        side, about = find_conversation(session, who, pairing_id, Action.CREATE, Resource.MEETING)
        ask.about("need", about.need_id)
        meeting = propose(session, Taker(side, ask.at, who.id), about=about, **body.model_dump())
        tell_meeting(session, about, meeting, "proposed", by=who.id, now=ask.at)
        return Reply(201, _document(session, meeting, side, who, ask), {})

    return ask.write(work, body)


@router.post("/meetings/{meeting_id}/acceptance", response_model=MeetingAnswer)
def accept_meeting(
    meeting_id: MeetingId,
    body: AcceptanceBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MEETING, Action.DECIDE))],
) -> Response:
    """Accept one of the times that another side proposed: the meeting is fixed, and all get it for their calendars."""
    return _taken(ask, meeting_id, Action.DECIDE, lambda meeting: meeting.accept(body.starts_at), body)


@router.post("/meetings/{meeting_id}/calling-off", response_model=MeetingAnswer)
def call_meeting_off(
    meeting_id: MeetingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.MEETING, Action.END))]
) -> Response:
    """Call a meeting, or what was proposed for one, off; it is taken out of the calendars that have it."""
    return _taken(ask, meeting_id, Action.END, MeetingAtHand.call_off)


@router.post("/meetings/{meeting_id}/taking-back", response_model=MeetingAnswer)
def take_meeting_back(
    meeting_id: MeetingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.MEETING, Action.DECIDE))]
) -> Response:
    """Undo what you did last: a time that you chose is open again, a meeting that you called off stands again."""
    return _taken(ask, meeting_id, Action.DECIDE, MeetingAtHand.take_back)


@router.put("/meetings/{meeting_id}/place", response_model=MeetingAnswer)
def move_meeting(
    meeting_id: MeetingId,
    body: PlaceBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MEETING, Action.EDIT))],
) -> Response:
    """Say where an agreed meeting is held; the calendars get it anew."""
    return _taken(ask, meeting_id, Action.EDIT, lambda meeting: meeting.move(body.place), body)


def _taken(
    ask: PermittedRequest,
    meeting_id: int,
    action: Action,
    step: Callable[[MeetingAtHand], None],
    body: BaseModel | None = None,
) -> Response:
    """Take a step of a meeting, and return it as it is then."""

    def work(session: Session, who: Principal) -> Reply:
        meeting = session.get(Meeting, meeting_id)
        if meeting is None:
            raise not_found("meeting")
        side, about = find_conversation(session, who, meeting.pairing_id, action, Resource.MEETING)
        step(MeetingAtHand(session, about, meeting, Taker(side, ask.at, who.id)))
        return Reply(200, _document(session, meeting, side, who, ask), {})

    return ask.write(work, body)


def _document(session: Session, meeting: Meeting, side: Side, who: Principal, ask: PermittedRequest) -> dict[str, Any]:
    case = session.get_one(Case, meeting.case_id)
    can_undo = state_to_return_to(session, Taker(side, ask.at, who.id), meeting) is not None
    title, party = title_of(session, case, side), party_of(session, case, side)
    return meeting_document(meeting, side, title, party, ask.at, can_take_back=can_undo)


@router.get("/me/calendar", response_model=CalendarAnswer)
def read_calendar(ask: Annotated[PermittedRequest, Depends(requires(Resource.CALENDAR, Action.READ))]) -> Response:
    """Read the address that your calendar subscribes to. Whoever knows it sees your meetings: keep it to yourself."""

    def work(session: Session, who: Principal) -> Reply:
        held = session.get(CalendarFeed, who.id)
        return Reply(200, {}, {}, secret={"address": _address(ask.request, held)})

    return ask.read(work)


@router.post("/me/calendar", response_model=CalendarAnswer)
def renew_calendar(ask: Annotated[PermittedRequest, Depends(requires(Resource.CALENDAR, Action.CREATE))]) -> Response:
    """Get an address for your calendar; an earlier one is void from now on."""

    def work(session: Session, who: Principal) -> Reply:
        held = renew_feed(session, account_id=who.id, now=ask.at)
        return Reply(200, {}, {}, secret={"address": _address(ask.request, held)})

    return ask.write(work, once=False)


@router.delete("/me/calendar", response_model=CalendarAnswer)
def end_calendar(ask: Annotated[PermittedRequest, Depends(requires(Resource.CALENDAR, Action.END))]) -> Response:
    """Make the address of your calendar void."""

    def work(session: Session, who: Principal) -> Reply:
        end_feed(session, account_id=who.id, now=ask.at)
        return Reply(200, {"address": None}, {})

    return ask.write(work)


def _address(request: Request, held: CalendarFeed | None) -> str | None:
    if held is None or held.ended_at is not None:
        return None
    claims = {"a": held.account_id, "v": held.version}
    token = LinkSigner(request.app.state.home).token(PURPOSE, claims, now=held.made_at, holds_for=_HOLDS_FOR)
    address: str = request.app.state.settings.address_of(f"/calendar/{token}.ics")
    return address


def feed_of(session: Session, request: Request, token: str, at: datetime) -> bytes | None:
    """Return what a calendar that subscribes gets: the meetings that its owner may know of now; None if it is void."""
    try:
        said = LinkSigner(request.app.state.home).read(PURPOSE, token, now=at)
    except LinkError:
        return None
    held = session.get(CalendarFeed, str(said["a"]))
    who = principal(session, str(said["a"]))
    if held is None or held.ended_at is not None or held.version != said["v"] or who is None:
        return None
    address_of = request.app.state.settings.address_of
    entries = [
        entry_of(session, one, side, who.id, address_of(f"/conversations/{one.pairing_id}"))
        for one, side in own_meetings(session, who, since=at - _KEPT_FOR)
    ]
    return feed(entries, now=at)
