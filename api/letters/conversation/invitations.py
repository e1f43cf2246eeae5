"""Meetings for calendars (RFC 5545): the invitation of a letter, its calling off, and a person's feed of meetings.

In: an agreed meeting, who is to come, and what this reader may be told of it. Out: iCalendar bytes. It exists because a
meeting that stands in no calendar is missed. The number of a meeting and the count of its changes stay the same in
letters and feeds, so that a calendar moves or removes what it has instead of adding another. An entry lies in servers
of others: it names the alliance or a lab's public name, where and when, and leads to the page; never a word of a need,
and of the people who come only the reader and the alliance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import icalendar

from matcher.review.conversation.meetings import Meeting, MeetingState

MEDIA_TYPE = "text/calendar"
_PRODUCT = "-//GLORIA Match//Meetings//EN"


@dataclass(frozen=True)
class CalendarEntry:
    """A meeting as one reader has it: what it is called for them, the page, the organiser and the reader's address."""

    meeting: Meeting
    title: str
    page: str = ""
    """The address of the page that says more, where it is known."""
    organiser: tuple[str, str] | None = None
    """Name and address of the expert who looks after it."""
    reader: str | None = None


def invitation(entry: CalendarEntry, *, now: datetime) -> tuple[str, bytes]:
    """Return the method (`REQUEST`, or `CANCEL` for what was called off) and the file of a letter."""
    method = "CANCEL" if entry.meeting.state == MeetingState.CALLED_OFF else "REQUEST"
    return method, _calendar([entry], method, now)


def feed(entries: Iterable[CalendarEntry], *, now: datetime) -> bytes:
    """Return the meetings that a person's calendar subscribes to."""
    return _calendar(entries, "PUBLISH", now)


def _calendar(entries: Iterable[CalendarEntry], method: str, now: datetime) -> bytes:
    calendar = icalendar.Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    if method == "PUBLISH":
        calendar.add("x-wr-calname", "GLORIA Match")
        calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    for entry in entries:
        if entry.meeting.starts_at is not None:
            calendar.add_component(_event(entry, now))
    return bytes(calendar.to_ical())


def _event(entry: CalendarEntry, now: datetime) -> icalendar.Event:
    meeting, event = entry.meeting, icalendar.Event()
    starts_at = meeting.starts_at or now
    event.add("uid", meeting.uid)
    event.add("sequence", meeting.sequence)
    event.add("dtstamp", now)
    event.add("dtstart", starts_at)
    event.add("dtend", starts_at + timedelta(minutes=meeting.minutes))
    event.add("summary", entry.title)
    event.add("status", "CANCELLED" if meeting.state == MeetingState.CALLED_OFF else "CONFIRMED")
    if entry.page:
        event.add("url", entry.page)
        event.add("description", entry.page)
    if meeting.place:
        event.add("location", meeting.place)
    if entry.organiser is not None:
        name, address = entry.organiser
        organiser = icalendar.vCalAddress(f"mailto:{address}")
        organiser.params["CN"] = icalendar.vText(name)
        event.add("organizer", organiser)
    if entry.reader is not None:
        attendee = icalendar.vCalAddress(f"mailto:{entry.reader}")
        attendee.params["ROLE"] = icalendar.vText("REQ-PARTICIPANT")
        attendee.params["PARTSTAT"] = icalendar.vText("NEEDS-ACTION")
        attendee.params["RSVP"] = icalendar.vText("TRUE")
        event.add("attendee", attendee)
    return event
