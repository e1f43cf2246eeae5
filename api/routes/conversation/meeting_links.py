"""The steps of a meeting, each with telling everybody who comes; and what the link of a mail about one still opens.

In: a meeting and who takes a step, signed in or by a link; what a token says, checked by its signature. Out: the choice
of a time, another place, its calling off, the undoing of either; how the meeting of a link stands. As with answers, a
link proves only who it was sent to: whether that person may still speak for their side is asked of the database each
time.
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
    Taker,
    accept,
    call_off,
    move_place,
    state_to_return_to,
    take_back,
)
from matcher.review.conversation.thread import Conversation, conversation_of
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
    can_undo = state_to_return_to(session, _taker(link, now), meeting) is not None
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


@dataclass(frozen=True)
class MeetingAtHand:
    """A meeting, what it is about, and who takes a step of it; of each step everybody who comes is told."""

    session: Session
    about: Conversation
    meeting: Meeting
    taker: Taker

    def accept(self, starts_at: datetime) -> None:
        """Choose a time.

        Raises:
            MeetingError: it is none of the proposed times, or the own proposal.
            MeetingLateError: another was chosen, or it was called off.
        """
        accept(self.session, self.taker, self.meeting, starts_at=starts_at)
        self._tell("agreed")

    def call_off(self) -> None:
        """Call off what was proposed or agreed.

        Raises:
            MeetingLateError: it is called off already, or has begun.
        """
        call_off(self.session, self.taker, self.meeting)
        self._tell("called_off")

    def take_back(self) -> None:
        """Undo what was done last by the same account or link.

        Raises:
            MeetingLateError: it did nothing, somebody went on from it, or its time is over.
        """
        chosen = self.meeting.starts_at if self.meeting.state == MeetingState.AGREED else None
        take_back(self.session, self.taker, self.meeting)
        self._tell("reopened" if chosen else self.meeting.state, was=chosen)

    def move(self, place: str) -> None:
        """Say where it is held.

        Raises:
            MeetingLateError: it is not agreed, or has begun.
        """
        move_place(self.session, self.taker, self.meeting, place=place)
        self._tell("moved")

    def _tell(self, how: str, was: datetime | None = None) -> None:
        by, at = self.taker.by, self.taker.at
        tell_meeting(self.session, self.about, self.meeting, how, by=by, now=at, was=was)


def meeting_of(session: Session, link: MeetingByLink, *, now: datetime) -> MeetingAtHand:
    """Return the meeting of a link, to take a step of it.

    Raises:
        MeetingLateError: nothing is asked of this reader any more.
    """
    found = _found(session, link)
    if found is None:
        raise MeetingLateError(T_("nothing is asked by this link any more"))
    meeting, about = found
    return MeetingAtHand(session, about, meeting, _taker(link, now))


def _taker(link: MeetingByLink, now: datetime) -> Taker:
    return Taker(link.side, now, by=None if "@" in link.reader else link.reader, link=link.key)


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
