"""What a letter of one kind carries beside its sentence: links of one click, and files such as an invitation.

In: a notice, its reader, and the signer of the home. Out: links with their words and files, made at the moment of
sending, so that no token lies in the database. It exists as the seam for kinds that ask something: whoever brings such
a kind enters a function in `ENCLOSURES`, and knows nothing of mails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from api.letters.conversation.answering import links_of
from api.letters.conversation.confirming import NeedByLink
from api.letters.conversation.invitations import MEDIA_TYPE
from api.letters.conversation.lab_asking import question_link
from api.letters.conversation.meeting_letters import meeting_file, meeting_links
from api.letters.renewal import HOLDS_FOR, PURPOSE
from api.letters.signed_links import LinkSigner
from indexer.wording import T_, Text
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Notice


@dataclass(frozen=True)
class OfferedLink:
    """One click: what it says and where it leads, a path of the product."""

    label: Text
    path: str


@dataclass(frozen=True)
class Enclosure:
    """A file that goes with a letter; `method` is that of a calendar's (`REQUEST`, `CANCEL`), else empty."""

    name: str
    media_type: str
    content: bytes
    method: str = ""


@dataclass(frozen=True)
class Enclosed:
    """All that a letter carries for one notice."""

    links: tuple[OfferedLink, ...] = ()
    files: tuple[Enclosure, ...] = ()


Enclosing = Callable[[Session, Notice, LinkSigner, datetime], Enclosed]


def _renewal(_session: Session, notice: Notice, signer: LinkSigner, now: datetime) -> Enclosed:
    token = signer.token(PURPOSE, {"renewal": notice.facts["renewal"]}, now=now, holds_for=HOLDS_FOR)
    return Enclosed((OfferedLink(T_("Choose a new password"), f"/forgotten/{token}"),))


def _answers(session: Session, notice: Notice, signer: LinkSigner, now: datetime) -> Enclosed:
    if "question" in notice.facts:
        return _question(session, notice, signer, now)
    return Enclosed(tuple(OfferedLink(label, path) for label, path in links_of(notice, signer, now)))


def _meeting(session: Session, notice: Notice, signer: LinkSigner, now: datetime) -> Enclosed:
    if "meeting" not in notice.facts:
        return Enclosed()
    links = tuple(OfferedLink(label, path) for label, path in meeting_links(notice, signer, now))
    found = meeting_file(session, notice, now)
    if found is None:
        return Enclosed(links)
    method, content = found
    return Enclosed(links, (Enclosure("meeting.ics", MEDIA_TYPE, content, method),))


def _confirmation(_session: Session, notice: Notice, signer: LinkSigner, now: datetime) -> Enclosed:
    link = NeedByLink(notice.facts["need"], notice.reader, str(notice.id))
    return Enclosed((OfferedLink(T_("Look at the need"), f"/confirm-need/{link.token(signer, now=now)}"),))


def _question(_session: Session, notice: Notice, signer: LinkSigner, now: datetime) -> Enclosed:
    label, path = question_link(notice, signer, now)
    return Enclosed((OfferedLink(label, path),))


ENCLOSURES: dict[NoticeKind, Enclosing] = {
    NoticeKind.PASSWORD_FORGOTTEN: _renewal,
    NoticeKind.LAB_RELEASED: _answers,
    NoticeKind.CASE_INTRODUCED: _answers,
    NoticeKind.LAB_ASKED: _question,
    NoticeKind.LINK_ANSWERED: _answers,
    NoticeKind.MEETING: _meeting,
    NoticeKind.NEED_TO_CONFIRM: _confirmation,
}
"""By kind, what makes its links and files; a kind that is not here carries only the link to its page."""
