"""What the link of a mail still opens, and the answer that is given by it.

In: what a token says, checked by its signature. Out: how the question stands that it answers, with nothing of the need;
the answer, once; its undoing. It exists because a link proves who it was sent to and no more: whether there is still
something to answer, and whether that person may still answer it, is asked of the database each time. Used twice it
changes nothing; forwarded it shows nothing that is confidential, says as whom it answers, and whoever it was sent to is
told at once of what was done by it, with the way to undo it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from fastapi import Request
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import conversations as visible
from api.letters.conversation.answering import AskedByLink, asked_of_company, asked_of_lab
from api.routes.conversation.telling import tell_answered, tell_by_link, tell_said
from api.trail.audit_trail import Outcome, Subject, write_down
from api.trail.request_trail import trail_of
from indexer.instants import day_in_taipei
from indexer.records.record_tables import Alliance, Lab, Need
from indexer.wording import T_
from matcher.review.cases import CaseStep, Stage
from matcher.review.conversation.answers import (
    AnswerLateError,
    AnswerReason,
    SideAnswer,
    SideWord,
    answer,
    answers_of,
    is_open,
    take_back,
)
from matcher.review.conversation.thread import Conversation, Side, ThreadError, conversation_of
from matcher.review.intake import NeedIntake
from matcher.review.people import Account, principal
from matcher.review.proposals import Release, StoredPairing

MOST_CHANGES = 20
"""So often one link changes an answer: more is no change of mind."""


class LinkState(StrEnum):
    """How a link stands: it can answer, it has answered and can undo it, or nothing is asked by it any more."""

    OPEN = "open"
    ANSWERED = "answered"
    DONE = "done"
    CLOSED = "closed"


@dataclass(frozen=True)
class OpenedLink:
    """What the page of a link shows: nothing that the need says, and the other side only as far as it is public."""

    state: LinkState
    side: Side
    answers_as: str = ""
    word: SideWord | None = None
    lab: tuple[str, str] = ("", "")
    alliance: tuple[str, str] = ("", "")
    submitted_on: date | None = None
    place: str = "/"


def opened_link(session: Session, asked: AskedByLink) -> OpenedLink:
    """Return how the question of a link stands; nothing is changed."""
    about = _asked_about(session, asked)
    if about is None:
        return OpenedLink(LinkState.CLOSED, asked.side)
    lab = session.exec(select(Lab.name, Lab.name_en).where(Lab.id == about.lab_id)).one()
    alliance = session.exec(select(Alliance.name, Alliance.name_en).where(Alliance.id == about.alliance_id)).one()
    submitted = session.exec(select(NeedIntake.submitted_at).where(NeedIntake.need_id == about.need_id)).first()
    state, word = _state(session, about, asked)
    return OpenedLink(
        state=state,
        side=asked.side,
        answers_as=reader_named(session, asked.reader),
        word=word,
        lab=(lab[0], lab[1] or ""),
        alliance=(alliance[0], alliance[1] or ""),
        submitted_on=None if submitted is None else day_in_taipei(submitted),
        place=f"/conversations/{about.pairing_id}",
    )


def reader_named(session: Session, reader: str) -> str:
    """Return who a link answers as: the name of the account; of a mere address so much that its owner knows it."""
    if "@" in reader:
        name, _, host = reader.partition("@")
        return f"{name[:1]}…@{host}"
    return session.exec(select(Account.name).where(Account.id == reader)).first() or ""


def _state(session: Session, about: Conversation, asked: AskedByLink) -> tuple[LinkState, SideWord | None]:
    said = answers_of(session, about.pairing_id, asked.side)
    by_it = [row for row in said if row.link == asked.key]
    word = SideWord(by_it[-1].word) if by_it else None
    if word in (None, SideWord.RETRACTED):
        can = is_open(session, about, asked.side) and len(by_it) < MOST_CHANGES
        return (LinkState.OPEN if can else LinkState.CLOSED), None
    # Somebody may have answered otherwise since, in the page or by another link: that stands, and is not undone here.
    can_undo = said[-1].link == asked.key and is_open(session, about, asked.side)
    return (LinkState.ANSWERED if can_undo else LinkState.DONE), word


def _asked_about(session: Session, asked: AskedByLink) -> Conversation | None:
    """Return what a link asks about; None if it is no longer asked, or not of this reader."""
    pairing = session.get(StoredPairing, asked.pairing_id)
    if pairing is None or not _may_answer(session, asked):
        return None
    try:
        about = conversation_of(session, pairing)
    except ThreadError:
        return None
    if asked.side is Side.COMPANY:
        shown = (Release.pairing_id == pairing.id, col(Release.ended_at).is_(None))
        number = session.exec(select(Release.id).where(*shown)).first()
        return about if number is not None and asked.asked == asked_of_company(number) else None
    if about.case is None:
        return None
    steps = select(CaseStep.version).where(CaseStep.case_id == about.case.id, CaseStep.new == Stage.INTRODUCED.value)
    step = session.exec(steps.order_by(col(CaseStep.version).desc())).first()
    known = about.is_introduced and step is not None and asked.asked == asked_of_lab(about.case.id or 0, step)
    return about if known else None


def _may_answer(session: Session, asked: AskedByLink) -> bool:
    """Whether an account may still answer for its side; an address was chosen by the expert who sent the link."""
    if "@" in asked.reader:
        return True
    who = principal(session, asked.reader)
    if who is None:
        return False
    query = (
        select(StoredPairing.id)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(StoredPairing.id == asked.pairing_id, visible(who, Action.ANSWER, asked.side))
    )
    return session.exec(query).first() is not None


def answer_by_link(
    session: Session,
    asked: AskedByLink,
    *,
    word: SideWord,
    reason: AnswerReason | None,
    note: str,
    now: datetime,
) -> SideAnswer:
    """Answer by a link, once.

    Raises:
        AnswerError: the word is not this side's, or a reason is missing or too much.
        AnswerLateError: it was used, or nothing is asked by it any more.
    """
    about = _held(session, asked)
    if _state(session, about, asked)[0] is not LinkState.OPEN:
        raise AnswerLateError(T_("this link has answered already; what it said stands"))
    by, link = _by(asked), asked.key
    said = answer(session, about=about, side=asked.side, word=word, reason=reason, note=note, by=by, link=link, now=now)
    tell_said(session, about, said, now=now)
    tell_by_link(session, about, said, reader=asked.reader, asked=asked.asked, now=now)
    return said


def undo_by_link(session: Session, asked: AskedByLink, *, now: datetime) -> SideAnswer:
    """Take back what was answered by a link, which can then answer once more.

    Raises:
        AnswerLateError: it was acted on, or something else was answered since.
    """
    about = _held(session, asked)
    if _state(session, about, asked)[0] is not LinkState.ANSWERED:
        raise AnswerLateError(T_("this can no longer be undone here; write to your expert"))
    said = take_back(session, about=about, side=asked.side, by=_by(asked), link=asked.key, now=now)
    tell_answered(session, about, said, now=now)
    tell_by_link(session, about, said, reader=asked.reader, asked=asked.asked, now=now)
    return said


def _held(session: Session, asked: AskedByLink) -> Conversation:
    # One link pressed twice at once answers once.
    session.exec(select(StoredPairing.id).where(StoredPairing.id == asked.pairing_id).with_for_update()).first()
    about = _asked_about(session, asked)
    if about is None:
        raise AnswerLateError(T_("nothing is asked by this link any more"))
    return about


def _by(asked: AskedByLink) -> str | None:
    return None if "@" in asked.reader else asked.reader


def note_by_link(
    session: Session,
    request: Request,
    subject: Subject,
    resource: Resource,
    action: Action,
    *,
    by: str | None,
    at: datetime,
) -> None:
    """Write into the audit trail what was done by a link, as the last thing of its transaction."""
    act = trail_of(request).act(request, at, outcome=Outcome.DONE, status=200, subjects=[subject])
    rights = "link of a mail" if by is not None else "link of a mail to an address"
    act = replace(act, account_id=by, resource=resource.value, action=action.value, rights=rights)
    write_down(session, [act])
