"""What the link of a mail about a meeting still opens, and the time that is chosen by it.

In: what a token says, checked by its signature. Out: how the meeting stands; the choice of a time, once; its calling
off. As with answers, a link proves only who it was sent to: whether that person may still speak for their side is asked
of the database each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import conversations as visible
from api.letters.conversation.meeting_letters import MeetingByLink, title_of
from api.routes.conversation.links import reader_named
from api.routes.conversation.telling import tell_meeting
from indexer.records.record_tables import Need
from indexer.wording import T_
from matcher.review.cases import Case
from matcher.review.conversation.meetings import Meeting, MeetingLateError, MeetingState, accept, call_off
from matcher.review.conversation.thread import Conversation, conversation_of
from matcher.review.people import principal
from matcher.review.proposals import StoredPairing


@dataclass(frozen=True)
class OpenedMeeting:
    """What the page of a link shows of a meeting: when, where, with whom; nothing that the need says."""

    is_closed: bool
    answers_as: str = ""
    title: str = ""
    times: tuple[datetime, ...] = ()
    starts_at: datetime | None = None
    minutes: int = 0
    place: str = ""
    can_undo: bool = False
    page: str = "/"


def opened_meeting(session: Session, link: MeetingByLink, *, now: datetime) -> OpenedMeeting:
    """Return how the meeting of a link stands; nothing is changed."""
    found = _found(session, link)
    if found is None or found[0].state == MeetingState.CALLED_OFF:
        return OpenedMeeting(is_closed=True)
    meeting, about = found
    agreed = meeting.state == MeetingState.AGREED
    ahead = [one for one in map(datetime.fromisoformat, meeting.times) if one > now]
    case = session.get_one(Case, meeting.case_id)
    return OpenedMeeting(
        is_closed=not agreed and not ahead,
        answers_as=reader_named(session, link.reader),
        title=title_of(session, case, link.side),
        times=() if agreed else tuple(ahead),
        starts_at=meeting.starts_at,
        minutes=meeting.minutes,
        place=meeting.place,
        can_undo=meeting.starts_at is None or meeting.starts_at > now,
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
