"""Meetings in pages: proposing and choosing a time in the conversation, by the link of a mail, and one's own calendar.

In: times as people type them, which are those of Taipei; a press on one of them. Out: the conversation again, the page
behind a mail's link, the list of one's own meetings with the address that a calendar subscribes to.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.conversation.meetings import AcceptanceBody, MeetingBody, PlaceBody
from api.letters.conversation.invitations import MEDIA_TYPE
from api.letters.conversation.meeting_letters import MeetingByLink
from api.letters.signed_links import LinkError
from api.pages.conversation.link import (
    GONE,
    HEADERS,
    Form,
    SignInFirstError,
    is_answerable,
    must_be_signed_in,
    must_press_here,
    shown_link,
    signer_of,
)
from api.pages.conversation.talk import conversation_page
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found, refusal_of
from api.routes.conversation.links import note_by_link
from api.routes.conversation.meeting_links import MeetingAtHand, OpenedMeeting, meeting_of, opened_meeting
from api.routes.conversation.meetings import (
    accept_meeting,
    call_meeting_off,
    end_calendar,
    feed_of,
    list_own_meetings,
    move_meeting,
    propose_meeting,
    read_calendar,
    renew_calendar,
    take_meeting_back,
)
from api.trail.audit_trail import Subject
from indexer.database import reading, writing
from indexer.instants import TAIPEI, now
from matcher.review.conversation.meetings import MOST_TIMES, MeetingError

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
MeetingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.post("/conversations/{pairing_id}/meetings")
def propose(
    pairing_id: PairingId, visit: Annotated[Visit, Depends(visiting(Resource.MEETING, Action.CREATE))]
) -> Response:
    """Propose times."""

    def work() -> None:
        typed = [visit.form.get(f"time-{n}") for n in range(1, MOST_TIMES + 1)]
        times = [_moment(one) for one in typed if isinstance(one, str) and one.strip()]
        body = visit.body(MeetingBody, {"times": times, **visit.values("minutes", "place")})
        visit.reply(propose_meeting, pairing_id=pairing_id, body=body)

    return _answered(
        visit, pairing_id, visit.attempt(work), N_("The times are proposed; either of the others chooses.")
    )


def _moment(typed: str) -> str:
    """Return a time as it was typed, which is one of Taipei, with its zone; what is no time stays as it is."""
    try:
        return datetime.fromisoformat(typed.strip()).replace(tzinfo=TAIPEI).isoformat()
    except ValueError:
        return typed


def _answered(visit: Visit, pairing_id: int, refused: Any, said: str) -> Response:
    if isinstance(refused, Refusal):
        return conversation_page(visit, pairing_id, refused, "meeting")
    return visit.go(f"/conversations/{pairing_id}#meetings", said)


@router.post("/conversations/{pairing_id}/meetings/{meeting_id}/accept")
def accept(
    pairing_id: PairingId,
    meeting_id: MeetingId,
    visit: Annotated[Visit, Depends(visiting(Resource.MEETING, Action.DECIDE))],
) -> Response:
    """Choose one of the times."""

    def work() -> None:
        body = visit.body(AcceptanceBody, visit.values("starts_at"))
        visit.reply(accept_meeting, meeting_id=meeting_id, body=body)

    return _answered(
        visit, pairing_id, visit.attempt(work), N_("The meeting is agreed. All get it for their calendars.")
    )


@router.post("/conversations/{pairing_id}/meetings/{meeting_id}/call-off")
def cancel(
    pairing_id: PairingId,
    meeting_id: MeetingId,
    visit: Annotated[Visit, Depends(visiting(Resource.MEETING, Action.END))],
) -> Response:
    """Call a meeting off."""
    done = visit.attempt(lambda: visit.reply(call_meeting_off, meeting_id=meeting_id))
    return _answered(visit, pairing_id, done, N_("It is called off. Calendars that have it are told."))


@router.post("/conversations/{pairing_id}/meetings/{meeting_id}/take-back")
def take_back(
    pairing_id: PairingId,
    meeting_id: MeetingId,
    visit: Annotated[Visit, Depends(visiting(Resource.MEETING, Action.DECIDE))],
) -> Response:
    """Undo what was pressed last."""
    done = visit.attempt(lambda: visit.reply(take_meeting_back, meeting_id=meeting_id))
    return _answered(visit, pairing_id, done, N_("It is undone. Everybody is told."))


@router.post("/conversations/{pairing_id}/meetings/{meeting_id}/place")
def set_place(
    pairing_id: PairingId,
    meeting_id: MeetingId,
    visit: Annotated[Visit, Depends(visiting(Resource.MEETING, Action.EDIT))],
) -> Response:
    """Say where it is held."""

    def work() -> None:
        body = visit.body(PlaceBody, {"place": visit.form.get("place", "")})
        visit.reply(move_meeting, meeting_id=meeting_id, body=body)

    return _answered(
        visit, pairing_id, visit.attempt(work), N_("The place is changed. All get it for their calendars.")
    )


@router.get("/calendar")
def show_calendar(visit: Annotated[Visit, Depends(visiting(Resource.CALENDAR, Action.READ))]) -> Response:
    """Show one's own meetings, and the address that a calendar subscribes to."""
    found = visit.attempt(lambda: visit.document(list_own_meetings)["items"])
    return visit.show(
        "conversation/calendar.html",
        meetings=[] if isinstance(found, Refusal) else found,
        address=visit.reply(read_calendar).secret["address"],
    )


@router.post("/calendar")
def renew(visit: Annotated[Visit, Depends(visiting(Resource.CALENDAR, Action.CREATE))]) -> Response:
    """Make the address, or another one."""
    visit.reply(renew_calendar)
    return visit.go("/calendar", N_("This is your calendar's address from now on. An earlier one is void."))


@router.post("/calendar/end")
def end(visit: Annotated[Visit, Depends(visiting(Resource.CALENDAR, Action.END))]) -> Response:
    """Make the address void."""
    visit.reply(end_calendar)
    return visit.go("/calendar", N_("The address is void: calendars that subscribed get nothing any more."))


@router.get("/calendar/{token}.ics")
def show_feed(request: Request, token: str) -> Response:
    """Answer a calendar that subscribes."""
    at = now()
    with reading(request.app.state.engine) as session:
        content = feed_of(session, request, token, at)
    if content is None:
        raise not_found("calendar")
    return Response(content, 200, HEADERS, f"{MEDIA_TYPE}; charset=utf-8")


@router.get("/meeting/{token}")
def show_link(request: Request, token: str) -> Response:
    """Show the times that are proposed, or the one that is agreed; nothing is changed."""
    return _link_page(request, token)


@router.post("/meeting/{token}")
def choose_by_link(request: Request, token: str, form: Form) -> Response:
    """Choose a time."""

    def work(meeting: MeetingAtHand) -> None:
        try:
            starts_at = datetime.fromisoformat(str(form.get("starts_at", "")))
        except ValueError:
            starts_at = meeting.taker.at
        meeting.accept(starts_at)

    return _pressed(request, token, work)


@router.post("/meeting/{token}/call-off")
def cancel_by_link(request: Request, token: str) -> Response:
    """Call it off."""
    return _pressed(request, token, MeetingAtHand.call_off)


@router.post("/meeting/{token}/undo")
def undo_by_link(request: Request, token: str) -> Response:
    """Undo what this link did last."""
    return _pressed(request, token, MeetingAtHand.take_back)


def _pressed(request: Request, token: str, step: Callable[[MeetingAtHand], None]) -> Response:
    at = now()
    try:
        must_press_here(request)
        link = MeetingByLink.read(signer_of(request), token, now=at)
        with writing(request.app.state.engine) as session:
            must_be_signed_in(session, request, link.reader, at)
            found = meeting_of(session, link, now=at)
            step(found)
            subject = Subject("meeting", str(found.meeting.id))
            note_by_link(session, request, subject, Resource.MEETING, Action.DECIDE, by=found.taker.by, at=at)
    except LinkError:
        return _link_page(request, token)
    except SignInFirstError:
        return _link_page(request, token, status=403)
    except (MeetingError, RequestValidationError) as error:
        return _link_page(request, token, refusal_of(error))
    return Response(b"", 303, {**HEADERS, "Location": f"/meeting/{token}"})


def _link_page(request: Request, token: str, refused: Refusal | None = None, status: int = 200) -> Response:
    at = now()
    context: dict[str, Any] = {"here": f"/meeting/{token}", "token": token, "refused": refused, "expired": None}
    try:
        link = MeetingByLink.read(signer_of(request), token, now=at)
    except LinkError as error:
        context["expired"] = error.expired
        return shown_link(request, "conversation/link.html", context, GONE if error.expired else 404)
    with reading(request.app.state.engine) as session:
        opened: OpenedMeeting = opened_meeting(session, link, now=at)
        context["sign_in"] = None if is_answerable(session, request, link.reader, at) else context["here"]
    status = status if refused is None else refused.status
    context["opened"] = opened
    return shown_link(request, "conversation/meeting_link.html", context, GONE if opened.is_closed else status)
