"""What clients send and are told of conversations: answers of both sides, and the thread of a pairing.

In: JSON bodies; rows, and for which side somebody reads them. Out: checked values; documents that hold what this side
may read and nothing of the other's; models for the description of the API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.documents.answers import Answer
from api.documents.bodies import Note, Word
from matcher.review.cases import Stage
from matcher.review.conversation.answers import REASONS, WORDS, AnswerReason, SideAnswer, SideWord
from matcher.review.conversation.standing import TOLD, Stand, TalkState, standing_of
from matcher.review.conversation.thread import WRITES, Audience, Conversation, Message, Side


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AnswerBody(_Body):
    """What a side says of a pairing, with a reason where it says no."""

    word: SideWord = Field(examples=["interested"])
    reason: AnswerReason | None = Field(default=None, examples=[None])
    note: Note = ""


class MessageBody(_Body):
    """Something to say, and to whom. Colleagues are called upon by @ and their name, in internal notes."""

    text: Note = Field(examples=["能否處理八吋晶圓？"])
    audience: Audience = Field(examples=["company"])


class InvitationBody(_Body):
    """Somebody without an account who is to answer for a side, by a link in a mail."""

    side: Side = Field(examples=["company"])
    address: Word = Field(examples=["contact@example.org"])


class InvitationAnswer(Answer):
    """Whom a link was sent to."""

    side: Side
    address: str


class ToldAnswer(Answer):
    """A state in the reader's words."""

    zh: str
    en: str


class SideAnswerAnswer(Answer):
    """One word of a side."""

    id: int
    side: Side
    word: SideWord
    reason: AnswerReason | None
    note: str
    name: str = Field(description="Who said it; empty where it came by a link to an address.")
    at: datetime


class MessageAnswer(Answer):
    """One message of a thread."""

    id: int
    side: Side
    audience: Audience
    text: str
    name: str
    mentioned: list[str] = Field(description="Names of colleagues who are called upon.")
    at: datetime


class ColleagueAnswer(Answer):
    """Somebody of the own alliance who can be called upon."""

    id: str
    name: str


class ReachedAnswer(Answer):
    """Somebody of a side, and how they are reached."""

    side: Side
    name: str
    email: str
    phone: str


class ConversationAnswer(Answer):
    """A pairing's conversation as one side reads it."""

    pairing_id: int
    need_id: str
    lab_id: str
    company_id: str | None
    alliance_id: str
    case_id: int | None = Field(default=None, description="For the alliance only.")
    side: Side = Field(description="For which side you speak.")
    standing: TalkState
    told: ToldAnswer | None = Field(description="How it stands, in the words of this side.")
    words: list[SideWord] = Field(description="What you can answer now.")
    reasons: list[AnswerReason]
    word: SideWord | None = Field(description="Your side's answer that stands.")
    can_take_back: bool
    audiences: list[Audience] = Field(description="To whom you can write now.")
    answers: list[SideAnswerAnswer] = Field(description="Your side's; for the alliance those of both.")
    messages: list[MessageAnswer]
    colleagues: list[ColleagueAnswer] = Field(default=[])
    people: list[ReachedAnswer] = Field(description="Whom you work with here: for both sides the alliance's expert.")


@dataclass(frozen=True)
class Talk:
    """All that a conversation's document is made of."""

    about: Conversation
    side: Side
    released: bool
    is_open: bool
    answers: Sequence[SideAnswer]
    messages: Sequence[Message]
    names: Mapping[str, str]
    colleagues: Mapping[str, str]
    people: Sequence[tuple[Side, str, str, str]]
    """Side, name, mail address and telephone number."""


def standing_word(answers: Sequence[SideAnswer], side: Side) -> SideWord | None:
    """Return the word of a side that stands among all that was said."""
    said = [SideWord(row.word) for row in answers if row.side == side]
    return said[-1] if said and said[-1] is not SideWord.RETRACTED else None


def conversation_document(talk: Talk) -> dict[str, Any]:
    """Return a conversation as one side reads it."""
    about, side = talk.about, talk.side
    stage = None if about.case is None else Stage(about.case.stage)
    standing = standing_of(
        stage=stage,
        released=talk.released,
        company=standing_word(talk.answers, Side.COMPANY),
        lab=standing_word(talk.answers, Side.LAB),
    )
    told = TOLD[standing][side]
    mine = [row for row in talk.answers if side in (Side.EXPERT, row.side)]
    word = standing_word(talk.answers, side)
    return {
        "pairing_id": about.pairing_id,
        "need_id": about.need_id,
        "lab_id": about.lab_id,
        "company_id": about.company_id,
        "alliance_id": about.alliance_id,
        "case_id": about.case.id if about.case is not None and side is Side.EXPERT else None,
        "side": side.value,
        "standing": standing.value,
        "told": None if told is None else {"zh": told.zh, "en": told.en},
        "words": list(WORDS[side]) if talk.is_open else [],
        "reasons": list(REASONS[side]) if talk.is_open else [],
        "word": word,
        "can_take_back": talk.is_open and word is not None,
        "audiences": [one for one in WRITES[side] if about.is_introduced or one not in (Audience.LAB, Audience.BOTH)],
        "answers": [_answer(row, talk.names) for row in mine],
        "messages": [_message(one, talk) for one in talk.messages],
        "colleagues": [{"id": one, "name": name} for one, name in sorted(talk.colleagues.items())],
        "people": [dict(zip(("side", "name", "email", "phone"), one, strict=True)) for one in talk.people],
    }


def said_by_company(stand: Stand) -> dict[str, Any]:
    """Return how a pairing stands in the company's words, and what the company can answer."""
    told = TOLD[stand.standing][Side.COMPANY]
    is_open = stand.released and stand.stage in (None, Stage.ACCEPTED)
    return {
        "standing": stand.standing.value,
        "told": None if told is None else {"zh": told.zh, "en": told.en},
        "words": list(WORDS[Side.COMPANY]) if is_open else [],
        "reasons": list(REASONS[Side.COMPANY]) if is_open else [],
        "word": stand.company,
        "can_take_back": is_open and stand.company is not None,
    }


def _answer(row: SideAnswer, names: Mapping[str, str]) -> dict[str, Any]:
    document = row.model_dump(mode="json", include={"id", "side", "word", "reason", "note", "at"})
    return {**document, "name": names.get(row.by or "", "")}


def _message(one: Message, talk: Talk) -> dict[str, Any]:
    document = one.model_dump(mode="json", include={"id", "side", "audience", "text", "at"})
    called = [talk.names.get(account, "") for account in one.mentioned]
    return {**document, "name": talk.names.get(one.by or "", ""), "mentioned": called}
