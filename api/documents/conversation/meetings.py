"""What clients send and are told of meetings, and of the address that a calendar subscribes to.

In: JSON bodies; rows, and for which side somebody reads them. Out: checked values; documents; models for the
description of the API.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.documents.answers import Answer
from api.documents.bodies import Word
from matcher.review.conversation.meetings import (
    LONGEST_MIN,
    MOST_TIMES,
    SHORTEST_MIN,
    Meeting,
    MeetingState,
)
from matcher.review.conversation.thread import Side


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeetingBody(_Body):
    """Times that suit you, how long it takes, and where: a room, or the address of a call."""

    times: list[AwareDatetime] = Field(examples=[["2026-12-10T14:00:00+08:00"]], max_length=MOST_TIMES * 2)
    minutes: int = Field(default=60, ge=SHORTEST_MIN, le=LONGEST_MIN)
    place: Word = Field(default="", examples=["工程一館 302 室"])


class AcceptanceBody(_Body):
    """Which of the proposed times you accept."""

    starts_at: AwareDatetime = Field(examples=["2026-12-10T14:00:00+08:00"])


class PlaceBody(_Body):
    """Where the meeting is held."""

    place: Word = Field(examples=["https://meet.example.org/abc"])


class MeetingAnswer(Answer):
    """A meeting as one side has it."""

    id: int
    pairing_id: int
    state: MeetingState
    times: list[datetime]
    starts_at: datetime | None
    minutes: int
    place: str
    proposed_side: Side
    sequence: int = Field(description="How often what stood in calendars was changed.")
    can_accept: bool
    can_call_off: bool
    can_take_back: bool = Field(description="You chose the time, or called it off, and may undo that.")
    title: str = Field(description="What it is called in your calendar; nothing of the need.")
    party: str = Field(description="Whom you meet: the lab, for the lab the alliance.")
    party_en: str


class CalendarAnswer(Answer):
    """The address that your calendar subscribes to; null if there is none. Who knows it sees your meetings."""

    address: str | None


def meeting_document(
    meeting: Meeting, side: Side, title: str, party: tuple[str, str], now: datetime, *, can_take_back: bool
) -> dict[str, Any]:
    """Return a meeting as one side has it."""
    ahead = meeting.starts_at is None or meeting.starts_at > now
    document = meeting.model_dump(
        mode="json", include={"id", "pairing_id", "state", "starts_at", "minutes", "place", "proposed_side", "sequence"}
    )
    is_open = meeting.state == MeetingState.PROPOSED
    return {
        **document,
        "times": meeting.times,
        "can_accept": is_open and side != meeting.proposed_side,
        "can_call_off": meeting.state != MeetingState.CALLED_OFF and ahead,
        "can_take_back": can_take_back,
        "title": title,
        "party": party[0],
        "party_en": party[1],
    }
