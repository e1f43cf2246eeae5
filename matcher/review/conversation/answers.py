"""What both sides answer: the company to a lab that was released to it, the lab to a need that it was introduced to.

In: one word of a side about a pairing, with a reason where it says no. Out: one row for each word, of which the last
one stands; and whether it can still be changed. It exists because an introduction that nobody agreed to wastes the
time of both: an expert introduces a lab that the company wants, and a lab that says no is not called again. A side may
change its mind until its word has been acted on: the company until the lab was introduced, the lab until its
cooperation has gone on. What was said before stays on record.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.wording import T_
from matcher.review.cases import Stage
from matcher.review.conversation.thread import SIDES, Audience, Conversation, Side, say
from matcher.review.proposals import Release


class SideWord(StrEnum):
    """What a side can say; `retracted` takes the last word back."""

    INTERESTED = "interested"
    NOT_THIS_ONE = "not_this_one"
    QUESTION = "has_a_question"
    WILLING = "willing"
    NOT_NOW = "not_now"
    DECLINED = "declined"
    RETRACTED = "retracted"


WORDS = {
    Side.COMPANY: (SideWord.INTERESTED, SideWord.NOT_THIS_ONE, SideWord.QUESTION),
    Side.LAB: (SideWord.WILLING, SideWord.NOT_NOW, SideWord.DECLINED),
    Side.EXPERT: (),
}
"""Which words each side has; an expert decides, and answers nobody."""
REFUSING = (SideWord.NOT_THIS_ONE, SideWord.DECLINED)
"""The words that take a reason."""


class AnswerReason(StrEnum):
    """Why a company does not want this lab, or a lab not this need."""

    WRONG_FIELD = "wrong_field"
    ALREADY_COOPERATING = "already_cooperating"
    NO_CAPACITY = "no_capacity"
    TOO_FAR = "too_far"
    TOO_EARLY = "too_early"
    BUDGET = "budget"
    TERMS = "terms"
    CONFLICT = "conflict"
    OTHER = "other"


REASONS = {
    Side.COMPANY: (
        AnswerReason.WRONG_FIELD,
        AnswerReason.ALREADY_COOPERATING,
        AnswerReason.TOO_FAR,
        AnswerReason.TOO_EARLY,
        AnswerReason.CONFLICT,
        AnswerReason.OTHER,
    ),
    Side.LAB: (
        AnswerReason.NO_CAPACITY,
        AnswerReason.WRONG_FIELD,
        AnswerReason.BUDGET,
        AnswerReason.TERMS,
        AnswerReason.CONFLICT,
        AnswerReason.OTHER,
    ),
    Side.EXPERT: (),
}
"""The reasons that each side can give."""
_WORDS = ", ".join(f"'{one.value}'" for one in SideWord)
_REASONS = ", ".join(f"'{one.value}'" for one in AnswerReason)


class AnswerError(ValueError):
    """A side can't answer that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class AnswerLateError(AnswerError):
    """The answer was acted on, or what it answers is no longer asked."""


class SideAnswer(SQLModel, table=True):
    """One word of a side: never updated, never deleted; the last one of a side stands."""

    __tablename__ = "side_answer"
    __table_args__ = (
        CheckConstraint(f"side IN ({SIDES}) AND side <> 'expert'", name="side_answers"),
        CheckConstraint(f"word IN ({_WORDS})", name="word_known"),
        CheckConstraint(f"reason IS NULL OR reason IN ({_REASONS})", name="reason_known"),
        CheckConstraint("(word IN ('not_this_one', 'declined')) = (reason IS NOT NULL)", name="refused_for_a_reason"),
    )

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id", index=True)
    side: str
    word: str
    reason: str | None = None
    note: str = ""
    by: str | None = Field(default=None, foreign_key="account.id")
    link: str | None = Field(default=None, index=True)
    """The link of a mail by which it was said, as its letter names it."""
    at: datetime = Field(sa_type=Instant)


def answer(
    session: Session,
    *,
    about: Conversation,
    side: Side,
    word: SideWord,
    by: str | None,
    now: datetime,
    reason: AnswerReason | None = None,
    note: str = "",
    link: str | None = None,
) -> SideAnswer:
    """Say a side's word; a question is put into the thread as well, where it is answered.

    Args:
        session: its transaction holds the answer.
        about: the pairing.
        side: company or lab.
        word: what it says.
        by: the account that says it; None where a mere address does, by a link.
        now: the moment.
        reason: why it says no; only and always with a word of `REFUSING`.
        note: what it says besides; needed with a question, and with the reason other.
        link: the link by which it was said, if it was.

    Raises:
        AnswerError: the word is not this side's, or a reason is missing or too much.
        AnswerLateError: nothing is asked of this side, or its word was acted on.
    """
    _check(side, word, reason, note)
    must_be_open(session, about, side)
    if word is SideWord.QUESTION:
        say(session, about=about, side=side, audience=Audience(side.value), text=note, by=by, now=now)
    row = SideAnswer(
        pairing_id=about.pairing_id,
        side=side.value,
        word=word.value,
        reason=None if reason is None else reason.value,
        note="" if word is SideWord.QUESTION else note,
        by=by,
        link=link,
        at=now,
    )
    return insert_fact(session, row)


def _check(side: Side, word: SideWord, reason: AnswerReason | None, note: str) -> None:
    if word not in WORDS[side]:
        possible = ", ".join(WORDS[side])
        raise AnswerError(T_("answer with one of: %(possible)s", possible=possible), "word")
    if (word in REFUSING) != (reason is not None):
        raise AnswerError(T_("a reason is given exactly where the answer is no"), "reason")
    if reason is not None and reason not in REASONS[side]:
        raise AnswerError(T_("give one of these reasons: %(known)s", known=", ".join(REASONS[side])), "reason")
    if word is SideWord.QUESTION and not note.strip():
        raise AnswerError(T_("write your question"), "note")
    if reason is AnswerReason.OTHER and not note.strip():
        raise AnswerError(T_("the reason other needs a note that says what it was"), "note")


def take_back(
    session: Session, *, about: Conversation, side: Side, by: str | None, now: datetime, link: str | None = None
) -> SideAnswer:
    """Take back what a side said last.

    Raises:
        AnswerLateError: it was acted on, or nothing stands.
    """
    must_be_open(session, about, side)
    if (about.pairing_id, side) not in standing_answers(session, [about.pairing_id]):
        raise AnswerLateError(T_("there is no answer to take back"))
    row = SideAnswer(
        pairing_id=about.pairing_id, side=side.value, word=SideWord.RETRACTED.value, by=by, link=link, at=now
    )
    return insert_fact(session, row)


def must_be_open(session: Session, about: Conversation, side: Side) -> None:
    """Let a side speak only while its word is awaited; the case is held, so that nobody moves it on meanwhile.

    Raises:
        AnswerLateError: nothing is asked of this side, or its word was acted on.
    """
    if about.case is not None:
        session.refresh(about.case, with_for_update=True)
    if not is_open(session, about, side):
        raise AnswerLateError(
            T_("this can no longer be answered: your alliance has gone on, or no longer asks; write to your expert")
        )


def is_open(session: Session, about: Conversation, side: Side) -> bool:
    """Whether a side's word is awaited and can still be changed."""
    stage = None if about.case is None else Stage(about.case.stage)
    if side is Side.LAB:
        return stage is Stage.INTRODUCED
    if side is Side.COMPANY:
        shown = (Release.pairing_id == about.pairing_id, col(Release.ended_at).is_(None))
        return stage in (None, Stage.ACCEPTED) and session.exec(select(Release.id).where(*shown)).first() is not None
    return False


def standing_answers(session: Session, pairing_ids: Collection[int]) -> dict[tuple[int, Side], SideAnswer]:
    """Return the word of each side that stands, by pairing and side."""
    query = select(SideAnswer).where(col(SideAnswer.pairing_id).in_(sorted(pairing_ids))).order_by(col(SideAnswer.id))
    last = {(row.pairing_id, Side(row.side)): row for row in session.exec(query).all()}
    return {key: row for key, row in last.items() if row.word != SideWord.RETRACTED}


def answers_of(session: Session, pairing_id: int, side: Side | None = None) -> list[SideAnswer]:
    """Return all that was said of a pairing, or by one side of it, oldest first."""
    query = select(SideAnswer).where(SideAnswer.pairing_id == pairing_id).order_by(col(SideAnswer.id))
    return list(session.exec(query if side is None else query.where(SideAnswer.side == side.value)).all())
