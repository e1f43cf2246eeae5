"""A meeting of company and lab: times proposed by anybody, accepted by either side, called off by anybody.

In: times that suit one of the three, and the time that another accepts. Out: one meeting with a number under which
calendars know it (`uid`) and a count of its changes (`sequence`), and one row for every step. It exists because the way
from a yes to a meeting is where most introductions die: nobody should have to write five mails to find an hour. The
first who accepts a time fixes it; whoever can't come says so, and the meeting is called off in all calendars.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, Column, UniqueConstraint, update
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.wording import T_
from matcher.review.cases import Stage
from matcher.review.conversation.thread import SIDES, Conversation, Side

MOST_TIMES = 6
SHORTEST_MIN, LONGEST_MIN = 15, 480
FURTHEST = timedelta(days=366)
_MEETS_IN = (Stage.INTRODUCED, Stage.MEETING, Stage.NEGOTIATING)


class MeetingState(StrEnum):
    """How far a meeting has come."""

    PROPOSED = "proposed"
    AGREED = "agreed"
    CALLED_OFF = "called_off"


class MeetingError(ValueError):
    """A meeting can't be made or changed that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MeetingLateError(MeetingError):
    """Somebody else was quicker, or it is over."""


class Meeting(SQLModel, table=True):
    """One meeting: `times` are those proposed, `starts_at` the one that was accepted."""

    __tablename__ = "meeting"
    __table_args__ = (
        CheckConstraint(f"proposed_side IN ({SIDES})", name="side_known"),
        CheckConstraint("state IN ('proposed', 'agreed', 'called_off')", name="state_known"),
        CheckConstraint("state <> 'agreed' OR starts_at IS NOT NULL", name="agreed_on_a_time"),
    )

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id", index=True)
    case_id: int = Field(foreign_key="case_file.id")
    uid: str = Field(unique=True)
    sequence: int = 0
    state: str = MeetingState.PROPOSED.value
    minutes: int
    place: str = ""
    times: list[str] = Field(sa_column=Column(JSON, nullable=False))
    starts_at: datetime | None = Field(default=None, sa_type=Instant)
    proposed_side: str
    proposed_by: str | None = Field(default=None, foreign_key="account.id")
    version: int = 0


class MeetingStep(SQLModel, table=True):
    """One change of a meeting: never updated, never deleted."""

    __tablename__ = "meeting_step"
    __table_args__ = (UniqueConstraint("meeting_id", "version", name="one_step_of_a_version"),)

    id: int | None = Field(default=None, primary_key=True)
    meeting_id: int = Field(foreign_key="meeting.id")
    version: int
    state: str
    side: str
    by: str | None = Field(default=None, foreign_key="account.id")
    link: str | None = None
    at: datetime = Field(sa_type=Instant)


@dataclass(frozen=True)
class Taker:
    """Who takes a step of a meeting: for which side, when, and by which account or by which link of a mail."""

    side: Side
    at: datetime
    by: str | None = None
    link: str | None = None


def propose(
    session: Session,
    taker: Taker,
    *,
    about: Conversation,
    times: Sequence[datetime],
    minutes: int,
    place: str = "",
) -> Meeting:
    """Propose times for a meeting; what was proposed before and nobody accepted is called off.

    Raises:
        MeetingError: the lab is not introduced or the case is over, or a time is none to meet at.
    """
    if about.case is None or about.case.stage not in _MEETS_IN:
        raise MeetingError(T_("a meeting takes a case whose lab was introduced and that is still open"))
    _check(times, minutes, taker.at)
    earlier = select(Meeting).where(
        Meeting.pairing_id == about.pairing_id, Meeting.state == MeetingState.PROPOSED.value
    )
    for one in session.exec(earlier).all():
        _step(session, taker, one, MeetingState.CALLED_OFF)
    meeting = Meeting(
        pairing_id=about.pairing_id,
        case_id=about.case.id or 0,
        uid=f"{secrets.token_hex(16)}@gloria-match",
        minutes=minutes,
        place=place,
        times=[one.isoformat() for one in sorted(set(times))],
        proposed_side=taker.side.value,
        proposed_by=taker.by,
    )
    session.add(meeting)
    session.flush()
    _note(session, taker, meeting)
    return meeting


def _check(times: Sequence[datetime], minutes: int, now: datetime) -> None:
    if not 1 <= len(set(times)) <= MOST_TIMES:
        raise MeetingError(T_("propose 1 to %(most)s different times", most=MOST_TIMES), "times")
    if any(one <= now or one > now + FURTHEST for one in times):
        raise MeetingError(T_("propose times that lie ahead, within a year"), "times")
    if not SHORTEST_MIN <= minutes <= LONGEST_MIN:
        raise MeetingError(
            T_("a meeting takes %(shortest)s to %(longest)s minutes", shortest=SHORTEST_MIN, longest=LONGEST_MIN),
            "minutes",
        )


def accept(session: Session, taker: Taker, meeting: Meeting, *, starts_at: datetime) -> Meeting:
    """Accept one of the proposed times, which fixes the meeting.

    Raises:
        MeetingError: it is the own proposal, or none of the proposed times.
        MeetingLateError: another time was accepted, it was called off, or the time is over.
    """
    if meeting.state != MeetingState.PROPOSED:
        raise MeetingLateError(T_("this proposal was answered or called off in the meantime; look again"))
    if taker.side == meeting.proposed_side:
        raise MeetingError(T_("the others accept what you proposed"))
    if starts_at not in [datetime.fromisoformat(one) for one in meeting.times]:
        raise MeetingError(T_("choose one of the proposed times"), "starts_at")
    if starts_at <= taker.at:
        raise MeetingLateError(T_("this time is over; propose another"), "starts_at")
    _step(session, taker, meeting, MeetingState.AGREED, starts_at=starts_at)
    return meeting


def call_off(session: Session, taker: Taker, meeting: Meeting) -> Meeting:
    """Call a meeting, or what was proposed for one, off.

    Raises:
        MeetingLateError: it is called off already, or has begun.
    """
    if meeting.state == MeetingState.CALLED_OFF:
        raise MeetingLateError(T_("it was called off already"))
    if meeting.starts_at is not None and meeting.starts_at <= taker.at:
        raise MeetingLateError(T_("it has begun; it can't be called off any more"))
    _step(session, taker, meeting, MeetingState.CALLED_OFF)
    return meeting


def take_back(session: Session, taker: Taker, meeting: Meeting) -> Meeting:
    """Undo what somebody did last to a meeting: a time that they chose is open again, what they called off stands.

    Raises:
        MeetingLateError: it was not done by them or by this link, somebody went on from it, or its time is over.
    """
    before = state_to_return_to(session, taker, meeting)
    if before is None:
        raise MeetingLateError(T_("this can't be undone any more; look again"))
    _step(session, taker, meeting, before)
    return meeting


def state_to_return_to(session: Session, taker: Taker, meeting: Meeting) -> MeetingState | None:
    """Return what a meeting was before the last step, if the same account, or link, took that step and may undo it."""
    steps = select(MeetingStep).where(MeetingStep.meeting_id == meeting.id).order_by(col(MeetingStep.version).desc())
    taken = session.exec(steps.limit(2)).all()
    if len(taken) < 2:
        return None
    last, before = taken[0], MeetingState(taken[1].state)
    is_theirs = last.by == taker.by and taker.by is not None if taker.link is None else last.link == taker.link
    if not is_theirs:
        return None
    if last.state == MeetingState.CALLED_OFF:
        newer = select(Meeting.id).where(Meeting.pairing_id == meeting.pairing_id, col(Meeting.id) > meeting.id)
        if session.exec(newer).first() is not None:
            return None
    elif (MeetingState(last.state), before) != (MeetingState.AGREED, MeetingState.PROPOSED):
        # Another place, or an undoing: neither is an answer.
        return None
    times = [meeting.starts_at] if before is MeetingState.AGREED else map(datetime.fromisoformat, meeting.times)
    return before if any(one is not None and one > taker.at for one in times) else None


def move_place(session: Session, taker: Taker, meeting: Meeting, *, place: str) -> Meeting:
    """Say where an agreed meeting is held; the calendars get it anew.

    Raises:
        MeetingLateError: it is not agreed, or has begun.
    """
    if meeting.state != MeetingState.AGREED or meeting.starts_at is None or meeting.starts_at <= taker.at:
        raise MeetingLateError(T_("only a meeting that is agreed and lies ahead can be moved"))
    _step(session, taker, meeting, MeetingState.AGREED, place=place)
    return meeting


def _step(
    session: Session,
    taker: Taker,
    meeting: Meeting,
    state: MeetingState,
    *,
    starts_at: datetime | None = None,
    place: str | None = None,
) -> None:
    """Change a meeting only if nobody else did since it was read; what stood in calendars counts its changes."""
    stood = meeting.starts_at is not None or meeting.sequence > 0
    values = {
        "state": state.value,
        "version": meeting.version + 1,
        "sequence": meeting.sequence + stood,
        "starts_at": None if state is MeetingState.PROPOSED else starts_at or meeting.starts_at,
        "place": meeting.place if place is None else place,
    }
    moved = session.connection().execute(
        update(Meeting).where(col(Meeting.id) == meeting.id, col(Meeting.version) == meeting.version).values(**values)
    )
    if moved.rowcount != 1:
        raise MeetingLateError(T_("this proposal was answered or called off in the meantime; look again"))
    session.refresh(meeting)
    _note(session, taker, meeting)


def _note(session: Session, taker: Taker, meeting: Meeting) -> None:
    step = MeetingStep(
        meeting_id=meeting.id or 0,
        version=meeting.version,
        state=meeting.state,
        side=taker.side.value,
        by=taker.by,
        link=taker.link,
        at=taker.at,
    )
    insert_fact(session, step)


def meetings_of(session: Session, pairing_id: int) -> list[Meeting]:
    """Return the meetings of a pairing, the newest first."""
    query = select(Meeting).where(Meeting.pairing_id == pairing_id).order_by(col(Meeting.id).desc())
    return list(session.exec(query).all())


def was_agreed(session: Session, meeting: Meeting) -> bool:
    """Whether a meeting ever stood in calendars."""
    query = select(MeetingStep.id).where(
        MeetingStep.meeting_id == meeting.id, MeetingStep.state == MeetingState.AGREED.value
    )
    return session.exec(query).first() is not None


class CalendarFeed(SQLModel, table=True):
    """That somebody's calendar may subscribe to their meetings; another `version` makes earlier addresses void."""

    __tablename__ = "calendar_feed"

    account_id: str = Field(primary_key=True, foreign_key="account.id")
    version: int = 1
    made_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)


def renew_feed(session: Session, *, account_id: str, now: datetime) -> CalendarFeed:
    """Give somebody an address for their calendar, another one if they had one."""
    held = session.get(CalendarFeed, account_id, with_for_update=True)
    feed = held or CalendarFeed(account_id=account_id, version=0, made_at=now)
    feed.version, feed.made_at, feed.ended_at = feed.version + 1, now, None
    session.add(feed)
    session.flush()
    return feed


def end_feed(session: Session, *, account_id: str, now: datetime) -> None:
    """Make the address of somebody's calendar void; nothing happens if there is none."""
    held = session.get(CalendarFeed, account_id, with_for_update=True)
    if held is not None and held.ended_at is None:
        held.ended_at = now
        session.add(held)
        session.flush()
