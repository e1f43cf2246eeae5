"""What a letter about a meeting carries: a link by which a time is chosen, and the meeting for the reader's calendar.

In: a notice of a meeting, its reader. Out: a link for what is proposed, an invitation for what is agreed, its calling
off for what no longer is; and what a meeting is called for each side. It exists apart from the building of calendars
because here it is decided what which reader may be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, select

from api.letters.conversation.invitations import CalendarEntry, invitation
from api.letters.signed_links import LinkSigner
from indexer.records.record_tables import Alliance, Lab
from indexer.wording import T_, Language, Text, said
from matcher.notices.outbox import Notice
from matcher.notices.readers import MailLanguage, reader_of
from matcher.review.cases import Case
from matcher.review.conversation.meetings import Meeting, MeetingState
from matcher.review.conversation.thread import Side
from matcher.review.desk.handing_on import carrier_of
from matcher.review.people import Account

PURPOSE = "meeting"
HOLDS_FOR = timedelta(days=30)
"""For how long a link chooses a time."""
_STATES = {"called_off": MeetingState.CALLED_OFF, "reopened": MeetingState.PROPOSED}
"""What a meeting must still be when the letter that says so leaves; of all else, agreed."""


@dataclass(frozen=True)
class MeetingByLink:
    """What a link of a meeting is for: which meeting, for which side, for whom, and the link itself."""

    meeting_id: int
    side: Side
    reader: str
    key: str

    def token(self, signer: LinkSigner, *, now: datetime) -> str:
        """Return the token of the link."""
        claims: dict[str, Any] = {"m": self.meeting_id, "s": self.side.value, "r": self.reader, "k": self.key}
        return signer.token(PURPOSE, claims, now=now, holds_for=HOLDS_FOR)

    @classmethod
    def read(cls, signer: LinkSigner, token: str, *, now: datetime) -> MeetingByLink:
        """Return what a token says.

        Raises:
            LinkError: it is none of ours, of another purpose, or too old.
        """
        found = signer.read(PURPOSE, token, now=now)
        return cls(int(found["m"]), Side(found["s"]), str(found["r"]), str(found["k"]))


def title_of(session: Session, case: Case, side: Side, language: MailLanguage = MailLanguage.BOTH) -> str:
    """Return what a meeting is called in the calendar of a side: the lab's name, for the lab that of the alliance.

    Args:
        session: to read from.
        case: what is met about.
        side: whose calendar.
        language: the one in which its reader wants to be told.
    """
    name, name_en = party_of(session, case, side)
    zh = said(T_("Meeting: %(name)s", name=name or name_en), Language.ZH)
    en = said(T_("Meeting: %(name)s", name=name_en or name), Language.EN)
    if language is not MailLanguage.BOTH:
        return zh if language is MailLanguage.ZH else en
    return zh if zh == en else f"{zh} / {en}"


def party_of(session: Session, case: Case, side: Side) -> tuple[str, str]:
    """Return both names of whom a side meets: the lab, for the lab the alliance."""
    if side is Side.LAB:
        query = select(Alliance.name, Alliance.name_en).where(Alliance.id == case.alliance_id)
    else:
        query = select(Lab.name, Lab.name_en).where(Lab.id == case.lab_id)
    name, name_en = session.exec(query).one()
    return name, name_en or ""


def meeting_links(notice: Notice, signer: LinkSigner, now: datetime) -> list[tuple[Text, str]]:
    """Return the link by which a proposed time is chosen; none for notices that propose nothing."""
    facts = notice.facts
    # Whoever proposed the times of a meeting that is open again does not choose one of them.
    if facts.get("how") not in ("proposed", "reopened") or facts["side"] == facts.get("proposed"):
        return []
    link = MeetingByLink(int(facts["meeting"]), Side(facts["side"]), notice.reader, str(notice.id))
    return [(T_("Choose a time"), f"/meeting/{link.token(signer, now=now)}")]


def meeting_file(session: Session, notice: Notice, now: datetime) -> tuple[str, bytes] | None:
    """Return the method and the calendar file that a notice of a meeting carries, None if it stands in no calendar."""
    meeting, how = session.get(Meeting, int(notice.facts["meeting"])), notice.facts.get("how")
    wanted = _STATES.get(str(how), MeetingState.AGREED)
    if meeting is None or meeting.state != wanted:
        return None
    if how == "reopened":
        # What was agreed for a while stands in calendars until it is taken out of them.
        chosen = datetime.fromisoformat(notice.facts["was"])
        meeting = Meeting(**meeting.model_dump() | {"state": MeetingState.CALLED_OFF.value, "starts_at": chosen})
    if meeting.starts_at is None:
        return None
    return invitation(entry_of(session, meeting, Side(notice.facts["side"]), notice.reader), now=now)


def entry_of(session: Session, meeting: Meeting, side: Side, reader: str, page: str = "") -> CalendarEntry:
    """Return a meeting as a reader's calendar has it.

    Args:
        session: to read from.
        meeting: the meeting.
        side: the reader's.
        reader: an account, or a mail address.
        page: the address of its page.
    """
    case = session.get_one(Case, meeting.case_id)
    owner, account = session.get(Account, carrier_of(session, case)), session.get(Account, reader)
    language = MailLanguage.BOTH if account is None else MailLanguage(reader_of(session, account.id).language)
    return CalendarEntry(
        meeting=meeting,
        title=title_of(session, case, side, language),
        page=page,
        organiser=None if owner is None else (owner.name, owner.email),
        reader=reader if "@" in reader else None if account is None else account.email,
    )
