"""What the link of a mail about a meeting still opens, and the time that is chosen by it.

In: what a token says, checked by its signature. Out: how the meeting stands; the choice of a time, once; its calling
off; the undoing of either. As with answers, a link proves only who it was sent to: whether that person may still speak
for their side is asked of the database each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import conversations as visible
from api.letters.conversation.meeting_letters import MeetingByLink, party_of
from api.routes.conversation.links import reader_named
from api.routes.conversation.telling import tell_meeting
from indexer.records.record_tables import Need
from indexer.wording import T_
from matcher.review.cases import Case
from matcher.review.conversation.meetings import (
    Meeting,
    MeetingLateError,
    MeetingState,
    accept,
    call_off,
    state_to_return_to,
    take_back,
)
from matcher.review.conversation.thread import Conversation, Side, conversation_of
from matcher.review.people import principal
from matcher.review.proposals import StoredPairing


@dataclass(frozen=True)
class OpenedMeeting:
    """What the page of a link shows of a meeting: when, where, with whom; nothing that the need says."""

    is_closed: bool
    answers_as: str = ""
    party: tuple[str, str] = ("", "")
    times: tuple[datetime, ...] = ()
    starts_at: datetime | None = None
    minutes: int = 0
    place: str = ""
    is_called_off: bool = False
    can_call_off: bool = False
    can_undo: bool = False
    """Whether this link chose the time, or called it off, and may undo that."""
    page: str = "/"


def opened_meeting(session: Session, link: MeetingByLink, *, now: datetime) -> OpenedMeeting:
    """Return how the meeting of a link stands; nothing is changed."""
    found = _found(session, link)
    if found is None:
        return OpenedMeeting(is_closed=True)
    meeting, about = found
    agreed, gone = meeting.state == MeetingState.AGREED, meeting.state == MeetingState.CALLED_OFF
    by = None if "@" in link.reader else link.reader
    can_undo = state_to_return_to(session, meeting, by=by, link=link.key, now=now) is not None
    ahead = [one for one in map(datetime.fromisoformat, meeting.times) if one > now]
    case = session.get_one(Case, meeting.case_id)
    return OpenedMeeting(
        is_closed=not can_undo if gone else not agreed and not ahead,
        answers_as=reader_named(session, link.reader),
        party=party_of(session, case, link.side),
        times=() if agreed or gone else tuple(ahead),
        starts_at=meeting.starts_at,
        minutes=meeting.minutes,
        place=meeting.place,
        is_called_off=gone,
        can_call_off=not gone and (meeting.starts_at is None or meeting.starts_at > now),
        can_undo=can_undo,
        page=f"/conversations/{about.pairing_id}",
    )


def accept_by_link(session: Session, link: MeetingByLink, *, starts_at: datetime, now: datetime) -> Meeting:
    """Choose a time by a link.

    Raises:
        MeetingError: it is none of the proposed times.
        MeetingLateError: another was chosen, it was called off, or nothing is asked of this reader any more.
    """
    meeting, about = _still(session, link)
    by = None if "@" in link.reader else link.reader
    accept(session, meeting=meeting, side=link.side, starts_at=starts_at, by=by, link=link.key, now=now)
    tell_meeting(session, about, meeting, "agreed", by=by, now=now)
    return meeting


def call_off_by_link(session: Session, link: MeetingByLink, *, now: datetime) -> Meeting:
    """Call off by a link what was proposed or agreed.

    Raises:
        MeetingLateError: it is called off already, has begun, or is no longer this reader's.
    """
    meeting, about = _still(session, link)
    by = None if "@" in link.reader else link.reader
    call_off(session, meeting=meeting, side=link.side, by=by, link=link.key, now=now)
    tell_meeting(session, about, meeting, "called_off", by=by, now=now)
    return meeting


def take_back_by_link(session: Session, link: MeetingByLink, *, now: datetime) -> Meeting:
    """Undo by a link what was done by it.

    Raises:
        MeetingLateError: it did nothing, somebody went on from it, or its time is over.
    """
    meeting, about = _still(session, link)
    by = None if "@" in link.reader else link.reader
    return undo_step(session, about, meeting, side=link.side, by=by, link=link.key, now=now)


def undo_step(
    session: Session,
    about: Conversation,
    meeting: Meeting,
    *,
    side: Side,
    by: str | None,
    now: datetime,
    link: str | None = None,
) -> Meeting:
    """Undo what somebody did last to a meeting, and tell everybody who comes.

    Raises:
        MeetingLateError: it can't be undone by them.
    """
    chosen = meeting.starts_at if meeting.state == MeetingState.AGREED else None
    take_back(session, meeting=meeting, side=side, by=by, link=link, now=now)
    how = "reopened" if chosen else meeting.state
    tell_meeting(session, about, meeting, how, by=by, now=now, was=chosen)
    return meeting


def _still(session: Session, link: MeetingByLink) -> tuple[Meeting, Conversation]:
    found = _found(session, link)
    if found is None:
        raise MeetingLateError(T_("nothing is asked by this link any more"))
    return found


def _found(session: Session, link: MeetingByLink) -> tuple[Meeting, Conversation] | None:
    meeting = session.get(Meeting, link.meeting_id)
    if meeting is None:
        return None
    pairing = session.get_one(StoredPairing, meeting.pairing_id)
    if "@" not in link.reader:
        who = principal(session, link.reader)
        query = select(StoredPairing.id).join(Need, col(Need.id) == StoredPairing.need_id)
        if who is None:
            return None
        query = query.where(StoredPairing.id == pairing.id, visible(who, Action.DECIDE, link.side, Resource.MEETING))
        if session.exec(query).first() is None:
            return None
    about = conversation_of(session, pairing)
    return (meeting, about) if about.is_introduced else None
