"""Who is told of what happens in a conversation: the readers of each event, and the notices that go to them.

In: an answer, a message, a meeting, a question to a lab, in the transaction in which it happens. Out: notices with ids
and codes alone; of releases and of a case's steps tells `api.letters.telling`. It exists as the one place that says
whose business a conversation is: of the alliance those who look after it, of a side everybody who speaks for it, and
nobody of the other side.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from api.letters.caring import holders, looking_after
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Notice, notify
from matcher.review.conversation.answers import SideAnswer, SideWord
from matcher.review.conversation.attachments import Attachment
from matcher.review.conversation.lab_questions import LabAnswer, LabQuestion, askers_of
from matcher.review.conversation.meetings import Meeting
from matcher.review.conversation.thread import Audience, Conversation, Message, Side
from matcher.review.proposals import Release, StoredPairing
from matcher.review.roles import STAFF, Role

_HEARS = {
    Audience.COMPANY: (Side.COMPANY,),
    Audience.LAB: (Side.LAB,),
    Audience.BOTH: (Side.COMPANY, Side.LAB),
    Audience.INTERNAL: (),
}


def place_of(pairing_id: int) -> str:
    """Return the page of a conversation."""
    return f"/conversations/{pairing_id}"


def facts_of(about: Conversation, **more: object) -> dict[str, str]:
    """Return the ids that a notice of a conversation carries."""
    found: dict[str, object] = {"pairing": about.pairing_id, "need": about.need_id, "lab": about.lab_id, **more}
    if about.company_id is not None:
        found["company"] = about.company_id
    if about.is_introduced and about.case is not None:
        found["case"] = about.case.id
    return {name: str(value) for name, value in found.items()}


def readers_of(session: Session, about: Conversation, side: Side) -> list[str]:
    """Return the accounts that speak for a side; of the alliance those who look after the case or the need."""
    if side is Side.COMPANY:
        return holders(session, [Role.COMPANY], [about.company_id])
    if side is Side.LAB:
        return holders(session, [Role.RESEARCHER], [about.lab_id])
    # Whoever looked after it may have left: then all colleagues hear of it rather than nobody.
    return looking_after(session, about) or holders(session, STAFF, [about.alliance_id])


def _tell(
    session: Session,
    kind: NoticeKind,
    about: Conversation,
    to: list[str],
    *,
    key: str,
    now: datetime,
    by: str | None = None,
    part: str = "",
    **facts: object,
) -> None:
    """Tell readers of something in a conversation; `part` is where on its page it stands."""
    place = place_of(about.pairing_id) + part
    notify(session, kind=kind, to=to, key=key, place=place, facts=facts_of(about, **facts), by=by, now=now)


def tell_address(session: Session, about: Conversation, side: Side, address: str, *, by: str, now: datetime) -> None:
    """Send somebody without an account the question that stands open for a side, with the links that answer it."""
    if side is Side.LAB and about.case is not None:
        step = about.case.version
        key = f"case {about.case.id} step {step}"
        _tell(session, NoticeKind.CASE_INTRODUCED, about, [address], key=key, by=by, now=now, step=step)
        return
    shown = (Release.pairing_id == about.pairing_id, col(Release.ended_at).is_(None))
    number = session.exec(select(Release.id).where(*shown)).one()
    key = f"release {number}"
    _tell(session, NoticeKind.LAB_RELEASED, about, [address], key=key, by=by, now=now, release=number)


def tell_answered(session: Session, about: Conversation, said: SideAnswer, *, now: datetime) -> None:
    """Tell the alliance what a side answered, and the company once the lab has."""
    if said.word == SideWord.QUESTION:
        # The question itself stands in the thread, of which they are told.
        return
    to = readers_of(session, about, Side.EXPERT)
    if said.side == Side.LAB:
        to += readers_of(session, about, Side.COMPANY)
    key = f"answer {said.id}"
    _tell(session, NoticeKind.CASE_ANSWERED, about, to, key=key, by=said.by, now=now, word=said.word)


def tell_by_link(
    session: Session, about: Conversation, said: SideAnswer, *, reader: str, asked: str, now: datetime
) -> None:
    """Tell whom a link was sent to what was just done by it, with the way to undo it: it may have been forwarded."""
    facts = {"word": said.word, "side": said.side, "asked": asked, "link": said.link or ""}
    _tell(session, NoticeKind.LINK_ANSWERED, about, [reader], key=f"link answer {said.id}", now=now, **facts)


def tell_said(session: Session, about: Conversation, said: SideAnswer, *, now: datetime) -> None:
    """Tell what a side answered, and of its question, which stands in the thread, whoever is to reply."""
    tell_answered(session, about, said, now=now)
    if said.word == SideWord.QUESTION:
        query = select(Message).where(Message.pairing_id == about.pairing_id, Message.side == said.side)
        message = session.exec(query.order_by(col(Message.id).desc())).first()
        if message is not None:
            tell_written(session, about, message, now=now)


def tell_written(session: Session, about: Conversation, message: Message, *, now: datetime) -> None:
    """Tell those whom a message is for; of a note those colleagues who are called upon."""
    audience = Audience(message.audience)
    internal = audience is Audience.INTERNAL
    to = list(message.mentioned) if internal else _hearing(session, about, audience, message.side)
    key = f"message {message.id}"
    _tell(session, NoticeKind.CASE_ASKED, about, to, key=key, by=message.by, now=now, part="#thread")


def tell_attached(session: Session, about: Conversation, attached: Attachment, *, now: datetime) -> None:
    """Tell those whom a file in a conversation is for; of one among colleagues nobody is told."""
    to = _hearing(session, about, Audience(attached.audience or Audience.INTERNAL), attached.side)
    key = f"attachment {attached.id}"
    _tell(session, NoticeKind.CASE_ASKED, about, to, key=key, by=attached.by, now=now, part="#files", how="file")


def _hearing(session: Session, about: Conversation, audience: Audience, said_by: str) -> list[str]:
    """Return who hears of what is for an audience: its sides, and the alliance of what a side said."""
    to = [one for side in _HEARS[audience] for one in readers_of(session, about, side)]
    return to if said_by == Side.EXPERT else to + readers_of(session, about, Side.EXPERT)


def tell_meeting(
    session: Session,
    about: Conversation,
    meeting: Meeting,
    how: str,
    *,
    by: str | None,
    now: datetime,
    was: datetime | None = None,
) -> None:
    """Tell everybody who comes of a meeting that was proposed, agreed, moved, reopened or called off.

    Whoever proposed or called off is told of nothing they did, but of what changes in calendars they get the file as
    well. `was` is the time of a meeting that is open again.
    """
    facts: dict[str, object] = {"meeting": meeting.id, "how": how, "proposed": meeting.proposed_side}
    if was is not None:
        facts["was"] = was.isoformat()
    teller = None if how in ("agreed", "moved", "reopened") else by
    for side in Side:
        if how == "proposed" and side == meeting.proposed_side:
            continue
        to = [*readers_of(session, about, side), *addresses_of(session, about, side)]
        key = f"meeting {meeting.id} {meeting.version}"
        facts["side"] = side.value
        _tell(session, NoticeKind.MEETING, about, to, key=key, by=teller, now=now, part="#meetings", **facts)


def addresses_of(session: Session, about: Conversation, side: Side) -> list[str]:
    """Return the addresses of people without an account who answered for a side by a link."""
    answered = select(SideAnswer.link).where(
        SideAnswer.pairing_id == about.pairing_id, SideAnswer.side == side.value, col(SideAnswer.by).is_(None)
    )
    numbers = {int(link) for link in session.exec(answered).all() if link is not None}
    query = select(Notice.reader).where(col(Notice.id).in_(numbers), col(Notice.account_id).is_(None))
    return sorted(set(session.exec(query).all()))


def tell_asked_lab(session: Session, asked: LabQuestion, *, now: datetime) -> int:
    """Send a lab the question that it is asked: its accounts, and the address that was given. Return how many hear it.

    The lab learns of no need by it, so the notice names none.
    """
    to = [*holders(session, [Role.RESEARCHER], [asked.lab_id]), *([asked.reader] if asked.reader else [])]
    told = notify(
        session,
        kind=NoticeKind.LAB_ASKED,
        to=to,
        key=f"lab question {asked.id}",
        place=f"/my-lab/{asked.lab_id}/questions/{asked.id}",
        facts={"question": str(asked.id), "lab": asked.lab_id},
        by=asked.by,
        now=now,
    )
    return len(told)


def tell_lab_said(session: Session, said: LabAnswer, *, now: datetime) -> None:
    """Tell all who asked a lab a thing what it says; of one who has left, the colleagues hear of it."""
    for asked in askers_of(session, said.question_id):
        own = holders(session, STAFF, [asked.alliance_id])
        need_id = session.exec(select(StoredPairing.need_id).where(StoredPairing.id == asked.pairing_id)).one()
        notify(
            session,
            kind=NoticeKind.LAB_SAID,
            to=[asked.by] if asked.by in own else own,
            key=f"lab answer {said.id} to {asked.id}",
            place=f"/needs/{need_id}/pairings/{asked.pairing_id}/missing",
            facts={"need": need_id, "lab": asked.lab_id, "word": said.word},
            by=said.by,
            now=now,
        )


def tell_question_by_link(session: Session, said: LabAnswer, *, lab_id: str, reader: str, now: datetime) -> None:
    """Tell whom the link of a question was sent to what was just done by it, with the way to undo it."""
    notify(
        session,
        kind=NoticeKind.LINK_ANSWERED,
        to=[reader],
        key=f"lab answer {said.id} by link",
        place=f"/my-lab/{lab_id}/questions/{said.question_id}",
        facts={"question": str(said.question_id), "lab": lab_id, "word": said.word, "link": said.link or ""},
        now=now,
    )
